"""The workspace at a glance; quick, and beside a process that writes."""

from __future__ import annotations

from typing import Any

from amci.kernel import waits
from amci.kernel.clock import SystemClock
from amci.kernel.run import RunStatus
from amci.kernel.runs import RunStore
from amci.kernel.state import State
from amci.kernel.workspace import WorkspacePaths
from amci.lake.landing.object_store import ObjectStore
from amci.workflows.amazon.circuit_breaker import CircuitState, read_circuits
from amci.workflows.executions.store import ExecutionStore


def overview(workspace: WorkspacePaths) -> dict[str, Any]:
    """Counts of objects and runs, and whether a process is writing."""
    writer = workspace.writer()
    engine = f"process {writer} is writing" if writer else "not running"
    report: dict[str, Any] = {"workspace": str(workspace.home), "engine": engine}
    report |= {"waits_ahead": 0, "clock_set_back": ""}
    counts = dict.fromkeys(RunStatus, 0)
    objects = {"objects": 0, "removed": 0, "quarantined": 0, "doubtful": 0}
    amc = {"executions_in_amc": 0, "circuits_open": "", "executed_twice": 0, "notices_not_delivered": 0}
    if workspace.state.exists():
        with State.read_only(workspace.state) as state:
            clock = SystemClock()
            objects = ObjectStore(state, clock).counts()
            by_kind = RunStore(state, clock).counts()
            for by_status in by_kind.values():
                for status, number in by_status.items():
                    counts[status] += number
            report["waits_ahead"] = waits.ahead(state, clock.now())
            step = waits.newest_step(state)
            report["clock_set_back"] = waits.told(step) if step else ""
            amc = {
                "executions_in_amc": ExecutionStore(state, clock).in_amc(),
                "circuits_open": ", ".join(
                    circuit.instance_id
                    for circuit in read_circuits(state)
                    if circuit.state is not CircuitState.CLOSED
                ),
                "executed_twice": ExecutionStore(state, clock).twice(),
                "notices_not_delivered": by_kind.get("notify", {}).get(RunStatus.FAILED, 0),
            }
    return report | objects | amc | {f"runs_{status.lower()}": number for status, number in counts.items()}
