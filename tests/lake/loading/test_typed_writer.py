"""Large files are cast while they are read: the lake is what it would be otherwise, and no row is cast twice."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq
import pytest

from amci.lake.loading import row_buffer, type_inference, typed_writer

PLACED = """
from amci import Placement

def placed(obj):
    return Placement(table="lines", constants={"where": "é"})
"""
HEADER = "day,name,n,cost,at,flag,empty,ref_id\n"


def line(n: int) -> str:
    return f'2026-01-{n % 3 + 1:02},"x, {n % 4}",{n % 5},{n}.50,2026-01-01T00:00:{n % 60:02}Z,{n % 2 == 0},,{n:03}\n'


def large(*last: str) -> str:
    """So many rows that the first ones tell the types."""
    return HEADER + "".join(map(line, range(40))) + "".join(last)


#: Settings of a dataset, its file, and the partitions whose files are taken as they were written; 0 if DuckDB casts.
CASES: dict[str, tuple[dict[str, str], str, int]] = {
    "plain": ({}, large(), 1),
    "by_key": ({"partition_by": "[table]"}, large(), 1),
    "by_date": ({"partition_by": "[day]"}, large(), 3),
    "by_two": ({"partition_by": "[flag, day]"}, large(), 6),
    "by_text": ({"partition_by": "[name]"}, large("2026-01-09,é/ =%2F,1,2,,,,\n"), 5),
    "by_number": ({"partition_by": "[n]"}, large("2026-01-09,,-1,2,,,,\n"), 6),
    "by_nothing": ({"partition_by": "[day]"}, large(",,1,2,,,,\n"), 0),
    "late_value": ({}, large("2026-01-09,,1,2,,,7,\n"), 0),
    "late_text": ({}, large("2026-01-09,,one,2,,,,\n"), 0),
    "late_words": ({"nulls": '["n/a"]'}, large("2026-01-09,n/a,n/a,2,n/a,,,\n"), 1),
    "declared": ({"types": '{n: VARCHAR, cost: "DECIMAL(9,2)"}'}, large(), 1),
    "not_simple": ({"types": "{empty: UUID}"}, large(), 0),
    "frozen": ({"schema": "freeze"}, large(), 0),
    "personal": ({"pii": "{name: drop}"}, large(), 1),
    "timed": ({"timestamp_column": "seen_at"}, large(), 1),
    "checked": ({"quality": "[{not_null: [n]}]"}, large(), 0),
    "short": ({}, HEADER + line(1), 0),
    "placed": ({"light": "placed"}, large(), 1),
    "changed": ({"light": "changed"}, large(), 0),
    "typed": ({"heavy": "changed"}, large(), 0),
}


@dataclass(frozen=True)
class Both:
    """The same files, cast while they were read, and later."""

    now: Any
    later: Any
    now_has: dict[str, list[Any]]  #: see `answers`
    later_has: dict[str, list[Any]]


@pytest.fixture(scope="module")
def both(site_of: Any, tmp_path_factory: pytest.TempPathFactory) -> Both:
    home = tmp_path_factory.mktemp("typed")
    now, later = site_of(home / "now"), site_of(home / "later")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_buffer, "_SMALL", 1)
        for module in (typed_writer, type_inference):
            patch.setattr(module, "SAMPLE", 10)
        deliver(now)
    # So small files are loaded by the heavy run alone.
    deliver(later)
    return Both(now=now, later=later, now_has=answers(now), later_has=answers(later))


def taken(site: Any) -> Counter[str]:
    """By schema, the files of post-stage that Arrow wrote: DuckDB writes those of heavy runs."""
    files = site.workspace.post_stage.rglob("*.parquet")
    of_arrow = [file for file in files if "arrow" in pq.read_metadata(file).created_by]
    return Counter(file.relative_to(site.workspace.post_stage).parts[0] for file in of_arrow)


def deliver(site: Any) -> None:
    site.transform("changed.sql", "SELECT * FROM rows")
    site.transform("placed.py", PLACED)
    for case, (fields, content, _) in CASES.items():
        site.dataset(case, **fields)
        # One time for all, since a column may tell it.
        os.utime(site.put(f"adtech/{case}/lines/large.csv", content), (1_700_000_000, 1_700_000_000))
    site.drain()


def answers(site: Any) -> dict[str, list[Any]]:
    """By case: columns, rows, partitions and what the ledger says."""
    with site.asking() as ask:
        return {
            case: [
                ask(f"SELECT column_name, column_type FROM (DESCRIBE adtech_{case}.lines) ORDER BY ALL"),
                ask(f"SELECT * EXCLUDE (_object_id) FROM adtech_{case}.lines ORDER BY ALL"),
                ask(
                    "SELECT partition_key_index, partition_value, sum(record_count)"
                    " FROM __ducklake_metadata_lake.ducklake_file_partition_value JOIN"
                    " __ducklake_metadata_lake.ducklake_data_file f USING (data_file_id)"
                    f" WHERE path LIKE '%{case}%' GROUP BY ALL ORDER BY ALL"
                ),
                ask(f"SELECT version, rows, sha256 FROM amci.objects WHERE dataset = '{case}'"),
            ]
            for case in CASES
        }


@pytest.mark.parametrize("case", CASES)
def test_the_lake_is_the_one_of_rows_cast_later(both: Both, case: str) -> None:
    assert both.now_has[case] == both.later_has[case]
    assert (taken(both.now)[f"adtech_{case}"], taken(both.later)[f"adtech_{case}"]) == (CASES[case][2], 0)


def test_nothing_is_left_of_them(both: Both) -> None:
    doubts = "SELECT column_name, says FROM doubts ORDER BY 1, 2"
    assert both.now.state(doubts) == both.later.state(doubts)
    for site in (both.now, both.later):
        assert not list(site.workspace.pre_stage.rglob("*.typed"))
        assert {run.status for run in site.runs()} == {"SUCCEEDED"}
