"""Queries of the lake beside DuckDB on the same files, and whole commands beside `amci up` and by themselves."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

import duckdb

from amci.cli.fork_client import SOCKET
from amci.kernel.workspace import WorkspacePaths
from amci.lake.query.session import QuerySession, session
from bench.process import AMCI, cost, pairs, python

#: Read once by a process: with another value than that of `amci up`, a command runs by itself.
_ALONE = {"TZ": "UTC0"}
_MEMORY = 2 * 1024**3
#: Like TPC-H's tables of these names, made of row numbers: a hash of one spreads as its generator's values do.
_LINEITEM = """SELECT range // 4 AS l_orderkey, (hash(range, 1) % 200000)::BIGINT AS l_partkey,
    (hash(range, 2) % 10000)::BIGINT AS l_suppkey, (1 + hash(range, 3) % 50)::BIGINT AS l_quantity,
    (90000 + hash(range, 4) % 10400000) / 100 AS l_extendedprice, (hash(range, 5) % 11) / 100 AS l_discount,
    (hash(range, 6) % 9) / 100 AS l_tax, ['A', 'N', 'R'][1 + (hash(range, 7) % 3)::BIGINT] AS l_returnflag,
    ['F', 'O'][1 + (hash(range, 8) % 2)::BIGINT] AS l_linestatus,
    DATE '1992-01-02' + (hash(range, 9) % 2526)::INTEGER AS l_shipdate,
    ['AIR', 'FOB', 'MAIL', 'RAIL', 'REG AIR', 'SHIP', 'TRUCK'][1 + (hash(range, 10) % 7)::BIGINT] AS l_shipmode
    FROM range({rows})"""
_ORDERS = """SELECT range AS o_orderkey, (hash(range, 11) % 150000)::BIGINT AS o_custkey,
    DATE '1992-01-01' + (hash(range, 12) % 2406)::INTEGER AS o_orderdate,
    ['1-URGENT', '2-HIGH', '3-MEDIUM', '4-NOT SPECIFIED', '5-LOW'][1 + (hash(range, 13) % 5)::BIGINT] AS o_orderpriority
    FROM range({rows} // 4)"""
_REVENUE = "sum(l_extendedprice * (1 - l_discount))"
QUERIES = {
    "Q1 price summary": f"""SELECT l_returnflag, l_linestatus, sum(l_quantity), sum(l_extendedprice), {_REVENUE},
        avg(l_quantity), avg(l_discount), count(*) FROM lineitem WHERE l_shipdate <= DATE '1998-09-02'
        GROUP BY ALL ORDER BY ALL""",
    "Q3 shipping priority": f"""SELECT l_orderkey, {_REVENUE} AS revenue, o_orderdate FROM lineitem
        JOIN orders ON l_orderkey = o_orderkey
        WHERE o_orderdate < DATE '1995-03-15' AND l_shipdate > DATE '1995-03-15'
        GROUP BY ALL ORDER BY revenue DESC, o_orderdate LIMIT 10""",
    "Q6 forecast": """SELECT sum(l_extendedprice * l_discount) FROM lineitem
        WHERE l_shipdate >= DATE '1994-01-01' AND l_shipdate < DATE '1995-01-01'
        AND l_discount BETWEEN 0.05 AND 0.07 AND l_quantity < 24""",
    "Q12 shipping modes": """SELECT l_shipmode, count(*) FILTER (o_orderpriority IN ('1-URGENT', '2-HIGH')), count(*)
        FROM orders JOIN lineitem ON o_orderkey = l_orderkey
        WHERE l_shipmode IN ('MAIL', 'SHIP') AND l_shipdate >= DATE '1994-01-01' GROUP BY ALL ORDER BY ALL""",
    "Q15 top supplier": f"""SELECT l_suppkey, {_REVENUE} AS revenue FROM lineitem
        GROUP BY ALL ORDER BY revenue DESC LIMIT 1""",
    "distinct parts": "SELECT count(DISTINCT l_partkey) FROM lineitem",
    "one order": "SELECT * FROM lineitem WHERE l_orderkey = 1234567 ORDER BY ALL",
}


def on_the_lake(folder: Path, *, rows: int, repeat: int) -> list[dict[str, Any]]:
    """Each query in an open session and in an open DuckDB on the session's files, in turn, both warm."""
    home = _workspace(folder, rows)
    workspace = WorkspacePaths(home)
    reports = []
    with (
        session(workspace, memory_limit=_MEMORY, timeout=timedelta(minutes=5)) as lake,
        duckdb.connect() as con,
    ):
        con.execute(f"SET memory_limit = '{_MEMORY // 1024}KiB'")
        for table in ("lineitem", "orders"):
            files = f"{workspace.post_stage}/adtech_tpch/{table}/**/*.parquet"
            con.execute(f"CREATE VIEW {table} AS FROM read_parquet('{files}')")
        for name, sql in QUERIES.items():
            ours, theirs = _in_turn(lake, con, sql, repeat)
            reports.append(
                {
                    "bench": f"{name}: open lake vs DuckDB on its files",
                    "ours_s": median(wall for wall, _ in ours),
                    "theirs_s": median(wall for wall, _ in theirs),
                    "ratio": median(a / b for (a, _), (b, _) in zip(ours, theirs, strict=True)),
                    "cpu_ratio": median(a / b for (_, a), (_, b) in zip(ours, theirs, strict=True)),
                    "target": 1.3,
                }
            )
    return reports


def _in_turn(
    lake: QuerySession, con: duckdb.DuckDBPyConnection, sql: str, repeat: int
) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """Wall clock and CPU seconds of each run; the first of both is not counted, and says that both answer the same."""

    def ours() -> list[Any]:
        return lake.run(sql).fetchall()

    def theirs() -> list[Any]:
        return con.execute(sql).fetchall()

    _same(ours(), theirs())
    taken = [(_timed(ours), _timed(theirs)) for _ in range(repeat)]
    return [a for a, _ in taken], [b for _, b in taken]


def _same(ours: list[Any], theirs: list[Any]) -> None:
    """The lake's rows may have two columns more, and sums of fractions depend on their order."""
    for a, b in zip(ours, theirs, strict=True):
        for x, y in zip(a, b, strict=False):
            assert x == y or abs(x - y) <= 1e-9 * abs(y), (x, y)


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def _workspace(folder: Path, rows: int) -> Path:
    """A workspace that has loaded both tables; used again if it is there."""
    home = folder / f"queries-{rows}"
    if (home / "loaded").exists():
        return home
    shutil.rmtree(home, ignore_errors=True)
    cost([*AMCI, "init", str(home)], folder)
    (home / "config/datasets/tpch.yaml").write_text("dataset: tpch\n")
    for table, sql in (("lineitem", _LINEITEM), ("orders", _ORDERS)):
        raw = home / "raw/adtech/tpch" / table
        raw.mkdir(parents=True)
        duckdb.execute(f"COPY ({sql.format(rows=rows)}) TO '{raw}/{table}.parquet' (FORMAT parquet)")
    cost([*AMCI, "drain", "--home", str(home)], home)
    (home / "loaded").touch()
    return home


def commands(folder: Path, *, repeat: int) -> list[dict[str, Any]]:
    """Whole commands, Python's start included, with a process that is ready for them, and by themselves."""
    home = _workspace(folder, 100_000)
    script = str(Path(sys.executable).parent / "amci")
    asked = [["query", "SELECT 1"], ["query", QUERIES["Q6 forecast"]], ["status"], ["lake", "tables"]]
    reports = []
    with _up(home):
        for words in asked:
            _until_ready(home, [script, *words])
            before = _server_cpu(home)
            pair = pairs(
                lambda words=words: cost([script, *words], home),  # type: ignore[misc]
                lambda words=words: cost([script, *words], home, _ALONE),  # type: ignore[misc]
                repeat,
            )
            there = (_server_cpu(home) - before) / repeat
            reports.append(
                {
                    "bench": f"amci {' '.join(words)[:16]}, ready vs by itself",
                    "ours_s": median(c.seconds for c in pair.ours),
                    "ours_cpu_s": median(c.cpu for c in pair.ours) + there,
                    "of_it_in_the_other_process_s": there,
                    "theirs_cpu_s": median(c.cpu for c in pair.theirs),
                    "target_cpu_s": 0.06,
                }
            )
    empty = pairs(lambda: python("pass", home), lambda: python("import re, socket", home), repeat)
    reports.append(
        {
            "bench": "Python that does nothing, and one that imports re and socket",
            "cpu_s": median(c.cpu for c in empty.ours),
            "with_both_cpu_s": median(c.cpu for c in empty.theirs),
        }
    )
    return reports


@contextmanager
def _up(home: Path) -> Iterator[None]:
    with subprocess.Popen([*AMCI, "up"], cwd=home, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as up:
        assert up.stderr
        up.stderr.readline()
        assert (home / SOCKET).exists()
        yield
        up.send_signal(signal.SIGTERM)
        up.stderr.read()


def _until_ready(home: Path, command: list[str]) -> None:
    """Ask until a process takes the command."""
    for _ in range(20):
        if cost(command, home).cpu < 0.12:
            return
        time.sleep(0.5)
    raise RuntimeError(f"nothing is ready for {' '.join(command)}")


def _server_cpu(home: Path) -> float:
    """The CPU seconds of the processes that run commands of this workspace, so far."""
    taken = 0.0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"amci.cli.fork_server\0{home}\0".encode() in (process / "cmdline").read_bytes():
                fields = (process / "stat").read_text().rpartition(")")[2].split()
                taken += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        except OSError:
            continue
    return taken
