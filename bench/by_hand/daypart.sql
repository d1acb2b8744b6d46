WITH event AS (
  SELECT
    user_id, impression_date AS day, impression_hour AS hour,
    impressions, total_cost / 100000 AS cost, 0 AS purchases, 0 AS sales
  FROM amc.dsp_impressions
  WHERE impression_dt_utc >= $start AND impression_dt_utc < $end
  UNION ALL
  SELECT user_id, event_date, event_hour, impressions, spend / 100000000, 0, 0
  FROM amc.sponsored_ads_traffic
  WHERE event_dt_utc >= $start AND event_dt_utc < $end
  UNION ALL
  SELECT
    user_id, conversion_event_date, conversion_event_hour, 0, 0, total_purchases, total_product_sales
  FROM amc.amazon_attributed_events_by_conversion_time
  WHERE conversion_event_dt_utc >= $start AND conversion_event_dt_utc < $end AND total_purchases > 0
)
SELECT
  dayofweek(day) + 1 AS day_of_week,
  hour // 6 * 6 AS from_hour,
  sum(impressions) AS impressions,
  count(DISTINCT user_id) FILTER (impressions > 0) AS users,
  sum(cost) AS cost,
  sum(purchases) AS purchases,
  sum(sales) AS sales
FROM event
GROUP BY ALL
