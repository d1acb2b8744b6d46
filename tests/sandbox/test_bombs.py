"""Queries that ask for all the memory or time there is end in AMC's words, and take no more than their process."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import IO, Any

import duckdb
import pytest

from amci.kernel.errors import StorageError
from amci.sandbox import duckdb_process
from amci.sandbox.engine import QueryEngine, run
from amci.sandbox.errors import QueryFailed
from amci.sandbox.options import SandboxOptions

from .test_engine import ENDLESS, LAST, by_hand

pytestmark = pytest.mark.skipif(
    sys.platform != "linux",
    reason="only Linux bounds the memory of a process so, and tells of processes in /proc",
)

MIB = 1024**2
LIMIT = 128 * MIB
#: What is allowed beyond it, and what Python and DuckDB take without any query.
ALLOWANCE, BASE = 512 * MIB, 128 * MIB
LARGE, LATE = "Query exceeded the memory available to it.", "Query timed out after 1 seconds."
TABLE = "dsp_impressions"
FROM = f"FROM {TABLE}"
MANY = " CROSS JOIN ".join(f"{TABLE} {name}" for name in "abcde")


def nested(depth: int, text: str = "'x'", new: str = "xx") -> str:
    """REPLACE in REPLACE: a text that is twice as long, or longer, at each level."""
    for _ in range(depth):
        text = f"REPLACE({text}, 'x', '{new}')"
    return text


def doubled(levels: int, first: str, joined: str) -> str:
    """WITH in which each table has twice the text of the one before."""
    tables = [f"t0 AS ({first})"]
    tables += [f"t{n} AS (SELECT {joined} AS s FROM t{n - 1})" for n in range(1, levels + 1)]
    return f"WITH {', '.join(tables)} SELECT MAX(LENGTH(s)) AS n FROM t{levels}"


ONE = "SELECT 'xxxxxxxx' AS s FROM (VALUES (1)) AS v(a)"
SOME = "CONCAT(campaign, 'x')"
BOMBS = {
    "replace, 20 deep": f"SELECT MAX(LENGTH({nested(20, new='xxxx')})) AS n {FROM}",
    "replace, 30 deep": f"SELECT LENGTH({nested(30)}) AS n {FROM}",
    "replace, 40 deep": f"SELECT {nested(40)} AS n {FROM}",
    "replace of a column": f"SELECT MAX(LENGTH({nested(30, SOME)})) AS n {FROM}",
    "replace as a unit": f"SELECT MAX(DATE_TRUNC({nested(30)}, impression_dt_utc)) AS n {FROM}",
    "replace as a path": f"SELECT MAX(JSON_EXTRACT(campaign, {nested(30)})) AS n {FROM}",
    "||, doubled": doubled(30, ONE, "s || s"),
    "concat, doubled": doubled(30, ONE, "CONCAT(s, s)"),
    "a hash of what is doubled": doubled(30, ONE, "s || s").replace("LENGTH(s)", "MD5(s)"),
    "||, doubled rows": doubled(30, f"SELECT campaign AS s {FROM}", "s || s"),
    "format": "SELECT LENGTH(FORMAT(1, '%2000000000d')) AS n FROM (VALUES (1)) AS v(a)",
    "collected": f"SELECT LENGTH(ARRAY_TO_STRING(COLLECT(CONCAT(a.campaign, b.campaign)), ',')) AS n FROM {MANY}",
    "distinct": f"SELECT COUNT(DISTINCT a.request_tag || b.request_tag || c.request_tag) AS n FROM {MANY}",
    "regexes": f"SELECT MAX(LENGTH(REGEXP_REPLACE({nested(24)}, '(?=x)', 'yyyyyyyy'))) AS n {FROM}",
    "hex": f"SELECT LENGTH(FROM_VARBINARY(TO_VARBINARY({nested(28)}, 'utf-8'), 'hex')) AS n {FROM}",
    "a cross join that never ends": f"SELECT SUM(a.impressions) AS n FROM {MANY} WHERE a.total_cost < e.bid_price",
    "rows without end": f"SELECT a.campaign AS c, b.request_tag AS r FROM {MANY}",
}
#: In DuckDB's words, for functions that AMC SQL lacks.
BY_HAND = {
    "lpad": "SELECT length(lpad('x', 2000000000, 'y')) AS n",
    "rpad": "SELECT length(rpad('x', 2000000000, 'y')) AS n",
    "repeat": "SELECT length(repeat('x', 2000000000)) AS n",
    "bitstring": "SELECT length(bitstring('1', 1500000000)) AS n",
    "string_agg": "SELECT length(string_agg(repeat('x', 1000), ',')) AS n FROM range(10000000)",
    "rows": "SELECT repeat('x', 1000) AS n FROM range(100000000)",
}


#: Runs bombs in a process of its own, as a check, a query and an execution; says what each ends with, what the process
#: and its children took at most, and which children are left.
SCRIPT = """
import json, os, resource, sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from amci.amcsql.findings import CompileError
from amci.amcsql.query import Compiled, Query
from amci.amcsql.sources import tables_for
from amci.kernel.testing import FakeClock
from amci.sandbox.engine import QueryEngine
from amci.sandbox.errors import QueryFailed
from amci.sandbox.options import SandboxOptions
from amci.sandbox.type_check import TypeChecker
from tests.sandbox.calling import Caller
from tests.sandbox.test_engine import by_hand

