"""DuckDB's word on the types of a query, in the words of Calcite, whose validator AMC's texts come from (amc-api 1.5).

`SELECT SUM(campaign) …` has good names and is refused all the same. To say so, DuckDB plans the query over the tables
that it reads, without rows. That takes no synthetic events, so `amci sql check` needs nothing else of the sandbox.
"""

from __future__ import annotations

import re
import threading
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
from amci.kernel.duckdb_settings import limits, locked
from amci.kernel.names import quoted
from amci.sandbox.options import SandboxOptions

#: With one thread the same query gives its rows in the same order.
_THREADS = 1


class TypeChecker:
    """A locked-down session with empty tables, made when they are first read; threads may share it."""

    def __init__(self, options: SandboxOptions, directory: Path | None = None) -> None:
        """`directory` has the files of uploaded data sets, which are read for their columns."""
        self._options, self._directory = options, directory
        self._con: duckdb.DuckDBPyConnection | None = None
        self._lock = threading.Lock()

    def check(self, compiled: Compiled, original: str) -> None:
        """Raise CompileError, in words about the `original`, unless DuckDB can run the query."""
        with self._lock:
            if self._con is None:
                self._con = duckdb.connect()
                self._con.execute(f"CREATE SCHEMA {SCHEMA}")
                lock(self._con, self._options.memory_limit, self._directory)
            known = {**sources(), **audience_sources()}
            for name in compiled.sources:
                if name in known:
                    self._con.execute(_create(known[name]))
            add_functions(compiled, self._con)
            try:
                self._con.execute(f"EXPLAIN {compiled.plain}")
            except duckdb.Error as error:
                raise CompileError(in_calcites_words(str(error), original)) from error

    def close(self) -> None:
        """Let go of the session."""
        with self._lock:
            if self._con is not None:
                self._con.close()
            self._con = None


def lock(con: duckdb.DuckDBPyConnection, memory_limit: int, directory: Path | None = None) -> None:
    """Restrict a session to the files of a directory: no network, no extensions, no change of settings.

    `memory_limit` is in bytes. Without a directory it reads no file, and spills nothing to disk.
    """
    # the events may be elsewhere, behind a link
    paths = (directory, directory / "events") if directory else ()
    readable = sorted({path.resolve() for path in paths})
    con.execute(limits(memory_limit, threads=_THREADS, temp=directory / "scratch" if directory else ""))
    # a share of nothing is NULL, as in Spark
    con.execute("SET ieee_floating_point_ops = false")
    con.execute(locked(folders=readable))


def add_functions(compiled: Compiled, con: duckdb.DuckDBPyConnection) -> None:
    """Add the Python functions to a session, only for queries that call them: importing them takes time."""
    if any(name in compiled.plain for name in CALLED):
        from amci.sandbox.udfs import register

        register(con)


def _create(source: Source) -> str:
    columns = [f"{quoted(column.name)} {column.sql_type}" for column in source.columns]
    if source.has_users:
        columns += [f"{quoted(USER)} BIGINT", f"{quoted(PART)} INTEGER"]
    return f"CREATE TABLE IF NOT EXISTS {SCHEMA}.{quoted(source.name)} ({', '.join(columns)})"


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
