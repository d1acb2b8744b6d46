"""Queries that ask for all the memory or time there is end with a clear error, and the process stays small."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Site

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux bounds the memory of a process so"
)

MIB = 1024**2
LIMIT = 256 * MIB
#: What is allowed beyond it, and what Python, DuckDB and Arrow take without any query.
ALLOWANCE, BASE = 512 * MIB, 160 * MIB
LARGE, LONG = "the query needs more memory than query_memory_limit allows", "the query ran longer than 2 s"

BOMBS = {
    "repeat": "SELECT repeat('x', 1000000000)",
    "repeat, larger than 2^31": "SELECT length(repeat('x', 3000000000))",
    "repeat, by rows": "SELECT sum(length(repeat('x', 300000000 + i::BIGINT))) FROM range(50) t(i)",
    "lpad": "SELECT length(lpad('x', 1000000000, 'y'))",
    "rpad": "SELECT length(rpad('x', 1000000000, 'y'))",
    "printf": "SELECT length(printf('%1000000000d', 1))",
    "format": "SELECT length(format('{:>1000000000}', 'x'))",
    "hex": "SELECT length(hex(repeat('x', 1000000000)))",
    "base64": "SELECT length(to_base64(repeat('x', 1000000000)::BLOB))",
    "range as a list": "SELECT len(range(1000000000))",
    "generate_series": "SELECT len(generate_series(1, 2000000000))",
    "range as rows": "SELECT count(*) FROM range(10000000000) t(i) WHERE hash(i) = 1",
    "range as rows, kept": "SELECT count(*) FROM (SELECT DISTINCT i FROM range(10000000000) t(i))",
    "list_aggregate": "SELECT list_aggregate(range(1000000000), 'sum')",
    "list_transform": "SELECT len(list_transform(range(300000000), lambda x: x::VARCHAR))",
    "list_resize": "SELECT len(list_resize([1], 2000000000, 7))",
    "flatten": "SELECT len(flatten([range(200000000), range(200000000)]))",
    "map": "SELECT cardinality(map(range(100000000), range(100000000)))",
    "string_agg": "SELECT length(string_agg(i::VARCHAR || repeat('x', 1000), ',')) FROM range(3000000) t(i)",
    "list": "SELECT len(list(i)) FROM range(1000000000) t(i)",
    "list of text": "SELECT len(list(repeat('x', 1000) || i)) FROM range(5000000) t(i)",
    "array_agg of lists": "SELECT len(array_agg(range(1000))) FROM range(10000000)",
    "histogram": "SELECT len(map_keys(histogram(i))) FROM range(100000000) t(i)",
    "quantile": "SELECT quantile_disc(i, 0.5) FROM range(1000000000) t(i)",
    "json": "SELECT length(json_object('a', repeat('x', 1000000000))::VARCHAR)",
    "json_group_array": "SELECT length(json_group_array(repeat('x', 1000))::VARCHAR) FROM range(3000000)",
    "recursive text": (
        "WITH RECURSIVE t(s) AS (SELECT 'x' UNION ALL SELECT s || s FROM t WHERE length(s) < 4000000000)"
        " SELECT max(length(s)) FROM t"
    ),
    "recursive rows": "WITH RECURSIVE t(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM t) SELECT count(*) FROM t",
    "recursive doubling": (
        "WITH RECURSIVE t(i) AS (SELECT 1 UNION ALL SELECT i FROM t, range(2)) SELECT count(*) FROM t"
    ),
    "cross join": "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE hash(a.range + b.range) = 1",
    "many rows fetched": "SELECT repeat('x', 1000) FROM range(10000000)",
}
#: A single call takes longer than anybody waits, and does not look for interruptions: the process has to end.
DEAF = {
    "concat": "SELECT length(concat(repeat('x', 300000000), repeat('y', 300000000), repeat('z', 300000000)))",
    "bitstring": "SELECT length(bitstring('1', 1500000000))",
    "regexp_replace": "SELECT length(regexp_replace(repeat('x', 30000000), '(x+x+)+y|x', 'yy', 'g'))",
    "regexp_split": "SELECT len(regexp_split_to_array(repeat('a,', 20000000), ','))",
}
#: Runs each query in a process of its own, which is forked before DuckDB has begun, and says its peak.
CHILD = """
import json, os, sys
from datetime import timedelta
from pathlib import Path
import duckdb, pyarrow
from amci.kernel.errors import AmciError
from amci.kernel.workspace import WorkspacePaths
from amci.lake.query.session import session

