"""A small world for all tests of its tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import duckdb
import pytest

from amci.sandbox.data.world import World

LAST = date(2026, 10, 31)
Ask = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture(scope="session")
def small_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """2,000 people, 40 days."""
    world = World(directory=tmp_path_factory.mktemp("world"), seed=1, scale=0.02, days=40)
    world.prepare(LAST)
    return world


@pytest.fixture(scope="session")
def session(small_world: World) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        con.execute("SET threads = 1")
        con.execute("CREATE SCHEMA amc")
        for statement in small_world.statements(LAST):
            con.execute(statement)
        con.execute("USE amc")
        yield con


@pytest.fixture(scope="session")
def ask(session: duckdb.DuckDBPyConnection) -> Ask:
    """The rows of a query over AMC's tables."""
    return lambda sql: session.execute(sql).fetchall()


@pytest.fixture(scope="session")
def one(ask: Ask) -> Callable[[str], Any]:
    """The only value of a query, or its only row."""

    def answer(sql: str) -> Any:
        (row,) = ask(sql)
        return row[0] if len(row) == 1 else row

    return answer
