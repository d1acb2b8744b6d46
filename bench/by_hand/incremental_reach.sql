WITH dsp AS (
  SELECT user_id, min(impression_dt_hour_utc) AS first_hour, sum(impressions) AS impressions
  FROM amc.dsp_impressions
  WHERE impression_dt_utc >= $start AND impression_dt_utc < $end AND user_id IS NOT NULL
  GROUP BY ALL
),
sponsored AS (
  SELECT user_id, min(event_dt_hour_utc) AS first_hour, sum(impressions) AS impressions
  FROM amc.sponsored_ads_traffic
  WHERE event_dt_utc >= $start AND event_dt_utc < $end AND user_id IS NOT NULL AND impressions > 0
  GROUP BY ALL
),
person AS (
  SELECT
    user_id,
    CASE
      WHEN s.user_id IS NULL THEN 'dsp only'
      WHEN d.user_id IS NULL THEN 'sponsored only'
      WHEN d.first_hour < s.first_hour THEN 'both, dsp first'
      WHEN s.first_hour < d.first_hour THEN 'both, sponsored first'
      ELSE 'both in the same hour'
    END AS reached_by,
    coalesce(d.impressions, 0) AS dsp_impressions,
    coalesce(s.impressions, 0) AS sponsored_impressions
  FROM dsp d
  FULL JOIN sponsored s USING (user_id)
),
buyer AS (
  SELECT DISTINCT user_id
  FROM amc.amazon_attributed_events_by_traffic_time
  WHERE traffic_event_dt_utc >= $start AND traffic_event_dt_utc < $end
    AND user_id IS NOT NULL AND total_purchases > 0
)
SELECT
  p.reached_by,
  count(*) AS users,
  max(t.users) AS users_in_all,
  count(*) / max(t.users) AS user_share,
  sum(p.dsp_impressions) AS dsp_impressions,
  sum(p.sponsored_impressions) AS sponsored_impressions,
  count(b.user_id) AS buyers,
  count(b.user_id) / count(*) AS purchase_rate
FROM person p
LEFT JOIN buyer b USING (user_id)
CROSS JOIN (SELECT count(*) AS users FROM person) t
GROUP BY ALL
