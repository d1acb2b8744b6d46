-- U1 path
WITH touch AS (
  SELECT user_id, campaign, MIN(impression_dt_utc) AS t FROM dsp_impressions WHERE user_id IS NOT NULL GROUP BY 1, 2
  UNION ALL
  SELECT user_id, campaign, MIN(event_dt_utc) AS t FROM sponsored_ads_traffic WHERE user_id IS NOT NULL AND impressions > 0 GROUP BY 1, 2
), conv AS (
  SELECT user_id, MAX(conversion_event_dt_utc) AS ct, SUM(total_purchases) AS purchases, SUM(total_product_sales) AS sales
  FROM amazon_attributed_events_by_traffic_time WHERE total_purchases > 0 AND user_id IS NOT NULL GROUP BY 1
), step AS (
  SELECT t.user_id, NAMED_ROW('order', ROW_NUMBER() OVER (PARTITION BY t.user_id ORDER BY t.t), 'campaign', t.campaign) AS s
  FROM touch t LEFT JOIN conv c ON c.user_id = t.user_id WHERE c.user_id IS NULL OR t.t < c.ct
), path AS (SELECT user_id, ARRAY_SORT(COLLECT(DISTINCT s)) AS path FROM step GROUP BY 1)
SELECT p.path, COUNT(DISTINCT p.user_id) AS reach, COUNT(DISTINCT c.user_id) AS converters, SUM(c.purchases) AS purchases, SUM(c.sales) AS sales
FROM path p LEFT JOIN conv c ON c.user_id = p.user_id GROUP BY 1;
-- U2 frequency
WITH f AS (SELECT user_id, advertiser, SUM(impressions) AS n FROM dsp_impressions WHERE user_id IS NOT NULL GROUP BY 1, 2)
SELECT advertiser, IF(n < 10, CONCAT('f_0', n), 'f_10+') AS bucket, CAST(BUILT_IN_PARAMETER('TIME_WINDOW_START') AS DATE) AS start_date,
       COUNT(DISTINCT user_id) AS users, SUM(n) AS impressions FROM f GROUP BY 1, 2, 3;
-- U3 overlap
WITH e AS (
  SELECT user_id, 1 AS d, 0 AS s FROM dsp_impressions WHERE user_id IS NOT NULL
  UNION ALL SELECT user_id, 0, 1 FROM sponsored_ads_traffic WHERE ad_product_type = 'sponsored_products' AND user_id IS NOT NULL
), g AS (SELECT user_id, MAX(d) AS d, MAX(s) AS s FROM e GROUP BY 1),
c AS (SELECT user_id, SUM(purchases) AS purchases FROM amazon_attributed_events_by_traffic_time WHERE user_id IS NOT NULL GROUP BY 1)
SELECT CASE WHEN d = 1 AND s = 1 THEN 'both' WHEN d = 1 THEN 'dsp_only' ELSE 'sp_only' END AS exposure_group,
       COUNT(DISTINCT g.user_id) AS users, SUM(c.purchases) AS purchases, COUNT(DISTINCT c.user_id) / COUNT(DISTINCT g.user_id) AS rate
FROM g LEFT JOIN c ON c.user_id = g.user_id GROUP BY 1;
-- U4 ntb
SELECT campaign, SUM(purchases) AS purchases, SUM(new_to_brand_purchases) AS ntb, COUNT(DISTINCT IF(new_to_brand, user_id, NULL)) AS ntb_users
FROM amazon_attributed_events_by_conversion_time WHERE tracked_item NOT SIMILAR TO '^keyword' GROUP BY 1;
-- U5 time to conversion
SELECT campaign, CASE WHEN d <= 3600 THEN '1 <1h' WHEN d <= 86400 THEN '2 <1d' WHEN d <= 604800 THEN '3 <7d' ELSE '4 7d+' END AS bucket,
       SUM(purchases) AS purchases, COUNT(DISTINCT user_id) AS users
FROM (SELECT campaign, user_id, purchases, SECONDS_BETWEEN(traffic_event_dt_utc, conversion_event_dt_utc) AS d
      FROM amazon_attributed_events_by_traffic_time WHERE purchases > 0) GROUP BY 1, 2;
