"""What AMC has after a push is compared with what was meant."""

from __future__ import annotations

from typing import Any

import pytest

from amci.kernel.run import RunStatus
from amci.sandbox.faults import InjectedFault
from amci.workflows.definitions.run_factory import Action, definition_hash

from ..conftest import Desk
from .test_workflow_handler import Bench, workflow

ACTIONS = (Action.CREATE, Action.UPDATE)


@pytest.fixture
def bench(desk: Desk) -> Bench:
    bench = Bench(desk)
    bench.define(workflow("sales"))
    bench.do(Action.CREATE, "sales")
    return bench


def reads(bench: Bench) -> int:
    return sum(asked.startswith("GET ") and asked.endswith("/workflows/sales") for asked in bench.desk.asked)


def pushes(bench: Bench) -> int:
    return sum(asked.startswith("PUT ") and asked.endswith("/workflows/sales") for asked in bench.desk.asked)


def other(bench: Bench, times: int) -> None:
    bench.desk.asked.clear()
    fault: Any = "other_text"
    bench.desk.sandbox.faults.add(InjectedFault(fault, "GET", "*/workflows/sales", times=times))


@pytest.mark.parametrize("action", ACTIONS)
def test_every_push_is_read_back(bench: Bench, action: Action) -> None:
    bench.desk.asked.clear()
    assert bench.do(action, "sales").status is RunStatus.SUCCEEDED
    assert (pushes(bench), reads(bench)) == (1, 1)


@pytest.mark.parametrize("action", ACTIONS)
def test_a_push_that_amc_took_otherwise_is_repeated(bench: Bench, action: Action) -> None:
    other(bench, times=1)
    assert bench.do(action, "sales").status is RunStatus.SUCCEEDED
    assert (pushes(bench), reads(bench)) == (2, 2)


@pytest.mark.parametrize("action", ACTIONS)
def test_what_amc_always_has_otherwise_fails_with_both_hashes(bench: Bench, action: Action) -> None:
    before = bench.do(Action.UPDATE, "sales")
    other(bench, times=0)
    run = bench.do(action, "sales")
    assert run.status is RunStatus.FAILED
    said = str(run.reason)
    assert "AMC has another definition of workflow sales than was sent" in said
    assert f"hash {(before.result or {})['definition_hash'][:16]} here" in said
    assert "in AMC" in said
    assert "sqlQuery" in said
    assert pushes(bench) > 1


def test_a_workflow_that_amc_does_not_show_after_a_push_is_sent_again(bench: Bench) -> None:
    bench.desk.asked.clear()
    seen = []

    def gone(method: str, url: str) -> Any:
        if method == "GET" and url.endswith("/workflows/sales") and not seen:
            seen.append(url)
            return 404, {}, b'{"code": "404", "details": "none"}'
        return None

    bench.desk.overlay = gone
    assert bench.do(Action.UPDATE, "sales").status is RunStatus.SUCCEEDED
    assert pushes(bench) == 2


def test_equal_definitions_have_equal_hashes_whatever_their_layout() -> None:
    text = "SELECT campaign, SUM(impressions) AS n FROM dsp_impressions GROUP BY 1"
    laid_out = {"workflowId": "sales", "sqlQuery": f"{text}\n -- all"}
    assert definition_hash(laid_out) == definition_hash({"workflowId": "sales", "sqlQuery": text})
