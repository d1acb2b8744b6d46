from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from amci.kernel import runs as runs_module
from amci.kernel.errors import (
    AmciError,
    ConfigError,
    DataError,
    IllegalMove,
    NotFound,
    Problem,
    StorageError,
    Throttled,
    UsageError,
)
from amci.kernel.run import (
    Done,
    Failed,
    Finished,
    NewRun,
    Outcome,
    RetryPolicy,
    Run,
    RunStatus,
    Skipped,
    Snooze,
    reason_for,
)
from amci.kernel.runs import RunStore
from amci.kernel.state import State

LEASE = timedelta(minutes=5)
P, R, S, K, F, C = RunStatus


class HandClock:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.at = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def wait(self, event: threading.Event, pause: timedelta) -> bool:
        self.at += pause
        return event.is_set()

    def forward(self, **by: float) -> datetime:
        self.at += timedelta(**by)
        return self.at


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def store(state: State, clock: HandClock) -> RunStore:
    return RunStore(state, clock, chance=lambda: 1.0)


def new(key: str, **values: Any) -> NewRun:
    return NewRun(**({"idempotency_key": key, "kind": "light"} | values))


def claim(store: RunStore, limit: int = 1, kinds: Iterable[str] = ("light",)) -> list[Run]:
    return store.claim(kinds, "w1", LEASE, limit)


def keys(runs: Iterable[Run]) -> list[str]:
    return [run.idempotency_key for run in runs]


def one(store: RunStore) -> Run:
    (run,) = claim(store)
    return run


def finish(store: RunStore, run: Run, outcome: Outcome) -> Finished:
    return store.finish([run], {run.run_id: outcome})


def expire(store: RunStore, clock: HandClock) -> list[Run]:
    clock.forward(minutes=6)
    return store.recover()


# creating


def test_a_key_makes_one_run_for_ever(store: RunStore) -> None:
    assert store.create([new("a"), new("a", payload={"second": True}), new("b")]) == 2
    finish(store, one(store), Done())
    assert store.create([new("a"), new("c")]) == 1
    assert [(run.idempotency_key, run.payload) for run in store.list()] == [("c", {}), ("b", {}), ("a", {})]


def test_a_new_run_says_all_it_was_given(store: RunStore, clock: HandClock) -> None:
    store.create([
        NewRun(
            idempotency_key="k", kind="light", payload={"n": [1, "é", None]}, tenant_id="acme", priority=3,
            pool="slots", lock_key="object:1", batch_key="ds", correlation_id="fire:1",
            run_after=clock.now() + timedelta(hours=1),
        )
    ])  # fmt: skip
    run = store.get(1)
    assert (run.status, run.payload, run.tenant_id, run.priority) == (P, {"n": [1, "é", None]}, "acme", 3)
    assert (run.pool, run.lock_key, run.batch_key, run.correlation_id) == (
        "slots",
        "object:1",
        "ds",
        "fire:1",
    )
    assert (run.run_after, run.created_at) == (clock.now() + timedelta(hours=1), clock.now())
    assert (run.attempts, run.claims, run.expiries, run.worker, run.lease_until) == (0, 0, 0, None, None)


def test_a_payload_that_is_no_json_creates_nothing(store: RunStore) -> None:
    with pytest.raises(TypeError):
        store.create([new("a"), new("b", payload={"x": object()})])
    with pytest.raises(ValueError, match="JSON"):
        store.create([new("c", payload={"x": float("nan")})])
    assert store.list() == []


def test_runs_are_never_deleted_whatever_the_code_path(store: RunStore, state: State) -> None:
    store.create([new("a")])
    with pytest.raises(AmciError, match="never deleted"), state.transaction() as db:
        db.execute("DELETE FROM runs")
    assert len(store.list()) == 1


# moves


def allowed(state: State) -> set[tuple[str, str]]:
    return {(row["old"], row["new"]) for row in state.read("SELECT old, new FROM run_moves")}


def test_the_legal_moves_are_those_of_the_design(state: State) -> None:
    assert allowed(state) == {
        ("", P), ("", S), (P, R), (R, S), (R, K), (R, P), (R, F), (P, C), (R, C), (F, P), (K, P)
    }  # fmt: skip


