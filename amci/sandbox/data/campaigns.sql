-- What is advertised where: DSP campaigns with line items and creatives, sponsored ads with ad groups and keywords,
-- and which of them run on which day. Run once in every session that makes events, after world.sql.

-- name: calendar
-- All days that events may need: those to make, and before them the days whose ads lead to something later.
CREATE TEMP TABLE calendar AS
SELECT CAST(unnest(range(first_day() - 28, last_day() + 1, INTERVAL 1 DAY)) AS DATE) AS day;

-- name: local_hours
-- An advertiser's clock beside UTC, hour by hour.
CREATE TEMP TABLE local_hours AS
SELECT advertiser_no, utc_hour, date_diff('minute', utc_hour, timezone(advertiser_timezone, timezone('UTC', utc_hour))) AS minutes
  FROM advertisers, (SELECT unnest(range(CAST(first_day() - 29 AS TIMESTAMP), CAST(last_day() + 2 AS TIMESTAMP), INTERVAL 1 HOUR)) AS utc_hour);

-- name: dsp_campaigns
-- `runs`: always, or the days of a month (from, until) in which it is on; a burst has a number of its own each time.
CREATE TEMP TABLE dsp_campaigns AS SELECT * REPLACE (CAST(months AS VARCHAR) AS months), CAST(58000000 + c AS BIGINT) AS campaign_id FROM (VALUES
  -- c, advertiser_no, campaign, category, type, environment, screen, duration, goal, weight, months (NULL = always), from, until, cpm, view share, asins, product line, budget (currency units)
  (1, 0, 'Trail Season Display', 'Display', 'Standard Display', 'Web', 'any', NULL, 'ROAS', 26, NULL, NULL, NULL, 2.9, 0.66, ['B0NWTENT01', 'B0NWTENT02', 'B0NWPACK01'], 'Camping', 40000),
  (2, 0, 'Summit OTT', 'Video', 'Streaming TV Video', 'App', 'TV', 30, 'REACH', 14, NULL, NULL, NULL, 24.5, 0.97, ['B0NWTENT01', 'B0NWPACK01', 'B0NWPACK02'], 'Brand', 90000),
  (3, 0, 'Camp Retargeting', 'Display', 'Responsive eCommerce', 'Web', 'any', NULL, 'TOTAL_ROAS', 20, NULL, NULL, NULL, 4.1, 0.71, ['B0NWSTOVE1', 'B0NWSTOVE2', 'B0NWBAG001', 'B0NWTENT01'], 'Camping', 35000),
  (4, 0, 'River Audio', 'Video', 'Audio', 'App', 'ears', 30, 'COMPLETION_RATE', 6, NULL, NULL, NULL, 11.0, 0.0, ['B0NWPACK01', 'B0NWBOTL01'], 'Brand', 12000),
  (5, 1, 'New Puppy Display', 'Display', 'Standard Display', 'Web', 'any', NULL, 'DPVR', 24, NULL, NULL, NULL, 2.6, 0.64, ['B0ATDOGF01', 'B0ATPUPP01', 'B0ATDOGT01'], 'Dogs', 30000),
  (6, 1, 'Cat Lovers OTT', 'Video', 'Streaming TV Video', 'App', 'TV', 15, 'REACH', 12, NULL, NULL, NULL, 22.0, 0.96, ['B0ATCATT01', 'B0ATCATF01', 'B0ATTREE01'], 'Cats', 60000),
  (7, 1, 'Pets Online Video', 'Video', 'Standard Display', 'Web', 'any', 15, 'CPVC', 8, NULL, NULL, NULL, 9.5, 0.78, ['B0ATDOGF01', 'B0ATCATF01'], 'Brand', 20000),
  (8, 2, 'Kettle Launch Display', 'Display', 'Standard Display', 'Web', 'any', NULL, 'CTR', 20, NULL, NULL, NULL, 3.2, 0.68, ['B0BKKETL01', 'B0BKKETL02', 'B0BKTOAS01'], 'Breakfast', 25000),
  (9, 2, 'Morning Rituals OTT', 'Video', 'Streaming TV Video', 'App', 'TV', 30, 'REACH', 10, NULL, NULL, NULL, 26.0, 0.97, ['B0BKCOFF01', 'B0BKKETL02'], 'Brand', 55000),
  (10, 2, 'Cafe Screens', 'Video', 'Digital Signage', 'App', 'out', 10, 'OTHER', 1, NULL, NULL, NULL, 14.0, 0.0, ['B0BKCOFF01'], 'Brand', 4000),
  (11, 2, 'Coffee Siphon Pilot', 'Display', 'Standard Display', 'Web', 'any', NULL, 'CPDPV', 1, NULL, NULL, NULL, 3.0, 0.60, ['B0BKSIPH01'], 'Pilot', 800)
) AS t(c, advertiser_no, campaign, creative_category, creative_type, environment_type, screen, creative_duration, campaign_primary_goal,
       weight, months, from_day, until_day, cpm, view_share, promoted, product_line, budget);

