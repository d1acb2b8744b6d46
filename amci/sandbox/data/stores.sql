-- Brand stores: what people see in them, and what they do there.

-- name: store_pages
-- Each advertiser has a store: the home page, the best sellers, and a page for each kind of goods.
CREATE TEMP TABLE store_pages AS
SELECT advertiser_no, page, CAST(count(*) OVER (PARTITION BY advertiser_no) AS INTEGER) AS page_count, page_title, page_asins,
       upper(CAST(CAST(md5(concat('page|', advertiser_no, '|', page_title)) AS UUID) AS VARCHAR)) AS page_id
  FROM (SELECT advertiser_no, 0 AS page, 'Home' AS page_title, list(asin ORDER BY k) FILTER (k < 6) AS page_asins FROM asins GROUP BY 1
        UNION ALL
        SELECT advertiser_no, 1, 'Best Sellers', list(asin ORDER BY k) FILTER (k < 4) FROM asins GROUP BY 1
        UNION ALL
        SELECT advertiser_no, 1 + row_number() OVER (PARTITION BY advertiser_no ORDER BY min(k)), subcategory, list(asin ORDER BY k)
          FROM asins GROUP BY advertiser_no, subcategory);

-- name: store_ways
-- How people come to a store: AMC's number for it, its reference, from where, and how many in a hundred come so.
CREATE TEMP TABLE store_ways AS
SELECT *, sum(share) OVER (ORDER BY way) - share AS above, sum(share) OVER (ORDER BY way) AS below FROM (VALUES
  (0, '0', NULL, 'facebook.com', 'social_spring', 3), (1, '0', NULL, 'instagram.com', 'influencer_01', 3),
  (2, '0', NULL, 'tiktok.com', 'influencer_02', 2), (3, '0', NULL, 'youtube.com', NULL, 2), (4, '0', NULL, NULL, NULL, 4),
  (5, '0', 'org_posts_feed_rf', 'amazon.com', NULL, 3), (6, '1', NULL, 'amazon.com', NULL, 23),
  (7, '2', 'bl_ast_dp_brandLogo_sto', 'amazon.com', NULL, 28), (8, '4', 'SB_CAMPAIGN-CREATIVE', 'amazon.com', NULL, 17),
  (9, '4', 'SBV_CAMPAIGN', 'amazon.com', NULL, 5), (10, '6', 'storeRecs_dp_aplus', 'amazon.com', NULL, 6),
  (11, '7', 'org_bbb_bsp_bi-shop-by-category', 'amazon.com', NULL, 3), (12, '8', NULL, 'twitch.tv', NULL, 1)
) AS t(way, ingress_type, reference_id, referrer_domain, channel, share);

-- name: store_deeds
-- What people do on a page, one as likely as another.
CREATE TEMP TABLE store_deeds AS FROM (VALUES
  (0, 'IMPRESSION', 'ASIN_RENDER', 'ProductGrid', NULL), (1, 'IMPRESSION', 'ASIN_RENDER', 'ProductGrid', 'BEST_SELLING'),
  (2, 'IMPRESSION', 'ASIN_RENDER', 'ProductCarousel', 'RECOMMENDATION_FOR_YOU'), (3, 'IMPRESSION', 'ASIN_RENDER', 'ProductCollection', 'ProductShowcase'),
  (4, 'SCROLL', NULL, 'Gallery', NULL), (5, 'SCROLL', NULL, 'ProductCarousel', NULL), (6, 'CLICK', 'NAVIGATION', 'Header', 'Navigation'),
  (7, 'CLICK', 'NAVIGATION', 'EditorialRow', 'InteractiveImage'), (8, 'CLICK', 'DETAILPAGE', 'ProductGrid', NULL),
  (9, 'CLICK', 'DETAILPAGE', 'ProductCarousel', 'RECOMMENDATION_FOR_YOU'), (10, 'CLICK', 'GOTODETAILPAGE', 'ProductCollection', 'ProductShowcase'),
  (11, 'CLICK', 'QUICKLOOK', 'ProductGrid', 'ColorSwatches'), (12, 'CLICK', 'ADDTOCART', 'ProductGrid', 'BEST_SELLING'),
  (13, 'CLICK', 'ADDTOCART', 'ProductCollection', 'FrequentlyBoughtTogether'), (14, 'CLICK', 'PROCEEDTOCHECKOUT', 'ProductGrid', NULL),
  (15, 'CLICK', 'SHOPPINGCART', 'Header', NULL), (16, 'CLICK', NULL, 'PromotionsUnifiedBadge', 'CouponClipper'),
  (17, 'VIDEO', 'BEGIN', 'LiveVideo', NULL), (18, 'VIDEO', '5SPLAYED', 'LiveVideo', NULL), (19, 'VIDEO', '100PPLAYED', 'LiveVideo', NULL)
) AS t(deed, event_type, event_sub_type, widget_type, widget_sub_type);

