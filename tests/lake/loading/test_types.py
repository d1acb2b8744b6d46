"""Types are taken as the file or the dataset states them, and no value is changed by them."""

from __future__ import annotations

import datetime as dt
import io
import json
import sqlite3
from contextlib import closing
from decimal import Decimal
from itertools import zip_longest
from pathlib import Path
from typing import Any
from uuid import UUID

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from amci.kernel.config import parsed
from amci.kernel.errors import ConfigError
from amci.lake.datasets.dataset import Dataset
from amci.lake.loading.spelling_hints import OddColumns

CASES = Path(__file__).parents[2] / "field_cases"
TABLE = "adtech_own.t"


def parquet(values: list[Any], kind: pa.DataType) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"v": pa.array(values, kind)}), file)
    return file.getvalue()


def put(site: Any, content: str | bytes, *, table: str = "t", name: object = 1, end: str = "") -> None:
    end = end or ("csv" if isinstance(content, str) else "parquet")
    site.put(f"adtech/own/{table}/{name}.{end}", content)


def types(site: Any, table: str = TABLE) -> dict[str, str]:
    described = site.query(f"DESCRIBE {table}")
    return {column: sql_type for column, sql_type, *_ in described if not column.startswith("_")}


SAMPLES: dict[str, tuple[list[Any], pa.DataType, str]] = {
    "uuid": ([UUID(int=7).bytes, None], pa.uuid(), "UUID"),
    "clock": ([dt.time(1, 2, 3, 4), None], pa.time64("us"), "TIME"),
    "clock_ns": ([dt.time(1, 2, 3), None], pa.time64("ns"), "TIME"),
    "few": ([1, None], pa.uint64(), "BIGINT"),
    "many": ([2**64 - 1, 1], pa.uint64(), "DECIMAL(20,0)"),
    "tiny": ([Decimal("1E-20"), Decimal(1)], pa.decimal128(38, 20), "DECIMAL(38,20)"),
    "wide": ([Decimal("1.5"), None], pa.decimal256(50, 1), "DOUBLE"),
    "total_cost": ([Decimal("12345678901234567.89"), None], pa.decimal128(20, 2), "DECIMAL(20,2)"),
    "line_id": ([Decimal(7), None], pa.decimal128(20, 0), "VARCHAR"),
    "whole": ([1.0, None], pa.float32(), "DOUBLE"),
    "large": ([float(2**53 + 2), -0.0], pa.float64(), "DOUBLE"),
    "small": ([5e-324, 1.7976931348623157e308], pa.float64(), "DOUBLE"),
    "endless": ([float("inf"), float("-inf")], pa.float64(), "DOUBLE"),
    "nothing": ([None, None], pa.decimal128(5, 1), "VARCHAR"),
    "list": ([[1, None], None], pa.list_(pa.int64()), "VARCHAR"),
    "struct": ([{"a": Decimal("0.10")}, None], pa.struct({"a": pa.decimal128(5, 2)}), "VARCHAR"),
    "word": (["1", "2"], pa.string(), "VARCHAR"),
}


def test_each_type_of_parquet_reaches_the_table_with_its_values(site: Any) -> None:
    columns = {name: pa.array(given, kind) for name, (given, kind, _) in SAMPLES.items()}
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    site.dataset("own")
    put(site, file.getvalue())
    put(site, (CASES / "parquet" / "numbers.parquet").read_bytes(), table="numbers")
    site.drain()
    numbers = {"money": "DECIMAL(18,2)", "small": "DECIMAL(15,2)", "rate": "DOUBLE", "d": "DOUBLE"}
    assert types(site, "adtech_own.numbers") == numbers
    asked = "sum(money), max(small), min(rate), isnan(max(rate)), sum(d)"
    found = site.query(f"SELECT {asked} FROM adtech_own.numbers")
    assert found == [(Decimal("1234567890123456.79"), Decimal("2.00"), 0.5, True, 4.0)]
    assert types(site) == {name: sql_type for name, (_, _, sql_type) in SAMPLES.items()}
    expected = {name: column.to_pylist() for name, column in columns.items()}
    expected |= {"wide": [1.5, None], "line_id": ["7", None], "list": ["[1,null]", None]}
    expected |= {"struct": ['{"a":0.10}', None]}
    found = site.query(f"SELECT {', '.join(SAMPLES)} FROM {TABLE} ORDER BY word")
    assert dict(zip(SAMPLES, map(list, zip(*found, strict=True)), strict=True)) == expected


LONG = "9007199254740993"
MONEY = parquet([Decimal("0.10")], pa.decimal128(18, 2))
MUCH = parquet([Decimal("1234567890123456.78")], pa.decimal128(18, 2))


