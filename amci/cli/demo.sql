-- The queries of `amci demo`: a line that asks, then the SQL.

-- ask: Impressions and cost by tenant and month, from the AMC results of all three tenants:
SELECT customer_hash AS tenant, export_year || '-' || export_month AS month,
       CAST(sum(impressions) AS BIGINT) AS impressions, round(sum(total_cost), 2) AS cost,
       round(1000 * sum(total_cost) / sum(impressions), 2) AS cost_per_thousand
  FROM (FROM adtech_amc.northwind_outdoor_reach_frequency_daily_ver1
        UNION ALL BY NAME FROM adtech_amc.blue_kettle_reach_frequency_daily_ver1
        UNION ALL BY NAME FROM adtech_amc.atlas_pets_reach_frequency_daily_ver1)
 GROUP BY ALL ORDER BY ALL;

-- ask: Each tenant's two largest campaigns, from the executions above, with the window each row looked at:
SELECT r.customer_hash AS tenant, r.campaign, sum(r.impressions)::BIGINT AS impressions, max(r.reach) AS best_day,
       min(o.time_window_start)::DATE AS since, max(o.time_window_end)::DATE AS until
  FROM (FROM adtech_amc.northwind_outdoor_campaign_reach_reach_daily
        UNION ALL BY NAME FROM adtech_amc.blue_kettle_campaign_reach_reach_daily) r
  JOIN amci.objects o ON o.object_id = r._object_id AND o.version = r._version
 GROUP BY 1, 2
QUALIFY row_number() OVER (PARTITION BY r.customer_hash ORDER BY sum(r.impressions) DESC, r.campaign) <= 2
 ORDER BY tenant, impressions DESC;

-- ask: The keywords that sell most for what they cost, from two Amazon Ads reports:
SELECT matchtype, keyword, CAST(sum(clicks) AS BIGINT) AS clicks, sum(cost) AS cost, sum(sales14d) AS sales,
       round(sum(sales14d) / nullif(sum(cost), 0), 1) AS sales_per_cost
  FROM (FROM adtech_ads_report.sponsored_products_keywords
        UNION ALL BY NAME FROM adtech_ads_report.sponsored_brands_keywords)
 GROUP BY ALL HAVING sum(cost) > 1000 ORDER BY sales_per_cost DESC, keyword LIMIT 5;

-- ask: The largest shop orders, and the file and version each row came from:
SELECT r.order_id, r.sku, r.amount, r.customer_email[:12] || '…' AS email_hash, o.key, o.version
  FROM shop_shop_orders.orders r
  JOIN amci.objects o ON o.object_id = r._object_id AND o.version = r._version
 ORDER BY r.amount DESC, r.order_id, r.line LIMIT 3;
