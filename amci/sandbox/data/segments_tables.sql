-- Who belongs to which segment of Amazon's, and what the segments are.

-- name: segment_marketplaces
-- Where there are segments: AMC's number of the marketplace, and the region of its tables.
CREATE TEMP TABLE segment_marketplaces AS FROM (VALUES
  (1, 'amer'), (7, 'amer'), (771770, 'amer'), (3, 'eu'), (4, 'eu'), (5, 'eu'), (35691, 'eu'), (44551, 'eu'),
  (6, 'apac'), (111172, 'apac'), (44571, 'apac')
) AS t(marketplace, region);

-- name: segment_metadata
SELECT s.category_level_1, s.category_level_2, s.category_path, s.kind = 'DEMO' AS no_3p_trackers, s.segment_description, s.segment_id,
       m.marketplace AS segment_marketplace_id, s.segment_name
  FROM segments s, segment_marketplaces m

-- name: user_segments
-- The segments of each person, and where: everybody shops somewhere in America, some in Europe and Asia as well.
SELECT person, user_id, user_id_type, "amci user", "amci part", segments,
       CASE WHEN share(x, 0) < 0.02 THEN 7 WHEN share(x, 0) < 0.04 THEN 771770 ELSE 1 END AS amer,
       CASE WHEN share(x, 1) < 0.12 THEN [3, 3, 4, 4, 5, 35691, 44551][1 + dice(x, 2, 7)] END AS eu,
       CASE WHEN share(x, 3) < 0.08 THEN [6, 6, 111172, 44571][1 + dice(x, 4, 4)] END AS apac
  FROM (SELECT *, thrown('marketplace', person, 0, 0) AS x FROM people)

-- name: segment_days
-- For each day the first Thursday of a month that came last: DuckDB counts Sunday as 0.
SELECT day, CASE WHEN this <= day THEN this ELSE before END AS snapshot
  FROM (SELECT day, first_of + CAST((11 - dayofweek(first_of)) % 7 AS INTEGER) AS this,
               CAST(first_of - INTERVAL 1 MONTH AS DATE) + CAST((11 - dayofweek(first_of - INTERVAL 1 MONTH)) % 7 AS INTEGER) AS before
          FROM (SELECT day, CAST(date_trunc('month', day) AS DATE) AS first_of FROM days))

-- name: membership
-- Who belongs now.
SELECT m.no_3p_trackers, m.segment_id, m.segment_marketplace_id, m.segment_name, u.user_id, u.user_id_type,
       (SELECT max(day) FROM {segment_days}) AS snapshot_datetime, u."amci user", u."amci part"
  FROM (SELECT * EXCLUDE (segments), unnest(segments) AS segment_id FROM {user_segments} WHERE $region IS NOT NULL) AS u
  JOIN {segment_metadata} AS m ON m.segment_id = u.segment_id AND m.segment_marketplace_id = u.$region
 WHERE m.category_level_1 = '$category'

-- name: membership_snapshot
-- Who belonged on the first Thursdays of the days there are, or on the one before them. One in twenty came later.
SELECT m.no_3p_trackers, m.segment_id, m.segment_marketplace_id, m.segment_name, u.user_id, u.user_id_type,
       d.snapshot AS snapshot_datetime, u."amci user", u."amci part"
  FROM (SELECT * EXCLUDE (segments), unnest(segments) AS segment_id FROM {user_segments} WHERE $region IS NOT NULL) AS u
  JOIN {segment_metadata} AS m ON m.segment_id = u.segment_id AND m.segment_marketplace_id = u.$region
  JOIN (SELECT DISTINCT snapshot FROM {segment_days}
         WHERE snapshot = day OR snapshot = (SELECT max(snapshot) FROM {segment_days})) AS d
    ON (u."amci part" + 7 * m.segment_id + 11 * month(d.snapshot)) % 20 <> 0
 WHERE m.category_level_1 = '$category'
