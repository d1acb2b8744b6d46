-- The rows of Amazon DSP: what is known of each impression. Run once in every session, after sponsored.sql.

-- name: dsp_rows
-- The impressions in a table of touches (person, day, i, campaign, seen_at, clicked_at); `line_key` says which
-- line item and creative of dsp_about it was, `price` is in millicents.
CREATE TEMP MACRO dsp_rows(touches_of_dsp) AS TABLE
WITH diced AS (
  SELECT person, day, i, campaign, seen_at, clicked_at, thrown('impression', person, day, i) AS f, thrown('seen', person, day, i) AS v FROM query_table(touches_of_dsp)
), placed AS (
  SELECT t.*, p.* EXCLUDE (person), CASE WHEN share(t.f, 0) < 0.6 THEN r.matched END AS matched, CAST(dice(t.f, 1, 3) AS INTEGER) AS k, g.screen,
         CASE g.screen WHEN 'TV' THEN CASE WHEN p.second_device BETWEEN 9 AND 12 THEN p.second_device ELSE p.device END
           WHEN 'ears' THEN CASE WHEN p.second_device = 15 THEN 15 ELSE p.device END
           WHEN 'out' THEN 15
           ELSE CASE WHEN share(t.f, 2) < 0.18 AND p.second_device < 9 THEN p.second_device ELSE p.device END END AS used_device,
         CAST(dice(t.f, 3, CASE g.screen WHEN 'TV' THEN 5 WHEN 'ears' THEN 2 WHEN 'out' THEN 1 ELSE 10 END) AS INTEGER) AS site_no
    FROM diced t
    JOIN people p ON p.person = t.person
    JOIN dsp_campaigns g ON g.c = t.campaign
    LEFT JOIN reached r ON r.person = t.person AND r.advertiser_no = g.advertiser_no
), told AS (
  SELECT t.*, l.line_key, l.advertiser_no, l.usual_environment, l.creative_category, l.view_share,
         CAST(floor(l.cpm * 100 * (0.7::DOUBLE + 0.6::DOUBLE * fine_share(t.f, 4))) AS BIGINT) AS price,
         -- how far a video is watched: 0 not at all, 1 started, 2-4 quartiles, 5 to its end
         CASE WHEN l.creative_category <> 'Video' OR l.creative_type IN ('Audio', 'Digital Signage') THEN NULL
           WHEN l.creative_type = 'Streaming TV Video' THEN CASE WHEN share(v, 0) < 0.93 THEN 5 WHEN share(v, 0) < 0.95 THEN 4 WHEN share(v, 0) < 0.97 THEN 3 WHEN share(v, 0) < 0.98 THEN 2 WHEN share(v, 0) < 0.995 THEN 1 ELSE 0 END
           ELSE CASE WHEN share(v, 0) < 0.48 THEN 5 WHEN share(v, 0) < 0.57 THEN 4 WHEN share(v, 0) < 0.68 THEN 3 WHEN share(v, 0) < 0.80 THEN 2 WHEN share(v, 0) < 0.96 THEN 1 ELSE 0 END
         END AS watched,
         CASE WHEN l.view_share > 0 AND share(v, 1) < 0.94 THEN CASE WHEN t.clicked_at IS NOT NULL OR share(v, 2) < l.view_share::DOUBLE THEN 'VIEW' ELSE 'MEASURABLE_IMP' END
           WHEN share(v, 2) < l.view_share::DOUBLE THEN 'SYNTHETIC_VIEW' ELSE 'UNMEASURABLE_IMP' END AS view_kind,
         l.usual_environment = 'App' OR (t.used_device IN (0, 1, 2, 3, 4, 13, 14) AND t.site_no > 6 AND share(v, 6) < 0.5) AS is_app
    FROM placed t
    JOIN dsp_about l ON l.c = t.campaign AND l.k = t.k AND l.line = CASE WHEN t.matched IS NULL THEN 1 ELSE 2 END
)
SELECT t.person, t.day, t.i, t.line_key, t.seen_at AS impression_dt_utc, t.seen_at + to_minutes(h.minutes) AS impression_dt, t.clicked_at AS click_dt_utc,
       md5(concat(seed(), '|request|', t.person, '|', t.day, '|', t.i)) AS request_tag, t.price,
       CASE WHEN is_app THEN coalesce(s.app_bundle, 'com.example.news') END AS app_bundle, CASE WHEN NOT is_app THEN d.browser_family END AS browser_family,
       CASE WHEN is_app THEN 'App' ELSE t.usual_environment END AS environment_type, s.is_amazon_owned, s.page_type, s.site, s.supply_source, CAST(s.supply_source_id AS BIGINT) AS supply_source_id,
       s.is_amazon_owned AND t.view_share > 0 AS supply_source_is_view_aware, CAST(CASE WHEN s.is_amazon_owned AND t.view_share > 0 THEN t.view_share - 0.02 END AS DECIMAL(18, 4)) AS supply_source_view_rate,
       CASE WHEN t.creative_category = 'Video' THEN 'UNKNOWN' WHEN share(t.v, 3) < 0.58 THEN 'ATF' WHEN share(t.v, 3) < 0.9 THEN 'BTF' ELSE 'UNKNOWN' END AS slot_position,
       CASE WHEN t.used_device = t.device THEN t.device_id ELSE t.second_device_id END AS device_id, d.device_make, d.device_model, d.device_type, d.operating_system, d.os_version,
       t.city AS city_name, t.dma AS dma_code, t.state AS iso_state_province_code, t.postal AS postal_code, share(t.f, 7) < 0.03 AS no_3p_trackers,
       CASE WHEN t.user_id IS NOT NULL THEN coalesce(t.matched, CAST([] AS INTEGER[])) END AS matched_behavior_segment_ids, CASE WHEN t.user_id IS NOT NULL THEN t.segments END AS user_behavior_segment_ids,
       t.user_id, t.user_id_type, t."amci user", t."amci part", t.view_kind,
       CASE WHEN t.view_kind IN ('VIEW', 'SYNTHETIC_VIEW') THEN t.seen_at + to_milliseconds(1000 + dice(t.v, 4, 4000)) END AS viewed_at,
       CAST(t.watched AS TINYINT) AS watched, CAST(CASE WHEN t.watched IS NOT NULL THEN die(t.v, 5) & 32767 END AS SMALLINT) AS handled
  FROM told AS t
  JOIN devices d ON d.device = t.used_device
  JOIN sites s ON s.screen = t.screen AND s.k = t.site_no
  JOIN local_hours h ON h.advertiser_no = t.advertiser_no AND h.utc_hour = date_trunc('hour', t.seen_at);

-- name: dsp_shown
CREATE TEMP VIEW dsp_shown AS SELECT * FROM shown SEMI JOIN days USING (day) WHERE kind = 'dsp';
