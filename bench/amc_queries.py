"""The seventeen use cases, run three ways in one session: written by hand for DuckDB, without controls, with privacy.

By hand means what somebody who knows DuckDB would write for the same result, with the parameters' defaults: its own
idiom, filters where the rows are read, and no DISTINCT where a person has one row.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from statistics import median
from string import Template
from typing import Any

import duckdb

from amci.amcsql.duckdb_writer import SCHEMA
from amci.sandbox import udfs
from amci.sandbox.data.world import World
from amci.sandbox.engine import run
from bench.amc_library import LAST, Query, Window, use_cases, window

_BY_HAND = Path(__file__).parent / "by_hand"
_MEMORY = "4GiB"
_TARGET_OFF, _TARGET_ON = 1.1, 2.5

Rows = list[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Taken:
    """What one way took."""

    seconds: float  #: wall clock
    cpu: float  #: seconds; steadier on a busy machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A use case, or all."""

    name: str
    by_hand: Taken
    off: Taken  #: without controls
    on: Taken  #: with privacy


def queries(folder: Path, *, scale: float, days: int, repeat: int) -> list[dict[str, Any]]:
    """Every use case `repeat` times with one thread, as the sandbox runs it, then with two."""
    return [
        report for threads in (1, 2) for report in _with_threads(threads, folder, scale, days, repeat=repeat)
    ]


def _with_threads(
    threads: int, folder: Path, scale: float, days: int, *, repeat: int
) -> list[dict[str, Any]]:
    where = f"scale {scale:g}, {days} days, {threads} thread{'s' if threads > 1 else ''}"
    with _session(folder, scale, days) as con:
        con.execute(f"SET threads = {threads}")
        found = [_measured(con, query, window(days), repeat) for query in use_cases()]
    return [_report(measured, where) for measured in [*found, _all(found)]]


def _session(folder: Path, scale: float, days: int) -> duckdb.DuckDBPyConnection:
    """The sandbox's tables, and its settings where they change what a query does."""
    world = World(directory=folder / "world", seed=1, scale=scale, days=days)
    world.prepare(LAST)
    con = duckdb.connect()
    con.execute(f"CREATE SCHEMA {SCHEMA}")
    for statement in world.statements(LAST):
        con.execute(statement)
    udfs.register(con)
    for setting in ("TimeZone = 'UTC'", "ieee_floating_point_ops = false", f"memory_limit = '{_MEMORY}'"):
        con.execute(f"SET {setting}")
    return con


def _measured(con: duckdb.DuckDBPyConnection, query: Query, days: Window, repeat: int) -> Measured:
    """The medians of `repeat` turns of the three ways, after one that warms up."""
    ours = query.compiled(days)
    by_hand = _by_hand(query, days)
    ways: list[Callable[[], Rows]] = [
        lambda: con.execute(by_hand).fetchall(),
        lambda: con.execute(ours.plain).fetchall(),
        lambda: run(con, ours).rows,
    ]
    theirs, plain, _ = (way() for way in ways)
    _assert_same(query.name, theirs, plain)
    turns = [[_taken(way) for way in ways] for _ in range(repeat)]
    hand, off, on = (_each(median, times) for times in zip(*turns, strict=True))
    return Measured(name=query.name, by_hand=hand, off=off, on=on)


def _by_hand(query: Query, days: Window) -> str:
    # as literals, as amci writes them
    start, end = (f"TIMESTAMP '{moment:%Y-%m-%d %H:%M:%S}'" for moment in days)
    return Template((_BY_HAND / f"{query.name}.sql").read_text()).substitute(start=start, end=end)


def _assert_same(name: str, theirs: Rows, ours: Rows) -> None:
    """Both have as many rows, and in each column the same sum of numbers and as many other values."""
    assert len(theirs) == len(ours), f"{name}: {len(theirs)} rows by hand, {len(ours)} of ours"
    columns = zip(zip(*theirs, strict=True), zip(*ours, strict=True), strict=True)
    for place, pair in enumerate(columns, 1):
        a, b = (_sum(column) for column in pair)
        assert math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-6), (
            f"{name}: column {place}: {a} by hand, {b} ours"
        )


def _sum(column: Sequence[Any]) -> float:
    return math.fsum(
        float(value) if isinstance(value, int | float | Decimal) else 1.0
        for value in column
        if value is not None
    )


def _all(found: list[Measured]) -> Measured:
    return Measured(
        name=f"all {len(found)}",
        by_hand=_each(sum, [each.by_hand for each in found]),
        off=_each(sum, [each.off for each in found]),
        on=_each(sum, [each.on for each in found]),
    )


def _each(of: Callable[[Iterable[float]], float], times: Sequence[Taken]) -> Taken:
    return Taken(of([each.seconds for each in times]), of([each.cpu for each in times]))


def _taken(way: Callable[[], Rows]) -> Taken:
    start, cpu = time.perf_counter(), time.process_time()
    way()
    return Taken(time.perf_counter() - start, time.process_time() - cpu)


def _report(measured: Measured, where: str) -> dict[str, Any]:
    by_hand, off, on = measured.by_hand, measured.off, measured.on
    return {
        "bench": f"{measured.name}, {where}",
        "by_hand_ms": by_hand.seconds * 1e3,
        "off_ms": off.seconds * 1e3,
        "privacy_ms": on.seconds * 1e3,
        "ratio_off": off.seconds / by_hand.seconds,
        "target_off": _TARGET_OFF,
        "ratio_privacy": on.seconds / by_hand.seconds,
        "target_privacy": _TARGET_ON,
        "cpu_ratio_off": off.cpu / by_hand.cpu,
        "cpu_ratio_privacy": on.cpu / by_hand.cpu,
    }
