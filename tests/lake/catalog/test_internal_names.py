"""Tables called like something that amci, DuckDB or DuckLake has inside: they disturb nothing."""

from __future__ import annotations

from typing import Any

import pytest

from amci.app.project import load
from amci.kernel.errors import ConfigError

#: Tables and views that amci makes for a while, its own tables, and words that mean something to DuckDB.
NAMES = [
    *(
        "t__rewritten",
        "t_rewritten",
        "rows",
        "transformed",
        "landed",
        "changed",
        "to_delete",
        "staged",
        "work",
    ),
    *("objects", "lake", "checksums", "ducklake_table", "ducklake_metadata", "sqlite_master", "lake_row"),
    *(
        "main",
        "temp",
        "memory",
        "amci",
        "information_schema",
        "pg_catalog",
        "duckdb_tables",
        "select",
        "table",
    ),
]


def test_tables_with_internal_names_are_loaded_widened_and_read(site: Any) -> None:
    site.dataset("d", heavy="same")
    site.transform("same.sql", "SELECT * FROM rows")
    tables = ["t", *NAMES]
    for value in ("1", "x", "2026-01-01"):
        for name in tables:
            site.put(f"adtech/d/{name}/{value}.csv", f"v\n{value}\n")
        drained = site.drain()
        assert drained.tally.failed == 0
        assert drained.found.unroutable == 0
    assert site.tables() == sorted(f"adtech_d.{name}" for name in tables)
    for name in tables:
        assert site.query(f'SELECT v FROM adtech_d."{name}" ORDER BY v') == [("1",), ("2026-01-01",), ("x",)]


@pytest.mark.parametrize(("team", "dataset"), [("information", "schema"), ("pg", "catalog")])
def test_a_schema_that_the_database_has_inside_is_refused(site: Any, team: str, dataset: str) -> None:
    site.dataset(dataset, team=team)
    with pytest.raises(ConfigError, match=f"'{team}_{dataset}' is a schema of the database's own"):
        load(site.workspace, {})