@pytest.mark.parametrize("goal", list(RunStatus))
@pytest.mark.parametrize("start", list(RunStatus))
def test_sqlite_itself_refuses_every_other_move(
    state: State, store: RunStore, start: RunStatus, goal: RunStatus
) -> None:
    store.create([new("a")])
    way = {P: [], R: [R], S: [R, S], K: [R, K], F: [R, F], C: [C]}[start]
    with state.transaction() as db:
        for step in way:
            db.execute("UPDATE runs SET status = ?", (step,))
    before = len(store.events(1))

    def move() -> None:
        with state.transaction() as db:
            db.execute("UPDATE runs SET status = ?", (goal,))

    if (start, goal) in allowed(state):
        move()
        assert (store.get(1).status, len(store.events(1))) == (goal, before + 1)
    else:
        with pytest.raises(AmciError, match="illegal run transition"):
            move()
        assert (store.get(1).status, len(store.events(1))) == (start, before)


def test_a_run_begins_as_pending_or_not_at_all(state: State, store: RunStore) -> None:
    store.create([new("a")])
    columns = ", ".join(row["name"] for row in state.read("PRAGMA table_info(runs)"))
    values = (
        columns.replace("run_id,", "99,", 1).replace("idempotency_key", "'z'").replace("status", "'FAILED'")
    )
    values = values.replace("parent_99,", "parent_run_id,")
    with pytest.raises(sqlite3.IntegrityError, match="run_events"), state.transaction() as db:
        db.execute(f"INSERT INTO runs ({columns}) SELECT {values} FROM runs")
    assert len(store.list()) == 1


def test_the_history_tells_every_move_with_reason_worker_and_moment(
    store: RunStore, clock: HandClock
) -> None:
    store.create([new("a")])
    started = clock.now()
    finish(store, one(store), Snooze(clock.forward(minutes=1), "not there yet"))
    clock.forward(minutes=1)
    finish(store, one(store), Failed(DataError("line 3 has no end")))
    store.redrive([1])
    store.cancel([1])
    told = [(e.event, e.reason, e.worker) for e in store.events(1)]
    assert told == [
        ("created", None, None),
        ("claimed", None, "w1"),
        ("returned", "not there yet", "w1"),
        ("claimed", None, "w1"),
        ("failed", "line 3 has no end", "w1"),
        ("redriven", None, None),
        ("cancelled", None, None),
    ]
    assert store.events(1)[0].at == started
    assert store.events(1)[-1].at == clock.now()


# claiming


def test_a_claim_takes_a_lease_and_a_fence(store: RunStore, clock: HandClock) -> None:
    store.create([new("a")])
    run = one(store)
    assert (run.status, run.worker, run.lease_until, run.claims) == (R, "w1", clock.now() + LEASE, 1)
    assert claim(store) == []


def test_the_first_kind_with_a_run_wins_and_others_are_left_alone(store: RunStore) -> None:
    store.create([new("a"), new("b", kind="heavy"), new("c", kind="other")])
    assert keys(claim(store, 10, ["none", "heavy", "light"])) == ["b"]
    assert keys(claim(store, 10, ["none", "heavy", "light"])) == ["a"]
    assert claim(store, 10, ["none", "heavy", "light"]) == []


def test_higher_priority_goes_first(store: RunStore) -> None:
    store.create([new("low"), new("high", priority=5), new("low2"), new("high2", priority=5)])
    assert keys([one(store) for _ in range(4)]) == ["high", "high2", "low", "low2"]


def test_ten_thousand_files_of_one_tenant_do_not_hold_up_anothers_one(store: RunStore) -> None:
    store.create(new(f"big{i}", tenant_id="big", batch_key="big") for i in range(10_000))
    assert len(claim(store, 100)) == 100
    store.create([new("small", tenant_id="small", batch_key="small")])
    assert "small" in keys(claim(store, 100)) + keys(claim(store, 100))


def test_two_tenants_with_much_work_take_turns(store: RunStore) -> None:
    store.create(new(f"a{i}", tenant_id="a") for i in range(50))
    store.create(new(f"b{i}", tenant_id="b") for i in range(50))
    served = [one(store).tenant_id for _ in range(40)]
    assert served.count("a") == served.count("b") == 20
    assert all(set(served[i : i + 2]) == {"a", "b"} for i in range(0, 40, 2))


