-- conversions_all has purchases without any ad, too: it belongs to a subscription (Flexible Shopping Insights).
WITH purchase AS (
  SELECT user_id, event_dt_hour_utc AS bought_hour, total_product_sales AS sales
  FROM TABLE(EXTEND_TIME_WINDOW('conversions_all', 'P0D', 'P60D'))
  WHERE user_id IS NOT NULL AND event_category = 'purchase'
),
-- Subscribe & Save: the sign-up, or an order that belongs to one.
subscription AS (
  SELECT DISTINCT user_id
  FROM TABLE(EXTEND_TIME_WINDOW('conversions_all', 'P0D', 'P60D'))
  WHERE user_id IS NOT NULL AND (event_subtype = 'snsSubscription' OR sns_subscription_id IS NOT NULL)
),
-- The first purchase lies in the window itself, and makes the cohort.
newcomer AS (
  SELECT
    user_id,
    MIN(event_dt_hour_utc) AS first_hour,
    -- One order may have several lines: an ad before any of them counts.
    IF(MAX(IF(exposure_type = 'ad-exposed', 1, 0)) = 1, 'with ads', 'without ads') AS won
  FROM conversions_all
  WHERE user_id IS NOT NULL AND event_category = 'purchase' AND new_to_brand = TRUE
    AND (CUSTOM_PARAMETER('asins') IS NULL OR CARDINALITY(CUSTOM_PARAMETER('asins')) = 0
         OR ARRAY_CONTAINS(CUSTOM_PARAMETER('asins'), tracked_asin))
  GROUP BY 1
),
-- Everybody gets the same time: without a horizon, early cohorts would look better only because they are older.
later AS (
  SELECT n.user_id, n.first_hour, n.won, p.sales, COUNT(*) OVER (PARTITION BY n.user_id) AS purchases
  FROM newcomer n
  JOIN purchase p ON p.user_id = n.user_id AND p.bought_hour >= n.first_hour
  WHERE SECONDS_BETWEEN(n.first_hour, p.bought_hour) <= CUSTOM_PARAMETER('horizon_days') * 86400
)
SELECT
  CAST(DATE_TRUNC('month', l.first_hour) AS DATE) AS cohort,
  l.won,
  COUNT(DISTINCT l.user_id) AS customers,
  COUNT(DISTINCT IF(l.purchases > 1, l.user_id, NULL)) AS repeat_customers,
  COUNT(DISTINCT IF(l.purchases > 1, l.user_id, NULL)) / COUNT(DISTINCT l.user_id) AS repeat_rate,
  COUNT(DISTINCT s.user_id) AS subscribers,
  COUNT(l.user_id) AS purchases,
  SUM(l.sales) AS sales,
  SUM(l.sales) / COUNT(DISTINCT l.user_id) AS lifetime_value
FROM later l
LEFT JOIN subscription s ON s.user_id = l.user_id
GROUP BY 1, 2
