"""The tables of ads and what they led to."""

from __future__ import annotations

from collections.abc import Iterator

from amci.amcsql.sources import Source, sources
from amci.kernel.names import quoted
from amci.sandbox.data.families import Family, GeneratedTable, script

#: What is counted: of which event, and how much of it.
_COUNTED = {
    "detail_page_view": ("detailPageView", "1"),
    "add_to_cart": ("shoppingCart", "1"),
    "purchases": ("order", "1"),
    "units_sold": ("order", "total_units_sold"),
    "product_sales": ("order", "total_product_sales"),
}
_SCOPES = {"brand_halo_": "NOT is_promoted", "total_": "", "": "is_promoted"}
_TRAFFIC = {"_clicks": "is_click", "_views": "NOT is_click", "": ""}
#: Already in the files under this name, and what the other sums are made of.
_GIVEN = ("total_units_sold", "total_product_sales")


def sums(source: Source) -> Iterator[str]:
    """`expression AS column` for the sums that the files do not hold."""
    for column in source.columns:
        if column.name in _GIVEN:
            continue
        if expression := _sum(column.name):
            yield f"{expression} AS {quoted(column.name)}"


def _sum(name: str) -> str | None:
    """What `new_to_brand_brand_halo_purchases_clicks` and its like are; None where a column is no such sum."""
    if name.startswith("digital_"):
        return "0"  # nobody here sells subscriptions
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


#: These two have the same rows; what differs is which event a time window limits.
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
