"""Workflows and audiences as queries: compiled for a time window, run over the synthetic events."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from amci.amcsql.findings import CompileError, Finding, Place
from amci.amcsql.sources import Kind, Source, tables_for
from amci.sandbox.http import is_true
from amci.sandbox.options import SandboxOptions
from amci.sandbox.results import Format, csv, format_of, output_columns
from amci.sandbox.times import Window

if TYPE_CHECKING:
    from amci.amcsql.privacy.thresholds import Privacy
    from amci.amcsql.query import Compiled, Controls, Query
    from amci.sandbox.engine import QueryEngine

_REMEMBERED = 1024  #: compiled queries
#: Bytes of SQL. Where AMC draws the line is unknown; its documentation names no limit.
_LONGEST = 250_000
#: Instance id → its uploaded data sets, by name.
Uploaded = Callable[[str], Mapping[str, Source]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A query that is ready to run."""

    compiled: Compiled
    original: str  #: as the workflow has it
    result_id: str  #: equal for queries that must give the same file
    form: Format
    last: date  #: last day of events it may see


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionResult:
    """A result file, and what is in it."""

    content: bytes
    columns: Sequence[Mapping[str, Any]]  #: AMC's `outputColumns`
    rows: int


class Queries:
    """Compiles and runs queries; threads may share it. DuckDB is imported on first use."""

    def __init__(self, directory: Path, options: SandboxOptions, uploaded: Uploaded) -> None:
        self._directory, self._options, self._uploaded = directory, options, uploaded
        self._made: QueryEngine | None = None
        self._making = Lock()
        self._checked: dict[Query, Sequence[Finding]] = {}  #: what DuckDB has against them
        # many executions of one workflow ask the same, often for the same window
        self._read = lru_cache(maxsize=_REMEMBERED)(_read)
        self._compiled = lru_cache(maxsize=_REMEMBERED)(_compiled)

    def compile(self, instance_id: str, definition: Mapping[str, Any]) -> None:
        """Raise CompileError unless the workflow's SQL can be run."""
        self.prepare(instance_id, definition, {}, ANY_WINDOW, ANY_WINDOW.end)

    def read_ahead(self, instance_id: str, document: Mapping[str, Any]) -> None:
        """Compile the SQL of a workflow or an execution, which is remembered, and so is what is wrong with it."""
        inner = document.get("workflow")
        definition = inner if isinstance(inner, dict) else document
        if isinstance(definition.get("sqlQuery"), str):
            with suppress(CompileError):
                self.prepare(instance_id, definition, document, ANY_WINDOW, ANY_WINDOW.end)

    def prepare(
        self,
        instance_id: str,
        definition: Mapping[str, Any],
        asked: Mapping[str, Any],
        window: Window,
        now: datetime,
    ) -> Prepared:
        """An instance's query for a window, with `now` as the current time. Raises CompileError."""
        original = _bounded(str(definition["sqlQuery"]))
        query = self._read(
            original,
            "workflow",
            json.dumps(_declared(definition)),
            json.dumps(asked.get("parameterValues") or {}),
            "none" if _is_uncontrolled(asked) else "all",
            str(definition.get("inputSchema") or ""),
            tuple(self._uploaded(instance_id).items()),
        )
        compiled = self._compile(query, instance_id, window, now, _privacy(definition))
        form, last = format_of(definition.get("outputFormat")), self._last(now)
        ran = (compiled.guarded.make, compiled.guarded.show) if compiled.guarded else (compiled.plain,)
        same = "\0".join((*ran, str(compiled.privacy), str(form), self._engine.world.version, str(last)))
        result_id = hashlib.sha256(same.encode()).hexdigest()
        return Prepared(compiled=compiled, original=original, result_id=result_id, form=form, last=last)

    def run(self, prepared: Prepared) -> ExecutionResult:
        """Run it. Raises QueryFailed, StorageError."""
        outcome = self._engine.run(prepared.compiled, prepared.last)
        return ExecutionResult(
            content=csv(outcome.names, outcome.rows, prepared.form),
            columns=output_columns(outcome.names, outcome.types, prepared.compiled.kinds),
            rows=len(outcome.rows),
        )

    def audience(
        self,
        instance_id: str,
        sql: str,
        declared: Sequence[Mapping[str, Any]],
        values: Mapping[str, Any],
        window: Window | None = None,
        now: datetime | None = None,
    ) -> Compiled:
        """An audience's query over the tables for audiences; without a window if it is only checked.

        Raises CompileError.
        """
        query = self._read(
            _bounded(sql), "audience", json.dumps(declared), json.dumps(values), "comparisons", "",
            tuple(self._uploaded(instance_id).items()),
        )  # fmt: skip
        window = window or ANY_WINDOW
        return self._compile(query, instance_id, window, now or window.end, None)

    def users(self, compiled: Compiled, now: datetime) -> int:
        """Number of different people that an audience's query finds. Raises QueryFailed."""
        counted = replace(compiled, plain=f"SELECT count(DISTINCT user_id) FROM ({compiled.plain})")
        return int(self._engine.run(counted, self._last(now)).rows[0][0])

    def close(self) -> None:
        """Close the DuckDB sessions."""
        if self._made is not None:
            self._made.close()

    def _compile(
        self, query: Query, instance_id: str, window: Window, now: datetime, privacy: Privacy | None
    ) -> Compiled:
        """Compiled, and known to DuckDB as something it can run."""
        at = now if query.asks_the_time else window.end
        compiled = self._compiled(query, (window.start, window.end), at, privacy, instance_id)
        with self._making:
            if len(self._checked) >= _REMEMBERED:
                self._checked.clear()
        # windows and instances do not matter to DuckDB
        if (findings := self._checked.get(query)) is None:
            findings = self._checked[query] = self._findings(compiled, query.sql)
        if findings:
            raise CompileError(*findings)
        return compiled

    def _findings(self, compiled: Compiled, sql: str) -> Sequence[Finding]:
        try:
            self._engine.check(compiled, sql)
        except CompileError as error:
            return error.findings
        return ()

    def _last(self, now: datetime) -> date:
        return self._options.anchor or now.date()

    @property
    def _engine(self) -> QueryEngine:
        with self._making:
            if self._made is None:
                from amci.sandbox.engine import QueryEngine

                self._made = QueryEngine(self._directory, self._options)
            return self._made


