-- What ads led to, as rows: conversions, the campaigns they are relevant to, and the touches they are attributed to.

-- name: conversion_rows
-- A conversion in AMC's words; money in currency units.
CREATE TEMP VIEW conversion_rows AS
SELECT h.conversion_id, h.person, h.kind, h.advertiser_no, h.asin, h.is_pixel, h.is_exposed, h.done_at AS event_dt_utc, h.subtype AS event_subtype,
       CASE WHEN h.is_pixel THEN 'off-Amazon' WHEN h.subtype = 'order' THEN 'purchase' ELSE 'website' END AS event_category, 'CONVERSION' AS event_type,
       CASE WHEN h.subtype IN ('order', '141') THEN 'conversion' ELSE 'consideration' END AS event_type_class,
       CASE h.subtype WHEN 'order' THEN 'Product purchased' WHEN 'shoppingCart' THEN 'Add to Shopping Cart' WHEN 'detailPageView' THEN 'Product detail page viewed'
         WHEN 'searchConversion' THEN 'Branded search' WHEN 'brandStorePageView' THEN 'Brand store page viewed' WHEN 'wishList' THEN 'Add to wish list'
         WHEN 'babyRegistry' THEN 'add to baby registry' WHEN 'weddingRegistry' THEN 'add to wedding registry' WHEN 'customerReview' THEN 'Customer review'
         WHEN '134' THEN 'Page view' WHEN '140' THEN 'Add to cart off Amazon' ELSE 'Off-Amazon purchases' END AS event_type_description,
       CASE h.subtype WHEN '134' THEN 'Homepage_Visit' WHEN '140' THEN 'Add_To_Cart' WHEN '141' THEN 'Checkout' END AS conversion_event_name,
       CASE WHEN NOT h.is_pixel THEN NULL WHEN h.advertiser_no = 0 THEN 'Amazon Ad Tag' WHEN h.advertiser_no = 1 THEN 'Conversions API' ELSE 'Mobile Measurement Partner' END AS conversion_event_source_name,
       CASE WHEN NOT h.is_pixel THEN 'AMAZON.COM' END AS marketplace_name, h.is_new AS new_to_brand, CASE WHEN h.units > 0 THEN 'USD' END AS purchase_currency,
       CASE WHEN h.subtype = 'order' THEN CASE WHEN h.advertiser_no = 1 AND h.seq + day(h.done_at) % 9 = 4 THEN 'Amazon Fresh' ELSE 'Amazon.com' END END AS purchase_retail_program,
       CASE WHEN h.subtype = 'order' THEN h.asin END AS tracked_asin,
       CASE WHEN h.is_pixel THEN CAST(4400 + 10 * h.advertiser_no AS VARCHAR) || right(h.subtype, 1) WHEN h.subtype = 'searchConversion' THEN concat('keyword-', lower(CASE a.k % 3 WHEN 2 THEN a.subcategory ELSE v.brand END))
         WHEN h.subtype = 'brandStorePageView' THEN concat('store-', v.advertiser_id) ELSE h.asin END AS tracked_item,
       CASE WHEN h.subtype = 'order' THEN h.units ELSE 0 END AS total_units_sold, CAST(CASE WHEN h.subtype = 'order' THEN h.units * a.price ELSE 0 END AS DECIMAL(18, 4)) AS total_product_sales,
       CAST(CASE WHEN h.subtype = '141' THEN h.units * a.price ELSE 0 END AS DECIMAL(18, 4)) AS off_amazon_product_sales,
       CAST(CASE h.subtype WHEN '140' THEN 25 WHEN '134' THEN 1 ELSE 0 END AS DECIMAL(18, 4)) AS off_amazon_conversion_value,
       CAST(CASE WHEN h.units > 0 THEN h.units * a.price ELSE 0 END AS DECIMAL(18, 4)) AS combined_sales, CAST(CASE WHEN h.subtype = 'order' THEN a.price END AS DECIMAL(18, 4)) AS purchase_unit_price,
       CASE WHEN h.subtype = 'order' AND h.units = 1 AND day(h.done_at) % 16 = 3 THEN concat('SNS', upper(substr(h.conversion_id, 1, 12))) END AS sns_subscription_id, false AS no_3p_trackers
  FROM happened h
  JOIN advertisers v USING (advertiser_no)
  JOIN asins a ON a.asin = h.asin
 WHERE CAST(h.done_at AS DATE) IN (FROM days);