-- name: dsp_bursts
-- Campaigns of a few days, each time with an id that says when.
INSERT INTO dsp_campaigns
SELECT b.c * 10000 + year(month) % 100 * 100 + month(month), b.advertiser_no, concat(b.campaign, ' ', strftime(month, '%Y-%m')), 'Display', b.creative_type,
       'Web', 'any', NULL, b.goal, b.weight, strftime(month, '%Y-%m'), b.from_day, b.until_day, b.cpm, b.view_share, b.promoted, b.product_line, b.budget,
       CAST(58000000 + b.c * 10000 + year(month) % 100 * 100 + month(month) AS BIGINT)
  FROM (SELECT CAST(unnest(range(DATE '2024-01-01', DATE '2040-01-01', INTERVAL 1 MONTH)) AS DATE) AS month),
       (VALUES
         (20, 0, 'Prime Days', 'Responsive eCommerce', 'ROAS', 60, [7, 10], 7, 15, 5.4, 0.70, ['B0NWTENT01', 'B0NWTENT02', 'B0NWSTOVE1'], 'Event', 50000),
         (21, 1, 'Black Friday', 'Responsive eCommerce', 'ROAS', 60, [11], 20, 30, 5.9, 0.70, ['B0ATDOGF01', 'B0ATTREE01', 'B0ATBED001'], 'Event', 45000),
         (22, 2, 'Kitchen Week', 'Standard Display', 'PAGE_VISIT', 24, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], 8, 14, 3.6, 0.69, ['B0BKKETL01', 'B0BKPANS02', 'B0BKMUGS01'], 'Event', 9000)
       ) AS b(c, advertiser_no, campaign, creative_type, goal, weight, in_months, from_day, until_day, cpm, view_share, promoted, product_line, budget)
 WHERE list_contains(b.in_months, month(month));

-- name: dsp_dates
-- A campaign's first and last moment in its advertiser's time and in UTC; half-open on no side, as AMC tells them.
CREATE TEMP TABLE dsp_flights AS
SELECT c, CASE WHEN months IS NULL THEN TIMESTAMP '2024-01-01 00:00:00' ELSE strptime(months || '-01', '%Y-%m-%d') + to_days(CAST(from_day - 1 AS INTEGER)) END AS starts,
       CASE WHEN months IS NULL THEN TIMESTAMP '2039-12-31 23:59:59'
            ELSE strptime(months || '-01', '%Y-%m-%d') + to_days(CAST(until_day - 1 AS INTEGER)) + INTERVAL '23:59:59' END AS ends
  FROM dsp_campaigns;

-- name: segment_no
CREATE TEMP MACRO segment_no(n) AS CAST(300000 + 37 * n AS INTEGER);

-- name: dsp_lines
-- Each campaign has one line item for everybody and one for some segments.
CREATE TEMP TABLE dsp_lines AS
SELECT d.*, f.starts, f.ends, l.line, l.targets, concat(d.campaign, ' - ', l.said) AS line_item, d.campaign_id * 10 + l.line AS line_item_id,
       CASE d.creative_type WHEN 'Streaming TV Video' THEN 'AAP_VIDEO_CPM' ELSE CASE WHEN d.environment_type = 'App' THEN 'AAP_MOBILE' WHEN l.line = 1 THEN 'AAP_DISPLAY' ELSE 'AAP' END END AS line_item_type,
       l.line = 2 AND ((d.advertiser_no IN (0, 2) AND d.creative_category = 'Video') OR d.c = 8) AS has_deal,
       a.advertiser, a.advertiser_id, a.entity_id, a.advertiser_timezone,
       timezone('UTC', timezone(a.advertiser_timezone, f.starts)) AS starts_utc, timezone('UTC', timezone(a.advertiser_timezone, f.ends)) AS ends_utc,
       months IS NOT NULL AS is_burst, d.c % 10 = 0 AS is_bonus
  FROM dsp_campaigns d
  JOIN dsp_flights f USING (c)
  JOIN advertisers a USING (advertiser_no)
  CROSS JOIN LATERAL (VALUES
    (1, 'Run of Network', CAST([] AS INTEGER[])),
    (2, 'Segments', CASE d.advertiser_no
      WHEN 0 THEN [segment_no(0), segment_no(1), segment_no(3), segment_no(32), segment_no(33)]
      WHEN 1 THEN [segment_no(8), segment_no(9), segment_no(36), segment_no(37), segment_no(38)]
      ELSE [segment_no(14), segment_no(15), segment_no(39), segment_no(41), segment_no(42)] END)
  ) AS l(line, said, targets);

