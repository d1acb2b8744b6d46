from __future__ import annotations

import csv
import io
import json
import os
import pty
import resource
import termios
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from amci.cli.output import Output
from amci.cli.query_output import render
from amci.kernel.errors import QueryError, UsageError
from amci.kernel.workspace import WorkspacePaths
from amci.lake.catalog.catalog import Catalog
from amci.lake.query import result_json
from amci.lake.query.result import QueryAnswer
from amci.lake.query.result_files import as_json
from amci.lake.query.session import QuerySession, session

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuerySession]:
    workspace = WorkspacePaths(tmp_path_factory.mktemp("lake"))
    Catalog(workspace, memory_limit=256 * MIB, threads=1).close()
    with session(workspace, memory_limit=256 * MIB, timeout=timedelta(seconds=60), threads=1) as found:
        yield found


def printed(lake: QuerySession, sql: str, form: str) -> str:
    stdout = io.StringIO()
    render(lake, sql, form, None, Output(stdout=stdout))
    return stdout.getvalue()


ODD = (
    "SELECT NULL AS nothing, '' AS empty, 'NULL' AS word, 'a\"b,c' AS quoted, e'x\\ny' AS lines,"
    " 12345678901234567.89::DECIMAL(38, 2) AS amount, sum(x) AS total, 'nan'::DOUBLE AS nan, true AS yes,"
    " TIMESTAMP '2026-11-01 06:00:00' AS at, TIMESTAMPTZ '2026-11-01 06:00:00.5+01' AS zoned,"
    " DATE '2026-11-01' AS day, TIME '06:00:00' AS hour, [1, NULL] AS list, {'a': 1.50} AS struct,"
    " MAP {'k': 1} AS map, '\\xAA'::BLOB AS bytes, INTERVAL '1 month 2 days' AS period,"
    " TIMESTAMP_NS '2026-11-01 00:00:00.000000001' AS nanos, DATE 'infinity' AS never"
    " FROM (VALUES (9007199254740993), (1)) v(x)"
)


@pytest.mark.parametrize("kind", ["", "::BIGINT", "::DATE", "::VARCHAR", "::INTEGER[]", "::INTERVAL"])
def test_a_column_without_a_value_loses_no_row_in_any_form(
    lake: QuerySession, tmp_path: Path, kind: str
) -> None:
    sql = f"SELECT NULL{kind} AS a FROM range(2)"
    assert printed(lake, sql, "csv") == 'a\r\n""\r\n""\r\n'
    assert json.loads(printed(lake, sql, "json")) == [{"a": None}] * 2
    render(lake, sql, "parquet", tmp_path / "a.parquet", Output(stdout=io.StringIO()))
    assert pq.read_table(tmp_path / "a.parquet").to_pylist() == [{"a": None}] * 2
    assert "(2 rows)" in printed(lake, sql, "table")


def test_csv_is_rfc_4180_with_null_told_from_empty(lake: QuerySession) -> None:
    text = printed(lake, ODD, "csv")
    assert text.endswith("\r\n")
    assert '\r\n,"",NULL,"a""b,c","x\ny",12345678901234567.89,9007199254740994,NaN,true,' in text
    header, row = csv.reader(io.StringIO(text, newline=""))
    assert dict(zip(header, row, strict=True)) | {"nan": ""} == {
        "nothing": "",
        "empty": "",
        "word": "NULL",
        "quoted": 'a"b,c',
        "lines": "x\ny",
        "amount": "12345678901234567.89",
        "total": "9007199254740994",
        "nan": "",
        "yes": "true",
        "at": "2026-11-01T06:00:00",
        "zoned": "2026-11-01T05:00:00.500000Z",
        "day": "2026-11-01",
        "hour": "06:00:00",
        "list": "[1, null]",
        "struct": '{"a": 1.50}',
        "map": '{"k": 1}',
        "bytes": "aa",
        "period": "P1M2DT0S",
        "nanos": "2026-11-01T00:00:00.000000001",
        "never": "infinity",
    }


