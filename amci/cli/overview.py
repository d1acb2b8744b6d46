"""`amci status` and `amci doctor`: how a workspace is, at a glance."""

from __future__ import annotations

import typer

from amci.app.status import overview
from amci.cli.context import Context, command
from amci.kernel.environment import environment

overview_app = typer.Typer(rich_markup_mode=None)


@command(overview_app, "status", epilog="Example: amci status --json")
def status(ctx: Context) -> None:
    """Counts of objects and runs, and whether a process is working."""
    report = overview(ctx.workspace)
    lines = [
        f"{name.replace('_', ' ')}: {'none' if value == '' else value}" for name, value in report.items()
    ]
    ctx.out.record(report, lines)


@command(overview_app, "doctor", epilog="Example: amci doctor")
def doctor(ctx: Context) -> None:
    """What is wrong, and what to do about it.

    Configuration, modes of files, runs, and whether state and catalog belong together are looked at fully; of the
    files of the lake their size and footer, of raw files their names. `amci lake check --deep` reads the lake's files.
    Exit code 1: there are errors. 3: runs failed, or files or tenants wait for somebody.
    """
    # Here, because it loads DuckDB, which `amci status` does without.
    from amci.app.doctor import examine, exit_code

    diagnoses = examine(ctx.workspace, ctx.clock, environment())
    ctx.out.rows([d.as_row() for d in diagnoses], ["severity", "what", "do"], empty="nothing is wrong")
    raise typer.Exit(exit_code(diagnoses))
