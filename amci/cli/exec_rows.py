"""How executions and their runs are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from amci.kernel.run import NewRun, Run
from amci.workflows.amc.model import ExecutionRequest
from amci.workflows.executions.store import ExecutionRecord

COLUMNS = ["run_id", "tenant", "workflow", "status", "execution_status", "key", "reason"]
LISTED = [
    *("run_id", "tenant", "workflow", "schedule", "execution_status", "window", "created_at"),
    *("rows", "workflow_execution_id"),
]
COUNTED = ["tenant", "status", "listed", "new", "refreshed", "deleted", "reason"]
PLANNED = ["tenant", "workflow", "window", "parameters"]


def run_row(run: Run, row: ExecutionRecord | None) -> dict[str, Any]:
    """A run with its execution, if it has one yet."""
    request = run.payload.get("request") or {}
    return {
        "run_id": run.run_id,
        "tenant": run.tenant_id,
        "workflow": request.get("workflow_id") if request else run.payload.get("workflow"),
        "schedule": run.payload.get("schedule"),
        "status": run.status.value,
        "execution_status": str(row.status) if row and row.status else None,
        "workflow_execution_id": row.workflow_execution_id if row else None,
        "key": row.key if row else None,
        "rows": row.rows if row else None,
        "reason": run.reason,
    }


def execution_row(row: ExecutionRecord) -> dict[str, Any]:
    """An execution, ours or somebody else's."""
    return {
        "run_id": row.run_id,
        "attempt": row.attempt,
        "tenant": row.tenant_id,
        "workflow": row.name,
        "schedule": row.schedule,
        "execution_status": str(row.status) if row.status else None,
        "status_reason": row.status_reason,
        "workflow_execution_id": row.workflow_execution_id,
        "window": _window((row.request or {}).get("window") or {}) or _utc_window(row),
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "key": row.key,
        "rows": row.rows,
        "bytes": row.bytes,
    }


def planned_rows(planned: Sequence[tuple[NewRun, ExecutionRequest]]) -> list[dict[str, Any]]:
    """What would be asked for, dates as they would be now."""
    return [
        {
            "tenant": run.tenant_id,
            "workflow": request.workflow_id,
            "window": _window(asdict(request.window)),
            "parameters": ", ".join(f"{name}={value}" for name, value in request.parameter_values.items()),
            "schedule": run.payload["schedule"],
        }
        for run, request in planned
    ]


def _window(window: Mapping[str, Any]) -> str:
    if not window:
        return ""
    zone = "" if window.get("time_zone", "UTC") == "UTC" else f" {window['time_zone']}"
    return f"{window['start']}..{window['end']}{zone}" if window.get("start") else f"{window['type']}{zone}"


def _utc_window(row: ExecutionRecord) -> str:
    if row.window_start is None or row.window_end is None:
        return ""
    return f"{row.window_start:%Y-%m-%dT%H:%M:%S}..{row.window_end:%Y-%m-%dT%H:%M:%S}"
