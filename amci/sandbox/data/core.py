"""The tables of ads and what they led to."""

from __future__ import annotations

from amci.amcsql.sources import sources
from amci.sandbox.data.attribution import sums
from amci.sandbox.data.families import Family, Made, script

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
            Made(name="dsp_about", sql="FROM dsp_about", order="line_key", is_dimension=True),
            Made(name="ads_about", sql="FROM ads_about", order="ad_key", is_dimension=True),
            Made(name="campaigns", sql=outcomes["campaigns"], order="is_dsp, campaign_no", is_dimension=True),
            Made(name="behavior_segments", sql=_SEGMENTS, order="behavior_segment_id", is_dimension=True),
            Made(name="dsp", sql=_DSP, order="impression_dt_utc, request_tag"),
            Made(name="dsp_clicked", sql=_CLICKED, order="click_dt_utc, request_tag"),
            Made(name="ads", sql="FROM ads_events", order="event_dt_utc, event_id"),
            Made(
                name="conversion_events",
                sql=outcomes["conversion_events"],
                order="event_dt_utc, conversion_id",
            ),
            Made(
                name="relevant",
                sql=outcomes["relevant"],
                order="event_dt_utc, conversion_id, is_dsp, campaign_no",
            ),
            Made(name="attributed_dsp", sql=outcomes["attributed_dsp"], order=_BY_CONVERSION),
            Made(name="attributed_ads", sql=outcomes["attributed_ads"], order=_BY_CONVERSION),
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
