-- People who left something in the cart and bought nothing of the brand: AMC makes an audience of them.
-- AMC wants 2,000 of them at least; the workflow cart_abandoners says beforehand how many there are.
WITH cart AS (
  SELECT DISTINCT user_id
  FROM conversions_for_audiences
  WHERE user_id IS NOT NULL AND event_subtype = 'shoppingCart'
),
bought AS (
  SELECT DISTINCT user_id
  FROM conversions_for_audiences
  WHERE user_id IS NOT NULL AND event_category = 'purchase'
)
SELECT c.user_id
FROM cart c
LEFT JOIN bought b ON b.user_id = c.user_id
WHERE b.user_id IS NULL
