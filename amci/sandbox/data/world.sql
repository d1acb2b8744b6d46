-- The people of the world, and what is around them. Run once in every session that makes events.
-- The session has the macros seed(), population(), and below them nothing that differs between machines:
-- no random(), no hash(), no ln() or pow(), only md5 and exact arithmetic.

-- name: dice
-- One md5 of a key is eight dice of 65,536 sides: x = md5_number('…'), n = 0 … 7.
CREATE TEMP MACRO die(x, n) AS CAST((x >> CAST(16 * n AS UHUGEINT)) & 65535::UHUGEINT AS INTEGER);

-- name: dice_sides
-- Die n as a whole number below `sides` (at most 32,768 of them, and not many of them beyond a few hundred).
CREATE TEMP MACRO dice(x, n, sides) AS (die(x, n) * CAST(sides AS BIGINT)) >> 16;

-- name: dice_share
-- Die n as a share: 0 ≤ share < 1.
CREATE TEMP MACRO share(x, n) AS die(x, n) / 65536.0::DOUBLE;

-- name: dice_fine
-- Two dice (n and n + 1) as one fine share: 0 ≤ share < 1.
CREATE TEMP MACRO fine_share(x, n) AS CAST((x >> CAST(16 * n AS UHUGEINT)) & 4294967295::UHUGEINT AS BIGINT) / 4294967296.0::DOUBLE;

-- name: dice_key
-- The dice of a key: every family of tables has a word of its own in `what`.
CREATE TEMP MACRO thrown(what, a, b, c) AS md5_number(concat(seed(), '|', what, '|', a, '|', b, '|', c));

-- name: geometric
-- How often something happens, heavy-tailed, at most 8 times: once more with the chance r each time. u is a share;
-- for `mean` times on average, r is mean / (1 + mean).
CREATE TEMP MACRO times(u, r) AS CASE WHEN u >= r THEN 0 ELSE
  1 + CAST(u < r * r AS INTEGER) + CAST(u < r * r * r AS INTEGER) + CAST(u < r * r * r * r AS INTEGER) + CAST(u < r * r * r * r * r AS INTEGER)
    + CAST(u < r * r * r * r * r * r AS INTEGER) + CAST(u < r * r * r * r * r * r * r AS INTEGER) + CAST(u < r * r * r * r * r * r * r * r AS INTEGER)
END;

-- name: hours
-- Which hour of a person's day it is, from 64 equally likely slots: little at night, most in the evening.
CREATE TEMP MACRO hour_of(x, n) AS [
  0, 0, 1, 2, 5, 6, 6, 7, 7, 7, 8, 8, 8, 9, 9, 9, 10, 10, 10, 11, 11, 11, 12, 12, 12, 12, 13, 13, 13, 14, 14, 14,
  15, 15, 15, 16, 16, 16, 17, 17, 17, 17, 18, 18, 18, 18, 19, 19, 19, 19, 19, 20, 20, 20, 20, 20, 21, 21, 21, 21, 22, 22, 22, 23
][1 + dice(x, n, 64)];

-- name: moments
-- A moment of the UTC day: die n says the hour of the person's day (see people.utc_offset), n + 1 and n + 2 the rest.
CREATE TEMP MACRO moment_of(day, x, n, utc_offset) AS
  CAST(day AS TIMESTAMP) + to_milliseconds(
    ((hour_of(x, n) + 24 - utc_offset) % 24) * 3600000 + CAST(floor(fine_share(x, n + 1) * 3600000) AS BIGINT)
  );

-- name: rhythm
-- How busy a day is beside others: weekends are busier.
CREATE TEMP MACRO rhythm_of(day) AS [1.12, 0.92, 0.90, 0.93, 0.96, 1.04, 1.20][1 + dayofweek(day)];

