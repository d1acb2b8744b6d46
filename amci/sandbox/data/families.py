"""The tables of the world: the files that hold their events, and the SELECTs that turn those into AMC's tables."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

from amci.amcsql.sources import Source, sources
from amci.kernel.names import quoted
from amci.kernel.state import named_queries


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratedTable:
    """A file of events for each stretch of days, or one for all days.

    `sql` is a SELECT in a session that has run world.sql and the family's `setup`. It generates events for the
    days of the table `days(day DATE)`; each event must depend on the seed, its day and its key alone. If
    `name` is one of AMC's tables, columns that the SELECT lacks become NULL (those of `generate.derived` are
    computed from their twin on reading), and columns that AMC's table lacks are stored as well.
    """

    name: str
    sql: str
    order: str  #: ORDER BY of the file: the event time first, then what tells two events apart
    is_dimension: bool = False  #: generated once, with an empty `days`


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Tables that are generated together."""

    setup: tuple[str, ...] = ()  #: statements run once in each session, after world.sql
    #: Statements run for each part of the people (from_person() to to_person()) before the files are written,
    #: for all days of the stretch (first_day() to last_day()).
    by_people: tuple[str, ...] = ()
    files: tuple[GeneratedTable, ...] = ()
    #: AMC's table → a SELECT with its columns, "amci user" and "amci part"; `{name}` stands for the files of a
    #: GeneratedTable. A GeneratedTable with the name of one of AMC's tables needs no view.
    views: Mapping[str, str] = field(default_factory=dict)


@cache
def script(name: str) -> dict[str, str]:
    """The statements of a .sql file of this package, by name."""
    return named_queries((resources.files("amci.sandbox.data") / name).read_text(encoding="utf-8"))


#: What a sum counts: the event's subtype, and the amount per event.
_COUNTED = {
    "detail_page_view": ("detailPageView", "1"),
    "add_to_cart": ("shoppingCart", "1"),
    "purchases": ("order", "1"),
    "units_sold": ("order", "total_units_sold"),
    "product_sales": ("order", "total_product_sales"),
}
_SCOPES = {"brand_halo_": "NOT is_promoted", "total_": "", "": "is_promoted"}
_TRAFFIC = {"_clicks": "is_click", "_views": "NOT is_click", "": ""}
#: Stored in the files under this name; the other sums are computed from them.
_GIVEN = ("total_units_sold", "total_product_sales")


def sums(source: Source) -> Iterator[str]:
    """`expression AS column` for each sum that the files do not store."""
    for column in source.columns:
        if column.name in _GIVEN:
            continue
        if expression := _sum(column.name):
            yield f"{expression} AS {quoted(column.name)}"


def _sum(name: str) -> str | None:
    """The expression of a sum such as `new_to_brand_brand_halo_purchases_clicks`; None for other columns."""
    if name.startswith("digital_"):
        return "0"  # the world has no digital subscriptions
    rest, new = (
        (name.removeprefix("new_to_brand_"), "new_to_brand")
        if name.startswith("new_to_brand_")
        else (name, "")
    )
    traffic = next(end for end in _TRAFFIC if rest.endswith(end))
    rest = rest.removesuffix(traffic)
    scope = next(begin for begin in _SCOPES if rest.startswith(begin))
    if (counted := _COUNTED.get(rest.removeprefix(scope))) is None:
        return None
    event, amount = counted
    conditions = [f"event_subtype = '{event}'", new, _SCOPES[scope], _TRAFFIC[traffic]]
    return f"CASE WHEN {' AND '.join(filter(None, conditions))} THEN {amount} ELSE 0 END"


#: Both have the same rows; they differ in the event that a time window limits.
_ATTRIBUTED = ("amazon_attributed_events_by_conversion_time", "amazon_attributed_events_by_traffic_time")
_SETUP = ("campaigns.sql", "sponsored.sql", "dsp.sql")


def _core() -> Family:
    outcomes = script("outcomes.sql")
    setup = [text for name in _SETUP for text in script(name).values()]
    traffic = list(script("traffic.sql").values())
    return Family(
        setup=(*setup, *(text for text in (*traffic, *outcomes.values()) if "CREATE TEMP" in text)),
        by_people=tuple(text for text in traffic if "CREATE TEMP" not in text),
        files=(
            GeneratedTable(name="dsp_about", sql="FROM dsp_about", order="line_key", is_dimension=True),
            GeneratedTable(name="ads_about", sql="FROM ads_about", order="ad_key", is_dimension=True),
            GeneratedTable(
                name="campaigns", sql=outcomes["campaigns"], order="is_dsp, campaign_no", is_dimension=True
            ),
            GeneratedTable(
                name="behavior_segments", sql=_SEGMENTS, order="behavior_segment_id", is_dimension=True
            ),
            GeneratedTable(name="dsp", sql=_DSP, order="impression_dt_utc, request_tag"),
            GeneratedTable(name="dsp_clicked", sql=_CLICKED, order="click_dt_utc, request_tag"),
            GeneratedTable(name="ads", sql="FROM ads_events", order="event_dt_utc, event_id"),
            GeneratedTable(
                name="conversion_events",
                sql=outcomes["conversion_events"],
                order="event_dt_utc, conversion_id",
            ),
            GeneratedTable(
                name="relevant",
                sql=outcomes["relevant"],
                order="event_dt_utc, conversion_id, is_dsp, campaign_no",
            ),
            GeneratedTable(name="attributed_dsp", sql=outcomes["attributed_dsp"], order=_BY_CONVERSION),
            GeneratedTable(name="attributed_ads", sql=outcomes["attributed_ads"], order=_BY_CONVERSION),
        ),
        views=_views(),
    )


