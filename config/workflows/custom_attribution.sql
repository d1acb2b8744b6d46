-- A purchase stands here once for each campaign it may belong to, and once for each way in which it is relevant.
WITH purchase AS (
  SELECT
    user_id,
    conversion_id,
    campaign_id_string,
    MIN(event_dt_utc) AS bought_at,
    MAX(total_product_sales) AS sales
  FROM conversions_with_relevance
  WHERE user_id IS NOT NULL
    AND event_category = 'purchase'
    AND (engagement_scope = 'PROMOTED'
         OR (engagement_scope = 'BRAND_HALO' AND CUSTOM_PARAMETER('with_brand_halo')))
  GROUP BY 1, 2, 3
),
-- The window is of the purchases; the ads that led to them may lie before it. Durations here have to be literals.
touch AS (
  SELECT user_id, campaign_id_string, campaign, 'dsp' AS ad_product, impression_dt_utc AS touched_at, 0 AS is_click
  FROM TABLE(EXTEND_TIME_WINDOW('dsp_impressions', 'P28D', 'P0D'))
  UNION ALL
  SELECT user_id, campaign_id_string, campaign, 'dsp', click_dt_utc, 1
  FROM TABLE(EXTEND_TIME_WINDOW('dsp_clicks', 'P28D', 'P0D'))
  UNION ALL
  SELECT user_id, campaign_id_string, campaign, ad_product_type, event_dt_utc, IF(clicks > 0, 1, 0)
  FROM TABLE(EXTEND_TIME_WINDOW('sponsored_ads_traffic', 'P28D', 'P0D'))
),
-- The order of a purchase's ads, from both ends.
ordered AS (
  SELECT
    p.conversion_id,
    p.user_id,
    p.sales,
    t.ad_product,
    t.campaign,
    ROW_NUMBER() OVER (
      PARTITION BY p.conversion_id ORDER BY t.touched_at, t.is_click, t.campaign
    ) AS from_first,
    ROW_NUMBER() OVER (
      PARTITION BY p.conversion_id ORDER BY t.touched_at DESC, t.is_click DESC, t.campaign DESC
    ) AS from_last,
    COUNT(*) OVER (PARTITION BY p.conversion_id) AS touches
  FROM purchase p
  JOIN touch t
    ON t.user_id = p.user_id AND t.campaign_id_string = p.campaign_id_string AND t.touched_at <= p.bought_at
  WHERE SECONDS_BETWEEN(t.touched_at, p.bought_at) <= CUSTOM_PARAMETER('lookback_days') * 86400
    AND (t.is_click = 1 OR NOT CUSTOM_PARAMETER('clicks_only'))
),
-- Each model gives away one whole purchase.
credited AS (
  SELECT
    conversion_id,
    user_id,
    sales,
    ad_product,
    campaign,
    IF(from_first = 1, 1, 0) AS first_touch,
    IF(from_last = 1, 1, 0) AS last_touch,
    1 / touches AS linear,
    CASE
      WHEN touches = 1 THEN 1
      WHEN touches = 2 AND from_first = 1
        THEN CUSTOM_PARAMETER('first_weight') / (CUSTOM_PARAMETER('first_weight') + CUSTOM_PARAMETER('last_weight'))
      WHEN touches = 2
        THEN CUSTOM_PARAMETER('last_weight') / (CUSTOM_PARAMETER('first_weight') + CUSTOM_PARAMETER('last_weight'))
      WHEN from_first = 1 THEN CUSTOM_PARAMETER('first_weight')
      WHEN from_last = 1 THEN CUSTOM_PARAMETER('last_weight')
      ELSE (1 - CUSTOM_PARAMETER('first_weight') - CUSTOM_PARAMETER('last_weight')) / (touches - 2)
    END AS by_position
  FROM ordered
)
SELECT
  ad_product,
  campaign,
  COUNT(DISTINCT user_id) AS buyers,
  COUNT(DISTINCT conversion_id) AS purchases_touched,
  SUM(first_touch * sales) AS first_touch_sales,
  SUM(last_touch * sales) AS last_touch_sales,
  SUM(linear * sales) AS linear_sales,
  SUM(by_position * sales) AS by_position_sales
FROM credited
WHERE CUSTOM_PARAMETER('campaigns') IS NULL OR CARDINALITY(CUSTOM_PARAMETER('campaigns')) = 0
  OR ARRAY_CONTAINS(CUSTOM_PARAMETER('campaigns'), campaign)
GROUP BY 1, 2