def test_an_urgent_run_does_not_push_newcomers_behind_its_tenants_queue(store: RunStore) -> None:
    store.create(new(f"a{i}", tenant_id="a") for i in range(1000))
    store.create([new("urgent", tenant_id="a", priority=9)])
    assert keys(claim(store)) == ["urgent"]
    store.create([new("b", tenant_id="b")])
    assert "b" in keys([one(store) for _ in range(2)])


def test_a_long_queue_does_not_hold_back_its_tenants_urgent_run(store: RunStore) -> None:
    store.create(new(f"a{i}", tenant_id="a") for i in range(100))
    store.create(new(f"b{i}", tenant_id="b", priority=9) for i in range(50))
    store.create([new("a-urgent", tenant_id="a", priority=9)])
    assert "a-urgent" in keys([one(store) for _ in range(2)])


def test_an_old_run_set_free_does_not_turn_back_the_time_for_newcomers(store: RunStore) -> None:
    store.set_pool("shut", 0)
    store.create([new("old", tenant_id="a", pool="shut")])
    store.create(new(f"b{i}", tenant_id="b") for i in range(60))
    assert {one(store).tenant_id for _ in range(50)} == {"b"}
    store.set_pool("shut", 1)
    assert keys(claim(store)) == ["old"]
    store.create(new(f"c{i}", tenant_id="c") for i in range(60))
    assert sorted(str(one(store).tenant_id) for _ in range(6)) == ["b", "b", "b", "c", "c", "c"]


def test_seeing_the_same_files_again_costs_their_tenant_no_turn(store: RunStore) -> None:
    files = [new(f"a{i}", tenant_id="a") for i in range(100)]
    store.create(files)
    claimed = [one(store) for _ in range(100)]
    for _ in range(3):
        assert store.create(files) == 0
    store.create([new("b", tenant_id="b"), new("b2", tenant_id="b"), new("a-late", tenant_id="a")])
    assert "a-late" in keys([one(store) for _ in range(2)])
    assert len(claimed) == 100


def test_a_thousand_retries_of_one_tenant_do_not_go_before_everybody_else(
    store: RunStore, clock: HandClock
) -> None:
    store.create(new(f"a{i}", tenant_id="a") for i in range(1000))
    for _ in range(10):
        store.finish(batch := claim(store, 100), {run.run_id: Failed(StorageError("full")) for run in batch})
    clock.forward(hours=1)
    store.create([new("b", tenant_id="b")])
    assert "b" in keys([one(store) for _ in range(2)])


def test_a_snoozed_run_keeps_its_place_before_its_tenants_later_runs(
    store: RunStore, clock: HandClock
) -> None:
    store.create(new(f"a{i}", tenant_id="a") for i in range(100))
    finish(store, one(store), Snooze(clock.now() + timedelta(seconds=5), "poll"))
    clock.forward(seconds=5)
    assert "a0" in keys([one(store) for _ in range(2)])


def test_a_run_is_not_claimed_before_its_moment(store: RunStore, clock: HandClock) -> None:
    store.create([new("later", run_after=clock.now() + timedelta(hours=1)), new("now")])
    assert store.next_due(["light"], clock.now()) == clock.now() + timedelta(hours=1)
    assert keys(claim(store, 10)) == ["now"]
    clock.forward(minutes=59)
    assert claim(store) == []
    due = clock.forward(minutes=1)
    assert keys(claim(store)) == ["later"]
    assert store.next_due(["light"], due - timedelta(hours=2)) is None


def test_next_due_looks_at_the_kinds_and_moments_asked_for(store: RunStore, clock: HandClock) -> None:
    at = [clock.now() + timedelta(minutes=m) for m in range(4)]
    store.create(
        [new("a", run_after=at[1]), new("b", run_after=at[3]), new("c", kind="heavy", run_after=at[2])]
    )
    assert store.next_due(["light"], at[0]) == at[1]
    assert store.next_due(["light"], at[1]) == at[3]
    assert store.next_due(["light", "heavy"], at[1]) == at[2]
    assert store.next_due([], at[0]) is None


def test_runs_with_one_lock_go_one_after_another_snoozed_ones_included(
    store: RunStore, clock: HandClock
) -> None:
    store.create([new("1", lock_key="x"), new("2", lock_key="x", kind="heavy"), new("free")])
    first = one(store)
    assert keys(claim(store, 10, ["heavy"])) == []
    finish(store, first, Snooze(clock.now() + timedelta(hours=1), "wait"))
    assert keys(claim(store, 10, ["heavy", "light"])) == ["free"]
    clock.forward(hours=1)
    assert claim(store, 10, ["heavy"]) == []
    finish(store, one(store), Done())
    assert keys(claim(store, 10, ["heavy"])) == ["2"]


