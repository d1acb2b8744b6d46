-- Sponsored ads: campaigns, what they bid on, and what people typed. Run once in every session, after campaigns.sql.

-- name: ad_campaigns
CREATE TEMP TABLE ad_campaigns AS
SELECT s, s.advertiser_no, campaign, CAST(71000000 + s AS BIGINT) AS campaign_id, concat('A0', upper(substr(md5(campaign), 1, 17))) AS campaign_id_string, ad_product_type, creative_type,
       weight, click_rate, CAST(click_price AS BIGINT) AS click_price, promoted, budget_type, status,
       concat(replace(campaign, ' ', '_'), '_Group') AS ad_group, CAST(72000000 + s AS BIGINT) AS ad_group_id,
       CASE ad_product_type WHEN 'sponsored_products' THEN 9000000 WHEN 'sponsored_brands' THEN 9000001 ELSE 9000002 END + 10 * s.advertiser_no AS portfolio_id,
       concat(a.brand, CASE ad_product_type WHEN 'sponsored_products' THEN ' Performance' WHEN 'sponsored_brands' THEN ' Brand' ELSE ' Reach' END) AS portfolio_name,
       TIMESTAMP '2024-01-01 00:00:00' + to_days(CAST(30 * (s % 5) AS INTEGER)) AS starts, CASE WHEN s = 16 THEN TIMESTAMP '2039-12-31 23:59:59' END AS ends,
       CASE WHEN s.advertiser_no = 0 THEN [segment_no(32), segment_no(33)] ELSE [segment_no(37), segment_no(9)] END AS targets,
       a.advertiser, a.advertiser_id, concat('ENTITYADS', substr(a.entity_id, 7)) AS entity_id, a.advertiser_timezone
  FROM (VALUES
    -- s, advertiser_no, campaign, product, creative type, weight, click rate, price of a click or a thousand views (cents)
    (1, 0, 'SP Tents Exact', 'sponsored_products', NULL, 22, 0.006, 110, ['B0NWTENT01', 'B0NWTENT02'], 'DAILY_BUDGET', 'ENABLED'),
    (2, 0, 'SP Stoves Broad', 'sponsored_products', NULL, 20, 0.004, 72, ['B0NWSTOVE1', 'B0NWSTOVE2'], 'DAILY_BUDGET', 'ENABLED'),
    (3, 0, 'SB Brand', 'sponsored_brands', 'static_image', 12, 0.005, 95, ['B0NWTENT02', 'B0NWTENT01', 'B0NWPACK01'], 'DAILY_BUDGET', 'ENABLED'),
    (4, 0, 'SD Views', 'sponsored_display', 'static_image', 14, 0.003, 60, ['B0NWPACK01', 'B0NWPACK02'], 'DAILY_BUDGET', 'ENABLED'),
    (7, 0, 'STV Northwind Trails', 'sponsored_television', 'video', 7, 0.0, 2900, ['B0NWTENT01', 'B0NWPACK01'], 'LIFETIME_BUDGET', 'ENABLED'),
    (8, 0, 'SP Packs Auto', 'sponsored_products', NULL, 12, 0.004, 55, ['B0NWPACK01', 'B0NWPACK02'], 'DAILY_BUDGET', 'ENABLED'),
    (5, 1, 'SP Dog Food', 'sponsored_products', NULL, 26, 0.006, 84, ['B0ATDOGF01', 'B0ATDOGF02'], 'DAILY_BUDGET', 'ENABLED'),
    (6, 1, 'SB Cats', 'sponsored_brands', 'static_image', 14, 0.004, 70, ['B0ATCATT01', 'B0ATCATF01', 'B0ATTREE01'], 'DAILY_BUDGET', 'ENABLED'),
    (9, 1, 'SD Cat Owners', 'sponsored_display', 'third_party_creative', 12, 0.003, 48, ['B0ATCATF01', 'B0ATLITR01'], 'DAILY_BUDGET', 'ENABLED'),
    (10, 1, 'SP Pet Beds Phrase', 'sponsored_products', NULL, 10, 0.005, 66, ['B0ATBED001', 'B0ATBED002'], 'DAILY_BUDGET', 'PAUSED'),
    (11, 2, 'SP Kettles Exact', 'sponsored_products', NULL, 20, 0.006, 98, ['B0BKKETL01', 'B0BKKETL02'], 'DAILY_BUDGET', 'ENABLED'),
    (12, 2, 'SP Kitchen Broad', 'sponsored_products', NULL, 16, 0.004, 61, ['B0BKTOAS01', 'B0BKPANS01', 'B0BKCOFF01'], 'DAILY_BUDGET', 'ENABLED'),
    (13, 2, 'SB Blue Kettle', 'sponsored_brands', 'static_image', 10, 0.005, 88, ['B0BKKETL01', 'B0BKTOAS01', 'B0BKMUGS01'], 'DAILY_BUDGET', 'ENABLED'),
    (14, 2, 'SBV Coffee', 'sponsored_brands', 'video', 8, 0.006, 105, ['B0BKCOFF01', 'B0BKGRIN01'], 'DAILY_BUDGET', 'ENABLED'),
    (15, 2, 'STV Breakfast', 'sponsored_television', 'video', 5, 0.0, 3100, ['B0BKKETL01', 'B0BKCOFF01'], 'LIFETIME_BUDGET', 'ENABLED'),
    (16, 2, 'SP Siphon Test', 'sponsored_products', NULL, 1, 0.004, 50, ['B0BKSIPH01'], 'LIFETIME_BUDGET', 'ENABLED')
  ) AS s(s, advertiser_no, campaign, ad_product_type, creative_type, weight, click_rate, click_price, promoted, budget_type, status)
  JOIN advertisers a ON a.advertiser_no = s.advertiser_no;

