WITH event AS (
  SELECT
    customer_search_term AS search_term, match_type, user_id,
    impressions, clicks, spend / 100000000 AS cost, 0 AS purchases, 0 AS sales
  FROM amc.sponsored_ads_traffic
  WHERE event_dt_utc >= $start AND event_dt_utc < $end
    AND ad_product_type IN ('sponsored_products', 'sponsored_brands') AND customer_search_term IS NOT NULL
  UNION ALL
  SELECT customer_search_term, match_type, user_id, 0, 0, 0, total_purchases, total_product_sales
  FROM amc.amazon_attributed_events_by_traffic_time
  WHERE traffic_event_dt_utc >= $start AND traffic_event_dt_utc < $end
    AND ad_product_type IN ('sponsored_products', 'sponsored_brands') AND total_purchases > 0
    AND customer_search_term IS NOT NULL
),
ranked AS (
  SELECT search_term, rank() OVER (ORDER BY sum(clicks) DESC) AS place
  FROM event
  GROUP BY search_term
  QUALIFY place <= 200
)
SELECT
  search_term,
  e.match_type,
  'all' AS placement,
  max(r.place) AS place,
  sum(e.impressions) AS impressions,
  sum(e.clicks) AS clicks,
  sum(e.clicks) / nullif(sum(e.impressions), 0) AS click_rate,
  sum(e.cost) AS cost,
  sum(e.cost) / nullif(sum(e.clicks), 0) AS cost_per_click,
  count(DISTINCT e.user_id) FILTER (e.purchases > 0) AS buyers,
  sum(e.purchases) AS purchases,
  sum(e.sales) AS sales,
  sum(e.sales) / nullif(sum(e.cost), 0) AS roas
FROM event e
JOIN ranked r USING (search_term)
GROUP BY ALL
