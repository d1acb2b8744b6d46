from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from amci.kernel.errors import UsageError
from amci.workflows.amc.model import TimeWindow, WindowType
from amci.workflows.definitions import time_windows
from amci.workflows.definitions.time_windows import cut_off, nearest_hour, resolve, sliding

AT = datetime(2026, 11, 3, 3, 30, tzinfo=UTC)
RELATIVE = [kind for kind in WindowType if kind is not WindowType.EXPLICIT]


def explicit(start: str | None, end: str | None, zone: str = "UTC") -> TimeWindow:
    return TimeWindow(type=WindowType.EXPLICIT, start=start, end=end, time_zone=zone)


@pytest.mark.parametrize(
    ("start", "end", "zone", "expected"),
    [
        ("TODAY(-7)", "TODAY()", "UTC", ("2026-10-27T00:00:00", "2026-11-03T00:00:00")),
        ("TODAY(-7)", "TODAY()", "America/New_York", ("2026-10-26T00:00:00", "2026-11-02T00:00:00")),
        (
            "firstdayofoffsetmonth(-1)",
            "FIRSTDAYOFOFFSETMONTH(0)",
            "UTC",
            ("2026-10-01T00:00:00", "2026-11-01T00:00:00"),
        ),
        ("2026-10-01", "NOW()", "Asia/Kolkata", ("2026-10-01T00:00:00", "2026-11-03T09:00:00")),
        ("2026-10-01", "2026-10-02", "UTC", ("2026-10-01T00:00:00", "2026-10-02T00:00:00")),
        ("2026-10-01T06:00:00", "2026-10-01 07:00:00", "UTC", ("2026-10-01T06:00:00", "2026-10-01T07:00:00")),
        (
            "2026-10-01T00:00:00Z",
            "2026-10-02T00:00:00.000Z",
            "UTC",
            ("2026-10-01T00:00:00", "2026-10-02T00:00:00"),
        ),
        (
            "2026-10-01T00:00:00Z",
            "2026-10-02T00:00:00Z",
            "America/New_York",
            ("2026-09-30T20:00:00", "2026-10-01T20:00:00"),
        ),
        (" 2026-10-01 ", "2026-10-02", "UTC", ("2026-10-01T00:00:00", "2026-10-02T00:00:00")),
    ],
)
def test_an_explicit_window_becomes_the_local_texts_amc_wants(
    start: str, end: str, zone: str, expected: tuple[str, str]
) -> None:
    found = resolve(explicit(start, end, zone), AT)
    assert (found.start, found.end) == expected
    assert found == explicit(*expected, zone)
    assert resolve(found, datetime(2020, 1, 1, tzinfo=UTC)) == found


@pytest.mark.parametrize(
    ("window", "says"),
    [
        (explicit("2026-10-02", "2026-10-01"), "starts at 2026-10-02"),
        (explicit("2026-10-01", "2026-10-01T00:00:00"), "starts at"),
        (explicit("2026-10-01", None), "needs a start and an end"),
        (explicit("", "2026-10-01"), "needs a start and an end"),
        (explicit(None, None), "needs a start and an end"),
        (explicit("2026-02-30", "2026-03-02"), "does not exist"),
        (explicit("2026-01-01T24:30:00", "2026-03-02"), "does not exist"),
        (explicit("01.02.2026", "2026-03-02"), "is not a date"),
        (explicit("2026-01-01T00:00:00+01:00", "2026-03-02"), "is not a date"),
        (explicit("2026-01-01T00:00:00.500", "2026-03-02"), "is not a date"),
        (explicit("NOW(1)", "2026-03-02"), "is not a date"),
        (explicit("YESTERDAY()", "TODAY()"), "is not a date"),
        (explicit("0001-01-01T00:00:00Z", "2026-01-01", "America/New_York"), "does not exist"),
        (explicit("TODAY(x)", "2026-03-02"), "whole number"),
        (explicit("2026-01-01", "2026-01-02", "Mars/Olympus"), "no time zone"),
        (TimeWindow(time_zone="Mars/Olympus"), "no time zone"),
        *[(TimeWindow(type=kind, start="2026-01-01"), "has no start and no end") for kind in RELATIVE],
        *[(TimeWindow(type=kind, end="TODAY()"), "has no start and no end") for kind in RELATIVE],
    ],
)
def test_a_window_that_makes_no_sense_is_refused(window: TimeWindow, says: str) -> None:
    for judge in (lambda: time_windows.check(window), lambda: resolve(window, AT)):
        with pytest.raises(UsageError, match=says) as refused:
            judge()
        assert refused.value.hint


def test_whether_dynamic_dates_are_in_order_is_known_only_when_they_are_resolved() -> None:
    window = explicit("FIRSTDAYOFOFFSETMONTH(0)", "TODAY()")
    time_windows.check(window)
    assert resolve(window, AT)
    with pytest.raises(UsageError, match="starts at"):
        resolve(window, datetime(2026, 11, 1, 6, tzinfo=UTC))


