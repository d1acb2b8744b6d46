-- Events of the days from $first to $last, each made from its day and number alone: a day's events are the same
-- whenever they are made. Columns that are not named here stay NULL; twins of *_dt_utc are added in data.py.

-- name: dice
-- A number below `sides` that depends on the key and what it is for.
CREATE TEMP MACRO dice(key, salt, sides) AS CAST(md5_number_lower(key || salt) % sides AS BIGINT);

-- name: user_ids
-- The id of a user; one in twenty cannot be told apart (NULL).
CREATE TEMP MACRO user_of(number) AS
  CASE WHEN number % 20 = 19 THEN NULL ELSE md5(concat('user', number)) END;

-- name: dsp_campaigns
CREATE TEMP TABLE dsp_campaigns AS SELECT * REPLACE (CAST(campaign_id AS BIGINT) AS campaign_id) FROM (VALUES
  (0, 'Northwind Outdoor', 1234567890, 'Trail Season Display', 58000001, 'Display', 'Standard Display', 'Web'),
  (1, 'Northwind Outdoor', 1234567890, 'Summit OTT', 58000002, 'Video', 'Streaming TV Video', 'App'),
  (2, 'Northwind Outdoor', 1234567890, 'Camp Retargeting', 58000003, 'Display', 'Responsive eCommerce', 'Web'),
  (3, 'Northwind Outdoor', 1234567890, 'River Audio', 58000004, 'Video', 'Audio', 'App'),
  (4, 'Atlas Pets', 2345678901, 'New Puppy Display', 58000005, 'Display', 'Standard Display', 'Web'),
  (5, 'Atlas Pets', 2345678901, 'Cat Lovers OTT', 58000006, 'Video', 'Streaming TV Video', 'App')
) AS t(n, advertiser, advertiser_id, campaign, campaign_id, creative_category, creative_type, environment_type);

-- name: ad_campaigns
CREATE TEMP TABLE ad_campaigns AS SELECT * REPLACE (CAST(campaign_id AS BIGINT) AS campaign_id) FROM (VALUES
  (0, 'Northwind Outdoor', 'SP Tents Exact', 71000001, 'sponsored_products', 'B0NWTENT01', 'tent', 'EXACT'),
  (1, 'Northwind Outdoor', 'SP Stoves Broad', 71000002, 'sponsored_products', 'B0NWSTOVE1', 'camping stove', 'BROAD'),
  (2, 'Northwind Outdoor', 'SB Brand', 71000003, 'sponsored_brands', 'B0NWTENT02', 'northwind', 'PHRASE'),
  (3, 'Northwind Outdoor', 'SD Views', 71000004, 'sponsored_display', 'B0NWPACK01', NULL, NULL),
  (4, 'Atlas Pets', 'SP Dog Food', 71000005, 'sponsored_products', 'B0ATDOGF01', 'dog food', 'BROAD'),
  (5, 'Atlas Pets', 'SB Cats', 71000006, 'sponsored_brands', 'B0ATCATT01', 'cat toy', 'PHRASE')
) AS t(n, advertiser, campaign, campaign_id, ad_product_type, creative_asin, keyword, match_type);

-- name: places
CREATE TEMP TABLE places AS FROM (VALUES
  (0, 'US-CA', 'Los Angeles', 'US-DMA803', 'US-90001'), (1, 'US-NY', 'New York', 'US-DMA501', 'US-10001'),
  (2, 'US-TX', 'Dallas', 'US-DMA623', 'US-75201'), (3, 'US-WA', 'Seattle', 'US-DMA819', 'US-98101'),
  (4, 'US-IL', 'Chicago', 'US-DMA602', 'US-60601'), (5, 'US-GA', 'Atlanta', 'US-DMA524', 'US-30301')
) AS t(n, state, city, dma, postal);

-- name: devices
CREATE TEMP TABLE devices AS FROM (VALUES
  (0, 'Phone', 'Apple', 'iOS', 'Safari'), (1, 'Phone', 'Samsung', 'Android', 'Chrome'),
  (2, 'PC', 'Other', 'Windows', 'Chrome'), (3, 'TV', 'Amazon', 'FireOS', NULL),
  (4, 'Tablet', 'Amazon', 'FireOS', 'Silk'), (5, 'PC', 'Apple', 'Mac OS X', 'Safari')
) AS t(n, device_type, make, os, browser);

