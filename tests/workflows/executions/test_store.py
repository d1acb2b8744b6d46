from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from amci.kernel.errors import NotFound
from amci.workflows.amc.model import Execution, ExecutionRequest, ExecutionStatus, TimeWindow, WindowType
from amci.workflows.executions.polling import next_look, pause
from amci.workflows.executions.request_matching import content, fingerprint, is_like, recognisable
from amci.workflows.executions.store import SendDecision

from ..conftest import Desk

WINDOW = TimeWindow(type=WindowType.EXPLICIT, start="2026-10-01T00:00:00", end="2026-10-02T00:00:00")
ASKED = ExecutionRequest(workflow_id="reach", window=WINDOW, parameter_values={"n": 5, "ids": ["a"]})
SHOWN = Execution(
    workflow_execution_id="e-1",
    workflow_id="reach",
    status=ExecutionStatus.PENDING,
    window_start_local="2026-10-01T00:00:00",
    window_end_local="2026-10-02T00:00:00",
    parameter_values={"n": "5", "ids": ["a"]},
)


def begun(desk: Desk, *, window: TimeWindow = WINDOW) -> Any:
    """A run in the hands of a worker, and the row of its first attempt."""
    run_id = desk.ask()
    [run] = desk.runs.claim(("execute",), "w", timedelta(hours=1))
    assert run.run_id == run_id
    row = desk.executions.begin(
        run,
        "amcacme",
        replace(ASKED, window=window),
        name="reach",
        schedule="adhoc",
        attempt=1,
        redrives=0,
        sql_hash="",
        lasting=timedelta(hours=8),
    )
    return run, row


def submitting(desk: Desk, run: Any, row: Any) -> SendDecision:
    go, _ = desk.executions.submitting(row, run, unsettled=timedelta(minutes=1))
    return go  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, True),
        ({"parameter_values": {"ids": ["a"], "n": 5.0}}, True),
        ({"parameter_values": {"n": 6, "ids": ["a"]}}, False),
        ({"parameter_values": {"n": 5}}, False),
        ({"workflow_id": "other"}, False),
        ({"time_zone": "Europe/Berlin"}, False),
        ({"window_end_local": "2026-10-03T00:00:00"}, False),
        ({"window_end_local": "2026-10-02T00:00:00Z"}, True),
        ({"window_end_local": None}, False),
    ],
)
def test_an_execution_is_recognised_by_what_amc_shows_of_it(change: dict[str, Any], expected: bool) -> None:
    assert is_like(ASKED, replace(SHOWN, **change)) is expected


def test_a_relative_window_is_not_compared_since_amc_shows_it_only_later() -> None:
    relative = replace(ASKED, window=TimeWindow())
    assert is_like(relative, replace(SHOWN, window_start_local=None, window_end_local=None))


def test_inline_sql_is_sent_under_an_id_that_belongs_to_one_run() -> None:
    inline = replace(ASKED, sql_query="SELECT 1")
    first, second = recognisable(inline, "exec:1"), recognisable(inline, "exec:2")
    assert first.workflow_id != second.workflow_id
    assert recognisable(inline, "exec:1") == first
    assert recognisable(ASKED, "exec:1") == ASKED
    assert content("look", first) == content("look", second)
    assert fingerprint(first) != fingerprint(second)


def test_two_requests_that_look_alike_are_not_on_their_way_together(desk: Desk) -> None:
    (run, row), (other_run, other_row) = begun(desk), begun(desk)
    assert submitting(desk, run, row) is SendDecision.SEND
    assert submitting(desk, other_run, other_row) is SendDecision.WAIT
    assert desk.executions.take(row, SHOWN) is not None
    assert submitting(desk, other_run, other_row) is SendDecision.SEND


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (replace(WINDOW, end="2026-10-05T00:00:00"), SendDecision.SEND),
        # AMC shows of it nothing that the other one does not have.
        (TimeWindow(), SendDecision.WAIT),
    ],
)
def test_only_requests_that_could_be_mixed_up_wait(
    desk: Desk, window: TimeWindow, expected: SendDecision
) -> None:
    run, row = begun(desk)
    submitting(desk, run, row)
    assert submitting(desk, *begun(desk, window=window)) is expected