def test_a_batch_never_has_two_runs_with_one_lock(store: RunStore) -> None:
    store.create([new("1", lock_key="x"), new("2", lock_key="x"), new("3", lock_key="y"), new("4"), new("5")])
    assert keys(claim(store, 10)) == ["1", "3", "4", "5"]


def test_sqlite_refuses_two_running_runs_with_one_lock(store: RunStore, state: State) -> None:
    store.create([new("1", lock_key="x"), new("2", lock_key="x"), new("3"), new("4")])
    with pytest.raises(sqlite3.IntegrityError, match="lock_key"), state.transaction() as db:
        db.execute("UPDATE runs SET status = 'RUNNING'")
    assert store.count(["light"], P) == 4


def test_a_batch_holds_one_kind_and_one_batch_key_and_no_more_than_asked(store: RunStore) -> None:
    store.create(new(f"{key}{i}", batch_key=key) for i in range(5) for key in "ab")
    store.create([new("other", kind="heavy", batch_key="a")])
    assert keys(claim(store, 3)) == ["a0", "a1", "a2"]
    assert keys(claim(store, 9)) == [f"b{i}" for i in range(5)]
    assert keys(claim(store, 9)) == ["a3", "a4"]


def test_a_pool_never_has_more_running_than_its_size(store: RunStore) -> None:
    store.set_pool("acme", 3)
    store.create(new(f"p{i}", pool="acme") for i in range(9))
    store.create([new("free")])
    first = claim(store, 2)
    assert keys(first) == ["p0", "p1"]
    assert keys(claim(store, 9)) == ["p2", "free"]
    assert claim(store, 9) == []
    store.finish(first, {run.run_id: Done() for run in first})
    assert keys(claim(store, 9)) == ["p3", "p4"]


def test_a_pool_can_grow_shrink_and_be_closed(store: RunStore) -> None:
    store.create(new(f"p{i}", pool="acme") for i in range(9))
    store.set_pool("acme", 0)
    assert claim(store, 9) == []
    store.set_pool("acme", 2)
    assert len(claim(store, 9)) == 2
    store.set_pool("acme", 1)
    assert claim(store, 9) == []


@pytest.mark.parametrize(("pool", "size"), [("", 3), ("acme", -1)])
def test_a_pool_needs_a_name_and_a_size(store: RunStore, pool: str, size: int) -> None:
    with pytest.raises(UsageError):
        store.set_pool(pool, size)


def test_a_run_that_outlived_its_lease_is_no_companion(store: RunStore, clock: HandClock) -> None:
    store.create([new("suspect")])
    one(store)
    expire(store, clock)
    store.create([new("a", priority=1), new("b")])
    assert [keys(claim(store, 10)) for _ in range(2)] == [["a", "b"], ["suspect"]]


def test_a_run_that_outlived_its_lease_is_claimed_alone(store: RunStore, clock: HandClock) -> None:
    store.create(new(f"r{i}") for i in range(4))
    assert len(claim(store, 2)) == 2
    assert keys(expire(store, clock)) == ["r0", "r1"]
    batches = [keys(claim(store, 10)) for _ in range(3)]
    assert sorted(batches) == [["r0"], ["r1"], ["r2", "r3"]]


# finishing


def test_done_writes_its_result(store: RunStore) -> None:
    store.create([new("a")])
    done = finish(store, one(store), Done({"rows": 7}))
    assert [(run.status, run.result, run.worker, run.lease_until) for run in done.runs] == [
        (S, {"rows": 7}, None, None)
    ]
    assert done.lost == []
    assert store.get(1) == done.runs[0]


def test_skipped_gives_its_reason(store: RunStore) -> None:
    store.create([new("a")])
    finish(store, one(store), Skipped("no data rows"))
    assert (store.get(1).status, store.get(1).reason) == (K, "no data rows")


def test_a_batch_key_may_have_a_limit_of_its_own(store: RunStore) -> None:
    store = replace(store, batches={("light", "few"): 2, ("heavy", "many"): 1})
    store.create([new(f"{key}{n}", batch_key=key) for key in ("few", "many") for n in range(4)])
    assert [len(claim(store, 3)) for _ in range(5)] == [2, 2, 3, 1, 0]