-- name: dsp_impressions
CREATE TEMP TABLE dsp_impressions AS
WITH shown AS (
  SELECT concat_ws('|', $seed, day::DATE, 'dsp', i) AS key, day::DATE AS day,
         -- the square makes some users see much and many see little
         CAST(floor(power(dice(concat_ws('|', $seed, day::DATE, 'dsp', i), 'user', 10000) / 10000.0, 2) * $users) AS BIGINT) AS u
    FROM generate_series($first::TIMESTAMP, $last::TIMESTAMP, INTERVAL 1 DAY) AS d(day), range($users // 2) AS r(i)
)
SELECT key, u, c.n AS c,
       day + to_microseconds(dice(key, 'at', 86400) * 1000000) AS impression_dt_utc,
       c.advertiser, c.advertiser_id, 'America/New_York' AS advertiser_timezone, concat('ENTITYDSP', c.advertiser_id) AS entity_id,
       c.campaign, c.campaign_id, CAST(c.campaign_id AS VARCHAR) AS campaign_id_string, 'RUNNING' AS campaign_status,
       DATE '2026-01-01' AS campaign_start_date, DATE '2026-01-01' AS campaign_start_date_utc,
       concat(c.campaign, ' - line ', dice(key, 'line', 2) + 1) AS line_item,
       c.campaign_id * 10 + dice(key, 'line', 2) + 1 AS line_item_id, 'AAP' AS line_item_type, 'RUNNING' AS line_item_status,
       concat(c.campaign, ' - creative ', dice(key, 'creative', 3) + 1) AS creative,
       c.campaign_id * 100 + dice(key, 'creative', 3) + 1 AS creative_id, c.creative_category, c.creative_type,
       ['300x250', '728x90', '320x50'][dice(key, 'size', 3) + 1] AS ad_slot_size,
       ['300x250', '728x90', '320x50'][dice(key, 'size', 3) + 1] AS creative_size,
       ['ATF', 'BTF', 'UNKNOWN'][dice(key, 'slot', 3) + 1] AS slot_position, c.environment_type,
       ['example.com', 'news.example.org', 'twitch.tv', 'imdb.com'][dice(key, 'site', 4) + 1] AS site,
       ['Amazon Publisher Services', 'Third Party Exchange'][dice(key, 'supply', 2) + 1] AS supply_source,
       dice(key, 'site', 4) >= 2 AS is_amazon_owned, false AS no_3p_trackers,
       v.device_type, v.make AS device_make, v.os AS operating_system, v.browser AS browser_family,
       'US' AS iso_country_code, p.state AS iso_state_province_code, p.city AS city_name, p.dma AS dma_code, p.postal AS postal_code,
       'USD' AS currency_iso_code, 'US dollar' AS currency_name,
       [100 + u % 7, 200 + u % 5] AS user_behavior_segment_ids, [100 + u % 7] AS matched_behavior_segment_ids,
       user_of(u) AS user_id, CASE WHEN user_of(u) IS NULL THEN NULL ELSE 'adUserId' END AS user_id_type,
       md5(key || 'request') AS request_tag, md5(concat('device', u)) AS device_id,
       1 AS impressions, 100.0 + dice(key, 'cost', 900) AS total_cost, 80 + dice(key, 'cost', 900) AS impression_cost,
       (80 + dice(key, 'cost', 900)) * 1000 AS supply_cost, (20 + dice(key, 'fee', 10)) * 1000 AS platform_fee,
       dice(key, 'fee', 10) * 1000 AS audience_fee, (100 + dice(key, 'bid', 900)) * 1000 AS bid_price
  FROM shown
  JOIN dsp_campaigns c ON c.n = dice(key, 'campaign', 6)
  JOIN devices v ON v.n = (u * 7 + 3) % 6
  JOIN places p ON p.n = u % 6;

-- name: dsp_clicks
CREATE TEMP TABLE dsp_clicks AS
SELECT * EXCLUDE (impressions, impression_cost, total_cost),
       impression_dt_utc + to_microseconds((1 + dice(key, 'click after', 120)) * 1000000) AS click_dt_utc,
       1 AS clicks, 50000 + dice(key, 'click cost', 100000) AS click_cost
  FROM dsp_impressions WHERE dice(key, 'click', 100) < 3;

-- name: sponsored_ads_traffic
CREATE TEMP TABLE sponsored_ads_traffic AS
WITH shown AS (
  SELECT concat_ws('|', $seed, day::DATE, 'ads', i) AS key, day::DATE AS day
    FROM generate_series($first::TIMESTAMP, $last::TIMESTAMP, INTERVAL 1 DAY) AS d(day), range($users // 5) AS r(i)
), events AS (
  SELECT key, day + to_microseconds(dice(key, 'at', 86000) * 1000000) AS happened, dice(key, 'user', $users) AS u, false AS is_click FROM shown
  UNION ALL
  SELECT key, day + to_microseconds((dice(key, 'at', 86000) + 1 + dice(key, 'click after', 60)) * 1000000), dice(key, 'user', $users), true
    FROM shown WHERE dice(key, 'click', 100) < 9
)
SELECT key, u, is_click, happened AS event_dt_utc, c.advertiser, 'America/New_York' AS advertiser_timezone,
       concat('ENTITYADS', c.n // 4) AS entity_id, c.campaign, c.campaign_id, concat('A', c.campaign_id, 'XYZ') AS campaign_id_string,
       c.ad_product_type, concat(c.campaign, ' - group') AS ad_group, 'ENABLED' AS ad_group_status,
       c.creative_asin, c.keyword AS targeting, c.match_type,
       CASE WHEN c.keyword IS NULL THEN NULL ELSE concat(c.keyword, ['', ' cheap', ' best'][dice(key, 'term', 3) + 1]) END AS customer_search_term,
       ['Top of Search on-Amazon', 'Detail Page on-Amazon', 'Homepage on-Amazon', 'Off Amazon'][dice(key, 'place', 4) + 1] AS placement_type,
       'AMAZON.COM' AS marketplace_name, v.os AS operating_system, 'USD' AS currency_iso_code, 'US dollar' AS currency_name,
       false AS no_3p_trackers, user_of(u) AS user_id, CASE WHEN user_of(u) IS NULL THEN NULL ELSE 'adUserId' END AS user_id_type,
       md5(concat(key, is_click)) AS event_id, CAST(NOT is_click AS BIGINT) AS impressions, CAST(is_click AS BIGINT) AS clicks,
       CASE WHEN is_click THEN (30 + dice(key, 'spend', 200)) * 1000000 ELSE 0 END AS spend,
       CASE WHEN is_click THEN 0 ELSE dice(key, 'viewable', 2) END AS viewable_impressions
  FROM events
  JOIN ad_campaigns c ON c.n = dice(key, 'campaign', 6)
  JOIN devices v ON v.n = (u * 7 + 3) % 6;

-- name: attributed
-- What an impression or click led to: seen, put into the cart, bought.
CREATE TEMP TABLE attributed AS
WITH traffic AS (
  SELECT key || 'dsp' AS key, u, impression_dt_utc AS happened, false AS is_click, NULL AS ad_product_type, advertiser, advertiser_id,
         advertiser_timezone, entity_id, campaign, campaign_id, campaign_id_string, creative, creative_id, line_item, line_item_id,
         device_type, operating_system, iso_country_code, iso_state_province_code, dma_code, city_name, postal_code, site,
         NULL AS targeting, NULL AS match_type, NULL AS customer_search_term, NULL AS placement_type,
         request_tag, NULL AS traffic_event_id, impression_dt_utc, user_id, user_id_type,
         ['B0NWTENT01', 'B0NWSTOVE1', 'B0NWPACK01', 'B0NWTENT02', 'B0ATDOGF01', 'B0ATCATT01'][c + 1] AS asin
    FROM dsp_impressions WHERE user_id IS NOT NULL AND dice(key, 'converts', 1000) < 25
  UNION ALL
  SELECT key || 'ads', u, event_dt_utc, is_click, ad_product_type, advertiser, NULL, advertiser_timezone, entity_id, campaign,
         campaign_id, campaign_id_string, NULL, NULL, NULL, NULL, NULL, operating_system, NULL, NULL, NULL, NULL, NULL, NULL,
         targeting, match_type, customer_search_term, placement_type, NULL, event_id, NULL, user_id, user_id_type, creative_asin
    FROM sponsored_ads_traffic WHERE user_id IS NOT NULL AND dice(key || is_click, 'converts', 1000) < CASE WHEN is_click THEN 300 ELSE 5 END
), events AS (
  SELECT *, ['detailPageView', 'detailPageView', 'detailPageView', 'shoppingCart', 'order'][dice(key, 'event', 5) + 1] AS subtype,
         1 + dice(key, 'units', 3) AS units, (999 + dice(key, 'price', 9000)) / 100 AS price,
         happened + to_microseconds((60 + dice(key, 'later', 777600)) * 1000000) AS then_at
    FROM traffic
)
SELECT * EXCLUDE (subtype, units, price, then_at, happened, is_click, asin),
       happened AS traffic_event_dt_utc, CASE WHEN is_click THEN happened END AS click_dt_utc,
       CASE WHEN is_click THEN 'AD_CLICK' ELSE 'AD_IMP' END AS traffic_event_subtype, 'ad' AS traffic_event_type,
       then_at AS conversion_event_dt_utc, subtype AS conversion_event_subtype, 'AMAZON.COM' AS conversion_event_marketplace_name,
       CASE subtype WHEN 'order' THEN 'purchase' ELSE 'website' END AS conversion_event_category,
       CASE subtype WHEN 'order' THEN 'conversion' ELSE 'consideration' END AS conversion_event_type_class,
       md5(key || 'conversion') AS conversion_id, asin AS tracked_item, CASE WHEN subtype = 'order' THEN asin END AS tracked_asin,
       'USD' AS purchase_currency, subtype = 'order' AND dice(key, 'new', 3) = 0 AS new_to_brand, false AS no_3p_trackers,
       1 AS conversions, CAST(is_click AS BIGINT) AS clicks, CAST(NOT is_click AS BIGINT) AS impressions,
       CAST(subtype = 'detailPageView' AS BIGINT) AS detail_page_view, CAST(subtype = 'detailPageView' AS BIGINT) AS total_detail_page_view,
       CAST(subtype = 'shoppingCart' AS BIGINT) AS add_to_cart, CAST(subtype = 'shoppingCart' AS BIGINT) AS total_add_to_cart,
       CAST(subtype = 'order' AS BIGINT) AS purchases, CAST(subtype = 'order' AS BIGINT) AS total_purchases,
       CAST(subtype = 'order' AND is_click AS BIGINT) AS purchases_clicks, CAST(subtype = 'order' AND NOT is_click AS BIGINT) AS purchases_views,
       CASE WHEN subtype = 'order' THEN units ELSE 0 END AS units_sold, CASE WHEN subtype = 'order' THEN units ELSE 0 END AS total_units_sold,
       CASE WHEN subtype = 'order' THEN price * units ELSE 0 END AS product_sales,
       CASE WHEN subtype = 'order' THEN price * units ELSE 0 END AS total_product_sales,
       CASE WHEN subtype = 'order' THEN price * units ELSE 0 END AS combined_sales,
       CASE WHEN subtype = 'order' AND dice(key, 'new', 3) = 0 THEN 1 ELSE 0 END AS new_to_brand_purchases,
       CASE WHEN subtype = 'order' AND dice(key, 'new', 3) = 0 THEN price * units ELSE 0 END AS new_to_brand_product_sales,
       CASE WHEN subtype = 'order' THEN price END AS purchase_unit_price
  FROM events;

-- name: conversions
-- Attributed ones and those that no ad led to.
CREATE TEMP TABLE conversions AS
SELECT conversion_id, conversion_event_dt_utc AS event_dt_utc, conversion_event_subtype AS event_subtype,
       conversion_event_category AS event_category, conversion_event_type_class AS event_type_class, 'AMAZON.COM' AS marketplace_name,
       new_to_brand, purchase_currency, tracked_asin, tracked_item, no_3p_trackers, user_id, user_id_type, 1 AS conversions,
       total_units_sold, total_product_sales, combined_sales, purchase_unit_price
  FROM attributed
UNION ALL
SELECT md5(key), day + to_microseconds(dice(key, 'at', 86400) * 1000000),
       CASE WHEN is_order THEN 'order' ELSE 'detailPageView' END, CASE WHEN is_order THEN 'purchase' ELSE 'website' END,
       CASE WHEN is_order THEN 'conversion' ELSE 'consideration' END, 'AMAZON.COM', false, 'USD',
       CASE WHEN is_order THEN asin END, asin, false, user_of(u), CASE WHEN user_of(u) IS NULL THEN NULL ELSE 'adUserId' END, 1,
       CAST(is_order AS BIGINT), CASE WHEN is_order THEN price ELSE 0 END, CASE WHEN is_order THEN price ELSE 0 END, CASE WHEN is_order THEN price END
  FROM (
    SELECT *, dice(key, 'user', $users) AS u, dice(key, 'event', 4) = 0 AS is_order, (999 + dice(key, 'price', 9000)) / 100 AS price,
           ['B0NWTENT01', 'B0NWSTOVE1', 'B0NWPACK01', 'B0ATDOGF01'][dice(key, 'asin', 4) + 1] AS asin
      FROM (SELECT concat_ws('|', $seed, day::DATE, 'organic', i) AS key, day::DATE AS day
              FROM generate_series($first::TIMESTAMP, $last::TIMESTAMP, INTERVAL 1 DAY) AS d(day), range($users // 20) AS r(i))
  );
