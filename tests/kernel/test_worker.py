from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Self

import pytest

from amci.kernel.errors import DataError, LeaseLost, StorageError
from amci.kernel.run import Done, Failed, NewRun, Outcome, RetryPolicy, Run, RunStatus, Skipped, Snooze
from amci.kernel.runs import RunStore
from amci.kernel.state import State
from amci.kernel.testing import TurnableClock
from amci.kernel.worker import Tally, Worker

NOW = timedelta()
SOON = timedelta(milliseconds=20)
LONG = timedelta(hours=1)
LIMIT = 20  # seconds until a test that hangs gives up


class Acts:
    """A handler that does what it is told and remembers what it was given."""

    def __init__(
        self,
        act: Callable[[Sequence[Run]], Mapping[int, Outcome]],
        *,
        kind: str = "light",
        batch: int = 1,
        threads: int = 1,
    ) -> None:
        self.kind = kind
        self.batch = batch
        self.threads = threads
        self.given: list[list[str]] = []
        self._act = act

    def handle(self, runs: Sequence[Run]) -> Mapping[int, Outcome]:
        self.given.append([run.idempotency_key for run in runs])
        return self._act(runs)


def each(outcome: Outcome) -> Callable[[Sequence[Run]], Mapping[int, Outcome]]:
    return lambda runs: {run.run_id: outcome for run in runs}


Act = Callable[[Sequence[Run]], Any]
Told = list[tuple[str, RunStatus, Outcome]]
Working = Callable[..., Worker]

done = each(Done())


@pytest.fixture
def clock() -> TurnableClock:
    return TurnableClock()


@pytest.fixture
def store(state: State, clock: TurnableClock) -> RunStore:
    return RunStore(
        state, clock, retry={StorageError: RetryPolicy(interval=SOON, max_attempts=3)}, chance=lambda: 0.5
    )


@pytest.fixture
def told() -> list[tuple[str, RunStatus, Outcome]]:
    return []


@pytest.fixture
def working(store: RunStore, clock: TurnableClock, told: Told) -> Working:
    def make(*handlers: Acts, lease: timedelta = LONG) -> Worker:
        def note(run: Run, outcome: Outcome) -> None:
            told.append((run.idempotency_key, run.status, outcome))

        return Worker(store, handlers, clock, name="w", lease=lease, on_finished=note)

    return make


def new(key: str, **values: Any) -> NewRun:
    return NewRun(**({"idempotency_key": key, "kind": "light"} | values))


def drain(worker: Worker, patience: timedelta = NOW) -> Tally:
    return worker.drain(threading.Event(), patience)


def until(holds: Callable[[], bool]) -> None:
    """Give the other threads time until this holds."""
    for _ in range(LIMIT * 200):
        if holds():
            return
        threading.Event().wait(0.005)
    pytest.fail("it never came to hold")


def tally(**values: int) -> Tally:
    zero = dict.fromkeys(("succeeded", "skipped", "failed", "returned", "lost", "left"), 0)
    return Tally(**(zero | values))


def statuses(store: RunStore) -> dict[str, RunStatus]:
    return {run.idempotency_key: run.status for run in store.list(limit=1000)}


def test_nothing_to_do_is_done_at_once(working: Working) -> None:
    assert drain(working(Acts(done))) == tally()
    assert drain(working()) == tally()


@pytest.mark.parametrize("threads", [1, 4])
def test_a_drain_finishes_every_run_and_all_that_follows(
    store: RunStore, working: Working, told: Told, threads: int
) -> None:
    store.create(new(f"a{i}", lock_key=f"l{i % 5}", batch_key=f"b{i % 3}") for i in range(60))
    light = Acts(
        lambda runs: {r.run_id: Done({}, [new(f"then-{r.idempotency_key}", kind="heavy")]) for r in runs},
        batch=7,
        threads=threads,
    )
    heavy = Acts(done, kind="heavy", batch=50)
    assert drain(working(light, heavy)) == tally(succeeded=120)
    given = [key for keys in light.given + heavy.given for key in keys]
    assert len(given) == len(set(given)) == len(told) == 120
    assert max(map(len, light.given)) <= 7