#: Two files of one table, and the type and the values of their column.
MEETINGS: list[tuple[str | bytes, str | bytes, str, list[Any]]] = [
    (MONEY, "v\n7\n", "DECIMAL(21,2)", [Decimal("0.10"), Decimal(7)]),
    (MONEY, "v\n1.5\n", "DOUBLE", [0.1, 1.5]),
    (MUCH, "v\n1.5\n", "VARCHAR", ["1.5", "1234567890123456.78"]),
    ("v\n1.5\n", f"v\n{LONG}\n", "VARCHAR", ["1.5", LONG]),
    (parquet([1.5], pa.float64()), f"v\n{LONG}\n", "VARCHAR", ["1.5", LONG]),
    (parquet([7], pa.int64()), parquet([None], pa.decimal128(18, 2)), "BIGINT", [None, 7]),
    (MONEY, "v\nx\n", "VARCHAR", ["0.10", "x"]),
]


@pytest.mark.spread(2)
@pytest.mark.parametrize("order", ["together", "apart"])
def test_no_digit_is_lost_where_types_of_several_files_meet(site: Any, order: str) -> None:
    site.dataset("own")
    for position in (0, 1):
        for number, meeting in enumerate(MEETINGS):
            put(site, meeting[position], table=f"t{number}", name=position)
        if order != "together":
            site.drain()
    site.drain()
    tables = {number: f"adtech_own.t{number}" for number in range(len(MEETINGS))}
    found = {
        number: (
            types(site, table)["v"],
            sorted((v for (v,) in site.query(f"SELECT v FROM {table}")), key=str),
        )
        for number, table in tables.items()
    }
    assert found == {n: (t, sorted(v, key=str)) for n, (_, _, t, v) in enumerate(MEETINGS)}


def test_what_a_transform_makes_loses_no_digit_in_a_column_of_fractions(site: Any) -> None:
    site.transform("long.sql", f"SELECT CASE WHEN v = 7 THEN {LONG} END AS v FROM rows")
    site.dataset("own")
    put(site, "v\n1.5\n")
    site.drain()
    site.dataset("own", heavy="long")
    put(site, "v\n7\n", name=7)
    site.drain()
    assert LONG in {str(value) for (value,) in site.query(f"SELECT v FROM {TABLE}")}


DECLARED = "{Amount: 'decimal(18, 2)', zip: VARCHAR, total_cost: DECIMAL(9,2), seller_id: BIGINT}"
ORDERS = "amount,zip,total_cost,seller_id\n12.5,1234,.10,7\n,,,\n"


def doubts(site: Any) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = site.state("SELECT stage, kind, column_name, says, hint FROM doubts")
    return found


def test_a_dataset_declares_the_types_of_columns(site: Any) -> None:
    site.dataset("own", types=DECLARED)
    site.dataset("firm", types=DECLARED, schema="freeze")
    site.transform("same.sql", "SELECT *, amount + 1 AS more FROM rows")
    site.dataset("made", types=DECLARED, heavy="same")
    site.put("adtech/own/t/1.csv", ORDERS)
    site.put("adtech/own/t/2.json", '[{"amount": "7.25", "zip": 9, "total_cost": 3, "seller_id": "8"}]')
    site.put("adtech/own/empty/1.csv", "amount,total_cost\n,\n")
    site.put("adtech/firm/t/1.csv", ORDERS)
    site.put("adtech/made/t/1.csv", ORDERS)
    site.drain()
    expected = {
        "amount": "DECIMAL(18,2)",
        "zip": "VARCHAR",
        "total_cost": "DECIMAL(9,2)",
        "seller_id": "BIGINT",
    }
    assert types(site) == expected
    assert types(site, "adtech_own.empty") == {"amount": "DECIMAL(18,2)", "total_cost": "DECIMAL(9,2)"}
    assert types(site, "adtech_made.t") == expected | {"more": "DECIMAL(18,2)"}
    assert site.query(f"SELECT sum(amount), sum(total_cost), max(zip), sum(seller_id) FROM {TABLE}") == [
        (Decimal("19.75"), Decimal("3.10"), "9", 15)
    ]
    assert doubts(site) == []

    site.put("adtech/own/t/3.csv", ORDERS + "12.345,,1e+3,1\nx,,2,\n")
    site.put("adtech/firm/t/2.csv", ORDERS + "12.345,,,\n")
    site.drain()
    assert types(site) == expected | {"amount": "VARCHAR", "total_cost": "VARCHAR"}
    spelled = site.query(f"SELECT amount FROM {TABLE} WHERE amount <> '' ORDER BY amount")
    assert [text for (text,) in spelled] == ["12.345", "12.5", "12.5", "7.25", "x"]
    hint = "correct the file, or `types:` in the definition of own"
    assert doubts(site) == [
        (
            *("heavy", "types", "amount"),
            "column amount: 2 values are not DECIMAL(18,2), the first in row 3; it is text",
            hint,
        ),
        (
            *("heavy", "types", "total_cost"),
            "column total_cost: 1 value is not DECIMAL(9,2), the first in row 3; it is text",
            hint,
        ),
    ]
    assert types(site, "adtech_firm.t") == expected
    assert site.state("SELECT stage, reason FROM quarantine") == [
        ("heavy", "column amount: 1 value is not DECIMAL(18,2), the first in row 3")
    ]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"amount": "MONEY"}, "MONEY: should be DECIMAL(18,2) or the like, BOOLEAN, "),
        ({"amount": "DECIMAL"}, "DECIMAL: should be DECIMAL(18,2) or the like"),
        ({"amount": "DECIMAL(39,2)"}, "DECIMAL(39,2): should have 1 to 38 digits"),
        ({"amount": "DECIMAL(4,5)"}, "no more behind the point"),
        (
            {"Total Amount": "DATE", "total_amount": "DATE"},
            "'Total Amount' and 'total_amount' are one column",
        ),
        ({"--": "DATE"}, "'--' has neither letters nor digits"),
    ],
)
def test_a_type_that_there_is_not_is_refused_in_a_sentence(given: dict[str, str], says: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Dataset.model_validate({"dataset": "own", "types": given})
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            {"types": {"a": "DATE", "b c": "FOO"}},
            ["own.yaml: types.b c: FOO: should be DECIMAL(18,2) or the "],
        ),
        ({"types": {"a": None}}, ["own.yaml: types.a: input should be a valid string"]),
        (
            {"pii": {"a": "sha", "b": {"hash": "md5"}}},
            ["own.yaml: pii.a: input should be 'drop' or", "own.yaml: pii.b.hash: input should be 'email', "],
        ),
        (
            {"quality": [{"range": {"column": "a", "min": [1]}}]},
            [
                "own.yaml: quality.0.range.min: input should be a valid integer, a valid number, a valid datetime, "
            ],
        ),
        ({"excel": {"sheet": True}}, ["own.yaml: excel.sheet: should be the name of a sheet"]),
    ],
)
def test_what_is_wrong_in_a_definition_is_told_with_its_column_and_once(
    given: dict[str, Any], says: list[str]
) -> None:
    with pytest.raises(ConfigError) as refused:
        parsed(Dataset, {"dataset": "own"} | given, "own.yaml")
    problems = list(map(str, refused.value.problems))
    assert [problem[: len(begin)] for problem, begin in zip(problems, says, strict=True)] == says


