"""`amci exec …`: parse, call, show."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from amci.app import executions
from amci.cli import exec_requests as doing
from amci.cli.context import Context, Limit, command
from amci.cli.exec_requests import LISTED, execution_row
from amci.kernel.clock import duration
from amci.tenants.model import tenant_named
from amci.workflows.definitions.time_windows import cut_off, sliding
from amci.workflows.executions import fan_out, results
from amci.workflows.executions.reconcile import reconcile_run
from amci.workflows.executions.request_parsing import chosen
from amci.workflows.executions.request_resolution import sql_hash_of

exec_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

WorkflowId = Annotated[str, typer.Argument(metavar="WORKFLOW", help="Id of the workflow.")]
Ids = Annotated[list[str], typer.Argument(metavar="ID…", help="Run ids, or AMC's ids of executions.")]
Tenants = Annotated[list[str] | None, typer.Option("--tenant", "-t", help="Tenant; may be given again.")]
All = Annotated[bool, typer.Option("--all", help="Every tenant with an AMC instance.")]
Window = Annotated[
    str | None, typer.Option("--window", help="MOST_RECENT_DAY, … or START..END; dates may be dynamic.")
]
Zone = Annotated[str | None, typer.Option("--zone", help="Time zone of the window.")]
Params = Annotated[list[str] | None, typer.Option("--param", "-p", help="name=value; may be given again.")]
Wait = Annotated[bool, typer.Option("--wait", help="Do it now, until the results are there.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be asked for.")]
Schedule = Annotated[str, typer.Option("--schedule-name", help="The schedule= folder of the results.")]
Sql = Annotated[str | None, typer.Option("--sql", help="File with SQL to run ad hoc; - is standard input.")]
Cap = Annotated[int, typer.Option("--cap", help="At most so many executions.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="However many they are.")]
Again = Annotated[str, typer.Option("--again", help="Any word: repeat what was asked for before.")]


@command(exec_app, "run", epilog="Example: amci exec run reach --tenant acme --window 'TODAY(-8)..TODAY(-1)'")
def run(
    ctx: Context,
    workflow: Annotated[
        str, typer.Argument(metavar="[WORKFLOW]", help="Id of the workflow; with --sql, a name.")
    ] = "",
    *,
    sql: Sql = None,
    request: Annotated[
        str | None,
        typer.Option("--request", help="Request document of the AWS solution; - is standard input."),
    ] = None,
    tenant: Tenants = None,
    every: All = False,
    window: Window = None,
    zone: Zone = None,
    param: Params = None,
    validate: Annotated[
        bool, typer.Option("--validate", help="AMC only compiles it (AMC's dryRun).")
    ] = False,
    schedule_name: Schedule = "adhoc",
    wait: Wait = False,
    dry_run: DryRun = False,
) -> None:
    """Run a workflow, or SQL ad hoc, for one or more tenants."""
    with ctx.session() as session:
        if request:
            doing.do_pasted(
                ctx, session, doing.aws_request_from(request), schedule_name, wait=wait, dry_run=dry_run
            )
            return
        asked = doing.asked_for(session, workflow, sql, window, zone, param)
        doing.doubt(ctx, session, asked)
        asked = replace(asked, dry_run=validate)
        tenants = chosen(session.project.tenants, tenant or [], is_all=every)
        runs = executions.new_execution_runs(session, tenants, asked, schedule=schedule_name)
        doing.do(ctx, session, runs, wait=wait, dry_run=dry_run)


@command(exec_app, "status", epilog="Example: amci exec status 17")
def status(
    ctx: Context,
    identifier: Annotated[str, typer.Argument(metavar="ID", help="Run id, or AMC's id of an execution.")],
    remote: Annotated[bool, typer.Option("--remote", help="Ask AMC.")] = False,
) -> None:
    """One execution, as amci knows it or as AMC shows it now."""
    with ctx.session() as session:
        doing.show_status(ctx, session, identifier, remote=remote)


@command(exec_app, "show", epilog="Example: amci exec show 17 --json")
def show(
    ctx: Context,
    identifier: Annotated[str, typer.Argument(metavar="ID", help="Run id, or AMC's id of an execution.")],
) -> None:
    """One execution with all that amci knows of it, also how AMC's answers came."""
    with ctx.session() as session:
        doing.show_status(ctx, session, identifier, remote=False)