def test_a_snooze_is_no_failure(store: RunStore, clock: HandClock) -> None:
    store.create([new("a")])
    for _ in range(20):
        finish(store, one(store), Snooze(clock.forward(seconds=1), "poll"))
    run = store.get(1)
    assert (run.status, run.attempts, run.claims, run.reason) == (P, 0, 20, "poll")


def test_successors_inherit_and_are_created_with_the_end_of_their_predecessor(store: RunStore) -> None:
    store.create([new("a", tenant_id="acme", correlation_id="fire:9")])
    then = [new("b", kind="heavy"), new("c", kind="heavy", tenant_id="other", correlation_id="own")]
    finish(store, one(store), Done(then=then))
    b, c = store.claim(["heavy"], "w", LEASE, 2)
    assert (b.parent_run_id, b.tenant_id, b.correlation_id) == (1, "acme", "fire:9")
    assert (c.parent_run_id, c.tenant_id, c.correlation_id) == (1, "other", "own")


def test_a_run_that_begins_a_story_gives_it_its_own_key(store: RunStore) -> None:
    store.create([new("a")])
    finish(store, one(store), Done(then=[new("b", kind="heavy")]))
    finish(store, one_of(store, "heavy"), Done(then=[new("c", kind="post")]))
    store.create([new("stranger")])
    assert keys(store.story(3)) == keys(store.story(1)) == ["a", "b", "c"]
    assert {run.correlation_id for run in store.story(1)} == {"a"}


def one_of(store: RunStore, kind: str) -> Run:
    (run,) = store.claim([kind], "w", LEASE)
    return run


def test_a_lost_claim_changes_nothing_and_makes_no_successor(store: RunStore, clock: HandClock) -> None:
    store.create([new("a"), new("b")])
    a, b = claim(store, 2)
    expire(store, clock)
    again = claim(store)[0]
    before = store.get(a.run_id)
    ended = store.finish([a, b], {1: Done({"old": 1}, [new("x")]), 2: Done(then=[new("y")])})
    assert (ended.runs, ended.lost) == ([], [a, b])
    assert again.run_id == a.run_id
    assert store.get(a.run_id) == before
    assert len(store.list()) == 2
    assert finish(store, again, Done()).lost == []


def test_a_batch_with_one_lost_run_finishes_the_others(store: RunStore) -> None:
    store.create([new("a"), new("b")])
    a, b = claim(store, 2)
    store.cancel([a.run_id])
    ended = store.finish([a, b], {a.run_id: Done(), b.run_id: Done()})
    assert (keys(ended.runs), keys(ended.lost)) == (["b"], ["a"])
    assert store.get(a.run_id).status is C


def test_a_retryable_error_is_tried_again_with_growing_pauses_until_the_tries_are_used_up(
    state: State, clock: HandClock
) -> None:
    policy = RetryPolicy(interval=timedelta(seconds=10), max_attempts=3, max_delay=timedelta(seconds=15))
    store = RunStore(state, clock, retry={StorageError: policy}, chance=lambda: 1.0)
    store.create([new("a")])
    for attempt, pause in ((1, 10), (2, 15)):
        finish(store, one(store), Failed(StorageError("no space", hint="free some")))
        run = store.get(1)
        assert (run.status, run.attempts, run.reason) == (P, attempt, "no space (free some)")
        assert run.run_after == clock.now() + timedelta(seconds=pause)
        clock.forward(seconds=pause)
    finish(store, one(store), Failed(StorageError("no space")))
    assert (store.get(1).status, store.get(1).attempts) == (F, 3)


def test_the_nearest_error_class_chooses_the_policy(state: State, clock: HandClock) -> None:
    class Slow(StorageError):
        pass

    once = {StorageError: RetryPolicy(max_attempts=1), Slow: RetryPolicy(max_attempts=2)}
    store = RunStore(state, clock, retry=once)
    store.create([new("a"), new("b")])
    a, b = claim(store, 2)
    store.finish([a, b], {1: Failed(StorageError()), 2: Failed(Slow())})
    assert [store.get(i).status for i in (1, 2)] == [F, P]


