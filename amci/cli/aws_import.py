"""`amci import`: parse, call, show."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from amci.app.aws_import.files import import_documents, read_documents
from amci.cli.context import Context, DryRun, command
from amci.kernel.environment import environment
from amci.kernel.errors import ConfigError
from amci.kernel.files import source_text
from amci.tenants.credentials import CredentialStore

import_app = typer.Typer(rich_markup_mode=None)


@command(import_app, "import", epilog="Example: amci import customers.json workflow.json schedule.json")
def import_(
    ctx: Context,
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE…|-", help="Documents of the AWS solution, JSON or YAML, one or a list."),
    ],
    force: Annotated[
        bool, typer.Option("--force", help="Replace workflows, schedules and datasets that are there.")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Take over customers, workflows, schedules, datasets and secrets of "AMC Insights on AWS"."""
    documents = read_documents(
        ("standard input" if file == "-" else file, source_text(file)) for file in files
    )
    for note in documents.notes:
        ctx.out.note(note)
    store = CredentialStore(ctx.workspace, environment(), ctx.clock)
    found = import_documents(ctx.workspace, documents, store, force=force, dry_run=dry_run)
    rows = [
        {**asdict(one), "what": one.what.value, "not_carried_over": list(one.not_carried_over)}
        for one in found
    ]
    ctx.out.rows(rows, ["what", "name", "done", "why"], empty="nothing to import")
    if dry_run:
        return
    try:
        ctx.project()
    except ConfigError as error:
        for problem in error.problems:
            ctx.out.note(f"still to be fixed: {problem}")
