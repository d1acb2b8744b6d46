"""The tables one subscribes to, and the ad server's."""

from __future__ import annotations

from collections.abc import Iterator

from amci.sandbox.data.families import Family, GeneratedTable, script

_REGIONS = ("amer", "apac", "eu")
#: What a segment table is called after, and the category of its segments.
_CATEGORIES = {"inmarket": "In-market", "lifestyle": "Lifestyle"}
#: Blue Kettle, who stands for those that do not sell on Amazon.
_NON_ENDEMIC = 3456789012

_STORE_ORDER = "event_dt_utc, session_id"


def _setup(texts: dict[str, str]) -> tuple[str, ...]:
    """The statements of a script that others build on."""
    return tuple(text for text in texts.values() if "CREATE TEMP" in text)


def _video() -> Family:
    texts = script("paid_video.sql")
    enrollments, streaming = "amazon_pvc_enrollments", "amazon_pvc_streaming_events_feed"
    return Family(
        setup=_setup(texts),
        files=(
            GeneratedTable(
                name=enrollments, sql=texts[enrollments], order="pv_start_date, pv_sub_event_primary_key"
            ),
            GeneratedTable(name=streaming, sql=texts[streaming], order="pv_playback_dt_utc, pv_session_id"),
        ),
        views={enrollments: texts["latest_enrollments"]},
    )


def _cars() -> Family:
    texts = script("paid_cars.sql")
    garage, bought = "amazon_your_garage", "experian_vehicle_purchases"
    return Family(
        setup=_setup(texts),
        files=(
            GeneratedTable(name=garage, sql=texts[garage], order="person, position", is_dimension=True),
            GeneratedTable(name=bought, sql=texts[bought], order="purchase_date, report"),
        ),
    )


def _shops() -> Family:
    texts = script("paid_shops.sql")
    retail, groceries = "amazon_retail_purchases", "ncs_cpg_insights_stream"
    return Family(
        setup=_setup(texts),
        files=(
            GeneratedTable(name=retail, sql=texts[retail], order="purchase_dt_utc, event_id"),
            GeneratedTable(
                name=groceries, sql=texts[groceries], order="week_end_dt, household_purchase_id, line"
            ),
        ),
    )


def _stores() -> Family:
    texts = script("stores.sql")
    views, events = "amazon_brand_store_page_views", "amazon_brand_store_engagement_events"
    return Family(
        setup=_setup(texts),
        files=(
            GeneratedTable(name=views, sql=texts[views], order=_STORE_ORDER),
            GeneratedTable(name=events, sql=texts[events], order=f"{_STORE_ORDER}, deed"),
        ),
        views={
            f"{table}_non_endemic": f"FROM {{{table}}} WHERE advertiser_id = {_NON_ENDEMIC}"
            for table in (views, events)
        },
    )


def _segments() -> Family:
    texts = script("segments_tables.sql")
    return Family(
        setup=_setup(texts),
        files=(
            GeneratedTable(
                name="segment_metadata",
                sql=texts["segment_metadata"],
                order="segment_marketplace_id, segment_id",
                is_dimension=True,
            ),
            GeneratedTable(
                name="user_segments", sql=texts["user_segments"], order="person", is_dimension=True
            ),
            GeneratedTable(name="segment_days", sql=texts["segment_days"], order="day"),
        ),
        views=dict(_memberships(texts)),
    )


def _memberships(texts: dict[str, str]) -> Iterator[tuple[str, str]]:
    """The twelve tables that say who belongs to which segment, each a part of the same relation."""
    for region in _REGIONS:
        for end, category in _CATEGORIES.items():
            table = f"audience_segments_{region}_{end}"
            for name, key in ((table, "membership"), (f"{table}_snapshot", "membership_snapshot")):
                yield name, texts[key].replace("$region", region).replace("$category", category)


def _adserver() -> Family:
    texts = script("adserver.sql")
    traffic, conversions = "adserver_traffic", "adserver_conversions_with_brand"
    return Family(
        setup=_setup(texts),
        files=(
            GeneratedTable(
                name=traffic, sql=texts[traffic], order="event_dt_utc, adserver_session_id, clicks"
            ),
            GeneratedTable(name=conversions, sql=texts[conversions], order="event_dt_utc, conversion_id"),
        ),
        views={
            "adserver_conversions": f"FROM {{{conversions}}}",
            "adserver_traffic_by_user_segments": texts["adserver_traffic_by_user_segments"],
        },
    )


PAID: tuple[Family, ...] = (_segments(), _shops(), _stores(), _video(), _cars(), _adserver())