def test_nobody_waits_for_a_request_that_was_sent_long_ago(desk: Desk) -> None:
    run, row = begun(desk)
    submitting(desk, run, row)
    desk.turn(minutes=2)
    assert submitting(desk, *begun(desk)) is SendDecision.SEND


def test_a_run_that_another_worker_has_sends_nothing(desk: Desk) -> None:
    run, row = begun(desk)
    desk.turn(hours=2)
    desk.runs.recover()
    [again] = desk.runs.claim(("execute",), "other", timedelta(hours=1))
    assert submitting(desk, run, row) is SendDecision.STOP
    assert submitting(desk, again, row) is SendDecision.SEND


def test_an_execution_belongs_to_one_run(desk: Desk) -> None:
    (_, row), (_, other) = begun(desk), begun(desk)
    assert desk.executions.take(row, SHOWN) is not None
    assert desk.executions.take(other, SHOWN) is None
    assert desk.executions.take(row, SHOWN).workflow_execution_id == "e-1"
    assert desk.executions.owned("amcacme", ["e-1", "e-2"]) == {"e-1"}


def test_an_execution_of_somebody_else_becomes_the_run_that_asked_for_it(desk: Desk) -> None:
    desk.executions.note_foreign("acme", "amcacme", SHOWN)
    _, row = begun(desk)
    assert desk.executions.take(row, SHOWN) is not None
    assert [found.run_id for found in desk.executions.list()] == [row.run_id]


def test_what_is_not_there_is_not_found(desk: Desk) -> None:
    with pytest.raises(NotFound, match="no execution 7"):
        desk.executions.get(7)
    with pytest.raises(NotFound, match="no execution e-9"):
        desk.executions.by_amc("e-9")


def test_a_summary_counts_by_status_in_the_words_of_the_aws_solution(desk: Desk) -> None:
    statuses = [
        "SUCCEEDED",
        "SUCCEEDED",
        "RUNNING",
        "PUBLISHING",
        "PENDING",
        "FAILED",
        "REJECTED",
        "CANCELLED",
    ]
    for n, status in enumerate(statuses):
        shown = replace(
            SHOWN,
            workflow_execution_id=f"e-{n}",
            status=ExecutionStatus(status),
            created_at=desk.clock.now() - timedelta(hours=n),
        )
        desk.executions.note_foreign("acme", "amcacme", shown)
    found = desk.executions.summary("acme", desk.clock.now() - timedelta(days=1))
    assert found == {
        "executionsSince": "2026-10-31T06:00:00Z",
        "totalExecutions": 8,
        "totalRunningorPending": 3,
        "succeededExecutions": 2,
        "runningExecutions": 2,
        "pendingExecutions": 1,
        "failedExecutions": 1,
        "rejectedExecutions": 1,
        "cancelledExecutions": 1,
    }
    assert desk.executions.summary("acme", desk.clock.now() - timedelta(hours=1))["totalExecutions"] == 2
    assert desk.executions.summary("bolt", desk.clock.now() - timedelta(days=1))["totalExecutions"] == 0


def test_executions_are_listed_newest_first_by_tenant_status_and_workflow(desk: Desk) -> None:
    desk.ask()
    desk.ask("bolt")
    desk.finish()
    assert [row.tenant_id for row in desk.executions.list()] == ["bolt", "acme"]
    assert [row.tenant_id for row in desk.executions.list(tenants=["acme"])] == ["acme"]
    assert desk.executions.list(status=ExecutionStatus.FAILED) == []
    assert len(desk.executions.list(workflow="reach", limit=1)) == 1
    assert desk.executions.list(workflow="other") == []


def test_looks_are_on_a_common_beat_and_never_further_off_than_the_pause(desk: Desk) -> None:
    now = desk.clock.now() + timedelta(seconds=4)
    for looks in range(100):
        due = next_look(desk.settings, looks, now)
        assert now < due <= now + pause(desk.settings, looks)
        assert due.timestamp() % desk.settings.poll_first.total_seconds() == 0
    assert pause(desk.settings, 99) == desk.settings.poll_longest