#: By column: its values in two files, its type in the end, and the doubt.
DIGITS: dict[str, tuple[str, str, str, str]] = {
    "days": ("20260131 20260201", "2026-02-02", "DATE", ""),
    "minutes": ("20260131", "202601311259", "TIMESTAMP", ""),
    "numbers": ("20261301 20261302", "7", "BIGINT", ""),
    "few": (
        "20260131 20260201 20260202 20260203 20261301",
        "20260131",
        "VARCHAR",
        "'20261301' in row 5 is no date or time",
    ),
    "later": ("20260131", "20261301 20260101", "VARCHAR", "'20261301' in row 1 is no date or time"),
    "before": ("20261301", "20260131", "VARCHAR", "its digits are dates in some rows and numbers in others"),
    "iso": ("2026-01-31", "46000 46001", "VARCHAR", "'46000' in row 1 is no date or time, and 1 more"),
    "total_cost": ("20260131", "20260131", "DOUBLE", ""),
    "units": ("20260131", "20260131", "BIGINT", ""),
}


@pytest.mark.parametrize("is_together", [False, True])
def test_digits_are_dates_in_a_format_that_the_dataset_states(site: Any, is_together: bool) -> None:
    site.dataset("own", dates='["%Y%m%d", "%Y%m%d%H%M", "%d.%m.%Y"]', types="{units: BIGINT}")
    for n in range(2):
        rows = zip_longest(*(values[n].split() for values in DIGITS.values()), fillvalue="")
        put(site, "\n".join([",".join(DIGITS), *map(",".join, rows)]), name=n)
        if not is_together:
            site.drain()
    put(site, json.dumps([{"days": 20260131}]).encode(), table="values", end="json")
    site.drain()
    assert types(site, "adtech_own.values") == {"days": "BIGINT"}
    assert types(site) == {name: sql_type for name, (_, _, sql_type, _) in DIGITS.items()}
    found = site.query(f"SELECT CAST(days AS VARCHAR), few FROM {TABLE} WHERE days IS NOT NULL ORDER BY ALL")
    assert found == [("2026-01-31", "20260131"), ("2026-02-01", "20260201"), ("2026-02-02", "20260131")]
    told = dict(site.state("SELECT column_name, says FROM doubts WHERE kind = 'word'"))
    expected = {
        name: f"column {name} becomes text: {says}" for name, (_, _, _, says) in DIGITS.items() if says
    }
    if is_together:
        # Nothing came first, and two kinds of values that come to a new table are not a few odd words.
        expected["before"] = "column before becomes text: '20261301' in row 1 is no date or time"
        del expected["iso"]
    assert told == expected


def test_short_formats_of_digits_leave_numbers_alone(site: Any) -> None:
    site.dataset("own", dates='["%Y%m%d", "%d%m%y"]')
    put(site, "day,n\n20260131,310126\n")
    site.drain()
    assert types(site) == {"day": "BIGINT", "n": "BIGINT"}


