"""The DuckDB sessions behind queries: one that knows the tables, and a locked-down one that has their rows."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from amci.errors import StorageError
from amci.names import literal, quoted
from amci.sandbox.data import VERSION, Events
from amci.sandbox.errors import CompileError, QueryFailed
from amci.sandbox.options import SandboxOptions
from amci.sandbox.parts import DICE, SCHEMA, dice_of, is_parted, part_macro
from amci.sandbox.said import in_calcites_words
from amci.amcsql.sources import Source, sources

#: With one thread the same query gives its rows in the same order.
_THREADS = 1
_INTERRUPT_EVERY = 0.05  #: seconds


@dataclass(frozen=True, slots=True)
class Rows:
    """What a query gave."""

    names: Sequence[str]
    types: Sequence[str]  #: DuckDB's
    values: Sequence[Sequence[Any]]


class Engine:
    """Compiles and runs DuckDB SQL over the synthetic events; threads may share it.

    One query is run at a time; others can be compiled meanwhile.
    """

    def __init__(self, directory: Path, options: SandboxOptions) -> None:
        self._options = options
        self._events = Events(directory=directory, seed=options.seed, users=options.users, days=options.days)
        self._empty: duckdb.DuckDBPyConnection | None = None
        self._full: duckdb.DuckDBPyConnection | None = None
        self._last = date.min
        self._is_closed = False
        self._checking, self._running = threading.Lock(), threading.Lock()

    @property
    def version(self) -> str:
        """Which events there are, beside their last day."""
        return f"{VERSION}-{self._options.seed}-{self._options.users}-{self._options.days}"

    def check(self, sql: str, original: str) -> None:
        """Raise CompileError, in words about the `original`, unless DuckDB can run the query."""
        with self._checking:
            if self._empty is None:
                self._empty = duckdb.connect()
                _make_tables(self._empty, {})
                _lock(self._empty, self._options.memory_limit)
            try:
                self._empty.execute(f"EXPLAIN {sql}")
            except duckdb.Error as error:
                raise CompileError(in_calcites_words(str(error), original)) from error

    def run(self, sql: str, last: date) -> Rows:
        """The rows of a query over the events up to the day `last`; raises QueryFailed.

        StorageError where the engine is closed.
        """
        with self._running:
            if self._is_closed:
                raise StorageError("the sandbox was closed while a query waited")
            return self._run(self._session(last), sql)

    def _run(self, con: duckdb.DuckDBPyConnection, sql: str) -> Rows:
        seconds = self._options.query_timeout.total_seconds()
        try:
            with _stopped_after(con, seconds):
                cursor = con.execute(sql)
                described = cursor.description or []
                values = cursor.fetchall()
        except duckdb.InterruptException as error:
            raise QueryFailed(f"Query timed out after {seconds:g} seconds.") from error
        except duckdb.OutOfMemoryException as error:
            raise QueryFailed("Query exceeded the memory available to it.") from error
        except duckdb.Error as error:
            raise QueryFailed(f"Query could not be run: {str(error).splitlines()[0]}") from error
        return Rows([name for name, *_ in described], [str(d[1]) for d in described], values)

    def close(self) -> None:
        """Let go of both sessions; a query that runs is given up, and no other begins."""
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
        """The session with all events up to `last`; made anew when a new day has come."""
        if self._full is None or self._last < last:
            files = self._events.files(last)
            old, self._full = self._full, None
            if old is not None:
                old.close()
            session = duckdb.connect()
            _make_tables(session, files)
            _lock(session, self._options.memory_limit)
            self._full, self._last = session, last
        return self._full


def _make_tables(con: duckdb.DuckDBPyConnection, files: dict[str, list[Path]]) -> None:
    con.execute(f"CREATE SCHEMA {SCHEMA}")
    for source in sources().values():
        con.execute(_create(source))
        if is_parted(source):
            con.execute(part_macro(source))
        if found := files.get(source.name):
            listed = ", ".join(literal(str(file)) for file in found)
            columns = f"*, {dice_of(source)}" if is_parted(source) else "*"
            con.execute(
                f"INSERT INTO {SCHEMA}.{quoted(source.name)} SELECT {columns} FROM read_parquet([{listed}])"
            )


def _create(source: Source) -> str:
    columns = [f"{quoted(column.name)} {column.sql_type}" for column in source.columns]
    if is_parted(source):
        columns.append(f"{quoted(DICE)} UBIGINT")
    return f"CREATE TABLE {SCHEMA}.{quoted(source.name)} ({', '.join(columns)})"


def _lock(con: duckdb.DuckDBPyConnection, memory_limit: int) -> None:
    """From here on no file, no network, no extension, no other setting; memory and threads are bounded."""
    for setting in (
        "TimeZone = 'UTC'",
        # a share of nothing is NULL, as in Spark
        "ieee_floating_point_ops = false",
        f"threads = {_THREADS}",
        f"memory_limit = '{memory_limit // 1024}KiB'",
        "temp_directory = ''",
        "autoinstall_known_extensions = false",
        "autoload_known_extensions = false",
        "allow_community_extensions = false",
        "enable_external_access = false",
        "lock_configuration = true",
    ):
        con.execute(f"SET {setting}")


@contextmanager
def _stopped_after(con: duckdb.DuckDBPyConnection, seconds: float) -> Iterator[None]:
    """Interrupt what `con` does when it takes longer."""
    timer = threading.Timer(seconds, con.interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
