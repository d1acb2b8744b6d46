-- Most people are in many segments, and an impression stands here once for each: rows must not be added up.
WITH member AS (
  SELECT behavior_segment_name AS segment, user_id, SUM(impressions) AS impressions
  FROM dsp_impressions_by_user_segments
  WHERE user_id IS NOT NULL
    AND (behavior_segment_matched = 1 OR NOT CUSTOM_PARAMETER('targeted_only'))
    AND (CUSTOM_PARAMETER('name_has') IS NULL
         OR LOWER(behavior_segment_name) LIKE CONCAT('%', LOWER(CUSTOM_PARAMETER('name_has')), '%'))
    AND (CUSTOM_PARAMETER('segments') IS NULL OR CARDINALITY(CUSTOM_PARAMETER('segments')) = 0
         OR ARRAY_CONTAINS(CUSTOM_PARAMETER('segments'), behavior_segment_name))
    AND (CUSTOM_PARAMETER('campaigns') IS NULL OR CARDINALITY(CUSTOM_PARAMETER('campaigns')) = 0
         OR ARRAY_CONTAINS(CUSTOM_PARAMETER('campaigns'), campaign))
  GROUP BY 1, 2
),
buyer AS (
  SELECT user_id, SUM(total_purchases) AS purchases, SUM(total_product_sales) AS sales
  FROM amazon_attributed_events_by_traffic_time
  WHERE user_id IS NOT NULL AND total_purchases > 0
  GROUP BY 1
),
-- The yardstick: all who saw these campaigns, whatever segment they are in.
everybody AS (
  SELECT COUNT(DISTINCT b.user_id) / COUNT(DISTINCT i.user_id) AS purchase_rate
  FROM dsp_impressions i
  LEFT JOIN buyer b ON b.user_id = i.user_id
  WHERE i.user_id IS NOT NULL
    AND (CUSTOM_PARAMETER('campaigns') IS NULL OR CARDINALITY(CUSTOM_PARAMETER('campaigns')) = 0
         OR ARRAY_CONTAINS(CUSTOM_PARAMETER('campaigns'), i.campaign))
)
SELECT
  m.segment,
  COUNT(DISTINCT m.user_id) AS users,
  SUM(m.impressions) AS impressions,
  COUNT(DISTINCT b.user_id) AS buyers,
  COUNT(DISTINCT b.user_id) / COUNT(DISTINCT m.user_id) AS purchase_rate,
  -- 100 is like everybody, 150 is half as much again.
  100 * COUNT(DISTINCT b.user_id) / COUNT(DISTINCT m.user_id) / NULLIF(MAX(e.purchase_rate), 0) AS purchase_index,
  SUM(b.purchases) AS purchases,
  SUM(b.sales) AS sales
FROM member m
LEFT JOIN buyer b ON b.user_id = m.user_id
CROSS JOIN everybody e
GROUP BY 1
