WITH purchase AS (
  SELECT user_id, event_dt_hour_utc AS bought_hour, total_product_sales AS sales
  FROM amc.conversions_all
  WHERE event_dt_utc >= $start AND event_dt_utc < $end + INTERVAL 60 DAY
    AND user_id IS NOT NULL AND event_category = 'purchase'
),
subscription AS (
  SELECT DISTINCT user_id
  FROM amc.conversions_all
  WHERE event_dt_utc >= $start AND event_dt_utc < $end + INTERVAL 60 DAY
    AND user_id IS NOT NULL AND (event_subtype = 'snsSubscription' OR sns_subscription_id IS NOT NULL)
),
newcomer AS (
  SELECT
    user_id,
    min(event_dt_hour_utc) AS first_hour,
    if(bool_or(exposure_type = 'ad-exposed'), 'with ads', 'without ads') AS won
  FROM amc.conversions_all
  WHERE event_dt_utc >= $start AND event_dt_utc < $end
    AND user_id IS NOT NULL AND event_category = 'purchase' AND new_to_brand
  GROUP BY ALL
),
later AS (
  SELECT n.user_id, n.first_hour, n.won, p.sales, count(*) OVER (PARTITION BY n.user_id) AS purchases
  FROM newcomer n
  JOIN purchase p
    ON p.user_id = n.user_id
    AND p.bought_hour >= n.first_hour
    AND p.bought_hour <= n.first_hour + INTERVAL 60 DAY
)
SELECT
  CAST(date_trunc('month', l.first_hour) AS DATE) AS cohort,
  l.won,
  count(DISTINCT l.user_id) AS customers,
  count(DISTINCT l.user_id) FILTER (l.purchases > 1) AS repeat_customers,
  count(DISTINCT l.user_id) FILTER (l.purchases > 1) / count(DISTINCT l.user_id) AS repeat_rate,
  count(DISTINCT s.user_id) AS subscribers,
  count(*) AS purchases,
  sum(l.sales) AS sales,
  sum(l.sales) / count(DISTINCT l.user_id) AS lifetime_value
FROM later l
LEFT JOIN subscription s USING (user_id)
GROUP BY ALL
