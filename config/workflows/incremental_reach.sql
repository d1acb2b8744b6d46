WITH dsp AS (
  SELECT user_id, MIN(impression_dt_hour_utc) AS first_hour, SUM(impressions) AS impressions
  FROM dsp_impressions
  WHERE user_id IS NOT NULL
    AND (CUSTOM_PARAMETER('dsp_campaigns') IS NULL OR CARDINALITY(CUSTOM_PARAMETER('dsp_campaigns')) = 0
         OR ARRAY_CONTAINS(CUSTOM_PARAMETER('dsp_campaigns'), campaign))
  GROUP BY 1
),
sponsored AS (
  SELECT user_id, MIN(event_dt_hour_utc) AS first_hour, SUM(impressions) AS impressions
  FROM sponsored_ads_traffic
  WHERE user_id IS NOT NULL AND impressions > 0
    AND (CUSTOM_PARAMETER('sponsored_campaigns') IS NULL OR CARDINALITY(CUSTOM_PARAMETER('sponsored_campaigns')) = 0
         OR ARRAY_CONTAINS(CUSTOM_PARAMETER('sponsored_campaigns'), campaign))
    AND (CUSTOM_PARAMETER('ad_products') IS NULL OR CARDINALITY(CUSTOM_PARAMETER('ad_products')) = 0
         OR ARRAY_CONTAINS(CUSTOM_PARAMETER('ad_products'), ad_product_type))
  GROUP BY 1
),
-- Everybody once, whichever side reached them.
person AS (
  SELECT
    COALESCE(d.user_id, s.user_id) AS user_id,
    CASE
      WHEN s.user_id IS NULL THEN 'dsp only'
      WHEN d.user_id IS NULL THEN 'sponsored only'
      WHEN d.first_hour < s.first_hour THEN 'both, dsp first'
      WHEN s.first_hour < d.first_hour THEN 'both, sponsored first'
      ELSE 'both in the same hour'
    END AS reached_by,
    COALESCE(d.impressions, 0) AS dsp_impressions,
    COALESCE(s.impressions, 0) AS sponsored_impressions
  FROM dsp d
  FULL OUTER JOIN sponsored s ON s.user_id = d.user_id
),
buyer AS (
  SELECT DISTINCT user_id
  FROM amazon_attributed_events_by_traffic_time
  WHERE user_id IS NOT NULL AND total_purchases > 0
),
total AS (
  SELECT COUNT(DISTINCT user_id) AS users
  FROM person
)
SELECT
  p.reached_by,
  COUNT(DISTINCT p.user_id) AS users,
  MAX(t.users) AS users_in_all,
  -- The share of `dsp only` is what would be lost without it, and so on.
  COUNT(DISTINCT p.user_id) / MAX(t.users) AS user_share,
  SUM(p.dsp_impressions) AS dsp_impressions,
  SUM(p.sponsored_impressions) AS sponsored_impressions,
  -- No sales: one big buyer would hide a whole row, and with it the reach that was asked for.
  COUNT(DISTINCT b.user_id) AS buyers,
  COUNT(DISTINCT b.user_id) / COUNT(DISTINCT p.user_id) AS purchase_rate
FROM person p
LEFT JOIN buyer b ON b.user_id = p.user_id
CROSS JOIN total t
GROUP BY 1
