"""A request that AMC carries out late, after amci has sent it again: the second execution is found and settled."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from amci.app.notice_text import notices_of
from amci.kernel.run import RunStatus
from amci.workflows.amc.model import ExecutionStatus, TimeWindow
from amci.workflows.executions.cancel import cancel
from amci.workflows.executions.reconcile import reconcile_run

from ..conftest import SQL, Desk

LATE = timedelta(minutes=5)
REQUESTS = {
    "a saved workflow": {},
    "a relative window": {"window": TimeWindow()},
    "ad hoc": {"workflow_id": "look", "sql_query": SQL},
}


def late(desk: Desk, times: int = 1) -> None:
    """The next requests get no answer, and are carried out after the time in which they are looked for."""
    desk.fault("late", "POST", seconds=int(LATE.total_seconds()), times=times)


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
@pytest.mark.parametrize("running", [timedelta(minutes=2), timedelta(hours=3)], ids=["short", "long"])
def test_a_second_execution_is_found_and_settled(
    desk_of: Callable[..., Desk], request_: dict[str, object], running: timedelta
) -> None:
    desk = desk_of(options={"running": running})
    late(desk)
    run_id = desk.ask(**request_)
    desk.finish()
    run = desk.run(run_id)
    assert run.status is RunStatus.SUCCEEDED
    one, other = desk.in_amc()
    ours = desk.row(run_id).workflow_execution_id
    [second] = [found for found in (one, other) if found.workflow_execution_id != ours]
    row = desk.executions.by_amc(second.workflow_execution_id)
    assert (row.run_id, row.second_of) == (None, desk.row(run_id).execution_id)
    # It is cancelled if it still ran when it was found; what it made is not brought a second time.
    assert second.status is (ExecutionStatus.SUCCEEDED if running < LATE else ExecutionStatus.CANCELLED)
    assert len(desk.files()) == 1
    # In the history, and in a notice.
    told = [event for event in desk.runs.events(run_id) if event.event == "executed_twice"]
    assert len(told) == 1
    assert second.workflow_execution_id in str(told[0].reason)
    [found] = [
        found for found in desk.runs.list(kind="reconcile") if found.result and found.result.get("second")
    ]
    notices = {notice.event: notice for notice in notices_of(found, "amci", desk.clock.now())}
    assert second.workflow_execution_id in notices["twice"].body
    assert desk.executions.twice() == 1


def test_it_is_told_once(desk: Desk) -> None:
    late(desk)
    run_id = desk.ask()
    desk.finish()
    for _ in range(2):
        desk.turn(minutes=1)
        desk.runs.create([reconcile_run(desk.tenants["acme"], desk.clock.now())])
        desk.finish()
    assert [event.event for event in desk.runs.events(run_id)].count("executed_twice") == 1
    assert len(desk.runs.list(kind="cancel")) <= 1


def test_two_late_executions_of_one_request_are_two(desk: Desk) -> None:
    late(desk, times=2)
    desk.ask()
    desk.finish()
    desk.turn(minutes=30)
    desk.runs.create([reconcile_run(desk.tenants["acme"], desk.clock.now())])
    desk.finish()
    assert len(desk.in_amc()) == 3
    assert desk.executions.twice() == 2


def test_a_late_execution_of_a_run_that_was_cancelled_is_cancelled_too(desk_of: Callable[..., Desk]) -> None:
    desk = desk_of(options={"running": timedelta(hours=3)})
    late(desk)
    run_id = desk.ask()
    desk.work()
    cancel(desk.runs, desk.executions, run_id)
    desk.finish()
    desk.turn(minutes=10)
    desk.runs.create([reconcile_run(desk.tenants["acme"], desk.clock.now())])
    desk.finish()
    [only] = desk.in_amc()
    assert only.status is ExecutionStatus.CANCELLED
    assert desk.executions.twice() == 1


def test_what_others_asked_for_is_not_taken_for_a_second_one(desk: Desk) -> None:
    run_id = desk.ask()
    desk.work()
    theirs = desk.client().create_execution(desk.row(run_id).sent_request)
    late(desk)
    unsure = desk.ask(workflow_id="look", sql_query=SQL)
    desk.runs.create([reconcile_run(desk.tenants["acme"], desk.clock.now())])
    desk.finish()
    assert desk.run(unsure).status is RunStatus.SUCCEEDED
    assert desk.executions.by_amc(theirs.workflow_execution_id).second_of is None
    assert desk.client().execution(theirs.workflow_execution_id).status is ExecutionStatus.SUCCEEDED  # type: ignore[union-attr]


def test_a_second_execution_is_not_taken_for_that_of_an_equal_request(desk: Desk) -> None:
    late(desk)
    first = desk.ask()
    desk.finish()
    desk.fault("no_answer_after", "POST")
    second = desk.ask()
    desk.finish()
    assert desk.run(second).status is RunStatus.SUCCEEDED
    assert len(desk.in_amc()) == 3
    ids = {desk.row(number).workflow_execution_id for number in (first, second)}
    assert len(ids) == 2
    assert desk.executions.twice() == 1


def test_what_amc_carries_out_of_a_request_that_was_given_up_is_found(desk_of: Callable[..., Desk]) -> None:
    desk = desk_of(deadline="2m", adopt_within="3m")
    late(desk)
    run_id = desk.ask()
    desk.finish()
    run = desk.run(run_id)
    assert run.status is RunStatus.FAILED
    assert "it may carry it out yet" in run.reason
    [one] = desk.in_amc()
    assert desk.executions.by_amc(one.workflow_execution_id).second_of == desk.row(run_id).execution_id
    assert desk.executions.twice() == 1
