-- New to brand: nothing bought of the brand in the twelve months before.
WITH purchase AS (
  SELECT
    COALESCE(ad_product_type, 'dsp') AS ad_product,
    campaign,
    user_id,
    new_to_brand,
    -- `total_` is promoted products and brand halo together.
    IF(CUSTOM_PARAMETER('with_brand_halo'), total_purchases, purchases) AS purchases,
    IF(CUSTOM_PARAMETER('with_brand_halo'), total_product_sales, product_sales) AS sales,
    IF(CUSTOM_PARAMETER('with_brand_halo'), new_to_brand_total_purchases, new_to_brand_purchases) AS new_purchases,
    IF(CUSTOM_PARAMETER('with_brand_halo'), new_to_brand_total_product_sales, new_to_brand_product_sales) AS new_sales
  FROM amazon_attributed_events_by_conversion_time
  -- A search for a brand's keyword is tracked here as well, and is no purchase.
  WHERE tracked_item NOT SIMILAR TO '^keyword'
    AND (CUSTOM_PARAMETER('asins') IS NULL OR CARDINALITY(CUSTOM_PARAMETER('asins')) = 0
         OR ARRAY_CONTAINS(CUSTOM_PARAMETER('asins'), tracked_asin))
    AND (CUSTOM_PARAMETER('campaigns') IS NULL OR CARDINALITY(CUSTOM_PARAMETER('campaigns')) = 0
         OR ARRAY_CONTAINS(CUSTOM_PARAMETER('campaigns'), campaign))
)
SELECT
  ad_product,
  campaign,
  SUM(purchases) AS purchases,
  SUM(new_purchases) AS new_to_brand_purchases,
  SUM(new_purchases) / SUM(purchases) AS new_to_brand_purchase_rate,
  SUM(sales) AS sales,
  SUM(new_sales) AS new_to_brand_sales,
  -- Purchases of unknown users count above; buyers are known users.
  COUNT(DISTINCT user_id) AS buyers,
  COUNT(DISTINCT IF(new_to_brand, user_id, NULL)) AS new_to_brand_buyers
FROM purchase
WHERE purchases > 0
GROUP BY 1, 2
