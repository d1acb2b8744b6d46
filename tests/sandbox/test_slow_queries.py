"""While a query runs, the sandbox answers others."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, cast

import pytest

from amci.kernel.errors import StorageError
from amci.sandbox.queries import ExecutionResult, Prepared, Queries
from amci.sandbox.simulation import Simulator
from amci.sandbox.times import micros

from .calling import Caller, Calling

SQL = "SELECT SUM(impressions) AS impressions FROM dsp_impressions"
ENDLESS = (
    "SELECT COUNT(*) AS n FROM dsp_impressions a CROSS JOIN dsp_impressions b CROSS JOIN dsp_impressions c"
    " CROSS JOIN dsp_impressions d CROSS JOIN dsp_impressions e WHERE a.total_cost + b.total_cost < e.bid_price"
)


class HeldQueries:
    """The queries of a sandbox; each run says that it begins, and waits until it may go on."""

    def __init__(self, amc: Caller) -> None:
        self.begun, self.may_run = threading.Event(), threading.Event()
        self._queries = amc.sandbox.backend.queries
        amc.sandbox.backend.queries = cast("Queries", self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queries, name)

    def run(self, prepared: Prepared) -> ExecutionResult:
        self.begun.set()
        assert self.may_run.wait(60)
        return self._queries.run(prepared)


@contextmanager
def _meanwhile(amc: Caller) -> Iterator[None]:
    """While the sandbox runs a query, which has begun and does not end before the block does."""
    held = HeldQueries(amc)
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(amc.sandbox.advance)
        assert held.begun.wait(60)
        try:
            yield
        finally:
            held.may_run.set()
        future.result()


@pytest.fixture
def slow(calling: Calling) -> Caller:
    amc = calling()
    amc.workflow("slow", SQL)
    return amc


def test_others_are_answered_while_a_query_runs(slow: Caller) -> None:
    execution = slow.execute(workflowId="slow")
    with _meanwhile(slow):
        running = slow.execution(execution)
        assert running["status"] == "RUNNING"
        assert not {"executionTime", "outputColumns", "outputS3URI"} & running.keys()
        assert slow.ask("GET", f"/workflowExecutions/{execution}/downloadUrls").status == 404
        assert slow.workflow("other").status == 200
        assert len(slow.ask("GET", "/workflows").json["workflows"]) == 2
    assert slow.status(execution) == "SUCCEEDED"
    assert slow.download(execution).startswith("impressions\n")


def test_a_query_is_run_once_for_all_who_wait_for_it(slow: Caller) -> None:
    first = slow.execute(workflowId="slow")
    with _meanwhile(slow):
        second = slow.execute(workflowId="slow")
        assert slow.status(second) == "RUNNING"
    assert (slow.status(first), slow.status(second)) == ("SUCCEEDED", "SUCCEEDED")


@pytest.mark.parametrize(("method", "left"), [("PUT", 200), ("DELETE", 404)])
def test_what_is_cancelled_or_deleted_meanwhile_stays_so(slow: Caller, method: str, left: int) -> None:
    execution = slow.execute(workflowId="slow")
    path = f"/workflowExecutions/{execution}"
    with _meanwhile(slow):
        assert slow.ask(method, path, {"status": "CANCELLED"}).status == 200
    answer = slow.ask("GET", path)
    assert answer.status == left
    assert left == 404 or answer.json["status"] == "CANCELLED"


def test_a_slot_is_free_when_its_time_is_up_however_long_the_query_takes(calling: Calling) -> None:
    amc = calling(running=timedelta(minutes=1), slots=1)
    amc.workflow("slow", SQL)
    first, second = (amc.execute(workflowId="slow") for _ in range(2))
    amc.sandbox.advance()
    amc.clock.turn(timedelta(minutes=1))
    with _meanwhile(amc):
        assert amc.status(second) == "RUNNING"
    assert amc.execution(first)["executionTime"] == 60
    assert amc.execution(second)["validatedTime"] == "2026-11-01T06:01:00Z"


def test_another_process_finishes_what_one_left_behind(calling: Calling) -> None:
    first = calling()
    first.workflow("slow", SQL)
    execution = first.execute(workflowId="slow")
    left = Simulator(first.sandbox.backend).advance_to(micros(first.clock.now()))
    assert [query.row["workflow_execution_id"] for query in left] == [execution]
    second = calling()
    assert second.status(execution) == "SUCCEEDED"
    assert first.status(execution) == "SUCCEEDED"


def test_a_query_that_takes_too_long_fails_its_execution_alone(calling: Calling) -> None:
    amc = calling(query_timeout=timedelta(seconds=0.2), scale=0.003)
    amc.workflow("slow", ENDLESS)
    amc.workflow("quick", SQL)
    slow, quick = (amc.execute(workflowId=name, timeWindowType="ALL") for name in ("slow", "quick"))
    assert amc.execution(slow)["statusReason"] == "Query timed out after 0.2 seconds."
    assert (amc.status(slow), amc.status(quick)) == ("FAILED", "SUCCEEDED")


def test_closing_does_not_wait_for_a_query(calling: Calling) -> None:
    amc = calling(scale=0.003)
    amc.workflow("quick", SQL)
    amc.download(amc.execute(workflowId="quick"))
    execution = amc.execute(sqlQuery=ENDLESS, timeWindowType="ALL")
    held = HeldQueries(amc)
    held.may_run.set()
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(amc.sandbox.advance)
        assert held.begun.wait(60)
        amc.sandbox.close()
        with pytest.raises(StorageError):
            future.result()
    again = calling(scale=0.003, query_timeout=timedelta(seconds=0.2))
    assert again.status(execution) == "FAILED"
