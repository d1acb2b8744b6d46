"""Runs a compiled query in a DuckDB session, and reports what the privacy rules removed from its result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import duckdb

from amci.amcsql.privacy.thresholds import RedactedRow, unguarded
from amci.amcsql.query import Compiled


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
