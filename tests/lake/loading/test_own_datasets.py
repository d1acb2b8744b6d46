from __future__ import annotations

import gzip
import threading
from typing import Any

import duckdb
import pytest

from amci.kernel.state import State

CSV = "a,b,discount\n1,x,\n2,y,\n3,y,\n"
PYTHON = """
import polars as pl
import pyarrow as pa


def relation(rows):
    return rows.filter("a > 1")


def table(rows):
    return rows.filter("a > 1").to_arrow_table()


def reader(rows):
    return rows.filter("a > 1").to_arrow_reader(1)


def batch(rows):
    return rows.filter("a > 1").to_arrow_table().combine_chunks().to_batches()[0]


def frame(rows):
    return rows.pl().filter(pl.col("a") > 1)


def lazy(rows, obj):
    return rows.pl().lazy().filter(pl.col("a") > obj.version)
"""


@pytest.mark.spread(3)
@pytest.mark.parametrize("heavy", ["relation", "table", "reader", "batch", "frame", "lazy"])
def test_a_heavy_transform_may_answer_with_any_kind_of_rows(site: Any, heavy: str) -> None:
    site.transform("own.py", PYTHON)
    site.dataset("own", heavy=heavy)
    site.put("adtech/own/t/f.csv", CSV)
    site.drain()
    assert site.query("SELECT a, b FROM adtech_own.t ORDER BY a") == [(2, "y"), (3, "y")]
    assert site.ledger() == [("adtech/own/t/f.csv", 1, 2)]


def test_a_value_that_a_transform_fills_in_keeps_its_type(site: Any) -> None:
    site.transform("filled.sql", "SELECT a, coalesce(CAST(discount AS DOUBLE), 1.5) AS discount FROM rows")
    site.dataset("own", heavy="filled")
    site.put("adtech/own/t/1.csv", CSV)
    site.drain()
    assert site.query("SELECT DISTINCT discount, typeof(discount) FROM adtech_own.t") == [(1.5, "DOUBLE")]


def test_a_value_filled_in_is_not_cut_to_the_type_of_an_older_table(site: Any) -> None:
    site.dataset("own")
    site.put("adtech/own/t/1.csv", "a,discount\n1,4\n")
    site.drain()
    site.transform("filled.sql", "SELECT a, coalesce(CAST(discount AS DOUBLE), 1.5) AS discount FROM rows")
    site.dataset("own", heavy="filled")
    site.put("adtech/own/t/2.csv", "a,discount\n2,\n")
    site.drain()
    assert site.query("SELECT a, discount FROM adtech_own.t ORDER BY a") == [(1, 4.0), (2, 1.5)]


def test_a_column_without_values_takes_the_type_of_those_that_come(site: Any) -> None:
    site.transform("same.sql", "SELECT * FROM rows")
    site.dataset("own", heavy="same")
    site.put("adtech/own/t/1.csv", "a,day\n1,\n")
    site.drain()
    site.put("adtech/own/t/2.csv", "a,day\n2,2026-11-01\n")
    site.drain()
    assert site.query("SELECT a, CAST(day AS VARCHAR), typeof(day) FROM adtech_own.t ORDER BY a") == [
        (1, None, "DATE"),
        (2, "2026-11-01", "DATE"),
    ]


def test_what_a_transform_casts_keeps_its_type_without_any_value(site: Any) -> None:
    site.transform("cast.sql", "SELECT a, CAST(day AS TIMESTAMP) AS day FROM rows")
    site.dataset("own", heavy="cast")
    site.put("adtech/own/t/1.csv", "a,day\n1,\n")
    site.drain()
    assert site.query("SELECT typeof(day) FROM adtech_own.t") == [("TIMESTAMP",)]


def test_a_sql_transform_sees_its_own_object_and_no_other_ones_names(site: Any) -> None:
    site.transform("who.sql", "SELECT a, getvariable('tenant') AS t, getvariable('kind') AS k FROM rows")
    site.dataset("mine", pattern='"{tenant}/mine/{kind}/{file}"', heavy="who", table="t")
    site.dataset("nobody", pattern='"nobodys/{file}"', heavy="who", table="t")
    site.put("acme/mine/first/1.csv", "a\n1\n")
    site.put("acme/mine/second/1.csv", "a\n2\n")
    site.drain()
    site.put("nobodys/1.csv", "a\n3\n")
    site.put("acme/mine/third/1.csv", "a\n4\n")
    site.drain()
    mine = site.query("SELECT a, t, k FROM adtech_mine.t ORDER BY a")
    assert mine == [(1, "acme", "first"), (2, "acme", "second"), (4, "acme", "third")]
    assert site.query("SELECT a, t, k FROM adtech_nobody.t") == [(3, None, None)]


