"""A small world for the tests of AMC SQL: tables with columns of all levels, and a DuckDB that has their rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from amci.amcsql.binder.levels import ValueFacts
from amci.amcsql.findings import CompileError, Finding
from amci.amcsql.privacy.thresholds import Privacy
from amci.amcsql.query import Compiled, Query
from amci.amcsql.sources import Column, Source
from amci.sandbox import udfs
from amci.sandbox.engine import Outcome, run

#: Ten days.
WINDOW = (datetime(2026, 1, 10, tzinfo=UTC), datetime(2026, 1, 20, tzinfo=UTC))
NOW = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
_TYPES = {"S": "STRING", "L": "LONG", "D": "DATE", "T": "TIMESTAMP", "N": "DECIMAL(38,4)", "B": "BOOLEAN"}


def table(name: str, columns: str, event_time: str | None = None, **more: Any) -> Source:
    """A table of `name:TYPE:LEVEL …`."""
    told = [column.split(":") for column in columns.split()]
    return Source(
        name=name,
        category=more.pop("category", "TEST"),
        kind="FACT" if event_time else "DIMENSION",
        event_time=event_time,
        columns=tuple(
            Column(column, _TYPES[kind], "METRIC" if kind in "LN" else "DIMENSION", level)
            for column, kind, level in told
        ),
        **more,
    )


_SAME = "user_id:S:VERY_HIGH device:S:NONE site:S:LOW age:S:MEDIUM postal:S:HIGH household:S:INTERNAL"
SOURCES: Mapping[str, Source] = {
    source.name: source
    for source in (
        table("views", f"{_SAME} at:T:LOW n:L:NONE cost:L:LOW score:L:MEDIUM income:L:HIGH", "at"),
        table("clicks", f"{_SAME} at:T:LOW n:L:NONE cost:L:LOW", "at"),
        table("sales", "user_id:S:VERY_HIGH day:D:LOW item:S:LOW paid:N:NONE is_new:B:LOW", "day"),
        table("places", "postal:S:HIGH region:S:LOW people:L:NONE"),
        table("crm", "user_id:S:VERY_HIGH tier:S:HIGH spend:L:HIGH", is_uploaded=True),
    )
}
Row = Mapping[str, Any]


def look(sql: str, **more: Any) -> Query:
    """What is found in a query."""
    return Query.of(sql, SOURCES, **more)


def compile_(
    sql: str,
    *,
    sources: Mapping[str, Source] = SOURCES,
    window: tuple[datetime, datetime] = WINDOW,
    now: datetime = NOW,
    privacy: Privacy | None = None,
    instance_id: str = "",
    **more: Any,
) -> Compiled:
    """The query; without privacy if none is given."""
    query = Query.of(sql, sources, **({"controls": "none"} if privacy is None else {}) | more)
    return query.compile(window, now, privacy=privacy, instance_id=instance_id)


def refusal(sql: str, **more: Any) -> Finding:
    """The one reason to refuse the query."""
    with pytest.raises(CompileError) as caught:
        compile_(sql, **{"privacy": Privacy(), **more})
    (found,) = caught.value.findings
    return found


def places(sql: str, **more: Any) -> list[tuple[str, str]]:
    """The code of each reason to refuse a query, and the text it is about."""
    lines = sql.split("\n")
    found = []
    for each in look(sql, **more).errors:
        where = each.place
        starts = [sum(len(line) + 1 for line in lines[: line - 1]) for line in (where.line, where.end_line)]
        found.append((each.code, sql[starts[0] + where.column - 1 : starts[1] + where.end_column]))
    return found


def facts(expression: str, source: str = "views") -> ValueFacts:
    """What is known of an expression over a table."""
    found = look(f"SELECT {expression} AS x FROM {source}", controls="none")
    assert not found.errors, found.errors
    assert found.bound is not None
    return found.bound.query.outputs[0].facts


class Tables:
    """A DuckDB that has the tables."""

    def __init__(self) -> None:
        self.con = duckdb.connect(config={"threads": 1})
        self.con.execute("SET TimeZone = 'UTC'")
        self.con.execute("CREATE SCHEMA amc")
        udfs.register(self.con)
        for source in SOURCES.values():
            columns = [f'"{column.name}" {column.sql_type}' for column in source.columns]
            if source.has_users:
                columns += ['"amci user" BIGINT', '"amci part" INTEGER']
            self.con.execute(f"CREATE TABLE amc.{source.name} ({', '.join(columns)})")

    def put(self, name: str, rows: Iterable[Row]) -> None:
        """Rows in place of those that a table has; `user` is the number of the user, `at` in the window."""
        source = SOURCES[name]
        given = [self._filled(source, row) for row in rows]
        self.con.execute(f"DELETE FROM amc.{name}")
        if given:
            self.con.register("given", pa.Table.from_pylist(given))
            self.con.execute(f"INSERT INTO amc.{name} BY NAME SELECT * FROM given")
            self.con.unregister("given")

    def _filled(self, source: Source, row: Row) -> dict[str, Any]:
        made = {column.name: None for column in source.columns}
        if source.event_time:
            made[source.event_time] = "2026-01-15"
        if source.has_users:
            user = row.get("user")
            made |= {"user_id": user and f"u{user}", "amci user": user or 0}
            made |= {"amci part": (user or 0) * 350_003 % 2**20}
        texts = {
            column.name: column.type in ("DATE", "TIMESTAMP", "DECIMAL(38,4)") for column in source.columns
        }
        return {
            name: str(value) if texts.get(name) and value is not None else value
            for name, value in (made | {key: value for key, value in row.items() if key != "user"}).items()
        }

    def ask(self, sql: str, **more: Any) -> list[tuple[Any, ...]]:
        """The rows without privacy, in order."""
        return sorted(self.run(sql, **more).rows, key=repr)

    def seen(self, sql: str, **privacy: Any) -> list[tuple[Any, ...]]:
        """The rows that the privacy rules leave, in order."""
        return sorted(self.run(sql, privacy=Privacy(**privacy)).rows, key=repr)

    def run(self, sql: str, **more: Any) -> Outcome:
        return run(self.con, compile_(sql, **more))

    def redacted(self, sql: str, **privacy: Any) -> list[tuple[Any, ...]]:
        """The rows that the rules touch, then the users each needs, those it has, and the reason."""
        outcome = run(self.con, compile_(sql, privacy=Privacy(**privacy)), explains=True)
        assert outcome.redacted is not None
        rows = [(*row.values.values(), row.required, row.count, row.reason) for row in outcome.redacted]
        return sorted(rows, key=repr)


def crowd(users: int, *, first: int = 1, each: Row | None = None) -> list[dict[str, Any]]:
    """A row for each of so many users."""
    return [{"user": first + place, **(each or {})} for place in range(users)]
