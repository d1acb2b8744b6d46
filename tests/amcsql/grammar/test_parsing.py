from __future__ import annotations

import pytest
from sqlglot import exp

from amci.amcsql.findings import CompileError, Finding
from amci.amcsql.grammar.parsing import notices, parsed, refused_for_audiences


def refused(sql: str, mode: str = "lenient") -> list[Finding]:
    with pytest.raises(CompileError) as caught:
        parsed(sql, mode)  # type: ignore[arg-type]
    return list(caught.value.findings)


def seen(sql: str, mode: str = "lenient") -> list[tuple[str, str]]:
    return [(each.severity, each.code) for each in notices(parsed(sql), sql, mode)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sql", "code", "column", "end"),
    [
        ("SELECT a FROM t LIMIT 10", "limit", 17, 21),
        ("SELECT a FROM t OFFSET 10", "limit", 17, 22),
        ("SELECT a FROM t FETCH FIRST 5 ROWS ONLY", "limit", 17, 21),
        ("SELECT TOP 10 a FROM t", "limit", 1, 10),
        ("SELECT a FROM t RIGHT JOIN u ON a=b", "right-join", 17, 26),
        ("SELECT a FROM t RIGHT OUTER JOIN u ON a=b", "right-join", 17, 27),
        ("SELECT a FROM t NATURAL JOIN u", "natural-join", 17, 23),
        ("SELECT a FROM t JOIN u", "join-condition", 17, 20),
        ("SELECT a FROM t LEFT JOIN u", "join-condition", 17, 25),
        ("SELECT a FROM t CROSS JOIN u ON a=b", "join-condition", 17, 26),
        ("SELECT a FROM t LEFT SEMI JOIN u ON a=b", "join-kind", 22, 30),
        ("SELECT a FROM t ASOF JOIN u ON a>b", "join-kind", 17, 25),
        ("SELECT a FROM t, LATERAL (SELECT 1)", "lateral", 18, 24),
        ("WITH RECURSIVE a AS (SELECT 1) SELECT a FROM a", "recursive", 6, 14),
        ("SELECT a FROM (SELECT a FROM t ORDER BY 1)", "order-by", 32, 39),
        ("SELECT a FROM t UNION ALL (SELECT b FROM u ORDER BY b)", "order-by", 44, 51),
        ("SELECT COLLECT(a ORDER BY b) FROM t", "order-by", 8, 28),
        ("DROP TABLE t", "not-a-select", 1, 4),
        ("INSERT INTO t SELECT 1", "not-a-select", 1, 6),
        ("SET x = 1", "not-a-select", 1, 3),
        ("SHOW TABLES", "not-a-select", 1, 4),
        ("VALUES (1)", "not-a-select", 1, 6),
        ("SELECT a FROM t; SELECT b FROM t", "several-statements", 18, 32),
        ("SELECT a INTO b FROM t", "into", 10, 13),
        ("SELECT GETDATE() FROM t", "getdate", 8, 15),
        ("SELECT a FROM t WHERE a IN ([LIST])", "placeholder", 29, 34),
        ("SELECT a FROM t WHERE a = {{x}}", "placeholder", 27, 30),
        ("SELECT a FROM t WHERE a = :x", "placeholder", 27, 28),
        ("SELECT a FROM t WHERE a = ?", "placeholder", 27, 27),
        ("SELECT a::int FROM t", "cast-sign", 9, 10),
        ("SELECT a FROM t QUALIFY x = 1", "qualify", 17, 23),
        ("SELECT a FROM t TABLESAMPLE (10)", "sample", 17, 27),
        ("SELECT a FROM t PIVOT (SUM(a) FOR b IN ('x'))", "pivot", 17, 21),
        ("SELECT a FROM UNNEST(x)", "unnest", 15, 20),
        ("SELECT a FROM t INTERSECT SELECT b FROM u", "set-operation", 17, 25),
        ("SELECT a FROM t EXCEPT SELECT b FROM u", "set-operation", 17, 22),
        ("SELECT DISTINCT ON (a) a FROM t", "distinct-on", 8, 18),
        ("SELECT SUM(a) FILTER (WHERE b) FROM t", "filter", 15, 20),
        ("SELECT a FROM t GROUP BY ROLLUP(a)", "grouping-sets", 26, 31),
        ("SELECT a FROM t GROUP BY ALL", "group-by-all", 17, 28),
        ("SELECT CAST(a AS TIME) FROM t", "unknown-type", 8, 22),
        ("SELECT EXTRACT(CENTURY FROM a) FROM t", "unknown-unit", 8, 30),
        ("SELECT DATE_TRUNC('foo', a) FROM t", "unknown-unit", 8, 27),
        ("SELECT a FROM t WHERE a SIMILAR TO '('", "bad-pattern", 36, 38),
        ("SELECT REGEXP_REPLACE(a, 'x', '$1') FROM t", "bad-pattern", 31, 34),
        ("SELECT a FROM TABLE(FOO('x'))", "table-function", 21, 28),
        ("SELECT a FROM TABLE(EXTEND_TIME_WINDOW('x', 1, 2))", "table-function", 21, 49),
        ("SELECT a FROM EXTEND_TIME_WINDOW('x','P1D','P1D')", "table-function", 15, 49),
        ("SELECT EXTEND_TIME_WINDOW('x','P1D','P1D') FROM t", "table-function", 8, 42),
        ("SELECT a FROM t WHERE a IN ()", "syntax", 23, 23),
    ],
)
def test_what_amc_does_not_have_is_refused_where_it_stands(
    sql: str, code: str, column: int, end: int
) -> None:
    (found,) = refused(sql)
    assert (found.code, found.place.column, found.place.end_column) == (code, column, end)
    assert found.severity == "error"
    assert found.hint


