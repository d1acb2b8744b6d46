"""What the commands of `amci exec` share: requests from options, runs done or put in line, executions found."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from amci.app.execution_request import execution_request, new_execution_runs
from amci.cli.context import Context
from amci.cli.exec_rows import COLUMNS, COUNTED, PLANNED, execution_row, planned_rows, run_row
from amci.cli.run_progress import do_runs, leave
from amci.kernel import dates
from amci.kernel.clock import moment
from amci.kernel.errors import NotFound, UsageError
from amci.workflows.amc.model import ExecutionRequest, ExecutionStatus
from amci.workflows.executions.cancel import cancel, cancel_run
from amci.workflows.executions.request_parsing import (
    AwsRequest,
    assignments,
    aws_request,
    chosen,
)
from amci.workflows.executions.request_resolution import resolved, sql_hash_of
from amci.workflows.executions.run_factory import request_from
from amci.workflows.executions.store import ExecutionRecord

if TYPE_CHECKING:
    from amci.app.session import Session
    from amci.kernel.run import NewRun
    from amci.tenants.model import Tenant

_NO_CAP = 1_000_000


def asked_for(
    opened: Session,
    workflow: str,
    sql: str | None,
    window: str | None,
    zone: str | None,
    pairs: Sequence[str] | None,
) -> ExecutionRequest:
    """The request that the options describe."""
    if not workflow and sql is None:
        raise UsageError("which workflow?", hint="name one, or give --sql FILE or --request FILE")
    known = opened.project.workflows.get(workflow) if sql is None else None
    return execution_request(
        opened,
        workflow or ("adhoc" if sql in (None, "-") else Path(sql).stem),
        sql=None if sql is None else _text(sql),
        window=window,
        zone=zone,
        parameters=assignments(pairs or [], is_typed=known is not None),
    )


def doubt(ctx: Context, opened: Session, asked: ExecutionRequest) -> None:
    """Say where a workflow is not in config: AMC may have it all the same, or it was mistyped."""
    known = opened.project.workflows
    if asked.sql_query is None and asked.workflow_id not in known:
        near = difflib.get_close_matches(asked.workflow_id, known, n=1)
        meant = f" (did you mean '{near[0]}'?)" if near else ""
        ctx.out.note(
            f"workflow '{asked.workflow_id}' is not in config/{meant}; AMC is asked for it all the same"
        )


def _text(source: str) -> str:
    """Of a file, or of standard input."""
    if source == "-":
        return typer.get_text_stream("stdin").read()
    try:
        return Path(source).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{source} cannot be read", hint=str(error)) from None


def request_document(source: str) -> AwsRequest:
    """A request document of the AWS solution, from a file or standard input; raises UsageError."""
    import json

    try:
        document = json.loads(_text(source))
    except ValueError as error:
        raise UsageError(f"{source} is no JSON", hint=str(error)) from None
    if not isinstance(document, dict):
        raise UsageError(f"{source} is no request document", hint="it begins with {")
    return aws_request(document)


def do_pasted(
    ctx: Context, opened: Session, asked: AwsRequest, schedule: str, *, wait: bool, dry_run: bool
) -> None:
    """Do what a request document of the AWS solution says."""
    tenants = chosen(opened.project.tenants, asked.tenants)
    if asked.request is not None:
        do(
            ctx,
            opened,
            new_execution_runs(opened, tenants, asked.request, schedule=schedule),
            wait=wait,
            dry_run=dry_run,
        )
    elif asked.kind == "getExecutionStatus":
        row = known_to_amc(opened, tenants[0], asked.workflow_execution_id)
        show_one(ctx, refreshed(opened, row))
    else:
        known_to_amc(opened, tenants[0], asked.workflow_execution_id)
        new = cancelled(opened, asked.workflow_execution_id)
        finish(ctx, opened, [run.idempotency_key for run in new], wait=wait)


def days(opened: Session, asked: ExecutionRequest, *texts: str) -> list[str]:
    """Dynamic dates as of now, on the clocks of the window asked for; others stay as they are."""
    zone = dates.time_zone(asked.window.time_zone)
    return [dates.resolved(text, opened.clock.now(), zone) for text in texts]


def do(ctx: Context, opened: Session, runs: Sequence[NewRun], *, wait: bool, dry_run: bool) -> None:
    """Put the runs in line, and with `wait` do them; or only show them. Raises UsageError before it does."""
    planned = [(run, _resolved(opened, run)) for run in runs]
    if dry_run:
        ctx.out.rows(planned_rows(planned), PLANNED, empty="nothing to ask for")
        return
    created = opened.runs.create(runs)
    if created < len(runs):
        ctx.out.note(f"{len(runs) - created} of {len(runs)} were asked for before")
    finish(ctx, opened, [run.idempotency_key for run in runs], wait=wait)


def _resolved(opened: Session, run: NewRun) -> ExecutionRequest:
    """The request of a run as it would be sent now; raises UsageError."""
    request = request_from(run.payload["request"])
    workflow = opened.project.workflows.get(request.workflow_id)
    return resolved(request, workflow, tenant_of(opened, run.tenant_id or ""), moment(run.payload["at"]))


def finish(ctx: Context, opened: Session, keys: Sequence[str], *, wait: bool) -> None:
    """Do these runs, or say who does; show them; exit code 3 where some failed."""
    runs = do_runs(ctx, opened, keys, wait=wait)
    rows = opened.executions.newest(run.run_id for run in runs)
    ctx.out.rows([run_row(run, rows.get(run.run_id)) for run in runs], COLUMNS, empty="nothing to do")
    if any(not run.status.is_final for run in runs):
        ctx.out.note("`amci up` or `amci drain` does what is still to be done")
    leave(runs)


def show_counts(ctx: Context, opened: Session, keys: Sequence[str], *, wait: bool) -> None:
    """Do these reconciliations, or say who does; show what they found; exit code 3 where some failed."""
    runs = do_runs(ctx, opened, keys, wait=wait)
    rows = [
        {"tenant": run.tenant_id, "status": run.status.value, **(run.result or {}), "reason": run.reason}
        for run in runs
    ]
    ctx.out.rows(rows, COUNTED, empty="no tenants with an AMC instance")
    leave(runs)


def show_one(ctx: Context, row: ExecutionRecord) -> None:
    """An execution with all that is known of it."""
    shown = execution_row(row)
    if ctx.out.as_json:
        shown |= {"request": row.request, "document": row.document}
    ctx.out.record({name: value for name, value in shown.items() if value not in (None, "")})


def show_status(ctx: Context, opened: Session, identifier: str, *, remote: bool) -> None:
    """An execution, or the run that has none yet."""
    if identifier.isdecimal():
        run = opened.runs.get(int(identifier))
        if not opened.executions.of_run(run.run_id):
            ctx.out.record({n: v for n, v in run_row(run, None).items() if v is not None})
            return
    row = row_of(opened, identifier)
    show_one(ctx, refreshed(opened, row) if remote else row)


def row_of(opened: Session, identifier: str) -> ExecutionRecord:
    """The execution that a run id or an id of AMC's means; raises NotFound."""
    if not identifier.isdecimal():
        return opened.executions.by_amc(identifier)
    run = opened.runs.get(int(identifier))
    rows = opened.executions.of_run(run.run_id)
    if not rows:
        raise NotFound(
            f"run {identifier} ({run.kind}) has no execution in AMC"
            + (f": {run.reason}" if run.reason else ""),
            hint=f"`amci runs show {identifier}` tells its story",
        )
    return rows[0]


