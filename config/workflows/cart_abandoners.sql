-- Sizes the audience of config/audiences/cart_abandoners.sql: AMC makes none of fewer than 2,000 people, and says so
-- hours later. The audience's own SQL gives user ids, which no workflow may; this one counts them.
WITH cart AS (
  SELECT
    user_id,
    MAX(event_dt_hour_utc) AS last_hour,
    -- Only ids of this type can be targeted.
    MAX(IF(user_id_type = 'adUserId', 1, 0)) AS is_reachable
  FROM conversions
  WHERE user_id IS NOT NULL AND event_subtype = 'shoppingCart'
    AND (CUSTOM_PARAMETER('asins') IS NULL OR CARDINALITY(CUSTOM_PARAMETER('asins')) = 0
         OR ARRAY_CONTAINS(CUSTOM_PARAMETER('asins'), tracked_item))
  GROUP BY 1
),
-- Whoever bought anything of the brand is left in peace.
bought AS (
  SELECT DISTINCT user_id
  FROM conversions
  WHERE user_id IS NOT NULL AND event_category = 'purchase'
),
person AS (
  SELECT
    c.user_id,
    c.is_reachable,
    IF(b.user_id IS NULL, 1, 0) AS has_abandoned,
    SECONDS_BETWEEN(c.last_hour, BUILT_IN_PARAMETER('TIME_WINDOW_END')) / 86400 AS days
  FROM cart c
  LEFT JOIN bought b ON b.user_id = c.user_id
)
SELECT
  CASE
    WHEN days < 3 THEN '1 up to 2 days'
    WHEN days < 7 THEN '2 3 to 6 days'
    WHEN days < 14 THEN '3 7 to 13 days'
    ELSE '4 14 days and more'
  END AS since_last_cart,
  COUNT(DISTINCT user_id) AS cart_users,
  COUNT(DISTINCT IF(has_abandoned = 1, user_id, NULL)) AS abandoners,
  COUNT(DISTINCT IF(has_abandoned = 1, user_id, NULL)) / COUNT(DISTINCT user_id) AS abandonment_rate,
  COUNT(DISTINCT IF(has_abandoned = 1 AND is_reachable = 1, user_id, NULL)) AS reachable_abandoners
FROM person
GROUP BY 1
