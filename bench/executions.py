"""Thousands of executions in flight against the sandbox, beside a plain script on the same sandbox."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from amci.kernel.clock import SystemClock, moment
from amci.kernel.runs import RunStore
from amci.kernel.state import State
from bench.execution_plan import aim, fresh, read, template
from bench.process import AMCI, Cost

#: AMC's users with most tenants have so many executions on a day.
_BUSY_DAY = 22_000
#: Processor time that amci may take for each over HTTP and for all of a day, its loads included.
_TARGET_MS, _TARGET_DAY_S = 4.0, 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one client took, and the sandbox it asked where that is a process of its own."""

    began_at: datetime
    cost: Cost
    threads: int  #: the most there were
    requests: int = 0
    sandbox_cpu: float = 0.0  #: seconds


def in_flight(folder: Path, *, tenants: int, each: int, repeat: int = 1) -> list[dict[str, Any]]:
    """Executions of `tenants` × `each` slots, all in flight: results in the lake, against files on the disk."""
    home = folder / "executions"
    template(home, tenants=tenants, each=each)
    return [
        _side_by_side(
            home, f"{tenants * each} executions, sandbox {where}", is_served=is_served, repeat=repeat
        )
        for where, is_served in (("in the process", False), ("over HTTP", True))
    ]


