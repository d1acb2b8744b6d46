"""The DuckDB sessions behind queries: one of types alone to check them, a locked-down one with rows to run them."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from amci.amcsql.duckdb_writer import SCHEMA
from amci.amcsql.privacy.thresholds import RedactedRow, unguarded
from amci.amcsql.query import Compiled
from amci.kernel.errors import StorageError
from amci.sandbox.data.world import World
from amci.sandbox.errors import QueryFailed
from amci.sandbox.options import SandboxOptions
from amci.sandbox.type_check import TypeChecker, add_functions, lock


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of a query."""

    names: Sequence[str]
    types: Sequence[str]  #: DuckDB's
    rows: list[tuple[Any, ...]]
    redacted: Sequence[RedactedRow] | None = None  #: what the rules took; None if that was not asked for


def run(con: duckdb.DuckDBPyConnection, compiled: Compiled, *, explains: bool = False) -> Outcome:
    """Run a query in a session that has its tables. Raises duckdb.Error."""
    if compiled.guarded is None:
        text = unguarded(compiled.plain, compiled.privacy) if compiled.privacy else compiled.plain
        return _fetched(con, text)
    con.execute(compiled.guarded.make)
    try:
        outcome = _fetched(con, compiled.guarded.show)
        if not explains:
            return outcome
        fetched = _fetched(con, compiled.guarded.redacted).rows
        return replace(outcome, redacted=compiled.guarded.redacted_rows(fetched))
    finally:
        con.execute(compiled.guarded.drop)


def _fetched(con: duckdb.DuckDBPyConnection, sql: str) -> Outcome:
    cursor = con.execute(sql)
    described = cursor.description or []
    return Outcome(
        names=[d[0] for d in described], types=[str(d[1]) for d in described], rows=cursor.fetchall()
    )


_INTERRUPT_EVERY = 0.05  #: seconds


class QueryEngine:
    """Compiles and runs queries over the synthetic events; threads may share it.

    One query is run at a time; others can be compiled meanwhile.
    """

    def __init__(self, directory: Path, options: SandboxOptions) -> None:
        self._options = options
        self._directory = directory
        self.world = World(directory=directory, seed=options.seed, scale=options.scale, days=options.days)
        self._types = TypeChecker(options, directory)
        self._full: duckdb.DuckDBPyConnection | None = None
        self._last = date.min
        self._viewed: set[str] = set()  #: tables that have a view in the session with rows
        self._is_closed = False
        self._running = threading.Lock()

    def check(self, compiled: Compiled, original: str) -> None:
        """Raise CompileError, in words about the `original`, unless DuckDB can run the query."""
        self._types.check(compiled, original)

    def run(self, compiled: Compiled, last: date, *, explains: bool = False) -> Outcome:
        """Run a query over the events up to the day `last`. Raises QueryFailed.

        Raises StorageError if the events cannot be generated, or the engine is closed.
        """
        with self._running:
            if self._is_closed:
                raise StorageError("the sandbox was closed while a query waited")
            session = self._session(last, compiled.sources)
            add_functions(compiled, session)
            seconds = self._options.query_timeout.total_seconds()
            try:
                with _stopped_after(session, seconds):
                    return run(session, compiled, explains=explains)
            except duckdb.InterruptException as error:
                raise QueryFailed(f"Query timed out after {seconds:g} seconds.") from error
            except duckdb.OutOfMemoryException as error:
                raise QueryFailed("Query exceeded the memory available to it.") from error
            except duckdb.Error as error:
                raise QueryFailed(f"Query could not be run: {str(error).splitlines()[0]}") from error

    def close(self) -> None:
        """Close both sessions; a running query is interrupted, and no other begins."""
        self._is_closed = True
        # One that is just about to begin cannot be interrupted yet.
        while not self._running.acquire(timeout=_INTERRUPT_EVERY):
            if self._full is not None:
                self._full.interrupt()
        self._types.close()
        if self._full is not None:
            self._full.close()
        self._full = None
        self._running.release()

    def _session(self, last: date, tables: Collection[str]) -> duckdb.DuckDBPyConnection:
        """The session with these tables and all events up to `last`; opened again when a new day has come."""
        if self._full is None or self._last < last:
            self.world.prepare(last)
            old, self._full = self._full, None
            if old is not None:
                old.close()
            session = duckdb.connect()
            session.execute(f"CREATE SCHEMA {SCHEMA}")
            lock(session, self._options.memory_limit, self._directory)
            self._full, self._last = session, last
            self._viewed.clear()
        missing = set(tables) - self._viewed
        for statement in self.world.statements(self._last, missing):
            self._full.execute(statement)
        self._viewed |= missing
        return self._full


@contextmanager
def _stopped_after(con: duckdb.DuckDBPyConnection, seconds: float) -> Iterator[None]:
    """Interrupt the query of `con` if the block takes longer."""
    is_over = threading.Event()

    def watch() -> None:
        # Once is not enough: DuckDB forgets an interruption that comes between two of its steps.
        left = seconds
        while not is_over.wait(left):
            con.interrupt()
            left = _INTERRUPT_EVERY

    timer = threading.Thread(target=watch, daemon=True)
    timer.start()
    try:
        yield
    finally:
        is_over.set()
        timer.join()
