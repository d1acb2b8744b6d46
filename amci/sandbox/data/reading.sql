-- How AMC's tables are read from the files; {name} stands for the files of that name.

-- name: dsp_impressions
SELECT *, year(day) % 100 * 100 + month(day) + campaign_id * 10000 AS campaign_flight_id, 1 AS impressions, price AS impression_cost, price * 1000 AS supply_cost, price * 1200 AS bid_price,
       price * 80 AS platform_fee, price * managed_share AS managed_service_fee, 0 AS ocm_fee, price + (price * (80 + managed_share) + audience_fee + third_party_fees) / 1000.0::DOUBLE AS total_cost,
       'US' AS iso_country_code, 1 AS segment_marketplace_id
  FROM {dsp} AS d JOIN {dsp_about} AS l USING (line_key)

-- name: dsp_clicks
SELECT *, year(day) % 100 * 100 + month(day) + campaign_id * 10000 AS campaign_flight_id, 1 AS clicks, price AS click_cost, price * 1000 AS supply_cost, price * 1200 AS bid_price,
       price * 80 AS platform_fee, 'US' AS iso_country_code
  FROM {dsp_clicked} AS d JOIN {dsp_about} AS l USING (line_key)

-- name: dsp_views
WITH told AS NOT MATERIALIZED (
  SELECT *, campaign_start_date AS campaign_start_dt, campaign_start_date_utc AS campaign_start_dt_utc, campaign_end_date AS campaign_end_dt, campaign_end_date_utc AS campaign_end_dt_utc,
         line_item_start_date AS line_item_start_dt, line_item_start_date_utc AS line_item_start_dt_utc, line_item_end_date AS line_item_end_dt, line_item_end_date_utc AS line_item_end_dt_utc,
         year(day) % 100 * 100 + month(day) + campaign_id * 10000 AS campaign_flight_id, request_tag AS impression_id, 1 AS events, 'MRC' AS view_definition
    FROM {dsp} AS d JOIN {dsp_about} AS l USING (line_key)
)
SELECT *, impression_dt_utc AS event_dt_utc, impression_dt AS event_dt, CASE WHEN view_kind IN ('VIEW', 'MEASURABLE_IMP') THEN 'MEASURABLE_IMP' ELSE 'UNMEASURABLE_IMP' END AS event_type,
       CASE WHEN view_kind IN ('VIEW', 'MEASURABLE_IMP') THEN 1 ELSE 0 END AS measurable_impressions, 0 AS viewable_impressions, 0 AS unmeasurable_viewable_impressions
  FROM told
UNION ALL
SELECT *, viewed_at, impression_dt + (viewed_at - impression_dt_utc), view_kind, 0, CASE WHEN view_kind = 'VIEW' THEN 1 ELSE 0 END, CASE WHEN view_kind = 'SYNTHETIC_VIEW' THEN 1 ELSE 0 END
  FROM told WHERE viewed_at IS NOT NULL

-- name: dsp_video_events_feed
SELECT *, 1 AS video_impression, CASE WHEN watched >= 1 THEN 1 ELSE 0 END AS video_start, CASE WHEN watched >= 1 THEN 1 ELSE 0 END AS video_creative_view,
       CASE WHEN watched >= 2 THEN 1 ELSE 0 END AS video_first_quartile, CASE WHEN watched >= 3 THEN 1 ELSE 0 END AS video_midpoint, CASE WHEN watched >= 4 THEN 1 ELSE 0 END AS video_third_quartile,
       CASE WHEN watched >= 5 THEN 1 ELSE 0 END AS video_complete, CASE WHEN is_clicked THEN 1 ELSE 0 END AS video_click,
       CASE WHEN watched >= 1 AND handled & 7 = 0 THEN 1 ELSE 0 END AS video_mute, CASE WHEN watched >= 1 AND handled & 15 = 8 THEN 1 ELSE 0 END AS video_unmute,
       CASE WHEN watched >= 1 AND handled & 496 = 0 THEN 1 ELSE 0 END AS video_pause, 0 AS video_resume, 0 AS video_replay,
       CASE WHEN watched >= 1 AND handled & 15872 = 0 THEN 1 ELSE 0 END AS video_skip_backward, CASE WHEN watched >= 1 AND handled & 15872 = 512 THEN 1 ELSE 0 END AS video_skip_forward
  FROM (@dsp_impressions) WHERE watched IS NOT NULL

-- name: dsp_impressions_by_user_segments
SELECT *, CASE WHEN list_contains(matched_behavior_segment_ids, behavior_segment_id) THEN 1 ELSE 0 END AS behavior_segment_matched
  FROM (SELECT *, unnest(user_behavior_segment_ids) AS behavior_segment_id FROM (@dsp_impressions)) JOIN {behavior_segments} AS g USING (behavior_segment_id)

-- name: dsp_impressions_by_matched_segments
SELECT *, 1 AS behavior_segment_matched
  FROM (SELECT *, unnest(matched_behavior_segment_ids) AS behavior_segment_id FROM (@dsp_impressions)) JOIN {behavior_segments} AS g USING (behavior_segment_id)

