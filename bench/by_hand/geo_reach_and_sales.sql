WITH event AS (
  SELECT
    iso_country_code, iso_state_province_code, dma_code, postal_code, user_id,
    impressions, total_cost / 100000 AS cost, 0 AS purchases, 0 AS sales
  FROM amc.dsp_impressions
  WHERE impression_dt_utc >= $start AND impression_dt_utc < $end
  UNION ALL
  SELECT
    iso_country_code, iso_state_province_code, dma_code, NULL, user_id,
    0, 0, total_purchases, total_product_sales
  FROM amc.amazon_attributed_events_by_traffic_time
  WHERE traffic_event_dt_utc >= $start AND traffic_event_dt_utc < $end
    AND total_purchases > 0 AND ad_product_type IS NULL
)
SELECT
  iso_country_code AS country,
  iso_state_province_code AS state,
  dma_code,
  postal_code,
  count(DISTINCT user_id) FILTER (impressions > 0) AS users,
  sum(impressions) AS impressions,
  sum(cost) AS cost,
  count(DISTINCT user_id) FILTER (purchases > 0) AS buyers,
  sum(purchases) AS purchases,
  sum(sales) AS sales
FROM event
GROUP BY ALL