def test_json_keeps_every_digit_and_type(lake: QuerySession) -> None:
    (row,) = json.loads(printed(lake, ODD, "json"), parse_float=Decimal)
    assert row["amount"] == Decimal("12345678901234567.89")
    assert row["total"] == 9007199254740994
    assert (row["nothing"], row["nan"], row["empty"], row["word"]) == (None, None, "", "NULL")
    assert (row["list"], row["struct"], row["map"]) == ([1, None], {"a": Decimal("1.50")}, {"k": 1})
    assert (row["at"], row["zoned"]) == ("2026-11-01T06:00:00", "2026-11-01T05:00:00.500000Z")
    assert (row["period"], row["bytes"], row["yes"]) == ("P1M2DT0S", "aa", True)


@pytest.mark.parametrize("most", [1 << 20, 1], ids=["at once", "row by row"])
@pytest.mark.parametrize(
    "values",
    [
        "0.0::DOUBLE, -0.0, 1.0, 0.1, 1e-4, 9.99e-5, 999999999.9, 1e9, 9.999e14, 1e15, 1e16, 5e-324, 'inf', NULL",
        "1e-7::DECIMAL(30, 20), 0.0000000000001, -1.10, 12345678901.5, NULL",
        "'', 'a\"b\\c', e'\\n\\t\\x01', chr(0), chr(31) || chr(127), 'é😀', '\u2028', NULL",
        "170141183460469231731687303715884105727::HUGEINT, -1, NULL",
        "{'a \"b': [1.5::DOUBLE, NULL], 'c': {'d': 'x\"y'}}, {'a \"b': [], 'c': NULL}, NULL",
        "[[true], NULL, []], [], [[false, NULL]], NULL",
    ],
)
def test_json_is_spelled_by_arrow_as_python_spells_it(
    lake: QuerySession, monkeypatch: pytest.MonkeyPatch, values: str, most: int
) -> None:
    monkeypatch.setattr(result_json, "_MOST", most)
    sql = f"SELECT row_number() OVER () AS n, unnest([{values}]) AS x"
    rows = [as_json({"n": n, "x": x}) for n, x in lake.run(sql).fetchall()]
    assert printed(lake, sql, "json") == "[\n" + ",\n".join(rows) + "\n]\n"


def test_usual_values_are_spelled_by_the_column(lake: QuerySession, monkeypatch: pytest.MonkeyPatch) -> None:
    spelled: list[object] = []
    monkeypatch.setattr(result_json, "as_json", lambda value: spelled.append(value) or "null")
    sql = (
        "SELECT i, i / 7 AS f, i::DECIMAL(9, 2) AS d, i % 2 = 0 AS b, CASE WHEN i > 9 THEN 'x' || i END AS s,"
        " DATE '2026-11-01' + i::INTEGER AS day, [{'a': i}] AS list FROM range(1, 1000) t(i)"
    )
    assert len(json.loads(printed(lake, sql, "json"))) == 999
    assert {*spelled} == {None}


def test_times_are_spelled_alike_with_and_without_fractions(lake: QuerySession) -> None:
    values = ("1969-12-31 23:59:59", "0001-01-01 00:00:00", "12345-01-01 00:00:00", "infinity", "-infinity")
    for more, kind in (([], "TIMESTAMP"), (["2026-11-01 00:00:00.5"], "TIMESTAMP"), ([], "TIMESTAMPTZ")):
        texts = ", ".join(f"('{value}'::{kind})" for value in [*values, *more])
        zone = "Z" if kind == "TIMESTAMPTZ" else ""
        spelt = [value if "inf" in value else value.replace(" ", "T") + zone for value in values]
        found = [row["x"] for row in json.loads(printed(lake, f"FROM (VALUES {texts}, (NULL)) t(x)", "json"))]
        assert found == [*spelt, *(["2026-11-01T00:00:00.500000"] if more else []), None]


