SELECT
  coalesce(ad_product_type, 'dsp') AS ad_product,
  campaign,
  sum(total_purchases) AS purchases,
  sum(new_to_brand_total_purchases) AS new_to_brand_purchases,
  sum(new_to_brand_total_purchases) / sum(total_purchases) AS new_to_brand_purchase_rate,
  sum(total_product_sales) AS sales,
  sum(new_to_brand_total_product_sales) AS new_to_brand_sales,
  count(DISTINCT user_id) AS buyers,
  count(DISTINCT user_id) FILTER (new_to_brand) AS new_to_brand_buyers
FROM amc.amazon_attributed_events_by_conversion_time
WHERE conversion_event_dt_utc >= $start AND conversion_event_dt_utc < $end
  AND NOT starts_with(tracked_item, 'keyword')
  AND total_purchases > 0
GROUP BY ALL
