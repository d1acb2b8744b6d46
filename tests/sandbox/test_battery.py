"""AMC SQL: each query gives what a hand-written DuckDB query gives over the same events (amc-api 3.1, 3.2)."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from amci.amcsql.findings import CompileError
from amci.amcsql.query import Compiled, Query
from amci.amcsql.sources import sources
from amci.sandbox.engine import QueryEngine

LAST = date(2026, 10, 31)
NOW = datetime(2026, 11, 1, 6, 30, tzinfo=UTC)
WINDOW = (datetime(2026, 10, 20, tzinfo=UTC), datetime(2026, 10, 27, tzinfo=UTC))
#: The tables within the window, for the hand-written side.
IN = "WITH " + ", ".join(
    f"{name} AS (FROM amc.{table} WHERE {at} >= '2026-10-20' AND {at} < '2026-10-27')"
    for name, table, at in (
        ("imp", "dsp_impressions", "impression_dt_utc"),
        ("clk", "dsp_clicks", "click_dt_utc"),
        ("ads", "sponsored_ads_traffic", "event_dt_utc"),
        ("att", "amazon_attributed_events_by_traffic_time", "traffic_event_dt_utc"),
        ("con", "conversions", "event_dt_utc"),
    )
)
DECLARED: list[dict[str, Any]] = [
    {"name": "campaign", "dataType": "STRING"},
    {"name": "campaigns", "dataType": {"type": "ARRAY", "elementDataType": "STRING"}},
    {"name": "ids", "dataType": {"type": "ARRAY", "elementDataType": "LONG"}},
    {"name": "least", "dataType": "INTEGER", "defaultValue": 3},
    {"name": "day", "dataType": "DATE"},
    {"name": "moment", "dataType": "TIMESTAMP"},
    {"name": "flag", "dataType": "BOOLEAN"},
    {"name": "share", "dataType": "DECIMAL"},
    {"name": "absent", "dataType": "STRING"},
    {"name": "none", "dataType": {"type": "ARRAY", "elementDataType": "STRING"}},
]
VALUES: dict[str, Any] = {
    "campaign": "Summit OTT",
    "campaigns": ["Summit OTT", "River Audio"],
    "ids": ["58000001", 58000004],
    "day": "2026-10-22",
    "moment": "2026-10-22T12:00:00",
    "flag": True,
    "share": "0.25",
}

BATTERY = {
    entry["name"]: (entry["amc"], entry["duckdb"])
    for entry in yaml.safe_load((Path(__file__).parent / "battery.yaml").read_text(encoding="utf-8"))
}


def compile_(sql: str, values: dict[str, Any] = VALUES) -> Compiled:
    """With privacy off, as AMC allows it for synthetic data."""
    query = Query.of(sql, sources(), declared=DECLARED, values=values, controls="none")
    return query.compile(WINDOW, NOW)


def by_hand(sql: str) -> Compiled:
    tables = list(sources())
    return Compiled(
        outputs=(), plain=sql, guarded=None, privacy=None, sources=tables, parameters=(), notices=()
    )


def _rows(engine: QueryEngine, query: Compiled) -> list[tuple[Any, ...]]:
    return sorted(engine.run(query, LAST).rows, key=repr)


def _approximately(rows: list[tuple[Any, ...]]) -> list[list[Any]]:
    return [[pytest.approx(float(v)) if isinstance(v, float) else v for v in row] for row in rows]


@pytest.mark.spread(3)
@pytest.mark.parametrize("name", BATTERY)
def test_a_query_gives_what_duckdb_gives(engine: QueryEngine, name: str) -> None:
    sql, duckdbs = BATTERY[name]
    query = compile_(sql)
    expected = _rows(engine, by_hand(f"{IN} {duckdbs}"))
    assert expected
    # where both sides found nothing, nothing would be compared
    assert any(value not in (0, None) for row in expected for value in row)
    engine.check(query, sql)
    assert [list(row) for row in _rows(engine, query)] == _approximately(expected)


#: How the text begins, after the columns from which to which it is about.
REFUSED = {
    "SELECT * FROM dsp_clicks": "8-8: SELECT * is not supported on a data source",
    "WITH a AS (SELECT * FROM dsp_clicks) SELECT COUNT(*) AS n FROM a": "19-19: SELECT * is not supported",
    "SELECT c.* FROM dsp_clicks c": "8-10: c.* is not supported on a data source",
    "SELECT dsp_clicks.* FROM dsp_clicks": "8-19: dsp_clicks.* is not supported on a data source",
    "SELECT e.* FROM TABLE(EXTEND_TIME_WINDOW('dsp_clicks', 'P1D', 'P1D')) e": "8-10: e.* is not supported",
    "SELECT campaign FROM dsp_clicks LIMIT 5": "33-37: LIMIT is not supported",
    "SELECT campaign FROM (SELECT campaign FROM dsp_clicks LIMIT 5)": "55-59: LIMIT is not supported",
    "SELECT 1 AS a; SELECT 2 AS b": "16-28: Only one query is supported",
    "": 'Encountered "<EOF>" at line 1, column 1.',
    "CREATE TABLE x AS SELECT 1 AS a": "1-6: Only SELECT queries are supported",
    "DROP TABLE dsp_clicks": "1-4: Only SELECT queries are supported",
    "INSERT INTO dsp_clicks VALUES (1)": "1-6: Only SELECT queries are supported",
    "DELETE FROM dsp_clicks": "1-6: Only SELECT queries are supported",
    "ATTACH 'x.db' AS x": "1-6: Only SELECT queries are supported",
    "SET memory_limit = '1TB'": "1-3: Only SELECT queries are supported",
    "COPY (SELECT 1) TO 'x.csv'": "1-4: Only SELECT queries are supported",
    "PRAGMA database_list": "1-6: Only SELECT queries are supported",
    "SELECT a.campaign FROM dsp_clicks a RIGHT JOIN dsp_clicks b ON a.user_id = b.user_id": "37-46: RIGHT JOIN is not",
    "WITH RECURSIVE a AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM a) SELECT n FROM a": "6-14: Recursive",
    "SELECT x FROM read_csv('/etc/passwd')": "15-37: No match found for function signature READ_CSV",
    "SELECT x FROM '/etc/passwd'": "15-27: Object '/etc/passwd' not found",
    "SELECT x FROM duckdb_settings()": "15-31: No match found for function signature DUCKDB_SETTINGS",
    "SELECT x FROM information_schema.tables": "34-39: Object 'tables' not found",
    "SELECT getenv('HOME') AS h": "8-21: No match found for function signature GETENV(<ANY>)",
    "SELECT BUILT_IN_PARAMETER('NOW') AS n": "8-32: there is no built-in parameter NOW",
    "SELECT CUSTOM_PARAMETER(campaign) AS n FROM dsp_clicks": "8-33: CUSTOM_PARAMETER takes one name in single quotes",
    "SELECT campaign FROM TABLE(EXTEND_TIME_WINDOW('foo', 'P1D', 'P1D'))": "47-51: Object 'foo' not found",
    "SELECT campaign FROM TABLE(EXTEND_TIME_WINDOW('dsp_clicks', '1 day', 'P1D'))": "61-67: '1 day' is not an ISO",
    "SELECT campaign FROM TABLE(EXTEND_TIME_WINDOW('dsp_clicks', 'P1D'))": "28-66: EXTEND_TIME_WINDOW takes a",
    "SELECT campaign FROM TABLE(OTHER('dsp_clicks'))": "28-46: No match found for function signature OTHER",
    "SELECT SECONDS_BETWEEN(1) AS a": "8-25: Invalid number of arguments to function 'SECONDS_BETWEEN'. Was",
    "SELECT NAMED_ROW('a') AS a": "8-21: Invalid number of arguments to function 'NAMED_ROW'. Was expecting 2 arg",
    "SELECT FROM dsp_clicks": 'Encountered "FROM" at line 1, column 8.',
    "SELECT 'open FROM dsp_clicks": 'Lexical error at line 1, column 28. Encountered: "<EOF>"',
    "SELECT " + "(" * 3000 + "1" + ")" * 3000 + " AS a": "1-6013: The query is nested too deeply",
}


@pytest.mark.parametrize("sql", REFUSED, ids=lambda sql: sql[:60])
def test_what_amc_does_not_have_is_refused_in_calcites_words(sql: str) -> None:
    with pytest.raises(CompileError) as caught:
        compile_(sql)
    said = re.sub(r"From line 1, column (\d+) to line 1, column (\d+): ", r"\1-\2: ", str(caught.value))
    assert said.startswith(f"SQL query was invalid: {REFUSED[sql]}")


def test_a_value_cannot_become_sql(engine: QueryEngine) -> None:
    value = "'); DROP TABLE amc.dsp_clicks; --"
    query = compile_("SELECT CUSTOM_PARAMETER('campaign') AS a", {"campaign": value})
    assert _rows(engine, query) == [(value,)]


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        ("campaign", "DIMENSION"),
        ("SUM(clicks)", "METRIC"),
        ("COUNT(*)", "METRIC"),
        ("COUNT(DISTINCT user_id)", "DIMENSION"),
        ("MAX(clicks)", "DIMENSION"),
    ],
)
def test_sums_and_counts_are_metrics(column: str, kind: str) -> None:
    assert compile_(f"SELECT {column} AS a FROM dsp_clicks").kinds == [kind]
    twice = f"SELECT {column} AS a FROM dsp_clicks UNION ALL SELECT {column} AS a FROM dsp_clicks"
    assert compile_(twice).kinds == [kind]


def test_a_column_without_a_name_gets_calcites(engine: QueryEngine) -> None:
    query = compile_("SELECT campaign, SUM(clicks), MAX(click_cost) FROM dsp_clicks GROUP BY 1")
    assert engine.run(query, LAST).names == ["campaign", "EXPR$1", "EXPR$2"]