def book(values: list[Any], **more: list[Any]) -> bytes:
    made = openpyxl.Workbook()
    for row in (["v", *more], *zip_longest(values, *more.values())):
        made.active.append(row)
    file = io.BytesIO()
    made.save(file)
    return file.getvalue()


def objects(values: list[Any], **more: list[Any]) -> bytes:
    rows = [dict(zip(("v", *more), row, strict=True)) for row in zip_longest(values, *more.values())]
    return json.dumps(rows).encode()


#: By column: the values of files, which are loaded together and in each order; what they are then, and a doubt.
MIXED: dict[str, tuple[list[list[Any]], list[str], str]] = {
    "one": (
        [[1.234, "1.234,50"]],
        ["1.234", "1.234,50"],
        "1 value is not DOUBLE for certain, as the column has numbers and text, the first in row 1; it is text",
    ),
    "sure": ([[1.5, 7, 2e-5, "1.234,50"]], ["2e-05", "1.5", "7.0", "1234.5"], ""),
    "two": ([[1.234], ["1.234,50"]], ["1.234", "1234.5"], ""),
    "alike": ([["1.234"], ["1.234,50"]], ["1234.0", "1234.5"], ""),
    "word": ([[1.234, "n/a"], ["1.234,50"]], ["1.234", "1234.5"], ""),
}


def drain_in_each_order(site: Any, tables: dict[str, list[tuple[bytes, str]]]) -> list[str]:
    """Load the files of tables together, one after the other, and the other way round; the names of all tables."""
    late = []
    for name, files in tables.items():
        for order in ("together", "forth", "back"):
            several = [(f"{name}_{order}", n, *file) for n, file in enumerate(files)]
            several = several[::-1] if order == "back" else several
            late += several[order != "together" :]
            for table, n, content, end in several[: order != "together"]:
                put(site, content, table=table, name=n, end=end)
    site.drain()
    for table, n, content, end in late:
        put(site, content, table=table, name=n, end=end)
    site.drain()
    return [f"{name}_{order}" for name in tables for order in ("together", "forth", "back")]


def told(site: Any) -> dict[str, str]:
    """What is open, by tables."""
    asked = "SELECT key, says FROM doubts JOIN objects USING (object_id) WHERE resolved_at IS NULL"
    return {key.split("/")[2]: says for key, says in site.state(f"{asked} AND kind <> 'duplicate'")}


def test_a_number_is_not_read_as_text_because_others_were_text(site: Any) -> None:
    own = {
        "decimal": "','",
        "thousands": "'.'",
        "types": f"{{v: DOUBLE, {': DOUBLE, '.join(MIXED)}: DOUBLE}}",
    }
    site.dataset("own", **own, nulls='["n/a"]')
    columns = [{c: files[n] for c, (files, _, _) in MIXED.items() if n < len(files)} for n in (0, 1)]
    made = {"json": objects, "xlsx": book}
    names = drain_in_each_order(
        site, {end: [(made[end]([], **several), end) for several in columns] for end in made}
    )
    for is_again in (False, True):
        if is_again:
            site.reprocess()
        for name in names:
            listed = ", ".join(f"list({c}::VARCHAR ORDER BY {c}) FILTER ({c} IS NOT NULL)" for c in MIXED)
            found = dict(zip(MIXED, *site.query(f"SELECT {listed} FROM adtech_own.{name}"), strict=True))
            assert (name, found) == (name, {c: values for c, (_, values, _) in MIXED.items()})
        says = {f"column {c}: {says}" for c, (_, _, says) in MIXED.items() if says}
        assert told(site) == dict.fromkeys(names, *says)


def test_text_that_a_light_transform_renames_may_have_been_a_number(site: Any) -> None:
    site.transform("named.sql", "SELECT v AS w FROM rows")
    site.dataset("own", decimal="','", thousands="'.'", types="{w: DOUBLE}", light="named")
    put(site, objects(["1.234"]), table="strings", end="json")
    put(site, objects([1.5]), table="numbers", end="json")
    site.drain()
    assert [types(site, f"adtech_own.{t}")["w"] for t in ("strings", "numbers")] == ["VARCHAR", "DOUBLE"]
    assert "1 value is not DOUBLE for certain" in told(site)["strings"]


def test_digits_that_were_numbers_are_not_dates_whatever_came_first(site: Any) -> None:
    site.dataset("own", dates='["%Y%m%d"]')
    put(site, objects([20261101, "20261102"]), table="one", end="json")
    number = (objects([20261101]), "json")
    names = drain_in_each_order(
        site,
        {"csv": [number, (b"v\n20261102\n", "csv")], "strings": [number, (objects(["20261102"]), "json")]},
    )
    assert {types(site, f"adtech_own.{table}")["v"] for table in (*names, "one")} == {"VARCHAR"}
    assert told(site) == dict.fromkeys(
        (*names, "one"), "column v becomes text: its digits are dates in some rows and numbers in others"
    )


