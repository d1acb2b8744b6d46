"""The DuckDB sessions behind queries: one of types alone to check them, one with rows to run them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from amci.amcsql.privacy.thresholds import RedactedRow, unguarded
from amci.amcsql.query import Compiled
from amci.kernel.errors import StorageError
from amci.sandbox.data.world import World
from amci.sandbox.duckdb_messages import Run
from amci.sandbox.duckdb_process import STARTING, DuckDBError, DuckDBProcess, Result, collected
from amci.sandbox.duckdb_worker import results
from amci.sandbox.errors import QueryFailed
from amci.sandbox.options import SandboxOptions
from amci.sandbox.type_check import TypeChecker, needs_functions


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of a query."""

    names: Sequence[str]
    types: Sequence[str]  #: DuckDB's
    rows: list[tuple[Any, ...]]
    redacted: Sequence[RedactedRow] | None = None  #: what the rules took; None if that was not asked for


def run(con: duckdb.DuckDBPyConnection, compiled: Compiled, *, explains: bool = False) -> Outcome:
    """Run a query in a session that has its tables. Raises duckdb.Error."""
    return _outcome(compiled, collected(results(con, _asked(compiled, explains=explains))))


def _asked(compiled: Compiled, *, explains: bool) -> Run:
    needs = needs_functions(compiled)
    if (guarded := compiled.guarded) is None:
        text = unguarded(compiled.plain, compiled.privacy) if compiled.privacy else compiled.plain
        return Run(reads=[text], needs_functions=needs)
    reads = [guarded.show, *([guarded.redacted] if explains else [])]
    return Run(before=[guarded.make], reads=reads, after=guarded.drop, needs_functions=needs)


def _outcome(compiled: Compiled, made: Sequence[Result]) -> Outcome:
    shown, *redacted = made
    return Outcome(
        names=shown.columns.names,
        types=shown.columns.types,
        rows=shown.rows,
        redacted=compiled.guarded.redacted_rows(redacted[0].rows) if compiled.guarded and redacted else None,
    )


class QueryEngine:
    """Compiles and runs queries over the synthetic events; threads may share it.

    One query is run at a time; others can be compiled meanwhile.
    """

    def __init__(self, directory: Path, options: SandboxOptions) -> None:
        self._options = options
        self.world = World(directory=directory, seed=options.seed, scale=options.scale, days=options.days)
        self._types = TypeChecker(options, directory)
        self._process = DuckDBProcess(options.memory_limit, directory)
        self._last = date.min
        self._viewed: set[str] = set()  #: tables that have a view in the session

    def check(self, compiled: Compiled, original: str) -> None:
        """Raise CompileError, in words about the `original`, unless DuckDB can run the query."""
        self._types.check(compiled, original)

    def run(self, compiled: Compiled, last: date, *, explains: bool = False) -> Outcome:
        """Run a query over the events up to the day `last`. Raises QueryFailed.

        Raises StorageError if the events cannot be generated or read, or the engine is closed.
        """
        with self._process.turn():
            self._prepare(last, compiled)
            seconds = self._options.query_timeout.total_seconds()
            try:
                made = self._process.run(_asked(compiled, explains=explains), seconds)
            except DuckDBError as error:
                raise QueryFailed(f"Query could not be run: {error.first_line}") from error
            return _outcome(compiled, made)

    def close(self) -> None:
        """End both sessions; a running query is interrupted, and no other begins."""
        self._process.close()
        self._types.close()

    def _prepare(self, last: date, compiled: Compiled) -> None:
        """Have a session with the query's tables and all events up to `last`; a new one when a new day has come."""
        if not self._process.is_open or self._last < last:
            self._last = max(self._last, last)
            self.world.prepare(self._last)
            self._process.open()
            self._viewed.clear()
        missing = set(compiled.sources) - self._viewed
        # Beforehand, because neither counts as the query's time.
        if missing or needs_functions(compiled):
            views = list(self.world.statements(self._last, missing))
            try:
                self._process.run(Run(views, needs_functions=needs_functions(compiled)), STARTING)
            except DuckDBError as error:
                raise StorageError(f"read the sandbox's events: {error.first_line}") from error
        self._viewed |= missing
