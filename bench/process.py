"""Running a command as a whole process and seeing what it cost."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

AMCI = [sys.executable, "-m", "amci"]


@dataclass(frozen=True, slots=True)
class Cost:
    """What one process took."""

    seconds: float  #: wall clock
    cpu: float  #: seconds, user and system
    memory: int  #: bytes, peak resident


def cost(command: Sequence[str], cwd: Path, environ: Mapping[str, str] | None = None) -> Cost:
    """Run a command to its end; raises where it fails."""
    with (cwd / "bench.log").open("ab") as log:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=cwd, stdout=log, stderr=log, env={**os.environ, **(environ or {})}
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
    if os.waitstatus_to_exitcode(status) != 0:
        raise RuntimeError(f"{' '.join(command)} failed; see {cwd / 'bench.log'}")
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def python(code: str, cwd: Path) -> Cost:
    """Run a piece of Python as a process of its own."""
    return cost([sys.executable, "-c", code], cwd)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two ways of doing the same, run in turn."""

    ours: list[Cost]
    theirs: list[Cost]

    @property
    def ratio(self) -> float:
        """Median of the ratios of wall clock, pair by pair."""
        return median(a.seconds / b.seconds for a, b in zip(self.ours, self.theirs, strict=True))

    @property
    def cpu_ratio(self) -> float:
        """Median of the ratios of processor time, pair by pair; steadier than wall clock on a busy machine."""
        return median(a.cpu / b.cpu for a, b in zip(self.ours, self.theirs, strict=True))


def pairs(ours: Callable[[], Cost], theirs: Callable[[], Cost], repeat: int) -> Pair:
    """Run both `repeat` times, A B A B, after one warm-up of the second (which fills the page cache)."""
    theirs()
    measured = [(ours(), theirs()) for _ in range(repeat)]
    return Pair([a for a, _ in measured], [b for _, b in measured])
