"""AMC SQL: each query gives what a hand-written DuckDB query gives over the same events (amc-api 3.1, 3.2)."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from amci.sandbox.engine import Engine
from amci.sandbox.errors import CompileError
from amci.sandbox.sql import translate
from amci.sandbox.windows import Window

LAST = date(2026, 10, 31)
NOW = datetime(2026, 11, 1, 6, 30, tzinfo=UTC)
WINDOW = Window(start=datetime(2026, 10, 20, tzinfo=UTC), end=datetime(2026, 10, 27, tzinfo=UTC))
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


def _rows(engine: Engine, sql: str) -> list[tuple[Any, ...]]:
    return sorted(map(tuple, engine.run(sql, LAST).values), key=repr)


def _approximately(rows: list[tuple[Any, ...]]) -> list[list[Any]]:
    return [[pytest.approx(float(v)) if isinstance(v, float) else v for v in row] for row in rows]


@pytest.mark.parametrize("name", BATTERY)
def test_a_query_gives_what_duckdb_gives(engine: Engine, name: str) -> None:
    sql, by_hand = BATTERY[name]
    translated = translate(sql, DECLARED, VALUES, WINDOW, NOW)
    expected = _rows(engine, f"{IN} {by_hand}")
    assert expected
    engine.check(translated.sql, sql)
    assert [list(row) for row in _rows(engine, translated.sql)] == _approximately(expected)


REFUSED = {
    "SELECT * FROM dsp_clicks": "SELECT * is not supported; name the columns",
    "WITH a AS (SELECT * FROM dsp_clicks) SELECT COUNT(*) AS n FROM a": "SELECT * is not supported",
    "SELECT c.* FROM dsp_clicks c": "c.* is not supported",
    "SELECT dsp_clicks.* FROM dsp_clicks": "dsp_clicks.* is not supported",
    "SELECT e.* FROM TABLE(EXTEND_TIME_WINDOW('dsp_clicks', 'P1D', 'P1D')) e": "e.* is not supported",
    "SELECT campaign FROM dsp_clicks LIMIT 5": "LIMIT is not supported",
    "SELECT campaign FROM (SELECT campaign FROM dsp_clicks LIMIT 5)": "LIMIT is not supported",
    "SELECT 1 AS a; SELECT 2 AS b": "exactly one SELECT statement is required",
    "": "exactly one SELECT statement is required",
    "CREATE TABLE x AS SELECT 1 AS a": "only SELECT statements are supported",
    "DROP TABLE dsp_clicks": "only SELECT statements are supported",
    "INSERT INTO dsp_clicks VALUES (1)": "only SELECT statements are supported",
    "DELETE FROM dsp_clicks": "only SELECT statements are supported",
    "ATTACH 'x.db' AS x": "Encountered \"'x.db'\" at line 1, column 8.",
    "SET memory_limit = '1TB'": "only SELECT statements are supported",
    "COPY (SELECT 1) TO 'x.csv'": "only SELECT statements are supported",
    "PRAGMA database_list": "only SELECT statements are supported",
    "SELECT a.campaign FROM dsp_clicks a RIGHT JOIN dsp_clicks b ON a.user_id = b.user_id": "RIGHT JOIN is not",
    "WITH RECURSIVE a AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM a) SELECT n FROM a": "recursive queries are not",
    "SELECT x FROM read_csv('/etc/passwd')": "is not a table",
    "SELECT x FROM '/etc/passwd'": "Object '/etc/passwd' not found",
    "SELECT x FROM duckdb_settings()": "duckdb_settings(…) is not a table",
    "SELECT x FROM information_schema.tables": "Object 'tables' not found",
    "SELECT getenv('HOME') AS h": "No match found for function signature GETENV",
    "SELECT BUILT_IN_PARAMETER('NOW') AS n": "there is no built-in parameter NOW",
    "SELECT CUSTOM_PARAMETER(campaign) AS n FROM dsp_clicks": "CUSTOM_PARAMETER takes one name in single quotes",
    "SELECT campaign FROM TABLE(EXTEND_TIME_WINDOW('foo', 'P1D', 'P1D'))": "Object 'foo' not found",
    "SELECT campaign FROM TABLE(EXTEND_TIME_WINDOW('dsp_clicks', '1 day', 'P1D'))": "'1 day' is not an ISO 8601",
    "SELECT campaign FROM TABLE(EXTEND_TIME_WINDOW('dsp_clicks', 'P1D'))": "takes a table and two durations",
    "SELECT campaign FROM TABLE(OTHER('dsp_clicks'))": "TABLE(…) is not a table",
    "SELECT SECONDS_BETWEEN(1) AS a": "Invalid number of arguments to function 'SECONDS_BETWEEN'",
    "SELECT NAMED_ROW('a') AS a": "Invalid number of arguments to function 'NAMED_ROW'",
    "SELECT FROM dsp_clicks": "a SELECT needs columns",
    "SELECT 'open FROM dsp_clicks": "SQL query was invalid",
    "SELECT " + "(" * 3000 + "1" + ")" * 3000 + " AS a": "nested too deeply",
}


@pytest.mark.parametrize("sql", REFUSED, ids=lambda sql: sql[:60])
def test_what_amc_does_not_have_is_refused(sql: str) -> None:
    with pytest.raises(CompileError) as caught:
        translate(sql)
    assert "SQL query was invalid: " in str(caught.value)
    assert REFUSED[sql] in str(caught.value)


def test_a_value_cannot_become_sql(engine: Engine) -> None:
    sql = "SELECT CUSTOM_PARAMETER('campaign') AS a"
    value = "'); DROP TABLE amc.dsp_clicks; --"
    translated = translate(sql, DECLARED, {"campaign": value}, WINDOW, NOW)
    assert _rows(engine, translated.sql) == [(value,)]


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
    assert translate(f"SELECT {column} AS a FROM dsp_clicks").kinds == (kind,)
    assert translate(f"SELECT {column} AS a FROM dsp_clicks UNION ALL SELECT 1 AS a").kinds == (kind,)


def test_a_column_without_a_name_gets_calcites(engine: Engine) -> None:
    translated = translate("SELECT campaign, SUM(clicks), MAX(click_cost) FROM dsp_clicks GROUP BY 1")
    assert engine.run(translated.sql, LAST).names == ["campaign", "EXPR$1", "EXPR$2"]
