-- Prices of single campaigns, in currency per thousand impressions, where AMC does not know what you paid: write
-- your campaigns here. They go before the parameter dsp_cpm, and this before AMC's cost.
WITH agreed (campaign, cpm) AS (
  VALUES ('name of a campaign', 9.50), ('name of another', 12.00)
),
event AS (
  -- Millicents, 100,000 a unit of currency.
  SELECT
    'dsp' AS ad_product, campaign, user_id,
    impressions, 0 AS clicks, total_cost / 100000 AS cost, 0 AS purchases, 0 AS sales
  FROM dsp_impressions
  UNION ALL
  SELECT 'dsp', campaign, user_id, 0, clicks, 0, 0, 0
  FROM dsp_clicks
  UNION ALL
  -- Microcents, 100,000,000 a unit of currency.
  SELECT ad_product_type, campaign, user_id, impressions, clicks, spend / 100000000, 0, 0
  FROM sponsored_ads_traffic
  UNION ALL
  -- By traffic time: sales go to the days whose ads brought them, like the cost.
  SELECT COALESCE(ad_product_type, 'dsp'), campaign, user_id, 0, 0, 0, total_purchases, total_product_sales
  FROM amazon_attributed_events_by_traffic_time
  WHERE total_purchases > 0
),
priced AS (
  SELECT
    e.ad_product,
    e.campaign,
    e.user_id,
    e.impressions,
    e.clicks,
    CASE
      WHEN e.ad_product <> 'dsp' THEN e.cost
      ELSE COALESCE(a.cpm * e.impressions / 1000, CUSTOM_PARAMETER('dsp_cpm') * e.impressions / 1000, e.cost)
    END AS cost,
    e.purchases,
    e.sales
  FROM event e
  LEFT JOIN agreed a ON a.campaign = e.campaign
  WHERE (CUSTOM_PARAMETER('ad_products') IS NULL OR CARDINALITY(CUSTOM_PARAMETER('ad_products')) = 0
         OR ARRAY_CONTAINS(CUSTOM_PARAMETER('ad_products'), e.ad_product))
    AND (CUSTOM_PARAMETER('campaigns') IS NULL OR CARDINALITY(CUSTOM_PARAMETER('campaigns')) = 0
         OR ARRAY_CONTAINS(CUSTOM_PARAMETER('campaigns'), e.campaign))
)
SELECT
  ad_product,
  campaign,
  SUM(impressions) AS impressions,
  COUNT(DISTINCT IF(impressions > 0, user_id, NULL)) AS users,
  SUM(clicks) AS clicks,
  CAST(SUM(cost) AS DECIMAL(18, 2)) AS cost,
  SUM(purchases) AS purchases,
  CAST(SUM(sales) AS DECIMAL(18, 2)) AS sales,
  1000 * SUM(cost) / NULLIF(SUM(impressions), 0) AS ecpm,
  SUM(cost) / NULLIF(SUM(clicks), 0) AS cost_per_click,
  SUM(cost) / NULLIF(SUM(purchases), 0) AS cost_per_purchase,
  SUM(sales) / NULLIF(SUM(cost), 0) AS roas
FROM priced
GROUP BY 1, 2
