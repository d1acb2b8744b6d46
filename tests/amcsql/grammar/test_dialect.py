from __future__ import annotations

from pathlib import Path

import pytest
from sqlglot import exp

from amci.amcsql.findings import place_of
from amci.amcsql.grammar.dialect import Amc
from amci.amcsql.grammar.parsing import parsed
from amci.amcsql.sources import audience_sources, sources

SKELETONS = [
    text.split("\n", 1)[1].strip().rstrip(";")
    for text in (Path(__file__).parents[1] / "skeletons.sql").read_text(encoding="utf-8").split("-- U")[1:]
]
NAMES = {
    column.name for source in [*sources().values(), *audience_sources().values()] for column in source.columns
}
WORDS = {
    "order", "date", "path", "day", "rank", "value", "type", "events", "site", "start", "end", "month", "year", "week",
    "hour", "key", "index", "text", "position", "count", "sum", "row", "time", "timestamp", "language", "format",
    "first", "last", "range", "rows", "set", "schema", "percent",
}  # fmt: skip
PLACES_OF_NAMES = [
    "SELECT {0} FROM t",
    "SELECT x AS {0} FROM t",
    "SELECT t.{0} FROM t GROUP BY {0}",
    "SELECT SUM({0}) {0} FROM t WHERE {0} = 1 AND t.{0} > 2",
    "SELECT {0}.x FROM t {0} JOIN u ON {0}.x = u.{0}",
    "WITH {0} AS (SELECT 1 AS {0}) SELECT {0}.{0} FROM {0}",
    "WITH q({0}) AS (VALUES (1)) SELECT {0} FROM q",
    "SELECT CASE WHEN {0} = 1 THEN {0} ELSE {0} END FROM t",
]


def written(sql: str) -> str:
    return parsed(sql).sql(dialect=Amc)


@pytest.mark.parametrize("sql", SKELETONS)
def test_what_is_parsed_and_written_is_parsed_alike(sql: str) -> None:
    assert written(written(sql)) == written(sql)


@pytest.mark.parametrize("place", PLACES_OF_NAMES)
def test_every_column_of_amc_and_every_usual_word_may_be_a_name(place: str) -> None:
    for name in NAMES | WORDS:
        sql = place.format(name)
        found = {each.name for each in parsed(sql).find_all(exp.Identifier)}
        assert name in found, sql


@pytest.mark.parametrize(
    ("sql", "same"),
    [
        ("select a from t", "SELECT a FROM t"),
        ("SELECT 'it''s', 'a\\', \"A b\" FROM t", "SELECT 'it''s', 'a\\', \"A b\" FROM t"),
        ("SELECT /*+ no hint */ a -- one\n, /* two /* */ b FROM t", "SELECT a, b FROM t"),
        ("SELECT a FROM t GROUP /* c */ BY 1", "SELECT a FROM t GROUP BY 1"),
        ("SELECT COUNT(ALL x), COUNT(*) FROM t", "SELECT COUNT(x), COUNT(*) FROM t"),
        ("(SELECT a FROM t) UNION (SELECT b FROM u)", "(SELECT a FROM t) UNION (SELECT b FROM u)"),
        ("SELECT a FROM t UNION DISTINCT SELECT b FROM u", "SELECT a FROM t UNION SELECT b FROM u"),
        ("SELECT a FROM (SELECT a FROM t)", "SELECT a FROM (SELECT a FROM t)"),
        ("SELECT a FROM t, u CROSS JOIN v", "SELECT a FROM t, u CROSS JOIN v"),
        ("SELECT a FROM t FULL OUTER JOIN u USING (a, b)", "SELECT a FROM t FULL OUTER JOIN u USING (a, b)"),
        ("SELECT a FROM t JOIN u ON t.x < u.y", "SELECT a FROM t JOIN u ON t.x < u.y"),
        ("SELECT a IS NOT DISTINCT FROM b FROM t", "SELECT a IS NOT DISTINCT FROM b FROM t"),
        ("SELECT a FROM t WHERE a <> 1 AND b != 2", "SELECT a FROM t WHERE a <> 1 AND b <> 2"),
        ("SELECT a FROM t WHERE EXISTS(SELECT 1)", "SELECT a FROM t WHERE EXISTS(SELECT 1)"),
        (
            "SELECT SUM(x) OVER w FROM t WINDOW w AS (PARTITION BY a ORDER BY b)",
            "SELECT SUM(x) OVER w FROM t WINDOW w AS (PARTITION BY a ORDER BY b)",
        ),
        (
            "SELECT a FROM Table( -- why\n extend_time_window('t' , /* so */ 'P1D','P0D') ) AS x",
            "SELECT a FROM TABLE(EXTEND_TIME_WINDOW('t', 'P1D', 'P0D')) AS x",
        ),
        ("SELECT custom_parameter('a') FROM t", "SELECT CUSTOM_PARAMETER('a') FROM t"),
    ],
)
def test_the_grammar_is_amcs(sql: str, same: str) -> None:
    assert written(sql) == same


def test_a_longer_window_is_a_table_with_the_call_in_it() -> None:
    tree = parsed("SELECT a FROM TABLE(EXTEND_TIME_WINDOW('t', 'P1D', 'P0D')) b JOIN u ON b.x = u.x")
    table, other = tree.find_all(exp.Table)
    assert isinstance(table.this, exp.Anonymous)
    assert [argument.name for argument in table.this.expressions] == ["t", "P1D", "P0D"]
    assert (table.this.name, table.alias, other.name) == ("EXTEND_TIME_WINDOW", "b", "u")


@pytest.mark.parametrize(
    "text",
    [
        "SUM(a)", "COUNT(*)", "CONCAT(a, 'b')", "CAST(a AS DATE)", "CASE WHEN a THEN 'b' END", "UUID()", "'b'", "12",
        "TRIM(BOTH 'x' FROM a)", "EXTRACT(DOW FROM a)", "t.a", "FOO(1)", "NULL", "TRUE",
        "CURRENT_DATE", "CURRENT_TIMESTAMP", "IF(a, 1, 2)", "*", "t.*",
    ],
)  # fmt: skip
def test_a_node_knows_where_it_stands(text: str) -> None:
    sql = f"SELECT\n  {text} FROM t"
    (column,) = parsed(sql).selects
    place = place_of(sql, column.unalias())
    assert (place.line, place.column, place.end_line, place.end_column) == (2, 3, 2, 2 + len(text))


@pytest.mark.parametrize(
    ("direction", "is_first"),
    [("ASC", False), ("DESC", True), ("DESC NULLS LAST", False), ("NULLS FIRST", True)],
)
def test_null_is_the_greatest_of_all(direction: str, is_first: bool) -> None:
    ordered = parsed(f"SELECT ROW_NUMBER() OVER (ORDER BY a {direction}) FROM t").find(exp.Ordered)
    assert ordered is not None
    assert ordered.args["nulls_first"] is is_first
