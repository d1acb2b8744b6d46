from __future__ import annotations

import json
from typing import Any

from amci.kernel.run import RunStatus
from amci.workflows.amc.model import ExecutionStatus
from amci.workflows.executions.reconcile import reconcile_run

from ..conftest import Desk


def reconciled(desk: Desk, name: str = "acme") -> dict[str, Any]:
    """What the counts of a reconciliation say, with nothing else done meanwhile."""
    new = reconcile_run(desk.tenants[name], desk.clock.now())
    desk.runs.create([new])
    handler = desk.handlers()[2]
    runs = desk.runs.claim(("reconcile",), "w", desk.settings.deadline)
    [run] = desk.runs.finish(runs, handler.handle(runs)).runs
    assert run.status is RunStatus.SUCCEEDED, run.reason
    result: dict[str, Any] = run.result
    return result


def elsewhere(desk: Desk, run_id: int) -> Any:
    """An execution like that of the run, asked for by somebody else."""
    return desk.client().create_execution(desk.row(run_id).request)


def test_what_others_asked_for_is_noted_once(desk: Desk) -> None:
    run_id = desk.ask()
    desk.work()
    theirs = elsewhere(desk, run_id)
    # PENDING has become RUNNING.
    assert reconciled(desk) == {"listed": 2, "new": 1, "refreshed": 1, "deleted": 0}
    desk.turn(seconds=1)
    assert reconciled(desk)["new"] == 0
    row = desk.executions.by_amc(theirs.workflow_execution_id)
    assert (row.run_id, row.tenant_id, row.name) == (None, "acme", "reach")


def test_ours_are_brought_up_to_date(desk: Desk) -> None:
    run_id = desk.ask()
    desk.work()
    desk.turn(minutes=10)
    assert reconciled(desk)["refreshed"] == 1
    assert desk.row(run_id).status is ExecutionStatus.SUCCEEDED
    desk.finish()
    assert desk.run(run_id).status is RunStatus.SUCCEEDED


def test_ours_that_amc_does_not_know_are_deleted(desk: Desk) -> None:
    run_id = desk.ask()
    desk.work()

    def empty(method: str, url: str) -> Any:
        if "/workflowExecutions?" in url:
            return 200, {}, json.dumps({"executions": []}).encode()
        if "/workflowExecutions/" in url:
            return 404, {}, json.dumps({"code": "404", "details": "none"}).encode()
        return None

    desk.overlay = empty
    # AMC may show it a moment after it has promised it.
    assert reconciled(desk)["deleted"] == 0
    desk.turn(minutes=2)
    assert reconciled(desk) == {"listed": 0, "new": 0, "refreshed": 0, "deleted": 1}
    desk.overlay = lambda _method, _url: None
    desk.turn(minutes=10)
    desk.work()
    assert desk.row(run_id).status is ExecutionStatus.DELETED
    assert desk.run(run_id).status is RunStatus.FAILED


def test_what_is_only_missing_in_the_list_is_asked_for_by_itself(desk: Desk) -> None:
    run_id = desk.ask()
    desk.work()
    desk.turn(minutes=10)
    desk.overlay = lambda _method, url: (
        (200, {}, json.dumps({"executions": []}).encode()) if "/workflowExecutions?" in url else None
    )
    assert reconciled(desk) == {"listed": 0, "new": 0, "refreshed": 1, "deleted": 0}
    assert desk.row(run_id).status is ExecutionStatus.SUCCEEDED


def test_an_execution_that_was_noted_before_its_run_knew_it_becomes_the_runs(desk: Desk) -> None:
    desk.fault("no_answer_after", "POST")
    run_id = desk.ask()
    desk.work()
    assert reconciled(desk)["new"] == 1
    desk.finish()
    assert desk.run(run_id).status is RunStatus.SUCCEEDED
    [only] = desk.executions.list()
    assert only.run_id == run_id


def test_what_succeeded_long_ago_keeps_its_status(desk: Desk) -> None:
    run_id = desk.ask()
    desk.finish()
    desk.overlay = lambda _method, url: (
        (200, {}, json.dumps({"executions": []}).encode()) if "/workflowExecutions?" in url else None
    )
    assert reconciled(desk)["deleted"] == 0
    assert desk.row(run_id).status is ExecutionStatus.SUCCEEDED


def test_one_tenants_executions_are_not_anothers(desk: Desk) -> None:
    desk.ask("bolt")
    desk.work()
    assert reconciled(desk, "acme")["listed"] == 0
