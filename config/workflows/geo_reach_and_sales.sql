-- Rows that AMC empties are added up afterwards. So there are sums here only: rates and averages would be added, too.
WITH event AS (
  SELECT
    iso_country_code,
    iso_state_province_code,
    dma_code,
    postal_code,
    campaign,
    user_id,
    impressions,
    total_cost / 100000 AS cost,
    0 AS purchases,
    0 AS sales
  FROM dsp_impressions
  UNION ALL
  -- Purchases by market area only: a postal code would need a hundred buyers, and one buyer alone would empty the
  -- whole row. A purchase counts where the ad was seen, not where the parcel goes; DSP alone knows the place.
  SELECT
    iso_country_code,
    iso_state_province_code,
    dma_code,
    NULL AS postal_code,
    campaign,
    user_id,
    0,
    0,
    total_purchases,
    total_product_sales
  FROM amazon_attributed_events_by_traffic_time
  WHERE total_purchases > 0 AND ad_product_type IS NULL
)
SELECT
  iso_country_code AS country,
  iso_state_province_code AS state,
  dma_code,
  postal_code,
  COUNT(DISTINCT IF(impressions > 0, user_id, NULL)) AS users,
  SUM(impressions) AS impressions,
  SUM(cost) AS cost,
  COUNT(DISTINCT IF(purchases > 0, user_id, NULL)) AS buyers,
  SUM(purchases) AS purchases,
  SUM(sales) AS sales
FROM event
WHERE (CUSTOM_PARAMETER('country') IS NULL OR iso_country_code = CUSTOM_PARAMETER('country'))
  AND (CUSTOM_PARAMETER('campaigns') IS NULL OR CARDINALITY(CUSTOM_PARAMETER('campaigns')) = 0
       OR ARRAY_CONTAINS(CUSTOM_PARAMETER('campaigns'), campaign))
GROUP BY 1, 2, 3, 4
