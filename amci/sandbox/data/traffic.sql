-- Who saw and clicked what, and what came of it, for a part of the people and all days of a stretch.
-- A person's day is one md5: how many ads they saw, whether one of them (a spark) or nothing at all (an organic
-- one) leads to something, and whether that ends in an order. So days are made without those around them.

-- name: load_of
-- How busy the day is in the year and in the week.
CREATE TEMP MACRO load_of(day) AS rhythm_of(day) * CASE
  WHEN month(day) = 11 AND day(day) BETWEEN 20 AND 30 THEN 1.4 WHEN month(day) IN (7, 10) AND day(day) BETWEEN 7 AND 15 THEN 1.3 WHEN month(day) = 12 THEN 1.1 ELSE 1.0 END::DOUBLE;

-- name: is_organic
CREATE TEMP MACRO is_organic(x) AS share(x, 6) < 0.008;

-- name: days_of
-- What some people do on each of the days from `since` to `until`, where they do something.
CREATE TEMP MACRO days_of(some_people, since, until) AS TABLE
WITH lived AS (
  SELECT person, interest, utc_offset, activity, d.day, d.load, thrown('day', person, d.day, 0) AS x
    FROM query_table(some_people)
   CROSS JOIN (SELECT CAST(c AS DATE) AS day, load_of(CAST(c AS DATE)) AS load FROM range(since, until + 1, INTERVAL 1 DAY) AS r(c)) AS d
), chances AS (
  SELECT person, interest, utc_offset, day, x, fine_share(x, 0) AS u, fine_share(x, 2) AS v,
         0.43 * activity * load / (1 + 0.43 * activity * load) AS r, 0.17 * activity * load / (1 + 0.17 * activity * load) AS s
    FROM lived
)
SELECT person, interest, utc_offset, day, x, times(u, r) AS n_dsp, times(v, s) AS n_ads, is_organic(x) AS organic
  FROM chances WHERE u < r OR v < s OR is_organic(x);

-- name: stage_of
-- How far it goes: 2 an order, 1 the cart, 0 a look.
CREATE TEMP MACRO stage_of(x, order_share) AS CASE WHEN share(x, 7) < order_share THEN 2 WHEN share(x, 7) < order_share + 0.16 THEN 1 ELSE 0 END;

-- name: advertiser_of
-- Six in ten ads are of the advertiser whose things the person cares about.
CREATE TEMP MACRO advertiser_of(e, interest) AS
  CASE WHEN share(e, 0) < 0.6 THEN interest WHEN share(e, 0) < 0.8 THEN (interest + 1) % 3 ELSE (interest + 2) % 3 END;

-- name: dsp_spark_rate
-- One DSP impression of so many leads to something.
CREATE TEMP MACRO dsp_spark_rate() AS 0.012::DOUBLE;

-- name: ads_spark_rate
CREATE TEMP MACRO ads_spark_rate() AS 0.020::DOUBLE;

-- name: sparks_in
-- What begins on the days of a table of person_days; `starts_at` is when the person comes to the shop.
CREATE TEMP MACRO sparks_in(person_days) AS TABLE
WITH lit AS (
  SELECT person, day, x, interest, utc_offset, fine_share(x, 4) AS u, n_dsp, n_ads FROM query_table(person_days)
), chosen AS (
  SELECT person, day, interest, utc_offset, 'dsp' AS kind, CAST(floor(u / dsp_spark_rate()) AS INTEGER) AS i, stage_of(x, 0.10) AS stage
    FROM lit WHERE u < n_dsp * dsp_spark_rate()
  UNION ALL
  SELECT person, day, interest, utc_offset, 'ads', least(n_ads - 1, CAST(floor((u - n_dsp * dsp_spark_rate()) / ads_spark_rate()) AS INTEGER)), stage_of(x, 0.20)
    FROM lit WHERE u >= n_dsp * dsp_spark_rate() AND u < n_dsp * dsp_spark_rate() + n_ads * ads_spark_rate()
  UNION ALL
  SELECT person, day, interest, utc_offset, 'organic', 0, stage_of(x, 0.25)
    FROM query_table(person_days) WHERE organic
), thrown_too AS (
  SELECT *, thrown(kind, person, day, i) AS e, thrown('spark', person, day, kind) AS y FROM chosen
)
SELECT person, day, kind, i, stage, y, advertiser_of(e, interest) AS advertiser_no,
       moment_of(day, e, 2, utc_offset) + to_seconds(60) + CASE kind
         WHEN 'dsp' THEN to_milliseconds(CAST(floor(fine_share(y, 0) * fine_share(y, 0) * fine_share(y, 0) * 1206000000) AS BIGINT))
         WHEN 'ads' THEN to_milliseconds(CAST(floor(fine_share(y, 0) * fine_share(y, 0) * fine_share(y, 0) * fine_share(y, 0) * 345600000) AS BIGINT))
         ELSE to_seconds(0) END AS starts_at
  FROM thrown_too;

