"""Slots and delays: first the rule alone, then through the API."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from amci.sandbox.lifecycle import Queue, moves
from amci.sandbox.options import SandboxInstance

from .calling import Caller, Calling

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


def _all_moves(
    *queues: tuple[Any, Any], now: int, since: int = 0, slots: int = 2, room: int = 99, lasts: int = 10
) -> list[tuple[int, str, int]]:
    """Of queues that have (running, ready) each; a third number of a ready one is how long it runs."""
    given = [Queue(running, [(*one, lasts)[:3] for one in ready]) for running, ready in queues]
    return [(m.seq, m.step, m.at) for m in moves(given, now=now, since=since, slots=slots, room=room)]


def _moves(running: Any = (), ready: Any = (), **more: int) -> list[tuple[int, str, int]]:
    return _all_moves((running, ready), **more)


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


def test_an_account_lets_no_more_run_than_it_may() -> None:
    queues = [((), [(n, 0), (n + 10, 0)]) for n in range(3)]
    found = _all_moves(*queues, now=20, room=4)
    assert [seq for seq, step, at in found if (step, at) == ("start", 0)] == [0, 1, 2, 10]
    assert [seq for seq, step, at in found if (step, at) == ("start", 10)] == [11, 12]


def test_who_was_created_first_goes_first_in_an_account_that_is_full() -> None:
    found = _all_moves(([(1, 10)], [(5, 0)]), ((), [(3, 2)]), ((), [(4, 1)]), now=10, room=1)
    assert found == [(1, "finish", 10), (3, "start", 10)]


def test_an_instance_that_is_full_does_not_hold_up_the_others_of_its_account() -> None:
    found = _all_moves(([(1, 50)], [(2, 0)]), ((), [(3, 0)]), now=9, slots=1)
    assert found == [(3, "start", 0)]


def test_each_runs_as_long_as_it_does() -> None:
    found = _moves(ready=[(1, 0, 30), (2, 0, 5), (3, 0, 5)], now=12)
    assert found[2:] == [(2, "finish", 5), (3, "start", 5), (3, "finish", 10)]


def test_an_execution_waits_runs_and_ends(calling: Calling) -> None:
    amc = calling(pending=5 * SECOND, running=20 * SECOND)
    amc.workflow()
    execution = amc.execute()
    seen = []
    for _ in range(6):
        seen.append(amc.status(execution))
        amc.clock.turn(5 * SECOND)
    assert seen == ["PENDING", "RUNNING", "RUNNING", "RUNNING", "RUNNING", "SUCCEEDED"]


def test_an_instance_runs_ten_at_one_time(calling: Calling) -> None:
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


def test_a_cancelled_execution_frees_its_slot(calling: Calling) -> None:
    amc = calling(running=20 * SECOND, slots=1)
    amc.workflow()
    first, second = amc.execute(), amc.execute()
    assert (amc.status(first), amc.status(second)) == ("RUNNING", "PENDING")
    amc.clock.turn(5 * SECOND)
    amc.ask("PUT", f"/workflowExecutions/{first}", {"status": "CANCELLED"})
    assert amc.status(second) == "RUNNING"
    assert amc.execution(second)["validatedTime"] == "2026-11-01T06:00:05Z"


def test_time_does_its_work_without_a_request(calling: Calling) -> None:
    amc = calling(running=SECOND)
    amc.workflow()
    execution = amc.execute()
    amc.sandbox.advance()
    amc.clock.turn(SECOND)
    amc.sandbox.advance()
    store = amc.sandbox.backend.store
    row = store.row("workflow_execution", instance_id="amcsandbox1", workflow_execution_id=execution)
    assert row["status"] == "SUCCEEDED"


@pytest.mark.parametrize("count", [1, 3])
def test_one_instance_does_not_wait_for_another(calling: Calling, count: int) -> None:
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


def _several(number: int) -> tuple[SandboxInstance, ...]:
    return tuple(
        SandboxInstance(instance_id=f"amc{n}", entity_id="E", marketplace_id="M", name=f"n{n}")
        for n in range(number)
    )


def _asked_of_each(amc: Caller, each: int) -> list[str]:
    """Paths of executions, `each` of every instance of the account."""
    paths = []
    for instance_id in amc.sandbox.backend.instances.ids_of(amc.instance.account):
        base = f"/amc/reporting/{instance_id}/workflowExecutions"
        for _ in range(each):
            made = amc.ask("POST", base, {"sqlQuery": "SELECT 1 AS a"}).json
            paths.append(f"{base}/{made['workflowExecutionId']}")
    return paths


def _standing(amc: Caller, paths: list[str]) -> Counter[str]:
    amc.log_in()
    return Counter(amc.ask("GET", path).json["status"] for path in paths)


def test_an_account_runs_two_hundred_over_all_its_instances(calling: Calling) -> None:
    amc = calling(instances=_several(25), running=MINUTE)
    paths = _asked_of_each(amc, 9)
    assert _standing(amc, paths) == {"RUNNING": 200, "PENDING": 25}
    amc.clock.turn(MINUTE)
    assert _standing(amc, paths) == {"SUCCEEDED": 200, "RUNNING": 25}
    amc.clock.turn(MINUTE)
    assert _standing(amc, paths) == {"SUCCEEDED": 225}


def test_accounts_do_not_share_their_limit(calling: Calling) -> None:
    other = SandboxInstance(instance_id="other", entity_id="E2", marketplace_id="M", name="other")
    amc = calling(instances=(*_several(2), other), running=MINUTE, slots=2, account_slots=2)
    paths = _asked_of_each(amc, 2)
    assert _standing(amc, paths) == {"RUNNING": 2, "PENDING": 2}
    amc.instance = other
    amc.log_in()
    foreign = amc.execute(sqlQuery="SELECT 1 AS a")
    assert amc.status(foreign) == "RUNNING"


def test_the_limit_of_an_account_holds_at_every_moment_nobody_looked(calling: Calling) -> None:
    amc = calling(instances=_several(4), pending=SECOND, running=10 * SECOND, slots=3, account_slots=5)
    paths = _asked_of_each(amc, 4)
    amc.clock.turn(timedelta(hours=1))
    amc.log_in()
    ended = [amc.ask("GET", path).json for path in paths]
    started = Counter(execution["validatedTime"][14:19] for execution in ended)
    assert started == {"00:01": 5, "00:11": 5, "00:21": 5, "00:31": 1}
    assert {execution["executionTime"] for execution in ended} == {10}


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_slot_that_comes_free_early_may_be_taken_by_another_instance(calling: Calling, method: str) -> None:
    amc = calling(instances=_several(2), running=MINUTE, account_slots=1)
    first, second = _asked_of_each(amc, 1)
    assert _standing(amc, [first, second]) == {"RUNNING": 1, "PENDING": 1}
    amc.clock.turn(SECOND)
    amc.ask(method, first, {"status": "CANCELLED"} if method == "PUT" else None)
    assert amc.ask("GET", second).json["validatedTime"] == "2026-11-01T06:00:01Z"


@pytest.mark.parametrize(
    ("minutes", "limit", "status", "ran"),
    [(14, 900, "SUCCEEDED", 840), (15, 900, "SUCCEEDED", 900), (20, 900, "FAILED", 900), (20, "900", "FAILED", 900),
     (20, 1200, "SUCCEEDED", 1200), (361, None, "SUCCEEDED", 21660)],
)  # fmt: skip
def test_an_execution_that_runs_longer_than_it_may_fails(
    calling: Calling, minutes: int, limit: Any, status: str, ran: int
) -> None:
    amc = calling(running=minutes * MINUTE)
    amc.workflow()
    execution = amc.execute(workflowExecutionTimeoutSeconds=limit)
    amc.status(execution)
    amc.clock.turn(timedelta(hours=7))
    amc.log_in()
    ended = amc.execution(execution)
    assert (ended["status"], ended["executionTime"]) == (status, ran)
    says = f"Execution timed out after {ran} seconds." if status == "FAILED" else None
    assert ended.get("statusReason") == says


def test_one_that_is_stopped_leaves_its_slot_to_the_next(calling: Calling) -> None:
    amc = calling(running=20 * MINUTE, slots=1)
    amc.workflow()
    amc.execute(workflowExecutionTimeoutSeconds=900)
    second = amc.execute()
    amc.status(second)
    amc.clock.turn(16 * MINUTE)
    assert amc.status(second) == "RUNNING"