-- name: ad_slots
CREATE TEMP TABLE ad_slots AS
WITH shares AS (
  SELECT advertiser_no, s, weight, sum(weight) OVER (PARTITION BY advertiser_no ORDER BY s) AS upto, sum(weight) OVER (PARTITION BY advertiser_no) AS total FROM ad_campaigns
)
SELECT advertiser_no, CAST(range AS INTEGER) AS slot, s
  FROM shares JOIN range(256) ON (range * 2 + 1) * total >= (upto - weight) * 512 AND (range * 2 + 1) * total < upto * 512;

-- name: keywords
-- What search campaigns bid on; `more` is what people add to it, where the match type allows.
CREATE TEMP TABLE keywords AS
SELECT s, CAST(row_number() OVER (PARTITION BY s ORDER BY targeting) - 1 AS INTEGER) AS k, CAST(count(*) OVER (PARTITION BY s) AS INTEGER) AS keyword_count, targeting, match_type,
       CASE match_type WHEN 'EXACT' THEN [''] WHEN 'PHRASE' THEN ['', ' sale', ' reviews'] ELSE ['', ' cheap', ' best', ' for beginners', ' set', ' gift'] END AS more
  FROM (VALUES
    (1, 'tent', 'EXACT'), (1, 'camping tent', 'EXACT'), (1, '2 person tent', 'EXACT'), (1, 'northwind tent', 'EXACT'),
    (2, 'camping stove', 'BROAD'), (2, 'gas stove', 'BROAD'), (2, 'backpacking stove', 'BROAD'), (2, 'stove fuel', 'PHRASE'),
    (3, 'northwind', 'PHRASE'), (3, 'northwind outdoor', 'PHRASE'), (3, 'outdoor gear', 'BROAD'),
    (8, 'close-match', NULL), (8, 'loose-match', NULL), (8, 'substitutes', NULL),
    (5, 'dog food', 'BROAD'), (5, 'dry dog food', 'PHRASE'), (5, 'chicken dog food', 'EXACT'), (5, 'atlas dog food', 'EXACT'),
    (6, 'cat toy', 'PHRASE'), (6, 'cat food', 'BROAD'), (6, 'cat tree', 'PHRASE'),
    (10, 'dog bed', 'PHRASE'), (10, 'pet bed', 'PHRASE'),
    (11, 'kettle', 'EXACT'), (11, 'electric kettle', 'EXACT'), (11, 'gooseneck kettle', 'EXACT'), (11, 'blue kettle', 'EXACT'),
    (12, 'toaster', 'BROAD'), (12, 'frying pan', 'BROAD'), (12, 'coffee maker', 'BROAD'),
    (13, 'blue kettle', 'PHRASE'), (13, 'kitchen gifts', 'BROAD'), (14, 'coffee grinder', 'PHRASE'), (14, 'drip coffee', 'BROAD'),
    (16, 'coffee siphon', 'EXACT')
  ) AS t(s, targeting, match_type);