def test_each_outcome_is_counted_and_told_after_it_is_written(
    store: RunStore, working: Working, clock: TurnableClock
) -> None:
    seen: dict[str, RunStatus] = {}
    acts: dict[str, Outcome] = {
        "done": Done(),
        "skip": Skipped("nothing"),
        "bad": Failed(DataError("bad")),
        "later": Snooze(clock.now() + LONG, "poll"),
    }
    store.create(new(key) for key in acts)
    handler = Acts(lambda runs: {r.run_id: acts[r.idempotency_key] for r in runs}, batch=10)

    def note(run: Run, outcome: Outcome) -> None:
        assert store.get(run.run_id) == run
        assert outcome == acts[run.idempotency_key]
        seen[run.idempotency_key] = run.status

    worker = Worker(store, [handler], clock, name="w", lease=LONG, on_finished=note)
    assert drain(worker) == tally(succeeded=1, skipped=1, failed=1, returned=1, left=1)
    assert seen == statuses(store)


def test_one_bad_run_in_a_batch_ends_up_alone_and_the_others_are_done_once(
    store: RunStore, working: Working
) -> None:
    store.create(new(f"r{i}") for i in range(50))
    ended: list[str] = []

    def act(runs: Sequence[Run]) -> Mapping[int, Outcome]:
        if any(run.idempotency_key == "r33" for run in runs):
            raise ValueError("12 Main Street")
        ended.extend(run.idempotency_key for run in runs)
        return done(runs)

    handler = Acts(act, batch=50)
    assert drain(working(handler)) == tally(succeeded=49, failed=1)
    assert ["r33"] in handler.given
    assert sorted(ended) == sorted(f"r{i}" for i in range(50) if i != 33)
    assert len(handler.given) < 20
    bad = store.list(status=RunStatus.FAILED)[0]
    assert (bad.idempotency_key, bad.reason) == ("r33", "unexpected ValueError; the log says where")


@pytest.mark.parametrize(
    "act", [lambda _: {}, lambda _: None, lambda runs: {run.run_id: "fine" for run in runs}]
)
def test_a_handler_that_forgets_its_outcomes_fails_its_runs_and_not_the_worker(
    store: RunStore, working: Working, act: Act
) -> None:
    store.create([new("a"), new("b"), new("other", kind="heavy")])
    assert drain(working(Acts(act, batch=2), Acts(done, kind="heavy"))) == tally(failed=2, succeeded=1)


def test_a_retryable_error_is_tried_again_within_the_patience(store: RunStore, working: Working) -> None:
    store.create([new("a")])
    tries: list[int] = []

    def act(runs: Sequence[Run]) -> Mapping[int, Outcome]:
        tries.append(runs[0].attempts)
        if len(tries) < 3:
            raise StorageError("full")
        return done(runs)

    assert drain(working(Acts(act)), LONG) == tally(succeeded=1, returned=2)
    assert tries == [0, 1, 2]


def test_a_disk_at_fault_is_not_searched_for_the_run_at_fault(store: RunStore, working: Working) -> None:
    store.create(new(f"a{i}") for i in range(8))
    sizes: list[int] = []

    def act(runs: Sequence[Run]) -> Mapping[int, Outcome]:
        sizes.append(len(runs))
        if len(sizes) == 1:
            raise StorageError("full")
        return done(runs)

    assert drain(working(Acts(act, batch=8)), LONG) == tally(succeeded=8, returned=8)
    assert sizes == [8, 8]


def test_retries_come_to_an_end(store: RunStore, working: Working, told: Told) -> None:
    store.create([new("a")])
    assert drain(working(Acts(each(Failed(StorageError("full"))))), LONG) == tally(failed=1, returned=2)
    assert [status for _, status, _ in told] == [RunStatus.PENDING, RunStatus.PENDING, RunStatus.FAILED]


def test_a_snoozed_run_is_waited_for_within_the_patience_and_left_beyond_it(
    store: RunStore, working: Working, clock: TurnableClock
) -> None:
    store.create([new("soon"), new("late")])

    def act(runs: Sequence[Run]) -> Mapping[int, Outcome]:
        (run,) = runs
        if run.idempotency_key == "late":
            return {run.run_id: Snooze(clock.now() + LONG, "poll")}
        return {run.run_id: Done() if run.claims > 1 else Snooze(clock.now() + SOON, "poll")}

    assert drain(working(Acts(act)), LONG / 2) == tally(succeeded=1, returned=2, left=1)
    assert statuses(store) == {"soon": RunStatus.SUCCEEDED, "late": RunStatus.PENDING}


def test_a_run_that_waits_is_worked_on_when_its_moment_comes(
    store: RunStore, working: Working, clock: TurnableClock
) -> None:
    store.create([new("soon", run_after=clock.now() + SOON)])
    assert drain(working(Acts(done)), LONG) == tally(succeeded=1)