def a_day(folder: Path, *, tenants: int, runs: int) -> list[dict[str, Any]]:
    """The executions of a busy day, or a part of them, over HTTP."""
    home = folder / "day"
    template(home, tenants=tenants, each=runs // tenants)
    report = _side_by_side(home, f"a day's work: {runs} of {_BUSY_DAY} executions", is_served=True, repeat=1)
    report["minutes_for_the_day"] = _BUSY_DAY / report["ours_per_s"] / 60
    report["cpu_s_for_the_day"] = _BUSY_DAY * report["ours_cpu_ms_each"] / 1e3
    return [report | {"target_cpu_s_for_the_day": _TARGET_DAY_S}]


def _side_by_side(home: Path, name: str, *, is_served: bool, repeat: int) -> dict[str, Any]:
    """The median pair of `repeat`."""
    reports = [_pair(home, name, is_served=is_served) for _ in range(repeat)]
    return sorted(reports, key=lambda report: report["ratio"])[repeat // 2]


def _pair(home: Path, name: str, *, is_served: bool) -> dict[str, Any]:
    plan = read(home / "plan.json")
    executions = len(plan["tenants"]) * len(plan["requests"])
    ours, fetched = _ours(home, executions, is_served=is_served)
    theirs = _theirs(home, executions, is_served=is_served)
    report: dict[str, Any] = {
        "bench": name,
        "ours_per_s": executions / ours.cost.seconds,
        "theirs_per_s": executions / theirs.cost.seconds,
        "ratio": ours.cost.seconds / theirs.cost.seconds,
        "ratio_until_fetched": fetched / theirs.cost.seconds,
        "cpu_ratio": ours.cost.cpu / theirs.cost.cpu,
        "ours_s": ours.cost.seconds,
        "ours_fetched_s": fetched,
        "theirs_s": theirs.cost.seconds,
        "ours_cpu_ms_each": ours.cost.cpu / executions * 1e3,
        "target_ours_cpu_ms_each": _TARGET_MS,
        "ours_cpu_s": ours.cost.cpu,
        "theirs_cpu_s": theirs.cost.cpu,
        "ours_mib": ours.cost.memory / 2**20,
        "theirs_mib": theirs.cost.memory / 2**20,
        "ours_threads": ours.threads,
        "theirs_threads": theirs.threads,
    }
    if is_served:
        report |= {
            "ours_requests_each": ours.requests / executions,
            "theirs_requests_each": theirs.requests / executions,
            "sandbox_cpu_s_for_ours": ours.sandbox_cpu,
            "sandbox_cpu_s_for_theirs": theirs.sandbox_cpu,
        }
    return report


def _ours(home: Path, executions: int, *, is_served: bool) -> tuple[Seen, float]:
    """What amci took, and the seconds until the last result was fetched; everything is in the lake by then."""
    copy = fresh(home)
    seen = _watched("bench.our_client", copy, is_served=is_served)
    with State.read_only(copy / "state" / "amci.db") as state:
        counts = RunStore(state, SystemClock()).counts()
        rows = state.read("SELECT sum(rows) AS rows FROM executions")[0]["rows"]
        fetched = state.read("SELECT max(changed_at) AS at FROM runs WHERE kind = 'execute'")[0]["at"]
    for kind in ("execute", "light", "heavy"):
        assert counts[kind] == {"SUCCEEDED": executions}, f"{kind}: {dict(counts[kind])}"
    assert _rows_in_lake(copy) == rows
    return seen, (moment(fetched) - seen.began_at).total_seconds()


def _rows_in_lake(home: Path) -> int:
    names = {request["workflowId"] for request in read(home / "plan.json")["requests"]}
    tables = [f"adtech_amc.amc_{name}_adhoc" for name in sorted(names)]
    counts = " UNION ALL ".join(f"SELECT count(*) AS n FROM {table}" for table in tables)
    command = [*AMCI, "query", f"SELECT sum(n) AS n FROM ({counts})", "--home", str(home), "--json"]
    return int(json.loads(subprocess.run(command, check=True, capture_output=True).stdout)[0]["n"])


def _theirs(home: Path, executions: int, *, is_served: bool) -> Seen:
    copy = fresh(home)
    seen = _watched("bench.plain_client", copy, is_served=is_served)
    assert len(list((copy / "results").glob("*.csv"))) == executions
    return seen


def _watched(module: str, home: Path, *, is_served: bool) -> Seen:
    if not is_served:
        return _run(module, aim(home))
    with _served(home) as (url, process):
        seen = _run(module, aim(home, url))
        requests = httpx.get(f"{url}/sandbox/requests").json()["requests"]
        process.terminate()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return replace(seen, requests=sum(requests.values()), sandbox_cpu=usage.ru_utime + usage.ru_stime)


@contextmanager
def _served(home: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """`amci sandbox serve` without delays, and where it answers."""
    command = [*AMCI, "sandbox", "serve", "--home", str(home), "--port", "0", "--pending", "0s"]
    with (home / "sandbox.log").open("wb") as log:
        process = subprocess.Popen([*command, "--running", "0s"], stdout=subprocess.PIPE, stderr=log)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().decode().partition("=")[2].strip(), process
    finally:
        if process.returncode is None:
            process.terminate()
            process.wait()


def _run(module: str, plan: Path) -> Seen:
    """Run a client to its end, and look meanwhile how much of the machine it has."""
    began_at, start = datetime.now(UTC), time.perf_counter()
    log = plan.with_name("bench.log")
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-m", module, str(plan)], stdout=out, stderr=out)
    most = {"Threads": 0, "VmHWM": 0}
    has_ended = threading.Event()

    def look_on() -> None:
        while not has_ended.wait(0.05):
            for name, value in _size(process.pid).items():
                most[name] = max(most[name], value)

    looking = threading.Thread(target=look_on)
    looking.start()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    has_ended.set()
    looking.join()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{module} failed; see {log}")
    # The kernel's own figure at the end would count what this process had when it was forked.
    cost = Cost(seconds, usage.ru_utime + usage.ru_stime, most["VmHWM"] * 1024)
    return Seen(began_at=began_at, cost=cost, threads=most["Threads"])


def _size(pid: int) -> dict[str, int]:
    """Threads of a process, and KiB it had at most; nothing where it has just ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.split()[:2] for line in lines if line.startswith(("Threads:", "VmHWM:")))
    return {name.rstrip(":"): int(value) for name, value in pairs}
