"""The session that runs queries cannot leave its room, and stops in time."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from amci.amcsql.query import Compiled, Query
from amci.amcsql.sources import tables_for
from amci.sandbox.engine import QueryEngine
from amci.sandbox.errors import QueryFailed
from amci.sandbox.options import SandboxOptions

LAST = date(2026, 10, 31)
NOON = datetime(2026, 10, 31, 12, tzinfo=UTC)
ENDLESS = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range % 7 = b.range % 11"


def by_hand(sql: str) -> Compiled:
    return Compiled(outputs=(), plain=sql, guarded=None, privacy=None, sources=(), parameters=(), notices=())


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('{file}')",
        "SELECT * FROM read_text('{file}')",
        "SELECT * FROM '{file}'",
        "SELECT * FROM glob('/*')",
        "COPY (SELECT 1) TO '{file}.out'",
        "ATTACH '{file}.db' AS x",
        "EXPORT DATABASE '{file}.export'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET memory_limit = '1TB'",
        "SET enable_external_access = true",
        "SET threads = 64",
        "RESET memory_limit",
    ],
)
def test_a_query_cannot_reach_outside(engine: QueryEngine, tmp_path: Path, sql: str) -> None:
    file = tmp_path / "secret.csv"
    file.write_text("a\n1\n", encoding="utf-8")
    with pytest.raises(QueryFailed):
        engine.run(by_hand(sql.format(file=file)), LAST)
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("REGEXP_REPLACE('a-b', '-(?=b)', '+')", "a+b"),
        ("REGEXP_SUBSTR('a-b', '[a-z](?=-)')", "a"),
        ("ARRAY_TO_STRING(REGEXP_SPLIT('a-b', '-(?=b)'), ' ')", "a b"),
        ("CASE WHEN 'a-b' SIMILAR TO 'a-(?=b).' THEN 'yes' END", "yes"),
    ],
)
def test_regular_expressions_that_only_java_knows(engine: QueryEngine, expression: str, value: str) -> None:
    sql = f"SELECT {expression} AS a FROM (VALUES (1)) AS v(b)"
    query = Query.of(sql, tables_for("workflow", {}), controls="none").compile((NOON, NOON), NOON)
    engine.check(query, sql)
    assert engine.run(query, LAST).rows == [(value,)]


def test_memory_disk_and_threads_are_bounded(engine: QueryEngine) -> None:
    names = ("threads", "memory_limit", "max_temp_directory_size")
    sql = "SELECT " + ", ".join(f"current_setting('{name}')" for name in names)
    (row,) = engine.run(by_hand(sql), LAST).rows
    assert row == (1, "512.0 MiB", "8.0 GiB")


def test_a_query_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    options = SandboxOptions(scale=0.001, days=2, query_timeout=timedelta(seconds=0.2))
    engine = QueryEngine(tmp_path, options)
    with pytest.raises(QueryFailed, match=r"timed out after 0\.2 seconds"):
        engine.run(by_hand(ENDLESS), LAST)
    assert engine.run(by_hand("SELECT 1 AS a"), LAST).rows == [(1,)]
    engine.close()


def test_a_query_that_needs_too_much_memory_fails(tmp_path: Path) -> None:
    engine = QueryEngine(tmp_path, SandboxOptions(scale=0.001, days=2, memory_limit=40 * 1024**2))
    with pytest.raises(QueryFailed, match="memory"):
        engine.run(by_hand("SELECT len(list(range)) FROM range(20000000)"), LAST)
    engine.close()


def test_an_error_does_not_repeat_more_than_its_first_line(engine: QueryEngine) -> None:
    with pytest.raises(QueryFailed) as caught:
        engine.run(by_hand("SELECT CAST('x' AS BIGINT)"), LAST)
    assert "\n" not in str(caught.value)