-- name: clickable
-- Which campaign a side of a die shows, for both kinds of ads; how often it is clicked, by itself and where it works.
CREATE TEMP TABLE clickable AS
SELECT 'dsp' AS kind, day, advertiser_no, slot, c,
       CASE creative_type WHEN 'Streaming TV Video' THEN 0.0 WHEN 'Audio' THEN 0.0 WHEN 'Digital Signage' THEN 0.0 WHEN 'Responsive eCommerce' THEN 0.0035 ELSE 0.0018 END::DOUBLE AS click_rate,
       CASE WHEN creative_type IN ('Streaming TV Video', 'Audio', 'Digital Signage') THEN 0.0 ELSE 0.125 END::DOUBLE AS spark_click
  FROM dsp_slots JOIN dsp_campaigns USING (c, advertiser_no)
UNION ALL
SELECT 'ads', day, advertiser_no, slot, s, click_rate::DOUBLE, CASE ad_product_type WHEN 'sponsored_products' THEN 1.0 WHEN 'sponsored_television' THEN 0.0 ELSE 0.7 END::DOUBLE
  FROM ad_slots JOIN ad_campaigns USING (s, advertiser_no) CROSS JOIN calendar;

-- name: campaign_asins
-- What each campaign advertises, and whether a view of it counts.
CREATE TEMP TABLE campaign_asins AS
SELECT 'dsp' AS kind, c AS campaign, advertiser_no, promoted, true AS counts_views FROM dsp_campaigns
UNION ALL
SELECT 'ads', s, advertiser_no, promoted, ad_product_type <> 'sponsored_products' FROM ad_campaigns;

-- name: shown
-- All ads of the stretch; filled by traffic.sql.
CREATE TEMP TABLE shown(person BIGINT, day DATE, kind VARCHAR, i INTEGER, advertiser_no INTEGER, campaign INTEGER, seen_at TIMESTAMP, clicked_at TIMESTAMP);

-- name: happened
CREATE TEMP TABLE happened(person BIGINT, day DATE, kind VARCHAR, seq INTEGER, subtype VARCHAR, done_at TIMESTAMP, advertiser_no INTEGER, is_pixel BOOLEAN,
  asin VARCHAR, is_new BOOLEAN, units INTEGER, conversion_id VARCHAR, is_exposed BOOLEAN);

-- name: pairs
CREATE TEMP TABLE pairs(conversion_id VARCHAR, done_at TIMESTAMP, person BIGINT, kind VARCHAR, campaign INTEGER,
  touch STRUCT(touched_at TIMESTAMP, is_click BOOLEAN, day DATE, i INTEGER, seen_at TIMESTAMP, clicked_at TIMESTAMP));

