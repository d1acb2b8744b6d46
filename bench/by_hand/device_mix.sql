WITH event AS (
  SELECT user_id, device_type, impressions, 0 AS clicks
  FROM amc.dsp_impressions
  WHERE impression_dt_utc >= $start AND impression_dt_utc < $end
  UNION ALL
  SELECT user_id, device_type, 0, clicks
  FROM amc.dsp_clicks
  WHERE click_dt_utc >= $start AND click_dt_utc < $end
),
grouped AS (
  SELECT
    user_id,
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
),
person AS (
  SELECT
    user_id,
    list_sort(list(DISTINCT device)) AS devices,
    count(DISTINCT device) AS device_count,
    sum(impressions) AS impressions,
    sum(clicks) AS clicks
  FROM grouped
  GROUP BY ALL
),
buyer AS (
  SELECT DISTINCT user_id
  FROM amc.amazon_attributed_events_by_traffic_time
  WHERE traffic_event_dt_utc >= $start AND traffic_event_dt_utc < $end
    AND user_id IS NOT NULL AND total_purchases > 0
)
SELECT
  p.devices,
  p.device_count,
  count(*) AS users,
  sum(p.impressions) AS impressions,
  sum(p.clicks) AS clicks,
  sum(p.clicks) / nullif(sum(p.impressions), 0) AS click_rate,
  count(b.user_id) AS buyers,
  count(b.user_id) / count(*) AS purchase_rate
FROM person p
LEFT JOIN buyer b USING (user_id)
GROUP BY ALL
