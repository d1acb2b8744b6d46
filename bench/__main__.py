"""`python -m bench [NAME…]`: run the measurements, print a table, write JSON to bench/results/."""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from bench import (
    amc_queries,
    amc_sql,
    amc_world,
    executions,
    growth,
    json_speed,
    loads,
    queries,
    queryable,
    schedules,
    small_costs,
    states,
)

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Run what is asked for, everything by default."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("names", nargs="*", help="which; all by default")
    parser.add_argument("--rows", type=int, default=10_000_000, help="rows of the big file")
    parser.add_argument("--files", type=int, default=10_000, help="small files")
    parser.add_argument("--each", type=int, default=100, help="executions of each of 40 tenants")
    parser.add_argument("--full", action="store_true", help="the whole day's work, not a part of it")
    parser.add_argument("--repeat", type=int, default=3, help="counted pairs of each comparison")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="of the sandbox's events; 1 is 100,000 people"
    )
    parser.add_argument("--days", type=int, default=30, help="of the sandbox's events")
    parser.add_argument("--folder", type=Path, help="where data and workspaces go; kept, and used again")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="amci-bench-") as temporary:
        folder = asked.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        known: dict[str, Callable[[], Iterable[dict[str, Any]]]] = {
            "start_up": lambda: small_costs.start_up(folder, repeat=5 * asked.repeat),
            "claims": lambda: small_costs.claims(folder, pending=100_000),
            "latency": lambda: small_costs.latency(folder, files=20),
            "small_files": lambda: loads.small_files(folder, files=asked.files, repeat=asked.repeat),
            "one_partition": lambda: loads.one_partition(folder, rows=asked.rows, repeat=asked.repeat),
            "thirty_dates": lambda: loads.thirty_dates(folder, rows=asked.rows, repeat=asked.repeat),
            "wide": lambda: loads.wide(folder, repeat=asked.repeat),
            "json": lambda: json_speed.json_speed(folder, megabytes=200, rows=1_000_000, repeat=asked.repeat),
            "ticks": lambda: schedules.ticks(folder, schedules=2000, repeat=5),
            "next_fire": lambda: schedules.next_fire(repeat=1000),
            "executions": lambda: executions.in_flight(
                folder, tenants=40, each=asked.each, repeat=asked.repeat
            ),
            "day": lambda: executions.a_day(folder, tenants=40, runs=22_000 if asked.full else 2_000),
            "queries": lambda: queries.on_the_lake(folder, rows=asked.rows, repeat=5 * asked.repeat),
            "commands": lambda: queries.commands(folder, repeat=10 * asked.repeat),
            "queryable": lambda: queryable.queryable(folder, executions=100),
            "growth": lambda: growth.growth(
                folder, states.FULL if asked.full else states.LARGE, repeat=asked.repeat
            ),
            "state_size": lambda: growth.state_size(folder),
            "amc_sql": lambda: [
                *amc_sql.translating(repeat=10 * asked.repeat),
                *amc_sql.checking(folder, repeat=3 * asked.repeat),
            ],
            # Before the queries: the memory of a new process is counted from that of the one that starts it.
            "world": lambda: amc_world.making(folder, scale=asked.scale, days=asked.days),
            "amc_queries": lambda: amc_queries.queries(
                folder, scale=asked.scale, days=asked.days, repeat=max(5, asked.repeat)
            ),
        }
        if unknown := set(asked.names) - set(known):
            parser.error(f"no bench {', '.join(sorted(unknown))}; there are {', '.join(known)}")
        found = []
        for name in asked.names or known:
            for report in known[name]():
                print(_line(report), flush=True)
                found.append(report)
    _write(found)


def _line(report: dict[str, Any]) -> str:
    figures = (
        f"{k}={v:.3g}" if isinstance(v, float) else f"{k}={v}" for k, v in report.items() if k != "bench"
    )
    return f"{report['bench']}: {'  '.join(figures)}"


def _write(found: list[dict[str, Any]]) -> None:
    RESULTS.mkdir(exist_ok=True)
    now = datetime.now(UTC)
    machine = {
        "python": platform.python_version(),
        "duckdb": duckdb.__version__,
        "machine": platform.machine(),
    }
    path = RESULTS / f"{now:%Y%m%dT%H%M%SZ}.json"
    path.write_text(json.dumps({"at": now.isoformat(), "machine": machine, "results": found}, indent=2))
    print(f"written to bench/results/{path.name}")


if __name__ == "__main__":
    main()
