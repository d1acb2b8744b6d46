-- Columns without `_utc` are in the advertiser's time zone: a morning is a morning there. The window is four weeks,
-- so that each weekday comes equally often.
WITH event AS (
  SELECT
    'dsp' AS ad_product, campaign, user_id,
    impression_date AS day, impression_hour AS hour,
    impressions, total_cost / 100000 AS cost, 0 AS purchases, 0 AS sales
  FROM dsp_impressions
  UNION ALL
  SELECT ad_product_type, campaign, user_id, event_date, event_hour, impressions, spend / 100000000, 0, 0
  FROM sponsored_ads_traffic
  UNION ALL
  -- The hour of the purchase, not of the ad: when people buy and when they should be reached are two questions.
  SELECT
    COALESCE(ad_product_type, 'dsp'), campaign, user_id,
    conversion_event_date, conversion_event_hour,
    0, 0, total_purchases, total_product_sales
  FROM amazon_attributed_events_by_conversion_time
  WHERE total_purchases > 0
)
SELECT
  DAYOFWEEK(day) AS day_of_week,
  CAST(FLOOR(hour / CUSTOM_PARAMETER('hours')) * CUSTOM_PARAMETER('hours') AS INTEGER) AS from_hour,
  SUM(impressions) AS impressions,
  COUNT(DISTINCT IF(impressions > 0, user_id, NULL)) AS users,
  SUM(cost) AS cost,
  SUM(purchases) AS purchases,
  SUM(sales) AS sales
FROM event
WHERE (CUSTOM_PARAMETER('ad_products') IS NULL OR CARDINALITY(CUSTOM_PARAMETER('ad_products')) = 0
       OR ARRAY_CONTAINS(CUSTOM_PARAMETER('ad_products'), ad_product))
  AND (CUSTOM_PARAMETER('campaigns') IS NULL OR CARDINALITY(CUSTOM_PARAMETER('campaigns')) = 0
       OR ARRAY_CONTAINS(CUSTOM_PARAMETER('campaigns'), campaign))
GROUP BY 1, 2