#: For a query that is only compiled.
ANY_WINDOW = Window(
    start=datetime.fromisoformat("2020-01-01T00:00Z"), end=datetime.fromisoformat("2020-01-02T00:00Z")
)


def _bounded(sql: str) -> str:
    """The SQL; raises CompileError if it is too long to be read, which takes seconds for a megabyte."""
    if len(sql) > _LONGEST or len(sql.encode(errors="replace")) > _LONGEST:
        text = f"The query is longer than {_LONGEST} bytes."
        raise CompileError(
            Finding(severity="error", code="length", text=text, place=Place(1, 1, 1, 1), is_verbatim=True)
        )
    return sql


def _declared(definition: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    declared = definition.get("inputParameters") or []
    if not isinstance(declared, list) or not all(isinstance(each, dict) for each in declared):
        text = "inputParameters must be a list of parameters."
        raise CompileError(
            Finding(severity="error", code="parameters", text=text, place=Place(1, 1, 1, 1), is_verbatim=True)
        )
    return declared


def _is_uncontrolled(asked: Mapping[str, Any]) -> bool:
    """Whether rows of single users may be shown: only those of synthetic users (amc-api 2.2)."""
    return is_true(asked.get("disableAggregationControls")) and is_true(asked.get("requireSyntheticData"))


def _privacy(definition: Mapping[str, Any]) -> Privacy:
    from amci.amcsql.privacy.thresholds import Privacy

    removes_values = definition.get("privacyFilteringBehavior") == "REMOVE_VALUES"
    return Privacy(
        behavior="REMOVE_VALUES" if removes_values else "REMOVE_ROWS",
        discriminator=str(definition.get("filteredMetricsDiscriminatorColumn") or ""),
        user_count=str(definition.get("distinctUserCountColumn") or ""),
        reason=str(definition.get("filteredReasonColumn") or ""),
    )


def _read(
    sql: str,
    kind: Kind,
    declared: str,
    values: str,
    controls: Controls,
    schema: str,
    uploaded: tuple[tuple[str, Source], ...],
) -> Query:
    from amci.amcsql.query import Query

    return Query.of(
        sql,
        tables_for(kind, dict(uploaded)),
        declared=json.loads(declared),
        values=json.loads(values),
        controls=controls,
        schemas=frozenset({"sandbox", schema.lower()}) - {""},
    )


def _compiled(
    query: Query, window: tuple[datetime, datetime], now: datetime, privacy: Privacy | None, instance_id: str
) -> Compiled:
    return query.compile(window, now, privacy=privacy, instance_id=instance_id)
