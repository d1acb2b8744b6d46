-- Prime Video Channels: who subscribes, and what they watch.

-- name: pv_channels
-- What people subscribe to.
CREATE TEMP TABLE pv_channels AS FROM (VALUES
  (0, 'cinemaplusus', 'Cinema Plus', 9.99, 7),
  (1, 'sportsarenaus', 'Sports Arena', 14.99, 7),
  (2, 'mysteryboxus', 'Mystery Box TV', 6.99, 14),
  (3, 'kidstreehouseus', 'Kids Treehouse', 4.99, 7)
) AS t(channel, benefit_id, benefit, price, trial_days);

-- name: pv_titles
-- What the channels show, eight each: films and events have no seasons.
CREATE TEMP TABLE pv_titles AS FROM (VALUES
  (0, 0, 'Movie', 'Feature Film', 'Harbor of Glass', 0, 0, 118, 'PG-13', ['Drama', 'Romance'], ['Ana Whitfield', 'Jonas Reyes', 'Mei Tanaka'], ['Clara Oduya'], 'Lantern Pictures', '2024-05-17', NULL, NULL),
  (0, 1, 'Movie', 'Feature Film', 'The Ninth Signal', 0, 0, 131, 'R', ['Science Fiction', 'Suspense'], ['Idris Cole', 'Nadia Petrov'], ['Tomas Lindqvist', 'Ruth Amari'], 'Lantern Pictures', '2025-02-07', NULL, NULL),
  (0, 2, 'TV Episode', 'TV Series', 'North Gate', 3, 10, 52, 'TV-MA', ['Drama', 'Action'], ['Owen Marsh', 'Leila Haddad', 'Sam Okafor', 'Grace Lin'], ['Petra Novak'], 'Gatehouse Studios', '2023-09-22', NULL, NULL),
  (0, 3, 'TV Episode', 'TV Series', 'Small Hours', 2, 8, 29, 'TV-14', ['Comedy'], ['Dina Kowalski', 'Marcus Bell'], ['Hugo Ferrer'], 'Gatehouse Studios', '2024-10-11', NULL, NULL),
  (0, 4, 'Movie', 'Feature Film', 'Paper Lanterns', 0, 0, 96, 'PG', ['Family', 'Comedy'], ['Rosa Delgado', 'Kenji Mori'], ['Anita Rao'], 'Lantern Pictures', '2022-12-16', NULL, NULL),
  (0, 5, 'Movie', 'Short Film', 'Eleven Minutes', 0, 0, 11, 'NR', ['Drama'], ['Ana Whitfield'], ['Lena Fischer'], 'Studio Elf', '2025-06-01', NULL, NULL),
  (0, 6, 'Movie', 'Documentary', 'Rivers of Salt', 0, 0, 88, 'PG', ['Documentary'], ['Jonas Reyes'], ['Ruth Amari'], 'Studio Elf', '2023-04-21', NULL, NULL),
  (0, 7, 'Promotion', 'Trailer', 'Coming to Cinema Plus', 0, 0, 2, 'NR', ['Special Interest'], ['Idris Cole'], ['Clara Oduya'], 'Lantern Pictures', '2026-01-05', NULL, NULL),
  (1, 0, 'Live Event', 'Sports', 'Coastal League Matchday', 0, 0, 135, 'NR', ['Sports'], ['Ray Donnelly', 'Tess Monroe'], ['Viktor Hale'], 'Arena Sports', '2026-01-10', 'Coastal League', 'Soccer'),
  (1, 1, 'Live Event', 'Sports', 'Summit Basketball Night', 0, 0, 150, 'NR', ['Sports'], ['Keisha Grant', 'Ray Donnelly'], ['Viktor Hale'], 'Arena Sports', '2026-01-13', 'Summit Basketball', 'Basketball'),
  (1, 2, 'Live Event', 'Sports', 'Gridiron Sunday', 0, 0, 195, 'NR', ['Sports'], ['Tess Monroe', 'Bill Archer'], ['Joan Pike'], 'Arena Sports', '2026-01-11', 'National Gridiron', 'Football'),
  (1, 3, 'Live Event', 'Sports', 'Fight Card', 0, 0, 180, 'NR', ['Sports'], ['Bill Archer'], ['Joan Pike'], 'Arena Sports', '2026-02-14', 'Iron Ring', 'Boxing'),
  (1, 4, 'TV Episode', 'TV Series', 'Locker Room', 4, 6, 44, 'TV-14', ['Documentary', 'Sports'], ['Keisha Grant'], ['Viktor Hale'], 'Arena Sports', '2024-08-30', NULL, NULL),
  (1, 5, 'TV Episode', 'TV Series', 'The Morning Whistle', 1, 40, 25, 'NR', ['Talk Show', 'Sports'], ['Ray Donnelly', 'Keisha Grant'], ['Joan Pike'], 'Arena Sports', '2026-01-02', NULL, NULL),
  (1, 6, 'Movie', 'Documentary', 'The Last Penalty', 0, 0, 102, 'PG-13', ['Documentary', 'Sports'], ['Tess Monroe'], ['Lena Fischer'], 'Studio Elf', '2025-11-14', NULL, NULL),
  (1, 7, 'Promotion', 'Trailer', 'This Week in the Arena', 0, 0, 1, 'NR', ['Sports'], ['Ray Donnelly'], ['Viktor Hale'], 'Arena Sports', '2026-01-05', NULL, NULL),
  (2, 0, 'TV Episode', 'TV Series', 'Inspector Vale', 5, 6, 88, 'TV-14', ['Mystery', 'Drama'], ['Helen Carr', 'Simon Ashby', 'Priya Nair'], ['Walter Keane'], 'Old Mill Productions', '2019-03-03', NULL, NULL),
  (2, 1, 'TV Episode', 'TV Series', 'The Fjord Murders', 2, 8, 46, 'TV-MA', ['Mystery', 'Suspense'], ['Ingrid Dahl', 'Lars Berg'], ['Sofie Krogh', 'Nils Aune'], 'Nordlys Film', '2022-10-05', NULL, NULL),
  (2, 2, 'TV Episode', 'TV Series', 'Cold Parish', 3, 6, 58, 'TV-14', ['Mystery'], ['Simon Ashby', 'Moira Quinn'], ['Walter Keane'], 'Old Mill Productions', '2021-01-15', NULL, NULL),
  (2, 3, 'Movie', 'Feature Film', 'A Study in Rain', 0, 0, 107, 'PG-13', ['Mystery', 'Drama'], ['Helen Carr', 'Idris Cole'], ['Nils Aune'], 'Old Mill Productions', '2024-02-09', NULL, NULL),
  (2, 4, 'Movie', 'Feature Film', 'Night Ferry', 0, 0, 99, 'R', ['Suspense'], ['Lars Berg', 'Nadia Petrov'], ['Sofie Krogh'], 'Nordlys Film', '2025-09-26', NULL, NULL),
  (2, 5, 'TV Episode', 'TV Series', 'Unsolved Letters', 1, 12, 41, 'TV-PG', ['Documentary', 'Mystery'], ['Priya Nair'], ['Moira Quinn'], 'Old Mill Productions', '2025-05-20', NULL, NULL),
  (2, 6, 'Movie', 'Short Film', 'The Witness', 0, 0, 14, 'NR', ['Mystery'], ['Ingrid Dahl'], ['Nils Aune'], 'Nordlys Film', '2023-07-07', NULL, NULL),
  (2, 7, 'Promotion', 'Trailer', 'New Cases', 0, 0, 2, 'NR', ['Mystery'], ['Helen Carr'], ['Walter Keane'], 'Old Mill Productions', '2026-01-05', NULL, NULL),
  (3, 0, 'TV Episode', 'TV Series', 'Pip and Marlow', 4, 26, 11, 'TV-Y', ['Kids', 'Animation'], ['Lily Stone', 'Max Porter'], ['Dora Klein'], 'Acorn Animation', '2021-06-14', NULL, NULL),
  (3, 1, 'TV Episode', 'TV Series', 'Rocket Garden', 2, 20, 22, 'TV-Y7', ['Kids', 'Adventure'], ['Theo Banks', 'Lily Stone'], ['Dora Klein', 'Sam Wren'], 'Acorn Animation', '2023-03-18', NULL, NULL),
  (3, 2, 'TV Episode', 'Educational', 'Counting with Otto', 3, 15, 14, 'TV-Y', ['Kids', 'Educational'], ['Max Porter'], ['Sam Wren'], 'Acorn Animation', '2022-09-01', NULL, NULL),
  (3, 3, 'Movie', 'Feature Film', 'The Lost Kite', 0, 0, 84, 'G', ['Kids', 'Family'], ['Theo Banks', 'Rosa Delgado'], ['Dora Klein'], 'Acorn Animation', '2024-11-22', NULL, NULL),
  (3, 4, 'Movie', 'Feature Film', 'Snow Day Rescue', 0, 0, 79, 'G', ['Kids', 'Adventure'], ['Lily Stone', 'Max Porter'], ['Sam Wren'], 'Acorn Animation', '2023-12-01', NULL, NULL),
  (3, 5, 'TV Episode', 'Educational', 'Why Is That?', 1, 30, 9, 'TV-Y7', ['Kids', 'Educational'], ['Theo Banks'], ['Dora Klein'], 'Acorn Animation', '2025-01-20', NULL, NULL),
  (3, 6, 'Movie', 'Short Film', 'Moonboat', 0, 0, 7, 'G', ['Kids', 'Animation'], ['Lily Stone'], ['Sam Wren'], 'Acorn Animation', '2025-03-14', NULL, NULL),
  (3, 7, 'Promotion', 'Trailer', 'New in the Treehouse', 0, 0, 1, 'TV-Y', ['Kids'], ['Max Porter'], ['Dora Klein'], 'Acorn Animation', '2026-01-05', NULL, NULL)
) AS t(channel, n, content_type, entity_type, title, seasons, episodes, minutes, rating, genres, cast_members, directors, studio, released, league, sport);