@command(exec_app, "list", epilog="Example: amci exec list --tenant acme --status failed")
def list_executions(
    ctx: Context,
    tenant: Tenants = None,
    status: Annotated[str | None, typer.Option(help="AMC's status, such as RUNNING or FAILED.")] = None,
    workflow: Annotated[str | None, typer.Option(help="Only this workflow's.")] = None,
    limit: Limit = 50,
) -> None:
    """Executions, newest first, those of others included if they were reconciled."""
    with ctx.session() as session:
        found = session.executions.list(
            tenants=tenant or [], status=doing.status_named(status), workflow=workflow, limit=limit
        )
    ctx.out.rows([execution_row(row) for row in found], LISTED, empty="no executions")


@command(exec_app, "cancel", epilog="Example: amci exec cancel 17 --wait")
def cancel(ctx: Context, identifiers: Ids, wait: Wait = False) -> None:
    """Cancel executions, here and in AMC."""
    with ctx.session() as session:
        new = [run for identifier in identifiers for run in executions.cancelled(session, identifier)]
        ctx.out.note(f"{len(identifiers)} cancelled here, {len(new)} to be cancelled in AMC")
        doing.finish(ctx, session, [run.idempotency_key for run in new], wait=wait)


@command(exec_app, "summary", epilog="Example: amci exec summary --tenant acme")
def summary(
    ctx: Context,
    tenant: Tenants = None,
    since: Annotated[str, typer.Option(help="How far to look back.")] = "24h",
    include_details: Annotated[
        bool, typer.Option("--include-details", help="List the executions too.")
    ] = False,
) -> None:
    """How many executions stand how, in the words of the AWS solution."""
    with ctx.session() as session:
        began = session.clock.now() - duration(since)
        rows = [
            doing.summary_of(session, t.tenant, began, include_details)
            for t in chosen(session.project.tenants, tenant or [], is_all=not tenant)
        ]
    ctx.out.rows(rows, [name for name in (rows or [{}])[0] if name != "executions"], empty="no tenants")


@command(exec_app, "retry", epilog="Example: amci exec retry --failed-since 72h --dry-run")
def retry(
    ctx: Context,
    failed_since: Annotated[str, typer.Option("--failed-since", help="How far to look back.")] = "72h",
    tenant: Tenants = None,
    wait: Wait = False,
    dry_run: DryRun = False,
) -> None:
    """Run again what failed, but for what an equal request has brought since or is about to bring."""
    with ctx.session() as session:
        rows = fan_out.resubmittable(
            session.executions, session.runs, session.clock.now() - duration(failed_since)
        )
        rows = [row for row in rows if not tenant or row.tenant_id in tenant]
        if dry_run:
            ctx.out.rows([execution_row(row) for row in rows], LISTED, empty="nothing to run again")
            return
        again = session.runs.redrive([row.run_id for row in rows if row.run_id is not None])
        doing.finish(ctx, session, [run.idempotency_key for run in again], wait=wait)


@command(exec_app, "download", epilog="Example: amci exec download 17 --to reach.csv")
def download(
    ctx: Context,
    identifier: Annotated[str, typer.Argument(metavar="ID", help="Run id, or AMC's id of an execution.")],
    to: Annotated[Path | None, typer.Option("--to", help="Into this file, not into raw/.")] = None,
) -> None:
    """Fetch the result of an execution once more, while AMC has it; also of executions of others."""
    with ctx.session() as session:
        row = executions.record_of(session, identifier)
        tenant = tenant_named(session.project.tenants, row.tenant_id)
        if to is not None:
            found = results.fetch_into(session.client(tenant), row, to)
        else:
            sql_hash = sql_hash_of(row.sent_request, session.project.workflows.get(row.name))
            about = results.about(row, sql_hash, f"execution:{row.execution_id}")
            found = results.deliver(session.client(tenant), session.results_of(tenant), tenant, row, about)
            session.executions.deliver(row, key=found.key, rows=found.rows, size=found.bytes)
    ctx.out.record({"key": found.key, "rows": found.rows, "bytes": found.bytes})


