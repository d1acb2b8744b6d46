"""A header is a column by what it says, wherever it stands, in whatever order files come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from amci.kernel.state import State
from amci.lake.catalog.catalog import Catalog
from amci.lake.query import inspect

from ..lakes import reading

CASES = Path(__file__).parents[2] / "field_cases" / "names"

#: The values of each column, by what it must hold, of each field case.
EXPECTED = {
    "ids": [["111", "333"], ["222", "444"], ["10.5", "1.0"]],
    "jp": [["ペン", "インク"], ["1980", "300"], ["5", "7"]],
    "keys": [["U1", "U3"], ["l1", "l3"]],
    "money": [["c1", "c2", "c3"], ["10", "100", None], ["20", "200", "2000"]],
}


#: The files of further tables in the order in which they come, and the columns that hold what is in them.
FURTHER: dict[str, tuple[Sequence[str], Mapping[str, Sequence[str | None]]]] = {
    "a_spelling_keeps_its_column_when_another_one_joins_it": (
        ("userId\nU1\n", "userid,userId\nl2,U2\n", "userId\nU3\n", "userid\nl4\n"),
        {"userid": ["U1", "U2", "U3", None], "userid_fd1449": [None, "l2", None, "l4"]},
    ),
    "one_of_two_spellings_that_were_one_column_leaves_it": (
        ("Ad Group\na1\n", "ad_group\na2\n", "Ad Group,ad_group\nx,y\n", "Ad Group\nz\n"),
        {"ad_group": ["a1", "a2", "y", None], "ad_group_33500c": [None, None, "x", "z"]},
    ),
    "a_header_that_is_repeated_has_a_column_for_each": (
        ("a,b,a\n1,2,3\n", "b,A,a,a\n5,7,4,6\n"),
        {"a": ["1", "4"], "b": ["2", "5"], "a_2": ["3", "6"], "a_559aea": [None, "7"]},
    ),
    "a_field_inside_another_is_not_a_point_in_a_name": (
        (
            '{"a.b": 1, "a": {"b": 2}}',
            '{"a": {"b": 20}}',
            '{"a.b": 100}',
            '{"a": {"b": 2000}, "a.b": 1000}',
        ),
        {"a_b": ["2", "20", None, "2000"], "a_b_2e7336": ["1", None, "100", "1000"]},
    ),
    "a_header_of_two_lines_is_not_a_header_that_is_repeated": (
        ('"a\n2","a\n3"\n1,2\n',),
        {"a_2": ["1"], "a_3": ["2"]},
    ),
    "a_table_of_an_earlier_release_keeps_its_columns": (
        (
            "ctr_,column_2,spend_,a_b\n1,2,3,4\n",
            "CTR (%),価格,Spend ($),A-B\n10,20,30,40\n",
            # From now on by their names.
            "Spend (€),Spend ($),A-B,価格,CTR (%)\n500,300,400,200,100\n",
        ),
        {
            "ctr_": ["1", "10", "100"],
            "column_2": ["2", "20", "200"],
            "spend_": ["3", "30", "300"],
            "a_b": ["4", "40", "400"],
            "spend_euro": [None, None, "500"],
        },
    ),
}


@pytest.fixture(scope="module")
def lake(site_of: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """All field cases and further tables, a file of each at a time."""
    site = site_of(tmp_path_factory.mktemp("names") / "workspace")
    site.dataset("names")
    # It names columns as earlier releases did, and by their headers.
    site.transform("doubled.sql", "SELECT *, spend_::INT * 2 AS twice FROM rows")
    site.dataset(
        "named",
        light="doubled",
        skip_if_all="Filtered?",
        pii="{E-Mail: drop}",
        quality="[{not_null: Spend (€), on_fail: quarantine_rows}, {not_null: spend_, on_fail: fail}]",
    )
    site.put("adtech/named/t/1.csv", "Spend ($),Spend (€),E-Mail,Filtered?\n1,2,x@y.z,true\n3,,x@y.z,no\n")
    site.put("adtech/named/t/2.csv", "Filtered?,Spend (€),Spend ($),E-Mail\ntrue,2,1,x@y.z\n")
    for n in range(4):
        site.put(f"adtech/names/sparse/{n}.json", f'{{"id": {n}, "user": {{"F {n}": {n}}}}}')
    for n in range(4):
        for case in EXPECTED:
            for file in CASES.joinpath(case).glob(f"{'abcd'[n]}.*"):
                site.put(f"adtech/names/{case}/{file.name}", file.read_bytes())
        for table, (files, _) in FURTHER.items():
            for text in files[n : n + 1]:
                end = "json" if text.startswith("{") else "csv"
                site.put(f"adtech/names/{table}/{n}.{end}", text)
        with pytest.MonkeyPatch.context() as patch:
            if not n:
                patch.setattr(Catalog, "_remark", _as_before(Catalog._remark))
            site.drain()
    return site


def _as_before(remark: Callable[..., None]) -> Callable[..., None]:
    """Without what files call the columns, in one table."""
    return lambda self, name, *given: None if "earlier_release" in name.table else remark(self, name, *given)


def by_column(site: Any, table: str, schema: str = "adtech_names") -> dict[str, list[str | None]]:
    """The values of each column, in the order of the objects, as text."""
    with site.asking() as ask:
        found = ask(
            f"SELECT column_name FROM duckdb_columns() WHERE schema_name || '.' || table_name = '{schema}.{table}'"
        )
        own = [name for (name,) in found if name not in ("_object_id", "_version")]
        listed = ", ".join(f'"{name}"::VARCHAR' for name in own)
        rows = ask(f"SELECT {listed} FROM {schema}.{table} ORDER BY _object_id")
    return dict(zip(own, map(list, zip(*rows, strict=True)), strict=True))


def in_any_order(columns: Iterable[Sequence[str | None]]) -> list[list[str]]:
    return sorted(sorted(map(str, column)) for column in columns)


@pytest.mark.parametrize("case", EXPECTED)
def test_what_a_value_belongs_to_does_not_depend_on_where_its_column_stands(lake: Any, case: str) -> None:
    assert in_any_order(by_column(lake, case).values()) == in_any_order(EXPECTED[case])


@pytest.mark.parametrize("table", FURTHER)
def test_columns_of_further_files(lake: Any, table: str) -> None:
    assert by_column(lake, table) == FURTHER[table][1]


def test_files_with_different_columns_are_loaded_together(lake: Any) -> None:
    files = lake.query("SELECT count(*) FROM ducklake_list_files('lake', 'sparse', schema => 'adtech_names')")
    assert files == [(1,)]
    assert sorted(map(str, by_column(lake, "sparse")["user_f_2"])) == ["2", "None", "None", "None"]


def test_the_configuration_may_name_columns_as_before_and_by_their_headers(lake: Any) -> None:
    assert by_column(lake, "t", "adtech_named") == {
        "spend_": ["1"],
        "spend_euro": ["2"],
        "filtered_": ["true"],
        "twice": ["2"],
    }
    assert [run.reason for run in lake.runs(kind="light") if run.reason] == ["every row is Filtered?"]


def test_people_are_told_once_what_a_header_became(lake: Any) -> None:
    told = [run.result["columns"] for run in lake.runs(kind="heavy") if "columns" in (run.result or {})]
    money = [columns for tables in told for table, columns in tables.items() if table == "adtech_names.money"]
    assert money == [{"spend_dollar": "Spend ($)", "spend_euro": "Spend (€)"}]
    with reading(lake.workspace) as opened, State.read_only(lake.workspace.state) as state:
        columns = inspect.table(opened, state, "a_header_that_is_repeated_has_a_column_for_each")["columns"]
        assert [(c["column"], c["header"]) for c in columns if "header" in c] == [
            ("a_2", "a (2)"),
            ("a_559aea", "A"),
        ]
        doubts = inspect.table(opened, state, "a_header_that_is_repeated_has_a_column_for_each")["doubts"]
    assert [(doubt["kind"], doubt["column"]) for doubt in doubts] == [("header", "a_2")] * 2
    doubted = lake.state(
        "SELECT DISTINCT o.key FROM doubts d JOIN objects o USING (object_id) WHERE kind = 'header'"
    )
    assert {key.split("/")[2] for (key,) in doubted} == {"a_header_that_is_repeated_has_a_column_for_each"}