-- name: places
CREATE TEMP TABLE places AS SELECT * FROM (VALUES
  -- n, state, city, dma, postal (first of `postals` that follow each other), zone, utc offset, weight
  (0, 'US-CA', 'Los Angeles', 'US-DMA803', 90001, 20, 'America/Los_Angeles', -8, 12),
  (1, 'US-NY', 'New York', 'US-DMA501', 10001, 20, 'America/New_York', -5, 12),
  (2, 'US-TX', 'Dallas', 'US-DMA623', 75201, 12, 'America/Chicago', -6, 8),
  (3, 'US-WA', 'Seattle', 'US-DMA819', 98101, 12, 'America/Los_Angeles', -8, 6),
  (4, 'US-IL', 'Chicago', 'US-DMA602', 60601, 14, 'America/Chicago', -6, 8),
  (5, 'US-GA', 'Atlanta', 'US-DMA524', 30301, 10, 'America/New_York', -5, 6),
  (6, 'US-FL', 'Miami', 'US-DMA528', 33101, 12, 'America/New_York', -5, 7),
  (7, 'US-MA', 'Boston', 'US-DMA506', 2108, 8, 'America/New_York', -5, 5),
  (8, 'US-CO', 'Denver', 'US-DMA751', 80202, 8, 'America/Denver', -7, 5),
  (9, 'US-PA', 'Philadelphia', 'US-DMA504', 19102, 10, 'America/New_York', -5, 6),
  (10, 'US-AZ', 'Phoenix', 'US-DMA753', 85003, 8, 'America/Phoenix', -7, 5),
  (11, 'US-CA', 'San Francisco', 'US-DMA807', 94102, 10, 'America/Los_Angeles', -8, 6),
  (12, 'US-TX', 'Houston', 'US-DMA618', 77002, 10, 'America/Chicago', -6, 5),
  (13, 'US-MN', 'Minneapolis', 'US-DMA613', 55401, 6, 'America/Chicago', -6, 3),
  (14, 'US-OR', 'Portland', 'US-DMA820', 97201, 6, 'America/Los_Angeles', -8, 3),
  (15, 'US-NC', 'Raleigh', 'US-DMA560', 27601, 4, 'America/New_York', -5, 2),
  (16, 'US-MT', 'Billings', 'US-DMA756', 59101, 2, 'America/Denver', -7, 0.12),
  (17, 'US-AK', 'Anchorage', 'US-DMA743', 99501, 2, 'America/Anchorage', -9, 0.08)
) AS t(place, state, city, dma, first_postal, postals, zone, utc_offset, weight);

-- name: devices
CREATE TEMP TABLE devices AS SELECT * FROM (VALUES
  -- the numbers of a kind follow each other: phones 0-4, computers 5-8, televisions 9-12, tablets 13-14, others 15-16
  (0, 'Phone', 'Apple', 'iPhone', 'iOS', '17.5.1', 'Mobile Safari'),
  (1, 'Phone', 'Apple', 'iPhone', 'iOS', '18.1', 'Mobile Safari'),
  (2, 'Phone', 'Samsung', 'GALAXY', 'Android', '14', 'Chrome Mobile'),
  (3, 'Phone', 'Google', 'Pixel', 'Android', '15', 'Chrome Mobile'),
  (4, 'Phone', 'Motorola', 'Moto G', 'Android', '13', 'Chrome Mobile'),
  (5, 'PC', 'Other', 'Other', 'Windows', '11', 'Chrome'),
  (6, 'PC', 'Other', 'Other', 'Windows', '10', 'Edge'),
  (7, 'PC', 'Apple', 'Mac', 'Mac OS X', '10.15.7', 'Safari'),
  (8, 'PC', 'Other', 'Other', 'Linux', NULL, 'Firefox'),
  (9, 'TV', 'Amazon', 'Fire TV Stick', 'FireOS', '8.1', NULL),
  (10, 'TV', 'Samsung', 'Smart TV', 'Tizen', '7.0', NULL),
  (11, 'TV', 'Roku', 'Roku Ultra', 'Roku OS', '13.0', NULL),
  (12, 'TV', 'LG', 'webOS TV', 'webOS', '23', NULL),
  (13, 'Tablet', 'Amazon', 'Fire HD', 'FireOS', '8.3', 'Silk'),
  (14, 'Tablet', 'Apple', 'iPad', 'iOS', '17.5.1', 'Mobile Safari'),
  (15, 'ConnectedDevice', 'Amazon', 'Echo', 'FireOS', '7.5', NULL),
  (16, 'Unknown', NULL, NULL, NULL, NULL, NULL)
) AS t(device, device_type, device_make, device_model, operating_system, os_version, browser_family);