@pytest.mark.parametrize("kind", RELATIVE)
def test_a_relative_window_stays_relative(kind: WindowType) -> None:
    window = TimeWindow(type=kind, time_zone="Europe/Berlin")
    assert resolve(window, AT) == window
    assert resolve(replace(window, start="", end=""), AT) == window


def cut(generated: Any) -> list[tuple[str, str]]:
    return [(w.start.removesuffix("T00:00:00"), w.end.removesuffix("T00:00:00")) for w in generated]


@pytest.mark.parametrize(
    ("start", "end", "step", "edges", "rest"),
    [
        ("2026-01-01", "2026-01-04", "1d", ["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04"], []),
        ("2026-01-01", "2026-01-17", "1w", ["2026-01-01", "2026-01-08", "2026-01-15"], ["2026-01-17"]),
        ("2026-01-31", "2026-04-05", "1mo", ["2026-01-31", "2026-02-28", "2026-03-31"], ["2026-04-05"]),
        ("2026-01-01", "2026-01-02", "1mo", ["2026-01-01"], ["2026-01-02"]),
        ("9999-11-01", "9999-12-31", "1mo", ["9999-11-01", "9999-12-01"], ["9999-12-31"]),
    ],
)
def test_tumbling_windows_follow_each_other_and_the_rest_is_kept_where_asked(
    start: str, end: str, step: str, edges: list[str], rest: list[str]
) -> None:
    every = edges + rest
    assert cut(sliding(start, end, step, step, "UTC")) == list(pairwise(edges))
    assert cut(sliding(start, end, step, step, "UTC", is_partial_kept=True)) == list(pairwise(every))


def test_windows_carry_their_zone_and_local_times_also_over_a_change_of_the_clocks() -> None:
    found = list(sliding("2026-10-24T06:00:00", "2026-10-26T06:00:00", "1d", "1d", "Europe/Berlin"))
    assert [w.start for w in found] == ["2026-10-24T06:00:00", "2026-10-25T06:00:00"]
    assert {w.time_zone for w in found} == {"Europe/Berlin"}
    assert [w.end for w in found] == ["2026-10-25T06:00:00", "2026-10-26T06:00:00"]


@pytest.mark.parametrize(
    ("end", "length", "step", "left"),
    [
        ("2026-01-15", "1w", "1w", None),
        ("2026-01-17", "1w", "1w", ("2026-01-15", "2026-01-17")),
        ("2026-01-05", "1w", "1w", ("2026-01-01", "2026-01-05")),
        ("2026-01-12", "1w", "2d", None),  # its last days are in the window from the 5th
        ("2026-01-13", "1w", "2d", ("2026-01-12", "2026-01-13")),
        ("2026-01-12", "1d", "1w", None),  # a gap
        ("2026-01-09T06:00:00", "1d", "1w", None),
        ("2026-01-08T06:00:00", "1d", "1w", ("2026-01-08", "2026-01-08T06:00:00")),
    ],
)
def test_what_is_cut_off_at_the_end_is_told(end: str, length: str, step: str, left: Any) -> None:
    found = cut_off("2026-01-01", end, length, step, "UTC")
    assert (found and cut([found])) == (left and [left])


def test_sliding_windows_overlap_or_leave_gaps() -> None:
    assert cut(sliding("2026-01-01", "2026-01-12", "1w", "2d", "UTC")) == [
        ("2026-01-01", "2026-01-08"),
        ("2026-01-03", "2026-01-10"),
        ("2026-01-05", "2026-01-12"),
    ]
    assert cut(sliding("2026-01-01", "2026-01-12", "1d", "1w", "UTC")) == [
        ("2026-01-01", "2026-01-02"),
        ("2026-01-08", "2026-01-09"),
    ]
    assert cut(sliding("2026-01-01", "2026-01-05", "3d", "2d", "UTC", is_partial_kept=True)) == [
        ("2026-01-01", "2026-01-04"),
        ("2026-01-03", "2026-01-05"),
    ]


@pytest.mark.parametrize("step", ["", "0d", "d", "1", "1h", "1y", "-1d", "1.5d", "1 d", "99999d"])
def test_a_step_that_is_none_is_refused_at_once(step: str) -> None:
    with pytest.raises(UsageError, match="length of windows"):
        sliding("2026-01-01", "2026-02-01", step, step, "UTC")


@pytest.mark.parametrize(
    ("start", "end", "zone"),
    [
        ("2026-02-01", "2026-01-01", "UTC"),
        ("TODAY()", "2026-01-01", "UTC"),
        ("2026-01-01", "2026-01-02", "x"),
    ],
)
def test_a_backfill_over_nothing_is_refused_at_once(start: str, end: str, zone: str) -> None:
    with pytest.raises(UsageError):
        sliding(start, end, "1d", "1d", zone)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2026-01-01T05:29:59", "2026-01-01T05:00:00"),
        ("2026-01-01T05:30:00", "2026-01-01T06:00:00"),
        ("2026-12-31T23:45:00", "2027-01-01T00:00:00"),
        ("2026-01-01T05:00:00", "2026-01-01T05:00:00"),
    ],
)
def test_half_an_hour_goes_up_to_the_next(written: str, expected: str) -> None:
    assert nearest_hour(datetime.fromisoformat(written)).isoformat() == expected