-- name: promotions
-- What campaigns advertise, with the families and categories of it.
CREATE TEMP TABLE promotions AS
SELECT g.kind, g.campaign, g.promoted, list(DISTINCT a.parent) AS parents, list(DISTINCT a.subcategory) AS subcategories
  FROM (SELECT *, unnest(promoted) AS one FROM campaign_asins) g JOIN asins a ON a.asin = g.one GROUP BY ALL;

-- name: pairs_of_days
-- What happened off Amazon is told to DSP campaigns alone.
CREATE TEMP VIEW pairs_of_days AS
SELECT p.* FROM pairs p JOIN (SELECT conversion_id, is_pixel FROM happened WHERE CAST(done_at AS DATE) IN (FROM days)) h USING (conversion_id)
 WHERE CAST(p.done_at AS DATE) IN (FROM days) AND (p.kind = 'dsp' OR NOT h.is_pixel);

-- name: touched_dsp
CREATE TEMP VIEW touched_dsp AS
SELECT DISTINCT person, touch.day AS day, touch.i AS i, campaign, touch.seen_at AS seen_at, touch.clicked_at AS clicked_at FROM pairs_of_days WHERE kind = 'dsp' AND touch IS NOT NULL;

-- name: touched_ads
CREATE TEMP VIEW touched_ads AS
SELECT DISTINCT person, touch.day AS day, touch.i AS i, campaign, touch.seen_at AS seen_at, touch.clicked_at AS clicked_at FROM pairs_of_days WHERE kind = 'ads' AND touch IS NOT NULL;

-- name: attributed_conversions
-- Each conversion with each campaign it is attributed to.
CREATE TEMP VIEW attributed_conversions AS
SELECT c.* EXCLUDE (person, kind, asin, is_exposed, sns_subscription_id, no_3p_trackers), p.person, p.kind, p.touch.day AS day, p.touch.i AS i, p.touch.touched_at AS traffic_event_dt_utc,
       p.touch.is_click AS is_click, list_contains(g.promoted, c.asin) AS is_promoted, p.touch.touched_at + to_minutes(t.minutes) AS traffic_event_dt, c.event_dt_utc + to_minutes(u.minutes) AS event_dt
  FROM pairs_of_days p
  JOIN conversion_rows c USING (conversion_id)
  JOIN campaign_asins g ON g.kind = p.kind AND g.campaign = p.campaign
  JOIN local_hours t ON t.advertiser_no = c.advertiser_no AND t.utc_hour = date_trunc('hour', p.touch.touched_at)
  JOIN local_hours u ON u.advertiser_no = c.advertiser_no AND u.utc_hour = date_trunc('hour', c.event_dt_utc)
 WHERE p.touch IS NOT NULL;

-- name: conversion_events
SELECT c.* EXCLUDE (advertiser_no, kind, asin, is_pixel, is_exposed), CASE WHEN c.is_pixel THEN 'pixel' WHEN c.is_exposed THEN 'ad-exposed' ELSE 'non-ad-exposed' END AS exposure_type,
       p.user_id, p.user_id_type, p."amci user", p."amci part"
  FROM conversion_rows c JOIN people p USING (person)

