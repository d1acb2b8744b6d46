"""What ads led to: conversions, attribution, relevance, people new to a brand, halo."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Ask = Callable[[str], list[tuple[Any, ...]]]
One = Callable[[str], Any]
BY_TIME = "amazon_attributed_events_by_conversion_time"
FIRST = "2026-09-22"


def test_conversions_follow_traffic_within_fourteen_days(one: One) -> None:
    assert one(f"SELECT count(*) FROM {BY_TIME} WHERE traffic_event_dt_utc >= conversion_event_dt_utc") == 0
    assert (
        one(
            f"SELECT count(*) FROM {BY_TIME} WHERE conversion_event_dt_utc - traffic_event_dt_utc >"
            " INTERVAL 14 DAY"
        )
        == 0
    )


def test_both_attributed_tables_have_the_same_rows(one: One) -> None:
    other = "amazon_attributed_events_by_traffic_time"
    assert one(f"SELECT count(*) FROM (FROM {BY_TIME} EXCEPT ALL FROM {other})") == 0
    assert one(f"SELECT count(*) FROM {other}") == one(f"SELECT count(*) FROM {BY_TIME}") > 1000


def test_a_conversion_is_attributed_to_the_last_touch_of_each_campaign(one: One) -> None:
    touches = (
        "SELECT user_id, campaign_id, impression_dt_utc AS at FROM dsp_impressions UNION ALL"
        " SELECT user_id, campaign_id, click_dt_utc FROM dsp_clicks"
    )
    later = (
        f"SELECT count(*) FROM {BY_TIME} a JOIN ({touches}) t USING (user_id, campaign_id)"
        " WHERE a.ad_product_type IS NULL AND t.at > a.traffic_event_dt_utc AND t.at <"
        " a.conversion_event_dt_utc"
    )
    assert one(later) == 0
    assert one(later.replace("t.at > a", "t.at >= a")) > 1000


def test_attributed_traffic_is_that_of_the_traffic_tables(one: One) -> None:
    dsp, joined = one(
        f"SELECT count(*), count(i.request_tag) FROM {BY_TIME} a LEFT JOIN dsp_impressions i ON"
        " i.request_tag = a.request_tag AND i.campaign_id = a.campaign_id"
        " AND i.impression_dt_utc = a.impression_dt_utc AND i.line_item_id = a.line_item_id AND"
        " i.supply_cost = a.supply_cost AND i.postal_code = a.postal_code"
        f" WHERE a.ad_product_type IS NULL AND a.impression_date_utc >= '{FIRST}'"
    )
    assert dsp == joined > 500
    ads, joined = one(
        f"SELECT count(*), count(t.event_id) FROM {BY_TIME} a LEFT JOIN sponsored_ads_traffic t ON"
        " t.event_id = a.traffic_event_id AND t.campaign_id = a.campaign_id"
        " AND t.event_dt_utc = a.traffic_event_dt_utc AND t.clicks = a.clicks AND"
        " t.customer_search_term IS NOT DISTINCT FROM a.customer_search_term"
        f" WHERE a.ad_product_type IS NOT NULL AND a.traffic_event_date_utc >= '{FIRST}'"
    )
    assert ads == joined > 500


def test_people_come_soon_and_clicks_bring_more_of_them(one: One, ask: Ask) -> None:
    soon, week, later = one(
        f"SELECT count(*) FILTER (d <= 1), count(*) FILTER (d > 1 AND d <= 7), count(*) FILTER (d > 7) FROM"
        " (SELECT date_diff('second', traffic_event_dt_utc, conversion_event_dt_utc) / 86400 AS d"
        f" FROM {BY_TIME})"
    )
    assert soon > week / 6 > later / 7 > 0
    led = dict(
        ask(
            f"SELECT traffic_event_subtype, count(DISTINCT traffic_event_id) FROM {BY_TIME} WHERE"
            " ad_product_type = 'sponsored_brands' GROUP BY 1"
        )
    )
    shown, clicked = one(
        "SELECT sum(impressions), sum(clicks) FROM sponsored_ads_traffic WHERE ad_product_type ="
        " 'sponsored_brands'"
    )
    assert led["AD_CLICK"] / clicked > 2 * led["AD_IMP"] / shown


def test_sponsored_products_count_by_clicks_alone(one: One) -> None:
    assert (
        one(f"SELECT count(*) FROM {BY_TIME} WHERE ad_product_type = 'sponsored_products' AND clicks = 0")
        == 0
    )


@pytest.mark.parametrize(
    ("new", "counted"),
    [
        (new, counted)
        for new in ("", "new_to_brand_")
        for counted in ("purchases", "units_sold", "product_sales")
    ]
    + [("", "detail_page_view"), ("", "add_to_cart")],
)
def test_sums_add_up(one: One, new: str, counted: str) -> None:
    base = f"{new}{counted}"
    halo, total = f"{new}brand_halo_{counted}", f"{new}total_{counted}"
    split = " OR ".join(f"{name} <> {name}_clicks + {name}_views" for name in (base, halo, total))
    assert one(f"SELECT count(*) FROM {BY_TIME} WHERE {total} <> {base} + {halo} OR {split}") == 0
    assert one(f"SELECT sum({base}) > 0 AND sum({halo}) > 0 FROM {BY_TIME}")


def test_sales_belong_to_orders_and_are_units_times_price(one: One) -> None:
    for table, kind in (("conversions_all", "event_subtype"), (BY_TIME, "conversion_event_subtype")):
        assert one(f"SELECT count(*) FROM {table} WHERE (total_product_sales > 0) <> ({kind} = 'order')") == 0
        assert (
            one(
                f"SELECT count(*) FROM {table} WHERE {kind} = 'order' AND total_product_sales <>"
                " total_units_sold * purchase_unit_price"
            )
            == 0
        )
        assert (
            one(f"SELECT count(*) FROM {table} WHERE (tracked_asin IS NOT NULL) <> ({kind} = 'order')") == 0
        )


def test_one_is_new_to_a_brand_once_in_a_year(one: One) -> None:
    bought = (
        "SELECT *, left(tracked_asin, 4) AS brand FROM conversions_all"
        " WHERE event_subtype = 'order' AND user_id IS NOT NULL"
    )
    assert (
        one(
            f"SELECT count(*) FROM ({bought}) a JOIN ({bought}) b USING (user_id, brand)"
            " WHERE a.new_to_brand AND b.event_dt_utc < a.event_dt_utc AND a.event_dt_utc -"
            " b.event_dt_utc <= INTERVAL 365 DAY"
        )
        == 0
    )
    orders, new = one(
        "SELECT count(*), count(*) FILTER (new_to_brand) FROM conversions_all WHERE event_subtype = 'order'"
    )
    assert 0.3 < new / orders < 0.9
    assert one("SELECT count(*) FROM conversions_all WHERE new_to_brand AND event_subtype <> 'order'") == 0


def test_conversions_are_those_that_ads_can_have_led_to(one: One, ask: Ask) -> None:
    kinds = dict(ask("SELECT exposure_type, count(*) FROM conversions_all GROUP BY 1"))
    assert kinds.keys() == {"ad-exposed", "non-ad-exposed", "pixel"}
    assert one("SELECT count(*) FROM conversions") == kinds["ad-exposed"] + kinds["pixel"]
    assert one("SELECT count(*) FROM conversions WHERE event_category = 'off-Amazon'") == kinds["pixel"] > 0
    assert (
        one("SELECT count(DISTINCT conversion_id) FROM conversions_with_relevance")
        == kinds["ad-exposed"] + kinds["pixel"]
    )
    assert (
        one(
            f"SELECT count(*) FROM {BY_TIME} ANTI JOIN conversions ON conversions.event_dt_utc ="
            " conversion_event_dt_utc"
        )
        == 0
    )


def test_relevance_says_why_for_each_campaign(ask: Ask, one: One) -> None:
    scopes = {
        scope: set(codes)
        for scope, codes in ask(
            "SELECT engagement_scope, list(DISTINCT halo_code) FROM conversions_with_relevance WHERE"
            " event_category <> 'pixel' GROUP BY 1"
        )
    }
    assert scopes == {
        "PROMOTED": {
            "TRACKED_ASIN",
            "VARIATIONAL_ASIN",
            "BRAND_KEYWORD",
            "CATEGORY_KEYWORD",
            "BRAND_MARKETPLACE",
        },
        "BRAND_HALO": {"BRAND_MARKETPLACE", "BRAND_GL_PRODUCT", "BRAND_CATEGORY", "BRAND_SUBCATEGORY"},
    }
    assert ask(
        "SELECT DISTINCT engagement_scope, halo_code FROM conversions_with_relevance WHERE"
        " event_category = 'pixel'"
    ) == [(None, None)]
    assert (
        one(
            "SELECT count(*) - count(DISTINCT (conversion_id, campaign_id, engagement_scope,"
            " halo_code)) FROM conversions_with_relevance"
        )
        == 0
    )
    assert (
        one(
            "SELECT count(*) FROM conversions_with_relevance r WHERE user_id IS NOT NULL AND"
            " campaign_source = 'AMAZON_DSP' AND event_date_utc >= '2026-10-20'"
            " AND NOT EXISTS (SELECT 1 FROM dsp_impressions i WHERE i.user_id = r.user_id AND"
            " i.campaign_id = r.campaign_id"
            " AND i.impression_dt_utc < r.event_dt_utc AND r.event_dt_utc - i.impression_dt_utc <="
            " INTERVAL 28 DAY)"
        )
        == 0
    )


def test_more_people_look_than_buy(ask: Ask) -> None:
    counts = dict(ask("SELECT event_subtype, count(*) FROM conversions_all GROUP BY 1"))
    assert counts["detailPageView"] > counts["shoppingCart"] > counts["order"] > 100
    assert {"searchConversion", "brandStorePageView", "wishList", "134", "140"} <= counts.keys()