@pytest.mark.parametrize("error", [DataError("bad"), ValueError("12 Main Street")])
def test_any_other_error_fails_at_once(store: RunStore, error: Exception) -> None:
    store.create([new("a")])
    finish(store, one(store), Failed(error))
    assert (store.get(1).status, store.get(1).attempts) == (F, 1)


def test_a_reason_is_one_line_and_never_the_text_of_a_foreign_error() -> None:
    problems = [Problem("a.yaml", "x", "is wrong"), Problem("b.yaml", "y", "is\nwrong")]
    assert (
        reason_for(ConfigError(problems, hint="mend it"))
        == "a.yaml: x: is wrong b.yaml: y: is wrong (mend it)"
    )
    assert reason_for(ValueError("12 Main Street")) == "unexpected ValueError; the log says where"


@pytest.mark.parametrize(
    "outcome",
    [Done({"x": object()}), Done({"x": float("inf")}), Done(then=[new("b", payload={"x": {1, 2}})])],
)
def test_an_outcome_that_is_no_json_fails_its_run_and_spares_the_batch(
    store: RunStore, outcome: Outcome
) -> None:
    store.create([new("a"), new("z")])
    a, z = claim(store, 2)
    store.finish([a, z], {a.run_id: outcome, z.run_id: Done()})
    assert [store.get(i).status for i in (1, 2)] == [F, S]
    assert len(store.list()) == 2


# leases


def test_an_extended_lease_holds(store: RunStore, clock: HandClock) -> None:
    store.create([new("a"), new("b")])
    a, b = claim(store, 2)
    clock.forward(minutes=4)
    store.extend([a], LEASE)
    clock.forward(minutes=4)
    assert keys(store.recover()) == ["b"]
    assert store.get(a.run_id).status is R
    assert store.get(b.run_id).reason == "the lease expired: its worker disappeared"


def test_a_lost_run_cannot_be_extended(store: RunStore, clock: HandClock) -> None:
    store.create([new("a")])
    old = one(store)
    expire(store, clock)
    new_claim = one(store)
    store.extend([old], timedelta(days=9))
    assert store.get(1).lease_until == new_claim.lease_until


def test_a_lease_that_still_holds_is_left_unless_nobody_else_is_alive(store: RunStore) -> None:
    store.create([new("a")])
    one(store)
    assert store.recover() == []
    assert keys(store.recover(all_workers=True)) == ["a"]
    assert one(store).expiries == 1


def test_the_fifth_expired_lease_abandons_a_run_and_a_redrive_begins_anew(
    store: RunStore, clock: HandClock
) -> None:
    store.create([new("a")])
    for expiries in range(1, 6):
        one(store)
        (run,) = expire(store, clock)
        assert (run.expiries, run.status) == (expiries, F if expiries == 5 else P)
    assert run.reason.startswith("abandoned")
    (again,) = store.redrive([1])
    assert (again.status, again.expiries, again.attempts, again.reason) == (P, 0, 0, None)
    assert one(store).claims == 6


# people


@pytest.mark.parametrize(
    ("way", "cancelled", "redriven"),
    [
        ([], True, False),
        (["claim"], True, False),
        (["claim", Done()], False, False),
        (["claim", Skipped("x")], False, True),
        (["claim", Failed(DataError())], False, True),
        (["cancel"], False, False),
    ],
)
def test_a_person_may_make_the_legal_moves_only(
    store: RunStore, way: list[Any], cancelled: bool, redriven: bool
) -> None:
    store.create([new("a"), new("bystander")])
    for step in way:
        if step == "claim":
            run = one(store)
        elif step == "cancel":
            store.cancel([1])
        else:
            finish(store, run, step)
    for ask, may in ((store.redrive, redriven), (store.cancel, cancelled)):
        if may:
            continue
        with pytest.raises(IllegalMove, match="run 1 is") as caught:
            ask([2, 1] if ask == store.cancel else [1])
        assert caught.value.hint
        assert store.get(2).status is P
    if redriven:
        assert [run.status for run in store.redrive([1])] == [P]
    if cancelled:
        assert [run.status for run in store.cancel([1])] == [C]


@pytest.mark.parametrize("method", ["get", "story", "events", "cancel", "redrive"])
def test_an_unknown_run_is_not_found(store: RunStore, method: str) -> None:
    with pytest.raises(NotFound, match="no run 77"):
        getattr(store, method)([77] if method in {"cancel", "redrive"} else 77)


