-- Both tables belong to a subscription (Amazon Brand Store Insights). device_type and ingress_type are left out: with
-- them, a row would need a hundred visitors instead of two.
WITH visit AS (
  SELECT
    store_name,
    page_id,
    page_title,
    IF(CUSTOM_PARAMETER('by_channel'), channel, 'all') AS channel,
    user_id,
    visit_id,
    dwell_time,
    event_dt_utc
  FROM amazon_brand_store_page_views
  WHERE user_id IS NOT NULL
    AND (CUSTOM_PARAMETER('stores') IS NULL OR CARDINALITY(CUSTOM_PARAMETER('stores')) = 0
         OR ARRAY_CONTAINS(CUSTOM_PARAMETER('stores'), store_name))
),
engagement AS (
  SELECT DISTINCT user_id, page_id
  FROM amazon_brand_store_engagement_events
  WHERE user_id IS NOT NULL
),
first_visit AS (
  SELECT user_id, MIN(event_dt_utc) AS first_at
  FROM visit
  GROUP BY 1
),
-- A purchase before the first visit is not the store's work.
buyer AS (
  SELECT DISTINCT f.user_id
  FROM first_visit f
  JOIN conversions c ON c.user_id = f.user_id AND c.event_dt_utc >= f.first_at
  WHERE c.event_category = 'purchase'
)
SELECT
  v.store_name,
  v.page_title,
  v.channel,
  COUNT(DISTINCT v.user_id) AS visitors,
  COUNT(DISTINCT v.visit_id) AS visits,
  COUNT(*) AS page_views,
  AVG(v.dwell_time) AS average_seconds,
  -- Visitors who clicked something on this page.
  COUNT(DISTINCT e.user_id) AS engaged_visitors,
  COUNT(DISTINCT b.user_id) AS buyers,
  COUNT(DISTINCT b.user_id) / COUNT(DISTINCT v.user_id) AS purchase_rate
FROM visit v
LEFT JOIN engagement e ON e.user_id = v.user_id AND e.page_id = v.page_id
LEFT JOIN buyer b ON b.user_id = v.user_id
GROUP BY 1, 2, 3