home, bombs = Path(sys.argv[1]), json.load(sys.stdin)
last, window = date(2026, 10, 31), (datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC))
given = {"memory_limit": bombs["limit"], "scale": 0.003, "days": 5}
given |= dict.fromkeys(("check_timeout", "query_timeout"), timedelta(seconds=1))
checker = TypeChecker(SandboxOptions(**given))
engine = QueryEngine(home / "engine", SandboxOptions(**given))
amc = Caller(home / "amc", FakeClock(), **given)
few = "SELECT SUM(impressions) AS n FROM dsp_impressions"

def compiled(sql):
    return Query.of(sql, tables_for("workflow", {}), controls="none").compile(window, window[1])

def ended(work, *given):
    try:
        work(*given)
    except (CompileError, QueryFailed) as error:
        return str(error)
    return "ended well"

def executed(sql):
    answer = amc.ask("POST", "/workflowExecutions", {"workflow": {"sqlQuery": sql}, "timeWindowType": "ALL",
        "requireSyntheticData": True, "disableAggregationControls": True})
    return amc.execution(answer.json["workflowExecutionId"])

def say(name, said):
    print(json.dumps([name, said]), flush=True)

for name, sql in bombs["amc"].items():
    say(f"check of {name}", ended(checker.check, compiled(sql), sql))
    say(f"run of {name}", ended(engine.run, compiled(sql), last))
    end = executed(sql)
    say(f"execution of {name}", end.get("statusReason", "").rpartition("invalid: ")[2] or end["status"])
    well = [ended(checker.check, compiled(few), few), ended(engine.run, compiled(few), last), executed(few)["status"]]
    say(f"after {name}", well)
for name, sql in bombs["by hand"].items():
    say(f"run of {name}", ended(engine.run, by_hand(sql), last))
for one in (checker, engine, amc):
    one.close()
children = [int(pid) for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()]
# A process begins with the peak of the one that started it, by its usage; not by its own pages.
own = next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
peaks = [own * 1024, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024]
say("left", [children, [str(path) for path in home.rglob("scratch*")], peaks])
"""


def test_bombs_end_in_amcs_words_and_take_no_more_than_their_process(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """A spread of them in the suite, all under `make crash`."""
    every = 1 if request.config.getoption("--crash-all") else 5
    amc, hand = (dict(list(table.items())[::every]) for table in (BOMBS, BY_HAND))
    given = json.dumps({"limit": LIMIT, "amc": amc, "by hand": hand})
    script = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    done = subprocess.run(script, input=given, capture_output=True, text=True, check=True)
    said = dict(map(json.loads, done.stdout.splitlines()))
    children, scratch, peaks = said.pop("left")
    assert (children, scratch) == ([], [])
    own, of_children = peaks
    assert own < BASE + ALLOWANCE
    assert of_children < LIMIT + ALLOWANCE + BASE
    well = ["ended well", "ended well", "SUCCEEDED"]
    # A query without large constants is fine as such.
    fine = {name: (LARGE, LATE, "ended well") if name.startswith("check") else (LARGE, LATE) for name in said}
    fine |= {f"after {name}": (well,) for name in amc}
    assert {name: answer for name, answer in said.items() if answer not in fine[name]} == {}
    assert len(said) == 4 * len(amc) + len(hand)


def workers() -> list[int]:
    """The processes that this one has started for queries."""
    children: list[int] = []
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that ends meanwhile
            children += map(int, (task / "children").read_text().split())
    return [pid for pid in children if b"duckdb_worker" in Path(f"/proc/{pid}/cmdline").read_bytes()]


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[QueryEngine, int]]:
    """An engine and its process, which nobody else has."""
    monkeypatch.setattr(duckdb_process, "MOST_IDLE", 0)
    monkeypatch.setattr(duckdb_process, "IDLE", [])
    before = workers()
    engine = QueryEngine(tmp_path, SandboxOptions(scale=0.001, days=2))
    engine.run(by_hand("SELECT 1 AS a"), LAST)
    (worker,) = set(workers()) - set(before)
    yield engine, worker
    engine.close()
    assert set(workers()) <= set(before)


def once_sent(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Act when the next request was sent."""
    answer = duckdb_process._answer

    def acting(pipe: IO[bytes]) -> Any:
        monkeypatch.setattr(duckdb_process, "_answer", answer)
        act()
        return answer(pipe)

    monkeypatch.setattr(duckdb_process, "_answer", acting)


