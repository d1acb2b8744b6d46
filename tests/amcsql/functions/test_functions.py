from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from sqlglot import exp

from amci.amcsql.functions.calls import arity_fault, function_of, type_of, unknown_function
from amci.amcsql.functions.table import FUNCTIONS
from amci.amcsql.functions.to_duckdb import to_duckdb
from amci.amcsql.grammar.parsing import parsed
from amci.sandbox import udfs

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
#: The columns of the table `t` of these tests, and their families.
COLUMNS = {
    "s": ("VARCHAR", "STRING"),
    "n": ("INTEGER", "INTEGER"),
    "big": ("BIGINT", "LONG"),
    "f": ("DOUBLE", "DOUBLE"),
    "day": ("DATE", "DATE"),
    "at": ("TIMESTAMP", "TIMESTAMP"),
    "yes": ("BOOLEAN", "BOOLEAN"),
    "list": ("VARCHAR[]", "ARRAY"),
}
ROWS = """
    ('5',   5, 112233445566778899, 2.5, DATE '2023-01-01', TIMESTAMP '2023-01-01 10:20:30', TRUE,  ['b', 'a']),
    ('abc', 0, 7,                  0,   DATE '2023-01-08', TIMESTAMP '2023-02-01 00:00:00', FALSE, []),
    (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)
"""
#: All that amc-api 3.2 names and that is called by a name.
PUBLISHED = """
    ABS APPROX_COUNT_DISTINCT APPROX_PERCENTILE ARRAY_CAT ARRAY_COMPLEMENT ARRAY_CONTAINS ARRAY_DISTINCT
    ARRAY_INTERSECT ARRAY_REMOVE ARRAY_SORT ARRAY_TO_STRING ARRAY_UNION AVG BUILT_IN_PARAMETER CARDINALITY CEIL
    CHARINDEX COALESCE COLLECT CONCAT CONTAINED_IN CONVERT_TIME_ZONE_FROM_UTC COUNT CURRENT_DATE CURRENT_TIMESTAMP
    CUSTOM_PARAMETER DATE_TRUNC DAYOFMONTH DAYOFWEEK DENSE_RANK E EPOCH_TO_UTC_TIMESTAMP EXP EXPLODE
    EXTEND_TIME_WINDOW EXTRACT FLATTEN FLOOR FORMAT FROM_VARBINARY GREATEST HASH64 HOUR IF IFNULL INSTR JSON_EXTRACT
    JSON_SERIALIZE LEAST LEFT LENGTH LN LOCATE LOG LOG10 LOWER LTRIM MAX MD5 MEDIAN MIN MINUTE MONTH NAMED_ROW NULLIF
    NVL NVL2 PERCENTILE POSITION POWER RANDOM RANK REGEXP_REPLACE REGEXP_SPLIT REGEXP_SUBSTR REPLACE RIGHT ROUND
    ROW_NUMBER RTRIM SECOND SECONDS_BETWEEN SHA1 SKEWNESS SQRT STDDEV STDDEV_POP STDDEV_SAMP STRPOS STR_TO_MAP
    SUBSTRING SUM TO_VARBINARY TRIM TRUNC UPPER UUID VARIANCE VAR_POP VAR_SAMP WEEK YEAR
""".split()  # noqa: SIM905 - a list of words


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as con:
        udfs.register(con)
        names = ", ".join(f'"{name}"' for name in COLUMNS)
        casts = ", ".join(f'"{name}"::{sql_type} AS "{name}"' for name, (sql_type, _) in COLUMNS.items())
        con.execute(f"CREATE TABLE t AS SELECT {casts} FROM (VALUES {ROWS}) AS v({names})")
        yield con


def at(text: str) -> datetime:
    """A moment as DuckDB gives it: in UTC, without saying so."""
    return datetime.fromisoformat(text)


def family(column: exp.Column) -> str:
    return COLUMNS.get(column.name, ("", "UNKNOWN"))[1]


