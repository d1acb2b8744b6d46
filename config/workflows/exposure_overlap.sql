WITH exposure AS (
  SELECT
    user_id,
    campaign,
    CASE creative_type
      WHEN 'Streaming TV Video' THEN 'streaming_tv'
      WHEN 'Audio' THEN 'audio'
      ELSE 'display'
    END AS channel,
    impressions
  FROM dsp_impressions
  UNION ALL
  SELECT user_id, campaign, ad_product_type, impressions
  FROM sponsored_ads_traffic
  WHERE impressions > 0
),
-- Each person stands in one row only, so groups add up; unknown users could stand in several.
person AS (
  SELECT
    user_id,
    ARRAY_SORT(COLLECT(DISTINCT channel)) AS channels,
    COUNT(DISTINCT channel) AS channel_count,
    SUM(impressions) AS impressions
  FROM exposure
  WHERE user_id IS NOT NULL
    AND (CUSTOM_PARAMETER('channels') IS NULL OR CARDINALITY(CUSTOM_PARAMETER('channels')) = 0
         OR ARRAY_CONTAINS(CUSTOM_PARAMETER('channels'), channel))
    AND (CUSTOM_PARAMETER('campaigns') IS NULL OR CARDINALITY(CUSTOM_PARAMETER('campaigns')) = 0
         OR ARRAY_CONTAINS(CUSTOM_PARAMETER('campaigns'), campaign))
  GROUP BY 1
),
buyer AS (
  SELECT user_id, SUM(total_purchases) AS purchases, SUM(total_product_sales) AS sales
  FROM amazon_attributed_events_by_traffic_time
  WHERE user_id IS NOT NULL AND total_purchases > 0
  GROUP BY 1
)
SELECT
  p.channels,
  p.channel_count,
  COUNT(DISTINCT p.user_id) AS users,
  SUM(p.impressions) AS impressions,
  -- A mix also means more ads: compare groups of like frequency before the mix is praised.
  SUM(p.impressions) / COUNT(DISTINCT p.user_id) AS frequency,
  COUNT(DISTINCT b.user_id) AS buyers,
  COUNT(DISTINCT b.user_id) / COUNT(DISTINCT p.user_id) AS purchase_rate,
  SUM(b.purchases) AS purchases,
  SUM(b.sales) AS sales
FROM person p
LEFT JOIN buyer b ON b.user_id = p.user_id
GROUP BY 1, 2
