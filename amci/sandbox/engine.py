"""The DuckDB sessions behind queries: one with empty tables to check them, a locked-down one with rows to run them.

DuckDB's errors about a query are put into the words of Calcite, whose validator AMC's texts come from (amc-api 1.5).
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import duckdb
from sqlglot import exp

from amci.amcsql.duckdb_writer import PART, SCHEMA, USER
from amci.amcsql.findings import CompileError, Finding, place_of
from amci.amcsql.functions.table import FUNCTIONS
from amci.amcsql.grammar.parsing import parsed
from amci.amcsql.patterns.regexes import CALLED
from amci.amcsql.query import Compiled
from amci.amcsql.sources import Source, audience_sources, sources
from amci.kernel.errors import StorageError
from amci.kernel.names import literal, quoted
from amci.sandbox.data.world import World
from amci.sandbox.errors import QueryFailed
from amci.sandbox.options import SandboxOptions
from amci.sandbox.running import Outcome, run

#: With one thread the same query gives its rows in the same order.
_THREADS = 1
_INTERRUPT_EVERY = 0.05  #: seconds


class QueryEngine:
    """Compiles and runs queries over the synthetic events; threads may share it.

    One query is run at a time; others can be compiled meanwhile.
    """

    def __init__(self, directory: Path, options: SandboxOptions) -> None:
        self._options = options
        self._directory = directory
        self.world = World(directory=directory, seed=options.seed, scale=options.scale, days=options.days)
        self._empty: duckdb.DuckDBPyConnection | None = None
        self._full: duckdb.DuckDBPyConnection | None = None
        self._last = date.min
        self._is_closed = False
        self._checking, self._running = threading.Lock(), threading.Lock()

    def check(self, compiled: Compiled, original: str) -> None:
        """Raise CompileError, in words about the `original`, unless DuckDB can run the query."""
        with self._checking:
            if self._empty is None:
                self._empty = duckdb.connect()
                self._empty.execute(f"CREATE SCHEMA {SCHEMA}")
                for source in (*sources().values(), *audience_sources().values()):
                    self._empty.execute(_create(source))
                self._lock(self._empty)
            _add_functions(compiled, self._empty)
            try:
                self._empty.execute(f"EXPLAIN {compiled.plain}")
            except duckdb.Error as error:
                raise CompileError(in_calcites_words(str(error), original)) from error

    def run(self, compiled: Compiled, last: date, *, explains: bool = False) -> Outcome:
        """Run a query over the events up to the day `last`. Raises QueryFailed.

        Raises StorageError if the events cannot be generated, or the engine is closed.
        """
        with self._running:
            if self._is_closed:
                raise StorageError("the sandbox was closed while a query waited")
            session = self._session(last)
            _add_functions(compiled, session)
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
        with self._checking:
            for con in (self._empty, self._full):
                if con is not None:
                    con.close()
            self._empty = self._full = None
        self._running.release()

    def _session(self, last: date) -> duckdb.DuckDBPyConnection:
        """The session with all events up to `last`; opened again when a new day has come."""
        if self._full is None or self._last < last:
            self.world.prepare(last)
            old, self._full = self._full, None
            if old is not None:
                old.close()
            session = duckdb.connect()
            session.execute(f"CREATE SCHEMA {SCHEMA}")
            for statement in self.world.statements(last):
                session.execute(statement)
            self._lock(session)
            self._full, self._last = session, last
        return self._full

    def _lock(self, con: duckdb.DuckDBPyConnection) -> None:
        """Restrict a session to the sandbox's own files: no network, no extensions, no change of settings."""
        scratch = self._directory / "scratch"
        # the events may be elsewhere, behind a link
        readable = {str(path.resolve()) for path in (self._directory, self._directory / "events")}
        for setting in (
            "TimeZone = 'UTC'",
            # a share of nothing is NULL, as in Spark
            "ieee_floating_point_ops = false",
            f"threads = {_THREADS}",
            f"memory_limit = '{self._options.memory_limit // 1024}KiB'",
            f"temp_directory = {literal(str(scratch))}",
            f"allowed_directories = [{', '.join(map(literal, sorted(readable)))}]",
            "autoinstall_known_extensions = false",
            "autoload_known_extensions = false",
            "allow_community_extensions = false",
            "enable_external_access = false",
            "lock_configuration = true",
        ):
            con.execute(f"SET {setting}")


def _add_functions(compiled: Compiled, con: duckdb.DuckDBPyConnection) -> None:
    """Add the Python functions to a session, only for queries that call them: importing them takes time."""
    if any(name in compiled.plain for name in CALLED):
        from amci.sandbox.udfs import register

        register(con)


def _create(source: Source) -> str:
    columns = [f"{quoted(column.name)} {column.sql_type}" for column in source.columns]
    if source.has_users:
        columns += [f"{quoted(USER)} BIGINT", f"{quoted(PART)} INTEGER"]
    return f"CREATE TABLE IF NOT EXISTS {SCHEMA}.{quoted(source.name)} ({', '.join(columns)})"


@contextmanager
def _stopped_after(con: duckdb.DuckDBPyConnection, seconds: float) -> Iterator[None]:
    """Interrupt the query of `con` if the block takes longer."""
    timer = threading.Timer(seconds, con.interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


#: Pattern of DuckDB's text → Calcite's; the first group is the name at fault.
_TEXTS = (
    (r'Referenced column "([^"]+)" (?:was )?not found', "Column '{}' not found in any table"),
    (
        r"No function matches the given name and argument types '(\w+)\(",
        "Cannot apply '{}' to arguments of these types",
    ),
    (r"Cannot compare values of type .* in '?(\w+)", "Cannot compare values of these types in '{}'"),
)


def in_calcites_words(error: str, sql: str) -> Finding:
    """The finding about `sql` for DuckDB's error about its translation."""
    tree = parsed(sql)
    for pattern, text in _TEXTS:
        if found := re.search(pattern, error):
            name = _amcs(found[1])
            return _finding(sql, _named(tree, name), text.format(name))
    first = re.sub(r"^[A-Za-z ]+ Error: ", "", error.splitlines()[0])
    return _finding(sql, None, re.sub(r'"amci [^"]*"', "a value", first))


def _finding(sql: str, node: exp.Expr | None, text: str) -> Finding:
    return Finding(
        severity="error", code="types", text=text, place=place_of(sql, node), hint="CAST one of the values"
    )


def _amcs(name: str) -> str:
    """AMC's name of a function that has another name in DuckDB."""
    return next((each.name for each in FUNCTIONS.values() if each.duckdb.lower() == name.lower()), name)


def _named(tree: exp.Expr, name: str) -> exp.Expr | None:
    """The first call or name in the tree with this name."""
    wanted = name.lower()
    return next((node for node in tree.walk() if node.name.lower() == wanted or _call(node) == wanted), None)


def _call(node: exp.Expr) -> str:
    return node.sql_name().lower() if isinstance(node, exp.Func) else ""
