"""What a load sends to DuckDB grows with the columns of its files, and no faster."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from amci.lake.catalog.duck import LEDGER
from tests.conftest import Site, drained

#: Columns of the small file, and how many times as many the large one has.
FEW, TIMES = 40, 10
#: What is sent for a load whatever it is of, how many columns are asked in one scan of all rows, and the characters
#: for a column: in the list of a SELECT, in its cast, in a comment.
STATEMENTS, SCANNED, CHARACTERS, CHARACTERS_OF_COLUMN = 12, 60, 60_000, 1_000

VALUES = {
    "whole numbers": lambda row, _: str(row),
    "fractions": lambda row, _: f"{row}.5",
    "text": lambda row, _: f"text {row}",
    "days": lambda row, _: f"2026-01-0{row + 1}",
    "nothing": lambda *_: "",
    "all of these": lambda row, i: (str(row), f"{row}.5", "text", "2026-01-01", "")[i % 5],
}


def names(columns: int, prefix: str = "c") -> list[str]:
    return [f"{prefix}{i}" for i in range(columns)]


def csv_of(header: Sequence[str], value: Callable[[int, int], str], rows: int = 3) -> str:
    lines = [header, *([value(row, i) for i in range(len(header))] for row in range(rows))]
    return "".join(",".join(line) + "\n" for line in lines)


def sent(site: Site, key: str, content: str | bytes) -> tuple[int, int]:
    """How many statements loading a file sends to DuckDB, and of how many characters."""
    site.put(key, content)
    with site.engine() as engine:
        con = engine.catalog.con
        # DuckLake reads its catalog when it is first asked for a table, whatever is loaded then.
        con.execute(f"DESCRIBE {LEDGER}")
        con.execute("CALL enable_logging('QueryLog')")
        assert drained(engine).tally.failed == 0
        con.execute("CALL disable_logging()")
        texts = [text for (text,) in con.execute("SELECT message FROM duckdb_logs").fetchall()]
    assert any("INSERT" in text for text in texts)
    return len(texts), sum(map(len, texts))


def assert_bounded(few: tuple[int, int], many: tuple[int, int]) -> None:
    assert many[0] <= few[0] + STATEMENTS + FEW * TIMES // SCANNED
    for columns, (_, characters) in ((FEW, few), (FEW * TIMES, many)):
        assert characters <= CHARACTERS + columns * CHARACTERS_OF_COLUMN


@pytest.mark.spread(2)
@pytest.mark.parametrize("kind", VALUES)
def test_a_new_table(site: Site, kind: str) -> None:
    site.dataset("wide")
    few, many = (
        sent(site, f"adtech/wide/t{n}/a.csv", csv_of(names(n), VALUES[kind])) for n in (FEW, FEW * TIMES)
    )
    assert_bounded(few, many)


CHANGES = {
    "more columns": ("whole numbers", "d", "whole numbers"),
    "more columns without a value": ("whole numbers", "d", "nothing"),
    "fractions in columns of whole numbers": ("whole numbers", "c", "fractions"),
    "text in columns of whole numbers": ("whole numbers", "c", "text"),
    "the first values, numbers": ("nothing", "c", "whole numbers"),
    "the first values, text": ("nothing", "c", "text"),
}


@pytest.mark.spread(3)
@pytest.mark.parametrize("change", CHANGES)
def test_a_second_file_that_changes_the_table(site: Site, change: str) -> None:
    first, prefix, second = CHANGES[change]
    site.dataset("wide")
    costs = []
    for n in (FEW, FEW * TIMES):
        sent(site, f"adtech/wide/t{n}/a.csv", csv_of(names(n), VALUES[first]))
        costs.append(sent(site, f"adtech/wide/t{n}/b.csv", csv_of(names(n, prefix), VALUES[second])))
        rows = site.query(f"SELECT count(*), count({prefix}1) FROM adtech_wide.t{n}")
        assert rows == [
            (6, 0 if second == "nothing" else 6 if (first, prefix) == ("whole numbers", "c") else 3)
        ]
    assert_bounded(*costs)


def json_of(columns: int) -> str:
    return "".join(json.dumps(dict.fromkeys(names(columns), row)) + "\n" for row in range(3))


def parquet_of(columns: int) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({name: [1, 2, 3] for name in names(columns)}), sink)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize("of", [json_of, parquet_of])
def test_other_formats(site: Site, of: Callable[[int], str | bytes]) -> None:
    site.dataset("wide")
    ending = "json" if of is json_of else "parquet"
    assert_bounded(*(sent(site, f"adtech/wide/t{n}/a.{ending}", of(n)) for n in (FEW, FEW * TIMES)))


def test_more_rows_than_types_are_guessed_from(site: Site) -> None:
    site.dataset("wide")
    few, many = (
        sent(site, f"adtech/wide/t{n}/a.csv", csv_of(names(n), VALUES["all of these"], rows=2100))
        for n in (FEW, FEW * TIMES)
    )
    assert_bounded(few, many)


WORK = {
    "a quality rule": {"quality": "[{not_null: [c0], on_fail: quarantine_rows}]"},
    "personal data": {"pii": "{c0: {hash: plain}}"},
    "a heavy transform": {"heavy": "wider"},
    "a light transform": {"light": "wider"},
}


@pytest.mark.spread(2)
@pytest.mark.parametrize("work", WORK)
def test_work_on_the_rows(site: Site, work: str) -> None:
    site.transform("wider.sql", "SELECT *, 1 AS one FROM rows")
    site.dataset("wide", **WORK[work])
    few, many = (
        sent(site, f"adtech/wide/t{n}/a.csv", csv_of(names(n), VALUES["whole numbers"]))
        for n in (FEW, FEW * TIMES)
    )
    assert_bounded(few, many)


def test_a_table_has_no_more_columns_than_a_file_may_have(site: Site) -> None:
    site.dataset("wide", limits="{max_columns: 10}")
    site.put("adtech/wide/t/a.csv", csv_of(names(10), VALUES["text"]))
    site.drain()
    site.put("adtech/wide/t/b.csv", csv_of(names(10, "d"), VALUES["text"]))
    site.put("adtech/wide/t/c.csv", csv_of(names(11), VALUES["text"]))
    site.put("adtech/wide/t/d.csv", csv_of(names(9), VALUES["text"]))
    site.drain()
    assert site.query("SELECT count(*), count(c9) FROM adtech_wide.t") == [(6, 3)]
    reasons = {key.rpartition("/")[2]: reason for key, reason in site.quarantined().items()}
    assert set(reasons) == {"b.csv", "c.csv"}
    assert "table adtech_wide.t would have" in reasons["b.csv"]
    assert "it has 11 columns, more than 10" in reasons["c.csv"]


def test_the_note_of_an_earlier_release_is_read_and_cleared(site: Site) -> None:
    """It stood at each column; now the table has one for all."""
    site.dataset("wide")
    site.put("adtech/wide/t/a.csv", "a,b,c\n1,,\n")
    with site.engine() as engine:
        drained(engine)
        for column in "bc":
            engine.catalog.con.execute(f"COMMENT ON COLUMN lake.adtech_wide.t.{column} IS 'no value yet'")
        engine.catalog.con.execute("COMMENT ON TABLE lake.adtech_wide.t IS NULL")
    site.put("adtech/wide/t/b.csv", "a,b,c\n2,x,\n")
    site.drain()
    site.put("adtech/wide/t/c.csv", "a,b,c\n3,4,5\n")
    site.drain()
    types = "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 't' AND length(column_name) = 1"
    assert dict(site.query(types)) == {"a": "BIGINT", "b": "VARCHAR", "c": "BIGINT"}
