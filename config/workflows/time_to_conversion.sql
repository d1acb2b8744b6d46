-- By traffic time: ads of the window, with purchases up to weeks after it. By conversion time, late ones would lack.
WITH purchase AS (
  SELECT
    COALESCE(ad_product_type, 'dsp') AS ad_product,
    user_id,
    total_purchases AS purchases,
    total_product_sales AS sales,
    -- Whole hours: with exact times, a row would need a hundred people behind it instead of two.
    SECONDS_BETWEEN(traffic_event_dt_hour_utc, conversion_event_dt_hour_utc) / 3600 AS hours
  FROM amazon_attributed_events_by_traffic_time
  WHERE total_purchases > 0
    AND (CUSTOM_PARAMETER('campaigns') IS NULL OR CARDINALITY(CUSTOM_PARAMETER('campaigns')) = 0
         OR ARRAY_CONTAINS(CUSTOM_PARAMETER('campaigns'), campaign))
),
bucketed AS (
  SELECT
    ad_product,
    user_id,
    purchases,
    sales,
    hours,
    -- The number in front keeps the order in any spreadsheet.
    CASE
      WHEN hours < 1 THEN '1 same hour'
      WHEN hours < 6 THEN '2 1 to 5 hours'
      WHEN hours < 24 THEN '3 6 to 23 hours'
      WHEN hours < 72 THEN '4 1 to 2 days'
      WHEN hours < 168 THEN '5 3 to 6 days'
      ELSE '6 7 days and more'
    END AS time_to_purchase
  FROM purchase
  WHERE CUSTOM_PARAMETER('ad_products') IS NULL OR CARDINALITY(CUSTOM_PARAMETER('ad_products')) = 0
    OR ARRAY_CONTAINS(CUSTOM_PARAMETER('ad_products'), ad_product)
),
total AS (
  SELECT ad_product, SUM(purchases) AS purchases
  FROM bucketed
  GROUP BY 1
)
SELECT
  b.ad_product,
  b.time_to_purchase,
  SUM(b.purchases) AS purchases,
  SUM(b.purchases) / MAX(t.purchases) AS purchase_share,
  COUNT(DISTINCT b.user_id) AS buyers,
  SUM(b.sales) AS sales,
  SUM(b.hours * b.purchases) / SUM(b.purchases) AS average_hours
FROM bucketed b
JOIN total t ON t.ad_product = b.ad_product
GROUP BY 1, 2
