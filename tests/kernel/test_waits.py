"""Every time in the state file that something waits for is bounded by what asked for it, whatever the clock does."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import pytest

from amci.kernel import waits
from amci.kernel.errors import StorageError, Unavailable
from amci.kernel.run import Done, Failed, NewRun, Outcome, RetryPolicy, Run, RunStatus, Snooze
from amci.kernel.runs import RunStore
from amci.kernel.state import State
from amci.kernel.testing import FakeClock
from amci.kernel.worker import Worker

AHEAD = [timedelta(days=1), timedelta(days=3653)]
LEASE = timedelta(minutes=1)
#: Much less than the clock was ahead; the time of the tests goes on as fast as the worker looks at it.
SOON = timedelta(hours=12)
POLICY = RetryPolicy(interval=timedelta(minutes=5), max_attempts=9)
#: Times that nothing waits for: they say when something was.
PAST = {
    *("schema_migrations.applied_at", "run_events.at", "objects.seen_at", "objects.removed_at"),
    *("versions.seen_at", "versions.loaded_at", "quarantine.at", "quarantine.resolved_at"),
    *("executions.created_at", "executions.updated_at", "fires.at", "clock_steps.at"),
    *("doubts.at", "doubts.resolved_at", "objects.checked_at", "objects.forgotten_at"),
    *("full_looks.at", "lake.snapshot_at"),
}


@pytest.fixture
def store(state: State, clock: FakeClock) -> RunStore:
    return RunStore(state, clock, retry={Exception: POLICY}, chance=lambda: 1.0)


def test_every_time_of_the_schema_is_one_of_the_past_or_bounded(state: State) -> None:
    tables = [row["name"] for row in state.read("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    times = {
        f"{table}.{row['name']}"
        for table in tables
        for row in state.read(f"PRAGMA table_info({table})")
        if row["type"] == "TEXT"
        if row["name"] == "at" or row["name"].endswith(("_at", "_until", "_after", "_from"))
    }
    # When something began to be looked for follows `submitting_at`.
    bounded = {f"{w.table}.{column}" for w in waits.WAITS for column in (w.begins, w.ends) if column}
    assert times == PAST | bounded | {"executions.search_from"}


class Waiting:
    """A handler that lets each run wait once, in one of the ways there are."""

    kind, batch, threads = "k", 1, 1

    def __init__(self, clock: FakeClock, way: str) -> None:
        self.clock, self.way = clock, way
        self.handled: list[datetime] = []
        self.back = timedelta()  #: how far the clock is set back while a run is in hand

    def handle(self, runs: Sequence[Run]) -> Mapping[int, Outcome]:
        now = self.clock.now()
        self.handled.append(now)
        if len(self.handled) > 1:
            return {run.run_id: Done() for run in runs}
        pause = timedelta(minutes=5)
        ways: dict[str, Outcome] = {
            "snooze": Snooze(now + pause, "later", asked_at=now),
            "retry": Failed(StorageError("full")),
            "asked for": Failed(_Later("busy", pause)),
        }
        self.clock.turn(-self.back)
        return dict.fromkeys((run.run_id for run in runs), ways[self.way])


class _Later(Unavailable):
    def __init__(self, message: str, pause: timedelta) -> None:
        super().__init__(message)
        self.retry_after = pause


def drain(store: RunStore, handler: Waiting, clock: FakeClock, patience: timedelta) -> None:
    worker = Worker(store, [handler], clock, name="w", lease=LEASE, on_finished=lambda *_: None)
    worker.drain(threading.Event(), patience)


@pytest.mark.parametrize("ahead", AHEAD, ids=["a day", "ten years"])
@pytest.mark.parametrize("way", ["snooze", "retry", "asked for"])
@pytest.mark.parametrize("when", ["before", "in hand"])
def test_a_wait_is_no_longer_than_was_asked_for_once_the_clock_is_right(
    store: RunStore, clock: FakeClock, ahead: timedelta, way: str, when: str
) -> None:
    handler = Waiting(clock, way)
    clock.turn(ahead)
    store.create([NewRun(idempotency_key="k:1", kind="k")])
    if when == "in hand":
        handler.back = ahead
    drain(store, handler, clock, timedelta(0))
    if when == "before":
        clock.turn(-ahead)
    right = clock.now()
    drain(store, handler, clock, timedelta(minutes=6))
    assert store.get(1).status is RunStatus.SUCCEEDED
    assert handler.handled[-1] - right < SOON


@pytest.mark.parametrize("ahead", AHEAD, ids=["a day", "ten years"])
def test_a_run_that_was_created_to_wait_waits_no_longer(
    store: RunStore, clock: FakeClock, ahead: timedelta
) -> None:
    clock.turn(ahead)
    store.create([NewRun(idempotency_key="k:1", kind="k", run_after=clock.now() + timedelta(minutes=5))])
    clock.turn(-ahead)
    right = clock.now()
    handler = Waiting(clock, "snooze")
    handler.handled.append(right)
    drain(store, handler, clock, timedelta(minutes=6))
    assert store.get(1).status is RunStatus.SUCCEEDED
    assert timedelta(minutes=5) <= handler.handled[-1] - right < SOON
    assert store.get(1).created_at <= clock.now()


@pytest.mark.parametrize("ahead", AHEAD, ids=["a day", "ten years"])
def test_a_lease_of_a_worker_that_is_gone_ends_within_its_own_length(
    store: RunStore, clock: FakeClock, ahead: timedelta
) -> None:
    clock.turn(ahead)
    store.create([NewRun(idempotency_key="k:1", kind="k")])
    store.claim(["k"], "gone", LEASE)
    clock.turn(-ahead)
    handler = Waiting(clock, "snooze")
    handler.handled.append(clock.now())
    right = clock.now()
    drain(store, handler, clock, timedelta(minutes=6))
    assert store.get(1).status is RunStatus.SUCCEEDED
    assert store.get(1).expiries == 1
    assert handler.handled[-1] - right < SOON


class Stepping(Waiting):
    """Sets the clock while its run is in hand, and goes on working until the worker has seen it."""

    def __init__(self, clock: FakeClock, store: RunStore, step: timedelta) -> None:
        super().__init__(clock, "snooze")
        self.store, self.step = store, step

    def handle(self, runs: Sequence[Run]) -> Mapping[int, Outcome]:
        self.handled.append(self.clock.now())
        self.clock.turn(self.step)
        before = self.clock.now()
        # The worker's own thread lets the time pass: it keeps the lease meanwhile.
        while self.clock.now() < before + 3 * LEASE:
            threading.Event().wait(0.001)
        return {run.run_id: Done() for run in runs}


@pytest.mark.parametrize("step", [*AHEAD, *(-ahead for ahead in AHEAD)], ids=str)
def test_no_lease_is_lost_to_a_step_of_the_clock(store: RunStore, clock: FakeClock, step: timedelta) -> None:
    clock.turn(timedelta(days=4000))
    store.create([NewRun(idempotency_key="k:1", kind="k")])
    handler = Stepping(clock, store, step)
    drain(store, handler, clock, timedelta(0))
    run = store.get(1)
    assert (run.status, run.expiries, run.claims, len(handler.handled)) == (RunStatus.SUCCEEDED, 0, 1, 1)


@pytest.mark.parametrize("ahead", AHEAD, ids=["a day", "ten years"])
def test_a_worker_goes_on_when_the_clock_is_set_back_while_it_works(
    store: RunStore, clock: FakeClock, ahead: timedelta
) -> None:
    clock.turn(ahead)
    store.create([NewRun(idempotency_key=f"k:{n}", kind="k") for n in range(2)])
    handler = Waiting(clock, "snooze")
    handler.back = ahead
    began = clock.now() - ahead
    drain(store, handler, clock, timedelta(hours=1))
    assert {store.get(n).status for n in (1, 2)} == {RunStatus.SUCCEEDED}
    assert clock.now() - began < SOON


def test_what_was_corrected_is_told_once_and_what_is_right_is_left(
    store: RunStore, state: State, clock: FakeClock
) -> None:
    after = clock.now() + timedelta(days=400)
    store.create([NewRun(idempotency_key="k:0", kind="k", run_after=after)])
    assert store.correct_waits() is None
    clock.turn(timedelta(days=2))
    store.create([NewRun(idempotency_key="k:1", kind="k", run_after=clock.now() + timedelta(hours=1))])
    clock.turn(-timedelta(days=2))
    assert waits.ahead(state, clock.now()) == 2  # when it was created, and what it waits for
    step = store.correct_waits()
    assert step
    assert (step.ahead, step.waits) == (timedelta(days=2), 2)
    assert waits.newest_step(state) == step
    assert store.correct_waits() is None
    assert waits.ahead(state, clock.now()) == 0
    assert [store.get(n).run_after for n in (1, 2)] == [after, clock.now() + timedelta(hours=1)]


def test_threads_that_ask_for_the_time_a_little_apart_correct_nothing(
    store: RunStore, clock: FakeClock
) -> None:
    store.create([NewRun(idempotency_key="k:1", kind="k", run_after=clock.now() + timedelta(hours=1))])
    clock.turn(-timedelta(seconds=20))
    assert store.correct_waits() is None