def test_a_declared_type_comes_back_with_the_corrected_file(site: Any) -> None:
    site.dataset("own", types="{v: DOUBLE}")
    put(site, objects(["1.5"]), name=1, end="json")
    put(site, objects(["abc"]), name=2, end="json")
    site.drain()
    assert (types(site), len(told(site))) == ({"v": "VARCHAR"}, 1)
    put(site, objects(["2.5"]), name=2, end="json")
    site.drain()
    assert (types(site), told(site)) == ({"v": "DOUBLE"}, {})


TENS = [n + 0.5 for n in range(20)]
#: By table: values of a file, the type of their column once `nulls` is set, and the doubt before that.
WORDS: dict[str, tuple[list[Any], str, str]] = {
    "dash": ([*TENS, "-"], "DOUBLE", "'-' in row 21 is no number"),
    "gap": ([*TENS, " "], "DOUBLE", "' ' in row 21 is no number"),
    "none": ([*TENS, "n/a", "n/a"], "DOUBLE", "'n/a' in row 21 is no number, and 1 more"),
    "digits": ([*range(20), "1,234"], "VARCHAR", "'1,234' in row 21 is no number"),
    "text": ([1, "2", 3, 4], "VARCHAR", "numbers in it are written as text"),
    "true": ([*TENS, "true"], "VARCHAR", "a word in row 21 is no number"),
    "flags": ([True, False, True, True, "n/a"], "BOOLEAN", "'n/a' in row 5 is no true or false"),
    "later": ([30, 40, "n/a", 50], "DOUBLE", "'n/a' in row 3 is no number"),
    "strings": (["30", "40"], "VARCHAR", "numbers in it are written as text"),
}


def test_one_text_cell_among_numbers_is_told(site: Any) -> None:
    site.dataset("own")
    for table in ("later", "strings"):
        put(site, "v\n1.5\n", table=table, name="first")
    site.drain()
    for table, (values, _, _) in WORDS.items():
        put(site, objects(values), table=table, end="json")
    put(site, book(WORDS["digits"][0]), table="sheet", end="xlsx")
    put(site, book([*TENS, "-", " "]), table="blank", end="xlsx")
    put(site, objects([1, 2]), table="two", name="numbers", end="json")
    put(site, objects(["3", "4"]), table="two", name="strings", end="json")
    site.drain()
    expected = {table: says for table, (_, _, says) in WORDS.items()}
    expected |= {"sheet": expected["digits"], "blank": expected["dash"], "two": expected["text"]}
    assert told(site) == {table: f"column v becomes text: {says}" for table, says in expected.items()}
    site.dataset("own", nulls='["-", "n/a", " "]')
    site.reprocess(changed_only=True)
    kinds = {table: kind for table, (_, kind, _) in WORDS.items()} | {"blank": "DOUBLE", "sheet": "VARCHAR"}
    assert {table: types(site, f"adtech_own.{table}")["v"] for table in kinds} == kinds


NUMBERS = CASES / "numbers"


def test_numbers_and_dates_as_people_write_them(site: Any) -> None:
    german = {"decimal": "','", "thousands": "'.'", "percent": "fraction"}
    site.dataset("german", **german)
    site.dataset("dollars", thousands="','", currency="$", percent="fraction", negative="parentheses")
    settled = {"format": "csv", "csv": '{delimiter: "\\t"}', "dates": '["%d.%m.%Y %H:%M:%S %Z"]'}
    site.dataset("settled", **german, **settled, types="{amount: 'DECIMAL(18,2)'}")
    site.transform("typed.sql", "SELECT impressionen::DOUBLE AS typed, kosten FROM rows")
    site.dataset("light", **german, light="typed", nulls="['--']")
    site.put("adtech/german/t/1.csv", (NUMBERS / "german.csv").read_bytes())
    site.put(
        "adtech/german/t/2.json", '[{"Kampagne": "1.234", "Impressionen": 7, "Kosten": 1.234, "CTR": 0.5}]'
    )
    site.put("adtech/german/t/3.parquet", parquet([1.234], pa.float64()))
    site.put("adtech/dollars/t/1.csv", (NUMBERS / "dollars.csv").read_bytes())
    site.put("adtech/settled/t/1.txt", (NUMBERS / "settlement.txt").read_bytes())
    site.put("adtech/light/t/1.csv", 'impressionen,kosten\n1.234,"1.234,5"\n2,--\n')
    site.drain()
    table = "adtech_german.t"
    assert types(site, table) == {
        "kampagne": "VARCHAR",
        "impressionen": "BIGINT",
        "kosten": "DOUBLE",
        "ctr": "DOUBLE",
        "v": "DOUBLE",
    }
    assert sorted(site.query(f"SELECT kampagne, impressionen, kosten, ctr, v FROM {table}"), key=str) == [
        ("1.234", 7, 1.234, 0.5, None),
        ("Alpha", 1234, 12.5, 0.005, None),
        ("Beta", 12500, 1003.2, 0.012, None),
        (None, None, None, None, 1.234),
    ]
    assert site.query("SELECT asin, sessions, sales, cvr, refund FROM adtech_dollars.t ORDER BY asin") == [
        ("B0001", 1204, 1234.5, 0.125, -3.0),
        ("B0002", 998, 8.0, 0.0, -1.0),
    ]
    assert site.query(
        "SELECT sum(amount), max(total_amount), CAST(max(deposit_date) AT TIME ZONE 'UTC' AS VARCHAR)"
        " FROM adtech_settled.t"
    ) == [(Decimal("1222.20"), 1141.18, "2026-03-30 07:49:55")]
    assert site.query("SELECT typed, kosten FROM adtech_light.t ORDER BY typed") == [
        (1.234, 1234.5),
        (2.0, None),
    ]

    # What becomes text is spelled as it landed, and JSON is read as JSON also if an earlier release staged it.
    with closing(sqlite3.connect(site.workspace.state)) as db, db:
        changed = db.execute("UPDATE runs SET payload = json_remove(payload, '$.tables[0].values')").rowcount
        assert changed > 0
    site.put("adtech/german/t/4.csv", "Kampagne;Impressionen;Kosten;CTR\nGamma;1.23;n/a;1 %\n")
    site.drain()
    became = types(site, table)
    assert (became["impressionen"], became["kosten"], became["ctr"]) == ("VARCHAR", "VARCHAR", "DOUBLE")
    assert sorted(site.query(f"SELECT impressionen, kosten, ctr FROM {table}"), key=str) == [
        ("1.23", "n/a", 0.01),
        ("1.234", "12,50", 0.005),
        ("12.500", "1.003,20", 0.012),
        ("7", "1.234", 0.5),
        (None, None, None),
    ]


