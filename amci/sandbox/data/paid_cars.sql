-- Cars: what people keep in Your Garage, and what the DMV says they bought.

-- name: cars
-- What people drive; the first twelve take a person anywhere, the rest are a second vehicle.
CREATE TEMP TABLE cars AS FROM (VALUES
  (0, 'Toyota', 'RAV4', ['LE', 'XLE', 'Limited'], 'Car', 'SUV', 'Non Luxury', 'Gas', '2.5L L4 Gas', 'Sport Utility', 'Automatic', 'AWD', '4-Wheel Disc'),
  (1, 'Toyota', 'Camry', ['LE', 'SE', 'XSE'], 'Car', 'Sedan', 'Non Luxury', 'Hybrid', '2.5L L4 Full Hybrid Ev-Gas (Fhev)', 'Sedan', 'CVT', 'FWD', '4-Wheel Disc'),
  (2, 'Honda', 'CR-V', ['EX', 'EX-L', 'Touring'], 'Car', 'SUV', 'Non Luxury', 'Gas', '1.5L L4 Gas', 'Sport Utility', 'CVT', 'AWD', '4-Wheel Disc'),
  (3, 'Honda', 'Odyssey', ['EX', 'Elite'], 'Van', 'Minivan', 'Non Luxury', 'Gas', '3.5L V6 Gas', 'Minivan', 'Automatic', 'FWD', '4-Wheel Disc'),
  (4, 'Ford', 'F-150', ['XL', 'XLT', 'Lariat'], 'Truck', 'Pickup', 'Non Luxury', 'Gas', '3.5L V6 Gas', 'Crew Cab Pickup', 'Automatic', '4WD', '4-Wheel Disc'),
  (5, 'Chevrolet', 'Silverado 1500', ['LT', 'RST', 'High Country'], 'Truck', 'Pickup', 'Non Luxury', 'Gas', '5.3L V8 Gas', 'Crew Cab Pickup', 'Automatic', '4WD', '4-Wheel Disc'),
  (6, 'Ram', '1500', ['Big Horn', 'Laramie'], 'Truck', 'Pickup', 'Non Luxury', 'Gas', '5.7L V8 Gas', 'Crew Cab Pickup', 'Automatic', '4WD', '4-Wheel Disc'),
  (7, 'Tesla', 'Model Y', ['Long Range', 'Performance'], 'Car', 'SUV', 'Luxury', 'Electric', 'Battery Ev (Ev/Bev)', 'Sport Utility', 'Single Speed', 'AWD', '4-Wheel Disc'),
  (8, 'Subaru', 'Outback', ['Premium', 'Limited'], 'Car', 'SUV', 'Non Luxury', 'Gas', '2.5L H4 Gas', 'Wagon', 'CVT', 'AWD', '4-Wheel Disc'),
  (9, 'BMW', 'X5', ['sDrive40i', 'xDrive40i'], 'Car', 'SUV', 'Luxury', 'Gas', '3.0L L6 Gas', 'Sport Utility', 'Automatic', 'AWD', '4-Wheel Disc'),
  (10, 'Nissan', 'Sentra', ['S', 'SV'], 'Car', 'Sedan', 'Economy', 'Gas', '2.0L L4 Gas', 'Sedan', 'CVT', 'FWD', 'Front Disc - Rear Drum'),
  (11, 'Jeep', 'Grand Cherokee', ['Laredo', 'Summit'], 'Car', 'SUV', 'Non Luxury', 'Gas', '3.6L V6 Gas', 'Sport Utility', 'Automatic', '4WD', '4-Wheel Disc'),
  (12, 'Harley-Davidson', 'Road Glide', ['Special', 'Limited'], 'Street Motorcycle', NULL, NULL, 'Gas', '1868CC', NULL, 'Manual', 'Belt', 'Disc'),
  (13, 'Polaris', 'Sportsman 850', ['Premium', 'Trail'], 'ATV', NULL, NULL, 'Gas', '850CC', NULL, 'Automatic', 'AWD', 'Disc'),
  (14, 'Polaris', 'Ranger 1000', ['Base', 'Crew'], 'Utility Vehicle', NULL, NULL, 'Gas', '999CC', NULL, 'Automatic', '4WD', 'Disc'),
  (15, 'Honda', 'CRF250R', ['Base'], 'Offroad Motorcycle', NULL, NULL, 'Gas', '249CC', NULL, 'Manual', 'Chain', 'Disc'),
  (16, 'Vespa', 'Primavera 150', ['Base', 'Sport'], 'Scooter', NULL, NULL, 'Gas', '155CC', NULL, 'CVT', 'Belt', 'Front Disc - Rear Drum')
) AS t(car, make, model, submodels, vehicle_type, segment, class, fuel, engine, body, transmission, drive, brakes);