-- name: dsp_creatives
CREATE TEMP TABLE dsp_creatives AS
SELECT c, CAST(k AS INTEGER) AS k, campaign_id * 100 + k + 1 AS creative_id,
       concat(replace(campaign, ' ', '_'), '_', CASE WHEN creative_type = 'Streaming TV Video' THEN concat(creative_duration, 's') WHEN creative_type = 'Audio' THEN 'audio' ELSE size END, '_', ['A', 'B', 'C'][k + 1]) AS creative,
       CASE WHEN creative_type = 'Responsive eCommerce' THEN 'Responsive' WHEN creative_category = 'Video' THEN '1920x1080' ELSE size END AS creative_size,
       CASE WHEN creative_type IN ('Streaming TV Video', 'Digital Signage') THEN '1920x1080' WHEN creative_type = 'Audio' THEN NULL ELSE size END AS ad_slot_size
  FROM dsp_campaigns, (VALUES (0, '300x250'), (1, '728x90'), (2, '320x50')) AS s(k, size);

-- name: dsp_about
-- All that is the same for every impression of a creative in a line item, by one number.
CREATE TEMP TABLE dsp_about AS
SELECT CAST(row_number() OVER (ORDER BY l.c, l.line, k.k) AS INTEGER) AS line_key, l.c, l.line, k.k, l.advertiser_no, l.screen, l.cpm, l.view_share, l.creative_type, l.creative_category, k.ad_slot_size,
       l.advertiser, CASE WHEN l.creative_type = 'Streaming TV Video' THEN [CAST(910000 + l.advertiser_no AS BIGINT)] ELSE CAST([] AS BIGINT[]) END AS advertiser_account_frequency_group_ids,
       l.advertiser_id, l.advertiser_timezone, CASE WHEN l.line = 2 THEN 60000 ELSE 0 END AS audience_fee, l.campaign, CAST(l.budget AS BIGINT) * 100000 AS campaign_budget_amount,
       'US' AS campaign_country, l.ends AS campaign_end_date, l.ends_utc AS campaign_end_date_utc, l.campaign_id, CAST(l.campaign_id AS VARCHAR) AS campaign_id_string,
       CAST(57000000 + l.c AS VARCHAR) AS campaign_insertion_order_id, l.campaign_primary_goal, CASE WHEN l.is_bonus AND NOT l.is_burst THEN 'BONUS' ELSE 'BILLABLE' END AS campaign_sales_type,
       'AMAZON_DSP' AS campaign_source, l.starts AS campaign_start_date, l.starts_utc AS campaign_start_date_utc,
       CASE WHEN l.is_burst THEN 'ENDED' WHEN l.c = 11 THEN 'PAUSED' WHEN l.c % 3 = 0 THEN 'ENABLED' ELSE 'RUNNING' END AS campaign_status, k.creative,
       CAST(l.creative_duration AS BIGINT) AS creative_duration, k.creative_id, CASE WHEN l.creative_type = 'Responsive eCommerce' THEN 'Y' ELSE 'N' END AS creative_is_link_in, k.creative_size,
       'USD' AS currency_iso_code, 'Dollar (USA)' AS currency_name, CASE WHEN l.has_deal THEN concat('DEAL', l.campaign_id) END AS deal_id,
       CASE WHEN l.has_deal THEN concat(replace(l.campaign, ' ', '_'), '_Premium_Deal') END AS deal_name, 'Amazon DSP' AS demand_channel,
       CASE WHEN l.advertiser_no = 2 THEN 'Managed service' ELSE 'Self-service' END AS demand_channel_owner, l.entity_id, l.environment_type AS usual_environment, l.line_item,
       CAST(l.budget AS BIGINT) * 50000 AS line_item_budget_amount, l.ends AS line_item_end_date, l.ends_utc AS line_item_end_date_utc, l.line_item_id, 'CPM' AS line_item_price_type,
       l.starts AS line_item_start_date, l.starts_utc AS line_item_start_date_utc,
       CASE WHEN l.is_burst THEN 'ENDED' WHEN l.c = 11 THEN 'PAUSED_BY_USER' WHEN l.line = 2 THEN 'RUNNING' ELSE 'ENABLED' END AS line_item_status, l.line_item_type,
       CASE WHEN l.creative_type = 'Streaming TV Video' THEN [CAST(920001 AS BIGINT)] ELSE CAST([] AS BIGINT[]) END AS manager_account_frequency_group_ids,
       CAST(30000 + l.advertiser_no AS BIGINT) AS merchant_id, l.view_share > 0 AS placement_is_view_aware, CASE WHEN l.view_share > 0 THEN l.view_share END AS placement_view_rate, l.product_line,
       -- shares of the price, in thousandths, and fees per impression in microcents
       CASE WHEN l.advertiser_no = 2 THEN 50 ELSE 0 END AS managed_share, CASE WHEN l.advertiser_no = 0 THEN 25000 ELSE 0 END AS third_party_fees
  FROM dsp_lines l JOIN dsp_creatives k USING (c);