-- name: store_sessions
-- Most people go to the store of the advertiser they care about.
CREATE TEMP VIEW store_sessions AS
WITH born AS (
  SELECT *, 1 + CAST(floor(fine_share(x, 0) * population()) AS BIGINT) AS person
    FROM (SELECT day, i, thrown('store', day, i, 0) AS x, thrown('way', day, i, 0) AS y FROM days, range(1 + population() // 200) AS r(i))
), placed AS (
  SELECT b.*, p.* EXCLUDE (person, device), v.device_type AS device, moment_of(day, x, 3, p.utc_offset) AS moment,
         CASE WHEN share(x, 2) < 0.75 THEN p.interest ELSE dice(y, 0, 3) END AS advertiser_no
    FROM born b
    JOIN people p USING (person)
    JOIN devices v USING (device)
)
SELECT day, i, y, person, user_id, user_id_type, "amci user", "amci part", advertiser_no,
       -- a session ends on the day on which it began
       CASE WHEN moment > CAST(day AS TIMESTAMP) + INTERVAL 21 HOUR THEN moment - INTERVAL 3 HOUR ELSE moment END AS started_at,
       1 + times(share(x, 6), 0.6) AS pages, md5(concat(seed(), '|session|', day, '|', i)) AS session_id,
       CASE device WHEN 'PC' THEN 'Desktop' WHEN 'Tablet' THEN ['Tablet_app', 'Tablet_web', 'Kindle_app'][1 + dice(y, 1, 3)]
         ELSE ['Mobile_app', 'Mobile_app', 'Mobile_web'][1 + dice(y, 1, 3)] END AS device_type,
       w.ingress_type, w.reference_id, w.referrer_domain, w.channel
  FROM placed
  JOIN store_ways w ON dice(x, 7, 100) >= w.above AND dice(x, 7, 100) < w.below;

-- name: store_views
-- The pages of a session, one after another; a long session may be two visits, half an hour apart.
CREATE TEMP VIEW store_views AS
WITH turned AS (
  SELECT s.*, turn, thrown('page', day, i, turn) AS z, turn >= 3 AND dice(y, 2, 3) = 0 AS is_second
    FROM store_sessions s, range(9) AS r(turn)
   WHERE turn < pages
), timed AS (
  -- seconds: most look at a page for moments, some for minutes
  SELECT *, CAST(1500 + floor(share(z, 0) * share(z, 0) * share(z, 0) * 240000) AS BIGINT) AS dwell FROM turned
)
SELECT t.*, g.page_id, g.page_title, g.page_asins,
       started_at + to_milliseconds(
         CAST(coalesce(sum(dwell + 400) OVER (PARTITION BY day, i ORDER BY turn ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS BIGINT)
         + CASE WHEN is_second THEN 1800000 ELSE 0 END) AS viewed_at,
       md5(concat(session_id, '|', is_second)) AS visit_id
  FROM timed t
  JOIN store_pages g ON g.advertiser_no = t.advertiser_no
   AND g.page = CASE WHEN turn = 0 AND dice(z, 1, 10) < 6 THEN 0 ELSE dice(z, 2, g.page_count) END;

-- name: amazon_brand_store_page_views
SELECT a.advertiser_id, channel, device_type, dwell / 1000.0 AS dwell_time, CAST(viewed_at AS DATE) AS event_date_utc, viewed_at AS event_dt_utc,
       ingress_type, 1 AS marketplace_id, page_id, page_title, reference_id, referrer_domain, session_id, concat(a.advertiser, ' Store') AS store_name,
       user_id, user_id_type, visit_id, dice(y, 3, 25) = 0 AS no_3p_trackers, "amci user", "amci part"
  FROM store_views
  JOIN advertisers a USING (advertiser_no)

-- name: amazon_brand_store_engagement_events
-- Up to three deeds on a page, while it is looked at.
SELECT a.advertiser_id,
       CASE WHEN d.event_sub_type IN ('ASIN_RENDER', 'DETAILPAGE', 'GOTODETAILPAGE', 'QUICKLOOK', 'ADDTOCART')
            THEN page_asins[1 + (dice(z, 6, 60) + deeds.n) % len(page_asins)] END AS asin,
       channel, device_type, CAST(viewed_at AS DATE) AS event_date_utc, viewed_at + to_milliseconds(dwell * (deeds.n + 1) // 4) AS event_dt_utc,
       d.event_sub_type, d.event_type, ingress_type, 1 AS marketplace_id, page_id, page_title, reference_id, referrer_domain, session_id,
       concat(a.advertiser, ' Store') AS store_name, user_id, user_id_type, d.widget_sub_type, d.widget_type,
       dice(y, 3, 25) = 0 AS no_3p_trackers, "amci user", "amci part", deeds.n AS deed
  FROM store_views
 CROSS JOIN range(3) AS deeds(n)
  JOIN store_deeds d ON d.deed = dice(z, 3 + n, 20)
  JOIN advertisers a USING (advertiser_no)
 WHERE deeds.n < dice(z, 7, 4)