DAYS = "day,at,code\n13/02/2026,1/2/2026 10:00 AM,1.2.3\n14/02/2026,1/2/2026 1:00 PM,1.2.4\n"


WRITTEN = """us;half;zone;web;jp;excel;gaps;iso
11/13/26;2026-11-01 5:03 PM;2026-11-01 05:03:00 UTC;11/13/2026, 5:03 PM;2026年11月1日;Sunday, May 3, 2026;-;2026-11-01
1/2/26;2026-11-02 5:03 AM;2026-11-02 05:03:00 UTC;1/2/2026, 5:03 AM;2026年11月10日;Monday, May 4, 2026;1,234.5;
1/2/26;2026-11-02 5:03 AM;2026-11-02 05:03:00 UTC;1/2/2026, 5:03 AM;;Monday, May 4, 2026;N/A;2026-11-01
"""
NAMED = """posted;spaced;long;due;debit;what
1-Nov-26;01 Nov 2026;November 1, 2026;Nov 1, 2026 5:03 PM;1,005.00-;May 2
12-may-26;31 Jan 2026;May 12, 2026;Dec 31, 2026 11:00 AM;3.10;Mar 3 a
"""


def test_a_spelling_that_the_dataset_does_not_know_is_told_with_its_setting(site: Any) -> None:
    site.dataset("plain")
    formats = ["%d-%b-%y", "%d %b %Y", "%B %d, %Y", "%b %d, %Y %I:%M %p"]
    site.dataset("known", dates=json.dumps(formats), thousands="','", negative="trailing")
    site.put("adtech/known/t/1.csv", NAMED)
    site.put("adtech/plain/german/1.csv", (NUMBERS / "german.csv").read_bytes())
    site.put("adtech/plain/dollars/1.csv", (NUMBERS / "dollars.csv").read_bytes())
    site.put("adtech/plain/thousand/1.csv", "a;b;c;d\n1.000;1,50;2,000;1.5\n2;7;1,000;1.5\n")
    site.put("adtech/plain/days/1.csv", DAYS)
    site.put("adtech/plain/named/1.csv", NAMED)
    site.put("adtech/plain/written/1.csv", WRITTEN)
    site.put("adtech/plain/strings/1.json", '[{"s": "1.234,50", "t": "01.11.2026", "u": "12"}]')
    site.put("adtech/plain/usual/1.csv", 'a,b,phone,sku\n1.5,"Oslo, Rome",+47 22 22,c7\n1.234,x,1-2-3,c12\n')
    for n in range(3):  # loaded together, told once
        site.put(f"adtech/plain/often/{n}.csv", f'price\n"{n},50"\n')
    site.put("adtech/plain/german/2.json", '[{"Preis": "3,50", "Impressionen": 1.234}]')
    site.drain()
    definition = "in the definition of plain, then `amci lake reprocess --changed`"
    found = {(column, kind): hint.removesuffix(definition) for _, kind, column, _, hint in doubts(site)}
    both = 'set `decimal: ","` and `thousands: "."` '
    assert found == {
        ("kosten", "text"): both,
        ("ctr", "text"): 'set `decimal: ","` and `percent: fraction` ',
        ("impressionen", "numbers"): both,
        ("sessions", "text"): 'set `decimal: ","` or `thousands: ","` ',
        ("sales", "text"): 'set `thousands: ","` and `currency: "$"` ',
        ("cvr", "text"): "set `percent: fraction` ",
        ("refund", "text"): 'set `currency: "$"` and `negative: parentheses` ',
        ("b", "text"): 'set `decimal: ","` ',
        ("c", "text"): 'set `decimal: ","` or `thousands: ","` ',
        ("a", "numbers"): both,
        ("price", "text"): 'set `decimal: ","` ',
        ("posted", "text"): 'set `dates: ["%d-%b-%y"]` ',
        ("long", "text"): 'set `dates: ["%B %d, %Y"]` ',
        ("spaced", "text"): 'set `dates: ["%d %b %Y"]` ',
        ("due", "text"): 'set `dates: ["%b %d, %Y %I:%M %p"]` ',
        ("debit", "text"): 'set `thousands: ","` and `negative: trailing` ',
        ("preis", "text"): 'set `decimal: ","`, with `types: {preis: DOUBLE}` ',
        ("us", "text"): 'set `dates: ["%m/%d/%y"]` ',
        ("half", "text"): 'set `dates: ["%Y-%m-%d %I:%M %p"]` ',
        ("zone", "text"): 'set `dates: ["%Y-%m-%d %H:%M:%S %Z"]` ',
        ("web", "text"): 'set `dates: ["%m/%d/%Y, %I:%M %p"]` ',
        ("jp", "text"): 'set `dates: ["%Y年%m月%d日"]` ',
        ("excel", "text"): 'set `dates: ["%A, %B %d, %Y"]` ',
        ("gaps", "text"): 'set `thousands: ","`, with `nulls: ["-", "N/A"]` ',
        ("s", "text"): 'set `decimal: ","` and `thousands: "."`, with `types: {s: DOUBLE}` ',
        ("t", "text"): 'set `dates: ["%d.%m.%Y"]` ',
        ("day", "text"): 'set `dates: ["%d/%m/%Y"]` ',
        ("at", "text"): 'set `dates: ["%d/%m/%Y %I:%M %p"]` or `dates: ["%m/%d/%Y %I:%M %p"]` ',
    }
    assert list(types(site, "adtech_known.t").values()) == [*["DATE"] * 3, "TIMESTAMP", "DOUBLE", "VARCHAR"]
    before = len(doubts(site))
    assert before == len(found)
    site.put("adtech/plain/german/3.csv", "Kampagne;Impressionen;Kosten;CTR\nGamma;1.5;3,50;1,5 %\n")
    site.drain()
    assert len(doubts(site)) == before  # that they are text is known by now, and 1.5 is no thousand


