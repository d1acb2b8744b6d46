from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from amci.kernel.errors import UsageError
from amci.scheduler.due import MOST, Due, Timetable, due
from amci.scheduler.model import CatchUp, FireRun, Schedule

RUN = FireRun(kind="compact")


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-01T{text}").replace(tzinfo=UTC)


def hourly(**more: object) -> Timetable:
    return Timetable.of(Schedule(schedule_id="s", expression="0 * * * *", run=RUN, **more))  # type: ignore[arg-type]


def words(found: Due) -> list[str]:
    return [f"{fire:%H:%M} {decision}" for fire, decision in found.fires]


@pytest.mark.parametrize(
    ("catch_up", "expected"),
    [
        (CatchUp.NONE, ["07:00 missed", "08:00 missed", "09:00 missed"]),
        (CatchUp.LAST, ["07:00 missed", "08:00 missed", "09:00 created"]),
        (CatchUp.ALL, ["07:00 created", "08:00 created", "09:00 created"]),
    ],
)
def test_missed_fires_are_treated_as_catch_up_says(catch_up: CatchUp, expected: list[str]) -> None:
    found = due(hourly(catch_up=catch_up), at("06:30"), at("09:10"))
    assert words(found) == expected
    assert found.cursor == at("09:10")


@pytest.mark.parametrize(
    ("catch_up", "expected"),
    [
        (CatchUp.NONE, ["08:00 missed", "09:00 created"]),
        (CatchUp.LAST, ["08:00 missed", "09:00 created"]),
        (CatchUp.ALL, ["08:00 created", "09:00 created"]),
    ],
)
@pytest.mark.parametrize("now", ["09:00:00", "09:00:01", "09:02:00"])
def test_a_fire_on_time_runs_under_every_policy_and_stands_in_for_the_last_missed(
    catch_up: CatchUp, expected: list[str], now: str
) -> None:
    assert words(due(hourly(catch_up=catch_up), at("07:30"), at(now))) == expected


def test_two_minutes_after_its_time_a_fire_is_missed() -> None:
    none = hourly(catch_up=CatchUp.NONE)
    assert words(due(none, at("08:30"), at("09:02:00"))) == ["09:00 created"]
    assert words(due(none, at("08:30"), at("09:02:00.000001"))) == ["09:00 missed"]


def test_fires_on_time_all_run_where_they_come_faster_than_one_looks() -> None:
    minutely = Timetable.of(Schedule(schedule_id="s", expression="* * * * *", run=RUN, catch_up=CatchUp.NONE))
    found = due(minutely, at("09:00:30"), at("09:02:10"))
    assert words(found) == ["09:01 created", "09:02 created"]


@pytest.mark.parametrize("catch_up", CatchUp)
def test_nothing_is_due_before_a_cursor_that_lies_ahead(catch_up: CatchUp) -> None:
    found = due(hourly(catch_up=catch_up), at("09:10"), at("08:10"))
    assert found == Due([], at("09:10"), at("10:00"))


def test_the_bounds_are_after_the_cursor_and_up_to_now() -> None:
    assert words(due(hourly(), at("08:00"), at("09:00"))) == ["09:00 created"]


def test_with_all_a_thousand_are_caught_up_at_one_look_and_the_rest_at_the_next() -> None:
    every = hourly(catch_up=CatchUp.ALL)
    now = at("09:10")
    first = due(every, now - timedelta(hours=MOST + 5), now)
    assert len(first.fires) == MOST
    assert first.cursor == first.fires[-1][0]
    second = due(every, first.cursor, now)
    assert len(second.fires) == 5
    assert second.fires[0][0] == first.cursor + timedelta(hours=1)
    assert second.cursor == now


def test_exactly_a_thousand_leave_no_rest() -> None:
    now = at("09:10")
    found = due(hourly(catch_up=CatchUp.ALL), now - timedelta(hours=MOST), now)
    assert (len(found.fires), found.cursor) == (MOST, now)


@pytest.mark.parametrize(("catch_up", "created"), [(CatchUp.NONE, 0), (CatchUp.LAST, 1)])
def test_of_very_many_missed_fires_the_newest_are_written_down(catch_up: CatchUp, created: int) -> None:
    now = at("09:10")
    found = due(hourly(catch_up=catch_up), now - timedelta(hours=5 * MOST), now)
    assert len(found.fires) == MOST
    assert [fire for fire, decision in found.fires if decision == "created"] == [at("09:00")][:created]
    assert found.cursor == now


def test_a_schedule_fires_at_its_start_and_no_more_at_its_end() -> None:
    bounded = hourly(start_at=at("07:00"), end_at=at("09:00"), catch_up=CatchUp.ALL)
    assert words(due(bounded, at("03:00"), at("12:00"))) == ["07:00 created", "08:00 created"]


def test_a_start_in_local_time_is_the_same_moment() -> None:
    start = datetime.fromisoformat("2026-11-01T09:00:00+02:00")
    assert hourly(start_at=start).next_after(at("00:00")) == at("07:00")


def test_a_disabled_schedule_has_no_fires() -> None:
    assert hourly(is_enabled=False).next_after(at("00:00")) is None


def test_fires_are_counted_in_the_time_zone_of_the_schedule() -> None:
    morning = Timetable.of(
        Schedule(schedule_id="s", expression="0 6 * * *", time_zone="Asia/Kathmandu", run=RUN)
    )
    assert morning.next_after(at("00:00")) == at("00:15")


@pytest.mark.parametrize(
    ("field", "value"), [("expression", "cron(38 * * * *)"), ("time_zone", "Europe/Berln")]
)
def test_what_cannot_be_read_is_refused(field: str, value: str) -> None:
    with pytest.raises(UsageError):
        Timetable.of(Schedule(**{"schedule_id": "s", "expression": "0 * * * *", "run": RUN, field: value}))
