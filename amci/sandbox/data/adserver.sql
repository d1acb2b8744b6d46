-- Amazon Ad Server, as it was until its end: what other people's sites showed, and what came of it.

-- name: adserver_campaigns
CREATE TEMP TABLE adserver_campaigns AS
SELECT c.*, a.* EXCLUDE (advertiser_no), 610000 + c.advertiser_no AS adserver_brand_id, 9100000 + n AS campaign_id
  FROM (VALUES
    (0, 0, 'Northwind Spring Banners', 'Display', '300X250', 'Standard Banner', 'CPM', '2.50'),
    (1, 0, 'Northwind Spring Film', 'Video', '1920X1080', 'In-Stream Video', 'CPM', '14.00'),
    (2, 0, 'Northwind Search', 'Search', NULL, 'Search', 'CPC', '0.80'),
    (3, 1, 'Atlas Puppies Banners', 'Display', '728X90', 'Rich Media', 'CPM', '3.10'),
    (4, 1, 'Atlas Puppies Film', 'Video', '1280X720', 'In-Stream Video', 'CPM', '12.50'),
    (5, 1, 'Atlas Search', 'Search', NULL, 'Search', 'CPC', '0.65'),
    (6, 2, 'Blue Kettle Morning', 'Display', '160X600', 'Standard Banner', 'CPM', '2.20'),
    (7, 2, 'Blue Kettle Search', 'Search', NULL, 'Search', 'CPC', '0.95')
  ) AS c(n, advertiser_no, campaign, campaign_type, ad_size, ad_format, cost_model_type, cost_per_unit)
  JOIN advertisers a USING (advertiser_no);

-- name: adserver_sites
CREATE TEMP TABLE adserver_sites AS FROM (VALUES
  (0, 'news.example.com', 'World', 71, 'Web'), (1, 'weather.example.com', 'Forecast', 72, 'Web'), (2, 'trail.example.org', 'Gear', 73, 'Web'),
  (3, 'pets.example.org', 'Advice', 74, 'Web'), (4, 'kitchen.example.net', 'Recipes', 75, 'Web'), (5, 'Example Streaming App', 'Home', 76, 'App')
) AS t(site, adserver_site, section, section_id, environment);

