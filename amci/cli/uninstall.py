"""`amci uninstall`: takes down what amci has put up, and with --data what it keeps here."""

from __future__ import annotations

from typing import Annotated

import typer

from amci.cli.context import Context, DryRun, Yes, command
from amci.cli.run_progress import exit_if_failed, finish_runs

uninstall_app = typer.Typer(rich_markup_mode=None)


@command(
    uninstall_app, "uninstall", epilog="Example: amci uninstall --dry-run, or: amci uninstall --data --yes"
)
def uninstall(
    ctx: Context,
    data: Annotated[
        bool,
        typer.Option("--data", help="Delete the lake, the state, results, logs and the sandbox as well."),
    ] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Delete amci's workflows in AMC and its credentials here; with --data also what it keeps in this workspace.

    What amci did not make stays: workflows that AMC had before or that somebody has changed there, config/, fixtures/,
    files that others put into raw/, directories outside the workspace. It can be interrupted, and run again.
    """
    from amci.app import uninstall as doing

    # Nobody writes here meanwhile, and what is not there need not be deleted.
    with ctx.workspace.writing(), ctx.session() as session:
        plan = doing.planned(session, has_data=data)
        report = plan.report(ctx.workspace)
    lines = doing.told(plan, ctx.workspace, has_data=data)
    if dry_run:
        ctx.out.record(report | {"dry_run": True}, ["to be taken down:", *lines])
        return
    for line in lines:
        ctx.out.note(line)
    if not yes:
        ctx.out.confirm("Take this down?" if not data else "Take this down, and delete the data?")
    with ctx.session() as session:
        runs = doing.deletions(session, plan)
        session.runs.create(runs)
        # Before the credentials go, which are needed for it.
        exit_if_failed(finish_runs(ctx, session, [run.idempotency_key for run in runs], wait=True))
        doing.forget_credentials(session)
    if data:
        with ctx.workspace.writing():
            doing.delete_data(ctx.workspace, plan)
    ctx.out.record(report | {"dry_run": False}, ["done; a service that starts amci is yours to remove"])
