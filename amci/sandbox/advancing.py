"""Lets time do its work: schedules fire, executions start and end, results come to be."""

from __future__ import annotations

import json
from sqlite3 import Row
from typing import Any

from amci.sandbox.backend import Backend
from amci.sandbox.delivery import deliver, key_of
from amci.sandbox.document import is_true
from amci.sandbox.errors import CompileError, QueryFailed, not_compiled
from amci.sandbox.firing import fire_due
from amci.sandbox.lifecycle import Move, moves
from amci.sandbox.moments import NEVER, from_micros, micros, span
from amci.sandbox.windows import Window


class Advancing:
    """Brings the store from the last look to now."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._since = 0
        backend.store.do("wake_all")

    def advance(self) -> None:
        """Do what is due. Nothing is written where nothing is."""
        backend, now = self._backend, micros(self._backend.clock.now())
        fire_due(backend, now)
        for queue in backend.store.rows("due_queues", now=now):
            with backend.store.changing():
                self._advance(queue["instance_id"], now)
        self._since = now

    def _advance(self, instance_id: str, now: int) -> None:
        for move in self._moves(instance_id, now):
            self._make(move)
        self._backend.store.do(
            "rest",
            instance_id=instance_id,
            slots=self._backend.options.slots,
            pending=span(self._backend.options.pending),
            never=NEVER,
        )

    def _moves(self, instance_id: str, now: int) -> list[Move]:
        store, options = self._backend.store, self._backend.options
        pending = span(options.pending)
        running = [(row["seq"], row["ends_at"]) for row in store.rows("running", instance_id=instance_id)]
        if len(running) >= options.slots and running[0][1] > now:
            return []
        ready = [
            (row["seq"], row["created_at"] + pending)
            for row in store.rows("pending", instance_id=instance_id, ready=now - pending)
        ]
        return list(
            moves(
                running, ready, now=now, since=self._since, slots=options.slots, lasts=span(options.running)
            )
        )

    def _make(self, move: Move) -> None:
        store = self._backend.store
        if move.step == "start":
            store.do("start", seq=move.seq, at=move.at, ends_at=move.at + span(self._backend.options.running))
            return
        row = store.row("execution_by_seq", seq=move.seq)
        if row is not None and row["status"] == "RUNNING":
            store.do("finish", seq=move.seq, at=move.at, **_outcome(self._backend, row, move.at))


def _outcome(backend: Backend, row: Row, at: int) -> dict[str, Any]:
    """How an execution ends, its result kept and delivered where there is one."""
    definition, asked = json.loads(row["definition"]), json.loads(row["request"])
    window = Window(start=from_micros(row["window_start"]), end=from_micros(row["window_end"]))
    ended = {"status": "SUCCEEDED", "reason": None, "result_id": None, "delivered": None}
    try:
        prepared = backend.queries.prepare(
            definition, asked.get("parameterValues") or {}, window, from_micros(row["created_at"])
        )
        if is_true(asked.get("dryRun")):
            backend.queries.compile(definition)
            return ended
        if backend.store.row("has_result", result_id=prepared.result_id) is None:
            result = backend.queries.run(prepared, definition["sqlQuery"])
            backend.store.do(
                "keep_result",
                result_id=prepared.result_id,
                content=result.content,
                columns=json.dumps(result.columns),
                rows=result.rows,
            )
    except CompileError as error:
        return ended | {"status": "REJECTED", "reason": not_compiled(row["workflow_id"], str(error))}
    except QueryFailed as error:
        return ended | {"status": "FAILED", "reason": str(error)}
    key = key_of(row, at)
    if not is_true(asked.get("skipPublish")):
        deliver(backend, row, key, prepared.result_id)
    return ended | {"result_id": prepared.result_id, "delivered": key}
