"""What an execution asks AMC for, from the words of a person: workflow, window, parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from amci.app.session import Session
from amci.kernel.clock import new_id
from amci.kernel.run import NewRun
from amci.tenants.model import Tenant
from amci.workflows.amc.model import ExecutionRequest, TimeWindow
from amci.workflows.executions.request_parsing import window_from
from amci.workflows.executions.run_factory import execute_run


def execution_request(
    session: Session,
    workflow_id: str,
    *,
    sql: str | None,
    window: str | None,
    zone: str | None,
    parameters: Mapping[str, Any],
) -> ExecutionRequest:
    """The request for a workflow, or for `sql` under its name; raises UsageError for a window that is none."""
    known = session.project.workflows.get(workflow_id) if sql is None else None
    return ExecutionRequest(
        workflow_id=workflow_id,
        sql_query=sql,
        window=window_from(window, zone, known.time_window if known else TimeWindow()),
        parameter_values=dict(parameters),
    )


def new_execution_runs(
    session: Session, tenants: Sequence[Tenant], request: ExecutionRequest, *, schedule: str
) -> list[NewRun]:
    """A run for each tenant; asking again makes new ones."""
    at, together = session.clock.now(), f"exec:{new_id()}"
    return [
        execute_run(
            tenant,
            request,
            key=f"{together}:{tenant.tenant}",
            at=at,
            schedule=schedule,
            correlation_id=together,
        )
        for tenant in tenants
    ]
