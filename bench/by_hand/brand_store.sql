WITH visit AS (
  SELECT store_name, page_id, page_title, user_id, visit_id, dwell_time, event_dt_utc
  FROM amc.amazon_brand_store_page_views
  WHERE event_dt_utc >= $start AND event_dt_utc < $end AND user_id IS NOT NULL
),
engagement AS (
  SELECT DISTINCT user_id, page_id
  FROM amc.amazon_brand_store_engagement_events
  WHERE event_dt_utc >= $start AND event_dt_utc < $end AND user_id IS NOT NULL
),
first_visit AS (
  SELECT user_id, min(event_dt_utc) AS first_at
  FROM visit
  GROUP BY ALL
),
buyer AS (
  SELECT DISTINCT f.user_id
  FROM first_visit f
  JOIN amc.conversions c ON c.user_id = f.user_id AND c.event_dt_utc >= f.first_at
  WHERE c.event_dt_utc >= $start AND c.event_dt_utc < $end AND c.event_category = 'purchase'
)
SELECT
  v.store_name,
  v.page_title,
  'all' AS channel,
  count(DISTINCT v.user_id) AS visitors,
  count(DISTINCT v.visit_id) AS visits,
  count(*) AS page_views,
  avg(v.dwell_time) AS average_seconds,
  count(DISTINCT e.user_id) AS engaged_visitors,
  count(DISTINCT b.user_id) AS buyers,
  count(DISTINCT b.user_id) / count(DISTINCT v.user_id) AS purchase_rate
FROM visit v
LEFT JOIN engagement e ON e.user_id = v.user_id AND e.page_id = v.page_id
LEFT JOIN buyer b ON b.user_id = v.user_id
GROUP BY ALL