-- name: adserver_chances
-- Each chance to show an advertisement to somebody, with what it needs to become an impression, a click, a conversion.
CREATE TEMP VIEW adserver_chances AS
SELECT day, i, x, y, p.* EXCLUDE (device, device_id, second_device, second_device_id, zone, place), v.* EXCLUDE (device), c.*, s.*,
       moment_of(day, x, 3, p.utc_offset) AS shown_at, md5(concat(seed(), '|adserver|', day, '|', i)) AS adserver_session_id,
       CASE c.campaign_type WHEN 'Search' THEN 'Search' WHEN 'Video' THEN 'Video' ELSE 'Display' END AS form
  FROM (SELECT *, 1 + CAST(floor(fine_share(x, 0) * population()) AS BIGINT) AS person
          FROM (SELECT day, i, thrown('adserver', day, i, 0) AS x, thrown('adserver', day, i, 1) AS y
                  FROM days, range(1 + population() // 130) AS r(i))) AS b
  JOIN people p USING (person)
  JOIN devices v USING (device)
  JOIN adserver_campaigns c ON c.n = dice(x, 2, 8)
  JOIN adserver_sites s ON s.site = dice(x, 6, 6);

-- name: adserver_traffic
-- A row for each impression, and one for each click; searches are only known by their clicks.
SELECT concat(campaign, ' - ad ', 1 + dice(x, 7, 3)) AS ad, campaign_id * 10 + 1 + dice(x, 7, 3) AS ad_id, ad_format, ad_size,
       CASE form WHEN 'Video' THEN 30 END AS ad_length, CAST(shown AND form = 'Video' AS BIGINT) AS ad_started,
       CASE WHEN NOT shown THEN 0 WHEN form = 'Video' THEN 30 * seen // 100 ELSE 2 + dice(y, 0, 40) END AS ad_duration,
       CASE advertiser_no WHEN 2 THEN 'GBP' ELSE 'USD' END AS account_currency, advertiser_timezone AS account_timezone,
       brand AS adserver_brand, adserver_brand_id, adserver_session_id, CASE WHEN form <> 'Search' THEN adserver_site END AS adserver_site,
       advertiser, advertiser_id, browser_family, campaign, campaign_id, campaign_type,
       DATE '2025-01-01' AS campaign_start_date, DATE '2025-01-01' AS campaign_start_date_utc, DATE '2025-01-01' AS campaign_start_dt,
       DATE '2025-01-01' AS campaign_start_dt_utc, DATE '2027-12-31' AS campaign_end_date, DATE '2027-12-31' AS campaign_end_date_utc,
       DATE '2027-12-31' AS campaign_end_dt, DATE '2027-12-31' AS campaign_end_dt_utc, city,
       CAST(NOT shown AS BIGINT) AS clicks, CAST(NOT shown AND is_default AS BIGINT) AS clicks_default_ad, 0 AS clicks_hard_stop,
       CAST(NOT shown AND luck = 51 AS BIGINT) AS clicks_no_script, CAST(NOT shown AND luck = 52 AS BIGINT) AS clicks_sivt,
       CAST(NOT shown AND form = 'Video' AND luck > 70 AS BIGINT) AS clicks_ssai, cost_model_type, cost_per_unit,
       device_make AS device_brand, device_model, device_type, dma AS dma_code, environment,
       timezone(advertiser_timezone, timezone('UTC', moment)) AS event_dt, moment AS event_dt_utc,
       CAST(shown AS BIGINT) AS impressions, CAST(shown AND is_default AS BIGINT) AS impressions_default_ad, 0 AS impressions_hard_stop,
       CAST(shown AND luck = 51 AS BIGINT) AS impressions_no_script, CAST(shown AND luck = 52 AS BIGINT) AS impressions_sivt,
       CAST(shown AND form = 'Video' AND luck > 70 AS BIGINT) AS impressions_ssai, form = 'Display' AND n <> 0 AS is_dco_ad,
       'US' AS iso_country_code, state AS iso_state_province_code,
       CAST(shown AND luck >= 8 AS BIGINT) AS measurable_impressions, CAST(shown AND luck >= 3 AS BIGINT) AS recordable_impressions,
       CAST(shown AND luck >= 8 AND dice(y, 1, 100) < 64 AS BIGINT) AS viewable_impressions, operating_system,
       CASE WHEN form <> 'Search' THEN 5000000 + 1000 * n END AS ordered_units,
       CASE WHEN form <> 'Search' THEN concat(brand, ' package ', 1 + site % 2) END AS package,
       CASE WHEN form <> 'Search' THEN 720000 + 10 * n + site % 2 END AS package_id,
       CASE WHEN form <> 'Search' THEN DATE '2025-01-01' END AS package_start_date, CASE WHEN form <> 'Search' THEN DATE '2025-01-01' END AS package_start_date_utc,
       CASE WHEN form <> 'Search' THEN DATE '2027-12-31' END AS package_end_date, CASE WHEN form <> 'Search' THEN DATE '2027-12-31' END AS package_end_date_utc,
       CASE WHEN form <> 'Search' THEN concat(adserver_site, '_', section, '_', ad_size) END AS placement,
       CASE WHEN form <> 'Search' THEN ad_size END AS placement_dimensions, CASE WHEN form <> 'Search' THEN 830000 + 100 * n + site END AS placement_id,
       CASE WHEN form <> 'Search' THEN DATE '2025-01-01' END AS placement_start_date, CASE WHEN form <> 'Search' THEN DATE '2025-01-01' END AS placement_start_date_utc,
       CASE WHEN form <> 'Search' THEN DATE '2027-12-31' END AS placement_end_date, CASE WHEN form <> 'Search' THEN DATE '2027-12-31' END AS placement_end_date_utc,
       CASE form WHEN 'Video' THEN 'In-Stream Video' WHEN 'Display' THEN 'In-Banner' END AS placement_type, postal AS postal_code,
       md5(concat(adserver_session_id, '|request')) AS request_tag,
       CASE WHEN form = 'Search' THEN 440000 + advertiser_no END AS search_account_id, CASE WHEN form = 'Search' THEN concat(brand, ' - official shop') END AS search_ad,
       CASE WHEN form = 'Search' THEN concat('https://www.example.com/', lower(replace(brand, ' ', '-')), '?from=search') END AS search_ad_click_through_url,
       CASE WHEN form = 'Search' THEN 'www.example.com' END AS search_ad_display_url, CASE WHEN form = 'Search' THEN concat(brand, ' - ', term) END AS search_ad_group,
       CASE WHEN form = 'Search' THEN 450000 + 10 * n + dice(y, 2, 3) END AS search_ad_group_id, CASE WHEN form = 'Search' THEN 460000 + 10 * n + dice(y, 2, 3) END AS search_ad_id,
       CASE WHEN form = 'Search' THEN concat('Everything from ', brand, ', sent today') END AS search_ad_text, CASE WHEN form = 'Search' THEN 470000 + n END AS search_campaign_id,
       CASE WHEN form = 'Search' THEN 'Search Network' END AS search_campaign_type, CAST(NOT shown AND form = 'Search' AS BIGINT) AS search_clicks,
       CASE WHEN form = 'Search' THEN 'Google Ads' END AS search_integration, CASE WHEN form = 'Search' THEN 480000 + 10 * n + dice(y, 2, 3) END AS search_keyword_id,
       CASE WHEN form = 'Search' THEN concat(lower(brand), ' ', term) END AS search_keyword_text, CASE WHEN form = 'Search' THEN 'Keyword' END AS search_keyword_type,
       CASE WHEN form = 'Search' THEN ['Exact', 'Phrase', 'Broad'][1 + dice(y, 2, 3)] END AS search_match_type, CASE WHEN form = 'Search' THEN 'Google' END AS search_vendor,
       CASE WHEN form <> 'Search' THEN section END AS section, CASE WHEN form <> 'Search' THEN section_id END AS section_id,
       CASE WHEN form = 'Display' AND n <> 0 THEN concat('headline=', 1 + dice(x, 7, 3), ';image=', 1 + site) END AS smart_items_list,
       CASE WHEN form = 'Display' AND n <> 0 THEN 550000 + dice(y, 3, 3) END AS target_audience_id,
       CASE WHEN form = 'Display' AND n <> 0 THEN ['Everybody', 'Visitors', 'Buyers'][1 + dice(y, 3, 3)] END AS target_audience_name,
       CASE WHEN form = 'Display' AND n <> 0 THEN 560000 + 10 * n + dice(x, 7, 3) END AS version_id,
       CASE WHEN form = 'Display' AND n <> 0 THEN concat('Version ', 1 + dice(x, 7, 3)) END AS version_name, category AS vertical,
       CAST(seen > 0 AND luck % 9 = 0 AS BIGINT) * 30 * seen // 200 AS video_full_screen_duration, CAST(seen = 100 AND luck % 9 = 0 AS BIGINT) AS video_full_screen_ended,
       CAST(seen > 0 AND luck % 27 = 0 AS BIGINT) AS video_full_screen_muted, CAST(seen > 0 AND luck % 45 = 0 AS BIGINT) AS video_full_screen_paused,
       CAST(seen > 0 AND luck % 9 = 0 AS BIGINT) AS video_full_screen_started, CAST(seen > 0 AND luck % 4 = 1 AS BIGINT) AS video_muted,
       CAST(seen > 0 AND luck % 8 = 2 AS BIGINT) AS video_paused, seen AS video_percentage_complete,
       CAST(seen >= 100 AS BIGINT) AS video_played_100pc, CAST(seen >= 100 AND luck >= 30 AS BIGINT) AS video_played_100pc_viewable,
       CAST(seen >= 25 AS BIGINT) AS video_played_25pc, CAST(seen >= 25 AND luck >= 30 AS BIGINT) AS video_played_25pc_viewable,
       CAST(seen >= 50 AS BIGINT) AS video_played_50pc, CAST(seen >= 50 AND luck >= 30 AS BIGINT) AS video_played_50pc_viewable,
       CAST(seen >= 75 AS BIGINT) AS video_played_75pc, CAST(seen >= 75 AND luck >= 30 AS BIGINT) AS video_played_75pc_viewable,
       30 * seen // 100 AS video_played_duration, CAST(seen > 0 AND luck % 4 <> 1 AS BIGINT) AS video_played_with_sound,
       CAST(seen = 100 AND luck % 19 = 0 AS BIGINT) AS video_replayed, CAST(seen > 0 AND seen < 25 AS BIGINT) AS video_skipped,
       CAST(seen > 0 AS BIGINT) AS video_started, CAST(seen > 0 AND luck % 16 = 3 AS BIGINT) AS video_unmuted,
       user_id, "amci user", "amci part", CASE WHEN shown THEN segments ELSE [] END AS segments
  FROM (SELECT *, step = 0 AS shown, dice(y, 5, 100) AS luck, dice(y, 5, 100) = 50 AND form = 'Display' AS is_default,
               ['sale', 'shop', 'near me'][1 + dice(y, 2, 3)] AS term,
               CASE WHEN step = 0 THEN shown_at ELSE least(shown_at + to_milliseconds(400 + dice(y, 0, 9000)), CAST(day AS TIMESTAMP) + to_milliseconds(86399999)) END AS moment,
               CASE WHEN form <> 'Video' OR step = 1 THEN 0 WHEN dice(y, 4, 100) < 58 THEN 100 ELSE 2 + dice(y, 6, 98) END AS seen
          FROM adserver_chances, range(2) AS r(step)
         WHERE CASE WHEN form = 'Search' THEN step = 1 WHEN step = 1 THEN share(y, 7) < 0.035 ELSE true END)

-- name: adserver_conversions_with_brand
-- What one in twenty-five did on the advertiser's site within the hour, until midnight; a fifth of that is a purchase.
SELECT CASE advertiser_no WHEN 2 THEN 'GBP' ELSE 'USD' END AS account_currency, advertiser_timezone AS account_timezone,
       advertiser, advertiser_id, browser_family, city, ['Purchase', 'Sign Up', 'Landing Page', 'Product Page', 'Add to Cart'][1 + deed] AS conversion_activity,
       CAST(310000 + 10 * advertiser_no + deed AS VARCHAR) AS conversion_activity_id, CASE WHEN deed = 0 THEN currency END AS conversion_currency,
       md5(concat(adserver_session_id, '|conversion')) AS conversion_id, CASE WHEN deed = 0 THEN 'Sales' ELSE 'Counter' END AS conversion_type, 1 AS conversions,
       device_make AS device_brand, device_model, device_type, dma AS dma_code, environment,
       timezone(advertiser_timezone, timezone('UTC', moment)) AS event_dt, moment AS event_dt_utc, 'US' AS iso_country_code, state AS iso_state_province_code,
       operating_system, CASE WHEN deed = 0 THEN upper(left(md5(concat(adserver_session_id, '|order')), 12)) END AS order_id, postal AS postal_code,
       CASE WHEN deed IN (0, 3, 4) THEN asin END AS product_id, CASE WHEN deed IN (0, 3, 4) THEN title END AS product_info,
       CASE WHEN deed = 0 THEN units END AS quantity, CASE form WHEN 'Search' THEN 'www.google.com' ELSE adserver_site END AS referrer,
       CASE WHEN deed = 0 THEN units * price END AS revenue, brand AS adserver_brand, adserver_brand_id, concat(brand, ' tags') AS tag_manager,
       320000 + advertiser_no AS tag_manager_id, user_id, category AS vertical, "amci user", "amci part"
  FROM (SELECT c.*, dice(y, 6, 5) AS deed, 1 + dice(y, 1, 10) // 8 AS units, CASE c.advertiser_no WHEN 2 THEN 'GBP' ELSE 'USD' END AS currency,
               g.asin, g.title, g.price,
               least(shown_at + to_seconds(20 + dice(y, 0, 3500)), CAST(day AS TIMESTAMP) + to_milliseconds(86399999)) AS moment
          FROM adserver_chances c
          JOIN asins g ON g.advertiser_no = c.advertiser_no AND g.k = dice(c.y, 4, g.asin_count)
         WHERE share(c.y, 3) < CASE WHEN c.form = 'Search' THEN 0.12 ELSE 0.025 END)

-- name: adserver_traffic_by_user_segments
-- An impression once for each segment of the user's.
SELECT t.adserver_brand, t.adserver_brand_id, t.adserver_session_id, t.adserver_site, m.segment_description AS behavior_segment_description,
       m.segment_id AS behavior_segment_id, m.segment_name AS behavior_segment_name
  FROM (SELECT adserver_brand, adserver_brand_id, adserver_session_id, adserver_site, unnest(segments) AS segment_id
          FROM {adserver_traffic} WHERE impressions = 1) AS t
  JOIN {segment_metadata} AS m ON m.segment_id = t.segment_id AND m.segment_marketplace_id = 1