home, limit, bombs = WorkspacePaths(Path(sys.argv[1])), int(sys.argv[2]), json.load(sys.stdin)

def ask(sql):
    given = {"memory_limit": limit, "timeout": timedelta(seconds=2), "threads": 2}
    with session(home, **given, owns_process=True) as opened:
        try:
            opened.run(sql).fetchall()
            return "answered"
        except AmciError as error:
            said = f"{type(error).__name__}: {error}"
        is_well = opened.is_stuck or opened.run("SELECT count(*) FROM adtech_few.t").fetchall() == [(1,)]
        return said if is_well else "the session is broken"

for name, sql in bombs.items():
    if not (child := os.fork()):
        said = ask(sql)
        print(json.dumps([name, said]), end="", flush=True)
        os._exit(0)
    _, status, usage = os.wait4(child, 0)
    print(json.dumps([status, usage.ru_maxrss * 1024]), flush=True)
"""


#: Runs a command, says its peak and ends as it ended. A process begins with the peak of the one that started it, and
#: that of the tests may be high.
MEASURED = """
import os, sys
_, status, usage = os.wait4(os.spawnv(os.P_NOWAIT, sys.argv[1], sys.argv[1:]), 0)
print("peak", usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.fixture
def home(site: Site) -> Path:
    site.dataset("few")
    site.put("adtech/few/t/a.csv", "a\n1\n")
    site.drain()
    site.settings("query_memory_limit: 256MiB\nquery_timeout: 2s\n")
    return site.workspace.home


def test_a_bomb_ends_with_a_clear_error_and_the_process_stays_small(
    home: Path, request: pytest.FixtureRequest
) -> None:
    """A spread of them in the suite, all under `make crash`."""
    every = 1 if request.config.getoption("--crash-all") else 6
    bombs = dict(list((BOMBS | DEAF).items())[::every])
    child = [sys.executable, "-c", CHILD, str(home), str(LIMIT)]
    given = json.dumps(bombs)
    done = subprocess.run(child, input=given, capture_output=True, text=True, check=True)
    answers = [json.loads("[" + line.replace("][", "],[") + "]") for line in done.stdout.splitlines()]
    fine = (f"QueryError: {LARGE}", f"QueryError: {LONG}")
    wrong = {name: (says, status) for (name, says), (status, _) in answers if says not in fine or status}
    assert wrong == {}
    large = {name: peak // MIB for (name, _), (_, peak) in answers if peak > LIMIT + ALLOWANCE + BASE}
    assert large == {}
    assert [name for (name, _), _ in answers] == [*bombs]


def amci(home: Path, *words: str) -> tuple[int, dict[str, Any], int]:
    """Exit code, what was printed as JSON, and the peak of the process in bytes."""
    command = [sys.executable, "-m", "amci", *words, "--json", "--home", str(home)]
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *command], capture_output=True, text=True, check=False
    )
    answer, _, peak = done.stdout.rpartition("peak ")
    return done.returncode, json.loads(answer or done.stderr), int(peak) * 1024


@pytest.mark.spread(3)
@pytest.mark.parametrize("name", ["regexp_replace", "repeat", "list"])
def test_the_command_ends_with_its_exit_code(home: Path, name: str) -> None:
    code, said, peak = amci(home, "query", (DEAF | BOMBS)[name])
    assert code == 2
    assert said["message"] in (LARGE, LONG)
    assert peak < LIMIT + ALLOWANCE + BASE
    code, rows, _ = amci(home, "query", "SELECT a FROM adtech_few.t")
    assert (code, rows) == (0, [{"a": 1}])
