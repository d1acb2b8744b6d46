WITH member AS (
  SELECT behavior_segment_name AS segment, user_id, sum(impressions) AS impressions
  FROM amc.dsp_impressions_by_user_segments
  WHERE impression_dt_utc >= $start AND impression_dt_utc < $end
    AND user_id IS NOT NULL AND behavior_segment_matched = 1
  GROUP BY ALL
),
buyer AS (
  SELECT user_id, sum(total_purchases) AS purchases, sum(total_product_sales) AS sales
  FROM amc.amazon_attributed_events_by_traffic_time
  WHERE traffic_event_dt_utc >= $start AND traffic_event_dt_utc < $end
    AND user_id IS NOT NULL AND total_purchases > 0
  GROUP BY ALL
),
everybody AS (
  SELECT count(DISTINCT b.user_id) / count(DISTINCT i.user_id) AS purchase_rate
  FROM amc.dsp_impressions i
  LEFT JOIN buyer b USING (user_id)
  WHERE i.impression_dt_utc >= $start AND i.impression_dt_utc < $end AND i.user_id IS NOT NULL
)
SELECT
  m.segment,
  count(*) AS users,
  sum(m.impressions) AS impressions,
  count(b.user_id) AS buyers,
  count(b.user_id) / count(*) AS purchase_rate,
  100 * count(b.user_id) / count(*) / nullif(max(e.purchase_rate), 0) AS purchase_index,
  sum(b.purchases) AS purchases,
  sum(b.sales) AS sales
FROM member m
LEFT JOIN buyer b USING (user_id)
CROSS JOIN everybody e
GROUP BY ALL
