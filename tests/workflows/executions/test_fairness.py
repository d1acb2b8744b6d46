from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from amci.kernel.clock import SystemClock
from amci.kernel.run import RunStatus
from amci.kernel.worker import Worker
from amci.workflows.amc.model import ExecutionRequest, TimeWindow, WindowType
from amci.workflows.executions.run_factory import execute_run

from ..conftest import Desk

BUSY = ("PENDING", "RUNNING", "PUBLISHING")


def many(desk: Desk, name: str, count: int) -> list[str]:
    """So many requests of one tenant, each for another hour."""
    runs = []
    for n in range(count):
        day, hour = divmod(n, 24)
        start = f"2026-{9 + day // 28:02}-{day % 28 + 1:02}T{hour:02}:00:00"
        window = TimeWindow(type=WindowType.EXPLICIT, start=start, end=start.replace(":00:00", ":30:00"))
        request = ExecutionRequest(workflow_id="reach", window=window)
        at = desk.clock.now()
        runs.append(execute_run(desk.tenants[name], request, key=f"{name}:{n}", at=at))
    desk.runs.create(runs)
    return [run.idempotency_key for run in runs]


def busy(desk: Desk, name: str) -> int:
    return sum(str(execution.status) in BUSY for execution in desk.in_amc(name))


def test_amc_never_has_more_of_a_tenant_than_its_slots(desk: Desk) -> None:
    desk.runs.set_pool(desk.tenants["acme"].pool, 3)
    many(desk, "acme", 11)
    most = []
    for _ in range(60):
        desk.work()
        most.append(busy(desk, "acme"))
        desk.turn(seconds=20)
    assert max(most) == 3
    assert {run.status for run in desk.runs.list(limit=-1)} == {RunStatus.SUCCEEDED}
    assert len(desk.in_amc()) == 11


def test_an_account_bounds_its_instances_together(desk: Desk) -> None:
    for tenant in desk.tenants.values():
        desk.runs.set_pool(tenant.pool, 10, parent="account")
    desk.runs.set_pool("account", 4)
    many(desk, "acme", 6)
    many(desk, "bolt", 6)
    most = []
    for _ in range(40):
        desk.work()
        most.append(busy(desk, "acme") + busy(desk, "bolt"))
        desk.turn(seconds=20)
    assert max(most) == 4
    assert {run.status for run in desk.runs.list(limit=-1)} == {RunStatus.SUCCEEDED}


def test_a_thousand_requests_of_one_tenant_do_not_hold_up_anothers_first(desk: Desk) -> None:
    many(desk, "acme", 1000)
    desk.work()
    assert busy(desk, "acme") == 10
    [key] = many(desk, "bolt", 1)
    desk.work()
    [run] = desk.runs.by_keys([key])
    # Not a single slot of the other had to become free.
    assert desk.row(run.run_id).workflow_execution_id is not None
    assert desk.posts() == 11


def test_in_one_account_anothers_first_waits_for_one_slot_at_most(desk: Desk) -> None:
    for tenant in desk.tenants.values():
        desk.runs.set_pool(tenant.pool, 10, parent="account")
    desk.runs.set_pool("account", 2)
    many(desk, "acme", 200)
    desk.work()
    [key] = many(desk, "bolt", 1)
    while desk.executions.newest([desk.runs.by_keys([key])[0].run_id]) == {}:
        desk.turn(seconds=20)
        desk.work()
    # Two had slots when it came; at most the round that freed them went before it.
    assert len(desk.in_amc("acme")) <= 4


class _Steady(SystemClock):
    """The desk's clock for handlers, the machine's for waiting: threads do not turn it."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def now(self) -> Any:
        return self._desk.clock.now()


def test_threads_share_slots_and_requests_without_asking_twice(desk_of: Callable[..., Desk]) -> None:
    desk = desk_of(options={})
    desk.runs.set_pool(desk.tenants["acme"].pool, 3)
    asked = many(desk, "acme", 20) + many(desk, "bolt", 20)
    desk.fault("no_answer_after", "POST", times=4, after=3)
    worker = Worker(
        desk.runs,
        desk.handlers(),
        _Steady(desk),
        name="w",
        lease=timedelta(hours=9),
        on_finished=lambda _run, _outcome: None,
    )
    for _ in range(60):
        worker.drain(threading.Event(), timedelta(0))
        if all(run.status.is_final for run in desk.runs.by_keys(asked)):
            break
        desk.turn(seconds=15)
    assert Counter(run.status for run in desk.runs.by_keys(asked)) == {RunStatus.SUCCEEDED: 40}
    assert len(desk.in_amc("acme")) == len(desk.in_amc("bolt")) == 20
    assert len(desk.files()) == 40