def test_a_spelling_is_told_whatever_else_is_set_and_from_any_of_the_first_rows(site: Any) -> None:
    site.dataset("percent", percent="fraction")
    site.dataset("late")
    site.dataset("dates", dates='["%d.%m.%Y"]')
    site.dataset("sure", decimal="'.'")
    site.dataset("set", decimal="','", thousands="'.'")
    site.put("adtech/set/t/1.json", '[{"w": "1.234,50", "x": "1,234.50"}]')
    site.dataset("typed", types="{Impr: DOUBLE}")
    site.dataset("listed", dates='["%d.%m.%Y"]', nulls='["-"]')
    site.put("adtech/listed/t/1.csv", "d,n\n31/01/2026,$1.50\nN/A,-\n01/02/2026,N/A\n")
    rising = "".join(f'"{n:,}"\n' for n in range(3, 1500, 3))
    site.put("adtech/late/rising/1.csv", f"rising\n{rising}")
    site.put("adtech/late/iso/1.csv", "iso\nn/a\n2026-11-01\n2026-11-02\n2026-11-03\n2026-11-04\n")
    site.put("adtech/late/empty/1.csv", "a,b\n" + ",1\n" * 250 + '"1,234.50",1\n')
    signed = "plus,change,minus,phone,dial\n+5,+3.5%,−5,+4722222222,+47 22\n-6,0%,7,+4722222223,+47 23\n"
    site.put("adtech/late/signs/1.csv", signed)
    site.dataset("signs", percent="fraction", signs="any")
    site.put("adtech/signs/t/1.csv", signed)
    german = "Datum;Impr;Ratio;Size\n01.11.2026;500;0.125;1.5\n02.11.2026;12.000;0.250;1.250\n"
    site.put("adtech/percent/t/1.csv", 'cost,impr\n"12,50",1.234\n"7,00",2.000\n')
    site.put("adtech/late/t/1.csv", 'cost\n1\n2\n3\n"12,50"\n')
    site.put("adtech/late/german/1.csv", german)
    site.put("adtech/late/english/1.csv", german.replace("11.2026", "11-2026").replace(";", ","))
    for dataset in ("dates", "sure", "typed"):
        site.put(f"adtech/{dataset}/t/1.csv", german.replace(";", "," if dataset == "dates" else ";"))
    site.drain()
    told = "SELECT key, column_name, kind FROM doubts JOIN objects USING (object_id) ORDER BY 1, 2"
    assert [(*key.split("/")[1:3], column, kind) for key, column, kind in site.state(told)] == [
        ("dates", "t", "impr", "numbers"),
        ("late", "empty", "a", "text"),
        ("late", "german", "datum", "text"),
        ("late", "german", "impr", "numbers"),
        ("late", "iso", "iso", "word"),
        ("late", "rising", "rising", "text"),
        ("late", "signs", "change", "text"),
        ("late", "signs", "minus", "text"),
        ("late", "signs", "plus", "text"),
        ("late", "t", "cost", "word"),
        ("listed", "t", "d", "text"),
        ("listed", "t", "n", "text"),
        ("percent", "t", "cost", "text"),
        ("percent", "t", "impr", "numbers"),
        ("set", "t", "w", "text"),
        ("sure", "t", "datum", "text"),
        ("typed", "t", "datum", "text"),
    ]
    hints = dict(site.state("SELECT kind || column_name, hint FROM doubts"))
    assert hints["textw"].startswith("set `types: {w: DOUBLE}` in")
    assert hints["wordcost"].startswith('set `decimal: ","` ')
    listed = 'set `dates: ["%d.%m.%Y", "%d/%m/%Y"]`, with `nulls: ["-", "N/A"]` in'
    assert hints["textd"].startswith(listed)
    assert hints["textn"].startswith('set `currency: "$"`, with `nulls: ["-", "N/A"]` in')
    assert hints["textrising"].startswith('set `decimal: ","` or `thousands: ","` ')
    assert hints["textchange"].startswith("set `percent: fraction` and `signs: any` in")
    assert hints["wordiso"].startswith("correct the file")
    assert hints["textplus"].startswith("set `signs: any` in")
    found = site.query("SELECT plus, change, minus FROM adtech_signs.t ORDER BY minus")
    assert found == [(5, 0.035, -5), (-6, 0.0, 7)]
    assert hints["numbersimpr"].startswith('set `decimal: ","` and `thousands: "."` ')


