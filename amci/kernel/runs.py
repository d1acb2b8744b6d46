"""The run store: every piece of work is a row here before it starts, and moves only as `run_moves` allows."""

from __future__ import annotations

import json
import random
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import Any

from amci.kernel import waits
from amci.kernel.clock import Clock, moment, timestamp
from amci.kernel.errors import IllegalMove, NotFound, UsageError
from amci.kernel.run import (
    Done,
    Event,
    Failed,
    Finished,
    NewRun,
    Outcome,
    RetryPolicy,
    Run,
    Runs,
    RunStatus,
    Skipped,
    Snooze,
    reason_for,
)
from amci.kernel.state import State, insert_many, named_queries
from amci.kernel.text import encodable
from amci.kernel.waits import ClockStep

#: A run whose lease expired this often is FAILED: it may be what kills the process.
MOST_EXPIRIES = 5

_SQL = named_queries((resources.files("amci.kernel") / "queries.sql").read_text(encoding="utf-8"))
_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)
_CHUNK = 10_000
#: So many runs of a kind or status are sorted before the newest are shown; of more, some are among the newest.
_FEW = 50_000
_Turn = tuple[str, int, str]  # kind, priority and tenant, '' if none: of runs that are ranked together
_FOR_EVER = datetime.max.replace(tzinfo=UTC)
_ABANDONED = "abandoned: its worker disappeared too often"
_EXPIRED = "the lease expired: its worker disappeared"


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A run to create."""

    run: NewRun
    parent: Run | None  #: the run that it follows from
    payload: str = ""  #: as JSON, if that is known

    @property
    def tenant_id(self) -> str | None:
        """Its own tenant, or else its parent's."""
        return (
            self.run.tenant_id if self.run.tenant_id is not None or not self.parent else self.parent.tenant_id
        )

    @property
    def turn(self) -> _Turn:
        """Those with which it is ranked."""
        return self.run.kind, self.run.priority, self.tenant_id or ""