def duck(sql: str) -> str:
    return to_duckdb(parsed(sql).copy(), NOW, family).sql(dialect="duckdb")


def value(con: duckdb.DuckDBPyConnection, expression: str, source: str = "") -> Any:
    rows = con.execute(duck(f"SELECT {expression} AS x{source}")).fetchall()
    return rows[0][0] if len(rows) == 1 else [row[0] for row in rows]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        # text
        ("CHARINDEX('b', 'abc')", 2),
        ("CHARINDEX('z', 'abc')", 0),
        ("CHARINDEX('b', 'abcb', 3)", 4),
        ("LOCATE('z', 'abc', 2)", 0),
        ("LOCATE('b', NULL)", None),
        ("INSTR('abc', 'c')", 3),
        ("STRPOS('abc', 'c')", 3),
        ("POSITION('b' IN 'abc')", 2),
        ("CONCAT('f_0', 3)", "f_03"),
        ("CONCAT('a', TRUE, DATE '2020-01-01')", "atrue2020-01-01"),
        ("CONCAT('a', NULL)", "a"),
        ("'a' || 1", "a1"),
        ("FORMAT(12345.678, '#,##0.00')", "12,345.68"),
        ("FORMAT(7, '000')", "007"),
        ("FORMAT(5, '%03d')", "005"),
        ("FORMAT(DATE '2020-02-03', 'yyyy-MM-dd')", "2020-02-03"),
        ("FORMAT(TIMESTAMP '2020-02-03 14:05:06', 'dd/MM HH:mm')", "03/02 14:05"),
        ("LEFT('abc', 2)", "ab"),
        ("LEFT('abc', -1)", ""),
        ("LEFT(12345, 2)", "12"),
        ("RIGHT('abc', 2)", "bc"),
        ("RIGHT(NULL, 2)", None),
        ("LENGTH('äbc')", 3),
        ("LENGTH(123)", 3),
        ("LOWER('AbC')", "abc"),
        ("UPPER('AbC')", "ABC"),
        ("LTRIM('  a ')", "a "),
        ("RTRIM('  a ')", "  a"),
        ("TRIM('  a ')", "a"),
        ("TRIM(BOTH 'x' FROM 'xax')", "a"),
        ("TRIM(LEADING 'x' FROM 'xax')", "ax"),
        ("TRIM(TRAILING 'x' FROM 'xax')", "xa"),
        ("SUBSTRING('abcdef' FROM 2 FOR 3)", "bcd"),
        ("SUBSTRING('abcdef', 5)", "ef"),
        ("SUBSTRING(12345 FROM 2 FOR 2)", "23"),
        ("REPLACE('a-b-c', '-', '+')", "a+b+c"),
        ("STR_TO_MAP('a=1;b=x=y;c;d=', ';', '=')", {"a": "1", "b": "x=y", "c": None, "d": ""}),
        ("MD5('a')", "0cc175b9c0f1b6a831c399e269772661"),
        ("SHA1('a')", "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"),
        ("HASH64('a')", -2222958069403761871),
        ("HASH64(NULL)", None),
        ("TO_VARBINARY('6162', 'hex')", b"ab"),
        ("TO_VARBINARY('YWI=', 'base64')", b"ab"),
        ("FROM_VARBINARY(TO_VARBINARY('ä', 'utf-8'), 'hex')", "c3a4"),
        ("FROM_VARBINARY(TO_VARBINARY('ab', 'utf-8'), 'base64')", "YWI="),
        ("FROM_VARBINARY(TO_VARBINARY('6162', 'hex'), 'utf-8')", "ab"),
        ("JSON_SERIALIZE(JSON_EXTRACT('{\"a\": {\"b\": 1}}', '$.a'))", '{"b":1}'),
        ("JSON_EXTRACT('{\"a\": 1}', '$.a')", "1"),
        ("JSON_EXTRACT('{\"a\": 1}', '$.z')", None),
        ("JSON_EXTRACT('no json', '$.a')", None),
        ("12 LIKE '1%'", True),
        ("'a' LIKE NULL", None),
        # numbers
        ("7 / 2", 3.5),
        ("ROUND(37 / 107 * 100, 2)", 34.58),
        ("1 / 0", None),
        ("0 / 0", None),
        ("1 / NULL", None),
        ("6 / (1 + 2) / 2", 1.0),
        ("ABS(-2)", 2),
        ("CEIL(1.2)", 2),
        ("FLOOR(-1.2)", -2),
        ("ROUND(2.5)", 3),
        ("ROUND(-2.5)", -3),
        ("ROUND(2.345, 2)", Decimal("2.35")),
        ("TRUNC(2.349, 2)", Decimal("2.34")),
        ("TRUNC(-2.9)", -2),
        ("EXP(0)", 1.0),
        ("E()", 2.718281828459045),
        ("LN(E())", 1.0),
        ("LN(0)", None),
        ("LN(-1)", None),
        ("LOG10(100)", 2.0),
        ("LOG10(0)", None),
        ("LOG(2, 8)", 3.0),
        ("LOG(2, 0)", None),
        ("POWER(2, 10)", 1024.0),
        ("SQRT(9)", 3.0),
        ("SQRT(-1)", None),
        ("MOD(7, 4)", 3),
        ("MOD(7, 0)", None),
        ("GREATEST(1, 3, 2)", 3),
        ("GREATEST(1, NULL)", None),
        ("LEAST(1, 2.5)", Decimal(1)),
        ("LEAST(NULL, 1)", None),
        ("RANDOM() >= 0 AND RANDOM() < 1", True),
        # dates and times
        ("DAYOFWEEK(DATE '2023-01-01')", 1),
        ("DAYOFWEEK(DATE '2023-01-07')", 7),
        ("EXTRACT(DOW FROM DATE '2023-01-01')", 1),
        ("EXTRACT(DAY FROM DATE '2023-01-31')", 31),
        ("EXTRACT(HOUR FROM TIMESTAMP '2023-01-31 13:14:15')", 13),
        ("EXTRACT(YEAR FROM '2023-01-31')", 2023),
        ("DAYOFMONTH(DATE '2023-01-31')", 31),
        ("HOUR('2023-01-31 13:14:15')", 13),
        ("MINUTE(TIMESTAMP '2023-01-31 13:14:15')", 14),
        ("SECOND(TIMESTAMP '2023-01-31 13:14:15.9')", 15),
        ("MONTH(NULL)", None),
        ("ABS(NULL)", None),
        ("LOWER(NULL)", None),
        ("WEEK(DATE '2023-01-02')", 1),
        ("YEAR(DATE '2023-01-02')", 2023),
        ("DATE_TRUNC('MONTH', DATE '2023-01-15')", date(2023, 1, 1)),
        ("DATE_TRUNC('hour', TIMESTAMP '2023-01-15 10:20:30')", at("2023-01-15T10:00:00")),
        ("DATE_TRUNC('week', TIMESTAMP '2023-01-15 10:20:30')", at("2023-01-09T00:00:00")),
        ("SECONDS_BETWEEN(TIMESTAMP '2023-01-01 00:00:00', TIMESTAMP '2023-01-01 00:01:00')", 60),
        ("SECONDS_BETWEEN(DATE '2023-01-02', DATE '2023-01-01')", -86400),
        ("SECONDS_BETWEEN('2023-01-01', DATE '2023-01-02')", 86400),
        ("SECONDS_BETWEEN(NULL, DATE '2023-01-02')", None),
        (
            "CONVERT_TIME_ZONE_FROM_UTC(TIMESTAMP '2023-07-01 02:00:00', 'America/New_York')",
            at("2023-06-30T22:00:00"),
        ),
        ("CONVERT_TIME_ZONE_FROM_UTC(DATE '2023-07-01', 'America/New_York')", date(2023, 6, 30)),
        ("EPOCH_TO_UTC_TIMESTAMP(1577836800)", at("2020-01-01T00:00:00")),
        ("EPOCH_TO_UTC_TIMESTAMP(1577836800123)", at("2020-01-01T00:00:00.123000")),
        ("EPOCH_TO_UTC_TIMESTAMP('1577836800')", at("2020-01-01T00:00:00")),
        ("EPOCH_TO_UTC_TIMESTAMP('soon')", None),
        ("CURRENT_DATE", date(2026, 3, 4)),
        ("CURRENT_TIMESTAMP", at("2026-03-04T05:06:07")),
        ("CAST('today' AS DATE)", date(2026, 3, 4)),
        ("CAST('Now' AS TIMESTAMP)", at("2026-03-04T05:06:07")),
        ("CAST('today' AS TIMESTAMP)", at("2026-03-04T00:00:00")),
        ("CAST('now' AS VARCHAR)", "now"),
        # arrays and rows
        ("ARRAY['a', 'b']", ["a", "b"]),
        ("ARRAY_SORT(ARRAY[3, NULL, 1])", [1, 3, None]),
        (
            "ARRAY_SORT(ARRAY[NAMED_ROW('o', 2, 'c', 'a'), NAMED_ROW('o', 1, 'c', 'b')])",
            [{"o": 1, "c": "b"}, {"o": 2, "c": "a"}],
        ),
        ("ARRAY_CONTAINS(ARRAY['a'], 'a')", True),
        ("ARRAY_CONTAINS(ARRAY['a'], 'z')", False),
        ("ARRAY_CONTAINS(NULL, 'z')", None),
        ("ARRAY_TO_STRING(ARRAY[1, 2], '-')", "1-2"),
        ("CARDINALITY(ARRAY[1, 2])", 2),
        ("CARDINALITY(NULL)", None),
        ("ARRAY_CAT(ARRAY[2], ARRAY[1])", [2, 1]),
        ("ARRAY_COMPLEMENT(ARRAY[3, 1, NULL], ARRAY[1])", [3, None]),
        ("ARRAY_DISTINCT(ARRAY[3, 1, NULL, 3, NULL])", [3, 1, None]),
        ("ARRAY_INTERSECT(ARRAY[3, 1, 2, 1], ARRAY[1, 3])", [3, 1]),
        ("ARRAY_UNION(ARRAY[3, 1], ARRAY[2, 3])", [3, 1, 2]),
        ("ARRAY_REMOVE(ARRAY[1, 2, 1, NULL], 1)", [2, None]),
        ("FLATTEN(ARRAY[ARRAY[1], ARRAY[2, 3]])", [1, 2, 3]),
        ("EXPLODE(ARRAY[1, 2])", [1, 2]),
        ("NAMED_ROW('a', 1, 'b', NULL)", {"a": 1, "b": None}),
        # choosing and casting
        ("IF(NULL, 1, 2)", 2),
        ("IF(TRUE, 1, 'a')", "1"),
        ("CASE WHEN FALSE THEN 1 ELSE 'b' END", "b"),
        ("CASE '1' WHEN 1 THEN 'one' END", "one"),
        ("COALESCE(NULL, 1, 'x')", "1"),
        ("IFNULL(NULL, 2)", 2),
        ("NVL(NULL, 'x')", "x"),
        ("NVL2(NULL, 1, 2)", 2),
        ("NVL2(0, 1, 2)", 1),
        ("NULLIF(1, 1)", None),
        ("NULLIF('a', 1)", "a"),
        ("CONTAINED_IN('1', 1, 2)", True),
        ("CONTAINED_IN(NULL, 1)", None),
        ("NOT CONTAINED_IN(3, 1, 2)", True),
        ("CAST(1.9 AS INTEGER)", 1),
        ("CAST(-1.9 AS BIGINT)", -1),
        ("CAST('12' AS INTEGER)", 12),
        ("CAST('abcdef' AS VARCHAR(3))", "abc"),
        ("CAST(1.25 AS DECIMAL(10, 1))", Decimal("1.3")),
        ("CAST(1.55 AS DECIMAL)", Decimal(2)),
        ("CAST(0.1 AS FLOAT)", 0.1),
        ("CAST('ab' AS BINARY)", b"ab"),
        ("CAST(NULL AS DATE)", None),
        ("LENGTH(UUID())", 36),
        ("UUID() = UUID()", False),
    ],
)  # fmt: skip
def test_a_function_gives_what_amc_gives(
    con: duckdb.DuckDBPyConnection, expression: str, expected: object
) -> None:
    assert value(con, expression) == (pytest.approx(expected) if isinstance(expected, float) else expected)


