"""Local times that the clocks skip or show twice are told before they come."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from amci.cli.schedule import fires_of_expression
from amci.kernel.dates import time_zone
from amci.kernel.errors import UsageError
from amci.scheduler.clock_changes import odd_times
from amci.scheduler.expression import parse

BEGIN, END = datetime(2027, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC)


def said(expression: str, zone: str) -> list[str]:
    return [odd.says() for odd in odd_times(parse(expression), BEGIN, END, ZoneInfo(zone))]


@pytest.mark.parametrize(
    ("expression", "zone", "says"),
    [
        (
            "cron(30 2 27-29 3 ? 2027)",
            "Europe/Berlin",
            ["2027-03-28 02:30 does not exist in Europe/Berlin: no fire"],
        ),
        (
            "30 2 * * *",
            "Europe/Berlin",
            [
                "2027-03-28 02:30 does not exist in Europe/Berlin: no fire",
                "2027-10-31 02:30 comes twice in Europe/Berlin: it fires the first time",
            ],
        ),
        (
            "*/20 * * * *",
            "America/New_York",
            [
                "2027-03-14 02:00 and 2 more do not exist in America/New_York: no fire",
                "2027-11-07 01:00 and 2 more come twice in America/New_York: they fire the first time",
            ],
        ),
        (
            "0 0 * * *",
            "America/Santiago",
            ["2027-09-05 00:00 does not exist in America/Santiago: no fire"],
        ),
        (
            "at(2027-03-28T02:30:00)",
            "Europe/Berlin",
            ["2027-03-28 02:30 does not exist in Europe/Berlin: no fire"],
        ),
        ("0 9 * * *", "Europe/Berlin", []),
        ("30 2 * * *", "UTC", []),
        ("rate(1 hour)", "Europe/Berlin", []),
    ],
)
def test_each_change_of_the_clocks_is_told(expression: str, zone: str, says: list[str]) -> None:
    assert said(expression, zone) == says


def test_the_next_fires_show_the_day_that_has_none() -> None:
    rows = fires_of_expression("cron(30 2 27-29 3 ? 2027)", "Europe/Berlin", BEGIN, 5)
    assert [(row["local"], row["says"]) for row in rows] == [
        ("Sat 2027-03-27 02:30:00 +0100", ""),
        ("Sun 2027-03-28 02:30:00", "2027-03-28 02:30 does not exist in Europe/Berlin: no fire"),
        ("Mon 2027-03-29 02:30:00 +0200", ""),
    ]
    assert rows[1]["fire_time"] is None


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("GMT+2", "'Etc/GMT-2'"),
        ("UTC-05:00", "'Etc/GMT+5'"),
        ("+01", "'Etc/GMT-1'"),
        ("PDT", "'America/Los_Angeles'"),
        ("CEST", "'Europe/Berlin'"),
        ("Europe/Berlim", "'Europe/Berlin'"),
        ("GMT+5:30", "IANA name"),
    ],
)
def test_no_zone_is_proposed_that_is_hours_off(name: str, hint: str) -> None:
    with pytest.raises(UsageError) as refused:
        time_zone(name)
    assert hint in refused.value.hint


@pytest.mark.parametrize(
    ("nickname", "same"),
    [
        ("@daily", "0 0 * * *"),
        ("@Hourly", "0 * * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        (" @midnight ", "0 0 * * *"),
        ("@annually", "0 0 1 1 *"),
    ],
)
def test_crons_nicknames_are_known(nickname: str, same: str) -> None:
    assert parse(nickname) == parse(same)
