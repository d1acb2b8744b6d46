"""What amci makes of a query: the side that the oracle is held against."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import duckdb

from amci.amcsql.privacy.thresholds import Privacy
from amci.amcsql.query import Compiled, Query
from amci.amcsql.sources import Source
from amci.sandbox.engine import run

from .data import SOURCES, Tables, load
from .removing import Checks, Values, plain

DISCRIMINATOR, COUNT, REASON = "is_filtered", "distinct_users", "filtered_reason"
#: No table of the tests has an event time that it could limit.
WINDOW = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 31, tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a result, without and with what privacy adds to it."""

    values: Values
    extra: Mapping[str, Any]


@functools.cache
def _connection() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"threads": 1})


def compile_only(sql: str, **more: Any) -> Compiled:
    """The compiled query, with the privacy rules on; CompileError where they forbid it."""
    query = Query.of(sql, SOURCES, **more)
    return query.compile(WINDOW, WINDOW[1], privacy=Privacy(behavior="REMOVE_ROWS"))


def removing_rows(checks: Checks) -> Privacy:
    return _privacy("REMOVE_ROWS", "", checks)


def removing_values(checks: Checks) -> Privacy:
    return _privacy("REMOVE_VALUES", DISCRIMINATOR, checks)


def _privacy(behavior: Any, discriminator: str, checks: Checks) -> Privacy:
    return Privacy(
        behavior=behavior,
        discriminator=discriminator,
        user_count=COUNT,
        reason=REASON,
        has_effective_users=checks.has_effective,
        has_equivalent_users=checks.has_equivalent,
    )


def loaded(rows: Tables, sources: Mapping[str, Source] = SOURCES) -> None:
    """Put rows where the queries of `result` read."""
    load(_connection(), rows, sources)


def result(sql: str, privacy: Privacy | None, sources: Mapping[str, Source] = SOURCES) -> list[Line]:
    """The rows of a query over what is loaded."""
    query = Query.of(sql, sources, controls="all" if privacy else "none")
    outcome = run(_connection(), query.compile(WINDOW, WINDOW[1], privacy=privacy))
    added = {} if privacy is None else {name: outcome.names.index(name) for name in _asked(privacy)}
    return [
        Line(
            tuple(plain(value) for place, value in enumerate(row) if place not in added.values()),
            {name: row[place] for name, place in added.items()},
        )
        for row in outcome.rows
    ]


def _asked(privacy: Privacy) -> list[str]:
    return [name for name in (privacy.discriminator, privacy.user_count, privacy.reason) if name]
