WITH exposure AS (
  -- DSP money is in millicents, that of sponsored ads in microcents.
  SELECT user_id, 'dsp' AS ad_product, campaign, impressions, total_cost / 100000 AS cost
  FROM dsp_impressions
  UNION ALL
  -- Rows of clicks bring no impression, but most of the cost.
  SELECT user_id, ad_product_type, campaign, impressions, spend / 100000000
  FROM sponsored_ads_traffic
),
-- Whoever is not known may be anybody: reach and frequency are of known users only.
person AS (
  SELECT user_id, SUM(impressions) AS frequency, SUM(cost) AS cost
  FROM exposure
  WHERE user_id IS NOT NULL
    AND (CUSTOM_PARAMETER('ad_products') IS NULL OR CARDINALITY(CUSTOM_PARAMETER('ad_products')) = 0
         OR ARRAY_CONTAINS(CUSTOM_PARAMETER('ad_products'), ad_product))
    AND (CUSTOM_PARAMETER('campaigns') IS NULL OR CARDINALITY(CUSTOM_PARAMETER('campaigns')) = 0
         OR ARRAY_CONTAINS(CUSTOM_PARAMETER('campaigns'), campaign))
  GROUP BY 1
  HAVING SUM(impressions) > 0
),
buyer AS (
  SELECT user_id, SUM(total_purchases) AS purchases, SUM(total_product_sales) AS sales
  FROM amazon_attributed_events_by_traffic_time
  WHERE user_id IS NOT NULL AND total_purchases > 0
  GROUP BY 1
)
SELECT
  LEAST(p.frequency, CUSTOM_PARAMETER('most')) AS frequency,
  CAST(BUILT_IN_PARAMETER('TIME_WINDOW_START') AS DATE) AS window_start,
  CAST(BUILT_IN_PARAMETER('TIME_WINDOW_END') AS DATE) AS window_end,
  COUNT(DISTINCT p.user_id) AS users,
  SUM(p.frequency) AS impressions,
  SUM(p.cost) AS cost,
  COUNT(DISTINCT b.user_id) AS buyers,
  -- Where this stops rising, further impressions are spent on people who have decided.
  COUNT(DISTINCT b.user_id) / COUNT(DISTINCT p.user_id) AS purchase_rate,
  SUM(b.sales) AS sales
FROM person p
LEFT JOIN buyer b ON b.user_id = p.user_id
GROUP BY 1, 2, 3