@pytest.mark.parametrize(
    ("condition", "count"),
    [
        ("s = 5", 1),
        ("5 = s", 1),
        ("s <> 5", 0),
        ("s > 4", 1),
        ("s IN (5, 6)", 1),
        ("s NOT IN (6)", 1),
        ("s IN (SELECT n FROM t)", 1),
        ("n IN (SELECT s FROM t)", 1),
        ("s BETWEEN 1 AND 9", 1),
        ("n = '5'", 1),
        ("n = 'five'", 0),
        ("n = '5.5'", 0),
        ("big = '112233445566778899'", 1),
        ("big = '112233445566778898'", 0),
        ("CAST(big AS VARCHAR) = 112233445566778899", 1),
        ("CAST(big AS VARCHAR) = 112233445566778898", 0),
        ("f = '2.5'", 1),
        ("day = '2023-01-01'", 1),
        ("day = 'never'", 0),
        ("day >= '2023-01-01' AND day < '2023-01-08'", 1),
        ("at > '2023-01-01'", 2),
        ("at = day", 0),
        ("yes = 'true'", 1),
        ("s IS NOT DISTINCT FROM 5", 1),
        ("n + s = 10", 1),
        ("s * 2 = 10", 1),
        ("s = CUSTOM_COLUMN", 0),
    ],
)
def test_text_is_compared_as_what_it_is_compared_with(
    con: duckdb.DuckDBPyConnection, condition: str, count: int
) -> None:
    sql = f"SELECT COUNT(*) FROM (SELECT *, 'z' AS CUSTOM_COLUMN FROM t) AS t WHERE {condition}"
    inner = duck(
        sql.replace("SELECT *, 'z' AS CUSTOM_COLUMN FROM t", "SELECT t.*, 'z' AS CUSTOM_COLUMN FROM t")
    )
    assert con.execute(inner).fetchall() == [(count,)]