-- name: some_people
CREATE OR REPLACE TEMP TABLE some_people AS SELECT person, interest, utc_offset, activity FROM people WHERE person BETWEEN from_person() AND to_person();

-- name: person_days
CREATE OR REPLACE TEMP TABLE person_days AS FROM days_of('some_people', first_day() - 28, last_day());

-- name: sparks
CREATE OR REPLACE TEMP TABLE sparks AS FROM sparks_in('person_days')

-- name: touches
-- All ads that were shown, `clicked_at` where they were clicked. A spark of an ad one can click is a click for one
-- DSP impression in eight, and always for sponsored products, which count by clicks alone.
CREATE OR REPLACE TEMP TABLE touches AS
WITH shown AS (
  SELECT person, day, interest, utc_offset, 'dsp' AS kind, unnest(range(n_dsp)) AS i FROM person_days WHERE n_dsp > 0
  UNION ALL
  SELECT person, day, interest, utc_offset, 'ads', unnest(range(n_ads)) FROM person_days WHERE n_ads > 0
), diced AS (
  SELECT *, thrown(kind, person, day, i) AS e FROM shown
), placed AS (
  SELECT person, day, kind, CAST(i AS INTEGER) AS i, e, advertiser_of(e, interest) AS advertiser_no, CAST(dice(e, 1, 256) AS INTEGER) AS slot, moment_of(day, e, 2, utc_offset) AS seen_at FROM diced
), chosen AS (
  SELECT p.person, p.day, p.kind, p.i, p.e, p.advertiser_no, p.seen_at, d.c AS campaign, d.click_rate, d.spark_click
    FROM placed p JOIN clickable d ON d.kind = p.kind AND d.day = p.day AND d.advertiser_no = p.advertiser_no AND d.slot = p.slot
)
SELECT t.person, t.day, t.kind, t.i, t.advertiser_no, t.campaign, t.seen_at,
       CASE WHEN share(t.e, 6) < t.click_rate OR share(s.y, 2) < t.spark_click THEN t.seen_at + to_milliseconds(1000 + dice(t.e, 7, 30000)) END AS clicked_at
  FROM chosen t
  LEFT JOIN sparks s ON s.person = t.person AND s.day = t.day AND s.kind = t.kind AND s.i = t.i

-- name: buyers
-- People with an order in the stretch: their orders of the year before say who is new to a brand.
CREATE OR REPLACE TEMP TABLE buyers AS
SELECT * FROM some_people
 WHERE person IN (SELECT person FROM sparks WHERE stage = 2 AND starts_at + INTERVAL 1 HOUR >= first_day() AND starts_at < last_day() + 1);

-- name: past_days
CREATE OR REPLACE TEMP TABLE past_days AS FROM days_of('buyers', first_day() - 382, first_day() - 29) WHERE share(x, 7) < 0.25;

-- name: orders
CREATE OR REPLACE TEMP TABLE orders AS
SELECT person, day, kind, starts_at, starts_at - lag(starts_at) OVER (PARTITION BY person, advertiser_no ORDER BY starts_at, kind, day) <= INTERVAL 365 DAY AS is_known
  FROM (SELECT person, day, kind, advertiser_no, starts_at FROM sparks SEMI JOIN buyers USING (person) WHERE stage = 2
        UNION ALL
        SELECT person, day, kind, advertiser_no, starts_at FROM sparks_in('past_days') WHERE stage = 2)

-- name: visits
-- What a person came for: most of the time what was advertised to them, else something else of the brand.
CREATE OR REPLACE TEMP TABLE visits AS
SELECT s.person, s.day, s.kind, s.i, s.stage, s.advertiser_no, s.starts_at, s.y, thrown('visit', s.person, s.day, s.kind) AS z, coalesce(NOT o.is_known, true) AS is_new,
       CASE WHEN share(s.y, 3) < 0.72 AND len(g.promoted) > 0 THEN g.promoted[1 + dice(s.y, 4, len(g.promoted))] END AS asin,
       -- the square makes the first ones sell best
       CAST(floor(share(s.y, 4) * share(s.y, 4) * n.asin_count) AS INTEGER) AS k,
       s.kind = 'dsp' AND share(s.y, 5) < 0.10 AS is_pixel
  FROM sparks s
  JOIN (SELECT DISTINCT advertiser_no, asin_count FROM asins) n USING (advertiser_no)
  LEFT JOIN orders o ON o.person = s.person AND o.day = s.day AND o.kind = s.kind AND s.stage = 2
  LEFT JOIN touches t ON t.person = s.person AND t.day = s.day AND t.kind = s.kind AND t.i = s.i
  LEFT JOIN campaign_asins g ON g.kind = t.kind AND g.campaign = t.campaign
 WHERE s.starts_at + INTERVAL 1 HOUR >= first_day() AND s.starts_at < last_day() + 1

