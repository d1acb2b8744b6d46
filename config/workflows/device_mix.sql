WITH event AS (
  (SELECT user_id, campaign, device_type, impressions, 0 AS clicks FROM dsp_impressions)
  UNION ALL
  -- Clicks are rows of another table; added as rows, not joined, so that nothing is counted twice.
  (SELECT user_id, campaign, device_type, 0 AS impressions, clicks FROM dsp_clicks)
),
grouped AS (
  SELECT
    user_id,
    campaign,
    CASE
      WHEN device_type IN ('TV', 'ConnectedDevice') THEN 'tv'
      WHEN device_type = 'Phone' THEN 'phone'
      WHEN device_type = 'Tablet' THEN 'tablet'
      WHEN device_type = 'PC' THEN 'computer'
      ELSE 'other'
    END AS device,
    impressions,
    clicks
  FROM event
  WHERE user_id IS NOT NULL
    AND (CUSTOM_PARAMETER('campaigns') IS NULL OR CARDINALITY(CUSTOM_PARAMETER('campaigns')) = 0
         OR ARRAY_CONTAINS(CUSTOM_PARAMETER('campaigns'), campaign))
),
person AS (
  SELECT
    user_id,
    ARRAY_SORT(COLLECT(DISTINCT device)) AS devices,
    COUNT(DISTINCT device) AS device_count,
    SUM(impressions) AS impressions,
    SUM(clicks) AS clicks
  FROM grouped
  GROUP BY 1
),
buyer AS (
  SELECT DISTINCT user_id
  FROM amazon_attributed_events_by_traffic_time
  WHERE user_id IS NOT NULL AND total_purchases > 0
)
SELECT
  p.devices,
  p.device_count,
  COUNT(DISTINCT p.user_id) AS users,
  SUM(p.impressions) AS impressions,
  SUM(p.clicks) AS clicks,
  SUM(p.clicks) / NULLIF(SUM(p.impressions), 0) AS click_rate,
  -- No sales: one big buyer would hide a whole mix.
  COUNT(DISTINCT b.user_id) AS buyers,
  COUNT(DISTINCT b.user_id) / COUNT(DISTINCT p.user_id) AS purchase_rate
FROM person p
LEFT JOIN buyer b ON b.user_id = p.user_id
GROUP BY 1, 2
