from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest
from hypothesis import given, strategies as st

from amci.kernel.errors import QueryError
from amci.lake.query.statement import CatalogScope, UnknownTable, checked, is_complete, split

SCOPE = CatalogScope(
    catalog="lake",
    tables=frozenset({("s", "t"), ("s", "odd.csv"), ("s", "größe")}),
    built_in=frozenset({("main", "duckdb_tables"), ("information_schema", "tables")}),
    tenant=None,
)


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as found:
        yield found


@pytest.mark.parametrize(
    ("script", "statements"),
    [
        ("", []),
        (" ;; -- nothing ; \n /* ; */", []),
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT 1; SELECT 2;", ["SELECT 1", "SELECT 2"]),
        ("SELECT ';' ; SELECT $$;$$", ["SELECT ';'", "SELECT $$;$$"]),
        ('SELECT 1 AS "a;b" -- ;\n; SELECT 2', ['SELECT 1 AS "a;b" -- ;', "SELECT 2"]),
        ("SELECT 'größer;' AS ö; SELECT '猫'", ["SELECT 'größer;' AS ö", "SELECT '猫'"]),
        ("PIVOT s.t ON a USING sum(b); SELECT 1", ["PIVOT s.t ON a USING sum(b)", "SELECT 1"]),
    ],
)
def test_a_script_is_split_at_its_semicolons_only(script: str, statements: list[str]) -> None:
    assert split(script) == statements


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="'\0")), min_size=1, max_size=4))
def test_any_text_inside_quotes_stays_in_its_statement(texts: list[str]) -> None:
    statements = [f"SELECT '{text}'" for text in texts]
    assert split("; ".join(statements)) == statements


@pytest.mark.parametrize(
    ("text", "complete"),
    [
        ("", False),
        ("SELECT 1", False),
        ("SELECT 1;", True),
        ("SELECT ';", False),
        ("SELECT 'ä';  -- x", True),
    ],
)
def test_a_statement_is_complete_with_its_semicolon(text: str, *, complete: bool) -> None:
    assert is_complete(text) is complete


@pytest.mark.parametrize(
    "sql",
    [
        "FROM s.t",
        "FROM lake.s.T",
        'FROM "odd.csv"',
        'FROM s."GRÖSSE", s."größe"',
        "FROM information_schema.tables",
        "FROM system.information_schema.tables",
        "WITH x AS (SELECT 1) FROM x",
        "SELECT 1 / 2",
        "PIVOT s.t ON a USING sum(b / 2)",
    ],
)
def test_known_names_pass(con: duckdb.DuckDBPyConnection, sql: str) -> None:
    if "GRÖSSE" in sql:
        with pytest.raises(UnknownTable):
            checked(con, sql, SCOPE)
    else:
        assert checked(con, f"/* why */ {sql} ;", SCOPE) == sql


@pytest.mark.parametrize(
    "sql", ["FROM s.other", "FROM other.s.t", "FROM 'x.csv'", 'FROM "a/b"', "FROM x.csv"]
)
def test_an_unknown_table_is_told_from_other_mistakes(con: duckdb.DuckDBPyConnection, sql: str) -> None:
    with pytest.raises(UnknownTable, match="there is no"):
        checked(con, sql, SCOPE)


def test_every_table_function_of_duckdb_is_refused_unless_it_is_known_to_be_harmless(
    con: duckdb.DuckDBPyConnection,
) -> None:
    names = con.execute(
        "SELECT DISTINCT function_name FROM duckdb_functions()"
        " WHERE function_type IN ('table', 'table_macro')"
    ).fetchall()
    passed = set()
    for (name,) in names:
        try:
            checked(con, f"FROM {name}('x')", SCOPE)
        except QueryError:
            continue
        passed.add(name)
    assert passed
    assert passed <= SCOPE.functions
    suspicious = (
        "read",
        "scan",
        "glob",
        "sniff",
        "parquet",
        "query",
        "log",
        "checkpoint",
        "attach",
        "secret",
    )
    assert [name for name in passed if any(word in name for word in suspicious)] == []


@pytest.mark.parametrize(
    "prefix", ["", "EXPLAIN ", "EXPLAIN ANALYZE ", "EXPLAIN (FORMAT JSON) ", "DESCRIBE "]
)
@pytest.mark.parametrize(
    "frame",
    [
        "{}",
        "SELECT (SELECT count(*) FROM ({}))",
        "WITH a AS ({}) FROM a",
        "WITH a AS MATERIALIZED ({}) SELECT 1",
        "SELECT 1 UNION ALL SELECT count(*) FROM ({})",
        "FROM s.t JOIN ({}) ON true",
        "FROM s.t, LATERAL ({})",
        "SELECT 1 WHERE EXISTS ({})",
        "SELECT sum(1) OVER (ORDER BY (SELECT count(*) FROM ({})))",
        "SELECT [x FOR x IN (SELECT list(1) FROM ({}))]",
        "FROM s.t ORDER BY (SELECT count(*) FROM ({}))",
        "FROM s.t LIMIT (SELECT count(*) FROM ({}))",
        "FROM s.t QUALIFY (SELECT count(*) FROM ({})) > 0",
        "VALUES ((SELECT count(*) FROM ({})))",
        "PIVOT ({}) ON a IN (1) USING sum(b)",
        "UNPIVOT ({}) ON a",
    ],
)
def test_a_forbidden_function_is_found_wherever_it_hides(
    con: duckdb.DuckDBPyConnection, prefix: str, frame: str
) -> None:
    assert checked(con, prefix + frame.format("SELECT a FROM s.t"), SCOPE)
    with pytest.raises(QueryError, match="read_text"):
        checked(con, prefix + frame.format("SELECT 1 AS a FROM read_text('/etc/passwd')"), SCOPE)


def test_a_statement_that_is_no_text_is_refused(con: duckdb.DuckDBPyConnection) -> None:
    for read in (split, is_complete, lambda sql: checked(con, sql, SCOPE)):
        with pytest.raises(QueryError, match="not UTF-8"):
            read("SELECT '\udcff';")


def test_a_statement_is_judged_without_a_look_into_the_lake() -> None:
    with duckdb.connect() as con:
        con.execute("ATTACH ':memory:' AS lake; USE lake")
        con.execute("CREATE MACRO json_serialize_sql(sql) AS error('asked the lake')")
        assert checked(con, "SELECT * FROM s.t", SCOPE) == "SELECT * FROM s.t"
