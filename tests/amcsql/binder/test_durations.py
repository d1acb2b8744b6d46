"""Which rows a time window takes, and how EXTEND_TIME_WINDOW makes it longer (amc-api 3.2, 3.4)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from amci.amcsql.binder.binding import duration

from ..asking import Tables, places

DAY = timedelta(days=1)
T = Tables()
T.put(
    "views",
    [
        {"user": place + 1, "n": 1 << place, "at": at}
        for place, at in enumerate(
            [
                "2026-01-08 23:59:59.999999",
                "2026-01-09 00:00:00",
                "2026-01-09 23:59:59.999999",
                "2026-01-10 00:00:00",
                "2026-01-19 23:59:59.999999",
                "2026-01-20 00:00:00",
                "2026-01-20 11:59:59",
                "2026-01-20 12:00:00",
            ]
        )
    ],
)
T.put(
    "sales",
    [
        {"user": 1, "paid": 1 << place, "day": f"2026-01-{day:02}"}
        for place, day in enumerate([8, 9, 10, 19, 20, 21])
    ],
)
T.put("places", [{"postal": "p", "region": "r", "people": 3}])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("P0D", timedelta(0)),
        ("P28D", 28 * DAY),
        ("P2W", 14 * DAY),
        ("PT12H", timedelta(hours=12)),
        ("P1DT1H2M3S", timedelta(days=1, hours=1, minutes=2, seconds=3)),
        ("PT90M", timedelta(minutes=90)),
        ("P1M", 30 * DAY),
        ("P1Y", 365 * DAY),
        ("P1Y2M3W4D", (365 + 60 + 21 + 4) * DAY),
        ("P", None),
        ("PT", None),
        ("", None),
        ("14D", None),
        ("P14", None),
        ("p14d", None),
        ("P-1D", None),
        ("P1.5D", None),
        ("P1H", None),
        (" P1D", None),
        ("1 day", None),
    ],
)
def test_a_duration_is_iso_8601(text: str, expected: timedelta | None) -> None:
    assert duration(text) == expected


def _seen(before: str, after: str) -> int:
    sql = f"SELECT SUM(n) AS n FROM TABLE(EXTEND_TIME_WINDOW('views', '{before}', '{after}')) v"
    return int(T.ask(sql)[0][0])


def test_the_start_of_the_window_is_in_it_and_its_end_is_not() -> None:
    assert T.ask("SELECT SUM(n) AS n FROM views") == [(0b00011000,)]


@pytest.mark.parametrize(
    ("before", "after", "rows"),
    [
        ("P0D", "P0D", 0b00011000),
        ("P1D", "P0D", 0b00011110),
        ("PT24H", "PT0S", 0b00011110),
        ("P0D", "PT12H", 0b01111000),
        ("P1M", "P1D", 0b11111111),
    ],
)
def test_a_longer_window_takes_more_rows_at_both_ends(before: str, after: str, rows: int) -> None:
    assert _seen(before, after) == rows


def test_only_the_table_that_is_named_has_the_longer_window() -> None:
    sql = (
        "SELECT SUM(v.n) AS a, SUM(w.n) AS b FROM TABLE(EXTEND_TIME_WINDOW('VIEWS', 'P1D', 'P0D')) v"
        " LEFT JOIN views w ON w.user_id = v.user_id"
    )
    assert T.ask(sql) == [(0b00011110, 0b00011000)]


@pytest.mark.parametrize(
    ("start", "end", "rows"),
    [
        ("2026-01-10", "2026-01-20", 0b001100),
        ("2026-01-10T06:00", "2026-01-20", 0b001100),
        ("2026-01-09T23:00", "2026-01-20", 0b001110),
        ("2026-01-10", "2026-01-20T12:00", 0b001100),
        ("2026-01-10", "2026-01-21", 0b011100),
    ],
)
def test_of_a_table_of_days_the_day_of_the_end_is_out(start: str, end: str, rows: int) -> None:
    window = tuple(datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (start, end))
    assert T.ask("SELECT SUM(paid) AS n FROM sales", window=window) == [(rows,)]


def test_a_table_of_days_can_have_a_longer_window() -> None:
    sql = "SELECT SUM(paid) AS n FROM TABLE(EXTEND_TIME_WINDOW('sales', 'P1D', 'P2D'))"
    assert T.ask(sql) == [(0b111110,)]


def test_a_window_in_another_time_zone_is_moved() -> None:
    zone = timezone(timedelta(hours=-12))
    window = (datetime(2026, 1, 10, tzinfo=zone), datetime(2026, 1, 20, tzinfo=zone))
    assert T.ask("SELECT SUM(n) AS n FROM views", window=window) == [(0b01110000,)]


@pytest.mark.parametrize("source", ["places", "TABLE(EXTEND_TIME_WINDOW('places', 'P1D', 'P1D'))"])
def test_a_dimension_knows_no_window(source: str) -> None:
    window = (datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 1, 2, tzinfo=UTC))
    assert T.ask(f"SELECT SUM(people) AS n FROM {source}", window=window) == [(3,)]


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("EXTEND_TIME_WINDOW('views', '14 days', 'P0D')", [("duration", "'14 days'")]),
        ("EXTEND_TIME_WINDOW('views', 'P', 'x')", [("duration", "'P'"), ("duration", "'x'")]),
        ("EXTEND_TIME_WINDOW('nothing', 'P1D', 'P0D')", [("unknown-object", "'nothing'")]),
        ("EXTEND_TIME_WINDOW('views', 'P1D')", [("table-function", None)]),
        ("EXTEND_TIME_WINDOW(views, 'P1D', 'P0D')", [("table-function", None)]),
        ("EXTEND_TIME_WINDOW('views', 1, 0)", [("table-function", None)]),
        ("LONGER('views', 'P1D', 'P0D')", [("table-function", None)]),
    ],
)
def test_what_is_no_longer_window_is_told(call: str, expected: list[tuple[str, str | None]]) -> None:
    found = places(f"SELECT SUM(n) AS n FROM TABLE({call})")
    assert [
        (code, what if said else None) for (code, what), (_, said) in zip(found, expected, strict=True)
    ] == expected


def test_comments_may_stand_in_the_call() -> None:
    sql = "SELECT SUM(n) AS n FROM TABLE( -- more\n EXTEND_TIME_WINDOW(/* of */ 'views', 'P1D' /* before */, 'P0D')\n)"
    assert T.ask(sql) == [(0b00011110,)]