def test_runs_that_can_never_start_now_do_not_hang_a_drain(
    store: RunStore, working: Working, clock: TurnableClock
) -> None:
    store.set_pool("closed", 0)
    store.create(
        [
            new("shut", pool="closed"),
            new("first", lock_key="x", run_after=clock.now() + LONG),
            new("2", lock_key="x"),
        ]
    )
    store.create([new("other", kind="unknown")])
    assert drain(working(Acts(done))) == tally(left=3)


def test_a_pool_is_never_overrun_by_many_threads(store: RunStore, working: Working) -> None:
    store.set_pool("two", 2)
    store.create(new(f"r{i}", pool="two") for i in range(30))
    now, most, guard, pair = [0], [0], threading.Lock(), threading.Barrier(2)

    def act(runs: Sequence[Run]) -> Mapping[int, Outcome]:
        with guard:
            now[0] += len(runs)
            most[0] = max(most[0], now[0])
        pair.wait(LIMIT)
        with guard:
            now[0] -= len(runs)
        return done(runs)

    assert drain(working(Acts(act, threads=6))) == tally(succeeded=30)
    assert most == [2]


def test_a_stop_lets_running_handlers_finish_and_starts_nothing_new(
    store: RunStore, working: Working
) -> None:
    store.create(new(f"r{i}") for i in range(10))
    stop = threading.Event()

    def act(runs: Sequence[Run]) -> Mapping[int, Outcome]:
        stop.set()
        until(lambda: worker._is_closing)
        return done(runs)

    worker = working(Acts(act))
    assert worker.run(stop) == tally(succeeded=1, left=9)


def test_a_stop_returns_what_was_claimed_but_not_started(store: RunStore, working: Working) -> None:
    store.create(new(f"r{i}") for i in range(8))
    stop = threading.Event()

    def act(runs: Sequence[Run]) -> Mapping[int, Outcome]:
        stop.set()
        until(lambda: worker._is_closing)
        raise ValueError

    worker = working(Acts(act, batch=8))
    assert worker.run(stop) == tally(returned=8, left=8)
    run = store.get(1)
    assert (run.status, run.reason, run.attempts, run.expiries) == (RunStatus.PENDING, "shutdown", 0, 0)
    assert drain(working(Acts(done, batch=8))) == tally(succeeded=8)


class Running:
    """A worker in a thread of its own, stopped at the end of the block."""

    def __init__(self, worker: Worker, stop: threading.Event) -> None:
        self._worker, self._stop = worker, stop
        self.tally: Tally | None = None
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        self.tally = self._worker.run(self._stop)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(LIMIT)


def test_a_waiting_worker_takes_new_runs_when_woken(store: RunStore, working: Working) -> None:
    stop, finished = threading.Event(), threading.Event()

    def act(runs: Sequence[Run]) -> Mapping[int, Outcome]:
        finished.set()
        return done(runs)

    worker = working(Acts(act))
    with Running(worker, stop) as running:
        until(worker._is_quiet)
        store.create([new("late")])
        worker.wake()
        assert finished.wait(LIMIT)
    assert running.tally == tally(succeeded=1)


def test_a_run_that_takes_longer_than_its_lease_keeps_it(
    store: RunStore, working: Working, clock: TurnableClock
) -> None:
    store.create([new("slow")])
    lease = timedelta(seconds=30)

    def act(runs: Sequence[Run]) -> Mapping[int, Outcome]:
        for _ in range(4):
            clock.turn(lease / 2)
            beat = store.get(1).lease_until
            until(lambda beat=beat: store.get(1).lease_until != beat)
        return done(runs)

    assert drain(working(Acts(act), lease=lease)) == tally(succeeded=1)
    assert store.get(1).claims == 1
    assert store.get(1).expiries == 0


def test_a_laptop_that_slept_past_the_lease_loses_nothing(
    store: RunStore, working: Working, clock: TurnableClock
) -> None:
    store.create([new("slept")])

    def act(runs: Sequence[Run]) -> Mapping[int, Outcome]:
        before = store.get(1).lease_until
        clock.turn(timedelta(days=1))
        until(lambda: store.get(1).lease_until != before)
        return done(runs)

    assert drain(working(Acts(act))) == tally(succeeded=1)
    assert (store.get(1).claims, store.get(1).expiries) == (1, 0)


