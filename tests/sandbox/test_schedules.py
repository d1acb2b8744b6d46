"""Schedules that AMC keeps (amc-api 2.2, 2.3)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from amci.sandbox.schedules import next_fire

from .calling import Caller, Calling

DAY = timedelta(days=1)
DAILY = {"scheduleId": "s", "workflowId": "reach", "aggregationPeriod": "Daily", "aggregationHourUtc": 7}
QUERY = "/workflowExecutions?workflowId=reach&sortAscending=true"


def _fires(amc: Caller) -> list[tuple[str, str, str]]:
    amc.log_in()
    listed = amc.ask("GET", QUERY).json["executions"]
    assert {e["executionCategory"] for e in listed} <= {"SCHEDULED"}
    return [(e["createTime"], e["timeWindowStart"], e["timeWindowEnd"]) for e in listed]


def test_a_schedule_is_flat_and_has_amcs_defaults(amc: Caller) -> None:
    assert amc.ask("POST", "/schedules", {"scheduleId": "s", "workflowId": "reach"}).json == {}
    assert amc.ask("GET", "/schedules/s").json == {
        "scheduleId": "s",
        "workflowId": "reach",
        "aggregationPeriod": "Daily",
        "aggregationHourUtc": 0,
        "aggregationStartDay": "Sunday",
        "scheduleEnabled": True,
    }
    assert [s["scheduleId"] for s in amc.ask("GET", "/schedules").json["schedules"]] == ["s"]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"workflowId": "nothing"}, 404),
        ({"scheduleId": ""}, 400),
        ({"aggregationHourUtc": 24}, 400),
        ({"aggregationPeriod": "Hourly"}, 400),
        ({"aggregationStartDay": "Someday"}, 400),
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused(amc: Caller, change: Any, status: int) -> None:
    assert amc.ask("POST", "/schedules", DAILY | change).status == status


def test_a_schedule_is_made_once(amc: Caller) -> None:
    amc.ask("POST", "/schedules", DAILY)
    assert amc.ask("POST", "/schedules", DAILY).details == "Schedule with ID s already exists."


@pytest.mark.parametrize("query", ["", "?marketplaceId=ATVPDKIKX0DER", "?marketplaceId="])
def test_a_marketplace_may_be_named(amc: Caller, query: str) -> None:
    amc.ask("POST", "/schedules", DAILY | {"marketplaceId": "ATVPDKIKX0DER"})
    assert amc.ask("GET", f"/schedules/s{query}").json["marketplaceId"] == "ATVPDKIKX0DER"
    assert len(amc.ask("GET", f"/schedules{query}").json["schedules"]) == 1
    assert amc.ask("DELETE", f"/schedules/s{query}").json == {}
    assert amc.ask("GET", f"/schedules/s{query}").status == 404


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_an_unknown_schedule_is_not_found(amc: Caller, method: str) -> None:
    assert amc.ask(method, "/schedules/nothing", {} if method == "PUT" else None).status == 404


def test_a_daily_schedule_fires_every_day_for_the_day_before(amc: Caller) -> None:
    amc.ask("POST", "/schedules", DAILY)
    amc.clock.turn(2 * DAY)
    assert _fires(amc) == [
        ("2026-11-01T07:00:00Z", "2026-10-31T07:00:00Z", "2026-11-01T07:00:00Z"),
        ("2026-11-02T07:00:00Z", "2026-11-01T07:00:00Z", "2026-11-02T07:00:00Z"),
    ]


def test_a_weekly_schedule_fires_every_week_for_the_week_before(amc: Caller) -> None:
    weekly = {"aggregationPeriod": "Weekly", "aggregationStartDay": "Wednesday"}
    amc.ask("POST", "/schedules", DAILY | weekly)
    amc.clock.turn(10 * DAY)
    assert _fires(amc) == [("2026-11-04T07:00:00Z", "2026-10-28T07:00:00Z", "2026-11-04T07:00:00Z")]


@pytest.mark.parametrize("off", [False, "False", "false"])
def test_a_schedule_that_is_switched_off_does_not_fire(amc: Caller, off: Any) -> None:
    amc.ask("POST", "/schedules", DAILY)
    amc.ask("PUT", "/schedules/s", {"scheduleEnabled": off})
    amc.clock.turn(2 * DAY)
    assert _fires(amc) == []
    amc.ask("PUT", "/schedules/s", {"scheduleEnabled": True})
    amc.clock.turn(DAY)
    assert [at for at, *_ in _fires(amc)] == ["2026-11-03T07:00:00Z"]


def test_a_deleted_schedule_does_not_fire(amc: Caller) -> None:
    amc.ask("POST", "/schedules", DAILY)
    assert amc.ask("DELETE", "/schedules/s").json == {}
    amc.clock.turn(2 * DAY)
    assert _fires(amc) == []


def test_fires_missed_while_nothing_ran_are_made_up_for(calling: Calling) -> None:
    first = calling()
    first.workflow()
    first.ask("POST", "/schedules", DAILY)
    first.clock.turn(3 * DAY)
    assert len(_fires(calling())) == 3
    assert len(_fires(first)) == 3


def test_results_are_delivered_under_the_day_they_were_made(calling: Calling, tmp_path: Path) -> None:
    amc = calling(bucket=tmp_path / "bucket")
    amc.workflow()
    amc.ask("POST", "/schedules", DAILY)
    amc.clock.turn(DAY)
    _fires(amc)
    found = [
        path.relative_to(tmp_path / "bucket").as_posix() for path in (tmp_path / "bucket").rglob("*.csv")
    ]
    assert found == ["workflow=reach/schedule=daily/2026-11-01-reach-ver1.csv"]


@pytest.mark.parametrize(
    ("since", "period", "fire"),
    [
        ("2026-11-01T06:59:59", "Daily", "2026-11-01T07:00:00"),
        ("2026-11-01T07:00:00", "Daily", "2026-11-02T07:00:00"),
        ("2026-11-01T06:00:00", "Weekly", "2026-11-02T07:00:00"),
        ("2026-11-02T06:00:00", "Weekly", "2026-11-02T07:00:00"),
        ("2026-11-02T07:00:00", "Weekly", "2026-11-09T07:00:00"),
    ],
)
def test_the_next_fire_is_later(since: str, period: str, fire: str) -> None:
    schedule = {"aggregationHourUtc": 7, "aggregationStartDay": "Monday", "aggregationPeriod": period}
    found = next_fire(schedule, datetime.fromisoformat(since).replace(tzinfo=UTC))
    assert f"{found:%Y-%m-%dT%H:%M:%S}" == fire
