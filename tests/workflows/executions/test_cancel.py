from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from amci.kernel.errors import IllegalMove, NotFound
from amci.kernel.run import Failed, RunStatus, Snooze
from amci.workflows.amc.model import ExecutionStatus
from amci.workflows.executions.cancel import cancel, cancel_run

from ..conftest import Desk


def statuses(desk: Desk) -> list[ExecutionStatus]:
    return [execution.status for execution in desk.in_amc()]


def the_cancel_run(desk: Desk) -> Any:
    [run] = desk.runs.list(kind="cancel")
    return run


def test_a_run_that_waits_for_a_slot_is_cancelled_here_alone(desk: Desk) -> None:
    run_id = desk.ask()
    assert cancel(desk.runs, desk.executions, run_id) == []
    desk.finish()
    assert desk.run(run_id).status is RunStatus.CANCELLED
    assert desk.in_amc() == []


def test_a_running_execution_is_cancelled_in_amc_too(desk: Desk) -> None:
    run_id = desk.ask()
    desk.work()
    [new] = cancel(desk.runs, desk.executions, run_id)
    assert desk.run(run_id).status is RunStatus.CANCELLED
    assert new.kind == "cancel"
    desk.finish()
    assert statuses(desk) == [ExecutionStatus.CANCELLED]
    assert the_cancel_run(desk).result["execution_status"] == "CANCELLED"


def test_an_execution_amc_may_have_is_looked_for_and_cancelled(desk: Desk) -> None:
    desk.fault("no_answer_after", "POST")
    run_id = desk.ask()
    desk.work()
    cancel(desk.runs, desk.executions, run_id)
    desk.finish()
    assert statuses(desk) == [ExecutionStatus.CANCELLED]


def test_an_execution_amc_never_had_needs_no_cancelling(desk: Desk) -> None:
    desk.fault("error", "POST", status=504)
    run_id = desk.ask()
    desk.work()
    cancel(desk.runs, desk.executions, run_id)
    desk.finish()
    assert desk.in_amc() == []
    assert the_cancel_run(desk).status is RunStatus.SUCCEEDED
    assert the_cancel_run(desk).result["execution_status"] is None


def test_a_run_cancelled_while_a_worker_has_it_sends_nothing(desk: Desk) -> None:
    run_id = desk.ask()
    handler = desk.handlers()[0]
    runs = desk.runs.claim(("execute",), "w", timedelta(hours=1))
    cancel(desk.runs, desk.executions, run_id)
    outcomes = handler.handle(runs)
    assert isinstance(outcomes[run_id], Snooze)
    assert desk.runs.finish(runs, outcomes).lost == runs
    assert desk.in_amc() == []


def test_what_has_ended_cannot_be_cancelled(desk: Desk) -> None:
    run_id = desk.ask()
    desk.finish()
    with pytest.raises(IllegalMove, match="SUCCEEDED"):
        cancel(desk.runs, desk.executions, run_id)
    with pytest.raises(NotFound):
        cancel(desk.runs, desk.executions, 99)


def test_what_ended_in_amc_meanwhile_is_told_as_such(desk: Desk) -> None:
    run_id = desk.ask()
    desk.work()
    cancel(desk.runs, desk.executions, run_id)
    desk.turn(minutes=30)
    desk.finish()
    assert the_cancel_run(desk).status is RunStatus.SKIPPED
    assert the_cancel_run(desk).reason == "it had ended already: SUCCEEDED"


def test_a_failed_run_whose_execution_is_alive_can_still_be_cancelled(desk: Desk) -> None:
    run_id = desk.ask()
    desk.work()
    desk.turn(hours=1)
    [run] = desk.runs.claim(("execute",), "w", timedelta(hours=1))
    desk.runs.finish([run], {run_id: Failed(ValueError("a bug"))})
    desk.turn(minutes=-60)
    assert len(cancel(desk.runs, desk.executions, run_id)) == 1
    desk.finish()
    assert statuses(desk) == [ExecutionStatus.CANCELLED]


def test_cancelling_is_tried_again_while_amc_is_out_of_reach(desk: Desk) -> None:
    run_id = desk.ask()
    desk.work()
    cancel(desk.runs, desk.executions, run_id)
    desk.fault("error", "PUT", times=7, status=503)
    desk.work()
    assert the_cancel_run(desk).status is RunStatus.PENDING
    desk.sandbox.faults.clear()
    desk.turn(seconds=40)
    desk.work()
    assert statuses(desk) == [ExecutionStatus.CANCELLED]


def test_an_execution_of_somebody_else_can_be_cancelled(desk: Desk) -> None:
    run_id = desk.ask()
    desk.work()
    row = desk.row(run_id)
    desk.runs.create([cancel_run(row)])
    desk.work()
    assert statuses(desk) == [ExecutionStatus.CANCELLED]
    desk.finish()
    assert desk.run(run_id).status is RunStatus.SKIPPED
