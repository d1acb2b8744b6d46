"""The scheduler: a look at 2,000 schedules, idle and with all of them due; a next fire beside croniter and cronsim."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

from croniter import croniter
from cronsim import CronSim

from amci.kernel.runs import RunStore
from amci.kernel.state import State
from amci.kernel.testing import FakeClock
from amci.scheduler.expression import parse
from amci.scheduler.model import FireRun, Schedule
from amci.scheduler.service import Scheduler
from amci.scheduler.store import ScheduleStore

_NOW = datetime(2026, 11, 1, 6, 30, tzinfo=UTC)


def ticks(folder: Path, *, schedules: int, repeat: int) -> list[dict[str, Any]]:
    """The first look of a process, one at which nothing is due, one a minute later, one with a fire of each.

    With a few timetables, and with one of its own for each schedule.
    """
    return [
        _ticks(folder, f"a look at {schedules} schedules", [_schedule(n) for n in range(schedules)], repeat),
        _ticks(
            folder,
            f"a look at {schedules} schedules, no two alike",
            [replace(_schedule(n), expression=_own(n)) for n in range(schedules)],
            repeat,
        ),
    ]


def _ticks(folder: Path, name: str, made: list[Schedule], repeat: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        clock = FakeClock(_NOW)
        with State.open(Path(temporary) / "amci.db", clock) as state:
            runs, store = RunStore(state, clock), ScheduleStore(state, clock)
            scheduler = Scheduler({s.schedule_id: s for s in made}, store, runs, state, clock)
            first = _seconds(scheduler.tick)
            idle = median(_seconds(scheduler.tick) for _ in range(repeat))
            clock.turn(timedelta(minutes=1))
            beat = _seconds(scheduler.tick)
            due, due_cpu = [], []
            for _ in range(repeat):
                clock.turn(timedelta(hours=1))
                cpu = time.process_time()
                due.append(_seconds(scheduler.tick))
                due_cpu.append(time.process_time() - cpu)
            assert sum(runs.counts()["execute"].values()) == len(made) * repeat
    return {
        "bench": name,
        "idle_ms": idle * 1e3,
        "target_idle_ms": 50.0,
        "once_a_minute_ms": beat * 1e3,
        "all_due_ms": median(due) * 1e3,
        "all_due_cpu_ms": median(due_cpu) * 1e3,
        "target_all_due_cpu_ms": 100.0,
        "first_ms": first * 1e3,
    }


def next_fire(*, repeat: int) -> list[dict[str, Any]]:
    """A next fire in Europe/Berlin, the expression read beforehand where the library can do that."""
    zone = ZoneInfo("Europe/Berlin")
    local = _NOW.astimezone(zone)
    reports = []
    for text in ("0 9 * * 1-5", "*/15 * * * *", "0 0 29 2 *"):
        expression = parse(text)
        ours, croniters, cronsims = (
            _each(ask, repeat)
            for ask in (
                lambda e=expression: e.next_after(_NOW, zone),
                lambda t=text: croniter(t, local).get_next(datetime),
                lambda t=text: next(CronSim(t, local)),
            )
        )
        reports.append(
            {
                "bench": f"next fire of {text}",
                "ours_us": ours,
                "target_us": 100.0,
                "croniter_us": croniters,
                "cronsim_us": cronsims,
                "times_as_quick_as_croniter": croniters / ours,
                "times_as_quick_as_cronsim": cronsims / ours,
            }
        )
    return reports


def _schedule(position: int) -> Schedule:
    return Schedule(
        schedule_id=f"reach/tenant-{position}",
        expression=f"cron({position % 30} * * * ? *)",
        time_zone=("Europe/Berlin", "America/New_York", "Asia/Tokyo", "UTC")[position % 4],
        run=FireRun(kind="execute", payload={"request": {"workflow_id": "reach"}}, tenant_id=f"t{position}"),
    )


def _own(position: int) -> str:
    """Another expression for each, which fires every hour for decades."""
    return f"cron({position % 30} * * * ? 2020-{2100 + position // 30})"


def _seconds(do: Callable[[], object]) -> float:
    start = time.perf_counter()
    do()
    return time.perf_counter() - start


def _each(do: Callable[[], object], repeat: int) -> float:
    """Microseconds, the median of five rounds."""

    def rounds() -> None:
        for _ in range(repeat):
            do()

    return median(_seconds(rounds) for _ in range(5)) / repeat * 1e6