def test_an_object_of_nobody_in_one_batch_with_a_tenants_sees_no_tenant(site: Any) -> None:
    site.transform("who.sql", "SELECT a, getvariable('tenant') AS t FROM rows")
    site.dataset("own", pattern='"{tenant}/own/{file}"', heavy="who", table="t")
    site.dataset("nobody", pattern='"nobodys/{file}"', heavy="who", table="t")
    with site.engine() as engine:
        # One connection for both, as in `amci up`.
        for key in ("acme/own/1.csv", "nobodys/1.csv"):
            site.put(key, "a\n1\n")
            engine.ingest.look_everywhere()
            engine.work(threading.Event())
    assert site.query("SELECT t FROM adtech_own.t") == [("acme",)]
    assert site.query("SELECT t FROM adtech_nobody.t") == [(None,)]


def test_a_transforms_failure_tells_names_and_no_values(site: Any) -> None:
    site.transform("cast.sql", "SELECT CAST(b AS INTEGER) AS b FROM rows")
    site.transform("missing.sql", "SELECT nowhere FROM rows")
    site.dataset("values", heavy="cast")
    site.dataset("names", heavy="missing")
    site.put("adtech/values/t/f.csv", "b\nsecret-value\nother\n")
    site.put("adtech/names/t/f.csv", "b\nsecret-value\n")
    site.drain()
    told = site.quarantined()
    assert "ConversionException" in told["adtech/values/t/f.csv"]
    assert "nowhere" in told["adtech/names/t/f.csv"]
    for path in site.workspace.state.parent.glob("amci.db*"):
        assert b"secret-value" not in path.read_bytes()


@pytest.mark.spread(2)
@pytest.mark.parametrize(
    ("made", "kept"),
    [
        ("'x'::ENUM ('x', 'y')", "x"),
        ("[1, 2]::INTEGER[2]", [1, 2]),
        ("{'a b': ['y'::ENUM ('x', 'y')]}", {"a b": ["y"]}),
        ("MAP {'a': 3::HUGEINT}", {"a": 3}),
        ("4::HUGEINT", 4),
        ("{'a': [5::UHUGEINT]}", {"a": [5]}),
        ("TIMESTAMP_NS '2026-01-01 00:00:00.000001'::VARCHAR", "2026-01-01 00:00:00.000001"),
    ],
)
def test_what_no_table_can_hold_is_held_as_what_loses_nothing(site: Any, made: str, kept: object) -> None:
    site.transform("made.sql", f"SELECT {made} AS v FROM rows")
    site.dataset("own", heavy="made")
    site.put("adtech/own/t/1.csv", "a\n1\n")
    site.drain()
    site.put("adtech/own/t/2.csv", "a\n2\n")
    site.drain()
    assert site.query("SELECT v FROM adtech_own.t") == [(kept,), (kept,)]


@pytest.mark.parametrize(
    ("made", "says"),
    [
        ("'1'::BIT", "column v is BIT: no table holds"),
        ("[union_value(n := 1)]", "no table holds"),
        ("(2::HUGEINT ** 100)::HUGEINT", "column v is HUGEINT: 1 values that BIGINT cannot hold"),
        ("[(2::HUGEINT ** 100)::HUGEINT]", r"column v is HUGEINT[]: 1 values that BIGINT[] cannot hold"),
        ("TIMESTAMP_NS '2026-01-01 00:00:00.000000001'", "1 values that TIMESTAMP cannot hold"),
    ],
)
def test_what_would_lose_a_value_is_said_with_its_column(site: Any, made: str, says: str) -> None:
    site.transform("made.sql", f"SELECT {made} AS v FROM rows")
    site.dataset("own", heavy="made")
    site.put("adtech/own/t/1.csv", "a\n1\n")
    site.drain()
    with State.read_only(site.workspace.state) as state:
        (reason,) = [row["reason"] for row in state.read("SELECT reason FROM runs WHERE status = 'FAILED'")]
    assert says in reason
    assert "cast it in" in reason