-- name: pv_subscribers
-- Who has which channel, and how. Each lives through a year of their own again and again, from its day `phase`
-- on: a trial or none, months that are paid, and a rest without the channel.
CREATE TEMP TABLE pv_subscribers AS
SELECT p.person, c.channel, x, dice(x, 1, 360) AS phase, dice(x, 3, 12) AS months, dice(x, 4, 5) = 0 AS has_promo,
       CASE WHEN dice(x, 2, 10) < 7 THEN c.trial_days ELSE 0 END AS trial
  FROM (SELECT person, channel, thrown('channel', person, channel, 0) AS x
          FROM people, pv_channels) AS p
  JOIN pv_channels c USING (channel)
 WHERE share(x, 0) < [0.06, 0.05, 0.03, 0.04][channel + 1];

-- name: pv_subscriber_days
-- The days on which they have it; `age` counts from the beginning of their year.
CREATE TEMP VIEW pv_subscriber_days AS
SELECT day, (day - DATE '2020-01-01' - phase) % 360 AS age, (day - DATE '2020-01-01' - phase) // 360 AS circle, s.*
  FROM days, pv_subscribers s
 WHERE (day - DATE '2020-01-01' - phase) % 360 < trial + 30 * months;

-- name: amazon_pvc_enrollments
-- A record for the trial and for every month that is paid.
WITH records AS (
  SELECT *, md5(concat(seed(), '|subscription|', person, '|', channel, '|', circle)) AS subscription, age < trial AS is_trial,
         (age - trial) // 30 AS month
    FROM pv_subscriber_days
   WHERE age = 0 OR (age >= trial AND (age - trial) % 30 = 0)
)
SELECT 1 AS marketplace_id, 'AMAZON.COM' AS marketplace_name, dice(x, 5, 25) = 0 AS no_3p_trackers,
       c.benefit_id AS pv_benefit_id, c.benefit AS pv_benefit_name,
       CASE WHEN is_trial THEN 'Free Trial' WHEN has_promo AND month < 2 THEN 'Promotional' ELSE 'Hard Offer' END AS pv_billing_type,
       CASE WHEN is_trial THEN day + trial - 1 ELSE day + 29 END AS pv_end_date,
       CASE WHEN (is_trial AND months = 0) OR month = months - 1 THEN 'CANCELLED' ELSE 'ACTIVE' END AS pv_enrollment_status,
       NOT is_trial AND trial > 0 AND month = 0 AS pv_is_plan_conversion, age = 0 AS pv_is_plan_start,
       NOT is_trial AND has_promo AND month < 2 AS pv_is_promo,
       CASE WHEN is_trial THEN concat(c.benefit, ' - ', trial, ' day free trial')
            WHEN has_promo AND month < 2 THEN concat(c.benefit, ' - half price for 2 months')
            ELSE concat(c.benefit, ' - monthly') END AS pv_offer_name,
       day AS pv_start_date, md5(concat(subscription, day)) AS pv_sub_event_primary_key, subscription AS pv_subscription_id,
       concat(c.benefit, ' Monthly') AS pv_subscription_name, concat('amzn1.sub.', c.benefit_id) AS pv_subscription_product_id,
       CASE WHEN is_trial THEN 0 WHEN has_promo AND month < 2 THEN c.price / 2 ELSE c.price END AS pv_unit_price,
       p.user_id, p.user_id_type, p."amci user", p."amci part"
  FROM records
  JOIN pv_channels c USING (channel)
  JOIN people p USING (person)

