"""Who belongs to which of Amazon's segments: now, and on the first Thursdays of the months."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from amci.amcsql.sources import sources
from amci.sandbox.data.families import PAID
from amci.sandbox.data.generate import EventGenerator
from amci.sandbox.data.world import views

SEGMENTS = tuple(family for family in PAID if any(made.name == "user_segments" for made in family.files))
TABLES = [
    f"audience_segments_{region}_{kind}"
    for region in ("amer", "apac", "eu")
    for kind in ("inmarket", "lifestyle")
]
LAST = date(2026, 10, 31)
Ask = Callable[[str], list[tuple[Any, ...]]]


def _asked(folder: Path, first: date, last: date) -> Ask:
    making = EventGenerator(folder=folder, seed=1, scale=0.01, families=SEGMENTS)
    assert list(making.stretch(first, last, last_table="segment_days"))
    files = {
        made.name: sorted((folder / made.name).glob("*.parquet"))
        for family in SEGMENTS
        for made in family.files
    }

    con = duckdb.connect()
    con.execute("CREATE SCHEMA amc")
    for statement in views(SEGMENTS, files, last):
        con.execute(statement)
    con.execute("USE amc")
    return lambda sql: con.execute(sql).fetchall()


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Ask:
    return _asked(tmp_path_factory.mktemp("segments"), LAST - timedelta(days=59), LAST)


def _snapshots(ask: Ask, table: str) -> list[date]:
    return [day for (day,) in ask(f"SELECT DISTINCT snapshot_datetime FROM {table}_snapshot ORDER BY 1")]


@pytest.mark.parametrize("table", TABLES)
def test_snapshots_are_of_the_first_thursdays_among_the_days(ask: Ask, table: str) -> None:
    assert _snapshots(ask, table) == [date(2026, 9, 3), date(2026, 10, 1)]


@pytest.mark.parametrize(
    ("first", "last", "snapshots"),
    [
        (date(2026, 10, 10), date(2026, 10, 14), [date(2026, 10, 1)]),
        (date(2026, 9, 28), date(2026, 9, 30), [date(2026, 9, 3)]),
        (date(2026, 10, 1), date(2026, 10, 1), [date(2026, 10, 1)]),
        (date(2026, 1, 1), date(2026, 1, 3), [date(2026, 1, 1)]),
        (date(2025, 12, 30), date(2026, 2, 5), [date(2026, 1, 1), date(2026, 2, 5)]),
    ],
)
def test_without_a_first_thursday_the_snapshot_is_the_one_before(
    tmp_path: Path, first: date, last: date, snapshots: list[date]
) -> None:
    assert _snapshots(_asked(tmp_path, first, last), TABLES[0]) == snapshots


@pytest.mark.parametrize("table", TABLES)
def test_the_table_itself_says_who_belongs_now(ask: Ask, table: str) -> None:
    assert ask(f"SELECT DISTINCT snapshot_datetime FROM {table}") == [(LAST,)]
    ((twice, rows),) = ask(
        f'SELECT count(*) - count(DISTINCT ("amci part", segment_id, segment_marketplace_id)), count(*) FROM {table}'
    )
    assert twice == 0
    assert rows > 100


@pytest.mark.parametrize("table", TABLES)
def test_who_was_there_earlier_is_most_of_those_who_are_there_now(ask: Ask, table: str) -> None:
    ((now, then, both),) = ask(
        f"""SELECT (SELECT count(*) FROM {table}),
                   (SELECT count(*) FROM {table}_snapshot WHERE snapshot_datetime = DATE '2026-10-01'),
                   (SELECT count(*) FROM {table} n JOIN {table}_snapshot t USING ("amci part", segment_id)
                     WHERE t.snapshot_datetime = DATE '2026-10-01')"""
    )
    assert both == then
    assert 0.90 < then / now < 0.99


def test_months_differ_in_who_was_there(ask: Ask) -> None:
    ((changed,),) = ask(
        f"""WITH s AS (SELECT month(snapshot_datetime) AS month, "amci part" AS part, segment_id
                         FROM {TABLES[0]}_snapshot)
            SELECT count(*) FROM (SELECT part, segment_id FROM s WHERE month = 10
                                  EXCEPT SELECT part, segment_id FROM s WHERE month = 9)"""
    )
    assert changed > 0


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("end", ["", "_snapshot"])
def test_what_a_segment_is_stands_in_the_metadata_once(ask: Ask, table: str, end: str) -> None:
    category = "In-market" if "inmarket" in table else "Lifestyle"
    ((rows, found, named),) = ask(
        f"""SELECT (SELECT count(*) FROM {table}{end}), count(*), count(*) FILTER (m.segment_name = a.segment_name
                     AND m.category_level_1 = '{category}' AND starts_with(m.category_path, m.category_level_1))
              FROM {table}{end} a JOIN segment_metadata m USING (segment_id, segment_marketplace_id)"""
    )
    assert rows == found == named > 0


@pytest.mark.parametrize(
    ("region", "marketplaces"),
    [("amer", {1, 7, 771770}), ("eu", {3, 4, 5, 35691, 44551}), ("apac", {6, 111172, 44571})],
)
def test_a_regions_table_has_the_regions_marketplaces(ask: Ask, region: str, marketplaces: set[int]) -> None:
    found = ask(f"SELECT DISTINCT segment_marketplace_id FROM audience_segments_{region}_lifestyle")
    assert {number for (number,) in found} == marketplaces


def test_all_twelve_and_the_metadata_are_amcs(ask: Ask) -> None:
    for table in (*TABLES, *(f"{table}_snapshot" for table in TABLES), "segment_metadata"):
        amcs = [(column.name, column.sql_type) for column in sources()[table].columns]
        assert [row[:2] for row in ask(f"DESCRIBE {table}")][: len(amcs)] == amcs