-- name: dsp_slots
-- Which campaign a die's side shows: 256 sides for each advertiser and day, shared out by weight among what runs.
CREATE TEMP TABLE dsp_slots AS
WITH running AS (
  SELECT day, advertiser_no, c, weight, sum(weight) OVER (PARTITION BY day, advertiser_no ORDER BY c) AS upto, sum(weight) OVER (PARTITION BY day, advertiser_no) AS total
    FROM dsp_campaigns JOIN dsp_flights USING (c) JOIN calendar ON CAST(day AS TIMESTAMP) BETWEEN starts AND ends
   WHERE c <> 11 OR dayofweek(day) = 1 -- a pilot is on Mondays alone, for few people
)
SELECT day, advertiser_no, CAST(range AS INTEGER) AS slot, c
  FROM running JOIN range(256) ON (range * 2 + 1) * total >= (upto - weight) * 512 AND (range * 2 + 1) * total < upto * 512;

-- name: sites
CREATE TEMP TABLE sites AS SELECT * FROM (VALUES
  ('TV', 0, 'Prime Video', 'AMAZON PRIME VIDEO', 11, true, 'com.amazon.avod', NULL), ('TV', 1, 'Freevee', 'AMAZON FREEVEE', 12, true, 'com.amazon.imdb.tv', NULL),
  ('TV', 2, 'Twitch', 'TWITCH APP VIDEO', 13, true, 'tv.twitch.android', NULL), ('TV', 3, 'Pluto TV', 'MAGNITE STREAMING TV', 31, false, 'tv.pluto.android', NULL),
  ('TV', 4, 'Paramount Plus', 'FREEWHEEL STREAMING TV', 32, false, 'com.cbs.app', NULL),
  ('ears', 0, 'Amazon Music', 'AMAZON MUSIC', 14, true, 'com.amazon.mp3', NULL), ('ears', 1, 'Alexa News', 'ALEXA AUDIO', 15, true, 'com.amazon.dee.app', NULL),
  ('out', 0, 'Vistar Media', 'VISTAR DIGITAL SIGNAGE', 41, false, NULL, NULL),
  ('any', 0, 'amazon.com', 'AMAZON.COM', 1, true, NULL, 'Search'), ('any', 1, 'amazon.com', 'AMAZON.COM', 1, true, NULL, 'Detail'),
  ('any', 2, 'amazon.com', 'AMAZON.COM', 1, true, NULL, 'CustomerReviews'), ('any', 3, 'amazon.com', 'AMAZON.COM', 1, true, NULL, 'Gateway'),
  ('any', 4, 'imdb.com', 'IMDB WEB DISPLAY', 2, true, NULL, NULL), ('any', 5, 'twitch.tv', 'TWITCH WEB VIDEO', 3, true, NULL, NULL),
  ('any', 6, 'news.example.org', 'PUBMATIC WEB DISPLAY', 21, false, NULL, NULL), ('any', 7, 'example.com', 'AMAZON PUBLISHER SERVICES', 22, false, NULL, NULL),
  ('any', 8, 'recipes.example.net', 'PUBMATIC WEB DISPLAY', 21, false, NULL, NULL), ('any', 9, 'weather.example.com', 'INDEX EXCHANGE WEB DISPLAY', 23, false, NULL, NULL)
) AS t(screen, k, site, supply_source, supply_source_id, is_amazon_owned, app_bundle, page_type);

-- name: reached
-- Which of an advertiser's segments a person is in, where AMC knows the person.
CREATE TEMP TABLE reached AS
SELECT person, advertiser_no, matched
  FROM (SELECT person, t.advertiser_no, list_filter(segments, lambda g: list_contains(t.targets, g)) AS matched
          FROM people, (SELECT DISTINCT advertiser_no, targets FROM dsp_lines WHERE line = 2) AS t WHERE user_id IS NOT NULL)
 WHERE len(matched) > 0;
