"""How executions end: what is known at once, and what only a query that is run can tell."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from sqlite3 import Row
from typing import Any

from amci.amcsql.findings import CompileError
from amci.sandbox.backend import Backend
from amci.sandbox.delivery import deliver, key_of
from amci.sandbox.document import limit_of
from amci.sandbox.errors import QueryFailed, needs_synthetic_data, not_compiled, timed_out
from amci.sandbox.http import is_true
from amci.sandbox.queries import ExecutionResult, Prepared, Queries
from amci.sandbox.query_budget import Used, fingerprint, refusal_text, remember, remembered, too_many
from amci.sandbox.times import from_micros
from amci.sandbox.windows import Window

#: Columns of an execution that has ended.
Ended = Mapping[str, Any]

_ENDED: Ended = {"status": "SUCCEEDED", "reason": None, "result_id": None, "delivered": None}
_MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class EndedExecution:
    """A query that has to be run before an execution can end."""

    row: Row
    at: int  #: when its time was up
    prepared: Prepared


def ended(backend: Backend, row: Row, at: int) -> Ended | EndedExecution:
    """How an execution ends whose time is up `at`; its result is delivered, where it is there already."""
    definition, asked = json.loads(row["definition"]), json.loads(row["request"])
    window = Window(start=from_micros(row["window_start"]), end=from_micros(row["window_end"]))
    if (limit := limit_of(asked)) and row["ends_at"] - row["started_at"] > limit * _MICROSECONDS:
        return _failed("FAILED", timed_out(limit))
    known = backend.instances.get(row["instance_id"], backend.clock.now())
    if known and known.instance_type == "SANDBOX" and not is_true(asked.get("requireSyntheticData")):
        return _failed("REJECTED", needs_synthetic_data(row["workflow_id"]))
    try:
        prepared = backend.queries.prepare(
            row["instance_id"], definition, asked, window, from_micros(row["created_at"])
        )
    except CompileError as error:
        return _failed("REJECTED", not_compiled(row["workflow_id"], str(error)))
    return _ENDED if is_true(asked.get("dryRun")) else _asked(backend, row, at, prepared, window)


def _asked(backend: Backend, row: Row, at: int, prepared: Prepared, window: Window) -> Ended | EndedExecution:
    """How an execution ends whose query is a good one."""
    asked = json.loads(row["request"])
    if _is_one_too_many(backend, row, prepared, asked, window):
        return _failed("REJECTED", refusal_text(row["workflow_execution_id"], row["workflow_id"]))
    if backend.store.row("has_result", result_id=prepared.result_id) is None:
        return EndedExecution(row, at, prepared)
    return _succeeded(backend, row, at, prepared.result_id)


def run(queries: Queries, work: EndedExecution) -> ExecutionResult | Ended:
    """Run the query: its result, or how the execution ends without one."""
    try:
        return queries.run(work.prepared)
    except QueryFailed as error:
        return _failed("FAILED", str(error))


def keep(backend: Backend, work: EndedExecution, result: ExecutionResult) -> Ended:
    """Remember a result, for all executions that have the same; how the first of them ends."""
    result_id, row = work.prepared.result_id, work.row
    backend.store.do(
        "keep_result",
        result_id=result_id,
        content=result.content,
        columns=json.dumps(result.columns),
        rows=result.rows,
    )
    return _succeeded(backend, row, work.at, result_id)


def _is_one_too_many(
    backend: Backend, row: Row, prepared: Prepared, asked: Mapping[str, Any], window: Window
) -> bool:
    """Whether so many different queries asked the same that another could tell single users apart."""
    budget = backend.options.budget
    if not budget.most:
        return False
    used = Used(
        instance_id=row["instance_id"],
        sources=frozenset(prepared.compiled.sources),
        start=window.start,
        end=window.end,
        fingerprint=fingerprint(
            prepared.original, asked.get("parameterValues") or {}, window.start, window.end
        ),
        at=from_micros(row["created_at"]),
    )
    earlier = remembered(backend.store, used.instance_id, used.at - budget.within)
    if too_many(earlier, used, budget):
        return True
    remember(backend.store, used)
    return False


def _succeeded(backend: Backend, row: Row, at: int, result_id: str) -> Ended:
    key = key_of(row, at)
    if not is_true(json.loads(row["request"]).get("skipPublish")):
        deliver(backend, row, key, result_id)
    return {**_ENDED, "result_id": result_id, "delivered": key}


def _failed(status: str, reason: str) -> Ended:
    return {**_ENDED, "status": status, "reason": reason}