@dataclass(frozen=True, slots=True)
class RunStore:
    """Creates, claims, finishes and shows runs. All methods raise StorageError if the disk refuses."""

    state: State
    clock: Clock
    _: KW_ONLY
    #: policy by error class, the nearest class wins; that of Exception by default
    retry: Mapping[type[Exception], RetryPolicy] = field(default_factory=dict)
    chance: Callable[[], float] = random.random  #: the jitter, from 0 to 1
    #: most runs of a kind and batch_key that are claimed together, in place of what the worker says
    batches: Mapping[tuple[str, str], int] = field(default_factory=dict)
    #: runs to create, in the same transaction, because this run has just ended
    follow: Callable[[Run], Sequence[NewRun]] = lambda _: ()

    def create(self, runs: Iterable[NewRun]) -> int:
        """Create the runs whose keys are new; returns how many those were."""
        with self.state.transaction() as db:
            return self._insert(db, (_Wanted(run, None) for run in runs))

    def claim(self, kinds: Iterable[str], worker: str, lease: timedelta, limit: int = 1) -> Runs:
        """Take the next run of the first kind that has one, and up to `limit` - 1 that may go with it.

        `batches` has limits for some of them.
        """
        moment_now = self.clock.now()
        now, until = timestamp(moment_now), timestamp(moment_now + lease)
        with self.state.transaction() as db:
            for kind in kinds:
                if db.execute(_SQL["is_due"], {"kind": kind, "now": now}).fetchone():
                    db.execute(_SQL["promote"], {"kind": kind, "now": now})
                head = db.execute(_SQL["claim_head"], {"kind": kind}).fetchone()
                if head is None:
                    continue
                most = self.batches.get((kind, head["batch_key"]), limit)
                run_ids = [
                    head["run_id"],
                    *(_companions(db, head, most - 1) if most > 1 and not head["expiries"] else ()),
                ]
                taken = _changed(db, "claim", run_ids, worker=worker, lease_until=until, now=now)
                db.execute(_SQL["advance_time"], {name: head[name] for name in ("kind", "priority", "rank")})
                return taken
        return []

    def finish(self, runs: Sequence[Run], outcomes: Mapping[int, Outcome]) -> Finished:
        """Write down what became of claimed runs, with their successors, in one transaction.

        `outcomes` has one for each run, by run_id. What cannot be written as JSON makes its run FAILED.
        """
        now = self.clock.now()
        checked = list(_checked(runs, outcomes))
        changes = [self._change(run, outcome, now, result) for run, outcome, result, _ in checked]
        with self.state.transaction() as db:
            values = {"changes": json.dumps(changes), "now": timestamp(now)}
            rows = {row["run_id"]: row for row in db.execute(_SQL["finish"], values).fetchall()}
            finished = {
                run.run_id: _as_finished(run, rows[run.run_id], now) for run in runs if run.run_id in rows
            }
            self._insert(db, (new for run, _, _, then in checked if run.run_id in rows for new in then))
            self._ended(db, finished.values())
        return Finished(list(finished.values()), [run for run in runs if run.run_id not in rows])

    def extend(self, runs: Iterable[Run], lease: timedelta) -> None:
        """Keep claimed runs for another `lease` from now; those lost meanwhile stay lost."""
        now = self.clock.now()
        until, now_text = timestamp(now + lease), timestamp(now)
        self.state.write_many(_SQL["extend"], [(until, now_text, run.run_id, run.claims) for run in runs])

    def correct_waits(self) -> ClockStep | None:
        """Let waits that began in the future begin now, as after the clock was set back; see `waits`."""
        return waits.correct(self.state, self.clock.now())

    def recover(self, *, all_workers: bool = False) -> Runs:
        """Give back runs whose lease expired; after the fifth time a run is FAILED.

        `all_workers`: leases that still hold, too; only for one who knows that no other worker is alive.
        """
        now = timestamp(self.clock.now())
        before = timestamp(_FOR_EVER) if all_workers else now
        values = {
            "now": now,
            "before": before,
            "most": MOST_EXPIRIES,
            "abandoned": _ABANDONED,
            "expired": _EXPIRED,
        }
        with self.state.transaction() as db:
            rows = db.execute(_SQL["recover"], values).fetchall()
            recovered = sorted(map(Run.of, rows), key=lambda run: run.run_id)
            self._ended(db, recovered)
        return recovered

    def cancel(self, run_ids: Iterable[int]) -> Runs:
        """Cancel runs that are not final; all of them or, with NotFound or IllegalMove, none."""
        return self._move(run_ids, "cancel", "cancelled", "only a pending or running run can be cancelled")

    def redrive(self, run_ids: Iterable[int]) -> Runs:
        """Queue failed or skipped runs again; all of them or, with NotFound or IllegalMove, none."""
        return self._move(run_ids, "redrive", "redriven", "only a failed or skipped run can be redriven")

    def forget(self, run_ids: Iterable[int]) -> None:
        """Delete runs that have ended, with their history; their keys stay, so that what they did is not done again.

        All of them or, with StateError if one of them is open, none. The newest run has to stay: its number would be
        given again.
        """
        values = {"run_ids": json.dumps(sorted(run_ids))}
        with self.state.transaction() as db:
            for query in ("spend_keys", "orphan", "forget_events", "forget"):
                db.execute(_SQL[query], values)

    def has_foreign_changes(self) -> bool:
        """Whether another process has written to the state file since this was asked last."""
        return self.state.has_foreign_changes()

    def set_pool(self, pool: str, size: int, parent: str = "") -> None:
        """Let at most `size` runs of this pool have a slot at once; 0 holds all of them back.

        `parent` is a larger pool: its size bounds the runs of all pools that name it, taken together. Raises
        UsageError for a pool without a name, or with a size below 0.
        """
        if not pool or size < 0:
            raise UsageError(
                "a pool has a name and a size of at least 0", hint="leave the pool of the run empty"
            )
        with self.state.transaction() as db:
            db.execute(_SQL["set_pool"], {"pool": pool, "size": size, "parent": parent})

    def get(self, run_id: int) -> Run:
        """The run with this id; raises NotFound."""
        rows = self.state.read(_SQL["get"], {"run_id": run_id})
        if not rows:
            raise _not_found(run_id)
        return Run.of(rows[0])

    def newest(self) -> int:
        """The id of the newest run, 0 if there is none."""
        return int(self.state.read("SELECT coalesce(max(run_id), 0) AS run_id FROM runs")[0]["run_id"])

    def by_keys(self, keys: Iterable[str]) -> Runs:
        """The runs with these idempotency keys, in order of creation; unknown keys are passed over."""
        rows = self.state.read(_SQL["by_keys"], {"keys": json.dumps(sorted(keys))})
        return [Run.of(row) for row in rows]

    def list(
        self,
        *,
        status: RunStatus | None = None,
        kind: str | None = None,
        tenant: str | None = None,
        correlation_id: str | None = None,
        limit: int = 100,
        before: int | None = None,
    ) -> Runs:
        """The newest runs that fit, newest first; `before` is the run_id the page before ended with."""
        asked = {
            "status = :status": status,
            "kind = :kind": kind,
            "tenant_id = :tenant": tenant,
            "correlation_id = :correlation_id": correlation_id,
            "run_id < :before": before,
        }
        where = " AND ".join(
            [condition for condition, value in asked.items() if value is not None] or ["TRUE"]
        )
        values = {condition.rpartition(":")[2]: value for condition, value in asked.items()} | {
            "limit": limit
        }
        runs = "runs"
        if (status or kind) and not correlation_id and self._are_few(kind, status):
            runs += " INDEXED BY runs_by_kind"
            where += "" if kind else " AND kind IN (SELECT kind FROM run_counts)"
        elif kind and not status and not tenant:
            where = where.replace("kind = ", "+kind = ")  # in order, and not all of this kind to be sorted
        rows = self.state.read(
            f"SELECT * FROM {runs} WHERE {where} ORDER BY run_id DESC LIMIT :limit", values
        )
        return [Run.of(row) for row in rows]

    def _are_few(self, kind: str | None, status: RunStatus | None) -> bool:
        """Whether so few runs have this kind and status that they are sorted sooner than looked for among all."""
        numbers = (
            number
            for each, by_status in self.counts().items()
            for one, number in by_status.items()
            if kind in (None, each) and status in (None, one)
        )
        return sum(numbers) <= _FEW

    def story(self, run_id: int) -> Runs:
        """All runs that began with the same fire or file as this one, in order; raises NotFound."""
        rows = self.state.read(_SQL["story"], {"run_id": run_id})
        if not rows:
            raise _not_found(run_id)
        return [Run.of(row) for row in rows]

    def events(self, run_id: int) -> Sequence[Event]:
        """The history of a run, oldest first; raises NotFound."""
        self.get(run_id)
        rows = self.state.read(_SQL["events"], {"run_id": run_id})
        return [Event(row["event"], row["reason"], row["worker"], moment(row["at"])) for row in rows]

    def counts(self) -> Mapping[str, Mapping[RunStatus, int]]:
        """How many runs there are: kind → status → number."""
        found: dict[str, dict[RunStatus, int]] = {}
        for row in self.state.read(_SQL["counts"]):
            found.setdefault(row["kind"], {})[RunStatus(row["status"])] = row["runs"]
        return found

    def count(self, kinds: Iterable[str], status: RunStatus) -> int:
        """How many runs of these kinds have this status."""
        values = {"kinds": json.dumps(sorted(set(kinds))), "status": status}
        return int(self.state.read(_SQL["count_of"], values)[0]["runs"])

    def next_due(self, kinds: Iterable[str], after: datetime) -> datetime | None:
        """The first moment past `after` for which a run of these kinds waits; None if there is none."""
        asked = [{"kind": kind, "after": timestamp(after)} for kind in kinds]
        rows = [row for values in asked for row in self.state.read(_SQL["next_due"], values)]
        return min((moment(row["run_after"]) for row in rows), default=None)

    def _move(self, run_ids: Iterable[int], query: str, event: str, hint: str) -> Runs:
        ids = sorted(set(run_ids))
        with self.state.transaction() as db:
            refused = db.execute(_SQL["refused"], {"run_ids": json.dumps(ids), "event": event}).fetchone()
            if refused and refused["status"] is None:
                raise _not_found(refused["run_id"])
            if refused:
                raise IllegalMove(
                    f"run {refused['run_id']} is {refused['status']}: it cannot be {event}", hint=hint
                )
            moved = _changed(db, query, ids, now=timestamp(self.clock.now()))
            self._ended(db, moved)
            return moved

    def _ended(self, db: sqlite3.Connection, runs: Iterable[Run]) -> None:
        """Create what follows from the end of these runs; those that have not ended are passed over."""
        self._insert(
            db, (_Wanted(new, run) for run in runs if run.status.is_final for new in self.follow(run))
        )

    def _insert(self, db: sqlite3.Connection, runs: Iterable[_Wanted]) -> int:
        """Insert what is new, each with the run that it follows from; of two with one key, the first."""
        now = self.clock.now()
        by_key: dict[str, _Wanted] = {}
        for each in runs:
            by_key.setdefault(each.run.idempotency_key, each)
        wanted = list(by_key.values())
        ranks: dict[_Turn, int] = {}
        created = 0
        for chunk in (wanted[i : i + _CHUNK] for i in range(0, len(wanted), _CHUNK)):
            keys = json.dumps([each.run.idempotency_key for each in chunk])
            known = {row["idempotency_key"] for row in db.execute(_SQL["known_keys"], {"keys": keys})}
            new = [each for each in chunk if each.run.idempotency_key not in known]
            turns = {each.turn for each in new}
            ranks.update(_last_ranks(db, turns - ranks.keys()))
            created += insert_many(db, _SQL["create_run"], _rows(new, ranks, now))
        insert_many(db, _SQL["remember_rank"], ((*turn, rank) for turn, rank in ranks.items()))
        return created

    def _change(self, run: Run, outcome: Outcome, now: datetime, text: str) -> dict[str, Any]:
        """One of the changes of `finish`; `text` is the result as JSON, if it is done."""
        change: dict[str, Any] = {"run_id": run.run_id, "claims": run.claims}
        change |= {"result": None, "reason": None, "failed_tries": 0, "run_after": None}
        change["keeps_slot"] = False
        match outcome:
            case Done():
                return change | {"status": RunStatus.SUCCEEDED, "result": text}
            case Skipped(reason=reason):
                return change | {"status": RunStatus.SKIPPED, "reason": encodable(reason)}
            case Snooze(until=until, reason=reason, keeps_slot=keeps_slot, asked_at=asked_at):
                change |= {"status": RunStatus.PENDING, "reason": encodable(reason), "keeps_slot": keeps_slot}
                # No longer than was asked for, if the clock was set back since.
                until = until if asked_at is None else min(until, now + max(until - asked_at, timedelta()))
                return change | {"run_after": timestamp(until)}
            case Failed(error=error, result=result):
                change |= {"reason": encodable(reason_for(error)), "failed_tries": 1}
                change |= {"result": None if result is None else _json(result)}
                policies = {Exception: RetryPolicy()} | dict(self.retry)
                policy = next(policies[cls] for cls in type(error).__mro__ if cls in policies)
                if not getattr(error, "retryable", False) or run.attempts + 1 >= policy.max_attempts:
                    return change | {"status": RunStatus.FAILED}
                again = now + policy.delay(run.attempts + 1, self.chance)
                # Whoever asks for a pause is not asked before.
                again = max(again, now + (getattr(error, "retry_after", None) or timedelta()))
                return change | {
                    "status": RunStatus.PENDING,
                    "run_after": timestamp(again),
                    "keeps_slot": True,
                }