-- name: relevant
-- Each conversion with each campaign it is relevant to; `codes` says why, a row of AMC's for each.
SELECT c.* EXCLUDE (kind, advertiser_no, asin, is_exposed, is_pixel, sns_subscription_id), c.event_dt_utc + to_minutes(h.minutes) AS event_dt, p.kind = 'dsp' AS is_dsp, p.campaign AS campaign_no,
       CASE WHEN c.is_pixel THEN NULL WHEN list_contains(g.promoted, c.asin) OR list_contains(g.parents, a.parent) OR c.event_subtype IN ('searchConversion', 'brandStorePageView') THEN 'PROMOTED' ELSE 'BRAND_HALO' END AS engagement_scope,
       CASE WHEN c.is_pixel THEN [NULL]
         WHEN c.event_subtype = 'searchConversion' THEN [CASE a.k % 3 WHEN 2 THEN 'CATEGORY_KEYWORD' ELSE 'BRAND_KEYWORD' END]
         WHEN c.event_subtype = 'brandStorePageView' THEN ['BRAND_MARKETPLACE']
         WHEN list_contains(g.promoted, c.asin) THEN ['TRACKED_ASIN']
         WHEN list_contains(g.parents, a.parent) THEN ['VARIATIONAL_ASIN']
         WHEN list_contains(g.subcategories, a.subcategory) THEN ['BRAND_MARKETPLACE', 'BRAND_GL_PRODUCT', 'BRAND_CATEGORY', 'BRAND_SUBCATEGORY']
         ELSE ['BRAND_MARKETPLACE', 'BRAND_CATEGORY'] END AS codes,
       p_.user_id, p_.user_id_type, p_."amci user", p_."amci part"
  FROM pairs_of_days p
  JOIN conversion_rows c USING (conversion_id)
  JOIN people p_ ON p_.person = p.person
  JOIN asins a ON a.asin = c.asin
  JOIN promotions g ON g.kind = p.kind AND g.campaign = p.campaign
  JOIN local_hours h ON h.advertiser_no = c.advertiser_no AND h.utc_hour = date_trunc('hour', c.event_dt_utc)

-- name: attributed_dsp
SELECT a.* EXCLUDE (kind, is_pixel, advertiser_no), d.* EXCLUDE (person, day, i, click_dt_utc, view_kind, viewed_at, watched, handled, matched_behavior_segment_ids, user_behavior_segment_ids),
       CASE WHEN a.is_click THEN d.click_dt_utc END AS click_dt_utc, CASE WHEN a.is_click THEN a.traffic_event_dt END AS click_dt
  FROM attributed_conversions a JOIN dsp_rows('touched_dsp') d ON d.person = a.person AND d.day = a.day AND d.i = a.i AND a.kind = 'dsp'

-- name: attributed_ads
SELECT a.* EXCLUDE (kind, is_pixel, advertiser_no), d.* EXCLUDE (person, day, i, seen_at, clicked_at, minutes, creative_asin, is_tv, matched_behavior_segment_ids, viewable, watched, is_unmuted),
       ads_event_id(a.person, a.day, a.i, a.is_click) AS traffic_event_id, d.seen_at AS impression_dt_utc, d.seen_at + to_minutes(d.minutes) AS impression_dt,
       CASE WHEN a.is_click THEN a.traffic_event_dt_utc END AS click_dt_utc, CASE WHEN a.is_click THEN a.traffic_event_dt END AS click_dt
  FROM attributed_conversions a JOIN ads_rows('touched_ads') d ON d.person = a.person AND d.day = a.day AND d.i = a.i AND a.kind = 'ads'

-- name: campaigns
-- Campaigns of both kinds, as far as conversions_with_relevance tells of them.
SELECT true AS is_dsp, c AS campaign_no, advertiser, advertiser_id, advertiser_timezone, campaign, campaign_budget_amount, campaign_end_date AS campaign_end_dt, campaign_end_date_utc AS campaign_end_dt_utc,
       campaign_id, campaign_id_string, campaign_sales_type, campaign_source, campaign_start_date AS campaign_start_dt, campaign_start_date_utc AS campaign_start_dt_utc
  FROM dsp_about WHERE line = 1 AND k = 0
UNION ALL
SELECT false, ad_key, advertiser, advertiser_id, advertiser_timezone, campaign, CAST(click_price * 10000000 AS BIGINT), campaign_end_dt, campaign_end_dt_utc,
       campaign_id, campaign_id_string, 'BILLABLE', 'SPONSORED_ADS', campaign_start_dt, campaign_start_dt_utc
  FROM ads_about
