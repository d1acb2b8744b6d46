-- Heavy transform of shop_orders: fixes the types, adds what each line is worth, and the month for the partition.
-- A .sql transform is one SELECT from `rows`. A heavy one sees the types that the values of this one file have:
-- on a day when nothing was shipped, shipped_at has no value and is text. So a column that the SQL or a rule
-- computes with is cast here. getvariable('tenant') and getvariable('key') are there too.
SELECT * REPLACE (CAST(ordered_at AS TIMESTAMP) AS ordered_at,
                  CAST(shipped_at AS TIMESTAMP) AS shipped_at),
       CAST(round(quantity * unit_price, 2) AS DOUBLE) AS amount,
       strftime(CAST(ordered_at AS TIMESTAMP), '%Y-%m') AS order_month
  FROM rows