@pytest.mark.parametrize(
    ("sql", "word", "column"),
    [
        ("SELECT a, FROM t", "FROM", 11),
        ("SELECT FROM t", "FROM", 8),
        ("SELECT a b c FROM t", "c", 12),
        ("SELECT (a = 1 FROM t", "FROM", 15),
        ("SELECT a FROM t WHERE (a = 1", "<EOF>", 28),
        ("SELECT a FROM t WHERE", "<EOF>", 21),
        ("SELECT a FROM t GROUP BY", "<EOF>", 24),
        ("SELECT a FROM t AS", "<EOF>", 18),
        ("SELECT CASE WHEN a b END FROM t", "b", 20),
        ("SELECT CASE WHEN a THEN b FROM t", "FROM", 27),
        ("SELECT CASE a END FROM t", "END", 15),
        ("SELECT CAST(a AS FOO) FROM t", "FOO", 18),
        ("SELECT a FROM t WHERE x ILIKE 'a'", "ILIKE", 25),
        ("SELECT x -> 1 FROM t", ">", 11),
        ("SELECT CURRENT_DATE() FROM t", ")", 21),
        ("SELECT a FROM TABLE(t)", "t", 21),
        ("WITH a AS (SELECT 1) DELETE FROM t", "DELETE", 22),
        ("", "<EOF>", 1),
        ("-- nothing", "<EOF>", 10),
    ],
)
def test_a_mistake_is_told_as_calcite_tells_it(sql: str, word: str, column: int) -> None:
    (found,) = refused(sql)
    assert found.code == "syntax"
    assert found.text == f'Encountered "{word}" at line 1, column {column}.'
    assert found.hint


@pytest.mark.parametrize("sql", ["SELECT 'a FROM t", 'SELECT "a FROM t', "SELECT a /* FROM t"])
def test_what_is_not_closed_is_said(sql: str) -> None:
    (found,) = refused(sql)
    assert found.text.startswith("Lexical error at line 1")
    assert "not closed" in found.hint


def test_places_count_lines() -> None:
    (found,) = refused("SELECT a\nFROM t\n  LIMIT 5")
    assert (found.place.line, found.place.column, found.place.end_line) == (3, 3, 3)


def test_all_that_is_refused_is_told_at_once() -> None:
    found = refused("SELECT GETDATE() FROM t RIGHT JOIN u ON a = b WHERE c = [X] LIMIT 5")
    assert [each.code for each in found] == ["getdate", "right-join", "placeholder", "limit"]