-- name: ads_about
-- All that is the same for every ad of a sponsored campaign.
CREATE TEMP TABLE ads_about AS
SELECT s AS ad_key, advertiser_no, click_price, promoted, targets, ad_group, starts + INTERVAL 1 DAY AS ad_group_start_dt, ends AS ad_group_end_dt,
       CASE status WHEN 'PAUSED' THEN 'PAUSED' ELSE 'ENABLED' END AS ad_group_status, CASE ad_product_type WHEN 'sponsored_products' THEN 'KEYWORD' ELSE 'STANDARD' END AS ad_group_type, ad_product_type,
       advertiser, advertiser_id, advertiser_timezone, campaign, budget_type AS campaign_budget_type, ends AS campaign_end_dt, campaign_id, campaign_id_string, starts AS campaign_start_dt, status AS campaign_status,
       creative_type, entity_id, ad_group AS line_item, ad_group_id AS line_item_id, CASE ad_product_type WHEN 'sponsored_television' THEN 'CPM' ELSE 'CPC' END AS line_item_price_type,
       CASE status WHEN 'PAUSED' THEN 'PAUSED' ELSE 'ENABLED' END AS line_item_status, upper(ad_product_type) AS line_item_type, portfolio_id, portfolio_name,
       timezone('UTC', timezone(advertiser_timezone, starts + INTERVAL 1 DAY)) AS ad_group_start_dt_utc, timezone('UTC', timezone(advertiser_timezone, starts)) AS campaign_start_dt_utc,
       timezone('UTC', timezone(advertiser_timezone, ends)) AS campaign_end_dt_utc
  FROM ad_campaigns;