@command(
    exec_app,
    "backfill",
    epilog="Example: amci exec backfill reach -t acme --from 2026-01-01 --to 2026-04-01 --step 1w",
)
def backfill(
    ctx: Context,
    workflow: WorkflowId,
    begin: Annotated[str, typer.Option("--from", help="Start of the first window.")],
    end: Annotated[str, typer.Option("--to", help="End of the last window, exclusive.")],
    *,
    step: Annotated[str, typer.Option(help="From one window to the next: 1d, 7d, 2w, 1mo.")] = "1d",
    length: Annotated[str | None, typer.Option(help="Of one window; a step by default.")] = None,
    keep_partial: Annotated[
        bool, typer.Option("--keep-partial", help="Also the cut window at the end.")
    ] = False,
    tenant: Tenants = None,
    every: All = False,
    zone: Zone = None,
    param: Params = None,
    schedule_name: Schedule = "adhoc",
    cap: Cap = 100,
    yes: Yes = False,
    again: Again = "",
    wait: Wait = False,
    dry_run: DryRun = False,
) -> None:
    """Run a workflow for one window after another; what was asked for before is not asked for again."""
    with ctx.session() as session:
        asked = doing.asked_for(session, workflow, None, None, zone, param)
        first, last = executions.resolved_dates(session, asked, begin, end)
        zone = asked.window.time_zone
        windows = list(sliding(first, last, length or step, step, zone, is_partial_kept=keep_partial))
        cut = None if keep_partial else cut_off(first, last, length or step, step, zone)
        doing.tell_left_out(ctx, windows, cut, session.clock.now())
        tenants = chosen(session.project.tenants, tenant or [], is_all=every)
        plan = fan_out.backfill(
            tenants,
            asked,
            windows,
            at=session.clock.now(),
            schedule=schedule_name,
            again=again,
            cap=doing.cap_of(cap, yes),
        )
        doing.do(ctx, session, plan.runs, wait=wait, dry_run=dry_run)


@command(
    exec_app,
    "for-each",
    epilog="Example: amci exec for-each 'SELECT id, day FROM plan' --workflow reach -p campaign=:id -t acme",
)
def for_each(
    ctx: Context,
    query: Annotated[
        str, typer.Argument(metavar="SQL", help="Query of the lake; one execution for each row.")
    ],
    workflow: Annotated[str, typer.Option("--workflow", help="Id of the workflow.")],
    *,
    tenant: Tenants = None,
    every: All = False,
    window: Annotated[str | None, typer.Option(help="As with run; :column takes the row's value.")] = None,
    zone: Zone = None,
    param: Annotated[
        list[str] | None, typer.Option("--param", "-p", help="name=value, or name=:column of the row.")
    ] = None,
    lag: Annotated[str | None, typer.Option(help="Attribution lag added to the end, such as 14d.")] = None,
    schedule_name: Schedule = "adhoc",
    cap: Cap = 100,
    yes: Yes = False,
    again: Again = "",
    wait: Wait = False,
    dry_run: DryRun = False,
) -> None:
    """Run a workflow once for each row of a query; what was asked for before is not asked for again."""
    with ctx.session() as session:
        asked = doing.asked_for(session, workflow, None, window, zone, param)
        tenants = chosen(session.project.tenants, tenant or [], is_all=every)
        plan = fan_out.for_each(
            tenants,
            asked,
            doing.rows_of(ctx, query),
            at=session.clock.now(),
            schedule=schedule_name,
            again=again,
            lag=duration(lag) if lag else None,
            cap=doing.cap_of(cap, yes),
        )
        for why in plan.left_out:
            ctx.out.note(why)
        doing.do(ctx, session, plan.runs, wait=wait, dry_run=dry_run)


@command(exec_app, "reconcile", epilog="Example: amci exec reconcile --tenant acme")
def reconcile(
    ctx: Context,
    tenant: Tenants = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Only queue it.")] = False,
) -> None:
    """Compare what amci knows of executions with what AMC shows."""
    with ctx.session() as session:
        tenants = chosen(session.project.tenants, tenant or [], is_all=not tenant)
        new = [reconcile_run(t, session.clock.now()) for t in tenants]
        session.runs.create(new)
        doing.show_counts(ctx, session, [run.idempotency_key for run in new], wait=not no_wait)