def test_text_joins_with_numbers(con: duckdb.DuckDBPyConnection) -> None:
    sql = "SELECT COUNT(*) FROM t AS a JOIN t AS b ON a.s = b.n"
    assert con.execute(duck(sql)).fetchall() == [(1,)]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("COUNT(*)", 4),
        ("COUNT(x)", 3),
        ("COUNT(ALL x)", 3),
        ("COUNT(DISTINCT x)", 2),
        ("APPROX_COUNT_DISTINCT(x)", 2),
        ("SUM(x)", 6),
        ("AVG(x)", 2.0),
        ("MIN(x)", 1),
        ("MAX(x)", 4),
        ("ARRAY_SORT(COLLECT(x))", [1, 1, 4, None]),
        ("ARRAY_SORT(COLLECT(DISTINCT x))", [1, 4, None]),
        ("MEDIAN(x)", 1.0),
        ("PERCENTILE(x, 0.75)", 2.5),
        ("APPROX_PERCENTILE(x, 0.75)", 2.5),
        ("STDDEV(x)", 3**0.5),
        ("STDDEV_SAMP(x)", 3**0.5),
        ("STDDEV_POP(x)", 2**0.5),
        ("VARIANCE(x)", 3.0),
        ("VAR_SAMP(x)", 3.0),
        ("VAR_POP(x)", 2.0),
        ("SKEWNESS(x)", 3**0.5),
        ("SUM(x) / COUNT(*)", 1.5),
        ("SUM(IF(x > 1, 1, 0))", 1),
        ("SUM(s)", 3.0),
    ],
)
def test_an_aggregate_gives_what_amc_gives(
    con: duckdb.DuckDBPyConnection, expression: str, expected: object
) -> None:
    rows = " FROM (VALUES (1, '1'), (1, '2'), (4, 'x'), (NULL, NULL)) AS v(x, s)"
    assert value(con, expression, rows) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("ROW_NUMBER() OVER (ORDER BY x)", [1, 2, 3, 4]),
        ("ROW_NUMBER() OVER (ORDER BY x DESC)", [4, 3, 2, 1]),
        ("RANK() OVER (ORDER BY y)", [1, 1, 3, 4]),
        ("DENSE_RANK() OVER (ORDER BY y)", [1, 1, 2, 3]),
        ("COUNT(*) OVER (PARTITION BY y)", [2, 2, 1, 1]),
        ("SUM(x) OVER (ORDER BY x)", [1, 3, 6, 6]),
        ("SUM(x) OVER w", [3, 3, 3, None]),
        ("MEDIAN(x) OVER (PARTITION BY y)", [1.5, 1.5, 3.0, None]),
        ("COLLECT(x) OVER (PARTITION BY y ORDER BY x)", [[1], [1, 2], [3], [None]]),
        ("LAG(x) OVER (ORDER BY x)", [None, 1, 2, 3]),
        ("NTILE(2) OVER (ORDER BY x)", [1, 1, 2, 2]),
    ],
)
def test_a_window_gives_what_amc_gives(
    con: duckdb.DuckDBPyConnection, expression: str, expected: list[object]
) -> None:
    rows = "(VALUES (1, 'a'), (2, 'a'), (3, 'b'), (NULL, NULL)) AS v(x, y)"
    sql = f"SELECT x, {expression} FROM {rows} WINDOW w AS (PARTITION BY y)"
    found = con.execute(duck(sql) + " ORDER BY 1 NULLS LAST").fetchall()
    assert [row[1] for row in found] == expected


