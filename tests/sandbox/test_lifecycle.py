"""Slots and delays: first the rule alone, then through the API."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from amci.sandbox.lifecycle import moves

SECOND = timedelta(seconds=1)


def _moves(
    running: Any = (), ready: Any = (), *, now: int, since: int = 0, slots: int = 2, lasts: int = 10
) -> list[tuple[int, str, int]]:
    found = moves(running, ready, now=now, since=since, slots=slots, lasts=lasts)
    return [(m.seq, m.step, m.at) for m in found]


def test_those_that_are_ready_start_while_there_are_slots() -> None:
    assert _moves(ready=[(1, 5), (2, 6), (3, 7)], now=8) == [(1, "start", 5), (2, "start", 6)]


def test_a_slot_goes_to_the_next_the_moment_it_is_free() -> None:
    assert _moves(ready=[(1, 0), (2, 0), (3, 0)], now=15) == [
        (1, "start", 0),
        (2, "start", 0),
        (1, "finish", 10),
        (2, "finish", 10),
        (3, "start", 10),
    ]


def test_a_long_absence_is_made_up_for_in_order() -> None:
    found = _moves(ready=[(n, 0) for n in range(6)], now=1000)
    assert [at for _, step, at in found if step == "finish"] == [10, 10, 20, 20, 30, 30]


def test_one_that_came_after_a_slot_was_free_starts_when_it_came() -> None:
    assert _moves(running=[(1, 10)], ready=[(2, 25)], now=30, slots=1) == [
        (1, "finish", 10),
        (2, "start", 25),
    ]


def test_a_slot_freed_by_cancelling_is_taken_no_earlier_than_the_last_look() -> None:
    assert _moves(ready=[(2, 5)], now=30, since=20) == [(2, "start", 20), (2, "finish", 30)]


def test_nothing_moves_before_its_time() -> None:
    assert _moves(running=[(1, 10), (2, 12)], ready=[(3, 0)], now=9) == []


def test_without_delays_everything_ends_at_once() -> None:
    found = _moves(ready=[(n, 0) for n in range(5)], now=0, lasts=0)
    assert [seq for seq, step, _ in found if step == "finish"] == [0, 1, 2, 3, 4]


def test_an_execution_waits_runs_and_ends(calling: Any) -> None:
    amc = calling(pending=5 * SECOND, running=20 * SECOND)
    amc.workflow()
    execution = amc.execute()
    seen = []
    for _ in range(6):
        seen.append(amc.status(execution))
        amc.clock.turn(5 * SECOND)
    assert seen == ["PENDING", "RUNNING", "RUNNING", "RUNNING", "RUNNING", "SUCCEEDED"]


def test_an_instance_runs_ten_at_one_time(calling: Any) -> None:
    amc = calling(running=20 * SECOND)
    amc.workflow()
    made = [amc.execute() for _ in range(25)]

    def standing() -> list[int]:
        statuses = [amc.status(e) for e in made]
        return [statuses.count(s) for s in ("PENDING", "RUNNING", "SUCCEEDED")]

    seen = []
    for _ in range(4):
        seen.append(standing())
        amc.clock.turn(20 * SECOND)
    assert seen == [[15, 10, 0], [5, 10, 10], [0, 5, 20], [0, 0, 25]]


def test_a_cancelled_execution_frees_its_slot(calling: Any) -> None:
    amc = calling(running=20 * SECOND, slots=1)
    amc.workflow()
    first, second = amc.execute(), amc.execute()
    assert (amc.status(first), amc.status(second)) == ("RUNNING", "PENDING")
    amc.clock.turn(5 * SECOND)
    amc.ask("PUT", f"/workflowExecutions/{first}", {"status": "CANCELLED"})
    assert amc.status(second) == "RUNNING"
    assert amc.execution(second)["validatedTime"] == "2026-11-01T06:00:05Z"


def test_time_does_its_work_without_a_request(calling: Any) -> None:
    amc = calling(running=SECOND)
    amc.workflow()
    execution = amc.execute()
    amc.sandbox.advance()
    amc.clock.turn(SECOND)
    amc.sandbox.advance()
    store = amc.sandbox._backend.store
    row = store.row("execution", instance_id="amcsandbox1", workflow_execution_id=execution)
    assert row["status"] == "SUCCEEDED"


@pytest.mark.parametrize("count", [1, 3])
def test_one_instance_does_not_wait_for_another(calling: Any, count: Any) -> None:
    from amci.sandbox.options import SandboxInstance

    instances = tuple(
        SandboxInstance(instance_id=name, entity_id="E", marketplace_id="M", name=name)
        for name in ("one", "two")
    )
    amc = calling(instances=instances, slots=1, running=SECOND)
    for _ in range(count):
        amc.execute(sqlQuery="SELECT 1 AS a")
    other = amc.ask("POST", "/amc/reporting/two/workflowExecutions", {"sqlQuery": "SELECT 1 AS a"}).json
    path = f"/amc/reporting/two/workflowExecutions/{other['workflowExecutionId']}"
    assert amc.ask("GET", path).json["status"] == "RUNNING"
