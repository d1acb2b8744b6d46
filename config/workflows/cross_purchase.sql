-- People only, no units and no sales: most pairs have few buyers, and one big one among them would hide the pair.
WITH bought AS (
  SELECT DISTINCT user_id, tracked_asin AS asin
  FROM conversions
  WHERE user_id IS NOT NULL AND event_category = 'purchase' AND tracked_asin IS NOT NULL
),
popular AS (
  SELECT asin, COUNT(DISTINCT user_id) AS buyers
  FROM bought
  GROUP BY 1
),
everybody AS (
  SELECT COUNT(DISTINCT user_id) AS buyers
  FROM bought
),
pair AS (
  SELECT o.user_id, o.asin AS bought_asin, a.asin AS also_asin
  FROM bought o
  JOIN bought a ON a.user_id = o.user_id AND a.asin <> o.asin
  WHERE CUSTOM_PARAMETER('asins') IS NULL OR CARDINALITY(CUSTOM_PARAMETER('asins')) = 0
    OR ARRAY_CONTAINS(CUSTOM_PARAMETER('asins'), o.asin)
),
counted AS (
  SELECT bought_asin, also_asin, COUNT(DISTINCT user_id) AS buyers
  FROM pair
  GROUP BY 1, 2
),
-- AMC SQL has no LIMIT. A rank in a query of its own does it, and for each product.
ranked AS (
  SELECT bought_asin, also_asin, DENSE_RANK() OVER (PARTITION BY bought_asin ORDER BY buyers DESC) AS place
  FROM counted
)
SELECT
  p.bought_asin,
  p.also_asin,
  MAX(r.place) AS place,
  MAX(o.buyers) AS buyers,
  COUNT(DISTINCT p.user_id) AS buyers_of_both,
  COUNT(DISTINCT p.user_id) / MAX(o.buyers) AS share_of_buyers,
  -- Above 1: bought together more often than by chance. What everybody buys is no cross-selling.
  COUNT(DISTINCT p.user_id) * MAX(e.buyers) / (MAX(o.buyers) * MAX(a.buyers)) AS lift
FROM pair p
JOIN ranked r ON r.bought_asin = p.bought_asin AND r.also_asin = p.also_asin
JOIN popular o ON o.asin = p.bought_asin
JOIN popular a ON a.asin = p.also_asin
CROSS JOIN everybody e
WHERE r.place <= CUSTOM_PARAMETER('most')
GROUP BY 1, 2
