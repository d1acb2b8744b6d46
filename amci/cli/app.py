"""The command line: parse, call, show."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from amci.cli.audience import audience_app
from amci.cli.auth import auth_app
from amci.cli.context import Context, command
from amci.cli.exec import exec_app
from amci.cli.fixtures import fixtures_app
from amci.cli.lake import lake_app, query_command, sql_command
from amci.cli.plan import plan_commands
from amci.cli.sandbox import sandbox_app
from amci.cli.schedule import schedule_app
from amci.cli.sql import sql_app
from amci.cli.tenant import tenant_app
from amci.cli.workflow import workflow_app
from amci.kernel.version import __version__

if TYPE_CHECKING:
    from amci.kernel.run import Run

app = typer.Typer(
    name="amci",
    help="Amazon Marketing Cloud Insights on one machine: files in, DuckDB SQL out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
runs_app = typer.Typer(
    help="Work: what waits, what ran, what failed.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(lake_app, name="lake")
app.add_typer(runs_app, name="runs")
app.add_typer(tenant_app, name="tenant")
app.add_typer(workflow_app, name="workflow")
app.add_typer(exec_app, name="exec")
app.add_typer(audience_app, name="audience")
app.add_typer(schedule_app, name="schedule")
app.add_typer(auth_app, name="auth")
app.add_typer(fixtures_app, name="fixtures")
app.add_typer(sandbox_app, name="sandbox")
app.add_typer(sql_app, name="sql")

RunIds = Annotated[list[int], typer.Argument(help="Run ids.", show_default=False)]


@app.callback()
def _root(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and stop.", is_eager=True)
    ] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


@command(app, "init", epilog="Example: amci init insights")
def init(ctx: Context, directory: Annotated[Path, typer.Argument(help="Directory to make.")]) -> None:
    """Make a workspace with an example project."""
    from amci.app.init import create_workspace

    workspace = create_workspace(directory)
    ctx.out.record(
        {"home": str(workspace.home)},
        [
            f"workspace {workspace.home}",
            f"next: put files into {workspace.raw}, then `amci drain --home {directory}`",
        ],
    )


@command(app, "drain", epilog="Example: amci drain")
def drain(ctx: Context) -> None:
    """Process everything that is present, then stop."""
    from amci.cli.run_progress import report_drain

    report_drain(ctx)


@command(app, "up", epilog="Example: amci up")
def up(ctx: Context) -> None:
    """Watch the raw directories, run schedules and process what there is, until interrupted."""
    from amci.cli.run_progress import keep_up

    tally = keep_up(ctx)
    ctx.out.record({"succeeded": tally.succeeded, "skipped": tally.skipped, "failed": tally.failed})


@command(app, "demo", epilog="Example: amci demo /tmp/amci-demo")
def demo(
    ctx: Context,
    directory: Annotated[Path | None, typer.Argument(help="Where; a temporary directory by default.")] = None,
) -> None:
    """Make a workspace with sample files of three tenants, load them, and show what became of each."""
    from amci.cli.demo import show

    show(ctx.out, directory)


@command(app, "status", epilog="Example: amci status --json")
def status(ctx: Context) -> None:
    """What there is and what waits, at a glance."""
    from amci.app.status import overview

    report = overview(ctx.workspace)
    lines = [
        f"{name.replace('_', ' ')}: {'none' if value == '' else value}" for name, value in report.items()
    ]
    ctx.out.record(report, lines)


@command(app, "doctor", epilog="Example: amci doctor")
def doctor(ctx: Context) -> None:
    """What is wrong, and what to do about it."""
    from amci.app.doctor import examine
    from amci.kernel.clock import SystemClock
    from amci.kernel.config import environment

    found = examine(ctx.workspace, SystemClock(), environment())
    ctx.out.rows([f.as_row() for f in found], ["severity", "what", "do"], empty="nothing is wrong")
    if any(f.severity == "error" for f in found):
        raise typer.Exit(1)


@command(app, "redrive", epilog="Example: amci redrive 17 18, or: amci redrive --failed")
def redrive(
    ctx: Context,
    run_ids: Annotated[list[int] | None, typer.Argument(help="Run ids.", show_default=False)] = None,
    failed: Annotated[bool, typer.Option("--failed", help="All failed runs.")] = False,
) -> None:
    """Put failed or skipped runs back in line and do them."""
    from amci.cli.run_progress import report_work
    from amci.kernel.errors import UsageError

    if not run_ids and not failed:
        raise UsageError("which runs?", hint="name their ids, or say --failed")
    with ctx.engine() as engine:
        again = engine.redrive(run_ids or [], all_failed=failed)
        report_work(ctx, engine, redriven=len(again))


@command(runs_app, "list", epilog="Example: amci runs list --status failed")
def runs_list(
    ctx: Context,
    status: Annotated[
        str | None, typer.Option(help="pending, running, succeeded, skipped, failed or cancelled.")
    ] = None,
    kind: Annotated[str | None, typer.Option(help="Such as light, heavy, execute or notify.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many, newest first.")] = 50,
    before: Annotated[int | None, typer.Option(help="Only runs with a smaller id; for paging.")] = None,
) -> None:
    """Runs, newest first."""
    from amci.kernel.clock import SystemClock
    from amci.kernel.runs import RunStore

    with ctx.state() as state:
        found = RunStore(state, SystemClock()).list(
            status=_status(status), kind=kind, tenant=tenant, limit=limit, before=before
        )
    ctx.out.rows(
        [_run_row(run) for run in found],
        ["run_id", "kind", "status", "tenant_id", "object", "changed_at", "reason"],
        empty="no runs",
    )


@command(runs_app, "show", epilog="Example: amci runs show 17")
def runs_show(ctx: Context, run_id: Annotated[int, typer.Argument(help="Run id.")]) -> None:
    """One run: what it is about, its history, and the runs of the same story."""
    from amci.kernel.clock import SystemClock
    from amci.kernel.runs import RunStore

    with ctx.state() as state:
        store = RunStore(state, SystemClock())
        run, events, story = store.get(run_id), store.events(run_id), store.story(run_id)
    details = _run_row(run) | {
        "attempts": run.attempts,
        "claims": run.claims,
        "payload": run.payload,
        "result": run.result,
    }
    history = [{"at": e.at, "event": e.event, "reason": e.reason, "worker": e.worker} for e in events]
    if ctx.out.as_json:
        ctx.out.record(details | {"history": history, "story": [_run_row(r) for r in story]})
        return
    ctx.out.record({k: v for k, v in details.items() if v not in (None, "")})
    ctx.out.text("")
    ctx.out.rows(history, ["at", "event", "reason", "worker"])
    ctx.out.text("")
    ctx.out.rows([_run_row(r) for r in story], ["run_id", "kind", "status", "object", "reason"])


@command(runs_app, "cancel", epilog="Example: amci runs cancel 17")
def runs_cancel(ctx: Context, run_ids: RunIds) -> None:
    """Cancel runs that have not ended; what AMC has of them is cancelled by runs of their own."""
    from amci.workflows.executions.cancel import cancel

    with ctx.opened() as opened, opened.state.transaction():
        following = [run for run_id in run_ids for run in cancel(opened.runs, opened.executions, run_id)]
    ctx.out.record({"cancelled": len(run_ids), "to_be_cancelled_in_amc": len(following)})


def _status(name: str | None) -> Any:
    from amci.kernel.errors import UsageError
    from amci.kernel.run import RunStatus

    if name is None:
        return None
    if name.upper() not in RunStatus.__members__:
        raise UsageError(f"no status '{name}'", hint=f"one of {', '.join(s.lower() for s in RunStatus)}")
    return RunStatus(name.upper())


def _run_row(run: Run) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "kind": run.kind,
        "status": run.status.value,
        "tenant_id": run.tenant_id,
        "object": run.idempotency_key.split(":", 1)[-1],
        "run_after": run.run_after,
        "created_at": run.created_at,
        "changed_at": run.changed_at,
        "correlation_id": run.correlation_id,
        "reason": run.reason,
    }


plan_commands(app)
query_command(app)
sql_command(sql_app)
