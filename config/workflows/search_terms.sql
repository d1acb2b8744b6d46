WITH event AS (
  SELECT
    customer_search_term, match_type, placement_type, campaign, user_id,
    impressions, clicks, spend / 100000000 AS cost, 0 AS purchases, 0 AS sales
  FROM sponsored_ads_traffic
  WHERE ad_product_type IN ('sponsored_products', 'sponsored_brands')
  UNION ALL
  -- Sales stand in another table; they are added as rows, since a join would repeat the cost.
  SELECT
    customer_search_term, match_type, placement_type, campaign, user_id,
    0, 0, 0, total_purchases, total_product_sales
  FROM amazon_attributed_events_by_traffic_time
  WHERE ad_product_type IN ('sponsored_products', 'sponsored_brands') AND total_purchases > 0
),
wanted AS (
  SELECT
    customer_search_term AS search_term,
    match_type,
    IF(CUSTOM_PARAMETER('by_placement'), placement_type, 'all') AS placement,
    user_id,
    impressions,
    clicks,
    cost,
    purchases,
    sales
  FROM event
  -- Ads on product pages have no search term.
  WHERE customer_search_term IS NOT NULL
    AND (CUSTOM_PARAMETER('term_has') IS NULL
         OR LOWER(customer_search_term) LIKE CONCAT('%', LOWER(CUSTOM_PARAMETER('term_has')), '%'))
    AND (CUSTOM_PARAMETER('campaigns') IS NULL OR CARDINALITY(CUSTOM_PARAMETER('campaigns')) = 0
         OR ARRAY_CONTAINS(CUSTOM_PARAMETER('campaigns'), campaign))
),
clicked AS (
  SELECT search_term, SUM(clicks) AS clicks
  FROM wanted
  GROUP BY 1
),
-- AMC SQL has no LIMIT; a rank in a query of its own does it.
ranked AS (
  SELECT search_term, RANK() OVER (ORDER BY clicks DESC) AS place
  FROM clicked
)
SELECT
  w.search_term,
  w.match_type,
  w.placement,
  MAX(r.place) AS place,
  SUM(w.impressions) AS impressions,
  SUM(w.clicks) AS clicks,
  SUM(w.clicks) / NULLIF(SUM(w.impressions), 0) AS click_rate,
  SUM(w.cost) AS cost,
  SUM(w.cost) / NULLIF(SUM(w.clicks), 0) AS cost_per_click,
  COUNT(DISTINCT IF(w.purchases > 0, w.user_id, NULL)) AS buyers,
  SUM(w.purchases) AS purchases,
  SUM(w.sales) AS sales,
  -- What a term may cost: bid less where this is below your goal.
  SUM(w.sales) / NULLIF(SUM(w.cost), 0) AS roas
FROM wanted w
JOIN ranked r ON r.search_term = w.search_term
WHERE r.place <= CUSTOM_PARAMETER('most')
GROUP BY 1, 2, 3
