WITH purchase AS (
  SELECT
    coalesce(ad_product_type, 'dsp') AS ad_product,
    user_id,
    total_purchases AS purchases,
    total_product_sales AS sales,
    date_diff('hour', traffic_event_dt_hour_utc, conversion_event_dt_hour_utc) AS hours
  FROM amc.amazon_attributed_events_by_traffic_time
  WHERE traffic_event_dt_utc >= $start AND traffic_event_dt_utc < $end AND total_purchases > 0
),
bucketed AS (
  SELECT
    *,
    CASE
      WHEN hours < 1 THEN '1 same hour'
      WHEN hours < 6 THEN '2 1 to 5 hours'
      WHEN hours < 24 THEN '3 6 to 23 hours'
      WHEN hours < 72 THEN '4 1 to 2 days'
      WHEN hours < 168 THEN '5 3 to 6 days'
      ELSE '6 7 days and more'
    END AS time_to_purchase
  FROM purchase
),
total AS (
  SELECT ad_product, sum(purchases) AS purchases
  FROM bucketed
  GROUP BY ALL
)
SELECT
  ad_product,
  b.time_to_purchase,
  sum(b.purchases) AS purchases,
  sum(b.purchases) / max(t.purchases) AS purchase_share,
  count(DISTINCT b.user_id) AS buyers,
  sum(b.sales) AS sales,
  sum(b.hours * b.purchases) / sum(b.purchases) AS average_hours
FROM bucketed b
JOIN total t USING (ad_product)
GROUP BY ALL