def test_everything_published_is_known() -> None:
    assert set(PUBLISHED) - set(FUNCTIONS) == set()


def test_everything_that_is_known_is_translated(con: duckdb.DuckDBPyConnection) -> None:
    """DuckDB has a function for each: it never says that it knows none of the name."""
    unknown = []
    elsewhere = {"BUILT_IN_PARAMETER", "CUSTOM_PARAMETER", "EXTEND_TIME_WINDOW", "CASE", "CAST", "EXTRACT"}
    for name, function in FUNCTIONS.items():
        if name in elsewhere:
            continue
        given = ", ".join(["1", "'day'", "'utf-8'"][: function.least])
        call = name if name in ("CURRENT_DATE", "CURRENT_TIMESTAMP") else f"{name}({given})"
        try:
            con.execute(duck(f"SELECT {call}{' OVER ()' if function.role in ('rank', 'shift') else ''}"))
        except duckdb.CatalogException as error:
            unknown.append(f"{name}: {error}")
        except duckdb.Error:
            pass  # a wrong argument, of a function that is there
    assert unknown == []


def test_the_skeletons_parse_in_duckdb(con: duckdb.DuckDBPyConnection) -> None:
    text = (Path(__file__).parents[1] / "skeletons.sql").read_text(encoding="utf-8")
    for part in text.split("-- U")[1:]:
        sql = part.split("\n", 1)[1].replace(
            "TABLE(EXTEND_TIME_WINDOW('dsp_impressions', 'P28D', 'P0D'))", "t"
        )
        plain = sql.replace("TABLE(EXTEND_TIME_WINDOW('conversions_all', 'P0D', 'P60D'))", "t")
        assert con.extract_statements(duck(plain))[0].type == duckdb.StatementType.SELECT


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("s", "STRING"),
        ("unknown_column", "UNKNOWN"),
        ("1", "INTEGER"),
        ("3000000000", "LONG"),
        ("1.5", "DECIMAL"),
        ("1e3", "DOUBLE"),
        ("'a'", "STRING"),
        ("TRUE", "BOOLEAN"),
        ("NULL", "NULL"),
        ("-n", "INTEGER"),
        ("(n)", "INTEGER"),
        ("n + 1", "INTEGER"),
        ("n + big", "LONG"),
        ("n * f", "DOUBLE"),
        ("n * 1.5", "DECIMAL"),
        ("n / 2", "DOUBLE"),
        ("s + 1", "DOUBLE"),
        ("n = 1 AND s LIKE 'a'", "BOOLEAN"),
        ("NOT yes", "BOOLEAN"),
        ("s IS NULL", "BOOLEAN"),
        ("s IN ('a')", "BOOLEAN"),
        ("n BETWEEN 1 AND 2", "BOOLEAN"),
        ("EXISTS(SELECT 1)", "BOOLEAN"),
        ("s SIMILAR TO 'a'", "BOOLEAN"),
        ("CAST(s AS BIGINT)", "LONG"),
        ("CAST(s AS DECIMAL(10, 2))", "DECIMAL"),
        ("CAST(s AS TIMESTAMP)", "TIMESTAMP"),
        ("CASE WHEN yes THEN n ELSE f END", "DOUBLE"),
        ("CASE WHEN yes THEN NULL ELSE s END", "STRING"),
        ("IF(yes, day, at)", "TIMESTAMP"),
        ("COALESCE(NULL, n)", "INTEGER"),
        ("NVL(s, n)", "STRING"),
        ("SUM(n)", "LONG"),
        ("SUM(f)", "DOUBLE"),
        ("SUM(DISTINCT n)", "LONG"),
        ("AVG(n)", "DOUBLE"),
        ("MIN(day)", "DATE"),
        ("COUNT(*)", "LONG"),
        ("COLLECT(s)", "ARRAY"),
        ("ROW_NUMBER() OVER (ORDER BY s)", "LONG"),
        ("SUM(n) OVER (ORDER BY s)", "LONG"),
        ("LAG(day) OVER (ORDER BY s)", "DATE"),
        ("NAMED_ROW('a', n)", "ROW"),
        ("DATE_TRUNC('day', at)", "TIMESTAMP"),
        ("DATE_TRUNC('day', day)", "DATE"),
        ("CONVERT_TIME_ZONE_FROM_UTC(day, 'UTC')", "DATE"),
        ("SECONDS_BETWEEN(at, at)", "LONG"),
        ("CURRENT_DATE", "DATE"),
        ("ARRAY['a']", "ARRAY"),
        ("CONCAT(n, 'a')", "STRING"),
        ("GREATEST(n, 1.5)", "DECIMAL"),
        ("(SELECT s FROM t)", "STRING"),
        ("FOO(1)", "UNKNOWN"),
    ],
)
def test_a_family_is_known_of_every_expression(expression: str, expected: str) -> None:
    (column,) = parsed(f"SELECT {expression} AS x FROM t").selects
    assert type_of(column, family) == expected


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("UPPER(a)", None),
        ("UPPER()", "Invalid number of arguments to function 'UPPER'. Was expecting 1 argument"),
        ("SUM(a, b)", "Invalid number of arguments to function 'SUM'. Was expecting 1 argument"),
        ("IF(a)", "Invalid number of arguments to function 'IF'. Was expecting 2 to 3 arguments"),
        ("IF(a, b, c)", None),
        ("COUNT()", "Invalid number of arguments to function 'COUNT'. Was expecting 1 arguments or more"),
        (
            "NAMED_ROW('a', 1, 'b')",
            "Invalid number of arguments to function 'NAMED_ROW'. Was expecting labels and values in pairs",
        ),
        ("CONCAT(a, b, c, d)", None),
    ],
)
def test_too_few_and_too_many_arguments_are_told(expression: str, fault: str | None) -> None:
    (node,) = parsed(f"SELECT {expression} FROM t").selects
    function = function_of(node)
    assert function is not None
    assert arity_fault(function, node) == fault


