WITH bought AS (
  SELECT DISTINCT user_id, tracked_asin AS asin
  FROM amc.conversions
  WHERE event_dt_utc >= $start AND event_dt_utc < $end
    AND user_id IS NOT NULL AND event_category = 'purchase' AND tracked_asin IS NOT NULL
),
popular AS (
  SELECT asin, count(*) AS buyers
  FROM bought
  GROUP BY ALL
),
everybody AS (
  SELECT count(DISTINCT user_id) AS buyers
  FROM bought
),
counted AS (
  SELECT o.asin AS bought_asin, a.asin AS also_asin, count(*) AS buyers_of_both
  FROM bought o
  JOIN bought a ON a.user_id = o.user_id AND a.asin <> o.asin
  GROUP BY ALL
),
ranked AS (
  SELECT *, dense_rank() OVER (PARTITION BY bought_asin ORDER BY buyers_of_both DESC) AS place
  FROM counted
  QUALIFY place <= 5
)
SELECT
  r.bought_asin,
  r.also_asin,
  r.place,
  o.buyers,
  r.buyers_of_both,
  r.buyers_of_both / o.buyers AS share_of_buyers,
  r.buyers_of_both * e.buyers / (o.buyers * a.buyers) AS lift
FROM ranked r
JOIN popular o ON o.asin = r.bought_asin
JOIN popular a ON a.asin = r.also_asin
CROSS JOIN everybody e
