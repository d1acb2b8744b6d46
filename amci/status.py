"""The workspace at a glance; quick, and beside a process that writes."""

from __future__ import annotations

from typing import Any

from amci.clock import SystemClock
from amci.lake.objects import ObjectStore
from amci.run import RunStatus
from amci.runs import RunStore
from amci.state import State
from amci.workspace import Workspace


def overview(workspace: Workspace) -> dict[str, Any]:
    """Counts of objects and runs, and whether a process is writing."""
    writer = workspace.writer()
    engine = f"process {writer} is writing" if writer else "not running"
    report: dict[str, Any] = {"workspace": str(workspace.home), "engine": engine}
    counts = dict.fromkeys(RunStatus, 0)
    objects = {"objects": 0, "removed": 0, "quarantined": 0}
    if workspace.state.exists():
        with State.read_only(workspace.state) as state:
            clock = SystemClock()
            objects = ObjectStore(state, clock).counts()
            for by_status in RunStore(state, clock).counts().values():
                for status, number in by_status.items():
                    counts[status] += number
    return report | objects | {f"runs_{status.lower()}": number for status, number in counts.items()}
