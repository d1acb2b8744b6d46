from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from amci.kernel import dates
from amci.kernel.errors import UsageError

NOW = datetime(2024, 3, 31, 14, 5, 6, 789, tzinfo=UTC)
ZONE = ZoneInfo("UTC")


@pytest.mark.parametrize(
    ("text", "moment", "day"),
    [
        ("NOW()", "2024-03-31T14:05:06", "2024-03-31T14:05:06"),
        ("TODAY()", "2024-03-31T00:00:00", "2024-03-31"),
        ("TODAY(-1)", "2024-03-30T00:00:00", "2024-03-30"),
        ("TODAY(+3)", "2024-04-03T00:00:00", "2024-04-03"),
        ("TODAY(-91)", "2023-12-31T00:00:00", "2023-12-31"),
        ("TODAY( -1 )", "2024-03-30T00:00:00", "2024-03-30"),
        ("today(-1)", "2024-03-30T00:00:00", "2024-03-30"),
        ("Now()", "2024-03-31T14:05:06", "2024-03-31T14:05:06"),
        ("  TODAY(-1)\n", "2024-03-30T00:00:00", "2024-03-30"),
        ("FIRSTDAYOFOFFSETMONTH(0)", "2024-03-01T00:00:00", "2024-03-01"),
        ("FirstDayOfOffsetMonth(-1)", "2024-02-01T00:00:00", "2024-02-01"),
        ("FIRSTDAYOFOFFSETMONTH(-3)", "2023-12-01T00:00:00", "2023-12-01"),
        ("FIRSTDAYOFOFFSETMONTH(+10)", "2025-01-01T00:00:00", "2025-01-01"),
        ("LASTDAYOFOFFSETMONTH(-1)", "2024-02-29T00:00:00", "2024-02-29"),
        ("LASTDAYOFOFFSETMONTH(-13)", "2023-02-28T00:00:00", "2023-02-28"),
        ("LASTDAYOFOFFSETMONTH(1)", "2024-04-30T00:00:00", "2024-04-30"),
        ("LASTDAYOFOFFSETMONTH(9)", "2024-12-31T00:00:00", "2024-12-31"),
        ("FIFTEENTHDAYOFOFFSETMONTH(-2)", "2024-01-15T00:00:00", "2024-01-15"),
    ],
)
def test_a_dynamic_date_becomes_the_date_it_means(text: str, moment: str, day: str) -> None:
    assert dates.is_dynamic(text)
    assert dates.resolved(text, NOW, ZONE) == moment
    assert dates.resolved(text, NOW, ZONE, "date") == day


@pytest.mark.parametrize(
    "text",
    [
        "TODAY(-1)T12:00:00",
        "xTODAY(-1)y",
        "SELECT 1 WHERE is_today(3)",
        "SELECT CUSTOM_PARAMETER('a') FROM t WHERE day = today(-1)",
        "NOW( )",
        "NOW(1)",
        "TODAY",
        "TODAY (-1)",
        "YESTERDAY()",
        "TODAY(TODAY(1))",
        "TODAY(-1",
        "TODAY(-1) TODAY(-1)",
        "FIRſTDAYOFOFFSETMONTH(0)",
        "2024-03-31",
        " ",
        "",
    ],
)
def test_text_that_is_not_wholly_a_dynamic_date_stays_as_it_is(text: str) -> None:
    assert not dates.is_dynamic(text)
    assert dates.resolved(text, NOW, ZONE) == text


@pytest.mark.parametrize(
    "name", ["TODAY", "FIRSTDAYOFOFFSETMONTH", "lastdayofoffsetmonth", "FIFTEENTHDAYOFOFFSETMONTH"]
)
@pytest.mark.parametrize("offset", ["1.5", "abc", " ", "+", "--1", "1_0", "٣", "1e3", "9" * 5000])
def test_an_offset_that_is_no_whole_number_is_refused_at_once(name: str, offset: str) -> None:
    text = f"{name}({offset})"
    with pytest.raises(UsageError, match="whole number") as refused:
        dates.is_dynamic(text)
    assert "TODAY(-7)" in refused.value.hint
    with pytest.raises(UsageError, match="whole number"):
        dates.resolved(text, NOW, ZONE)


