"""Connections of DuckDB with its extensions."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from amci.lake.catalog import duck


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duck.connect(memory_limit=2**28, threads=1) as con:
        yield con


def test_the_extensions_are_there(con: duckdb.DuckDBPyConnection) -> None:
    loaded = con.execute("SELECT extension_name FROM duckdb_extensions() WHERE loaded").fetchall()
    assert {("ducklake",), ("sqlite_scanner",)} <= set(loaded)


def test_whoever_has_the_connection_cannot_load_code_that_nobody_signed(
    con: duckdb.DuckDBPyConnection,
) -> None:
    assert con.execute("SELECT current_setting('allow_unsigned_extensions')").fetchall() == [(False,)]
    with pytest.raises(duckdb.InvalidInputException):
        con.execute("SET allow_unsigned_extensions = true")
