"""The session that runs queries cannot leave its room, and stops in time."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from amci.sandbox.engine import Engine
from amci.sandbox.errors import QueryFailed
from amci.sandbox.options import SandboxOptions

LAST = date(2026, 10, 31)
ENDLESS = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range % 7 = b.range % 11"


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
def test_a_query_cannot_reach_outside(engine: Engine, tmp_path: Path, sql: str) -> None:
    file = tmp_path / "secret.csv"
    file.write_text("a\n1\n", encoding="utf-8")
    with pytest.raises(QueryFailed):
        engine.run(sql.format(file=file), LAST)
    assert list(tmp_path.iterdir()) == [file]


def test_memory_and_threads_are_bounded(engine: Engine) -> None:
    (row,) = engine.run("SELECT current_setting('threads'), current_setting('memory_limit')", LAST).values
    assert row == (1, "512.0 MiB")


def test_a_query_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    options = SandboxOptions(users=40, days=2, query_timeout=timedelta(seconds=0.2))
    engine = Engine(tmp_path, options)
    with pytest.raises(QueryFailed, match=r"timed out after 0\.2 seconds"):
        engine.run(ENDLESS, LAST)
    assert list(engine.run("SELECT 1 AS a", LAST).values) == [(1,)]
    engine.close()


def test_a_query_that_needs_too_much_memory_fails(tmp_path: Path) -> None:
    engine = Engine(tmp_path, SandboxOptions(users=40, days=2, memory_limit=40 * 1024**2))
    with pytest.raises(QueryFailed, match="memory"):
        engine.run("SELECT count(DISTINCT md5(range::VARCHAR)) FROM range(10000000)", LAST)
    engine.close()


def test_an_error_does_not_repeat_more_than_its_first_line(engine: Engine) -> None:
    with pytest.raises(QueryFailed) as caught:
        engine.run("SELECT CAST('x' AS BIGINT)", LAST)
    assert "\n" not in str(caught.value)
