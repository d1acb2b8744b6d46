"""Advances the simulated AMC to a given time: fires schedules, starts and ends executions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from sqlite3 import Row

from amci.sandbox.backend import Backend
from amci.sandbox.execution_end import EndColumns, PendingQuery, end_of, keep
from amci.sandbox.instances import Account
from amci.sandbox.lifecycle import Move, Queue, moves
from amci.sandbox.queries import ExecutionResult
from amci.sandbox.schedules import fire_due
from amci.sandbox.times import NEVER, span


class Simulator:
    """Moves the executions in the store along with the clock; called by one thread at a time."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._since = 0  #: the last `now`, in microseconds since 1970
        self._claimed: set[str] = set()  #: ids of the results whose queries run in this process
        backend.store.do("wake_all")

    def advance_to(self, now: int) -> list[PendingQuery]:
        """Do what is due by `now` (microseconds since 1970), and return the queries that this needs.

        Whoever gets a query runs it, hands its result to `record`, and calls `release` whatever happens. Each
        query is returned once. Nothing is written if nothing is due. Raises StorageError.
        """
        backend = self._backend
        backend.instances.refresh()
        fire_due(backend, now)
        due = backend.store.rows("due_queues", now=now)
        queries = []
        for account, queues in self._by_account(due):
            with backend.store.transaction():
                queries += self._advance(account, queues, now)
        self._since = now
        return queries

    def record(self, query: PendingQuery, result: ExecutionResult | EndColumns) -> None:
        """End the execution with its query's result, unless it was cancelled or deleted meanwhile."""
        with self._backend.store.transaction():
            row = self._backend.store.row("execution_by_seq", seq=query.row["seq"])
            if row is not None and row["status"] == "RUNNING":
                end = keep(self._backend, query, result) if isinstance(result, ExecutionResult) else result
                self._finish(row, query.at, end)

    def release(self, query: PendingQuery) -> None:
        """The query has ended, or was given up: another `advance_to` may return it again."""
        self._claimed.discard(query.prepared.result_id)

    def _by_account(self, due: Sequence[Row]) -> Iterator[tuple[Account, list[Row]]]:
        account_of = self._backend.instances.account_of
        pairs = ((account_of(row["instance_id"]), row) for row in due)
        known = sorted(((account, row) for account, row in pairs if account), key=itemgetter(0))
        for account, group in groupby(known, key=itemgetter(0)):
            yield account, [row for _, row in group]

    def _advance(self, account: Account, due: list[Row], now: int) -> list[PendingQuery]:
        """Advance the due instances of one account; in its other instances nothing ends or starts by now."""
        instance_ids = [row["instance_id"] for row in due]
        room = self._room(account, instance_ids)
        queries = [each for row in due if row["next_at"] == 0 for each in self._overdue(row["instance_id"])]
        queues = [self._queue(instance_id, now) for instance_id in instance_ids]
        slots = self._backend.options.slots
        for move in moves(queues, now=now, since=self._since, slots=slots, room=room):
            queries += self._apply(move)
        self._rest(account, instance_ids, is_tight=room < slots * len(instance_ids))
        return [each for each in queries if self._claim(each)]

    def _room(self, account: Account, instance_ids: list[str]) -> int:
        """How many executions these instances may run, given those of the account's other instances."""
        store, options = self._backend.store, self._backend.options
        every = self._backend.instances.ids_of(account)
        if len(every) * options.slots <= options.account_slots:
            return options.account_slots
        anywhere = store.rows("running_anywhere")[0]["number"]
        if anywhere + options.slots * len(instance_ids) <= options.account_slots:
            return options.account_slots - int(anywhere)
        others = json.dumps(sorted(set(every) - set(instance_ids)))
        return options.account_slots - int(store.rows("running_in", instances=others)[0]["number"])

    def _queue(self, instance_id: str, now: int) -> Queue:
        store, options = self._backend.store, self._backend.options
        running = [(row["seq"], row["ends_at"]) for row in store.rows("running", instance_id=instance_id)]
        if len(running) >= options.slots and running[0][1] > now:
            return Queue(running, [])
        pending = span(options.pending)
        rows = store.rows(
            "pending", instance_id=instance_id, ready=now - pending, lasts=span(options.running)
        )
        return Queue(running, [(row["seq"], row["created_at"] + pending, row["lasts"]) for row in rows])

    def _apply(self, move: Move) -> list[PendingQuery]:
        """Start or end an execution; returns the query that an end needs first."""
        store = self._backend.store
        if move.step == "start":
            store.do("start", seq=move.seq, at=move.at, ends_at=move.ends_at)
            return []
        row = store.row("execution_by_seq", seq=move.seq)
        return self._end(row, move.at) if row is not None and row["status"] == "RUNNING" else []

    def _end(self, row: Row, at: int) -> list[PendingQuery]:
        """End an execution, or return the query whose result it needs."""
        end = end_of(self._backend, row, at)
        if isinstance(end, PendingQuery):
            self._backend.store.do("time_is_up", seq=row["seq"], at=at)
            return [end]
        self._finish(row, at, end)
        return []

    def _overdue(self, instance_id: str) -> list[PendingQuery]:
        """Queries that were due earlier and have no result yet; another process may have left them."""
        rows = self._backend.store.rows("overdue", instance_id=instance_id)
        return [query for row in rows for query in self._end(row, row["ended_at"])]

    def _claim(self, query: PendingQuery) -> bool:
        """Take the query for the caller; False if this process runs it already."""
        result_id = query.prepared.result_id
        if result_id in self._claimed:
            return False
        self._claimed.add(result_id)
        return True

    def _finish(self, row: Row, at: int, end: EndColumns) -> None:
        self._backend.store.do("finish", seq=row["seq"], at=at, **end)

    def _rest(self, account: Account, instance_ids: list[str], *, is_tight: bool) -> None:
        """Store when these instances are due next."""
        backend, no_sooner = self._backend, 0
        if is_tight:
            every = json.dumps(backend.instances.ids_of(account))
            running = backend.store.rows("running_in", instances=every)[0]
            if running["number"] >= backend.options.account_slots:
                no_sooner = running["first_end"]
        for instance_id in instance_ids:
            backend.store.do(
                "rest",
                instance_id=instance_id,
                slots=backend.options.slots,
                pending=span(backend.options.pending),
                no_sooner=no_sooner,
                never=NEVER,
            )
