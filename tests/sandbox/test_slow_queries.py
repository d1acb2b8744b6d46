"""While a query runs, the sandbox answers others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from amci.kernel.errors import StorageError
from amci.sandbox.times import micros

SQL = "SELECT SUM(impressions) AS impressions FROM dsp_impressions"
ENDLESS = (
    "SELECT COUNT(*) AS n FROM dsp_impressions a CROSS JOIN dsp_impressions b CROSS JOIN dsp_impressions c"
    " CROSS JOIN dsp_impressions d CROSS JOIN dsp_impressions e WHERE a.total_cost + b.total_cost < e.bid_price"
)


@contextmanager
def _no_query_runs_on(amc: Any) -> Iterator[None]:
    """Until the end of the block whoever runs a query waits before it."""
    with amc.sandbox.backend.queries._engine._running:
        yield


@contextmanager
def _meanwhile(amc: Any, do: Callable[[], Any]) -> Iterator[Future[Any]]:
    """Something that runs a query, which has begun and does not end before the block does."""
    with ThreadPoolExecutor(1) as pool:
        with _no_query_runs_on(amc):
            future = pool.submit(do)
            while not amc.sandbox._simulator._claimed:
                threading.Event().wait(0.001)
            yield future
        future.result()


@pytest.fixture
def slow(calling: Callable[..., Any]) -> Any:
    amc = calling()
    amc.workflow("slow", SQL)
    return amc


def test_others_are_answered_while_a_query_runs(slow: Any) -> None:
    execution = slow.execute(workflowId="slow")
    with _meanwhile(slow, slow.sandbox.advance):
        running = slow.execution(execution)
        assert running["status"] == "RUNNING"
        assert not {"executionTime", "outputColumns", "outputS3URI"} & running.keys()
        assert slow.ask("GET", f"/workflowExecutions/{execution}/downloadUrls").status == 404
        assert slow.workflow("other").status == 200
        assert len(slow.ask("GET", "/workflows").json["workflows"]) == 2
    assert slow.status(execution) == "SUCCEEDED"
    assert slow.download(execution).startswith("impressions\n")


def test_a_query_is_run_once_for_all_who_wait_for_it(slow: Any) -> None:
    first = slow.execute(workflowId="slow")
    with _meanwhile(slow, slow.sandbox.advance):
        second = slow.execute(workflowId="slow")
        assert slow.status(second) == "RUNNING"
    assert (slow.status(first), slow.status(second)) == ("SUCCEEDED", "SUCCEEDED")


@pytest.mark.parametrize(("method", "left"), [("PUT", 200), ("DELETE", 404)])
def test_what_is_cancelled_or_deleted_meanwhile_stays_so(slow: Any, method: str, left: int) -> None:
    execution = slow.execute(workflowId="slow")
    path = f"/workflowExecutions/{execution}"
    with _meanwhile(slow, slow.sandbox.advance):
        assert slow.ask(method, path, {"status": "CANCELLED"}).status == 200
    answer = slow.ask("GET", path)
    assert answer.status == left
    assert left == 404 or answer.json["status"] == "CANCELLED"


def test_a_slot_is_free_when_its_time_is_up_however_long_the_query_takes(calling: Callable[..., Any]) -> None:
    amc = calling(running=timedelta(minutes=1), slots=1)
    amc.workflow("slow", SQL)
    first, second = (amc.execute(workflowId="slow") for _ in range(2))
    amc.sandbox.advance()
    amc.clock.turn(timedelta(minutes=1))
    with _meanwhile(amc, amc.sandbox.advance):
        assert amc.status(second) == "RUNNING"
    assert amc.execution(first)["executionTime"] == 60
    assert amc.execution(second)["validatedTime"] == "2026-11-01T06:01:00Z"


def test_another_process_finishes_what_one_left_behind(calling: Callable[..., Any]) -> None:
    first = calling()
    first.workflow("slow", SQL)
    execution = first.execute(workflowId="slow")
    with first.sandbox._lock:
        assert len(first.sandbox._simulator.advance_to(micros(first.clock.now()))) == 1
    second = calling()
    assert second.status(execution) == "SUCCEEDED"
    assert first.status(execution) == "SUCCEEDED"


def test_a_query_that_takes_too_long_fails_its_execution_alone(calling: Callable[..., Any]) -> None:
    amc = calling(query_timeout=timedelta(seconds=0.2), scale=0.003)
    amc.workflow("slow", ENDLESS)
    amc.workflow("quick", SQL)
    slow, quick = (amc.execute(workflowId=name, timeWindowType="ALL") for name in ("slow", "quick"))
    assert amc.execution(slow)["statusReason"] == "Query timed out after 0.2 seconds."
    assert (amc.status(slow), amc.status(quick)) == ("FAILED", "SUCCEEDED")


def test_closing_does_not_wait_for_a_query(calling: Callable[..., Any]) -> None:
    amc = calling(scale=0.003)
    amc.workflow("quick", SQL)
    amc.download(amc.execute(workflowId="quick"))
    execution = amc.execute(sqlQuery=ENDLESS, timeWindowType="ALL")
    engine = amc.sandbox.backend.queries._engine
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(amc.sandbox.advance)
        while not engine._running.locked():
            threading.Event().wait(0.001)
        amc.sandbox.close()
        with pytest.raises(StorageError):
            future.result()
    again = calling(scale=0.003, query_timeout=timedelta(seconds=0.2))
    assert again.status(execution) == "FAILED"
