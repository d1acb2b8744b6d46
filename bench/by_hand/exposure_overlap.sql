WITH exposure AS (
  SELECT
    user_id,
    CASE creative_type
      WHEN 'Streaming TV Video' THEN 'streaming_tv'
      WHEN 'Audio' THEN 'audio'
      ELSE 'display'
    END AS channel,
    impressions
  FROM amc.dsp_impressions
  WHERE impression_dt_utc >= $start AND impression_dt_utc < $end
  UNION ALL
  SELECT user_id, ad_product_type, impressions
  FROM amc.sponsored_ads_traffic
  WHERE event_dt_utc >= $start AND event_dt_utc < $end AND impressions > 0
),
person AS (
  SELECT
    user_id,
    list_sort(list(DISTINCT channel)) AS channels,
    count(DISTINCT channel) AS channel_count,
    sum(impressions) AS impressions
  FROM exposure
  WHERE user_id IS NOT NULL
  GROUP BY ALL
),
buyer AS (
  SELECT user_id, sum(total_purchases) AS purchases, sum(total_product_sales) AS sales
  FROM amc.amazon_attributed_events_by_traffic_time
  WHERE traffic_event_dt_utc >= $start AND traffic_event_dt_utc < $end
    AND user_id IS NOT NULL AND total_purchases > 0
  GROUP BY ALL
)
SELECT
  p.channels,
  p.channel_count,
  count(*) AS users,
  sum(p.impressions) AS impressions,
  sum(p.impressions) / count(*) AS frequency,
  count(b.user_id) AS buyers,
  count(b.user_id) / count(*) AS purchase_rate,
  sum(b.purchases) AS purchases,
  sum(b.sales) AS sales
FROM person p
LEFT JOIN buyer b USING (user_id)
GROUP BY ALL
