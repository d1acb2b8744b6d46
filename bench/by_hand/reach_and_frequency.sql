WITH exposure AS (
  SELECT user_id, impressions, total_cost / 100000 AS cost
  FROM amc.dsp_impressions
  WHERE impression_dt_utc >= $start AND impression_dt_utc < $end
  UNION ALL
  SELECT user_id, impressions, spend / 100000000
  FROM amc.sponsored_ads_traffic
  WHERE event_dt_utc >= $start AND event_dt_utc < $end
),
person AS (
  SELECT user_id, sum(impressions) AS frequency, sum(cost) AS cost
  FROM exposure
  WHERE user_id IS NOT NULL
  GROUP BY ALL
  HAVING sum(impressions) > 0
),
buyer AS (
  SELECT user_id, sum(total_product_sales) AS sales
  FROM amc.amazon_attributed_events_by_traffic_time
  WHERE traffic_event_dt_utc >= $start AND traffic_event_dt_utc < $end
    AND user_id IS NOT NULL AND total_purchases > 0
  GROUP BY ALL
)
SELECT
  least(p.frequency, 10) AS frequency,
  CAST($start AS DATE) AS window_start,
  CAST($end AS DATE) AS window_end,
  count(*) AS users,
  sum(p.frequency) AS impressions,
  sum(p.cost) AS cost,
  count(b.user_id) AS buyers,
  count(b.user_id) / count(*) AS purchase_rate,
  sum(b.sales) AS sales
FROM person p
LEFT JOIN buyer b USING (user_id)
GROUP BY ALL