-- name: drivers
-- Which car a person drives; the same in the garage and at the DMV.
CREATE TEMP TABLE drivers AS
SELECT person, thrown('car', person, 0, 0) AS x FROM people;

-- name: amazon_your_garage
-- One person in eight has a car there, one in forty a second vehicle as well.
WITH kept AS (
  SELECT person, x, 0 AS position, dice(x, 1, 12) AS car FROM drivers WHERE share(x, 0) < 0.125
  UNION ALL
  SELECT person, thrown('car', person, 1, 0), 1, 12 + dice(thrown('car', person, 1, 0), 1, 5) FROM drivers WHERE share(x, 0) < 0.025
), dated AS (
  SELECT *, 2006 + dice(x, 2, 19) AS year, DATE '2021-01-01' + CAST(dice(x, 3, 1700) AS INTEGER) AS created,
         CAST(dice(x, 4, 120) AS INTEGER) AS until_update, CAST(dice(x, 5, 90) AS INTEGER) AS until_access FROM kept
)
SELECT ['US', 'US', 'US', 'US', 'US', 'US', 'US', 'US', 'CA', 'MX'][1 + dice(x, 7, 10)] AS marketplace_name,
       p.user_id, p.user_id_type, created AS creation_date, created + until_update + until_access AS last_accessed_date,
       created + until_update AS update_date, CAST(least(year, extract(year FROM created)) AS VARCHAR) AS garage_year,
       c.vehicle_type, c.make AS garage_make, c.model AS garage_model, c.submodels[1 + dice(x, 6, len(c.submodels))] AS garage_submodel,
       c.body AS garage_bodystyle, c.engine AS garage_engine, c.transmission AS garage_transmission, c.drive AS garage_drivetype,
       c.brakes AS garage_brakes, dice(x, 7, 25) = 24 AS no_3p_trackers, p."amci user", p."amci part", person, position
  FROM dated
  JOIN cars c USING (car)
  JOIN people p USING (person)

-- name: experian_vehicle_purchases
-- What the DMV reported: bought by one person in a household, registered where they live.
WITH bought AS (
  SELECT day, i, thrown('dmv', day, i, 0) AS y, 1 + CAST(floor(fine_share(y, 0) * population()) AS BIGINT) AS person
    FROM days, range(1 + population() // 600) AS r(i)
)
SELECT CASE WHEN dice(y, 2, 100) < 38 THEN 'N' ELSE 'U' END AS new_or_used, dice(y, 3, 25) = 0 AS no_3p_trackers, day AS purchase_date,
       CASE WHEN dice(y, 4, 10) > 0 THEN concat(c.make, ' of ', p.city, CASE dice(y, 5, 3) WHEN 0 THEN ' North' WHEN 1 THEN ' South' ELSE '' END) END AS reported_dealership,
       p.user_id, p.user_id_type, c.class AS vehicle_class, c.fuel AS vehicle_fuel_type, c.make AS vehicle_make, c.model AS vehicle_model,
       CAST(extract(year FROM day) AS INTEGER) + CASE WHEN dice(y, 2, 100) < 38 THEN dice(y, 6, 2) ELSE -1 - dice(y, 6, 12) END AS vehicle_model_year,
       right(p.state, 2) AS vehicle_registered_state, c.segment AS vehicle_type, p."amci user", p."amci part", i AS report
  FROM bought
  JOIN drivers d USING (person)
  JOIN cars c ON c.car = dice(d.x, 1, 12)
  JOIN people p USING (person)