def _rows(runs: Iterable[_Wanted], ranks: dict[_Turn, int], now: datetime) -> Iterator[tuple[Any, ...]]:
    """The parameters of `create_run`; `ranks` has the last rank given to each of their turns, and keeps it."""
    created_at = timestamp(now)
    for each in runs:
        run, parent, turn = each.run, each.parent, each.turn
        ranks[turn] += 1
        after = timestamp(run.run_after) if run.run_after and run.run_after > now else created_at
        began = run.correlation_id or (parent.correlation_id if parent else run.idempotency_key)
        yield (
            *(run.idempotency_key, run.kind, run.priority, ranks[turn], after == created_at),
            *(
                run.pool,
                each.tenant_id,
                run.lock_key,
                run.batch_key,
                each.payload or _json(run.payload),
                began,
            ),
            *(parent.run_id if parent else None, after, created_at, created_at),
        )


def _last_ranks(db: sqlite3.Connection, turns: Iterable[_Turn]) -> Iterator[tuple[_Turn, int]]:
    """The rank after which the next run of each of these has its turn."""
    tenants: defaultdict[tuple[str, int], list[str]] = defaultdict(list)
    for kind, priority, tenant_id in turns:
        tenants[kind, priority].append(tenant_id)
    for (kind, priority), tenant_ids in tenants.items():
        asked = json.dumps(list(map(encodable, tenant_ids)))
        for position, rank in db.execute(
            _SQL["fair_turns"], {"kind": kind, "priority": priority, "tenant_ids": asked}
        ):
            yield (kind, priority, tenant_ids[position]), rank