@pytest.mark.parametrize(
    "name", ["FIRSTDAYOFOFFSETMONTH", "LASTDAYOFOFFSETMONTH", "FIFTEENTHDAYOFOFFSETMONTH"]
)
def test_only_today_may_do_without_an_offset(name: str) -> None:
    with pytest.raises(UsageError, match="whole number"):
        dates.resolved(f"{name}()", NOW, ZONE)


@pytest.mark.parametrize(
    "text",
    [
        "TODAY(-800000)",
        "TODAY(999999999)",
        "FIRSTDAYOFOFFSETMONTH(-30000)",
        "LASTDAYOFOFFSETMONTH(999999999)",
    ],
)
def test_a_date_outside_the_calendar_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="out of the calendar"):
        dates.resolved(text, NOW, ZONE)


@pytest.mark.parametrize(
    ("text", "at", "expected"),
    [
        ("TODAY(-1)", datetime(1, 1, 2, tzinfo=UTC), "0001-01-01T00:00:00"),
        ("FIRSTDAYOFOFFSETMONTH(-11)", datetime(1, 12, 2, tzinfo=UTC), "0001-01-01T00:00:00"),
        ("LASTDAYOFOFFSETMONTH(1)", datetime(9999, 11, 2, tzinfo=UTC), "9999-12-31T00:00:00"),
        ("TODAY(1)", datetime(9999, 12, 30, tzinfo=UTC), "9999-12-31T00:00:00"),
        ("NOW()", datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00"),
    ],
)
def test_the_first_and_the_last_year_are_within_the_calendar(text: str, at: datetime, expected: str) -> None:
    assert dates.resolved(text, at, ZONE) == expected


def test_a_zone_whose_clock_has_left_the_calendar_is_refused() -> None:
    with pytest.raises(UsageError, match="out of the calendar"):
        dates.resolved("NOW()", datetime(1, 1, 1, tzinfo=UTC), ZoneInfo("America/New_York"))


@pytest.mark.parametrize(
    ("zone", "today", "first"),
    [
        ("UTC", "2026-11-01T00:00:00", "2026-11-01T00:00:00"),
        ("America/Los_Angeles", "2026-10-31T00:00:00", "2026-10-01T00:00:00"),
        ("Pacific/Kiritimati", "2026-11-01T00:00:00", "2026-11-01T00:00:00"),
    ],
)
def test_days_and_months_are_those_of_the_zone(zone: str, today: str, first: str) -> None:
    at = datetime(2026, 11, 1, 3, tzinfo=UTC)
    assert dates.resolved("TODAY()", at, ZoneInfo(zone)) == today
    assert dates.resolved("FIRSTDAYOFOFFSETMONTH(0)", at, ZoneInfo(zone)) == first


def test_now_is_the_clock_on_the_wall_also_in_the_repeated_hour() -> None:
    zone = ZoneInfo("Europe/Berlin")
    hours = [dates.resolved("NOW()", datetime(2026, 10, 25, h, 30, tzinfo=UTC), zone) for h in (0, 1)]
    assert hours == ["2026-10-25T02:30:00"] * 2


@pytest.mark.parametrize(
    ("day", "months", "expected"),
    [
        (date(2024, 1, 31), 1, date(2024, 2, 29)),
        (date(2023, 1, 31), 1, date(2023, 2, 28)),
        (date(2024, 1, 31), 2, date(2024, 3, 31)),
        (date(2024, 3, 31), -1, date(2024, 2, 29)),
        (date(2024, 12, 15), 1, date(2025, 1, 15)),
        (date(2024, 5, 5), 0, date(2024, 5, 5)),
    ],
)
def test_a_month_later_is_the_same_day_or_the_last_one_there_is(
    day: date, months: int, expected: date
) -> None:
    assert dates.later_by_months(day, months) == expected


@pytest.mark.parametrize("name", ["", "utc0", "../etc", "/etc/passwd", "America", "a\0b"])
def test_an_unknown_time_zone_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="no time zone"):
        dates.time_zone(name)


def test_a_mistyped_time_zone_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(UsageError) as refused:
        dates.time_zone("Europe/Berln")
    assert "Europe/Berlin" in refused.value.hint
