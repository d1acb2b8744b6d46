"""Commands that copy a workspace, bring it back, and bring together what does not match."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from amci.app.backup import back_up, restore
from amci.app.recover import recover
from amci.cli.context import Context, command
from amci.cli.run_progress import report_work

backup_app = typer.Typer(rich_markup_mode=None)

Folder = Annotated[Path, typer.Argument(help="Directory of the backup.")]


@command(backup_app, "backup", epilog="Example: amci backup /mnt/backups/2026-11-28")
def backup_command(ctx: Context, folder: Folder) -> None:
    """Copy the workspace into a new directory, also while amci is at work."""
    with ctx.out.progress("copying") as tell:
        copied = back_up(ctx.workspace, folder, ctx.clock, tell)
    ctx.out.record(asdict(copied))
    if copied.missing:
        ctx.out.note(
            f"of {copied.missing:,} files that only older states of the lake need, nothing whole was left to copy;"
            " `amci lake expire` forgets those states"
        )
    ctx.out.note("the key of the credentials is not in it: keep it where you keep passwords")


@command(backup_app, "restore", epilog="Example: amci restore /mnt/backups/2026-11-28 insights")
def restore_command(
    ctx: Context, folder: Folder, directory: Annotated[Path, typer.Argument(help="New workspace to make.")]
) -> None:
    """Make a new workspace from a backup, checking each file."""
    with ctx.out.progress("copying") as tell:
        copied = restore(folder, directory, tell)
    ctx.out.record(asdict(copied))
    ctx.out.note("what was queued then is queued: see `amci runs list --status PENDING` before `amci up`")


@command(backup_app, "recover", epilog="Example: amci recover")
def recover_command(ctx: Context) -> None:
    """Bring state and catalog together after one was lost or restored alone, and load again what is missing."""
    with ctx.engine(is_checked=False) as engine:
        found = recover(engine)
        versions = [asdict(each) for each in found]
        if not ctx.out.as_json:
            ctx.out.rows(versions, ["key", "version", "rows", "fate"], empty="state and catalog agree")
        report_work(ctx, engine, **({"versions": versions} if ctx.out.as_json else {}))
    if any(each.fate == "lost" for each in found):
        raise typer.Exit(1)
