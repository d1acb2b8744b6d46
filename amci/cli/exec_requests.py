"""What the commands of `amci exec` share: requests from options, runs done or queued, executions found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from amci.app.aws_import.execution_request import AwsRequest, execution_request_from
from amci.app.executions import (
    cancelled,
    execution_request,
    executions_since,
    new_execution_runs,
    record_known_to_amc,
    record_of,
    refreshed,
    request_as_sent,
)
from amci.app.session import Session
from amci.cli.context import Context
from amci.cli.run_progress import exit_if_failed, finish_runs
from amci.kernel.errors import UsageError
from amci.kernel.files import json_of, source_text
from amci.kernel.names import did_you_mean
from amci.kernel.run import NewRun, Run
from amci.workflows.amc.model import ExecutionRequest, ExecutionStatus, TimeWindow
from amci.workflows.definitions.time_windows import KEPT_MONTHS, beyond_history
from amci.workflows.executions.request_parsing import assignments, chosen
from amci.workflows.executions.run_factory import EXECUTE, ExecuteTask, request_document
from amci.workflows.executions.store import ExecutionRecord

_NO_CAP = 1_000_000


def asked_for(
    session: Session,
    workflow: str,
    sql: str | None,
    window: str | None,
    zone: str | None,
    pairs: Sequence[str] | None,
) -> ExecutionRequest:
    """The request that the options describe."""
    if not workflow and sql is None:
        raise UsageError("which workflow?", hint="name one, or give --sql FILE or --request FILE")
    is_declared = sql is None and workflow in session.project.workflows
    return execution_request(
        session,
        workflow or ("adhoc" if sql in (None, "-") else Path(sql).stem),
        sql=None if sql is None else source_text(sql),
        window=window,
        zone=zone,
        parameters=assignments(pairs or [], is_typed=is_declared),
    )


def doubt(ctx: Context, session: Session, asked: ExecutionRequest) -> None:
    """Say so if a workflow is not in config: AMC may have it all the same, or it was mistyped."""
    known, workflow_id = session.project.workflows, asked.workflow_id
    if asked.sql_query is None and workflow_id not in known:
        meant = did_you_mean(workflow_id, known)
        ctx.out.note(f"workflow '{workflow_id}' is not in config/{meant}; AMC is asked for it all the same")


def aws_request_from(source: str) -> AwsRequest:
    """A request document of the AWS solution, from a file or standard input; raises UsageError, ConfigError."""
    try:
        document = json_of(source_text(source))
    except ValueError as error:
        raise UsageError(f"{source} is not JSON", hint=str(error)) from None
    if not isinstance(document, dict):
        raise UsageError(f"{source} is not a request document", hint="it begins with {")
    return execution_request_from(document)


def do_pasted(
    ctx: Context, session: Session, asked: AwsRequest, schedule: str, *, wait: bool, dry_run: bool
) -> None:
    """Do what a request document of the AWS solution says."""
    tenants = chosen(session.project.tenants, asked.tenants)
    if asked.request is not None:
        runs = new_execution_runs(session, tenants, asked.request, schedule=schedule)
        do(ctx, session, runs, wait=wait, dry_run=dry_run)
    elif asked.kind == "getExecutionStatus":
        row = record_known_to_amc(session, tenants[0], asked.workflow_execution_id)
        show_one(ctx, refreshed(session, row))
    else:
        record_known_to_amc(session, tenants[0], asked.workflow_execution_id)
        new = cancelled(session, asked.workflow_execution_id)
        finish(ctx, session, [run.idempotency_key for run in new], wait=wait)


def do(ctx: Context, session: Session, runs: Sequence[NewRun], *, wait: bool, dry_run: bool) -> None:
    """Queue the runs, and with `wait` do them; or only show them. Raises UsageError before it does."""
    planned = [(run, request_as_sent(session, run)) for run in runs]
    _tell_known(ctx, session, planned)
    if dry_run:
        ctx.out.rows(planned_rows(planned), PLANNED, empty="nothing to ask for")
        return
    session.runs.create(runs)
    finish(ctx, session, [run.idempotency_key for run in runs], wait=wait)


def _tell_known(ctx: Context, session: Session, planned: Sequence[tuple[NewRun, ExecutionRequest]]) -> None:
    """Say which of these were asked for before, and are not asked for again."""
    before = {
        run.idempotency_key: run for run in session.runs.by_keys(run.idempotency_key for run, _ in planned)
    }
    known = [
        {
            "run_id": before[run.idempotency_key].run_id,
            "tenant": run.tenant_id,
            "window": window_shown(request.window),
            "status": before[run.idempotency_key].status.value,
        }
        for run, request in planned
        if run.idempotency_key in before
    ]
    if known:
        counts = Counter(each["status"] for each in known)
        listed = ", ".join(f"{number} {status}" for status, number in counts.items())
        says = f"{len(known)} of {len(planned)} were asked for before ({listed})"
        runs = f"runs {known[0]['run_id']} to {known[-1]['run_id']}"
        ctx.out.aside("asked_before", known, [f"{says}: {runs}; --again WORD asks for them again"])


def tell_left_out(
    ctx: Context,
    windows: Sequence[TimeWindow],
    cut: TimeWindow | None,
    now: datetime,
) -> None:
    """Say what of a backfill has no window, and which windows AMC has no events of, or not all of them."""
    entries, lines = [], []
    if cut:
        entries.append({"window": window_shown(cut), "why": "cut_off"})
        lines.append(f"left out: {window_shown(cut)}, shorter than a window; --keep-partial takes it")
    if early := beyond_history(windows, now):
        entries += [{"window": window_shown(each), "why": "beyond_history"} for each in early]
        lines.append(
            f"{len(early)} of {len(windows)} windows, the first {window_shown(early[0])}, begin before the"
            f" {KEPT_MONTHS} months that AMC keeps most events for; their results lack those"
        )
    if entries:
        ctx.out.aside("left_out", entries, lines)


def finish(ctx: Context, session: Session, keys: Sequence[str], *, wait: bool) -> None:
    """Do these runs, or say who does; show them; exit code 3 if some failed."""
    runs = finish_runs(ctx, session, keys, wait=wait)
    rows = session.executions.newest(run.run_id for run in runs)
    ctx.out.rows([run_row(run, rows.get(run.run_id)) for run in runs], COLUMNS, empty="nothing to do")
    if any(not run.status.is_final for run in runs):
        ctx.out.note("`amci up` or `amci drain` does what is still to be done")
    exit_if_failed(runs)


def show_counts(ctx: Context, session: Session, keys: Sequence[str], *, wait: bool) -> None:
    """Do these reconciliations, or say who does; show what they found; exit code 3 if some failed."""
    runs = finish_runs(ctx, session, keys, wait=wait)
    rows = [
        {"tenant": run.tenant_id, "status": run.status.value, **(run.result or {}), "reason": run.reason}
        for run in runs
    ]
    ctx.out.rows(rows, COUNTED, empty="no tenants with an AMC instance")
    exit_if_failed(runs)


def show_one(ctx: Context, row: ExecutionRecord) -> None:
    """An execution with all that is known of it."""
    shown = execution_row(row)
    if ctx.out.as_json:
        request = request_document(row.request) if row.request else None
        shown |= {"request": request, "document": row.document}
        shown |= {"submitted": row.submitted, "answered": row.answered}
    else:
        shown |= {"submitted": _exchange(row.submitted), "answered": _exchange(row.answered)}
    ctx.out.record({name: value for name, value in shown.items() if value not in (None, "")})


def _exchange(exchange: Mapping[str, Any] | None) -> str | None:
    """A request and its answer in a line."""
    if exchange is None:
        return None
    came = exchange.get("status") or f"no answer ({exchange.get('failure')})"
    request_id = f", request {exchange['request_id']}" if exchange.get("request_id") else ""
    asked = f"{exchange['method']} {exchange['url']}"
    return f"{asked}: {came} after {exchange['seconds']:.3f} s, {exchange['sent_at']}{request_id}"


def show_status(ctx: Context, session: Session, identifier: str, *, remote: bool) -> None:
    """An execution, or the run that has none yet."""
    if identifier.isdecimal():
        run = session.runs.get(int(identifier))
        if not session.executions.of_run(run.run_id):
            ctx.out.record({n: v for n, v in run_row(run, None).items() if v is not None})
            return
    row = record_of(session, identifier)
    show_one(ctx, refreshed(session, row) if remote else row)


def status_named(name: str | None) -> ExecutionStatus | None:
    """AMC's status in any case of letters; raises UsageError."""
    if name is None:
        return None
    if name.upper() not in ExecutionStatus.__members__:
        raise UsageError(f"no status '{name}'", hint=f"one of {', '.join(ExecutionStatus)}")
    return ExecutionStatus(name.upper())


