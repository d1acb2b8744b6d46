"""croniter and cronsim as second opinions: where they agree, and each difference the decision page lists."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from croniter import CroniterError, croniter
from cronsim import CronSim, CronSimError
from hypothesis import given, settings, strategies as st

from amci.kernel.errors import UsageError
from amci.scheduler.expression import parse

PAGE = Path(__file__).parents[2] / "docs" / "decisions" / "0011-schedule-expressions.md"
UTC_ZONE = ZoneInfo("UTC")

ROWS = [
    [cell.strip().strip("`") for cell in line.strip("|").split("|")]
    for line in PAGE.read_text(encoding="utf-8").splitlines()
    if line.startswith("| `")
]


def said(ask: Callable[[], datetime | None], zone: ZoneInfo) -> str:
    try:
        fire = ask()
    except (UsageError, CroniterError, CronSimError):
        return "refused"
    return "never" if fire is None else f"{fire.astimezone(zone):%Y-%m-%dT%H:%M%z}"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]} {row[2]}")
def test_the_decision_page_is_right_about_all_three(row: list[str]) -> None:
    expression, zone_name, after, *expected, _ = row
    zone = ZoneInfo(zone_name)
    since = datetime.fromisoformat(after).replace(tzinfo=zone)
    assert expected == [
        said(lambda: parse(expression).next_after(since, zone), zone),
        said(lambda: croniter(expression, since).get_next(datetime), zone),
        said(lambda: next(CronSim(expression, since)), zone),
    ]


def test_every_row_of_the_page_is_a_difference() -> None:
    assert len(ROWS) == 15
    assert all(len({row[3], row[4], row[5]}) > 1 for row in ROWS)


@pytest.mark.parametrize(
    ("eventbridge", "unix", "libraries"),
    [
        ("cron(0 9 L * ? *)", "0 9 L * *", (croniter, CronSim)),
        ("cron(0 9 LW * ? *)", "0 9 LW * *", (CronSim,)),
        ("cron(0 9 1W * ? *)", "0 9 1W * *", (croniter,)),
        ("cron(0 9 15W * ? *)", "0 9 15W * *", (croniter,)),
        ("cron(0 9 ? * 5#2 *)", "0 9 * * 4#2", (croniter, CronSim)),
        ("cron(0 9 ? * FRI#5 *)", "0 9 * * fri#5", (croniter, CronSim)),
        ("cron(0 9 ? * 5L *)", "0 9 * * 4L", (CronSim,)),
        ("cron(0 9 ? * 5L *)", "0 9 * * L4", (croniter,)),
        ("cron(0 9 29 2 ? *)", "0 9 29 2 *", (croniter, CronSim)),
        ("cron(0 9 ? JAN-MAR MON-FRI *)", "0 9 * jan-mar mon-fri", (croniter, CronSim)),
    ],
)
def test_eventbridges_own_signs_mean_what_the_libraries_say(
    eventbridge: str, unix: str, libraries: tuple[type, ...]
) -> None:
    since = datetime(2026, 11, 1)  # noqa: DTZ001 - the libraries count labels then, as we do in UTC
    fires = islice(
        parse(eventbridge).fires(since.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC), UTC_ZONE), 12
    )
    mine = [fire.replace(tzinfo=None) for fire in fires]
    for library in libraries:
        theirs = croniter(unix, since, ret_type=datetime) if library is croniter else CronSim(unix, since)
        assert list(islice(theirs, len(mine))) == mine


def a_field(low: int, high: int) -> st.SearchStrategy[str]:
    """Forms that all three read alike."""
    number = st.integers(low, high)
    return st.one_of(
        st.just("*"),
        number.map(str),
        st.lists(number, min_size=2, max_size=4).map(lambda ns: ",".join(map(str, ns))),
        st.tuples(number, number).filter(lambda p: p[0] < p[1]).map(lambda p: f"{p[0]}-{p[1]}"),
        st.tuples(number, number, st.integers(1, high))
        .filter(lambda p: p[0] < p[1])
        .map(lambda p: f"{p[0]}-{p[1]}/{p[2]}"),
    )


@given(
    st.tuples(a_field(0, 59), a_field(0, 23), a_field(1, 12)),
    st.one_of(a_field(1, 28).map(lambda d: (d, "*")), a_field(0, 6).map(lambda d: ("*", d))),
    st.datetimes(datetime(2024, 1, 1), datetime(2031, 1, 1)),  # noqa: DTZ001 - hypothesis wants its bounds so
)
@settings(deadline=None)
def test_five_fields_mean_what_both_libraries_say(
    times: tuple[str, str, str], days: tuple[str, str], since: datetime
) -> None:
    text = f"{times[0]} {times[1]} {days[0]} {times[2]} {days[1]}"
    since = since.replace(second=0, microsecond=0)
    fires = parse(text).fires(since.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC), UTC_ZONE)
    mine = [fire.replace(tzinfo=None) for fire in islice(fires, 5)]
    assert list(islice(croniter(text, since, ret_type=datetime), 5)) == mine
    assert list(islice(CronSim(text, since), 5)) == mine