def _companions(db: sqlite3.Connection, head: sqlite3.Row, limit: int) -> Iterator[int]:
    """Up to `limit` runs that may be claimed with the head, as far as their pools have room."""
    room: dict[str, float] = {"": float("inf")}
    parents: dict[str, str] = {"": ""}

    def takes(run: sqlite3.Row) -> bool:
        """Whether this run has a slot or gets one, in its pool and in the larger one."""
        if run["holds_slot"]:
            return True
        pools = [run["pool"]]
        _learn_room(db, pools[0], room, parents)
        if parents[pools[0]]:
            pools.append(parents[pools[0]])
            _learn_room(db, pools[1], room, parents)
        fits = all(room[pool] > 0 for pool in pools)
        for pool in pools:
            room[pool] -= fits
        return fits

    takes(head)
    values = {"kind": head["kind"], "batch_key": head["batch_key"], "head": head["run_id"]}
    for row in db.execute(_SQL["claim_batch"], values):
        if takes(row):
            yield row["run_id"]
            limit -= 1
        if not limit:
            return


def _learn_room(db: sqlite3.Connection, pool: str, room: dict[str, float], parents: dict[str, str]) -> None:
    if pool not in room:
        row = db.execute(_SQL["pool_room"], {"pool": pool}).fetchone()
        room[pool], parents[pool] = (row["room"], row["parent"]) if row else (float("inf"), "")


