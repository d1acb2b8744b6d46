"""A session that is kept shows what a new one would show."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path

import pytest

from amci.kernel.errors import QueryError
from amci.kernel.workspace import WorkspacePaths
from amci.lake.catalog.catalog import Catalog
from amci.lake.catalog.duck import LAKE
from amci.lake.query.kept_session import SessionKeeper
from amci.lake.query.session import QuerySession

MIB = 1024 * 1024


def load(catalog: Catalog, schema: str, table: str, object_id: int) -> None:
    with catalog.transaction():
        catalog.con.execute(f"CREATE SCHEMA IF NOT EXISTS {LAKE}.{schema}")
        sql = f"SELECT '{schema}' AS place, {object_id}::BIGINT AS _object_id, 1::INTEGER AS _version"
        catalog.con.execute(f"CREATE TABLE IF NOT EXISTS {LAKE}.{schema}.{table} AS {sql} LIMIT 0")
        catalog.con.execute(f"INSERT INTO {LAKE}.{schema}.{table} {sql}")
        row = {"object_id": object_id, "version": 1, "tenant_id": "acme", "rows": 1}
        catalog.ledger.enter([row | {"schema_name": schema, "table_name": table}])


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    catalog = Catalog(WorkspacePaths(tmp_path), memory_limit=256 * MIB, threads=1)
    load(catalog, "b", "t", 1)
    yield catalog
    catalog.close()


@pytest.fixture
def keeper() -> Iterator[SessionKeeper]:
    with SessionKeeper() as keeper:
        yield keeper


def asking(
    keeper: SessionKeeper, home: Path, tenant: str | None = None, timeout: float = 60
) -> AbstractContextManager[QuerySession]:
    return keeper.session(
        WorkspacePaths(home), memory_limit=256 * MIB, timeout=timedelta(seconds=timeout), threads=1,
        tenant=tenant, as_of=None, verifies=False,
    )  # fmt: skip


def ask(
    keeper: SessionKeeper, home: Path, sql: str, tenant: str | None = None
) -> tuple[QuerySession, list[object]]:
    """Which session answered, and what."""
    with asking(keeper, home, tenant) as session:
        return session, [value for (value,) in session.run(sql).fetchall()]


def test_a_session_is_opened_again_only_if_its_tables_may_be_others(
    catalog: Catalog, keeper: SessionKeeper, tmp_path: Path
) -> None:
    ask(keeper, tmp_path, "SELECT 1")  # nothing is known of the lake before
    first, found = ask(keeper, tmp_path, "SELECT count(*) FROM b.t")
    load(catalog, "b", "t", 2)
    second, later = ask(keeper, tmp_path, "SELECT count(*) FROM b.t")
    assert (found, later, first is second) == ([1], [2], True)
    # Without its schema, a table is that of the first schema by name.
    load(catalog, "a", "t", 3)
    third, place = ask(keeper, tmp_path, "SELECT place FROM t")
    assert (third is second, place) == (False, ["a"])


def test_a_session_of_one_tenant_knows_the_tables_of_each_commit(
    catalog: Catalog, keeper: SessionKeeper, tmp_path: Path
) -> None:
    tables = "SELECT count(*) FROM (SHOW TABLES)"
    ask(keeper, tmp_path, "SELECT 1")
    first, _ = ask(keeper, tmp_path, tables, "acme")
    second, _ = ask(keeper, tmp_path, tables, "acme")
    load(catalog, "b", "t", 2)
    third, _ = ask(keeper, tmp_path, tables, "acme")
    assert (first is second, second is third) == (True, False)


def test_what_a_query_leaves_behind_is_gone_for_the_next(
    catalog: Catalog, keeper: SessionKeeper, tmp_path: Path
) -> None:
    ask(keeper, tmp_path, "SELECT 1")
    ask(keeper, tmp_path, "SELECT setseed(0.5)")
    once = ask(keeper, tmp_path, "SELECT random()")
    ask(keeper, tmp_path, "SELECT setseed(0.5)")
    assert ask(keeper, tmp_path, "SELECT random()") != once
    with asking(keeper, tmp_path) as session:
        session.run("PIVOT b.t ON place USING count(*)")  # in a transaction, and nothing is fetched
        session.stop.set()
    load(catalog, "b", "t", 2)
    assert ask(keeper, tmp_path, "SELECT count(*) FROM b.t") == (once[0], [2])
    with pytest.raises(QueryError), asking(keeper, tmp_path) as session:
        session.run("SELECT nothing")
    assert ask(keeper, tmp_path, "SELECT 1") == (once[0], [1])


def test_after_an_interruption_or_with_another_catalog_it_is_a_new_one(
    catalog: Catalog, keeper: SessionKeeper, tmp_path: Path
) -> None:
    ask(keeper, tmp_path, "SELECT 1")
    first, _ = ask(keeper, tmp_path, "SELECT 1")
    with pytest.raises(KeyboardInterrupt), asking(keeper, tmp_path):
        raise KeyboardInterrupt
    second, _ = ask(keeper, tmp_path, "SELECT 1")
    third, _ = ask(keeper, tmp_path, "SELECT 1")
    place = WorkspacePaths(tmp_path).catalog
    copy = place.with_name("copy")
    copy.write_bytes(place.read_bytes())
    copy.replace(place)
    fourth, _ = ask(keeper, tmp_path, "SELECT 1")
    assert len({id(each) for each in (first, second, third, fourth)}) == 4
