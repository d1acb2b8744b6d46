"""How executions end: some at once, others only with the result of their query.

An execution of which the time is up fails at once if it ran too long or does not compile. If its result is in the
store already (the same query over the same events), it succeeds at once. Otherwise its query has to run first, which
happens outside the store's transactions.

A sandbox can be given a query budget: at most so many different queries over the same data and time, since the
differences between their results could tell single users apart. AMC's own limit is not public (amc-api 1.5, 3.3).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from sqlite3 import Row
from typing import Any

from amci.amcsql.findings import CompileError
from amci.sandbox.backend import Backend
from amci.sandbox.delivery import deliver, key_of
from amci.sandbox.document import limit_of
from amci.sandbox.errors import QueryFailed, needs_synthetic_data, not_compiled, timed_out
from amci.sandbox.http import is_true
from amci.sandbox.options import BudgetOptions
from amci.sandbox.queries import ExecutionResult, Prepared, Queries
from amci.sandbox.store import Store
from amci.sandbox.times import Window, from_micros, micros

#: What ends an execution: its columns `status`, `reason`, `result_id` and `delivered`.
EndColumns = Mapping[str, Any]

_SUCCEEDED: EndColumns = {"status": "SUCCEEDED", "reason": None, "result_id": None, "delivered": None}
_MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class PendingQuery:
    """A query that has to be run before an execution can end."""

    row: Row
    at: int  #: when the execution's time was up
    prepared: Prepared


def end_of(backend: Backend, row: Row, at: int) -> EndColumns | PendingQuery:
    """How the execution ends whose time is up at `at`; a result that is in the store already is delivered.

    Raises StorageError.
    """
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
    if is_true(asked.get("dryRun")):
        return _SUCCEEDED
    return _end_of_query(backend, row, at, prepared, window)


def _end_of_query(
    backend: Backend, row: Row, at: int, prepared: Prepared, window: Window
) -> EndColumns | PendingQuery:
    if _exceeds_budget(backend, row, prepared, window):
        return _failed("REJECTED", over_budget(row["workflow_execution_id"], row["workflow_id"]))
    if backend.store.row("has_result", result_id=prepared.result_id) is None:
        return PendingQuery(row, at, prepared)
    return _succeeded(backend, row, at, prepared.result_id)


def run(queries: Queries, query: PendingQuery) -> ExecutionResult | EndColumns:
    """Run the query: its result, or how its execution fails. Raises StorageError if the sandbox is closed."""
    try:
        return queries.run(query.prepared)
    except QueryFailed as error:
        return _failed("FAILED", str(error))


def keep(backend: Backend, query: PendingQuery, result: ExecutionResult) -> EndColumns:
    """Store a result for all executions that have the same, and deliver it; how this execution ends."""
    result_id, row = query.prepared.result_id, query.row
    backend.store.do(
        "keep_result",
        result_id=result_id,
        content=result.content,
        columns=json.dumps(result.columns),
        rows=result.rows,
    )
    return _succeeded(backend, row, query.at, result_id)


def _exceeds_budget(backend: Backend, row: Row, prepared: Prepared, window: Window) -> bool:
    """Whether the query is over the budget; it is recorded if not."""
    budget = backend.options.budget
    if not budget.most:
        return False
    values = json.loads(row["request"]).get("parameterValues") or {}
    query = PastQuery(
        instance_id=row["instance_id"],
        sources=frozenset(prepared.compiled.sources),
        start=window.start,
        end=window.end,
        fingerprint=fingerprint(prepared.original, values, window.start, window.end),
        at=from_micros(row["created_at"]),
    )
    earlier = past_queries(backend.store, query.instance_id, query.at - budget.within)
    if is_over_budget(earlier, query, budget):
        return True
    record_query(backend.store, query)
    return False


def _succeeded(backend: Backend, row: Row, at: int, result_id: str) -> EndColumns:
    key = key_of(row, at)
    if not is_true(json.loads(row["request"]).get("skipPublish")):
        deliver(backend, row, key, result_id)
    return {**_SUCCEEDED, "result_id": result_id, "delivered": key}


def _failed(status: str, reason: str) -> EndColumns:
    return {**_SUCCEEDED, "status": status, "reason": reason}


#: A quoted part, which is kept as the first group, or white space and comments.
_BETWEEN = re.compile(r"""('(?:[^']|'')*'|"(?:[^"]|"")*")|(?:--[^\n]*|/\*.*?\*/|\s)+""", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class PastQuery:
    """A query of an instance that was run, with its data sources and time window (end excluded)."""

    instance_id: str
    sources: frozenset[str]
    start: datetime
    end: datetime
    fingerprint: str  #: equal for queries that must give the same result
    at: datetime

    def competes(self, other: PastQuery) -> bool:
        """Whether both read one data source of the same instance, in overlapping time windows."""
        return (
            self.instance_id == other.instance_id
            and not self.sources.isdisjoint(other.sources)
            and self.start < other.end
            and other.start < self.end
        )


def is_over_budget(earlier: Sequence[PastQuery], new: PastQuery, budget: BudgetOptions) -> bool:
    """Whether `new` exceeds the budget; repeating an earlier query reveals nothing new and is always allowed."""
    if not budget.most:
        return False
    since = new.at - budget.within
    different = {past.fingerprint for past in earlier if past.competes(new) and since < past.at <= new.at}
    return new.fingerprint not in different and len(different) >= budget.most


def fingerprint(sql: str, values: Mapping[str, Any], start: datetime, end: datetime) -> str:
    """A hash of the query's text, parameter values and time window.

    White space and comments do not count; literals and values do, as differencing attacks vary just those.
    """
    text = _BETWEEN.sub(lambda found: found[1] or " ", sql).strip()
    key = json.dumps([text, values, start.isoformat(), end.isoformat()], sort_keys=True, default=str)
    return hashlib.sha256(key.encode()).hexdigest()


def over_budget(workflow_execution_id: str, workflow_id: str) -> str:
    """AMC's words for an execution over the budget."""
    return (
        f'Execution "{workflow_execution_id}" of workflow "{workflow_id}" could not be run because too many workflows'
        " have already been run against the same input data sources in the same or overlapping time windows."
    )


def record_query(store: Store, query: PastQuery) -> None:
    """Record that a query was run."""
    store.do(
        "keep_used",
        instance_id=query.instance_id,
        sources=json.dumps(sorted(query.sources)),
        start=micros(query.start),
        end=micros(query.end),
        fingerprint=query.fingerprint,
        at=micros(query.at),
    )


def past_queries(store: Store, instance_id: str, since: datetime) -> Sequence[PastQuery]:
    """The queries that an instance ran after `since`."""
    rows = store.rows("used", instance_id=instance_id, since=micros(since))
    return [
        PastQuery(
            instance_id=row["instance_id"],
            sources=frozenset(json.loads(row["sources"])),
            start=from_micros(row["window_start"]),
            end=from_micros(row["window_end"]),
            fingerprint=row["fingerprint"],
            at=from_micros(row["at"]),
        )
        for row in rows
    ]
