from __future__ import annotations

import json
from datetime import date
from typing import Any

import duckdb
import pytest

from amci.kernel.layout import sidecar_of
from amci.lake.catalog.casts import cast_sql, fits_sql, widen_sql
from amci.lake.catalog.kinds import Kind, join

FOLDER = "acme/workflow=path/schedule=daily"
TABLE = "adtech_amc.acme_path_daily"
STRINGS = {"type": "ARRAY", "elementDataType": "STRING", "elementNullable": False}


def put(site: Any, day: int, text: str, data_type: Any = STRINGS, *, heads: str = "path,users") -> None:
    """A result of one row whose first column AMC says is of a type; without note where the type is None."""
    key = f"{FOLDER}/2026-11-{day:02}T06:00:00.000Z-path-1a2b3c4d.csv"
    if data_type is not None:
        columns = [
            {"name": heads.partition(",")[0], "dataType": data_type},
            {"name": "users", "dataType": "LONG"},
        ]
        path = sidecar_of(site.raw / key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"output_columns": columns}), encoding="utf-8")
    escaped = text.replace('"', '\\"')
    site.put(key, f'{heads}\n"{escaped}",7\n')


def kind(site: Any) -> str:
    return str(site.query(f"SELECT typeof(path) FROM {TABLE} LIMIT 1")[0][0])


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Kind.TEXTS, "[a, b]", ["a", "b"]),
        (Kind.TEXTS, "[]", []),
        (Kind.TEXTS, "[null, 1, x [US]]", [None, "1", "x [US]"]),
        (Kind.TEXTS, "[two\nlines]", ["two\nlines"]),
        (Kind.INTEGERS, "[1, null, -2]", [1, None, -2]),
        (Kind.INTEGERS, "[]", []),
        (Kind.NUMBERS, "[1.5, 2]", [1.5, 2.0]),
        (Kind.ROWS, "[[1, dsp], [2, null]]", [["1", "dsp"], ["2", None]]),
    ],
)
def test_an_array_as_amc_prints_it_is_a_list_and_printed_again_the_same(
    kind: Kind, text: str, value: list[Any]
) -> None:
    with duckdb.connect() as con:
        asked = f"SELECT {fits_sql(kind, 'v')}, {cast_sql(kind, 'v')} AS v FROM (SELECT ?::VARCHAR AS v)"
        assert con.execute(asked, [text]).fetchall() == [(True, value)]
        if kind is not Kind.NUMBERS:
            printed = f"SELECT {widen_sql(kind, Kind.VARCHAR, 'v')} FROM ({asked})"
            assert con.execute(printed, [text]).fetchall() == [(text,)]


@pytest.mark.parametrize(
    ("kind", "texts"),
    [
        (Kind.TEXTS, ["a, b", "[a", "[[1, a]]", "[[US] Sale, b]", " [a]"]),
        (Kind.INTEGERS, ["[1.5]", "[a]", "[1,2]", "[007]", "[12345678901234567890]"]),
        (Kind.NUMBERS, ["[NaN]", "[1, a]", "[0.123456789012345678]"]),
        (Kind.ROWS, ["[]", "[a]", "[[1, [a]]]", "[[1, a],[2, b]]", "[[1, a], b]"]),
    ],
)
def test_what_is_no_such_array_does_not_fit(kind: Kind, texts: list[str]) -> None:
    with duckdb.connect() as con:
        asked = f"SELECT {fits_sql(kind, 'v')} FROM (SELECT unnest(?) AS v)"
        assert con.execute(asked, [texts]).fetchall() == [(False,)] * len(texts)


def test_arrays_of_two_kinds_are_text_together() -> None:
    lists = [one for one in Kind if one.is_array]
    assert [join(a, b) for a in lists for b in lists if a is not b] == [Kind.VARCHAR] * 12