-- name: sponsored_ads_traffic
SELECT *, CASE WHEN is_click THEN 1 ELSE 0 END AS clicks, CASE WHEN is_click THEN 0 ELSE 1 END AS impressions, CASE WHEN is_click <> is_tv THEN price ELSE 0 END AS spend,
       CASE WHEN NOT is_click THEN coalesce(viewable, 0) ELSE 0 END AS viewable_impressions, CASE WHEN NOT is_click AND viewable IS NULL THEN 1 ELSE 0 END AS unmeasurable_viewable_impressions,
       CASE WHEN NOT is_click AND watched >= 1 THEN 1 ELSE 0 END AS five_sec_views, CASE WHEN NOT is_click AND watched >= 1 THEN 1 ELSE 0 END AS video_first_quartile_views,
       CASE WHEN NOT is_click AND watched >= 2 THEN 1 ELSE 0 END AS video_midpoint_views, CASE WHEN NOT is_click AND watched >= 3 THEN 1 ELSE 0 END AS video_third_quartile_views,
       CASE WHEN NOT is_click AND watched >= 4 THEN 1 ELSE 0 END AS video_complete_views, CASE WHEN NOT is_click AND is_unmuted THEN 1 ELSE 0 END AS video_unmutes,
       'USD' AS currency_iso_code, 'Dollar (USA)' AS currency_name, 'AMAZON.COM' AS marketplace_name, 'MRC' AS view_definition,
       ad_group_start_dt AS line_item_start_date, ad_group_start_dt_utc AS line_item_start_date_utc, ad_group_end_dt AS line_item_end_date, campaign_end_dt_utc AS line_item_end_date_utc, campaign_end_dt_utc AS ad_group_end_dt_utc
  FROM {ads} AS d JOIN {ads_about} AS l USING (ad_key)

-- name: attributed
-- `ad_product_type` NULL is DSP; the sums of each are in attribution.py.
SELECT *, event_dt_utc AS conversion_event_dt_utc, event_dt AS conversion_event_dt, event_category AS conversion_event_category, marketplace_name AS conversion_event_marketplace_name,
       event_subtype AS conversion_event_subtype, event_type AS conversion_event_type, event_type_class AS conversion_event_type_class, event_type_description AS conversion_event_type_description,
       conversion_event_source_name AS source_name, 1 AS conversions, CASE WHEN is_click THEN 1 ELSE 0 END AS clicks, CASE WHEN is_click THEN 0 ELSE 1 END AS impressions,
       CASE WHEN is_click THEN 'AD_CLICK' ELSE 'AD_IMP' END AS traffic_event_subtype, 'TRAFFIC' AS traffic_event_type, 'AMAZON.COM' AS traffic_event_marketplace_name
  FROM (
    SELECT *, CAST(NULL AS VARCHAR) AS ad_product_type, price * 1000 AS supply_cost, price * 1200 AS bid_price, price * 80 AS platform_fee, CASE WHEN is_click THEN price END AS click_cost,
           year(day) % 100 * 100 + month(day) + campaign_id * 10000 AS campaign_flight_id, campaign_start_date AS campaign_start_dt, campaign_start_date_utc AS campaign_start_dt_utc,
           campaign_end_date AS campaign_end_dt, campaign_end_date_utc AS campaign_end_dt_utc, 'US' AS iso_country_code,
           CAST(NULL AS VARCHAR) AS customer_search_term, CAST(NULL AS VARCHAR) AS match_type, CAST(NULL AS VARCHAR) AS placement_type, CAST(NULL AS VARCHAR) AS targeting, CAST(NULL AS VARCHAR) AS traffic_event_id
      FROM {attributed_dsp} AS d JOIN {dsp_about} AS l USING (line_key)
    UNION ALL BY NAME
    SELECT * EXCLUDE (price), 0 AS audience_fee, CASE WHEN is_click THEN price // 1000 END AS click_cost, 0 AS platform_fee, 0 AS supply_cost,
           ad_group_start_dt AS line_item_start_date, ad_group_start_dt_utc AS line_item_start_date_utc, ad_group_end_dt AS line_item_end_date, campaign_end_dt_utc AS line_item_end_date_utc,
           campaign_start_dt AS campaign_start_date, campaign_start_dt_utc AS campaign_start_date_utc
      FROM {attributed_ads} JOIN (SELECT * EXCLUDE (line_item_type) REPLACE (CASE line_item_status WHEN 'PAUSED' THEN 'PAUSED_BY_USER' ELSE line_item_status END AS line_item_status) FROM {ads_about}) AS l USING (ad_key)
  )

-- name: conversions
SELECT *, 1 AS conversions FROM {conversion_events} WHERE exposure_type <> 'non-ad-exposed'

-- name: conversions_all
SELECT * REPLACE (CASE WHEN event_category = 'off-Amazon' THEN 'pixel' ELSE event_category END AS event_category), 1 AS conversions, 1 AS marketplace_id, 'AMAZON' AS event_source, conversion_event_source_name AS conversion_event_source
  FROM {conversion_events}

-- name: conversions_with_relevance
SELECT * REPLACE (CASE WHEN event_category = 'off-Amazon' THEN 'pixel' ELSE event_category END AS event_category), 1 AS conversions
  FROM (SELECT *, unnest(codes) AS halo_code FROM {relevant}) JOIN {campaigns} AS l USING (is_dsp, campaign_no)