_DSP = "SELECT * EXCLUDE (click_dt_utc), click_dt_utc IS NOT NULL AS is_clicked FROM dsp_rows('dsp_shown')"
_CLICKED = (
    "SELECT *, impression_dt + (click_dt_utc - impression_dt_utc) AS click_dt FROM dsp_rows('dsp_shown')"
    " WHERE click_dt_utc IS NOT NULL"
)
_SEGMENTS = (
    "SELECT segment_id AS behavior_segment_id, segment_name AS behavior_segment_name,"
    " segment_description AS behavior_segment_description FROM segments"
)
_BY_CONVERSION = "event_dt_utc, conversion_id, traffic_event_dt_utc, person, day, i"


def _views() -> dict[str, str]:
    read = dict(script("reading.sql"))
    attributed = read.pop("attributed")
    found = {name: sql.replace("@dsp_impressions", read["dsp_impressions"]) for name, sql in read.items()}
    for name in _ATTRIBUTED:
        found[name] = f"SELECT *, {', '.join(sums(sources()[name]))} FROM ({attributed})"
    return found


CORE: tuple[Family, ...] = (_core(),)


_REGIONS = ("amer", "apac", "eu")
#: End of a segment table's name → category of its segments.
_CATEGORIES = {"inmarket": "In-market", "lifestyle": "Lifestyle"}
#: Blue Kettle, the advertiser that does not sell on Amazon.
_NON_ENDEMIC = 3456789012
_STORES = ("amazon_brand_store_page_views", "amazon_brand_store_engagement_events")
_STORE_ORDER = "event_dt_utc, session_id"


def _paid(
    name: str,
    orders: Mapping[str, str],
    dimensions: Container[str] = (),
    views: Mapping[str, str] | None = None,
) -> Family:
    """The tables of a script, each generated by the statement of its name; `orders` has the ORDER BY of each."""
    texts = script(name)
    return Family(
        setup=tuple(text for text in texts.values() if "CREATE TEMP" in text),
        files=tuple(
            GeneratedTable(name=table, sql=texts[table], order=order, is_dimension=table in dimensions)
            for table, order in orders.items()
        ),
        views=views or {},
    )


def _memberships(texts: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The twelve tables of segment members, each a part of the same relation."""
    for region in _REGIONS:
        for end, category in _CATEGORIES.items():
            table = f"audience_segments_{region}_{end}"
            for name, key in ((table, "membership"), (f"{table}_snapshot", "membership_snapshot")):
                yield name, texts[key].replace("$region", region).replace("$category", category)


PAID: tuple[Family, ...] = (
    _paid(
        "segments_tables.sql",
        {
            "segment_metadata": "segment_marketplace_id, segment_id",
            "user_segments": "person",
            "segment_days": "day",
        },
        dimensions=("segment_metadata", "user_segments"),
        views=dict(_memberships(script("segments_tables.sql"))),
    ),
    _paid(
        "paid_shops.sql",
        {
            "amazon_retail_purchases": "purchase_dt_utc, event_id",
            "ncs_cpg_insights_stream": "week_end_dt, household_purchase_id, line",
        },
    ),
    _paid(
        "stores.sql",
        dict(zip(_STORES, (_STORE_ORDER, f"{_STORE_ORDER}, deed"), strict=True)),
        views={
            f"{table}_non_endemic": f"FROM {{{table}}} WHERE advertiser_id = {_NON_ENDEMIC}"
            for table in _STORES
        },
    ),
    _paid(
        "paid_video.sql",
        {
            "amazon_pvc_enrollments": "pv_start_date, pv_sub_event_primary_key",
            "amazon_pvc_streaming_events_feed": "pv_playback_dt_utc, pv_session_id",
        },
        views={"amazon_pvc_enrollments": script("paid_video.sql")["latest_enrollments"]},
    ),
    _paid(
        "paid_cars.sql",
        {"amazon_your_garage": "person, position", "experian_vehicle_purchases": "purchase_date, report"},
        dimensions=("amazon_your_garage",),
    ),
    _paid(
        "adserver.sql",
        {
            "adserver_traffic": "event_dt_utc, adserver_session_id, clicks",
            "adserver_conversions_with_brand": "event_dt_utc, conversion_id",
        },
        views={
            "adserver_conversions": "FROM {adserver_conversions_with_brand}",
            "adserver_traffic_by_user_segments": script("adserver.sql")["adserver_traffic_by_user_segments"],
        },
    ),
)

#: In the order in which they are generated.
FAMILIES = (*PAID, *CORE)