def test_json_goes_past_the_encoder_of_a_file(lake: QuerySession, tmp_path: Path) -> None:
    sql = "SELECT 'é' || i AS x FROM range(20000) t(i)"
    for encoding in ("utf-8", "utf-16"):
        with (tmp_path / "a.json").open("w", encoding=encoding) as file:
            render(lake, sql, "json", None, Output(stdout=file))
            render(lake, sql, "json", None, Output(stdout=file))
        assert (tmp_path / "a.json").read_text(encoding) == 2 * printed(lake, sql, "json")


def test_json_of_no_rows_and_of_many_is_an_array(lake: QuerySession) -> None:
    assert json.loads(printed(lake, "FROM amci.objects", "json")) == []
    numbers = json.loads(printed(lake, "SELECT range AS n FROM range(120000) ORDER BY 1", "json"))
    assert [row["n"] for row in numbers] == list(range(120_000))


def test_columns_of_one_name_are_all_kept(lake: QuerySession, tmp_path: Path) -> None:
    sql = "SELECT 1 AS a, 2 AS a, 3 AS a_2"
    assert json.loads(printed(lake, sql, "json")) == [{"a": 1, "a_3": 2, "a_2": 3}]
    assert printed(lake, sql, "csv") == "a,a,a_2\r\n1,2,3\r\n"
    render(lake, sql, "parquet", tmp_path / "a.parquet", Output())
    assert pq.read_table(tmp_path / "a.parquet").to_pylist() == [{"a": 1, "a_3": 2, "a_2": 3}]


def test_parquet_has_the_rows_with_their_types(lake: QuerySession, tmp_path: Path) -> None:
    render(lake, ODD, "parquet", tmp_path / "odd.parquet", Output())
    (row,) = pq.read_table(
        tmp_path / "odd.parquet", columns=["amount", "total", "at", "period", "list"]
    ).to_pylist()
    assert row["amount"] == Decimal("12345678901234567.89")
    assert row["total"] == 9007199254740994
    assert (row["at"].isoformat(), row["period"], row["list"]) == (
        "2026-11-01T06:00:00",
        "P1M2DT0S",
        [1, None],
    )


def test_a_table_is_aligned_and_tells_null_from_the_word(lake: QuerySession) -> None:
    sql = (
        "SELECT * FROM (VALUES (1, 'a', NULL), (200, '猫', 'NULL'), (NULL, '', 'x')) v(n, s, t) ORDER BY ALL"
    )
    assert printed(lake, sql, "table").splitlines() == [
        "   n  s   t",
        "----  --  ------",
        "   1  a   NULL",
        " 200  猫  'NULL'",
        "NULL      x",
        "(3 rows)",
    ]


@pytest.mark.parametrize(
    ("rows", "says"), [(100, "(100 rows)"), (101, "(100 of 101 rows;"), (300_000, "more than 100,000 rows")]
)
def test_a_table_shows_a_hundred_rows_and_says_how_many_there_are(
    lake: QuerySession, rows: int, says: str
) -> None:
    lines = printed(lake, f"FROM range({rows})", "table").splitlines()
    assert len(lines) == 103
    assert says in lines[-1]


def test_a_plan_is_shown_as_it_is(lake: QuerySession) -> None:
    plan = printed(lake, "EXPLAIN SELECT count(*) FROM amci.objects", "table")
    assert "␤" not in plan
    assert len(plan.splitlines()) > 5


def test_on_a_terminal_long_values_are_cut_and_columns_that_do_not_fit_left_out(lake: QuerySession) -> None:
    sql = "SELECT repeat('x', 90) AS long, 1 AS one, repeat('y', 20) AS more, 2 AS last"
    leader, follower = pty.openpty()
    with os.fdopen(follower, "w") as terminal:
        termios.tcsetwinsize(follower, (24, 80))
        render(lake, sql, "table", None, Output(stdout=terminal))
        with pytest.raises(UsageError, match="terminal"):
            render(lake, sql, "parquet", None, Output(stdout=terminal))
    shown = b""
    with suppress(OSError):  # its end, on Linux
        while piece := os.read(leader, 4096):
            shown += piece
    os.close(leader)
    seen = shown.decode()
    assert "x" * 59 + "…" in seen
    assert "one" in seen
    assert "yyy" not in seen
    assert "(2 more columns" in seen
    assert "x" * 90 in printed(lake, sql, "table")


