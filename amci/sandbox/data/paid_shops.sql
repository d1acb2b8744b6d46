-- Shops: what people bought from Amazon's own till, and what households buy elsewhere.

-- name: groceries
-- What households buy in shops: NCS's hierarchy from department to sub brand.
CREATE TEMP TABLE groceries AS FROM (VALUES
  (0, 'Pet Care', 'Pet Food', 'Dog Food', 'Dry Dog Food', 'Atlas Pets', 'Atlas Pets Grain Free', 24.99),
  (1, 'Pet Care', 'Pet Food', 'Cat Food', 'Wet Cat Food', 'Atlas Pets', 'Atlas Pets Indoor', 14.49),
  (2, 'Pet Care', 'Pet Food', 'Dog Food', 'Dry Dog Food', 'Old Field', 'Old Field Large Breed', 31.50),
  (3, 'Grocery', 'Snacks', 'Salty Snacks', 'Potato Chips', 'Golden Ridge', 'Golden Ridge Sea Salt', 3.99),
  (4, 'Grocery', 'Snacks', 'Snack Bars', 'Granola Bars', 'Trailhead', 'Trailhead Oats and Honey', 4.79),
  (5, 'Grocery', 'Beverages', 'Coffee', 'Ground Coffee', 'Harbor Roast', 'Harbor Roast Dark', 9.49),
  (6, 'Grocery', 'Beverages', 'Soft Drinks', 'Sparkling Water', 'Clearwell', 'Clearwell Lime', 5.29),
  (7, 'Grocery', 'Breakfast', 'Cereal', 'Cold Cereal', 'Sunny Bowl', 'Sunny Bowl Crunch', 4.59),
  (8, 'Dairy', 'Milk and Cream', 'Milk', 'Whole Milk', 'Green Pasture', 'Green Pasture Organic', 4.19),
  (9, 'Dairy', 'Yogurt', 'Greek Yogurt', 'Flavored Greek Yogurt', 'Green Pasture', 'Green Pasture Honey', 1.49),
  (10, 'Health and Beauty', 'Personal Care', 'Shampoo', 'Daily Shampoo', 'Luma', 'Luma Moisture', 6.99),
  (11, 'Health and Beauty', 'Baby Care', 'Diapers', 'Disposable Diapers', 'Little Nest', 'Little Nest Overnight', 27.99),
  (12, 'Household', 'Laundry', 'Detergent', 'Liquid Detergent', 'BrightDay', 'BrightDay Free and Clear', 12.49),
  (13, 'Household', 'Paper Products', 'Paper Towels', 'Paper Towels', 'Sturdy', 'Sturdy Select-a-Size', 8.99)
) AS t(n, department, super_category, category, product_category, brand, sub_brand, price);

-- name: ncs_cpg_insights_stream
-- What a tenth of the households, those of NCS's panel, bought in the week that ends with a Saturday.
WITH panel AS (
  SELECT person FROM people WHERE share(thrown('panel', person, 0, 0), 0) < 0.10
), trips AS (
  SELECT day, person, thrown('trip', person, day, 0) AS x FROM days, panel WHERE dayofweek(day) = 6
), lines AS (
  SELECT *, dice(x, 2 + line, 14) AS n, 1 + dice(x, 6, 3) AS quantity
    FROM trips, range(4) AS r(line)
   WHERE share(x, 0) < 0.45 AND line <= dice(x, 1, 4)
)
SELECT g.brand, g.category, g.department, md5(concat(seed(), '|trip|', person, '|', day)) AS household_purchase_id,
       md5(concat(seed(), '|panel|', person)) AS ncs_household_id, g.product_category,
       -- a shop's price lies within a tenth of the usual one
       round(quantity * g.price * (90 + dice(x, 7, 21)) / 100, 2) AS purchase_dollar_amount, quantity AS purchase_quantity,
       g.sub_brand, g.super_category, p.user_id, p.user_id_type, day AS week_end_dt, p."amci user", p."amci part", line
  FROM lines
  JOIN groceries g USING (n)
  JOIN people p USING (person)

-- name: amazon_retail_purchases
-- Every purchase of the days: those that the ad tables know of, others, and now and then a second thing with one.
WITH shopped AS (
  SELECT md5(concat(seed(), '|shop|', day, '|', i)) AS purchase, p.person, p.interest AS advertiser_no, y, moment_of(day, y, 2, p.utc_offset) AS bought_at
    FROM (SELECT *, 1 + CAST(floor(fine_share(y, 0) * population()) AS BIGINT) AS person
            FROM (SELECT day, i, thrown('shop', day, i, 0) AS y FROM days, range(1 + population() // 40) AS r(i))) AS b
    JOIN people p USING (person)
), bought AS (
  SELECT conversion_id AS purchase, person, asin, total_units_sold AS units, event_dt_utc AS bought_at, purchase_retail_program AS program
    FROM conversion_rows
   WHERE event_subtype = 'order'
  UNION ALL
  -- the square makes the first ones sell best
  SELECT purchase, person, asin, 1 + dice(y, 6, 10) // 8, bought_at, ['Amazon.com', 'Amazon Fresh', 'Whole Foods Market'][1 + greatest(dice(y, 7, 40) - 37, 0)]
    FROM shopped s
    JOIN asins a ON a.advertiser_no = s.advertiser_no AND a.k = CAST(floor(share(y, 5) * share(y, 5) * a.asin_count) AS INTEGER)
), lines AS (
  -- the second thing is the one that comes after the first
  SELECT b.* EXCLUDE (asin), x, line, g.advertiser_no, (g.k + line) % g.asin_count AS k
    FROM (SELECT *, thrown('till', purchase, 0, 0) AS x FROM bought) AS b
    JOIN asins g USING (asin)
   CROSS JOIN range(2) AS r(line)
   WHERE line = 0 OR share(x, 0) < 0.15
)
SELECT a.asin, a.brand AS asin_brand, a.title AS asin_name, a.parent AS asin_parent, 'USD' AS currency_code,
       md5(concat(purchase, '|line|', line)) AS event_id, share(x, 1) < 0.06 AS is_business_flag, share(x, 2) < 0.08 AS is_gift_flag,
       1 AS marketplace_id, 'AMAZON.COM' AS marketplace_name, dice(x, 3, 25) = 0 AS no_3p_trackers,
       CASE WHEN dice(x, 4, 10) < 6 THEN md5(concat(purchase, '|session')) ELSE md5(concat(purchase, '|earlier|', line)) END AS origin_session_id,
       bought_at AS purchase_dt_utc, concat('P-', left(md5(concat(purchase, '|order')), 20)) AS purchase_id,
       ['S', 'S', 'S', 'S', 'S', 'S', 'S', 'B', 'B', '1'][1 + dice(x, 5, 10)] AS purchase_order_method,
       CASE WHEN dice(x, 6, 10) < 8 THEN 'Prime' ELSE 'NON-PRIME' END AS purchase_order_type,
       program AS purchase_program_name,
       md5(concat(purchase, '|session')) AS purchase_session_id, CASE line WHEN 0 THEN units ELSE 1 END AS purchase_units_sold, a.price AS unit_price,
       p.user_id, p.user_id_type, p."amci user", p."amci part"
  FROM lines l
  JOIN asins a ON a.advertiser_no = l.advertiser_no AND a.k = l.k
  JOIN people p USING (person)
