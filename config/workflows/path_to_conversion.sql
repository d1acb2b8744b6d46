-- The hour is enough for an order, and unlike the exact time it asks for two people behind a path, not a hundred.
WITH touch AS (
  SELECT user_id, campaign, 'dsp' AS ad_product, 'dsp' AS label, impression_dt_hour_utc AS touched_hour
  FROM dsp_impressions
  WHERE CUSTOM_PARAMETER('step') <> 'segment'
  UNION ALL
  -- An impression stands here once for each segment of the person; 1 marks those that were targeted.
  SELECT user_id, campaign, 'dsp', behavior_segment_name, impression_dt_hour_utc
  FROM dsp_impressions_by_user_segments
  WHERE CUSTOM_PARAMETER('step') = 'segment' AND behavior_segment_matched = 1
  UNION ALL
  -- Clicks have rows of their own: a path is what people saw.
  SELECT user_id, campaign, ad_product_type, ad_product_type, event_dt_hour_utc
  FROM sponsored_ads_traffic
  WHERE impressions > 0
),
first_touch AS (
  SELECT
    user_id,
    IF(CUSTOM_PARAMETER('step') = 'campaign', campaign, label) AS step,
    MIN(touched_hour) AS first_hour
  FROM touch
  WHERE user_id IS NOT NULL
    AND (CUSTOM_PARAMETER('ad_products') IS NULL OR CARDINALITY(CUSTOM_PARAMETER('ad_products')) = 0
         OR ARRAY_CONTAINS(CUSTOM_PARAMETER('ad_products'), ad_product))
    AND (CUSTOM_PARAMETER('campaigns') IS NULL OR CARDINALITY(CUSTOM_PARAMETER('campaigns')) = 0
         OR ARRAY_CONTAINS(CUSTOM_PARAMETER('campaigns'), campaign))
  GROUP BY 1, 2
),
buyer AS (
  SELECT
    user_id,
    MIN(conversion_event_dt_hour_utc) AS bought_hour,
    SUM(total_purchases) AS purchases,
    SUM(total_product_sales) AS sales
  FROM amazon_attributed_events_by_traffic_time
  WHERE user_id IS NOT NULL AND total_purchases > 0
  GROUP BY 1
),
-- What was seen after the first purchase did not lead to it.
placed AS (
  SELECT
    t.user_id,
    t.step,
    ROW_NUMBER() OVER (PARTITION BY t.user_id ORDER BY t.first_hour, t.step) AS place
  FROM first_touch t
  LEFT JOIN buyer b ON b.user_id = t.user_id
  WHERE b.user_id IS NULL OR t.first_hour <= b.bought_hour
),
step AS (
  SELECT user_id, NAMED_ROW('place', place, 'step', step) AS step
  FROM placed
  WHERE place <= CUSTOM_PARAMETER('longest_path')
),
-- COLLECT gives no order; the place, which stands first, does.
path AS (
  SELECT user_id, ARRAY_SORT(COLLECT(DISTINCT step)) AS path
  FROM step
  GROUP BY 1
)
SELECT
  p.path,
  COUNT(DISTINCT p.user_id) AS users,
  COUNT(DISTINCT b.user_id) AS buyers,
  COUNT(DISTINCT b.user_id) / COUNT(DISTINCT p.user_id) AS purchase_rate,
  SUM(b.purchases) AS purchases,
  SUM(b.sales) AS sales
FROM path p
LEFT JOIN buyer b ON b.user_id = p.user_id
GROUP BY 1
