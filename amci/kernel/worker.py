"""The worker: claims runs, has them handled, records their outcomes, and keeps their leases meanwhile."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import ClassVar, Protocol

from amci.kernel import log
from amci.kernel.clock import Clock
from amci.kernel.errors import LeaseLost, StateError, StorageError
from amci.kernel.run import Failed, Outcome, Run, RunStatus, Snooze
from amci.kernel.runs import RunStore

#: How soon a stop that was asked for from a signal handler is noticed; such a handler may take no lock.
_LOOK_UP = timedelta(milliseconds=250)
_BEATS_PER_LEASE = 3
_SHUTDOWN = "shutdown"
_COUNTED_AS = {
    RunStatus.SUCCEEDED: "succeeded",
    RunStatus.SKIPPED: "skipped",
    RunStatus.FAILED: "failed",
    RunStatus.PENDING: "returned",
}

_log = log.get("worker")


class Handler(Protocol):
    """What does the work of one kind of run."""

    @property
    def kind(self) -> str:
        """The kind of run."""
        ...

    @property
    def batch(self) -> int:
        """How many runs it takes at once, at most."""
        ...

    @property
    def threads(self) -> int:
        """How many threads call it at the same time."""
        ...

    def handle(self, runs: Sequence[Run]) -> Mapping[int, Outcome]:
        """Do the work: run_id → outcome for each run.

        If it raises, doing any of the batch again must be harmless: the batch is halved until the run at
        fault stands alone, and that one is Failed with the error.
        """
        ...


class SingleHandler(ABC):
    """A handler that takes one run at a time; what `outcome` raises is the error of its run."""

    batch: ClassVar[int] = 1
    threads: ClassVar[int] = 1

    def handle(self, runs: Sequence[Run]) -> Mapping[int, Outcome]:
        """Do the work of the one run: run_id → outcome."""
        return {run.run_id: self.outcome(run) for run in runs}

    @abstractmethod
    def outcome(self, run: Run) -> Outcome:
        """Do the work of a run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What became of the runs of one `drain` or `run`."""

    succeeded: int
    skipped: int
    failed: int
    returned: int  #: times a run was queued again: snooze, retry, shutdown
    lost: int  #: taken over by another worker or a person before they were finished
    left: int  #: still PENDING at the end: waiting for longer than the patience, for a lock or for a slot

    def __add__(self, later: Tally) -> Tally:
        """The tally of both; what is left is what `later` left."""
        ours, theirs = asdict(self), asdict(later)
        return Tally(**{name: ours[name] + theirs[name] for name in ours} | {"left": later.left})


class Worker:
    """Works on the runs of its handlers: `drain` until nothing is left, `run` until stopped; one at a time."""

    def __init__(
        self,
        store: RunStore,
        handlers: Sequence[Handler],
        clock: Clock,
        *,
        name: str,
        lease: timedelta,
        on_finished: Callable[[Run, Outcome], None],
        uncounted: Container[str] = (),
    ) -> None:
        """`on_finished` is called after the commit with the run as it then stands; it must not raise.

        Runs of `uncounted` kinds are left out of the tally: they are only side effects of others.
        """
        self._store = store
        self._handlers = tuple(handlers)
        self._kinds = tuple(handler.kind for handler in handlers)
        self._clock = clock
        self._name = name
        self._lease = lease
        self._on_finished = on_finished
        self._uncounted = uncounted
        self._threads = sum(handler.threads for handler in handlers)
        self._tick = threading.Event()  # the thread in `_work` has something to look at
        self._news = threading.Condition()  # re-entrant; guards all that follows
        self._generation = 0  # grows whenever there may be something new to claim
        self._resting: dict[int, int] = {}  # thread → the generation in which it found nothing
        self._is_closing = False
        self._is_draining = False
        self._held: dict[int, Run] = {}
        self._tally: Counter[str] = Counter()

    def wake(self) -> None:
        """Say that there may be new runs. Not from a signal handler."""
        with self._news:
            self._generation += 1
            self._news.notify_all()
        self._tick.set()

    def drain(self, stop: threading.Event, patience: timedelta) -> Tally:
        """Work until nothing is left that can be done, or `stop` is set.

        A run that becomes due within `patience` is waited for, counted from each look; later ones are left.
        Raises StorageError if the state file cannot be used.
        """
        return self._work(stop, patience)

    def run(self, stop: threading.Event) -> Tally:
        """Work until `stop` is set; a state file that cannot be used for a while is waited for."""
        return self._work(stop, None)

    def _work(self, stop: threading.Event, patience: timedelta | None) -> Tally:
        self._is_draining = patience is not None
        self._is_closing = False
        self._resting.clear()
        self._tally.clear()
        with self._storage_trouble():
            self._correct_waits()
        began = self._clock.now()  # before the first claim, which takes all that is due by then
        with ThreadPoolExecutor(max(self._threads, 1), thread_name_prefix=self._name) as pool:
            threads = [pool.submit(self._serve, h) for h in self._handlers for _ in range(h.threads)]
            for thread in threads:
                thread.add_done_callback(lambda _: self._tick.set())
            try:
                self._watch(threads, stop, patience, began)
            finally:
                self._close()
        for thread in threads:
            thread.result()
        counted = {name: self._tally[name] for name in ("succeeded", "skipped", "failed", "returned", "lost")}
        return Tally(**counted, left=self._store.count(self._kinds, RunStatus.PENDING))

    def _watch(
        self,
        threads: Sequence[Future[None]],
        stop: threading.Event,
        patience: timedelta | None,
        woken: datetime,
    ) -> None:
        """Keep leases, wake the threads when a moment has come, and close when it is time."""
        beat = woken + self._lease / _BEATS_PER_LEASE
        due: datetime | None = None
        seen = woken
        self._tick.set()
        while not all(thread.done() for thread in threads):
            now = self._clock.now()
            if now < seen:
                # The clock was set back: these were counted from a time that has not come yet.
                beat, due = now, None
            seen = now
            if stop.is_set() or any(thread.done() for thread in threads):
                self._close()
            if now >= beat:
                beat, woken = now + self._lease / _BEATS_PER_LEASE, now
                with self._storage_trouble():
                    self._keep_leases()
                self.wake()
            if (due is not None and due <= now) or self._store.has_foreign_changes():
                woken = now
                self.wake()
            if self._tick.is_set():
                self._tick.clear()
                # Asked first: what a thread did before it rested is then seen below.
                is_quiet = self._is_quiet()
                with self._storage_trouble():
                    due = self._store.next_due(self._kinds, woken)
                    if is_quiet and patience is not None and (due is None or due > now + patience):
                        self._close_if_none_runs()
            pause = min(beat, due or beat, now + _LOOK_UP) - now
            self._clock.wait(self._tick, max(pause, timedelta()))

    def _keep_leases(self) -> None:
        """Extend ours, and only then take back what expired: a laptop that slept loses nothing."""
        with self._news:
            held = list(self._held.values())
        self._store.extend(held, self._lease)
        self._correct_waits()
        for run in self._store.recover():
            _log.warning("lease expired", run_id=run.run_id, status=run.status)
            if run.status is RunStatus.FAILED:
                self._on_finished(run, Failed(LeaseLost(run.reason or "")))

    def _correct_waits(self) -> None:
        if step := self._store.correct_waits():
            _log.warning("the clock was set back", ahead=str(step.ahead), waits_corrected=step.waits)

    def _close_if_none_runs(self) -> None:
        if not self._store.count(self._kinds, RunStatus.RUNNING):
            self._close()

    def _close(self) -> None:
        with self._news:
            self._is_closing = True
            self._news.notify_all()

    def _serve(self, handler: Handler) -> None:
        """The loop of one thread."""
        while not self._is_closing:
            with self._news:
                seen = self._generation
            found = False
            with self._storage_trouble():
                found = self._turn(handler)
            if not found:
                self._rest(seen)

    def _turn(self, handler: Handler) -> bool:
        """Claim and handle once; a batch that raises is halved until the run at fault stands alone."""
        runs = self._store.claim((handler.kind,), self._name, self._lease, handler.batch)
        with self._holding(runs):
            parts = [runs] if runs else []
            while parts:
                part = parts.pop()
                if self._is_closing:
                    later = Snooze(self._clock.now(), _SHUTDOWN, keeps_slot=True)
                    self._finish(part, {run.run_id: later for run in part})
                elif (outcomes := self._handled(handler, part)) is not None:
                    self._finish(part, outcomes)
                else:
                    middle = len(part) // 2
                    parts += [part[middle:], part[:middle]]
        return bool(runs)

    def _handled(self, handler: Handler, part: Sequence[Run]) -> Mapping[int, Outcome] | None:
        """An outcome for each run; None if the batch has to be halved."""
        with log.bound(*part):
            try:
                outcomes = handler.handle(part)
                return {run.run_id: _outcome(handler, outcomes.get(run.run_id)) for run in part}
            except StorageError as error:
                # The disk is at fault, not one of the runs: each will be tried again.
                return {run.run_id: Failed(error) for run in part}
            except BaseException as error:  # noqa: BLE001 - a handler may raise anything; its run is then Failed
                if len(part) == 1:
                    # Not an Exception: sys.exit in somebody else's code, which must not end this thread.
                    failure = error if isinstance(error, Exception) else StateError(f"ended by {error!r}")
                    return {part[0].run_id: Failed(failure)}
                _log.info("batch halved", runs=len(part), exc_info=error)
                return None

    def _finish(self, part: Sequence[Run], outcomes: Mapping[int, Outcome]) -> None:
        finished = self._store.finish(part, outcomes)
        for run in finished.lost:
            _log.warning("run lost", run_id=run.run_id)
        with self._news:
            self._tally.update(
                _COUNTED_AS[run.status] for run in finished.runs if run.kind not in self._uncounted
            )
            self._tally["lost"] += len(finished.lost)
            for run in part:
                self._held.pop(run.run_id, None)
        for run in finished.runs:
            outcome = outcomes[run.run_id]
            if isinstance(outcome, Failed):
                with log.bound(run):
                    _log.error("run failed", status=run.status, attempts=run.attempts, exc_info=outcome.error)
            self._on_finished(run, outcome)
        self.wake()

    def _rest(self, seen: int) -> None:
        """Wait until there may be something newer than what this thread has seen."""
        me = threading.get_ident()
        with self._news:
            self._resting[me] = seen
            if self._is_quiet():
                self._tick.set()
            self._news.wait_for(lambda: self._is_closing or self._generation != seen)
            del self._resting[me]

    def _is_quiet(self) -> bool:
        """Whether every thread has found nothing since the last news."""
        with self._news:
            seen = list(self._resting.values())
            return len(seen) == self._threads and all(generation == self._generation for generation in seen)

    @contextmanager
    def _holding(self, runs: Sequence[Run]) -> Iterator[None]:
        """Keep the leases of these runs until they are finished, or for the block at most."""
        with self._news:
            self._held |= {run.run_id: run for run in runs}
        try:
            yield
        finally:
            with self._news:
                for run in runs:
                    self._held.pop(run.run_id, None)

    @contextmanager
    def _storage_trouble(self) -> Iterator[None]:
        """`run` outlives a full disk: what could not be written comes back when its lease expires."""
        try:
            yield
        except StorageError as error:
            if self._is_draining:
                raise
            _log.error("state file not usable for now", exc_info=error)


def _outcome(handler: Handler, given: object) -> Outcome:
    if isinstance(given, Outcome):
        return given
    return Failed(
        StateError(f"handler {handler.kind} gave no outcome for this run", hint="this is a bug in it")
    )