-- name: amazon_pvc_streaming_events_feed
-- What they watch on a fourth of their days. Events are live at weekends and on Tuesdays, else shown again.
WITH thrown_days AS (
  SELECT day, person, channel, thrown('stream', person, channel, day) AS y FROM pv_subscriber_days
), sessions AS (
  SELECT s.*, t.* EXCLUDE (channel), dice(y, 1, 100) AS luck,
         1 + dice(y, 2, greatest(seasons, 1)) AS season, 1 + dice(y, 3, greatest(episodes, 1)) AS episode,
         t.content_type = 'Live Event' AND dayofweek(day) IN (0, 2, 6) AND dice(y, 1, 100) < 85 AS is_live
    FROM thrown_days s
    JOIN pv_titles t ON t.channel = s.channel AND t.n = dice(y, 4, 31) % 8
   WHERE dice(y, 0, 4) = 0
), watched AS (
  SELECT *, content_type = 'Promotion' AS is_promotion, luck % 20 = 7 AS has_ads,
         concat(CASE WHEN seasons > 0 THEN concat(title, '|', season, '|', episode) ELSE title END) AS item,
         CASE WHEN is_live THEN CAST(day AS TIMESTAMP) + to_milliseconds(61200000 + CAST(floor(fine_share(y, 5) * 23400000) AS BIGINT))
              ELSE moment_of(day, y, 5, p.utc_offset) END AS moment,
         p.user_id, p.user_id_type, p."amci user", p."amci part"
    FROM sessions
    JOIN people p USING (person)
)
SELECT 1 AS marketplace_id, 'AMAZON.COM' AS marketplace_name, luck % 25 = 0 AS no_3p_trackers,
       CASE WHEN is_promotion OR has_ads THEN 'Free' ELSE 'Prime Subscription' END AS pv_access_type,
       cast_members AS pv_gti_cast, entity_type AS pv_gti_content_entity_type, rating AS pv_gti_content_rating,
       content_type AS pv_gti_content_type, directors AS pv_gti_director,
       CASE WHEN seasons > 0 THEN CAST(episode AS VARCHAR) END AS pv_gti_episode,
       CASE WHEN league IS NOT NULL THEN CASE WHEN is_live THEN 'Live' ELSE 'Replay' END END AS pv_gti_event_context,
       CASE WHEN league IS NOT NULL THEN concat(sport, ' match ', 1 + (week(day) % 20)) END AS pv_gti_event_item,
       league AS pv_gti_event_league, CASE WHEN league IS NOT NULL THEN concat(title, ' ', strftime(day, '%Y-%m-%d')) END AS pv_gti_event_name,
       sport AS pv_gti_event_sport, genres AS pv_gti_genre, is_live AS pv_gti_is_live, CAST(released AS DATE) AS pv_gti_release_date,
       CASE WHEN seasons > 0 THEN CAST(season AS VARCHAR) END AS pv_gti_season, title AS pv_gti_series_or_movie_name,
       studio AS pv_gti_studio, CASE WHEN seasons > 0 THEN concat('Episode ', episode) ELSE title END AS pv_gti_title_name,
       has_ads AS pv_is_avod, true AS pv_is_channels, luck < 8 AS pv_is_hh_share, NOT is_promotion AND NOT has_ads AS pv_is_svod,
       luck % 10 <> 3 AS pv_is_user_initiated,
       CASE WHEN is_live THEN 'Live' WHEN is_promotion THEN CASE WHEN luck < 50 THEN 'Promo' ELSE 'Trailer' END ELSE 'Full' END AS pv_material_type,
       CASE WHEN is_promotion OR has_ads THEN 'Free' ELSE 'Prime' END AS pv_offer_group,
       CAST(moment AS DATE) AS pv_playback_date_utc, moment AS pv_playback_dt_utc,
       -- most watch to the end, others leave anywhere
       round(minutes * 60 * CASE WHEN luck < 55 THEN 0.9 + share(y, 7) / 10 ELSE 0.02 + share(y, 7) * 0.88 END, 3) AS pv_seconds_viewed,
       md5(concat(seed(), '|stream|', person, '|', channel, '|', day)) AS pv_session_id,
       CASE WHEN is_live THEN 'Live-Event' WHEN title = 'The Morning Whistle' THEN 'Linear TV' ELSE 'VOD' END AS pv_stream_type,
       concat('B0', upper(left(md5(concat('asin|', item)), 8))) AS pv_streaming_asin,
       CASE WHEN luck = 99 THEN 'CA' ELSE 'US' END AS pv_streaming_geo_country,
       concat('amzn1.dv.gti.', CAST(md5(concat('gti|', item)) AS UUID)) AS pv_streaming_gti,
       CASE WHEN luck % 14 = 5 THEN 'es-US' ELSE 'en-US' END AS pv_streaming_language,
       user_id, user_id_type, "amci user", "amci part"
  FROM watched

-- name: latest_enrollments
-- Only who sees all records knows which is the latest of a subscription.
SELECT * REPLACE (pv_start_date = max(pv_start_date) OVER (PARTITION BY pv_subscription_id) AS pv_is_latest_record)
  FROM {amazon_pvc_enrollments}
