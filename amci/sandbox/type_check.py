"""DuckDB's word on the types of a query, in the words of Calcite, whose validator AMC's texts come from (amc-api 1.5).

`SELECT SUM(campaign) …` has good names and is refused all the same. To say so, DuckDB plans the query over the tables
that it reads, without rows. That takes no synthetic events, so `amci sql check` needs nothing else of the sandbox.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from sqlglot import exp

from amci.amcsql.duckdb_writer import PART, SCHEMA, USER
from amci.amcsql.findings import CompileError, Finding, place_of
from amci.amcsql.functions.table import FUNCTIONS
from amci.amcsql.grammar.parsing import parsed
from amci.amcsql.patterns.regexes import CALLED
from amci.amcsql.query import Compiled
from amci.amcsql.sources import Source, audience_sources, sources
from amci.kernel.names import quoted
from amci.sandbox.duckdb_messages import Run
from amci.sandbox.duckdb_process import DuckDBError, DuckDBProcess
from amci.sandbox.errors import QueryFailed
from amci.sandbox.options import SandboxOptions


class TypeChecker:
    """A session with empty tables, made when they are first read; threads may share it."""

    def __init__(self, options: SandboxOptions, directory: Path | None = None) -> None:
        """`directory` has the files of uploaded data sets, which are read for their columns."""
        self._process = DuckDBProcess(options.memory_limit, directory)
        self._seconds = options.check_timeout.total_seconds()

    def check(self, compiled: Compiled, original: str) -> None:
        """Raise CompileError, in words about the `original`, unless DuckDB can run the query.

        Raises StorageError if the session cannot be opened, or is closed.
        """
        known = {**sources(), **audience_sources()}
        tables = [_create(known[name]) for name in compiled.sources if name in known]
        asked = Run([*tables, f"EXPLAIN {compiled.plain}"], needs_functions=needs_functions(compiled))
        with self._process.turn():
            if not self._process.is_open:
                self._process.open()
            try:
                self._process.run(asked, self._seconds)
            except DuckDBError as error:
                raise CompileError(in_calcites_words(str(error), original)) from error
            except QueryFailed as error:
                raise CompileError(_too_large(original, str(error))) from error

    def close(self) -> None:
        """End the session; a check that runs is interrupted."""
        self._process.close()


def needs_functions(compiled: Compiled) -> bool:
    """Whether a query calls the Python functions, which not every session has: importing them takes time."""
    written = compiled.plain.lower()
    return any(name in written for name in CALLED)


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


def _too_large(sql: str, text: str) -> Finding:
    finding = _finding(sql, None, text)
    return replace(finding, code="resources", hint="its constants are too large", is_verbatim=True)


def _amcs(name: str) -> str:
    """AMC's name of a function that has another name in DuckDB."""
    return next((each.name for each in FUNCTIONS.values() if each.duckdb.lower() == name.lower()), name)


def _named(tree: exp.Expr, name: str) -> exp.Expr | None:
    """The first call or name in the tree with this name."""
    wanted = name.lower()
    return next((node for node in tree.walk() if node.name.lower() == wanted or _call(node) == wanted), None)


def _call(node: exp.Expr) -> str:
    return node.sql_name().lower() if isinstance(node, exp.Func) else ""
