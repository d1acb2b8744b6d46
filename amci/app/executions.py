"""Executions as people ask for them: requests from their words, the runs, and what is known of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from amci.app.session import Session
from amci.kernel import dates
from amci.kernel.clock import new_id
from amci.kernel.errors import NotFound
from amci.kernel.run import NewRun
from amci.tenants.model import Tenant, tenant_named
from amci.workflows.amc.model import ExecutionRequest, TimeWindow
from amci.workflows.executions.cancel import cancel, cancel_run
from amci.workflows.executions.request_parsing import window_from
from amci.workflows.executions.request_resolution import resolved
from amci.workflows.executions.run_factory import ExecuteTask, execute_run
from amci.workflows.executions.store import ExecutionRecord


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


def request_as_sent(session: Session, run: NewRun) -> ExecutionRequest:
    """The request of a run of kind `execute` as it would be sent now; raises UsageError, NotFound."""
    task = ExecuteTask.of(run.payload)
    workflow = session.project.workflows.get(task.request.workflow_id)
    tenant = tenant_named(session.project.tenants, run.tenant_id or "")
    return resolved(task.request, workflow, tenant, task.at or session.clock.now())


def resolved_dates(session: Session, request: ExecutionRequest, *texts: str) -> list[str]:
    """Dynamic dates as of now, in the time zone of the request's window; other texts stay as they are."""
    zone = dates.time_zone(request.window.time_zone)
    return [dates.resolved(text, session.clock.now(), zone) for text in texts]


def record_of(session: Session, identifier: str) -> ExecutionRecord:
    """The execution that a run id or an id of AMC's means; raises NotFound."""
    if not identifier.isdecimal():
        return session.executions.by_amc(identifier)
    run = session.runs.get(int(identifier))
    records = session.executions.of_run(run.run_id)
    if not records:
        raise NotFound(
            f"run {identifier} ({run.kind}) has no execution in AMC"
            + (f": {run.reason}" if run.reason else ""),
            hint=f"`amci runs show {identifier}` tells its story",
        )
    return records[0]


def record_known_to_amc(session: Session, tenant: Tenant, workflow_execution_id: str) -> ExecutionRecord:
    """The record of an execution, made if only AMC knows it; raises NotFound if AMC does not know it either."""
    try:
        return session.executions.by_amc(workflow_execution_id)
    except NotFound:
        execution = session.client(tenant).execution(workflow_execution_id)
        if execution is None:
            raise
        return session.executions.note_foreign(tenant.tenant, tenant.instance_id, execution)


def refreshed(session: Session, record: ExecutionRecord) -> ExecutionRecord:
    """The execution as AMC shows it now; raises NotFound if AMC does not know it."""
    if record.workflow_execution_id is None:
        return record
    tenant = tenant_named(session.project.tenants, record.tenant_id)
    execution = session.client(tenant).execution(record.workflow_execution_id)
    if execution is None:
        raise NotFound(f"AMC does not know execution {record.workflow_execution_id} (any more)")
    return session.executions.see(record, execution, looks=0)


def cancelled(session: Session, identifier: str) -> list[NewRun]:
    """Cancel an execution here, and queue the runs that cancel it in AMC; these runs.

    Raises NotFound, and IllegalMove if it has ended.
    """
    run_id = int(identifier) if identifier.isdecimal() else session.executions.by_amc(identifier).run_id
    if run_id is not None:
        return cancel(session.runs, session.executions, run_id)
    new = [cancel_run(session.executions.by_amc(identifier))]
    session.runs.create(new)
    return new


def executions_since(session: Session, tenant_id: str, since: datetime) -> list[ExecutionRecord]:
    """A tenant's executions that AMC created since then, newest first."""
    records = session.executions.list(tenants=[tenant_id], limit=-1)
    return [record for record in records if record.created_at and record.created_at >= since]