@pytest.mark.parametrize("form", ["table", "csv", "json", "parquet"])
def test_an_output_file_is_complete_or_absent(lake: QuerySession, tmp_path: Path, form: str) -> None:
    wanted, failed = tmp_path / "new" / "wanted", tmp_path / "failed"
    stdout = io.StringIO()
    render(lake, "SELECT range AS n FROM range(3)", form, wanted, Output(stdout=stdout))
    assert wanted.stat().st_size > 0
    assert stdout.getvalue() == ""
    late = "SELECT CASE WHEN range < 200000 THEN range ELSE error('late') END FROM range(200001)"
    with pytest.raises(QueryError, match="late"):
        render(lake, late if form != "table" else "SELECT error('late')", form, failed, Output(stdout=stdout))
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


@pytest.mark.parametrize("form", ["csv", "parquet", "json"])
def test_a_large_answer_is_written_as_it_comes(lake: QuerySession, tmp_path: Path, form: str) -> None:
    sql = "SELECT range AS n, repeat('x', 1000) || range AS t FROM range({})"
    render(lake, sql.format(100_000), form, tmp_path / "small", Output())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    render(lake, sql.format(300_000), form, tmp_path / "large", Output())
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    # The rows alone are 300 MB.
    assert grown_kib < 100_000


@pytest.mark.parametrize(
    "kind",
    [
        *("TIMETZ '06:00:00+02'", "'101'::BIT", "['101'::BIT]", "'1'::BIGNUM", "[5::UHUGEINT]"),
        "340282366920938463463374607431768211455::UHUGEINT",
    ],
)
def test_a_type_that_would_change_its_value_is_refused(lake: QuerySession, kind: str) -> None:
    with pytest.raises(QueryError, match="column v"):
        printed(lake, f"SELECT {kind} AS v", "csv")


@pytest.mark.parametrize("form", ["table", "csv", "json"])
@pytest.mark.parametrize(
    "value",
    [
        *("DATE '5877642-06-25 (BC)'", "TIME '24:00:00'", "TIMESTAMPTZ '290000-01-01'"),
        *("[DATE 'infinity']", "{'a': TIMESTAMP 'infinity'}", "MAP {[1, 2]: 'x'}"),
    ],
)
def test_a_value_that_cannot_be_spelled_is_refused(lake: QuerySession, form: str, value: str) -> None:
    with pytest.raises(QueryError, match="has a value that cannot be written"):
        printed(lake, f"SELECT {value} AS v", form)
    assert printed(lake, "SELECT DATE 'infinity' AS v, 5::UHUGEINT AS n", form)


def test_intervals_in_a_list_are_no_parquet(lake: QuerySession, tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="column v has a type"):
        render(lake, "SELECT [INTERVAL 1 DAY] AS v", "parquet", tmp_path / "out", Output())


@pytest.mark.parametrize("kind", ["TIMETZ '06:00:00+02'", "'101'::BIT", "'1'::BIGNUM"])
def test_python_gets_no_value_that_was_changed(lake: QuerySession, kind: str) -> None:
    with pytest.raises(QueryError, match="column v has a type"):
        QueryAnswer.of(lake.run(f"SELECT {kind} AS v"))


def test_an_unknown_format_is_refused_with_the_known_ones(lake: QuerySession) -> None:
    with pytest.raises(UsageError, match="xlsx") as refused:
        printed(lake, "SELECT 1", "xlsx")
    assert refused.value.hint == "one of table, csv, json, parquet"
