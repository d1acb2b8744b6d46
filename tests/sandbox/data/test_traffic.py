"""Who saw and clicked what: people, devices, places, times, costs, and how the tables of traffic join."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Ask = Callable[[str], list[tuple[Any, ...]]]
One = Callable[[str], Any]


def test_about_one_person_in_twenty_is_not_known(ask: Ask) -> None:
    types = dict(
        ask(
            "SELECT coalesce(user_id_type, 'NULL'), count(DISTINCT \"amci part\") FROM"
            " dsp_impressions GROUP BY 1"
        )
    )
    people = sum(types.values())
    assert 0.03 < types["NULL"] / people < 0.07
    assert 0.05 < (types["sisDeviceId"] + types["adBrowserId"]) / people < 0.15
    assert types.keys() == {"NULL", "adUserId", "sisDeviceId", "adBrowserId"}


def test_a_person_keeps_two_devices_and_one_place(one: One) -> None:
    assert (
        one(
            "SELECT count(*) FROM (SELECT user_id FROM dsp_impressions WHERE user_id IS NOT NULL AND"
            " creative_type <> 'Digital Signage'"
            " GROUP BY 1 HAVING count(DISTINCT device_id) > 2 OR count(DISTINCT postal_code) > 1 OR"
            " count(DISTINCT dma_code) > 1"
            " OR count(DISTINCT user_behavior_segment_ids) > 1)"
        )
        == 0
    )
    assert one("SELECT count(DISTINCT device_type) FROM dsp_impressions") == 6


def test_some_people_see_many_ads_and_many_see_few(ask: Ask) -> None:
    seen = sorted(
        n for (n,) in ask("SELECT count(*) FROM dsp_impressions WHERE user_id IS NOT NULL GROUP BY user_id")
    )
    median, top = seen[len(seen) // 2], seen[-len(seen) // 20]
    assert top > 2.5 * median
    assert sum(seen[-len(seen) // 10 :]) > 0.25 * sum(seen)


def test_most_is_seen_in_the_evening_and_at_weekends(ask: Ask) -> None:
    # people in one zone, whose advertiser has the same clock
    hours = dict(
        ask(
            "SELECT impression_hour, count(*) FROM dsp_impressions WHERE advertiser_id = 1234567890"
            " AND dma_code = 'US-DMA501' GROUP BY 1"
        )
    )
    assert sum(hours.get(h, 0) for h in range(18, 23)) > 4 * sum(hours.get(h, 0) for h in range(1, 5))
    days = dict(
        ask(
            "SELECT isodow(impression_date_utc), count(*) / count(DISTINCT impression_date_utc) FROM"
            " dsp_impressions GROUP BY 1"
        )
    )
    assert (days[6] + days[7]) / 2 > 1.1 * (days[2] + days[3]) / 2


@pytest.mark.parametrize(
    ("table", "at"),
    [
        ("dsp_impressions", "impression"),
        ("dsp_clicks", "click"),
        ("dsp_views", "event"),
        ("sponsored_ads_traffic", "event"),
        ("amazon_attributed_events_by_traffic_time", "traffic_event"),
        ("amazon_attributed_events_by_traffic_time", "conversion_event"),
        ("conversions_with_relevance", "event"),
    ],
)
def test_local_times_are_the_advertisers(one: One, ask: Ask, table: str, at: str) -> None:
    zones = {zone for (zone,) in ask(f"SELECT DISTINCT advertiser_timezone FROM {table}")}
    assert zones == {"America/New_York", "America/Los_Angeles", "Europe/London"}
    assert (
        one(
            f"SELECT count(*) FROM {table} WHERE {at}_dt <> timezone(advertiser_timezone,"
            f" timezone('UTC', {at}_dt_utc))"
            f" OR {at}_date <> {at}_dt::DATE OR {at}_date_utc <> {at}_dt_utc::DATE"
            f" OR {at}_dt_hour <> date_trunc('hour', {at}_dt) OR {at}_dt_hour_utc <>"
            f" date_trunc('hour', {at}_dt_utc)"
        )
        == 0
    )


def test_clicks_are_clicks_on_impressions(one: One) -> None:
    clicks, matched = one(
        "SELECT (SELECT count(*) FROM dsp_clicks), count(*) FROM dsp_clicks c JOIN"
        " dsp_impressions i USING (request_tag)"
        " WHERE c.click_dt_utc > i.impression_dt_utc AND c.impression_dt_utc ="
        " i.impression_dt_utc AND c.campaign = i.campaign"
        " AND c.creative_id = i.creative_id AND c.user_id IS NOT DISTINCT FROM i.user_id AND"
        " c.device_id = i.device_id"
    )
    assert clicks == matched > 50


def test_click_rates_depend_on_the_format(ask: Ask) -> None:
    rates = dict(
        ask(
            "SELECT i.creative_type, count(c.request_tag) / count(*) FROM dsp_impressions i LEFT JOIN"
            " dsp_clicks c USING (request_tag) GROUP BY 1"
        )
    )
    assert rates["Streaming TV Video"] == rates["Audio"] == 0
    assert 0.001 < rates["Standard Display"] < 0.006
    assert 0.002 < rates["Responsive eCommerce"] < 0.009
    searched = dict(
        ask("SELECT ad_product_type, sum(clicks) / sum(impressions) FROM sponsored_ads_traffic GROUP BY 1")
    )
    assert searched["sponsored_television"] == 0
    assert 0.01 < searched["sponsored_products"] < 0.05
    assert 0.005 < searched["sponsored_display"] < 0.03


def test_request_tags_and_event_ids_are_unique(one: One) -> None:
    assert one("SELECT count(*) - count(DISTINCT request_tag) FROM dsp_impressions") == 0
    assert one("SELECT count(*) - count(DISTINCT event_id) FROM sponsored_ads_traffic") == 0
    assert one("SELECT count(*) - count(DISTINCT conversion_id) FROM conversions_all") == 0


def test_views_repeat_impressions(one: One, ask: Ask) -> None:
    rows, matched, impressions = one(
        "SELECT count(*), count(i.request_tag), (SELECT count(*) FROM dsp_impressions) FROM dsp_views v"
        " LEFT JOIN dsp_impressions i ON i.request_tag = v.impression_id AND v.event_dt_utc >="
        " i.impression_dt_utc"
    )
    assert impressions < matched <= rows < 2 * impressions
    # what is viewed after midnight of the last day is not there
    assert rows - matched == 0
    kinds = dict(ask("SELECT event_type, count(*) FROM dsp_views GROUP BY 1"))
    assert kinds["MEASURABLE_IMP"] + kinds["UNMEASURABLE_IMP"] == impressions
    assert 0.5 < kinds["VIEW"] / kinds["MEASURABLE_IMP"] < 0.95
    assert kinds["SYNTHETIC_VIEW"] < kinds["UNMEASURABLE_IMP"]
    assert one("SELECT sum(measurable_impressions), sum(viewable_impressions),"
        " sum(unmeasurable_viewable_impressions) FROM dsp_views") == (
        kinds["MEASURABLE_IMP"], kinds["VIEW"], kinds["SYNTHETIC_VIEW"],
    )  # fmt: skip


def test_fewer_and_fewer_watch_a_video_to_its_end(ask: Ask) -> None:
    funnels = ask(
        "SELECT creative_type, sum(video_impression), sum(video_start),"
        " sum(video_first_quartile), sum(video_midpoint),"
        " sum(video_third_quartile), sum(video_complete), sum(video_click) FROM"
        " dsp_video_events_feed GROUP BY 1"
    )
    assert {kind for kind, *_ in funnels} == {"Streaming TV Video", "Standard Display"}
    for _, *funnel in funnels:
        assert funnel[:6] == sorted(funnel[:6], reverse=True)
        assert funnel[0] > funnel[5] > funnel[6]


def test_an_impression_has_a_row_for_each_segment(one: One) -> None:
    rows, matched = one(
        "SELECT count(*), sum(behavior_segment_matched) FROM dsp_impressions_by_user_segments"
    )
    assert rows == one("SELECT sum(len(user_behavior_segment_ids)) FROM dsp_impressions")
    assert matched == one("SELECT sum(len(matched_behavior_segment_ids)) FROM dsp_impressions") > 0
    assert matched == one(
        "SELECT count(*) FROM dsp_impressions_by_matched_segments WHERE behavior_segment_name IS NOT NULL"
    )
    assert (
        one(
            "SELECT count(*) FROM dsp_impressions WHERE NOT list_has_all(user_behavior_segment_ids,"
            " matched_behavior_segment_ids)"
        )
        == 0
    )


def test_costs_are_the_sum_of_their_parts_and_plausible(one: One, ask: Ask) -> None:
    assert (
        one(
            "SELECT max(abs(total_cost - (supply_cost + audience_fee + platform_fee +"
            " managed_service_fee + third_party_fees + ocm_fee) / 1000)) FROM dsp_impressions"
        )
        < 0.001
    )
    assert one("SELECT count(*) FROM dsp_impressions WHERE impression_cost * 1000 <> supply_cost") == 0
    thousand = dict(
        ask(
            "SELECT creative_type, sum(total_cost) / 100000 / sum(impressions) * 1000 FROM"
            " dsp_impressions GROUP BY 1"
        )
    )
    assert 1.5 < thousand["Standard Display"] < 8
    assert 18 < thousand["Streaming TV Video"] < 35


def test_clicks_of_sponsored_ads_cost_and_views_do_not(ask: Ask, one: One) -> None:
    clicks = dict(
        ask(
            "SELECT ad_product_type, sum(spend) / 100000000 / sum(clicks) FROM sponsored_ads_traffic"
            " WHERE clicks = 1 GROUP BY 1"
        )
    )
    assert all(0.2 < price < 2.5 for price in clicks.values())
    assert clicks.keys() == {"sponsored_products", "sponsored_brands", "sponsored_display"}
    assert (
        one(
            "SELECT sum(spend) FROM sponsored_ads_traffic WHERE impressions = 1 AND ad_product_type"
            " <> 'sponsored_television'"
        )
        == 0
    )
    assert one("SELECT count(*) FROM sponsored_ads_traffic WHERE impressions + clicks <> 1") == 0


def test_ads_are_shown_within_their_flights(one: One) -> None:
    assert (
        one(
            "SELECT count(*) FROM dsp_impressions WHERE impression_dt_utc::DATE NOT BETWEEN"
            " campaign_start_date::DATE AND campaign_end_date::DATE"
        )
        == 0
    )
    assert (
        one(
            "SELECT count(DISTINCT impression_date_utc) FROM dsp_impressions WHERE campaign LIKE"
            " 'Prime Days%'"
        )
        == 9
    )


def test_some_campaigns_terms_and_places_have_too_few_users_to_be_shown(one: One) -> None:
    assert (
        one(
            "SELECT count(*) FROM (SELECT campaign FROM dsp_impressions GROUP BY 1 HAVING"
            " count(DISTINCT user_id) < 100)"
        )
        > 0
    )
    assert (
        one(
            "SELECT count(*) FROM (SELECT postal_code FROM dsp_impressions GROUP BY 1 HAVING"
            " count(DISTINCT user_id) < 100)"
        )
        > 0
    )
    assert (
        one(
            "SELECT count(*) FROM (SELECT customer_search_term FROM sponsored_ads_traffic GROUP BY 1"
            " HAVING count(DISTINCT user_id) < 2)"
        )
        > 0
    )


def test_advertisers_campaigns_and_products_are_those_of_the_documentation(ask: Ask) -> None:
    advertisers = dict(ask("SELECT DISTINCT advertiser, advertiser_id FROM dsp_impressions"))
    assert advertisers == {
        "Northwind Outdoor": 1234567890,
        "Atlas Pets": 2345678901,
        "Blue Kettle": 3456789012,
    }
    campaigns = {
        name
        for (name,) in ask(
            "SELECT DISTINCT campaign FROM dsp_impressions UNION SELECT DISTINCT campaign FROM"
            " sponsored_ads_traffic"
        )
    }
    assert {
        "Summit OTT",
        "River Audio",
        "Trail Season Display",
        "SP Tents Exact",
        "SB Brand",
        "SD Views",
        "Cat Lovers OTT",
    } <= campaigns
