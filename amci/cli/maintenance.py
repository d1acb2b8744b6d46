"""`amci maintenance`: forgets what is old, as `keep:` in amci.yaml says."""

from __future__ import annotations

import typer

from amci.cli.context import Context, DryRun, command

maintenance_app = typer.Typer(rich_markup_mode=None)


@command(maintenance_app, "maintenance", epilog="Example: amci maintenance --dry-run")
def maintenance(ctx: Context, dry_run: DryRun = False) -> None:
    """Forget old runs, executions, fires, versions, quarantine and logs, as `keep:` in amci.yaml says.

    Without `keep:`, nothing is forgotten. What is still needed never is; keys of runs stay, so that nothing is done
    twice. It can be interrupted, and run again. Schedules do it with `run: maintenance`.
    """
    from amci.app.retention import told

    with ctx.engine() as engine, ctx.out.progress("maintaining") as tell:
        keep = engine.project.settings.keep
        report = engine.retention(tell).run(dry_run=dry_run)
    if not keep.model_fields_set:
        ctx.out.note("nothing is forgotten: `keep:` in amci.yaml says after which time, such as {runs: 180d}")
    ctx.out.record(report, told(report))
