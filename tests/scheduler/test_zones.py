"""Every minute walked by a naive oracle, around every change of the clocks anywhere from 2024 to 2030."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

import pytest

from amci.scheduler.expression import parse

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
BEGIN, END = datetime(2024, 1, 1, tzinfo=UTC), datetime(2031, 1, 1, tzinfo=UTC)

Rule = Callable[[datetime], bool]
RULES: Mapping[str, Rule] = {
    "cron(* * * * ? *)": lambda t: True,  # noqa: ARG005 - every minute
    "*/15 * * * *": lambda t: t.minute % 15 == 0,
    "cron(30 2 * * ? *)": lambda t: (t.hour, t.minute) == (2, 30),
    "0 0 * * *": lambda t: (t.hour, t.minute) == (0, 0),
    "cron(0/20 0-3,23 ? * SAT-MON *)": lambda t: (
        t.minute % 20 == 0 and t.hour in (0, 1, 2, 3, 23) and t.isoweekday() in (6, 7, 1)
    ),
    "custom(H * *)": lambda t: t.minute == 0,
    "45 1-23/2 24-31 * *": lambda t: t.minute == 45 and t.hour % 2 == 1 and t.day >= 24,
}


def oracle(
    rules: Mapping[str, Rule], since: datetime, until: datetime, zone: ZoneInfo
) -> dict[str, list[datetime]]:
    """since < fire <= until: what the clocks show fires where it fits, the first time it is shown."""
    found: dict[str, list[datetime]] = {text: [] for text in rules}
    shown = set()
    moment = since - DAY
    while moment < until:
        moment += MINUTE
        label = moment.astimezone(zone).replace(tzinfo=None)
        if label in shown:
            continue
        shown.add(label)
        if moment > since:
            for text, fits in rules.items():
                if fits(label):
                    found[text].append(moment)
    return found


def ours(text: str, since: datetime, until: datetime, zone: ZoneInfo) -> list[datetime]:
    return list(parse(text).fires(since, until, zone))


def changes(zone: ZoneInfo) -> Iterator[datetime]:
    """Moments, to the minute, from which the clocks of a zone are set otherwise."""

    def offset(moment: datetime) -> timedelta | None:
        return moment.astimezone(zone).utcoffset()

    day, now = BEGIN, offset(BEGIN)
    while day < END:
        earlier, now = now, offset(day + DAY)
        if earlier != now:
            before, after = day, day + DAY
            while after - before > MINUTE:
                middle = before + (after - before) // 2 // MINUTE * MINUTE
                before, after = (middle, after) if offset(middle) == offset(before) else (before, middle)
            yield after
        day += DAY


@cache
def everywhere() -> dict[tuple[datetime, timedelta | None, timedelta | None], str]:
    """Each change of clocks with one zone that has it: what lies around it is the same for all that do."""
    found = {}
    for name in sorted(available_timezones()):
        zone = ZoneInfo(name)
        for moment in changes(zone):
            before, after = (m.astimezone(zone).utcoffset() for m in (moment - MINUTE, moment))
            found.setdefault((moment, before, after), name)
    return found


def test_there_are_changes_of_all_kinds_to_look_at() -> None:
    by = {after - before for _, before, after in everywhere() if after is not None and before is not None}
    assert {timedelta(hours=1), timedelta(hours=-1), timedelta(minutes=30), timedelta(minutes=-30)} <= by
    assert len(everywhere()) > 100


@pytest.mark.spread(4)
@pytest.mark.parametrize("year", range(2024, 2031))
def test_around_every_change_of_the_clocks_we_agree_with_the_oracle(year: int) -> None:
    for (moment, _, _), name in everywhere().items():
        if moment.year != year:
            continue
        since, until, zone = moment - DAY, moment + DAY, ZoneInfo(name)
        expected = oracle(RULES, since, until, zone)
        assert {text: ours(text, since, until, zone) for text in RULES} == expected, (name, moment)


@pytest.mark.spread(3)
@pytest.mark.parametrize(
    "name",
    [
        "Australia/Lord_Howe",
        "America/Santiago",
        "Africa/Cairo",
        "Europe/Berlin",
        "America/New_York",
        "Asia/Kathmandu",
    ],
)
def test_over_a_whole_year_we_agree_with_the_oracle(name: str) -> None:
    since, until, zone = (
        datetime(2026, 12, 31, 17, tzinfo=UTC),
        datetime(2027, 12, 31, 17, tzinfo=UTC),
        ZoneInfo(name),
    )
    rules = {text: rule for text, rule in RULES.items() if text != "cron(* * * * ? *)"}
    expected = oracle(rules, since, until, zone)
    assert {text: ours(text, since, until, zone) for text in rules} == expected


@pytest.mark.parametrize(
    ("expression", "zone", "since", "expected"),
    [
        ("cron(30 2 * * ? *)", "Europe/Berlin", "2027-03-27T12:00Z", ["2027-03-29T00:30Z"]),
        (
            "cron(30 2 * * ? *)",
            "Europe/Berlin",
            "2027-10-30T12:00Z",
            ["2027-10-31T00:30Z", "2027-11-01T01:30Z"],
        ),
        ("30 * * * *", "Europe/Berlin", "2027-10-31T00:00Z", ["2027-10-31T00:30Z", "2027-10-31T02:30Z"]),
        ("30 * * * *", "Europe/Berlin", "2027-03-28T00:00Z", ["2027-03-28T00:30Z", "2027-03-28T01:30Z"]),
        ("0 0 * * *", "America/Santiago", "2027-09-04T12:00Z", ["2027-09-06T03:00Z"]),
        (
            "45 1 * * *",
            "Australia/Lord_Howe",
            "2027-04-03T00:00Z",
            ["2027-04-03T14:45Z", "2027-04-04T15:15Z"],
        ),
    ],
)
def test_a_time_lost_in_spring_is_skipped_and_one_repeated_in_autumn_fires_once(
    expression: str, zone: str, since: str, expected: list[str]
) -> None:
    moments = [datetime.fromisoformat(text) for text in expected]
    assert ours(expression, datetime.fromisoformat(since), moments[-1], ZoneInfo(zone)) == moments


def test_a_moment_inside_the_repeated_hour_does_not_fire_it_again() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    inside = datetime(2027, 10, 31, 2, 10, fold=1, tzinfo=berlin)
    fire = parse("20 * * * *").next_after(inside, berlin)
    assert fire == datetime(2027, 10, 31, 3, 20, tzinfo=berlin)