def test_a_process_that_the_system_kills_has_exceeded_its_memory(
    engine: tuple[QueryEngine, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, worker = engine
    once_sent(monkeypatch, lambda: os.kill(worker, signal.SIGKILL))
    with pytest.raises(QueryFailed, match=LARGE):
        asked.run(by_hand(ENDLESS), LAST)
    assert asked.run(by_hand("SELECT 1 AS a"), LAST).rows == [(1,)]


def test_a_process_that_is_killed_between_two_queries_is_not_missed(engine: tuple[QueryEngine, int]) -> None:
    asked, worker = engine
    ended = os.pidfd_open(worker)
    os.kill(worker, signal.SIGKILL)
    assert select.select([ended], [], [], 60)[0]
    os.close(ended)
    assert asked.run(by_hand("SELECT 1 AS a"), LAST).rows == [(1,)]


def test_closing_ends_the_process_of_a_query_that_runs(
    engine: tuple[QueryEngine, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, worker = engine
    closing = Thread(target=asked.close)
    once_sent(monkeypatch, closing.start)
    with pytest.raises(StorageError, match="closed"):
        asked.run(by_hand(ENDLESS), LAST)
    closing.join()
    assert worker not in workers()


def test_an_interrupted_query_ends_with_its_process(
    engine: tuple[QueryEngine, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, worker = engine
    assert os.getsid(worker) != os.getsid(0), "Ctrl-C would reach the process as well"
    once_sent(monkeypatch, lambda: signal.raise_signal(signal.SIGINT))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            asked.run(by_hand(ENDLESS), LAST)
    finally:
        signal.signal(signal.SIGINT, before)
    assert worker not in workers()
    assert asked.run(by_hand("SELECT 1 AS a"), LAST).rows == [(1,)]


def test_a_process_ends_with_the_one_that_asks_even_while_a_query_runs(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from amci.sandbox import duckdb_process
from amci.sandbox.engine import QueryEngine
from amci.sandbox.options import SandboxOptions
from tests.sandbox.test_bombs import workers
from tests.sandbox.test_engine import ENDLESS, LAST, by_hand

engine = QueryEngine(Path(sys.argv[1]), SandboxOptions(scale=0.001, days=2))
engine.run(by_hand("SELECT 1 AS a"), LAST)
answer = duckdb_process._answer

def sent(pipe):
    print(*workers(), flush=True)
    return answer(pipe)

duckdb_process._answer = sent
engine.run(by_hand(ENDLESS), LAST)
"""
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE) as asking:
        assert asking.stdout
        (worker,) = map(int, asking.stdout.readline().split())
        ended = os.pidfd_open(worker)
        asking.kill()
    assert select.select([ended], [], [], 60)[0]
    os.close(ended)
    assert list(tmp_path.glob("scratch*")) == []


VALUES = """
SELECT i AS n, DATE '2026-01-01' + i::INT AS d, (i / 7)::DECIMAL(38, 4) AS m, NULLIF(i, 3)::DECIMAL(9, 0) AS m0,
  TIMESTAMP '2026-01-01 00:00:00.000001' + INTERVAL (i) DAY AS t, TIMESTAMPTZ '2026-01-01 00:00:00+00' AS tz,
  CASE WHEN i % 2 = 0 THEN TIMESTAMP '2026-01-01' END AS t0, TIMESTAMP_S '2026-01-01 00:00:01' AS ts,
  TIME '12:34:56' AS clock, INTERVAL 3 DAY AS span, 'ä' || i AS s, NULL AS z, i % 2 = 0 AS b, 0.1::DOUBLE AS x,
  '\\xAA'::BLOB AS raw, [DATE '2026-01-01', NULL] AS l, {'a': i, 'b': [0.5]} AS r, MAP {'a': 1.5} AS pairs,
  '0192d3f0-1111-7111-8111-111111111111'::UUID AS u, DATE '290000-01-01' AS far, 'infinity'::TIMESTAMP AS never,
  CASE WHEN i % 2 = 0 THEN DATE '290000-01-01' ELSE DATE '2026-01-01' END AS mixed, 2::HUGEINT ** 100 AS h
FROM range({rows}) AS t(i)
"""


def test_rows_are_the_same_as_in_one_process(engine: tuple[QueryEngine, int]) -> None:
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        for rows in (0, 1, 9, 999, 10_000, 20_001):
            query = by_hand(VALUES.replace("{rows}", str(rows)))
            wanted, outcome = run(con, query), engine[0].run(query, LAST)
            assert (outcome.names, outcome.types) == (wanted.names, wanted.types)
            assert list(map(repr, outcome.rows)) == list(map(repr, wanted.rows))
            assert len(outcome.rows) == rows
