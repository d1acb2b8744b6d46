from __future__ import annotations

import tempfile
import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from amci.kernel.errors import DataError, IllegalMove, StorageError
from amci.kernel.run import Done, Failed, NewRun, Run, RunStatus, Skipped, Snooze
from amci.kernel.runs import RunStore
from amci.kernel.state import State

LEASE = timedelta(minutes=5)
POOLS = {"one": 1, "two": 2, "closed": 0}
#: All of them belong to one larger pool.
SHARED, SHARED_SIZE = "account", 2
KINDS = ("light", "heavy")


class HandClock:
    def __init__(self) -> None:
        self.at = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def wait(self, event: threading.Event, _pause: timedelta) -> bool:
        return event.is_set()


@dataclass
class Expected:
    """What the machine believes of one run."""

    kind: str
    priority: int
    lock: str | None
    pool: str
    batch: str
    after: datetime
    status: RunStatus = RunStatus.PENDING
    claims: int = 0
    expiries: int = 0
    attempts: int = 0
    lease: datetime | None = None
    holds_slot: bool = False
    events: list[str] = field(default_factory=lambda: ["created"])


class RunsMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = HandClock()
        self.state = State.open(Path(self.folder.name) / "amci.db", self.clock)
        self.store = RunStore(self.state, self.clock, chance=lambda: 0.5)
        self.model: dict[int, Expected] = {}
        self.keys: set[str] = set()
        self.claimed: list[Run] = []

    def teardown(self) -> None:
        self.state.close()
        self.folder.cleanup()

    @initialize()
    def pools(self) -> None:
        for pool, size in POOLS.items():
            self.store.set_pool(pool, size, parent=SHARED)
        self.store.set_pool(SHARED, SHARED_SIZE)

    # what may happen

    @rule(
        keys=st.lists(st.integers(0, 60), min_size=1, max_size=6),
        place=st.tuples(st.sampled_from(KINDS), st.sampled_from([None, "a", "b"]), st.integers(0, 2)),
        bounds=st.tuples(
            st.sampled_from([None, None, "x", "y"]),
            st.sampled_from(["", "", *POOLS]),
            st.sampled_from(["", "p", "q"]),
        ),
        delay=st.sampled_from([0, 0, 60, 600]),
    )
    def create(
        self,
        keys: list[int],
        place: tuple[str, str | None, int],
        bounds: tuple[str | None, str, str],
        delay: int,
    ) -> None:
        kind, tenant, priority = place
        lock, pool, batch = bounds
        after = self.clock.at + timedelta(seconds=delay)
        new = [
            NewRun(
                idempotency_key=str(key),
                kind=kind,
                tenant_id=tenant,
                priority=priority,
                lock_key=lock,
                pool=pool,
                batch_key=batch,
                run_after=after if delay else None,
            )
            for key in keys
        ]
        fresh = {run.idempotency_key for run in new} - self.keys
        assert self.store.create(new) == len(fresh)
        self.keys |= fresh
        for _ in fresh:
            self.model[len(self.model) + 1] = Expected(kind, priority, lock, pool, batch, after)

    @rule(kinds=st.permutations(KINDS), limit=st.integers(1, 4))
    def claim(self, kinds: tuple[str, ...], limit: int) -> None:
        able = [(kind, self.able(kind)) for kind in kinds]
        kind, candidates = next(((kind, ids) for kind, ids in able if ids), (None, set()))
        taken = self.store.claim(kinds, "w", LEASE, limit)
        assert bool(taken) == bool(candidates)
        if not taken:
            return
        ids = [run.run_id for run in taken]
        head = self.model[ids[0]]
        assert set(ids) <= candidates
        assert len(ids) <= limit
        assert {run.kind for run in taken} == {kind}
        assert head.priority == max(self.model[i].priority for i in candidates)
        assert {self.model[i].batch for i in ids} == {head.batch}
        assert len(ids) == 1 or all(self.model[i].expiries == 0 for i in ids)
        if head.expiries == 0:
            assert len(ids) == min(limit, self.companions(head, candidates))
        for run in taken:
            self.claimed.append(run)
            known = self.model[run.run_id]
            known.status, known.lease = RunStatus.RUNNING, self.clock.at + LEASE
            known.claims += 1
            known.holds_slot = bool(known.pool)
            known.events.append("claimed")
            assert run.claims == known.claims

    @precondition(lambda self: self.claimed)
    @rule(data=st.data(), what=st.sampled_from(["done", "skipped", "snooze", "wait", "bad", "again"]))
    def finish(self, data: st.DataObject, what: str) -> None:
        run = data.draw(st.sampled_from(self.claimed))
        until = self.clock.at + timedelta(seconds=60)
        outcome = {
            "done": Done({"n": 1}),
            "skipped": Skipped("nothing to do"),
            "snooze": Snooze(until, "poll"),
            "wait": Snooze(until, "in AMC", keeps_slot=True),
            "bad": Failed(DataError("bad")),
            "again": Failed(StorageError("full")),
        }[what]
        known = self.model[run.run_id]
        is_ours = known.status is RunStatus.RUNNING and known.claims == run.claims
        ended = self.store.finish([run], {run.run_id: outcome})
        assert bool(ended.runs) == is_ours
        assert bool(ended.lost) != is_ours
        if not is_ours:
            return
        known.attempts += what in {"bad", "again"}
        again = what == "again" and known.attempts < 5
        known.status, event = {
            "done": (RunStatus.SUCCEEDED, "succeeded"),
            "skipped": (RunStatus.SKIPPED, "skipped"),
            "snooze": (RunStatus.PENDING, "returned"),
            "wait": (RunStatus.PENDING, "returned"),
            "bad": (RunStatus.FAILED, "failed"),
            "again": (RunStatus.PENDING, "returned") if again else (RunStatus.FAILED, "failed"),
        }[what]
        known.events.append(event)
        known.holds_slot &= what == "wait" or (what == "again" and again)
        known.after = ended.runs[0].run_after
        assert known.after >= self.clock.at or known.status.is_final

    @rule(seconds=st.sampled_from([1, 61, 301]))
    def time_passes(self, seconds: int) -> None:
        self.clock.at += timedelta(seconds=seconds)

    @rule(everyone=st.booleans())
    def recover(self, everyone: bool) -> None:
        running = {i: known for i, known in self.model.items() if known.status is RunStatus.RUNNING}
        expired = [i for i, known in running.items() if everyone or known.lease < self.clock.at]
        assert [run.run_id for run in self.store.recover(all_workers=everyone)] == expired
        for run_id in expired:
            known = self.model[run_id]
            known.expiries += 1
            known.after = self.clock.at
            known.status = RunStatus.FAILED if known.expiries == 5 else RunStatus.PENDING
            known.holds_slot &= known.expiries < 5
            known.events.append("failed" if known.expiries == 5 else "returned")

    @precondition(lambda self: self.model)
    @rule(data=st.data(), event=st.sampled_from(["cancelled", "redriven", "redriven"]))
    def person(self, data: st.DataObject, event: str) -> None:
        run_id = data.draw(st.sampled_from(sorted(self.model)))
        known = self.model[run_id]
        legal = {
            "cancelled": {RunStatus.PENDING, RunStatus.RUNNING},
            "redriven": {RunStatus.FAILED, RunStatus.SKIPPED},
        }[event]
        ask = self.store.cancel if event == "cancelled" else self.store.redrive
        try:
            ask([run_id])
        except IllegalMove:
            assert known.status not in legal
            return
        assert known.status in legal
        known.events.append(event)
        known.status, known.holds_slot = RunStatus.CANCELLED, False
        if event == "redriven":
            known.status, known.after = RunStatus.PENDING, self.clock.at
            known.attempts = known.expiries = 0

    # what must hold

    def able(self, kind: str) -> set[int]:
        """Runs of a kind that nothing keeps from being claimed."""
        busy = self.busy()
        room = self.room()
        pending = {i: k for i, k in self.model.items() if k.status is RunStatus.PENDING}
        first = {lock: min(i for i, k in pending.items() if k.lock == lock) for lock in self.locks(pending)}
        return {
            i
            for i, k in pending.items()
            if k.kind == kind
            and k.after <= self.clock.at
            and (k.lock is None or (k.lock not in busy and first[k.lock] == i))
            and (k.holds_slot or room.get(k.pool, 1) > 0)
        }

    def companions(self, head: Expected, candidates: set[int]) -> int:
        """How many could go together with this head, itself included."""
        fitting = [k for i in candidates if (k := self.model[i]).batch == head.batch and k.expiries == 0]
        in_place = sum(k.holds_slot for k in fitting)
        by_pool = Counter(k.pool for k in fitting if not k.holds_slot)
        shared = self.room(SHARED)[SHARED]
        fits = sum(min(n, POOLS[p] - self.held(p)) for p, n in by_pool.items() if p in POOLS)
        return in_place + by_pool[""] + min(fits, shared)

    def held(self, *pools: str) -> int:
        return sum(k.holds_slot for k in self.model.values() if k.pool in pools)

    def room(self, *more: str) -> dict[str, int]:
        """How many more runs each pool takes, bounded by what all of them share."""
        shared = SHARED_SIZE - self.held(*POOLS)
        return {p: min(size - self.held(p), shared) for p, size in POOLS.items()} | dict.fromkeys(
            more, shared
        )

    def locks(self, runs: dict[int, Expected]) -> set[str]:
        return {known.lock for known in runs.values() if known.lock is not None}

    def busy(self) -> set[str]:
        return self.locks({i: k for i, k in self.model.items() if k.status is RunStatus.RUNNING})

    @invariant()
    def one_running_per_lock_and_no_pool_over_its_size(self) -> None:
        running = self.store.list(status=RunStatus.RUNNING, limit=1000)
        locks = [run.lock_key for run in running if run.lock_key]
        assert len(locks) == len(set(locks))
        assert all(self.held(pool) <= size for pool, size in POOLS.items())
        assert self.held(*POOLS) <= SHARED_SIZE

    @invariant()
    def the_store_says_what_happened(self) -> None:
        found = {run.run_id: run for run in self.store.list(limit=1000)}
        assert found.keys() == self.model.keys()
        for run_id, known in self.model.items():
            run = found[run_id]
            assert (run.status, run.claims) == (known.status, known.claims)
            assert (run.attempts, run.expiries) == (known.attempts, known.expiries)
            assert (run.worker is None) == (run.lease_until is None) == (run.status is not RunStatus.RUNNING)
        rows = self.state.read("SELECT run_id, event FROM run_events ORDER BY run_id, seq")
        told: dict[int, list[str]] = {}
        for row in rows:
            told.setdefault(row["run_id"], []).append(row["event"])
        assert told == {run_id: known.events for run_id, known in self.model.items()}


TestRunsMachine = RunsMachine.TestCase
TestRunsMachine.settings = settings(
    max_examples=60, stateful_step_count=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
