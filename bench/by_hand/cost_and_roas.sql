WITH agreed (campaign, cpm) AS (
  VALUES ('name of a campaign', 9.50), ('name of another', 12.00)
),
event AS (
  SELECT
    'dsp' AS ad_product, campaign, user_id,
    impressions, 0 AS clicks, total_cost / 100000 AS cost, 0 AS purchases, 0 AS sales
  FROM amc.dsp_impressions
  WHERE impression_dt_utc >= $start AND impression_dt_utc < $end
  UNION ALL
  SELECT 'dsp', campaign, user_id, 0, clicks, 0, 0, 0
  FROM amc.dsp_clicks
  WHERE click_dt_utc >= $start AND click_dt_utc < $end
  UNION ALL
  SELECT ad_product_type, campaign, user_id, impressions, clicks, spend / 100000000, 0, 0
  FROM amc.sponsored_ads_traffic
  WHERE event_dt_utc >= $start AND event_dt_utc < $end
  UNION ALL
  SELECT coalesce(ad_product_type, 'dsp'), campaign, user_id, 0, 0, 0, total_purchases, total_product_sales
  FROM amc.amazon_attributed_events_by_traffic_time
  WHERE traffic_event_dt_utc >= $start AND traffic_event_dt_utc < $end AND total_purchases > 0
),
priced AS (
  SELECT e.* REPLACE (
    if(e.ad_product = 'dsp', coalesce(a.cpm * e.impressions / 1000, e.cost), e.cost) AS cost
  )
  FROM event e
  LEFT JOIN agreed a USING (campaign)
)
SELECT
  ad_product,
  campaign,
  sum(impressions) AS impressions,
  count(DISTINCT user_id) FILTER (impressions > 0) AS users,
  sum(clicks) AS clicks,
  CAST(sum(cost) AS DECIMAL(18, 2)) AS cost,
  sum(purchases) AS purchases,
  CAST(sum(sales) AS DECIMAL(18, 2)) AS sales,
  1000 * sum(cost) / nullif(sum(impressions), 0) AS ecpm,
  sum(cost) / nullif(sum(clicks), 0) AS cost_per_click,
  sum(cost) / nullif(sum(purchases), 0) AS cost_per_purchase,
  sum(sales) / nullif(sum(cost), 0) AS roas
FROM priced
GROUP BY ALL