-- U6 geo
SELECT iso_country_code, iso_state_province_code, dma_code, postal_code, SUM(impressions) AS impressions, COUNT(DISTINCT user_id) AS reach, SUM(total_cost) / 100000 AS cost
FROM dsp_impressions GROUP BY 1, 2, 3, 4;
-- U7 device
WITH d AS (SELECT user_id, COLLECT(DISTINCT device_type) AS devices, SUM(impressions) AS n FROM dsp_impressions WHERE user_id IS NOT NULL GROUP BY 1)
SELECT ARRAY_SORT(devices) AS devices, COUNT(DISTINCT user_id) AS users, SUM(n) AS impressions FROM d GROUP BY 1;
-- U8 segments
WITH s AS (SELECT behavior_segment_name, user_id, SUM(impressions) AS n FROM dsp_impressions_by_user_segments WHERE user_id IS NOT NULL AND behavior_segment_matched = 1 GROUP BY 1, 2),
c AS (SELECT user_id, SUM(total_purchases) AS p FROM amazon_attributed_events_by_traffic_time WHERE user_id IS NOT NULL GROUP BY 1)
SELECT behavior_segment_name, COUNT(DISTINCT s.user_id) AS reach, SUM(s.n) AS impressions, SUM(c.p) AS purchases FROM s LEFT JOIN c ON c.user_id = s.user_id GROUP BY 1;
-- U9 custom attribution
WITH conv AS (SELECT user_id, conversion_id, event_dt_utc, total_product_sales, campaign_id_string FROM conversions_with_relevance WHERE event_category = 'purchase' AND engagement_scope = 'PROMOTED' AND user_id IS NOT NULL),
touch AS (SELECT user_id, campaign_id_string, impression_dt_utc AS t FROM TABLE(EXTEND_TIME_WINDOW('dsp_impressions', 'P28D', 'P0D')) WHERE user_id IS NOT NULL),
m AS (SELECT c.conversion_id, t.campaign_id_string, c.total_product_sales, COUNT(*) OVER (PARTITION BY c.conversion_id) AS n,
      ROW_NUMBER() OVER (PARTITION BY c.conversion_id ORDER BY t.t DESC) AS r
      FROM conv c JOIN touch t ON t.user_id = c.user_id AND t.campaign_id_string = c.campaign_id_string AND t.t <= c.event_dt_utc AND SECONDS_BETWEEN(t.t, c.event_dt_utc) <= 2419200)
SELECT campaign_id_string, SUM(IF(r = 1, total_product_sales, 0)) AS last_touch, SUM(total_product_sales / n) AS linear, COUNT(DISTINCT conversion_id) AS conversions FROM m GROUP BY 1;
-- U10 incremental reach
WITH dsp AS (SELECT user_id, MIN(impression_dt_utc) AS t FROM dsp_impressions WHERE user_id IS NOT NULL GROUP BY 1),
sp AS (SELECT user_id, MIN(event_dt_utc) AS t FROM sponsored_ads_traffic WHERE user_id IS NOT NULL AND impressions > 0 GROUP BY 1)
SELECT CASE WHEN sp.user_id IS NULL THEN 'dsp only' WHEN dsp.user_id IS NULL THEN 'sp only' WHEN dsp.t < sp.t THEN 'dsp first' ELSE 'sp first' END AS ord,
       COUNT(DISTINCT COALESCE(dsp.user_id, sp.user_id)) AS users FROM dsp FULL OUTER JOIN sp ON sp.user_id = dsp.user_id GROUP BY 1;
-- U11 daypart
SELECT EXTRACT(DOW FROM impression_date) AS dow, impression_hour, SUM(impressions) AS impressions FROM dsp_impressions GROUP BY 1, 2;
-- U12 cross purchase
WITH lead_asin AS (SELECT DISTINCT user_id FROM amazon_attributed_events_by_conversion_time WHERE ARRAY_CONTAINS(CUSTOM_PARAMETER('asins'), tracked_asin) AND purchases > 0)
SELECT tracked_asin, COUNT(DISTINCT b.user_id) AS buyers, SUM(total_units_sold) AS units FROM amazon_attributed_events_by_conversion_time b JOIN lead_asin l ON l.user_id = b.user_id
WHERE NOT ARRAY_CONTAINS(CUSTOM_PARAMETER('asins'), tracked_asin) GROUP BY 1;
-- U13 search terms
SELECT customer_search_term, match_type, SUM(impressions) AS impressions, SUM(clicks) AS clicks, SUM(spend) / 100000000 AS spend FROM sponsored_ads_traffic WHERE ad_product_type = 'sponsored_products' GROUP BY 1, 2;
-- U14 clv
WITH first_buy AS (SELECT user_id, MIN(event_dt_utc) AS t FROM conversions_all WHERE event_category = 'purchase' AND new_to_brand = TRUE AND user_id IS NOT NULL GROUP BY 1)
SELECT COUNT(DISTINCT f.user_id) AS users, SUM(a.total_product_sales) AS sales, SUM(a.total_product_sales) / COUNT(DISTINCT f.user_id) AS clv
FROM first_buy f JOIN TABLE(EXTEND_TIME_WINDOW('conversions_all', 'P0D', 'P60D')) a ON a.user_id = f.user_id AND a.event_dt_utc >= f.t WHERE a.event_category = 'purchase';
-- U15 audience
WITH cart AS (SELECT DISTINCT user_id FROM conversions_for_audiences WHERE event_subtype = 'shoppingCart' AND user_id IS NOT NULL),
bought AS (SELECT DISTINCT user_id FROM conversions_for_audiences WHERE event_category = 'purchase' AND user_id IS NOT NULL)
SELECT c.user_id FROM cart c LEFT JOIN bought b ON b.user_id = c.user_id WHERE b.user_id IS NULL;
