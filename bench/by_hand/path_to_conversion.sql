WITH touch AS (
  SELECT user_id, 'dsp' AS step, impression_dt_hour_utc AS touched
  FROM amc.dsp_impressions
  WHERE impression_dt_utc >= $start AND impression_dt_utc < $end
  UNION ALL
  SELECT user_id, ad_product_type, event_dt_hour_utc
  FROM amc.sponsored_ads_traffic
  WHERE event_dt_utc >= $start AND event_dt_utc < $end AND impressions > 0
),
first_touch AS (
  SELECT user_id, step, min(touched) AS first_hour
  FROM touch
  WHERE user_id IS NOT NULL
  GROUP BY ALL
),
buyer AS (
  SELECT
    user_id,
    min(conversion_event_dt_hour_utc) AS bought_hour,
    sum(total_purchases) AS purchases,
    sum(total_product_sales) AS sales
  FROM amc.amazon_attributed_events_by_traffic_time
  WHERE traffic_event_dt_utc >= $start AND traffic_event_dt_utc < $end
    AND user_id IS NOT NULL AND total_purchases > 0
  GROUP BY ALL
),
placed AS (
  SELECT t.user_id, t.step, row_number() OVER (PARTITION BY t.user_id ORDER BY t.first_hour, t.step) AS place
  FROM first_touch t
  LEFT JOIN buyer b USING (user_id)
  WHERE b.user_id IS NULL OR t.first_hour <= b.bought_hour
),
path AS (
  SELECT user_id, list_sort(list({place: place, step: step})) AS path
  FROM placed
  WHERE place <= 5
  GROUP BY ALL
)
SELECT
  path,
  count(*) AS users,
  count(b.user_id) AS buyers,
  count(b.user_id) / count(*) AS purchase_rate,
  sum(b.purchases) AS purchases,
  sum(b.sales) AS sales
FROM path p
LEFT JOIN buyer b USING (user_id)
GROUP BY ALL