-- name: events
-- What they did there: a search at times, a look, a second look, the cart, the order; or the advertiser's own pages.
CREATE OR REPLACE TEMP TABLE new_conversions AS
WITH steps AS (
  SELECT *, unnest(list_filter(CASE WHEN is_pixel THEN [
      {'seq': 0, 'subtype': '134', 'after': 0},
      {'seq': 1, 'subtype': CASE WHEN stage = 1 THEN '140' END, 'after': 90 + dice(z, 0, 300)},
      {'seq': 2, 'subtype': CASE WHEN stage = 2 THEN '141' END, 'after': 420 + dice(z, 1, 600)}
    ] ELSE [
      {'seq': 0, 'subtype': CASE WHEN share(z, 2) < 0.15 THEN 'searchConversion' END, 'after': 0},
      {'seq': 1, 'subtype': 'detailPageView', 'after': 20 + dice(z, 3, 60)},
      {'seq': 2, 'subtype': CASE WHEN share(z, 4) < 0.35 THEN 'detailPageView' END, 'after': 90 + dice(z, 4, 60)},
      {'seq': 3, 'subtype': CASE WHEN stage > 0 THEN 'shoppingCart' END, 'after': 160 + dice(z, 0, 300)},
      {'seq': 4, 'subtype': CASE WHEN stage = 2 THEN 'order' END, 'after': 500 + dice(z, 1, 1200)},
      {'seq': 5, 'subtype': CASE WHEN share(z, 5) < 0.05 THEN 'brandStorePageView' WHEN share(z, 5) < 0.07 THEN 'wishList'
                            WHEN share(z, 5) < 0.075 THEN 'babyRegistry' WHEN share(z, 5) < 0.08 THEN 'weddingRegistry' WHEN share(z, 5) < 0.09 THEN 'customerReview' END,
       'after': 1800 + dice(z, 6, 900)}
    ] END, lambda s: s.subtype IS NOT NULL)) AS step
    FROM visits
)
SELECT v.person, v.day, v.kind, v.step.seq AS seq, v.step.subtype AS subtype, v.starts_at + to_seconds(v.step.after) AS done_at, v.advertiser_no, v.is_pixel,
       coalesce(v.asin, a.asin) AS asin, v.step.subtype = 'order' AND v.is_new AS is_new,
       CASE WHEN v.step.subtype IN ('order', '141') THEN 1 + CAST(floor(share(v.z, 7) * share(v.z, 7) * share(v.z, 7) * 4) AS INTEGER) ELSE 0 END AS units,
       md5(concat(seed(), '|conversion|', v.person, '|', v.day, '|', v.kind, '|', v.step.seq)) AS conversion_id
  FROM steps v
  JOIN asins a ON a.advertiser_no = v.advertiser_no AND a.k = (v.k + CASE WHEN v.step.seq = 2 THEN 1 ELSE 0 END) % a.asin_count
 WHERE v.starts_at + to_seconds(v.step.after) >= first_day() AND v.starts_at + to_seconds(v.step.after) < last_day() + 1

-- name: new_pairs
-- Each of them with each campaign that the person met in the 28 days before, and the last touch of the last 14.
CREATE OR REPLACE TEMP TABLE new_pairs AS
WITH met AS (
  SELECT *, seen_at AS met_at, false AS is_click FROM touches
  UNION ALL
  SELECT *, clicked_at, true FROM touches WHERE clicked_at IS NOT NULL
)
SELECT v.conversion_id, t.kind, t.campaign,
       max(struct_pack(touched_at := t.met_at, is_click := t.is_click, day := t.day, i := t.i, seen_at := t.seen_at, clicked_at := t.clicked_at))
         FILTER (t.met_at >= v.done_at - INTERVAL 14 DAY AND (t.is_click OR coalesce(g.counts_views, true))) AS touch
  FROM new_conversions v
  JOIN met t ON t.person = v.person AND t.advertiser_no = v.advertiser_no AND t.met_at < v.done_at AND t.met_at >= v.done_at - INTERVAL 28 DAY
  JOIN campaign_asins g ON g.kind = t.kind AND g.campaign = t.campaign
 GROUP BY v.conversion_id, t.kind, t.campaign;

-- name: keep_shown
INSERT INTO shown SELECT * FROM touches WHERE day >= first_day()

-- name: keep_conversions
INSERT INTO happened SELECT v.*, (SELECT count(*) FROM new_pairs p WHERE p.conversion_id = v.conversion_id) > 0 FROM new_conversions v

-- name: keep_pairs
INSERT INTO pairs SELECT p.conversion_id, v.done_at, v.person, p.kind, p.campaign, p.touch FROM new_pairs p JOIN new_conversions v USING (conversion_id)