@pytest.mark.spread(3)
@pytest.mark.parametrize(
    ("text", "data_type", "sql_type", "value"),
    [
        ("[dsp, display]", STRINGS, "VARCHAR[]", ["dsp", "display"]),
        ('[Say "peas"]', "ARRAY<STRING>", "VARCHAR[]", ['Say "peas"']),
        ("[1, 2]", {"type": "ARRAY", "elementDataType": "LONG"}, "BIGINT[]", [1, 2]),
        ("[1, 2]", STRINGS, "VARCHAR[]", ["1", "2"]),
        ("[1.5]", {"type": "array", "elementDataType": "decimal"}, "DOUBLE[]", [1.5]),
        ("[[1, a], [2, b]]", {"type": "ARRAY"}, "VARCHAR[][]", [["1", "a"], ["2", "b"]]),
        ("[1, a]", "STRING", "VARCHAR", "[1, a]"),
        ("2024", "STRING", "VARCHAR", "2024"),
        ("2024", "LONG", "BIGINT", 2024),
        ("2024", "DECIMAL(38,4)", "DOUBLE", 2024.0),
        ("2024", None, "BIGINT", 2024),
        ("many", "DOUBLE", "VARCHAR", "many"),
        ("", "DOUBLE", "DOUBLE", None),
        ("", "LONG", "BIGINT", None),
        ("true", "BOOLEAN", "BOOLEAN", True),
        ("2026-11-01", "DATE", "DATE", date(2026, 11, 1)),
        ("[a, b]", None, "VARCHAR", "[a, b]"),
        ("no array", STRINGS, "VARCHAR", "no array"),
    ],
)
def test_a_column_has_amcs_type_where_every_value_keeps_to_it(
    site: Any, text: str, data_type: Any, sql_type: str, value: Any
) -> None:
    put(site, 1, text, data_type)
    site.drain()
    assert kind(site) == sql_type
    assert site.query(f"SELECT path, users FROM {TABLE}") == [(value, 7)]


@pytest.mark.parametrize("together", [True, False])
def test_types_do_not_depend_on_which_files_came_together(site: Any, together: bool) -> None:
    for day, (text, data_type) in enumerate([("[]", STRINGS), ("[[1, a]]", STRINGS), ("[b, c]", None)], 1):
        put(site, day, text, data_type)
        if not together:
            site.drain()
    site.drain()
    assert kind(site) == "VARCHAR"
    assert sorted(site.query(f"SELECT path FROM {TABLE}")) == [("[[1, a]]",), ("[]",), ("[b, c]",)]


def test_rows_without_the_array_leave_it_a_list(site: Any) -> None:
    put(site, 1, "[a, b]")
    put(site, 2, "", STRINGS)
    site.drain()
    put(site, 3, "[c]")
    site.drain()
    assert kind(site) == "VARCHAR[]"
    assert site.query(f"SELECT path FROM {TABLE} ORDER BY path NULLS LAST") == [
        (["a", "b"],),
        (["c"],),
        (None,),
    ]


@pytest.mark.parametrize(("text", "sql_type"), [("[[1, a]]", "VARCHAR[][]"), ("2026-11-01", "DATE")])
def test_the_first_value_gives_an_empty_column_its_type(site: Any, text: str, sql_type: str) -> None:
    put(site, 1, "", None if sql_type == "DATE" else STRINGS)
    site.drain()
    put(site, 2, text, None if sql_type == "DATE" else STRINGS)
    site.drain()
    assert kind(site) == sql_type
    assert site.query(f"SELECT count(*), count(path) FROM {TABLE}") == [(2, 1)]


def test_the_aws_solution_knows_no_arrays(site: Any) -> None:
    site.configure(
        "datasets/amc.yaml",
        'dataset: amc\npattern: "{tenant}/workflow={workflow}/schedule={schedule}/{file}"\nformat: csv\n'
        "csv: {escape: backslash}\nlight: amc_light_transform\ncompat: aws\n",
    )
    put(site, 1, "[a, b]")
    site.drain()
    assert kind(site) == "VARCHAR"


@pytest.mark.parametrize("said", ['{"output_columns": ["a"]}', '{"output_columns": 7}', "{}"])
def test_a_note_that_says_nothing_of_use_keeps_no_row_out(site: Any, said: str) -> None:
    put(site, 1, "[a]")
    (note,) = site.raw.rglob(".*.json")
    note.write_text(said)
    site.drain()
    assert site.query(f"SELECT path FROM {TABLE}") == [("[a]",)]


def test_the_names_of_arrays_are_those_of_the_lake(site: Any) -> None:
    put(site, 1, "[a]", heads="Path.Of,users")
    site.drain()
    assert site.query(f"SELECT path_of FROM {TABLE}") == [(["a"],)]


def test_a_transform_and_quality_rules_see_lists(site: Any) -> None:
    site.transform("longer.sql", "SELECT *, len(path) AS steps FROM rows")
    site.configure(
        "datasets/amc.yaml",
        'dataset: amc\npattern: "{tenant}/workflow={workflow}/schedule={schedule}/{file}"\nformat: csv\n'
        "csv: {escape: backslash}\nlight: amc_light_transform\nheavy: longer\n",
    )
    put(site, 1, "[a, b]")
    site.drain()
    assert site.query(f"SELECT path, steps FROM {TABLE}") == [(["a", "b"], 2)]
