"""`amci plan` and `amci apply`: parse, call, show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from amci.app.plan import Difference, apply as apply_differences, changed_datasets, differences
from amci.cli.context import Context, command
from amci.cli.run_progress import SOME_FAILED, exit_if_failed, finish_runs

plan_app = typer.Typer(rich_markup_mode=None)

Tenants = Annotated[list[str] | None, typer.Option("--tenant", help="Only this tenant; may be given again.")]
_COLUMNS = ["change", "what", "name", "tenant_id", "says"]
_IN_STEP = "config/, the workspace and AMC agree"


@command(plan_app, "plan", epilog="Example: amci plan --tenant northwind-outdoor")
def plan(ctx: Context, tenant: Tenants = None) -> None:
    """What differs between config/, the workspace and AMC."""
    with ctx.session() as session, ctx.out.progress("asking AMC"):
        found = differences(session, tenant or ())
        extended = changed_datasets(session.project)
    for note in extended if not tenant else ():
        ctx.out.note(note)
    ctx.out.rows(_rows(ctx, found), _COLUMNS, empty=_IN_STEP)


@command(plan_app, "apply", epilog="Example: amci apply --prune")
def apply(
    ctx: Context,
    tenant: Tenants = None,
    prune: Annotated[bool, typer.Option("--prune", help="Delete in AMC what no file declares.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before deleting.")] = False,
    no_check: Annotated[
        bool, typer.Option("--no-check", help="Send workflows, whatever `amci sql check` says of them.")
    ] = False,
) -> None:
    """Make the workspace and AMC what config/ says."""
    with ctx.session() as session:
        with ctx.out.progress("asking AMC"):
            found = differences(session, tenant or ())
        if prune:
            _confirm(ctx, [d for d in found if d.is_pruning], yes=yes)
        runs = apply_differences(session, found, prune=prune, check=not no_check, tell=ctx.out.note)
        unasked = [d for d in found if d.change == "unknown"]
        keys = [run.idempotency_key for run in runs]
        done = finish_runs(ctx, session, keys, wait=True, is_patient=False)
        rows = [
            {"run_id": r.run_id, "kind": r.kind, "tenant_id": r.tenant_id, "about": _about(r.payload)}
            | {"status": r.status.value, "reason": r.reason}
            for r in done
        ]
    for tenant_id, says in ((d.tenant_id, " ".join(d.says)) for d in unasked):
        ctx.out.note(f"{tenant_id}: AMC could not be asked: {says}")
    empty = "nothing was done" if unasked else _IN_STEP
    ctx.out.rows(rows, ["run_id", "kind", "about", "tenant_id", "status", "reason"], empty=empty)
    exit_if_failed(done)
    if unasked:
        raise typer.Exit(SOME_FAILED)


def _rows(ctx: Context, found: Sequence[Difference]) -> list[dict[str, Any]]:
    joint = list if ctx.out.as_json else "; ".join
    return [
        {
            "change": f"({d.change}, with --prune)"
            if d.is_pruning and not ctx.out.as_json
            else str(d.change),
            "what": d.what,
            "name": d.name,
            "tenant_id": d.tenant_id,
            "says": joint(d.says),
        }
        for d in found
    ]


def _about(payload: Any) -> str:
    return f"{payload['action']} {payload['workflow']}" if "workflow" in payload else ""


def _confirm(ctx: Context, deleted: Sequence[Difference], *, yes: bool) -> None:
    if deleted and not yes:
        names = ", ".join(f"{d.name} ({d.tenant_id})" for d in deleted)
        ctx.out.confirm(f"delete in AMC: {names}?")