def _changed(db: sqlite3.Connection, query: str, run_ids: Sequence[int], **values: object) -> Runs:
    """Change these runs; they come back in the order given."""
    rows = db.execute(_SQL[query], values | {"run_ids": json.dumps(run_ids)}).fetchall()
    found = {row["run_id"]: Run.of(row) for row in rows}
    return [found[run_id] for run_id in run_ids]


def _as_finished(run: Run, row: sqlite3.Row, now: datetime) -> Run:
    """A claimed run as `finish` has left it: nothing else of a run that its worker holds can have changed."""
    return replace(
        run,
        status=RunStatus(row["status"]),
        result=json.loads(row["result"]) if row["result"] else None,
        reason=row["reason"],
        attempts=row["attempts"],
        worker=None,
        lease_until=None,
        run_after=moment(row["run_after"]),
        changed_at=now,
    )


def _checked(
    runs: Iterable[Run], outcomes: Mapping[int, Outcome]
) -> Iterator[tuple[Run, Outcome, str, Sequence[_Wanted]]]:
    """Each run with its outcome, its result as JSON, and what follows; Failed if what it carries is not JSON."""
    for run in runs:
        outcome, result, then = outcomes[run.run_id], "", list[_Wanted]()
        if isinstance(outcome, Done):
            try:
                result = _json(outcome.result)
                then = [_Wanted(new, run, _json(new.payload)) for new in outcome.then]
            except (TypeError, ValueError) as error:
                outcome = Failed(error)
        yield run, outcome, result, then


def _json(value: Mapping[str, Any]) -> str:
    return _ENCODER.encode(value)


def _not_found(run_id: int) -> NotFound:
    return NotFound(f"there is no run {run_id}", hint="`amci runs list` shows them")