-- name: segments
CREATE TEMP TABLE segments AS
SELECT CAST(segment AS INTEGER) AS segment, CAST(300000 + 37 * segment AS INTEGER) AS segment_id,
       concat(kind, ' - ', about) AS segment_name,
       CASE kind WHEN 'IM' THEN concat('People whose shopping suggests that they are in the market for ', lower(about))
         WHEN 'LS' THEN concat('People whose way of life suggests an interest in ', lower(about))
         ELSE concat('People of the group: ', about) END AS segment_description,
       kind, -- IM in-market, LS lifestyle, DEMO demographic
       CASE kind WHEN 'IM' THEN 'In-market' WHEN 'LS' THEN 'Lifestyle' ELSE 'Demographic' END AS category_level_1,
       category_level_2,
       concat(CASE kind WHEN 'IM' THEN 'In-market' WHEN 'LS' THEN 'Lifestyle' ELSE 'Demographic' END, '/', category_level_2, '/', about) AS category_path,
       one_in -- one person in so many is in it
  FROM (VALUES
    (0, 'IM', 'Sports & Outdoors', 'Tents', 12), (1, 'IM', 'Sports & Outdoors', 'Camping Stoves', 20),
    (2, 'IM', 'Sports & Outdoors', 'Hiking Boots', 9), (3, 'IM', 'Sports & Outdoors', 'Backpacks', 8),
    (4, 'IM', 'Sports & Outdoors', 'Sleeping Bags', 18), (5, 'IM', 'Sports & Outdoors', 'Fishing', 15),
    (6, 'IM', 'Sports & Outdoors', 'Kayaks', 60), (7, 'IM', 'Sports & Outdoors', 'Cycling', 11),
    (8, 'IM', 'Pets', 'Dog Food', 6), (9, 'IM', 'Pets', 'Cat Food', 8), (10, 'IM', 'Pets', 'Dog Toys', 9),
    (11, 'IM', 'Pets', 'Cat Toys', 12), (12, 'IM', 'Pets', 'Pet Beds', 20), (13, 'IM', 'Pets', 'Aquariums', 50),
    (14, 'IM', 'Home & Kitchen', 'Kettles', 16), (15, 'IM', 'Home & Kitchen', 'Coffee Makers', 9),
    (16, 'IM', 'Home & Kitchen', 'Cookware', 7), (17, 'IM', 'Home & Kitchen', 'Toasters', 18),
    (18, 'IM', 'Home & Kitchen', 'Tableware', 14), (19, 'IM', 'Home & Kitchen', 'Bedding', 10),
    (20, 'IM', 'Electronics', 'Headphones', 7), (21, 'IM', 'Electronics', 'Televisions', 13),
    (22, 'IM', 'Electronics', 'Laptops', 11), (23, 'IM', 'Electronics', 'Smart Home', 10),
    (24, 'IM', 'Grocery', 'Tea', 9), (25, 'IM', 'Grocery', 'Coffee', 6), (26, 'IM', 'Grocery', 'Snacks', 5),
    (27, 'IM', 'Automotive', 'SUV Accessories', 22), (28, 'IM', 'Automotive', 'Tyres', 25),
    (29, 'IM', 'Baby', 'Strollers', 40), (30, 'IM', 'Beauty', 'Skin Care', 8), (31, 'IM', 'Garden', 'Garden Furniture', 17),
    (32, 'LS', 'Outdoors', 'Outdoor Enthusiasts', 7), (33, 'LS', 'Outdoors', 'Campers', 14),
    (34, 'LS', 'Outdoors', 'Trail Runners', 22), (35, 'LS', 'Outdoors', 'Skiers', 25), (36, 'LS', 'Pets', 'Dog Owners', 4),
    (37, 'LS', 'Pets', 'Cat Owners', 5), (38, 'LS', 'Pets', 'New Puppy Parents', 45), (39, 'LS', 'Food', 'Home Cooks', 5),
    (40, 'LS', 'Food', 'Bakers', 12), (41, 'LS', 'Food', 'Tea Drinkers', 9), (42, 'LS', 'Food', 'Coffee Lovers', 6),
    (43, 'LS', 'Media', 'Streaming TV Viewers', 3), (44, 'LS', 'Media', 'Podcast Listeners', 8), (45, 'LS', 'Media', 'Gamers', 7),
    (46, 'LS', 'Media', 'Readers', 9), (47, 'LS', 'Home', 'DIY Fans', 10), (48, 'LS', 'Home', 'Gardeners', 12),
    (49, 'LS', 'Home', 'Minimalists', 30), (50, 'LS', 'Shopping', 'Bargain Hunters', 5), (51, 'LS', 'Shopping', 'Premium Shoppers', 12),
    (52, 'LS', 'Shopping', 'Gift Givers', 14), (53, 'LS', 'Travel', 'Frequent Travellers', 15),
    (54, 'DEMO', 'Age', 'Age 18-24', 8), (55, 'DEMO', 'Age', 'Age 25-34', 5), (56, 'DEMO', 'Age', 'Age 35-54', 3),
    (57, 'DEMO', 'Age', 'Age 55+', 5), (58, 'DEMO', 'Household', 'Families with Children', 4),
    (59, 'DEMO', 'Household', 'Falconers', 2500)
  ) AS t(segment, kind, category_level_2, about, one_in);