def test_a_query_that_is_too_deep_is_refused() -> None:
    (found,) = refused("SELECT " + "(" * 400 + "a" + ")" * 400 + " FROM t")
    assert found.code == "too-deep"


def test_long_lists_and_conditions_are_not_too_deep() -> None:
    many = " OR ".join(f"a = {number}" for number in range(2000))
    listed = ", ".join(f"'{number}'" for number in range(5000))
    assert parsed(f"SELECT a FROM t WHERE {many} OR b IN ({listed})").find(exp.In)


@pytest.mark.parametrize("name", ["limit", "offset", "pivot", "top"])
def test_words_that_are_refused_may_be_names_after_as_and_a_point(name: str) -> None:
    assert parsed(f"SELECT a AS {name}, t.{name} FROM t")


@pytest.mark.parametrize("sql", ["SELECT a FROM t ORDER BY 1", "(SELECT a FROM t) ORDER BY a"])
def test_order_at_the_end_is_refused_in_strict_mode_and_warned_of_in_lenient(sql: str) -> None:
    assert [each.code for each in refused(sql, "strict")] == ["order-by"]
    assert seen(sql) == [("warning", "order-by")]


def test_the_order_of_a_window_is_no_order_of_the_query() -> None:
    sql = "SELECT SUM(a) OVER (ORDER BY b), SUM(a) OVER w FROM t WINDOW w AS (ORDER BY c)"
    assert parsed(sql, "strict")
    assert seen(sql, "strict") == []


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT a FROM t", []),
        ("SELECT a FROM t;", [("note", "semicolon")]),
        ("SELECT a || b FROM t", [("warning", "concatenation")]),
        ("SELECT a FROM t WHERE a > b + INTERVAL '1' DAY", [("warning", "interval")]),
        ("SELECT COUNT(*) OVER () FROM t", [("warning", "reported")]),
        ("SELECT COUNT(*) OVER (PARTITION BY a), SUM(a) OVER () FROM t", []),
        ("SELECT NTILE(3) OVER (ORDER BY a) FROM t", [("warning", "reported")]),
        ("SELECT COLLECT(a + 1) FROM t", [("warning", "reported")]),
        ("SELECT COLLECT(DISTINCT LOWER(a)) FROM t", [("warning", "reported")]),
        ("SELECT COLLECT(DISTINCT a), COLLECT(t.a) FROM t", []),
        ("SELECT LAG(a) OVER (ORDER BY a) FROM t", [("warning", "undocumented")]),
        ("SELECT CAST(a AS STRING) FROM t", [("warning", "undocumented")]),
        ("SELECT a FROM t WHERE a SIMILAR TO '(?!)x'", [("warning", "never-matches")]),
        ("SELECT RANK() OVER (ORDER BY a) AS r FROM t HAVING r < 3", [("warning", "rank-in-having")]),
        ("SELECT SUM(a) AS r FROM t HAVING r < 3", []),
    ],
)
def test_what_a_person_should_know_is_said(sql: str, expected: list[tuple[str, str]]) -> None:
    assert seen(sql) == expected


def test_audience_queries_have_no_intervals_and_no_semicolon() -> None:
    found = refused_for_audiences("SELECT a FROM t WHERE a > b + INTERVAL '1' DAY;")
    assert [(each.severity, each.code) for each in found] == [("error", "interval"), ("error", "semicolon")]
    assert refused_for_audiences("SELECT a FROM t") == []


def test_a_tree_is_made_once() -> None:
    assert parsed("SELECT a FROM once") is parsed("SELECT a FROM once")


@pytest.mark.parametrize(
    ("part", "says"),
    [("'\ud800'", "half a character"), ("9" * 5000, "more than 1000 digits"), ("1." + "9" * 5000, "digits")],
    ids=["half a character", "whole", "fraction"],
)
def test_what_no_engine_reads_is_refused_with_its_place(part: str, says: str) -> None:
    with pytest.raises(CompileError, match=f"line 1, column .*{says}"):
        parsed(f"SELECT campaign, SUM({part}) AS x FROM dsp_impressions GROUP BY 1")
