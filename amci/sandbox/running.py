"""Runs a compiled query in a DuckDB session, and reports what the privacy rules removed from its result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb

from amci.amcsql.privacy.thresholds import unguarded
from amci.amcsql.query import Compiled


@dataclass(frozen=True, slots=True)
class Redaction:
    """What the privacy rules removed."""

    names: Sequence[str]  #: the query's columns, then required, actual and reason
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of a query."""

    names: Sequence[str]
    types: Sequence[str]  #: DuckDB's
    rows: list[tuple[Any, ...]]
    redaction: Redaction | None = field(default=None)  #: if it was asked for


def run(con: duckdb.DuckDBPyConnection, compiled: Compiled, *, explains: bool = False) -> Outcome:
    """Run a query in a session that has its tables. Raises duckdb.Error."""
    if compiled.guarded is None:
        text = unguarded(compiled.plain, compiled.privacy) if compiled.privacy else compiled.plain
        return _fetched(con, text)
    con.execute(compiled.guarded.make)
    try:
        outcome = _fetched(con, compiled.guarded.show)
        return outcome if not explains else _explained(con, compiled.guarded.redacted, outcome)
    finally:
        con.execute(compiled.guarded.drop)


def _fetched(con: duckdb.DuckDBPyConnection, sql: str) -> Outcome:
    cursor = con.execute(sql)
    described = cursor.description or []
    return Outcome(
        names=[d[0] for d in described], types=[str(d[1]) for d in described], rows=cursor.fetchall()
    )


def _explained(con: duckdb.DuckDBPyConnection, sql: str, outcome: Outcome) -> Outcome:
    told = _fetched(con, sql)
    return Outcome(
        names=outcome.names,
        types=outcome.types,
        rows=outcome.rows,
        redaction=Redaction(told.names, told.rows),
    )