-- name: advertisers
CREATE TEMP TABLE advertisers AS SELECT * FROM (VALUES
  -- brand_share: how many in a hundred people care about what it sells
  (0, 'Northwind Outdoor', 1234567890, 'ENTITYNORTHWIND1', 'America/New_York', 'Northwind', 'Sports & Outdoors', 40),
  (1, 'Atlas Pets', 2345678901, 'ENTITYATLASPETS1', 'America/Los_Angeles', 'Atlas', 'Pets', 35),
  (2, 'Blue Kettle', 3456789012, 'ENTITYBLUEKETTLE', 'Europe/London', 'Blue Kettle', 'Home & Kitchen', 25)
) AS t(advertiser_no, advertiser, advertiser_id, entity_id, advertiser_timezone, brand, category, brand_share);

-- name: asins
-- `k` counts from 0 within the advertiser; the first of them sell best.
CREATE TEMP TABLE asins AS
SELECT advertiser_no, CAST(row_number() OVER (PARTITION BY advertiser_no ORDER BY position) - 1 AS INTEGER) AS k,
       CAST(count(*) OVER (PARTITION BY advertiser_no) AS INTEGER) AS asin_count, asin, concat(brand, ' ', title) AS title, brand,
       CAST(price AS DECIMAL(18, 4)) AS price, parent, category, subcategory
  FROM (VALUES
    (0, 0, 'B0NWTENT01', 'Trail Tent 2P', 189.00, 'B0NWTENT00', 'Tents'), (0, 1, 'B0NWTENT02', 'Trail Tent 4P', 279.00, 'B0NWTENT00', 'Tents'),
    (0, 2, 'B0NWSTOVE1', 'Camping Stove', 64.90, 'B0NWSTOVE0', 'Camping Stoves'), (0, 3, 'B0NWPACK01', 'Day Pack 24 L', 79.50, 'B0NWPACK00', 'Backpacks'),
    (0, 4, 'B0NWPACK02', 'Trek Pack 55 L', 169.00, 'B0NWPACK00', 'Backpacks'), (0, 5, 'B0NWBAG001', 'Sleeping Bag Summer', 89.00, 'B0NWBAG000', 'Sleeping Bags'),
    (0, 6, 'B0NWBAG002', 'Sleeping Bag Winter', 149.00, 'B0NWBAG000', 'Sleeping Bags'), (0, 7, 'B0NWMAT001', 'Sleeping Mat', 54.00, 'B0NWMAT000', 'Sleeping Bags'),
    (0, 8, 'B0NWLAMP01', 'Head Lamp', 34.95, 'B0NWLAMP00', 'Lamps'), (0, 9, 'B0NWLAMP02', 'Camp Lantern', 29.95, 'B0NWLAMP00', 'Lamps'),
    (0, 10, 'B0NWSTOVE2', 'Stove Fuel 4 Pack', 24.90, 'B0NWSTOVE0', 'Camping Stoves'), (0, 11, 'B0NWBOTL01', 'Steel Bottle', 22.00, 'B0NWBOTL00', 'Bottles'),
    (0, 12, 'B0NWCHAR01', 'Camp Chair', 59.00, 'B0NWCHAR00', 'Furniture'), (0, 13, 'B0NWTARP01', 'Rain Tarp', 45.00, 'B0NWTARP00', 'Tents'),
    (0, 14, 'B0NWKAYAK1', 'Inflatable Kayak', 399.00, 'B0NWKAYAK0', 'Kayaks'),
    (1, 0, 'B0ATDOGF01', 'Dog Food Chicken 12 kg', 48.90, 'B0ATDOGF00', 'Dog Food'), (1, 1, 'B0ATDOGF02', 'Dog Food Lamb 12 kg', 52.90, 'B0ATDOGF00', 'Dog Food'),
    (1, 2, 'B0ATCATT01', 'Cat Feather Toy', 9.95, 'B0ATCATT00', 'Cat Toys'), (1, 3, 'B0ATCATF01', 'Cat Food Salmon 3 kg', 23.50, 'B0ATCATF00', 'Cat Food'),
    (1, 4, 'B0ATDOGT01', 'Dog Rope Toy', 12.95, 'B0ATDOGT00', 'Dog Toys'), (1, 5, 'B0ATBED001', 'Pet Bed M', 39.00, 'B0ATBED000', 'Pet Beds'),
    (1, 6, 'B0ATBED002', 'Pet Bed L', 54.00, 'B0ATBED000', 'Pet Beds'), (1, 7, 'B0ATPUPP01', 'Puppy Starter Kit', 69.00, 'B0ATPUPP00', 'Dog Toys'),
    (1, 8, 'B0ATLITR01', 'Cat Litter 10 kg', 17.90, 'B0ATLITR00', 'Cat Litter'), (1, 9, 'B0ATTREE01', 'Cat Tree', 119.00, 'B0ATTREE00', 'Cat Toys'),
    (1, 10, 'B0ATLEAS01', 'Dog Lead', 19.90, 'B0ATLEAS00', 'Dog Toys'), (1, 11, 'B0ATSNAK01', 'Dog Snacks', 8.90, 'B0ATSNAK00', 'Dog Food'),
    (1, 12, 'B0ATAQUA01', 'Aquarium 60 L', 139.00, 'B0ATAQUA00', 'Aquariums'),
    (2, 0, 'B0BKKETL01', 'Kettle 1.7 L', 59.00, 'B0BKKETL00', 'Kettles'), (2, 1, 'B0BKKETL02', 'Gooseneck Kettle', 84.00, 'B0BKKETL00', 'Kettles'),
    (2, 2, 'B0BKTOAS01', 'Toaster 2 Slices', 49.00, 'B0BKTOAS00', 'Toasters'), (2, 3, 'B0BKTOAS02', 'Toaster 4 Slices', 74.00, 'B0BKTOAS00', 'Toasters'),
    (2, 4, 'B0BKCOFF01', 'Drip Coffee Maker', 99.00, 'B0BKCOFF00', 'Coffee Makers'), (2, 5, 'B0BKTEAP01', 'Glass Tea Pot', 32.00, 'B0BKTEAP00', 'Tea'),
    (2, 6, 'B0BKMUGS01', 'Mugs Set of 4', 27.50, 'B0BKMUGS00', 'Tableware'), (2, 7, 'B0BKPANS01', 'Steel Pan 28 cm', 64.00, 'B0BKPANS00', 'Cookware'),
    (2, 8, 'B0BKPANS02', 'Pan Set of 3', 149.00, 'B0BKPANS00', 'Cookware'), (2, 9, 'B0BKGRIN01', 'Coffee Grinder', 89.00, 'B0BKGRIN00', 'Coffee Makers'),
    (2, 10, 'B0BKSCAL01', 'Kitchen Scale', 24.00, 'B0BKSCAL00', 'Cookware'), (2, 11, 'B0BKSIPH01', 'Coffee Siphon', 219.00, 'B0BKSIPH00', 'Coffee Makers')
  ) AS t(advertiser_no, position, asin, title, price, parent, subcategory)
  JOIN advertisers USING (advertiser_no);