def test_a_value_too_long_for_a_partition_stops_only_its_own_file(site: Any) -> None:
    site.dataset("own", partition_by="[v]")
    site.put("adtech/own/t/1.csv", f"v\n{'x' * 300}\n")
    site.put("adtech/own/t/2.csv", "v\nshort\n")
    site.drain()
    assert site.query("SELECT v FROM adtech_own.t") == [("short",)]
    assert "too long for the name of a partition's folder" in site.quarantined()["adtech/own/t/1.csv"]


def test_a_column_without_values_takes_a_type_also_where_nothing_is_transformed(site: Any) -> None:
    site.dataset("own")
    site.put("adtech/own/t/1.csv", "a,day,n\n1,,\n")
    site.drain()
    site.put("adtech/own/t/2.csv", "a,day,n\n2,2026-11-01,7\n")
    site.drain()
    assert site.query("SELECT a, CAST(day AS VARCHAR), n, typeof(n) FROM adtech_own.t ORDER BY a") == [
        (1, None, None, "BIGINT"),
        (2, "2026-11-01", 7, "BIGINT"),
    ]


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf", gzip.compress(b"", mtime=0)])
def test_a_version_without_any_content_takes_no_rows(site: Any, content: bytes) -> None:
    site.dataset("own", format="csv")
    site.put("adtech/own/t/f.csv", CSV)
    site.drain()
    site.put("adtech/own/t/f.csv", content)
    site.drain()
    assert site.query("SELECT count(*) FROM adtech_own.t") == [(3,)]
    assert list(site.quarantined().values()) == ["there is nothing in it, not even a header"]
    site.put("adtech/own/t/f.csv", "a,b,discount\n")
    site.drain()
    assert site.query("SELECT count(*) FROM adtech_own.t") == [(0,)]
    assert site.quarantined() == {}


@pytest.mark.parametrize(
    ("sql", "kept"),
    {
        "SELECT * FROM rows UNION ALL BY NAME SELECT 9 AS id, 90 AS amount": [(2, 20), (9, 90)],
        "SELECT rows.* REPLACE (amount + k AS amount) FROM rows, range(2) r(k)": [(1, 11), (2, 20), (2, 21)],
        "SELECT * REPLACE (1 AS _row) FROM rows": [(2, 20)],
        'SELECT id, amount, 1 AS "_ROW" FROM rows': [(2, 20)],
    }.items(),
)
def test_a_rule_keeps_out_only_the_rows_that_break_it_whatever_numbers_they_have(
    site: Any, sql: str, kept: list[tuple[int, int]]
) -> None:
    """A transform that adds, repeats or numbers rows: those without a number of their own were lost, or kept out."""
    site.transform("more.sql", sql)
    site.dataset(
        "orders",
        heavy="more",
        quality='[{name: r, sql: "SELECT * FROM rows WHERE amount = 10", on_fail: quarantine_rows}]',
    )
    site.put("adtech/orders/lines/a.csv", "id,amount\n1,10\n2,20\n")
    site.drain()
    assert site.query("SELECT id, amount FROM adtech_orders.lines ORDER BY ALL") == kept
    file = next(site.workspace.quarantine.rglob("*.parquet"))
    assert duckdb.sql(f"SELECT id, amount FROM '{file}'").fetchall() == [(1, 10)]


def test_columns_that_a_file_has_to_have_are_named_with_a_near_one(site: Any) -> None:
    site.dataset("parts", partition_by="[dya]")
    site.dataset("ruled", quality="[{not_null: Untis}]")
    for dataset in ("parts", "ruled"):
        site.put(f"adtech/{dataset}/t/1.csv", "day,units\n2026-01-01,1\n")
    site.drain()
    assert site.quarantined() == {
        "adtech/parts/t/1.csv": "no column dya, by which the table is partitioned (did you mean 'day'?)",
        "adtech/ruled/t/1.csv": "quality rule not_null_untis: the table has no column Untis (did you mean 'units'?)",
    }