def test_values_in_formulas_and_blanks_are_told_with_its_setting(site: Any) -> None:
    site.dataset("kept")
    site.dataset("own", csv="{formulas: text, blanks: strip}")
    for dataset in ("kept", "own"):
        site.put(f"adtech/{dataset}/t/1.csv", 'zip,code,n\n="00123",="7",1 \n="1",,2\n')
    site.drain()
    says = 'values are written as formulas of a spreadsheet, such as ="…", in code, zip'
    blanks = "values have blanks around them, so that they are no numbers or dates, in n"
    hint = "set `csv: {{{}}}` in the dataset, and they are what is inside".format
    hints = f"{hint('formulas: text')}; {hint('blanks: strip')}"
    assert doubts(site) == [("light", "text", "", f"{says}; {blanks}", hints)]
    assert types(site) == {"zip": "VARCHAR", "code": "VARCHAR", "n": "BIGINT"}
    assert site.query(f"SELECT zip, code FROM {TABLE} ORDER BY n") == [("00123", "7"), ("1", None)]
    assert site.query("SELECT zip FROM adtech_kept.t WHERE n = '1 '") == [('="00123"',)]


def test_values_in_formulas_are_told_behind_empty_ones() -> None:
    odd = OddColumns()
    odd.see("", pa.record_batch({"zip": [None] * 300 + ['="00123"'], "n": [None, "", None, *"1" * 298]}))
    assert [doubt.says[-8:] for doubt in odd.marked()] == [", in zip"]


def test_what_a_doubt_says_makes_numbers_of_a_column_of_text(site: Any) -> None:
    site.dataset("own")
    german = (NUMBERS / "german.csv").read_text(encoding="utf-8")
    put(site, german, name=1)
    site.drain()
    put(site, german.replace("Alpha", "Gamma"), name=2)
    site.drain()
    site.dataset("own", decimal="','", thousands="'.'", percent="fraction")
    site.reprocess(changed_only=True)
    assert types(site) == {
        "kampagne": "VARCHAR",
        "impressionen": "DOUBLE",
        "kosten": "DOUBLE",
        "ctr": "DOUBLE",
    }
    found = site.query(f"SELECT sum(impressionen), sum(kosten), sum(ctr) FROM {TABLE}")
    assert found == [(27468.0, 2031.4, pytest.approx(0.034))]


def test_a_frozen_column_takes_values_of_its_type_whatever_type_the_file_states(site: Any) -> None:
    site.dataset("own", schema="freeze")
    put(site, "v\n7\n", name=1)
    site.drain()
    put(site, parquet([8.0, None], pa.float64()), name=2)
    put(site, parquet([Decimal(9)], pa.decimal128(38, 0)), name=3)
    put(site, parquet([1.5], pa.float64()), name=4)
    site.put("adtech/own/t/5.json", '[{"v": "10"}]')
    site.drain()
    assert (types(site), doubts(site)) == ({"v": "BIGINT"}, [])
    assert site.query(f"SELECT list(v ORDER BY v) FROM {TABLE}") == [([7, 8, 9, None],)]
    refused = [reason for (reason,) in site.state("SELECT reason FROM quarantine ORDER BY reason")]
    assert refused == [
        f"column v: the table has BIGINT, the file has {kind}" for kind in ("DOUBLE", "VARCHAR")
    ]