-- name: people
-- Who there is. `activity` is 1 on average and heavy-tailed; `interest` is the advertiser they care about most;
-- "amci user" is 0 where AMC does not know them (user_id NULL); "amci part" says which instances see them.
CREATE TEMP TABLE people AS
WITH place_shares AS (
  SELECT *, sum(weight) OVER (ORDER BY place) / (SELECT sum(weight) FROM places) AS upto,
         (sum(weight) OVER (ORDER BY place) - weight) / (SELECT sum(weight) FROM places) AS from_share
    FROM places
), born AS (
  SELECT range AS person, thrown('person', range, 0, 0) AS x, thrown('device', range, 0, 0) AS y
    FROM range(1, population() + 1)
), segmented AS (
  SELECT person, list(segment_id ORDER BY segment_id) AS segments
    FROM (SELECT p.range AS person, g.range AS four, thrown('segment', p.range, g.range, 0) AS s
            FROM range(1, population() + 1) p CROSS JOIN range(15) g)
    JOIN segments ON segment // 4 = four
   WHERE fine_share(s, 2 * (segment % 4)) * one_in < 1.0
   GROUP BY person
)
SELECT b.person, CASE WHEN dice(x, 0, 20) <> 7 THEN md5(concat(seed(), '|user|', b.person)) END AS user_id,
       CASE WHEN dice(x, 0, 20) <> 7
            THEN CASE WHEN share(x, 1) < 0.06 THEN 'sisDeviceId' WHEN share(x, 1) < 0.10 THEN 'adBrowserId' ELSE 'adUserId' END
       END AS user_id_type,
       CASE WHEN dice(x, 0, 20) <> 7 THEN b.person ELSE 0 END AS "amci user",
       CAST((x >> 96::UHUGEINT) & 1048575::UHUGEINT AS INTEGER) AS "amci part",
       -- three in ten people are hardly ever reached
       CASE WHEN share(x, 5) < 0.3 THEN 0.03 ELSE least(0.7 / sqrt(1.0 - fine_share(x, 2)), 15.0) END::DOUBLE AS activity,
       CASE WHEN share(x, 4) < 0.40 THEN 0 WHEN share(x, 4) < 0.75 THEN 1 ELSE 2 END AS interest,
       p.place, p.state, p.city, p.dma, concat('US-', lpad(CAST(p.first_postal + dice(y, 0, p.postals) AS VARCHAR), 5, '0')) AS postal,
       p.zone, p.utc_offset,
       -- the device they have in their hands: phone, computer, tablet; and the one at home: television, speaker, computer
       CASE WHEN share(y, 1) < 0.62 THEN dice(y, 2, 5) WHEN share(y, 1) < 0.90 THEN 5 + dice(y, 2, 4) WHEN share(y, 1) < 0.985 THEN 13 + dice(y, 2, 2) ELSE 16 END AS device,
       CASE WHEN share(y, 3) < 0.70 THEN 9 + dice(y, 4, 4) WHEN share(y, 3) < 0.76 THEN 15 ELSE 5 + dice(y, 4, 4) END AS second_device,
       md5(concat(seed(), '|device|', b.person)) AS device_id, md5(concat(seed(), '|second|', b.person)) AS second_device_id,
       coalesce(g.segments, CAST([] AS INTEGER[])) AS segments
  FROM born b
  LEFT JOIN segmented g ON g.person = b.person
  JOIN place_shares p ON fine_share(y, 5) >= p.from_share AND fine_share(y, 5) < p.upto
 ORDER BY b.person;
