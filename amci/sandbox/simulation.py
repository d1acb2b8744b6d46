"""Lets time do its work: schedules fire, executions start and end, results come to be."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from sqlite3 import Row

from amci.sandbox.backend import Backend
from amci.sandbox.execution_end import Ended, EndedExecution, ended, keep
from amci.sandbox.firing import fire_due
from amci.sandbox.instances import Account
from amci.sandbox.lifecycle import Move, Queue, moves
from amci.sandbox.queries import ExecutionResult
from amci.sandbox.times import NEVER, micros, span


class Simulator:
    """Brings the store from the last look to now; called by one thread at a time."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._since = 0
        self._being_made: set[str] = set()  #: results
        backend.store.do("wake_all")

    def advance(self) -> list[EndedExecution]:
        """Do what is due; returns the queries somebody has to run for it, each once: see `record`.

        Nothing is written where nothing is due.
        """
        backend, now = self._backend, micros(self._backend.clock.now())
        backend.instances.look_again()
        fire_due(backend, now)
        due = backend.store.rows("due_queues", now=now)
        work = []
        for account, queues in self._by_account(due):
            with backend.store.changing():
                work += self._advance(account, queues, now)
        self._since = now
        return work

    def record(self, work: EndedExecution, made: ExecutionResult | Ended) -> None:
        """End the execution with what its query gave, unless it was cancelled or deleted meanwhile."""
        with self._backend.store.changing():
            row = self._backend.store.row("execution_by_seq", seq=work.row["seq"])
            if row is not None and row["status"] == "RUNNING":
                outcome = keep(self._backend, work, made) if isinstance(made, ExecutionResult) else made
                self._finish(row, work.at, outcome)

    def let_go(self, work: EndedExecution) -> None:
        """Nobody runs this query any more."""
        self._being_made.discard(work.prepared.result_id)

    def _by_account(self, due: Sequence[Row]) -> Iterator[tuple[Account, list[Row]]]:
        account_of = self._backend.instances.account_of
        found = ((account_of(row["instance_id"]), row) for row in due)
        known = sorted(((account, row) for account, row in found if account), key=itemgetter(0))
        for account, group in groupby(known, key=itemgetter(0)):
            yield account, [row for _, row in group]

    def _advance(self, account: Account, due: list[Row], now: int) -> list[EndedExecution]:
        """Instances of one account; the others have nothing that ends or starts before now."""
        instance_ids = [row["instance_id"] for row in due]
        room = self._room(account, instance_ids)
        work = [each for row in due if row["next_at"] == 0 for each in self._overdue(row["instance_id"])]
        queues = [self._queue(instance_id, now) for instance_id in instance_ids]
        slots = self._backend.options.slots
        for move in moves(queues, now=now, since=self._since, slots=slots, room=room):
            work += self._make(move)
        self._rest(account, instance_ids, is_tight=room < slots * len(instance_ids))
        return [each for each in work if self._is_taken_up(each)]

    def _room(self, account: Account, instance_ids: list[str]) -> int:
        """How many executions these instances may run, considering the others of the account."""
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

    def _make(self, move: Move) -> list[EndedExecution]:
        """What a move leaves to be run."""
        store = self._backend.store
        if move.step == "start":
            store.do("start", seq=move.seq, at=move.at, ends_at=move.ends_at)
            return []
        row = store.row("execution_by_seq", seq=move.seq)
        return self._end(row, move.at) if row is not None and row["status"] == "RUNNING" else []

    def _end(self, row: Row, at: int) -> list[EndedExecution]:
        """End an execution, unless its result is still to be made."""
        outcome = ended(self._backend, row, at)
        if isinstance(outcome, EndedExecution):
            self._backend.store.do("time_is_up", seq=row["seq"], at=at)
            return [outcome]
        self._finish(row, at, outcome)
        return []

    def _overdue(self, instance_id: str) -> list[EndedExecution]:
        """What is still to be run from before, by whomever."""
        rows = self._backend.store.rows("overdue", instance_id=instance_id)
        return [work for row in rows for work in self._end(row, row["ended_at"])]

    def _is_taken_up(self, work: EndedExecution) -> bool:
        """Whether nobody runs this query yet; from now on somebody does."""
        result_id = work.prepared.result_id
        if result_id in self._being_made:
            return False
        self._being_made.add(result_id)
        return True

    def _finish(self, row: Row, at: int, outcome: Ended) -> None:
        self._backend.store.do("finish", seq=row["seq"], at=at, **outcome)

    def _rest(self, account: Account, instance_ids: list[str], *, is_tight: bool) -> None:
        """Say when to look at these instances again."""
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