@pytest.mark.parametrize(
    ("call", "hint"),
    [
        ("DATEDIFF('day', a, b)", "SECONDS_BETWEEN"),
        ("UPER(a)", "UPPER"),
        ("ARRAY_AGG(a)", "COLLECT"),
        ("now()", "CAST('now' AS TIMESTAMP)"),
    ],
)
def test_a_function_that_amc_does_not_have_is_told_with_what_it_has(call: str, hint: str) -> None:
    sql = f"SELECT {call} AS x FROM t"
    node = parsed(sql).selects[0].this
    assert function_of(node) is None
    found = unknown_function(sql, node)
    assert found.text.startswith(f"No match found for function signature {call.partition('(')[0].upper()}(")
    assert (found.code, found.place.column, found.place.end_column) == ("unknown-function", 8, 7 + len(call))
    assert hint in found.hint


@pytest.mark.parametrize(
    ("expression", "role"),
    [
        ("COUNT(*)", "count"), ("SUM(a)", "sum"), ("MAX(a)", "aggregate"), ("COLLECT(a)", "aggregate"),
        ("RANK()", "rank"), ("LAG(a)", "shift"), ("UUID()", "random"), ("CURRENT_DATE", "clock"),
        ("a SIMILAR TO 'b'", "compare"), ("a LIKE 'b'", "compare"), ("ARRAY_CONTAINS(a, b)", "compare"),
        ("EXPLODE(a)", "rows"), ("SUBSTRING(a, 1)", "shape"), ("CAST(a AS DATE)", "shape"), ("CONCAT(a)", "value"),
        ("CASE WHEN a THEN b END", "value"), ("TRIM(a)", "shape"), ("EXTRACT(DAY FROM a)", "shape"),
    ],
)  # fmt: skip
def test_each_call_has_its_role(expression: str, role: str) -> None:
    function = function_of(parsed(f"SELECT {expression} FROM t").selects[0])
    assert function is not None
    assert function.role == role


def test_a_branch_of_case_and_an_operator_are_no_calls() -> None:
    tree = parsed("SELECT CASE WHEN a = 1 AND b THEN 2 END FROM t")
    nodes = [node for node in tree.walk() if not isinstance(node, exp.Case)]
    assert [node for node in nodes if function_of(node)] == []


def test_what_is_no_function_of_amcs_is_left_alone() -> None:
    assert duck("SELECT QUANTILE_DISC(a, 0.5) FROM t") == "SELECT QUANTILE_DISC(a, 0.5) FROM t"


@pytest.mark.parametrize(
    "expression",
    ["DAYOFWEEK(DATE '2023-01-01')", "FORMAT(12345.678, '#,##0.00')", "GREATEST(1, 2)", "LOG(2, 8)"],
)
def test_what_is_changed_twice_means_the_same(con: duckdb.DuckDBPyConnection, expression: str) -> None:
    once = to_duckdb(parsed(f"SELECT {expression} AS x").copy(), NOW, family)
    twice = to_duckdb(once.copy(), NOW, family)
    found = con.execute(twice.sql(dialect="duckdb")).fetchall()
    assert found == con.execute(once.sql(dialect="duckdb")).fetchall()
