WITH purchase AS (
  SELECT
    user_id,
    conversion_id,
    campaign_id_string,
    min(event_dt_utc) AS bought_at,
    max(total_product_sales) AS sales
  FROM amc.conversions_with_relevance
  WHERE event_dt_utc >= $start AND event_dt_utc < $end
    AND user_id IS NOT NULL AND event_category = 'purchase' AND engagement_scope IN ('PROMOTED', 'BRAND_HALO')
  GROUP BY ALL
),
touch AS (
  SELECT user_id, campaign_id_string, campaign, 'dsp' AS ad_product, impression_dt_utc AS touched_at, 0 AS is_click
  FROM amc.dsp_impressions
  WHERE impression_dt_utc >= $start - INTERVAL 28 DAY AND impression_dt_utc < $end
  UNION ALL
  SELECT user_id, campaign_id_string, campaign, 'dsp', click_dt_utc, 1
  FROM amc.dsp_clicks
  WHERE click_dt_utc >= $start - INTERVAL 28 DAY AND click_dt_utc < $end
  UNION ALL
  SELECT user_id, campaign_id_string, campaign, ad_product_type, event_dt_utc, if(clicks > 0, 1, 0)
  FROM amc.sponsored_ads_traffic
  WHERE event_dt_utc >= $start - INTERVAL 28 DAY AND event_dt_utc < $end
),
ordered AS (
  SELECT
    p.conversion_id,
    p.user_id,
    p.sales,
    t.ad_product,
    t.campaign,
    row_number() OVER (
      PARTITION BY p.conversion_id ORDER BY t.touched_at, t.is_click, t.campaign
    ) AS from_first,
    row_number() OVER (
      PARTITION BY p.conversion_id ORDER BY t.touched_at DESC, t.is_click DESC, t.campaign DESC
    ) AS from_last,
    count(*) OVER (PARTITION BY p.conversion_id) AS touches
  FROM purchase p
  JOIN touch t
    ON t.user_id = p.user_id
    AND t.campaign_id_string = p.campaign_id_string
    AND t.touched_at <= p.bought_at
    AND t.touched_at >= p.bought_at - INTERVAL 14 DAY
),
credited AS (
  SELECT
    *,
    CASE
      WHEN touches = 1 THEN 1
      WHEN touches = 2 THEN 0.5
      WHEN from_first = 1 OR from_last = 1 THEN 0.4
      ELSE 0.2 / (touches - 2)
    END AS by_position
  FROM ordered
)
SELECT
  ad_product,
  campaign,
  count(DISTINCT user_id) AS buyers,
  count(DISTINCT conversion_id) AS purchases_touched,
  coalesce(sum(sales) FILTER (from_first = 1), 0) AS first_touch_sales,
  coalesce(sum(sales) FILTER (from_last = 1), 0) AS last_touch_sales,
  sum(sales / touches) AS linear_sales,
  sum(by_position * sales) AS by_position_sales
FROM credited
GROUP BY ALL
