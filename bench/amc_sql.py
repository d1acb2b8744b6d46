"""Translating and checking AMC SQL: from text to DuckDB's statements with the privacy rules; and `amci sql check`."""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from amci.amcsql.grammar import parsing
from amci.amcsql.patterns import java_regex
from bench.amc_library import WORKFLOWS, Query, Window, skeletons, use_cases, window
from bench.process import AMCI, cost, pairs, python

_TARGET_MEDIAN, _TARGET_P99 = 10.0, 50.0  #: milliseconds
#: What remembers queries it has seen.
_MEMORIES = (parsing.parsed, parsing.tokens_of, java_regex.java_pattern, java_regex.compiled)


def translating(*, repeat: int) -> list[dict[str, Any]]:
    """Each query `repeat` times, in turns of another order each, every time as if it had never been seen."""
    queries, days = [*use_cases(), *skeletons()], window(30)
    for query in queries:
        _milliseconds(query, days)
    taken = _taken(queries, days, repeat)
    # as `amci sandbox serve` does: what is loaded by now stays, and the collector need not look at it
    gc.freeze()
    served = _taken(queries, days, repeat)
    gc.unfreeze()
    return [
        *(_report(f"translate and check {name}", times) for name, times in taken.items()),
        _all("translate and check", taken),
        _all("translate and check, as the sandbox that is served does,", served),
    ]


def _taken(queries: Sequence[Query], days: Window, repeat: int) -> dict[str, list[float]]:
    """Milliseconds of each query, `repeat` times."""
    taken: dict[str, list[float]] = {query.name: [] for query in queries}
    for turn in range(repeat):
        # in one order, the garbage of all would always be collected while the same query is at work
        for query in random.Random(turn).sample(queries, len(queries)):
            taken[query.name].append(_milliseconds(query, days))
    return taken


def _all(what: str, taken: Mapping[str, list[float]]) -> dict[str, Any]:
    """All queries together, against the targets."""
    slowest = max(taken, key=lambda name: median(taken[name]))
    return _report(f"{what} {len(taken)} queries", [each for times in taken.values() for each in times]) | {
        "target_median_ms": _TARGET_MEDIAN,
        "target_p99_ms": _TARGET_P99,
        "slowest": slowest,
        "slowest_median_ms": median(taken[slowest]),
    }


def checking(folder: Path, *, repeat: int) -> list[dict[str, Any]]:
    """`amci sql check` of one file as a whole process, against importing the parser it uses."""
    command = [*AMCI, "sql", "check", str(WORKFLOWS / "path_to_conversion.sql")]
    pair = pairs(lambda: cost(command, folder), lambda: python("import sqlglot", folder), repeat)
    return [
        {
            "bench": "amci sql check FILE vs python -c 'import sqlglot'",
            "ours_s": median(c.seconds for c in pair.ours),
            "theirs_s": median(c.seconds for c in pair.theirs),
            "ratio": pair.ratio,
            "cpu_ratio": pair.cpu_ratio,
        }
    ]


def _milliseconds(query: Query, days: Window) -> float:
    for memory in _MEMORIES:
        memory.cache_clear()
    start = time.perf_counter()
    query.compiled(days)
    return (time.perf_counter() - start) * 1e3


def _report(name: str, times: list[float]) -> dict[str, Any]:
    return {
        "bench": name,
        "median_ms": median(times),
        "p99_ms": quantiles(times, n=100, method="inclusive")[-1],
        "times": len(times),
    }
