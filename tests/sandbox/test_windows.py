"""Time windows as AMC resolves them (amc-api 2.2): relative ones end two days ago, on a day's boundary."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from amci.sandbox.errors import Refusal
from amci.sandbox.times import window_of

NOW = datetime(2026, 11, 15, 6, tzinfo=UTC)


def _resolved(now: datetime = NOW, **request: Any) -> tuple[str, str]:
    window = window_of(request, now)
    return f"{window.start:%Y-%m-%dT%H:%M}", f"{window.end:%Y-%m-%dT%H:%M}"


@pytest.mark.parametrize(
    ("kind", "start", "end"),
    [
        (None, "2026-11-12T00:00", "2026-11-13T00:00"),
        ("MOST_RECENT_DAY", "2026-11-12T00:00", "2026-11-13T00:00"),
        ("MOST_RECENT_WEEK", "2026-11-06T00:00", "2026-11-13T00:00"),
        ("CURRENT_MONTH", "2026-11-01T00:00", "2026-11-13T00:00"),
        ("PREVIOUS_MONTH", "2026-10-01T00:00", "2026-11-01T00:00"),
        ("ALL", "2025-10-16T00:00", "2026-11-13T00:00"),
    ],
)
def test_a_relative_window_ends_two_days_ago(kind: str, start: str, end: str) -> None:
    assert _resolved(timeWindowType=kind) == (start, end)


def test_boundaries_are_those_of_the_time_zone() -> None:
    assert _resolved(timeWindowTimeZone="America/New_York") == ("2026-11-12T05:00", "2026-11-13T05:00")


def test_a_day_in_which_clocks_change_is_one_day() -> None:
    now = datetime(2026, 11, 4, 6, tzinfo=UTC)
    assert _resolved(now, timeWindowTimeZone="America/New_York") == ("2026-11-01T04:00", "2026-11-02T05:00")


def test_the_first_days_of_a_month_still_show_the_last_one() -> None:
    now = datetime(2026, 11, 3, 6, tzinfo=UTC)
    assert _resolved(now, timeWindowType="CURRENT_MONTH") == ("2026-10-01T00:00", "2026-11-01T00:00")


@pytest.mark.parametrize("end", ["2026-10-02T00:00:00", "2026-10-02T00:00:00Z", "2026-10-02T00:00:00.000Z"])
def test_an_explicit_window_is_local_with_or_without_a_z(end: str) -> None:
    request = {
        "timeWindowType": "EXPLICIT",
        "timeWindowStart": "2026-10-01T00:00:00",
        "timeWindowEnd": end,
        "timeWindowTimeZone": "Europe/Berlin",
    }
    assert _resolved(**request) == ("2026-09-30T22:00", "2026-10-01T22:00")


@pytest.mark.parametrize("text", ["2026-10-32T00:00:00", "2026-10-01", "2026-10-01 00:00:00", "TODAY(-1)"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(Refusal, match="Invalid time window"):
        _resolved(timeWindowType="EXPLICIT", timeWindowStart=text, timeWindowEnd="2026-10-02T00:00:00")
