-- Users see several ads a day: reach is smaller than impressions.
SELECT
  impression_date_utc,
  campaign,
  SUM(impressions) AS impressions,
  COUNT(DISTINCT user_id) AS reach,
  SUM(total_cost) / 100000 AS cost
FROM dsp_impressions
GROUP BY 1, 2
HAVING SUM(impressions) >= CUSTOM_PARAMETER('least_impressions')
