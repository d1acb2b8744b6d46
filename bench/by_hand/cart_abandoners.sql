WITH cart AS (
  SELECT user_id, max(event_dt_hour_utc) AS last_hour, bool_or(user_id_type = 'adUserId') AS is_reachable
  FROM amc.conversions
  WHERE event_dt_utc >= $start AND event_dt_utc < $end
    AND user_id IS NOT NULL AND event_subtype = 'shoppingCart'
  GROUP BY ALL
),
bought AS (
  SELECT DISTINCT user_id
  FROM amc.conversions
  WHERE event_dt_utc >= $start AND event_dt_utc < $end
    AND user_id IS NOT NULL AND event_category = 'purchase'
),
person AS (
  SELECT c.is_reachable, b.user_id IS NULL AS has_abandoned, date_diff('second', c.last_hour, $end) / 86400 AS days
  FROM cart c
  LEFT JOIN bought b USING (user_id)
)
SELECT
  CASE
    WHEN days < 3 THEN '1 up to 2 days'
    WHEN days < 7 THEN '2 3 to 6 days'
    WHEN days < 14 THEN '3 7 to 13 days'
    ELSE '4 14 days and more'
  END AS since_last_cart,
  count(*) AS cart_users,
  count(*) FILTER (has_abandoned) AS abandoners,
  count(*) FILTER (has_abandoned) / count(*) AS abandonment_rate,
  count(*) FILTER (has_abandoned AND is_reachable) AS reachable_abandoners
FROM person
GROUP BY ALL
