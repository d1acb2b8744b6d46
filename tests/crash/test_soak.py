"""`amci up`, kept busy: what it takes of the machine does not grow with the hours, and no row is lost or doubled."""

from __future__ import annotations

import itertools
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import pytest

from amci.app.session import open_session

from .test_kill_executions import asked, prepared, told

pytestmark = pytest.mark.crash

#: What all of it is loaded into.
TABLE = "adtech_amc.acme_spend_daily_ver1"
#: Rounds of the short form, and seconds of the long one.
SHORT, LONG = 16, 600
#: Keys that are delivered over and over, and how many of them a round replaces.
KEYS, REPLACED = 40, 4
#: Every so many rounds there is an execution, an upkeep run, a file at fault, a new configuration.
EXECUTION, UPKEEP, FAULT, CONFIGURATION = 4, 8, 5, 16
#: An `up` that hangs is killed so many seconds after it should have ended, and the test fails.
PATIENCE = 180


@dataclass(frozen=True, slots=True)
class Usage:
    """What the process takes of the machine, from one look at it."""

    memory: int  #: anonymous resident memory, KiB
    descriptors: int
    threads: int
    state_log: int  #: bytes of amci.db-wal
    catalog_log: int  #: bytes of catalog.db-wal

    @classmethod
    def of(cls, pid: int, state: Path) -> Usage:
        process = Path(f"/proc/{pid}")
        facts = dict(line.split(":", 1) for line in (process / "status").read_text("utf-8").splitlines())
        return cls(
            memory=int(facts["RssAnon"].split()[0]),
            descriptors=sum(1 for _ in (process / "fd").iterdir()),
            threads=int(facts["Threads"]),
            state_log=_size(state / "amci.db-wal"),
            catalog_log=_size(state / "catalog.db-wal"),
        )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


#: What the last quarter of the rounds may take more than the second one: what one leak a round would pass by far.
SLACK = Usage(memory=48 << 10, descriptors=4, threads=2, state_log=8 << 20, catalog_log=8 << 20)


@contextmanager
def up(home: Path, seconds: float) -> Iterator[tuple[subprocess.Popen[str], Iterator[str]]]:
    """`amci up` of this workspace, and the lines it prints; it has to end well when told to."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AMCI_")}
    with subprocess.Popen(
        [sys.executable, "-m", "amci", "up", "--home", str(home)],
        env=environment | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr
        guard = threading.Timer(seconds + PATIENCE, process.kill)
        guard.start()
        try:
            lines = iter(process.stderr.readline, "")
            heard(lines, "watching")
            yield process, lines
            process.send_signal(signal.SIGTERM)
            rest = list(lines)
            assert process.wait() == 0, rest
        finally:
            process.kill()
            guard.cancel()


def heard(lines: Iterator[str], words: str, times: int = 1) -> None:
    """Read on until a line with these words has come so often."""
    seen: list[str] = []
    for line in lines:
        seen.append(line)
        assert "failed" not in line or "failed" in words, line
        times -= words in line
        if not times:
            return
    raise AssertionError(f"{words!r} never came: {seen[-20:]}")


def content(key: int, at: int) -> str:
    """A file whose rows say which delivery they are of."""
    return "user,cost\n" + "".join(f"u{key}-{i},{at}\n" for i in range(20))


def rounds(*, is_long: bool) -> Iterator[int]:
    """Numbers of rounds from 1: a fixed count of them, or as many as there is time for."""
    if not is_long:
        return iter(range(1, SHORT + 1))
    end = time.monotonic() + LONG
    return itertools.takewhile(lambda _: time.monotonic() < end, itertools.count(1))


def test_up_takes_no_more_of_the_machine_however_long_it_is_busy(
    site: Any, few: Path, request: pytest.FixtureRequest
) -> None:
    prepared(site, few)
    told(site, "apply")
    for task in ("compact", "expire", "vacuum"):
        site.configure(
            f"schedules/{task}.yaml", f"schedule: {task}\nexpression: cron(0 3 1 1 ? 2199)\nrun: {task}\n"
        )
    latest: dict[int, int] = {}
    usage: list[Usage] = []
    executions = itertools.count(1)
    is_long = request.config.getoption("--crash-all")
    with up(site.workspace.home, LONG if is_long else 0) as (process, lines):
        for at in rounds(is_long=is_long):
            for key in ((at * REPLACED + i) % KEYS for i in range(REPLACED)):
                site.put(
                    f"acme/workflow=spend/schedule=daily/2026-09-21-spend-{key}-ver1.csv", content(key, at)
                )
                latest[key] = at
            heard(lines, "heavy succeeded", REPLACED)
            if at % FAULT == 0:
                site.put("acme/workflow=spend/schedule=daily/2026-09-22-spend-bad.csv", f"user,cost\nu{at}\n")
                heard(lines, "light failed")
            if at % EXECUTION == 0:
                with open_session(site.workspace, site.clock, {}) as opened:
                    asked(opened, "acme", "reach", f"exec:{next(executions)}")
                heard(lines, "heavy succeeded")
            if at % UPKEEP == 0:
                with open_session(site.workspace, site.clock, {}) as opened:
                    task = ("compact", "expire", "vacuum")[at // UPKEEP % 3]
                    opened.scheduler.fire(task)
                heard(lines, "upkeep succeeded")
            if at % CONFIGURATION == 0:
                site.configure("tenants/new.yaml", f"tenant: new\nslots: {at}\n")
                heard(lines, "watching")
            rows = site.query(f'SELECT count(*), count(DISTINCT "user") FROM {TABLE}')
            assert rows == [(20 * len(latest),) * 2]
            usage.append(Usage.of(process.pid, site.workspace.state.parent))
    for key, at in latest.items():
        wanted = [(f"u{key}-{i}", at) for i in range(20)]
        found = site.query(f'SELECT "user", cost FROM {TABLE} WHERE "user" LIKE \'u{key}-%\'')
        assert sorted(found) == sorted(wanted), key
    assert len(site.runs(kind="execute")) == next(executions) - 1
    quarter = len(usage) // 4
    before, after = middle(usage[quarter : 2 * quarter]), middle(usage[-quarter:])
    print(f"{len(usage)} rounds: {before} → {after}")  # noqa: T201 - what a long run measured
    for field in fields(Usage):
        name = field.name
        assert getattr(after, name) <= getattr(before, name) + getattr(SLACK, name), (before, after)


def middle(usage: Sequence[Usage]) -> Usage:
    """Of each figure, the median."""
    return Usage(*(int(statistics.median(values)) for values in zip(*map(astuple, usage), strict=True)))
