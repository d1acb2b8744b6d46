"""`amci init`, `drain`, `up` and `redrive`: the commands that make a workspace and work in it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from amci.app.init import create_workspace
from amci.cli.context import Context, command
from amci.cli.run_progress import report_drain, report_work, watch_until_stopped
from amci.kernel.errors import UsageError

work_app = typer.Typer(rich_markup_mode=None)


@command(work_app, "init", epilog="Example: amci init insights")
def init(ctx: Context, directory: Annotated[Path, typer.Argument(help="Directory to make.")]) -> None:
    """Make a workspace with an example project."""
    workspace = create_workspace(directory)
    ctx.out.record(
        {"home": str(workspace.home)},
        [
            f"workspace {workspace.home}",
            f"next: put files into {workspace.raw}, then `amci drain --home {directory}`",
        ],
    )


@command(work_app, "drain", epilog="Example: amci drain")
def drain(
    ctx: Context,
    full: Annotated[
        bool,
        typer.Option(
            "--full", help="Compare each raw file, also in folders that show no change; else once a day."
        ),
    ] = False,
) -> None:
    """Process everything that is present, then stop."""
    report_drain(ctx, is_full=full)


@command(work_app, "up", epilog="Example: amci up")
def up(ctx: Context) -> None:
    """Watch the raw directories, run schedules and process what there is, until interrupted."""
    tally = watch_until_stopped(ctx)
    ctx.out.record({"succeeded": tally.succeeded, "skipped": tally.skipped, "failed": tally.failed})


@command(work_app, "redrive", epilog="Example: amci redrive 17 18, or: amci redrive --failed")
def redrive(
    ctx: Context,
    run_ids: Annotated[list[int] | None, typer.Argument(help="Run ids.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="All failed runs.")] = False,
) -> None:
    """Queue failed or skipped runs again and process them."""
    if not run_ids and not failed:
        raise UsageError("which runs?", hint="name their ids, or say --failed")
    with ctx.engine() as engine:
        again = engine.redrive(run_ids or [], all_failed=failed)
        report_work(ctx, engine, redriven=len(again))
