"""The first half of `amci demo`: tenants, workflows and a schedule, from AMC to a query, on the sandbox."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from amci.app.engine import Engine, open_engine
from amci.app.plan import apply, differences
from amci.cli.output import Output
from amci.kernel.errors import AmciError
from amci.kernel.run import Run, RunStatus
from amci.kernel.testing import TurnableClock
from amci.kernel.workspace import Workspace
from amci.workflows.executions.run_factory import EXECUTE

#: The laptop was closed that long, so a daily schedule has missed a fire.
_CLOSED = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class DemoExecutions:
    """What was done, in the order it was."""

    prepared: Sequence[Run]  #: tenants provisioned, workflows created
    fires: Sequence[Mapping[str, Any]]  #: schedule and moment
    executions: Sequence[Mapping[str, Any]]

    def show(self, out: Output) -> None:
        """For people."""
        out.text("AMC, played by the sandbox: `amci apply` provisions the tenants and creates the workflows.")
        out.text("")
        out.table(["run", "what", "tenant", "status"], [_prepared(run) for run in self.prepared])
        out.text("")
        out.text("A day passes with the laptop closed. The daily schedule has missed a fire and catches up:")
        out.text("")
        out.table(
            ["schedule", "fire time", "decision"],
            [[f["schedule"], f"{f['fire_time']:%Y-%m-%d %H:%M} UTC", f["decision"]] for f in self.fires],
        )
        out.text("")
        out.text("Its executions run, their results come down, and the lake takes them:")
        out.text("")
        out.table(["tenant", "workflow", "status", "rows", "table"], [[*e.values()] for e in self.executions])
        out.text("")

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        prepared = [
            dict(zip(("run", "what", "tenant", "status"), _prepared(r), strict=True)) for r in self.prepared
        ]
        return {"prepared": prepared, "fires": self.fires, "executions": self.executions}


def _prepared(run: Run) -> list[Any]:
    workflow = f" {run.payload['workflow']}" if "workflow" in run.payload else ""
    return [run.run_id, f"{run.payload.get('action', run.kind)}{workflow}", run.tenant_id, run.status.value]


def go_round(workspace: Workspace, environ: Mapping[str, str]) -> DemoExecutions:
    """Apply config/ to the sandbox yesterday, close the laptop for a day, and let the schedules catch up.

    Raises AmciError where an execution does not end with its rows in the lake.
    """
    clock = TurnableClock()
    clock.turn(-_CLOSED)
    with open_engine(workspace, clock, environ) as engine:
        prepared = _apply(engine)
        clock.turn(_CLOSED)
        engine.drain(threading.Event())
        return DemoExecutions(prepared, _fires(engine), _executions(engine))


def _apply(engine: Engine) -> list[Run]:
    opened = engine.opened
    runs = apply(opened, differences(opened), prune=False, check=False)
    keys = [run.idempotency_key for run in runs]
    engine.finish(keys, threading.Event())
    return opened.runs.by_keys(keys)


def _fires(engine: Engine) -> list[dict[str, Any]]:
    return [
        {"schedule": name, "fire_time": past.fire.fire_time, "decision": past.fire.decision.value}
        for name, past in sorted(engine.opened.schedules.newest().items())
    ]


def _executions(engine: Engine) -> list[dict[str, Any]]:
    loaded = {entry["key"]: entry for entry in _loaded(engine)}
    found = []
    for run in sorted(engine.runs.list(kind=EXECUTE, limit=-1), key=lambda run: run.run_id):
        result = run.result or {}
        if run.status is not RunStatus.SUCCEEDED or result["key"] not in loaded:
            raise AmciError(
                f"run {run.run_id} did not bring its rows into the lake: {run.status} {run.reason or ''}",
                hint="this is a fault of amci; please report it",
            )
        entry = loaded[result["key"]]
        found.append(
            {
                "tenant": run.tenant_id,
                "workflow": run.payload["request"]["workflow_id"],
                "status": result["execution_status"],
                "rows": entry["rows"],
                "table": entry["table"],
            }
        )
    return found


def _loaded(engine: Engine) -> list[dict[str, Any]]:
    """The results in the lake's own words."""
    columns = ("key", "rows", "table")
    rows = engine.catalog.con.execute(
        "SELECT key, rows, schema_name || '.' || table_name FROM lake.amci.objects"
        " WHERE workflow_execution_id IS NOT NULL"
    ).fetchall()
    return [dict(zip(columns, row, strict=True)) for row in rows]