def refreshed(opened: Session, row: ExecutionRecord) -> ExecutionRecord:
    """The execution as AMC shows it now."""
    if row.workflow_execution_id is None:
        return row
    execution = opened.client(tenant_of(opened, row.tenant_id)).execution(row.workflow_execution_id)
    if execution is None:
        raise NotFound(f"AMC does not know execution {row.workflow_execution_id} (any more)")
    return opened.executions.see(row, execution, looks=0)


def known_to_amc(opened: Session, tenant: Tenant, workflow_execution_id: str) -> ExecutionRecord:
    """The row of an execution, made where AMC has it and amci has not met it; raises NotFound."""
    try:
        return opened.executions.by_amc(workflow_execution_id)
    except NotFound:
        execution = opened.client(tenant).execution(workflow_execution_id)
        if execution is None:
            raise
        return opened.executions.note_foreign(tenant.tenant, tenant.instance_id, execution)


def cancelled(opened: Session, identifier: str) -> list[NewRun]:
    """Cancel here; the runs that cancel in AMC."""
    run_id = int(identifier) if identifier.isdecimal() else opened.executions.by_amc(identifier).run_id
    if run_id is not None:
        return cancel(opened.runs, opened.executions, run_id)
    new = [cancel_run(opened.executions.by_amc(identifier))]
    opened.runs.create(new)
    return new


def tenant_of(opened: Session, tenant_id: str) -> Tenant:
    """Raises NotFound."""
    return chosen(opened.project.tenants, [tenant_id])[0]


def sql_hash_of_row(opened: Session, row: ExecutionRecord) -> str:
    """Hash of the SQL an execution ran, as far as it is known here."""
    workflow = opened.project.workflows.get(row.name)
    return sql_hash_of(request_from(row.request or {"workflow_id": row.name}), workflow)


def status_named(name: str | None) -> ExecutionStatus | None:
    """AMC's status in any case of letters; raises UsageError."""
    if name is None:
        return None
    if name.upper() not in ExecutionStatus.__members__:
        raise UsageError(f"no status '{name}'", hint=f"one of {', '.join(ExecutionStatus)}")
    return ExecutionStatus(name.upper())


def summary_of(opened: Session, tenant_id: str, since: Any, include_details: bool) -> dict[str, Any]:
    """The summary of one tenant, with its executions where they are asked for."""
    found = {"tenant": tenant_id, **opened.executions.summary(tenant_id, since)}
    if include_details:
        rows = opened.executions.list(tenants=[tenant_id], limit=-1)
        found["executions"] = [execution_row(r) for r in rows if r.created_at and r.created_at >= since]
    return found


def rows_of(ctx: Context, query: str) -> list[dict[str, Any]]:
    """The rows of a query of the lake."""
    from amci.cli.lake import query_session

    with query_session(ctx) as session:
        result = session.run(query)
        return [dict(zip(result.columns, row, strict=True)) for row in result.fetchall()]


def cap_of(cap: int, yes: bool) -> int:
    """How many executions may be begun at once."""
    return _NO_CAP if yes else cap