-- name: ads_rows
-- The sponsored ads in a table of touches (person, day, i, campaign, seen_at, clicked_at).
CREATE TEMP MACRO ads_rows(touches_of_ads) AS TABLE
WITH diced AS (
  SELECT person, day, i, campaign AS ad_key, seen_at, clicked_at, thrown('sponsored', person, day, i) AS f, thrown('watched', person, day, i) AS v FROM query_table(touches_of_ads)
), told AS (
  SELECT t.*, l.*, p.user_id, p.user_id_type, p."amci user", p."amci part", p.segments, p.device,
         CASE l.ad_product_type WHEN 'sponsored_products' THEN CASE WHEN share(f, 0) < 0.42 THEN 'Top of Search on-Amazon' WHEN share(f, 0) < 0.9 THEN 'Detail Page on-Amazon' ELSE 'Off Amazon' END
           WHEN 'sponsored_brands' THEN CASE WHEN share(f, 0) < 0.75 THEN 'Top of Search on-Amazon' ELSE 'Detail Page on-Amazon' END
           WHEN 'sponsored_display' THEN CASE WHEN share(f, 0) < 0.5 THEN 'Detail Page on-Amazon' WHEN share(f, 0) < 0.7 THEN 'Homepage on-Amazon' ELSE 'Off Amazon' END
           ELSE 'Off Amazon' END AS placement_type,
         CAST(floor(share(f, 1) * share(f, 1) * len(l.promoted)) AS INTEGER) + 1 AS asin_no,
         CASE WHEN l.creative_type = 'video' THEN CASE WHEN l.ad_product_type = 'sponsored_television' THEN CASE WHEN share(v, 0) < 0.94 THEN 4 WHEN share(v, 0) < 0.96 THEN 3 WHEN share(v, 0) < 0.975 THEN 2 WHEN share(v, 0) < 0.99 THEN 1 ELSE 0 END
           ELSE CASE WHEN share(v, 0) < 0.2 THEN 4 WHEN share(v, 0) < 0.27 THEN 3 WHEN share(v, 0) < 0.38 THEN 2 WHEN share(v, 0) < 0.6 THEN 1 ELSE 0 END END END AS watched
    FROM diced t
    JOIN (SELECT ad_key, advertiser_no, click_price, promoted, targets, ad_product_type, creative_type, campaign FROM ads_about) l ON l.ad_key = t.ad_key
    JOIN people p ON p.person = t.person
)
SELECT t.person, t.day, t.i, t.ad_key, t.seen_at, t.clicked_at, h.minutes, t.placement_type, t.promoted[t.asin_no] AS creative_asin, concat(replace(t.campaign, ' ', '_'), '_', t.promoted[t.asin_no]) AS creative,
       d.operating_system, d.os_version, d.device_type, d.device_make, d.device_model, k.targeting, k.match_type, t.ad_product_type = 'sponsored_television' AS is_tv,
       CASE WHEN k.targeting IS NULL OR t.placement_type = 'Off Amazon' OR (t.ad_product_type = 'sponsored_products' AND t.placement_type = 'Detail Page on-Amazon') THEN NULL
         -- now and then somebody types what nobody else does
         WHEN fine_share(t.v, 6) < 0.0004 THEN concat(coalesce(CASE WHEN k.match_type IS NOT NULL THEN k.targeting END, 'gift'), ' ', ['under 37 dollars', 'for left handed uncle', 'like in that film', 'sku 00417'][1 + dice(t.f, 2, 4)])
         WHEN k.match_type IS NULL THEN ['backpack', 'hiking backpack', 'day pack', 'travel backpack'][1 + dice(t.f, 2, 4)]
         ELSE concat(k.targeting, k.more[1 + CAST(floor(share(t.f, 3) * share(t.f, 3) * len(k.more)) AS INTEGER)]) END AS customer_search_term,
       CASE WHEN t.ad_product_type = 'sponsored_display' AND t.user_id IS NOT NULL AND list_has_any(t.segments, t.targets) THEN CAST(list_filter(t.segments, lambda g: list_contains(t.targets, g)) AS VARCHAR) END AS matched_behavior_segment_ids,
       -- in microcents: what a click costs, or for television what each view costs
       t.click_price * CASE WHEN t.ad_product_type = 'sponsored_television' THEN 1000 ELSE 1000000 END * (70 + dice(t.f, 4, 61)) // 100 AS price,
       CASE WHEN share(t.v, 1) < 0.93 THEN CASE WHEN t.clicked_at IS NOT NULL OR share(t.v, 2) < 0.62 THEN 1 ELSE 0 END END AS viewable, CAST(t.watched AS TINYINT) AS watched, share(t.v, 3) < 0.12 AND t.watched > 0 AS is_unmuted,
       share(t.f, 7) < 0.03 AS no_3p_trackers, t.user_id, t.user_id_type, t."amci user", t."amci part"
  FROM told t
  JOIN devices d ON d.device = t.device
  JOIN local_hours h ON h.advertiser_no = t.advertiser_no AND h.utc_hour = date_trunc('hour', t.seen_at)
  LEFT JOIN (SELECT s, max(keyword_count) AS keyword_count FROM keywords GROUP BY s) n ON n.s = t.ad_key
  LEFT JOIN keywords k ON k.s = t.ad_key AND k.k = CAST(floor(share(t.f, 5) * share(t.f, 5) * n.keyword_count) AS INTEGER);

-- name: ads_event_id
CREATE TEMP MACRO ads_event_id(person, day, i, is_click) AS md5(concat(seed(), '|event|', person, '|', day, '|', i, CASE WHEN is_click THEN '|click' ELSE '|view' END));

-- name: ads_shown
CREATE TEMP VIEW ads_shown AS SELECT * FROM shown SEMI JOIN days USING (day) WHERE kind = 'ads';

-- name: ads_events
-- One row for each view, one for each click.
CREATE TEMP VIEW ads_events AS
WITH told AS (FROM ads_rows('ads_shown'))
SELECT * EXCLUDE (seen_at, clicked_at, minutes), seen_at AS event_dt_utc, seen_at + to_minutes(minutes) AS event_dt, false AS is_click, ads_event_id(person, day, i, false) AS event_id FROM told
UNION ALL
SELECT * EXCLUDE (seen_at, clicked_at, minutes), clicked_at, clicked_at + to_minutes(minutes), true, ads_event_id(person, day, i, true) FROM told WHERE clicked_at IS NOT NULL;