def summary_of(session: Session, tenant_id: str, since: datetime, include_details: bool) -> dict[str, Any]:
    """The summary of one tenant, with its executions if they are asked for."""
    summary = {"tenant": tenant_id, **session.executions.summary(tenant_id, since)}
    if include_details:
        summary["executions"] = [execution_row(r) for r in executions_since(session, tenant_id, since)]
    return summary


def rows_of(ctx: Context, query: str) -> list[dict[str, Any]]:
    """The rows of a query of the lake."""
    with ctx.query_session() as session:
        result = session.run(query)
        return [dict(zip(result.columns, row, strict=True)) for row in result.fetchall()]


def cap_of(cap: int, yes: bool) -> int:
    """How many executions may be begun at once."""
    return _NO_CAP if yes else cap


COLUMNS = ["run_id", "tenant", "workflow", "status", "execution_status", "key", "reason"]
LISTED = [
    *("run_id", "tenant", "workflow", "schedule", "execution_status", "window", "created_at"),
    *("rows", "workflow_execution_id"),
]
COUNTED = ["tenant", "status", "listed", "new", "refreshed", "deleted", "reason"]
PLANNED = ["tenant", "workflow", "window", "parameters"]


def run_row(run: Run, row: ExecutionRecord | None) -> dict[str, Any]:
    """A run with its execution, if it has one yet."""
    task = ExecuteTask.of(run.payload) if run.kind == EXECUTE else None
    return {
        "run_id": run.run_id,
        "tenant": run.tenant_id,
        "workflow": task.request.workflow_id if task else run.payload.get("workflow"),
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
        "window": window_shown(row.request.window)
        if row.request
        else utc_window(row.window_start, row.window_end),
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
            "window": window_shown(request.window),
            "parameters": ", ".join(f"{name}={value}" for name, value in request.parameter_values.items()),
            "schedule": run.payload["schedule"],
        }
        for run, request in planned
    ]


def window_shown(window: TimeWindow) -> str:
    """A window for people: `start..end`, or its type, and the time zone if that is not UTC."""
    zone = "" if window.time_zone == "UTC" else f" {window.time_zone}"
    return f"{window.start}..{window.end}{zone}" if window.start else f"{window.type}{zone}"


def utc_window(start: datetime | None, end: datetime | None) -> str:
    """A window as AMC shows it, in UTC; empty if AMC has not said it yet."""
    return f"{start:%Y-%m-%dT%H:%M:%S}..{end:%Y-%m-%dT%H:%M:%S}" if start and end else ""