def test_a_worker_takes_over_what_a_dead_one_left_and_tells_of_what_is_abandoned(
    store: RunStore, working: Working, clock: TurnableClock, told: Told
) -> None:
    store.create([new("left"), new("killer")])
    for _ in range(4):
        store.claim(["light"], "dead", timedelta(seconds=1))
        store.claim(["light"], "dead", timedelta(seconds=1))
        store.recover(all_workers=True)
    with store.state.transaction() as db:
        db.execute("UPDATE runs SET expiries = 1 WHERE idempotency_key = 'left'")
    for _ in range(2):
        store.claim(["light"], "dead", timedelta(milliseconds=1))
    assert drain(working(Acts(done), lease=timedelta(milliseconds=90))) == tally(succeeded=1)
    assert statuses(store) == {"left": RunStatus.SUCCEEDED, "killer": RunStatus.FAILED}
    (abandoned,) = [outcome for key, _, outcome in told if key == "killer"]
    assert isinstance(abandoned, Failed)
    assert isinstance(abandoned.error, LeaseLost)


def test_a_due_run_nobody_has_time_for_does_not_make_the_worker_spin(
    store: RunStore, clock: TurnableClock
) -> None:
    class CountingClock(TurnableClock):
        def wait(self, event: threading.Event, pause: timedelta) -> bool:
            pauses.append(pause)
            return super().wait(event, min(pause, SOON / 4))

    pauses: list[timedelta] = []
    counting = CountingClock()
    store.create([new("busy"), new("due", run_after=clock.now() + LONG / 10)])

    def act(runs: Sequence[Run]) -> Mapping[int, Outcome]:
        if runs[0].idempotency_key == "busy":
            until(lambda: len(pauses) > 5)
            counting.turn(LONG / 9)
            del pauses[:]
            until(lambda: len(pauses) > 20)
            assert sum(not pause for pause in pauses) < 5
        return done(runs)

    store = RunStore(store.state, counting)
    worker = Worker(store, [Acts(act)], counting, name="w", lease=LONG, on_finished=lambda *_: None)
    assert drain(worker, LONG) == tally(succeeded=2)


def test_a_run_cancelled_while_it_is_handled_stays_cancelled(
    store: RunStore, working: Working, told: Told
) -> None:
    store.create([new("a")])

    def act(runs: Sequence[Run]) -> Mapping[int, Outcome]:
        store.cancel([run.run_id for run in runs])
        return {run.run_id: Done(then=[new("b", kind="heavy")]) for run in runs}

    assert drain(working(Acts(act))) == tally(lost=1)
    assert statuses(store) == {"a": RunStatus.CANCELLED}
    assert told == []


def test_a_drain_ends_with_the_error_when_the_state_file_cannot_be_written(
    store: RunStore, state: State, working: Working
) -> None:
    store.create([new("a", payload={"pad": "x" * 1000})])

    def act(runs: Sequence[Run]) -> Mapping[int, Outcome]:
        full(state)
        return each(Done({"pad": "x" * 200_000}))(runs)

    with pytest.raises(StorageError):
        drain(working(Acts(act)))
    assert store.get(1).status is RunStatus.RUNNING


def full(state: State) -> None:
    pages = state.read("PRAGMA page_count")[0][0]
    state.read(f"PRAGMA max_page_count = {pages}")


def test_a_worker_that_runs_outlives_a_full_disk(
    store: RunStore, state: State, working: Working, clock: TurnableClock
) -> None:
    store.create([new("a")])
    stop, tried = threading.Event(), threading.Semaphore(0)

    def act(runs: Sequence[Run]) -> Mapping[int, Outcome]:
        if runs[0].claims == 1:
            full(state)
        else:
            stop.set()
        tried.release()
        return each(Done({"pad": "x" * 200_000}))(runs)

    worker = working(Acts(act), lease=timedelta(milliseconds=300))
    with Running(worker, stop) as running:
        assert tried.acquire(timeout=LIMIT)
        until(lambda: not worker._held)
        state.read("PRAGMA max_page_count = 1000000")
        assert tried.acquire(timeout=LIMIT)
    assert running.tally == tally(succeeded=1)
    assert store.get(1).expiries == 1


def test_a_callback_that_raises_is_a_bug_one_hears_of(store: RunStore, clock: TurnableClock) -> None:
    def broken(_run: Run, _outcome: Outcome) -> None:
        raise ZeroDivisionError

    store.create([new("a"), new("b")])
    worker = Worker(store, [Acts(done)], clock, name="w", lease=LONG, on_finished=broken)
    with pytest.raises(ZeroDivisionError):
        drain(worker)


def test_two_drains_of_one_worker_count_apart(store: RunStore, working: Working) -> None:
    worker = working(Acts(done))
    store.create([new("a")])
    assert drain(worker) == tally(succeeded=1)
    store.create([new("b"), new("c")])
    assert drain(worker) == tally(succeeded=2)