def test_a_cancelled_run_gives_its_lock_and_slot_free(store: RunStore) -> None:
    store.set_pool("p", 1)
    store.create([new("a", lock_key="x", pool="p"), new("b", lock_key="x", pool="p")])
    one(store)
    store.cancel([1])
    assert keys(claim(store)) == ["b"]


def test_runs_are_listed_newest_first_by_what_one_asks_for(store: RunStore) -> None:
    store.create(new(f"r{i}", tenant_id="ab"[i % 2], kind=["light", "heavy"][i % 3 == 0]) for i in range(6))
    store.create([new("r6", correlation_id="story", tenant_id="a")])
    store.cancel([2])
    assert keys(store.list(limit=3)) == ["r6", "r5", "r4"]
    assert keys(store.list(limit=3, before=5)) == ["r3", "r2", "r1"]
    assert keys(store.list(status=C)) == ["r1"]
    assert keys(store.list(kind="heavy", tenant="b")) == ["r3"]
    assert keys(store.list(correlation_id="story")) == ["r6"]


@pytest.mark.parametrize("few", [0, 1000])
def test_runs_are_listed_alike_whether_few_or_many_fit(
    store: RunStore, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(runs_module, "_FEW", few)
    store.create(new(f"r{i}", tenant_id="ab"[i % 2], kind=["light", "heavy"][i % 3 == 0]) for i in range(12))
    store.cancel([2, 4, 5])
    assert keys(store.list(status=C)) == ["r4", "r3", "r1"]
    assert keys(store.list(status=C, limit=1, before=5)) == ["r3"]
    assert keys(store.list(kind="heavy")) == ["r9", "r6", "r3", "r0"]
    assert keys(store.list(kind="heavy", status=P, tenant="b")) == ["r9"]


def test_counts_are_kept_through_every_move(store: RunStore, state: State, clock: HandClock) -> None:
    store.create(new(f"r{i}", kind=["light", "heavy"][i % 3 == 0]) for i in range(9))
    store.create([new("r1"), new("r9")])
    first, second, *_ = claim(store, limit=3)
    store.finish([first, second], {first.run_id: Done(), second.run_id: Failed(ValueError("no"))})
    store.redrive([second.run_id])
    store.cancel([3])
    clock.forward(hours=1)
    store.recover()
    store.forget([first.run_id, 3])
    rows = state.read("SELECT kind, status, count(*) FROM runs GROUP BY kind, status")
    counted = [tuple(row) for row in state.read(runs_module._SQL["counts"])]
    assert sorted(counted) == sorted(map(tuple, rows))
    plan = state.read(f"EXPLAIN QUERY PLAN {runs_module._SQL['counts']}")
    assert [row["detail"] for row in plan] == ["SCAN run_counts"]


def test_counts_are_by_kind_and_status(store: RunStore) -> None:
    assert store.counts() == {}
    store.create([new("a"), new("b"), new("c", kind="heavy")])
    one(store)
    assert store.counts() == {"light": {P: 1, R: 1}, "heavy": {P: 1}}
    assert store.count(["light", "heavy"], P) == 2


# retry policy


def test_the_jitter_is_full_and_the_delay_bounded() -> None:
    policy = RetryPolicy(interval=timedelta(seconds=2), backoff_rate=3, max_delay=timedelta(minutes=1))
    assert [policy.delay(n, lambda: 1.0).total_seconds() for n in (1, 2, 3, 4, 5000)] == [2, 6, 18, 54, 60]
    assert policy.delay(3, lambda: 0.0) == timedelta()
    assert policy.delay(2, lambda: 0.5) == timedelta(seconds=3)


def test_final_means_that_only_a_person_moves_it() -> None:
    assert [status for status in RunStatus if status.is_final] == [S, K, F, C]


# plans


@pytest.mark.parametrize(
    "query",
    [
        "claim_head",
        "claim_batch",
        "is_due",
        "next_due",
        "claim",
        "finish",
        "extend",
        "recover",
        "pool_room",
        "story",
        "count_of",
        "get",
        "events",
        "cancel",
        "redrive",
    ],
)
def test_no_query_of_a_working_store_scans_runs_or_sorts(store: RunStore, state: State, query: str) -> None:
    store.create(new(f"r{i}", lock_key=f"l{i}", pool="p", tenant_id="t") for i in range(50))
    sql = runs_module._SQL[query]
    values = dict.fromkeys(re.findall(r":(\w+)", sql), "1")
    plan = [
        row["detail"] for row in state.read(f"EXPLAIN QUERY PLAN {sql}", values or ("1",) * sql.count("?"))
    ]
    assert any(step.startswith("SEARCH") for step in plan)
    assert [step for step in plan if "TEMP B-TREE" in step] == []
    # There are as many pools as tenants; what is looked up in them is small.
    small = ("json_each", "SCAN pools", "SCAN used", "SCAN crowded", "SCAN busy_pools")
    assert [step for step in plan if step.startswith("SCAN") and not any(s in step for s in small)] == []


def test_promoting_reaches_runs_by_an_index(state: State) -> None:
    sql = runs_module._SQL["promote"]
    plan = [row["detail"] for row in state.read(f"EXPLAIN QUERY PLAN {sql}", {"kind": "k", "now": "n"})]
    assert any("waiting USING INDEX runs_waiting (kind=? AND run_after<?)" in step for step in plan)
    assert any("runs USING INTEGER PRIMARY KEY" in step for step in plan)


def test_a_run_that_waits_for_something_outside_keeps_its_slot(store: RunStore, clock: HandClock) -> None:
    store.set_pool("acme", 1)
    store.create(new(f"p{i}", pool="acme") for i in range(2))
    (first,) = claim(store, 9)
    store.finish([first], {first.run_id: Snooze(clock.forward(minutes=1), "in AMC", keeps_slot=True)})
    assert keys(claim(store, 9)) == ["p0"]  # p1 gets no slot; p0 has its own
    store.finish([store.get(1)], {1: Snooze(clock.at, "gives it back")})
    assert keys(claim(store, 1)) == ["p1"]


def test_a_larger_pool_bounds_all_pools_that_share_it(store: RunStore) -> None:
    store.set_pool("account", 3)
    for pool in ("acme", "bolt"):
        store.set_pool(pool, 2, parent="account")
        store.create(new(f"{pool}{i}", pool=pool) for i in range(3))
    held = claim(store, 9)
    assert len(held) == 3
    assert claim(store, 9) == []
    store.cancel([held[0].run_id])
    assert len(claim(store, 9)) == 1


@pytest.mark.parametrize("how", ["finish", "cancel", "recover"])
def test_what_follows_from_the_end_of_a_run_is_created_with_it(
    state: State, clock: HandClock, how: str
) -> None:
    store = RunStore(
        state,
        clock,
        follow=lambda run: [new(f"tell:{run.run_id}:{run.status}")] if run.kind == "light" else [],
    )
    store.create([new("a")])
    (run,) = claim(store)
    if how == "finish":
        store.finish([run], {run.run_id: Failed(DataError("bad"), {"seen": 1})})
    elif how == "cancel":
        store.cancel([run.run_id])
    else:
        for _ in range(5):
            store.recover(all_workers=True)
            claim(store)
    status = store.get(run.run_id).status
    assert status in {F, C}
    told = [r for r in store.list() if r.idempotency_key.startswith("tell:")]
    assert [r.idempotency_key for r in told] == [f"tell:{run.run_id}:{status}"]
    assert told[0].parent_run_id == run.run_id


def test_what_is_known_of_a_failed_run_is_kept(store: RunStore) -> None:
    store.create([new("a")])
    (run,) = claim(store)
    store.finish([run], {run.run_id: Failed(DataError("bad"), {"seen": 1})})
    assert store.get(run.run_id).result == {"seen": 1}


def test_a_store_notices_what_another_process_wrote(
    tmp_path: Path, store: RunStore, clock: HandClock
) -> None:
    store.has_foreign_changes()
    store.create([new("mine")])
    assert not store.has_foreign_changes()
    with State.open(tmp_path / "amci.db", clock) as other:
        RunStore(other, clock).create([new("theirs")])
    assert store.has_foreign_changes()
    assert not store.has_foreign_changes()


def test_an_error_that_asks_for_a_pause_gets_it(store: RunStore, clock: HandClock) -> None:
    store.create([new("a")])
    (run,) = claim(store)
    asked = Throttled("too many", retry_after=timedelta(hours=2))
    (after,) = store.finish([run], {run.run_id: Failed(asked)}).runs
    assert (after.status, after.run_after) == (P, clock.at + timedelta(hours=2))
