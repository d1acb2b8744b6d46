"""From an execution that AMC has finished to rows a query sees, with `up` running: waiting apart from work."""

from __future__ import annotations

import queue
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from amci.app.engine import Engine, open_engine
from amci.kernel.clock import SystemClock
from amci.kernel.run import NewRun, Run, RunStatus
from amci.kernel.runs import RunStore
from amci.kernel.state import State
from amci.kernel.workspace import WorkspacePaths
from amci.lake.query.session import session
from bench.execution_plan import aim, read, template
from bench.our_client import runs

#: Seconds between two looks at an execution.
_POLL = 0.1
#: Seconds AMC works on an execution, so that the first look finds none finished.
_RUNNING = 0.35
_COUNT = "SELECT count(DISTINCT _object_id) FROM adtech_amc.amc_reach0_adhoc"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Moments = dict[str, datetime]


def queryable(folder: Path, *, executions: int) -> list[dict[str, Any]]:
    """One execution after another: each is asked for when the rows of the one before were seen."""
    home = folder / "queryable"
    template(home, tenants=1, each=10, pause=_POLL, longest=_POLL, running=_RUNNING)
    plan = read(aim(home))
    plan["requests"] = [plan["requests"][0]] * (executions + 1)
    with _up(WorkspacePaths(home)) as (engine, loaded):
        first, *others = runs(plan, engine.project.tenants)
        _asked(engine, first, loaded)
        settings = engine.project.settings
        limits = {"memory_limit": settings.query_memory_limit, "timeout": settings.query_timeout}
        found = []
        with session(engine.workspace, **limits) as asking:
            for number, new in enumerate(others, start=2):
                heavy = _asked(engine, new, loaded)
                ((objects,),) = asking.run(_COUNT).fetchall()
                seen = datetime.now(UTC)
                assert objects == number
                found.append(_moments(engine, new, heavy) | {"seen": seen})
    return [_report(found)]


@contextmanager
def _up(workspace: WorkspacePaths) -> Iterator[tuple[Engine, queue.Queue[Run]]]:
    """The engine as `amci up` runs it, and the runs that have loaded something."""
    loaded: queue.Queue[Run] = queue.Queue()
    stop = threading.Event()

    def see(run: Run) -> None:
        if run.kind == "heavy" and run.status is RunStatus.SUCCEEDED:
            loaded.put(run)

    with open_engine(workspace, SystemClock(), {}) as engine:
        up = threading.Thread(target=engine.up, args=(stop, see))
        up.start()
        try:
            yield engine, loaded
        finally:
            stop.set()
            up.join()


def _asked(engine: Engine, new: NewRun, loaded: queue.Queue[Run]) -> Run:
    """Put a run in line as another process would; the heavy run that loaded its result."""
    with State.open(engine.workspace.state, engine.clock) as state:
        RunStore(state, engine.clock).create([new])
    return loaded.get(timeout=60)


def _moments(engine: Engine, new: NewRun, heavy: Run) -> Moments:
    """When AMC had finished, when the run looked that found it so, when it was fetched, staged, loaded."""
    execute = engine.runs.by_keys([new.idempotency_key])[0]
    light = engine.runs.get(heavy.parent_run_id or 0)
    assert execute.result is not None
    with closing(sqlite3.connect(engine.workspace.sandbox / "sandbox.db")) as db:
        asked = "SELECT ended_at FROM executions WHERE workflow_execution_id = ?"
        (ended,) = db.execute(asked, [execute.result["workflow_execution_id"]]).fetchone()
    looks = [event.at for event in engine.runs.events(execute.run_id) if event.event == "claimed"]
    return {
        "finished": _EPOCH + timedelta(microseconds=ended),
        "looked": looks[-1],
        "fetched": execute.changed_at,
        "staged": light.changed_at,
        "loaded": heavy.changed_at,
    }


def _report(found: list[Moments]) -> dict[str, Any]:
    spans = {
        "all": ("finished", "seen"),
        "polling": ("finished", "looked"),
        "work": ("looked", "seen"),
        "fetching": ("looked", "fetched"),
        "staging": ("fetched", "staged"),
        "loading": ("staged", "loaded"),
        "query": ("loaded", "seen"),
    }
    report: dict[str, Any] = {
        "bench": "finished in AMC to rows in a query, one execution at a time",
        "executions": len(found),
        "poll_s": _POLL,
    }
    for name, (start, end) in spans.items():
        taken = [(moments[end] - moments[start]).total_seconds() * 1e3 for moments in found]
        report |= {f"{name}_median_ms": median(taken), f"{name}_p99_ms": quantiles(taken, n=100)[-1]}
    return report
