"""Small tables for the privacy tests: their columns of all levels, their rows drawn in blocks, DuckDB's copy."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa
from hypothesis import strategies as st

from amci.amcsql.sources import Column, Source

User = int | None
#: The number of the user, None where nobody knows him, and the values by column.
BaseRow = tuple[User, Mapping[str, Any]]
Tables = Mapping[str, Sequence[BaseRow]]

LEVELS = ("NONE", "LOW", "MEDIUM", "HIGH", "VERY_HIGH", "INTERNAL")
#: Name, type and level. The tables with users have the same columns, so that any can stand in a union's arm.
WITH_USERS = (
    ("user_id", "STRING", "VERY_HIGH"),
    ("household", "STRING", "INTERNAL"),
    ("device", "STRING", "NONE"),
    ("site", "STRING", "LOW"),
    ("age", "STRING", "MEDIUM"),
    ("postal", "STRING", "HIGH"),
    ("amount", "LONG", "NONE"),
    ("cost", "LONG", "LOW"),
    ("score", "LONG", "MEDIUM"),
    ("income", "LONG", "HIGH"),
)
COLUMNS = {
    "views": WITH_USERS,
    "clicks": WITH_USERS,
    "places": (("postal", "STRING", "HIGH"), ("region", "STRING", "LOW"), ("people", "LONG", "NONE")),
}
PLACES = (("p1", "north", 5), ("p2", "south", 7), ("p3", "south", 9))


def source_of(name: str, columns: Iterable[tuple[str, str, str]]) -> Source:
    """A table without an event time, so that no time window limits it."""
    return Source(
        name=name,
        category="TEST",
        kind="FACT",
        event_time=None,
        columns=tuple(
            Column(column, kind, "METRIC" if kind == "LONG" else "DIMENSION", level)
            for column, kind, level in columns
        ),
    )


SOURCES = {name: source_of(name, columns) for name, columns in COLUMNS.items()}

#: What the i-th user of a block has in a column. Few users make most of some sums, others cancel out.
PATTERNS: Mapping[str, Callable[[int], int | None]] = {
    "ones": lambda _: 1,
    "some": lambda i: i % 3 + 1,
    "heavy": lambda i: 1 if i else 1000,
    "first two": lambda i: 4 if i < 2 else 0,
    "first": lambda i: 0 if i else 7,
    "every other": lambda i: i % 2,
    "signs": lambda i: 1 if i % 2 else -1,
    "zeros": lambda _: 0,
    "nothing": lambda _: None,
}
POSITIVE = ("ones", "some", "heavy")
OFTEN = (*PATTERNS, "first two", "every other", "heavy", "some")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """The like rows of users that follow each other."""

    table: str
    first: int
    users: int
    times: int  #: rows of each user
    is_known: bool
    dimensions: tuple[str | None, ...]  #: device, site, age, postal
    patterns: tuple[str, ...]  #: amount, cost, score, income

    def rows(self) -> Iterable[BaseRow]:
        for i in range(self.users):
            user = self.first + i if self.is_known else None
            names = (None if user is None else f"u{user}", f"h{i // 2}")
            numbers = tuple(PATTERNS[pattern](i) for pattern in self.patterns)
            row = dict(zip(column_names(self.table), (*names, *self.dimensions, *numbers), strict=True))
            yield from [(user, row)] * self.times


def column_names(table: str) -> tuple[str, ...]:
    return tuple(name for name, _, _ in COLUMNS[table])


_patterns = st.tuples(st.sampled_from(POSITIVE), *([st.sampled_from(OFTEN)] * 3))


@st.composite
def cohorts(draw: st.DrawFn) -> list[Block]:
    """Users of one kind: what they have seen, and what some of them, or others, have clicked."""
    pick = st.sampled_from
    first, users = draw(pick([1, 1, 60, 130, 200])), draw(pick([1, 2, 3, 60, 97, 99, 100, 101, 120]))
    dimensions = draw(
        st.tuples(
            pick(["tv", "pc"]),
            pick(["s1", "s2", None]),
            pick(["young", "old", None]),
            pick(["p1", "p2", None]),
        )
    )
    clicked = draw(pick([0, 1, 1, 2, users, users, max(1, users - 1), 13, 101]))
    is_known = draw(pick([True, True, True, True, True, False]))
    return [
        Block(
            table=table,
            first=first,
            users=count,
            times=draw(pick([1, 1, 2])),
            is_known=is_known,
            dimensions=dimensions,
            patterns=draw(_patterns),
        )
        for table, count in (("views", users), ("clicks", clicked))
    ]


def rows_of(several: Iterable[Block]) -> Tables:
    tables: dict[str, list[BaseRow]] = {name: [] for name in COLUMNS}
    for block in several:
        tables[block.table].extend(block.rows())
    tables["places"] = [(None, dict(zip(column_names("places"), place, strict=True))) for place in PLACES]
    return tables


blocks = st.lists(cohorts(), min_size=4, max_size=6).map(lambda several: tuple(itertools.chain(*several)))


def row(table: str, user: User, **values: Any) -> BaseRow:
    """A row by hand; what is not said is NULL."""
    named = {"user_id": None if user is None else f"u{user}"} if COLUMNS[table] is WITH_USERS else {}
    return user, dict.fromkeys(column_names(table)) | named | values


def load(con: duckdb.DuckDBPyConnection, rows: Tables, sources: Mapping[str, Source] = SOURCES) -> None:
    """The tables in schema amc, with the columns AMC does not know of beside those of users."""
    con.execute("CREATE SCHEMA IF NOT EXISTS amc")
    for name, source in sources.items():
        columns = [(c.name, pa.int64() if c.type == "LONG" else pa.string()) for c in source.columns]
        data = {
            column: pa.array([row[column] for _, row in rows.get(name, ())], kind) for column, kind in columns
        }
        if source.has_users:
            users = [user or 0 for user, _ in rows.get(name, ())]
            data["amci user"] = pa.array(users, pa.int64())
            data["amci part"] = pa.array([user or place for place, user in enumerate(users)], pa.int32())
        con.register("loaded", pa.table(data))
        con.execute(f'CREATE OR REPLACE TABLE amc."{name}" AS SELECT * FROM loaded')
        con.unregister("loaded")
