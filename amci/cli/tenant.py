"""`amci tenant …`: parse, call, show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from amci.cli.context import Context, command

if TYPE_CHECKING:
    from amci.app.session import Session
    from amci.tenants.model import Tenant
    from amci.tenants.registry import Changes, Registry

tenant_app = typer.Typer(
    help="Tenants: advertisers whose results arrive here.", no_args_is_help=True, rich_markup_mode=None
)

TenantId = Annotated[str, typer.Argument(metavar="ID", help="The tenant's id.")]
NoCheck = Annotated[bool, typer.Option("--no-check", help="Do not look at AMC and folders now.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@command(tenant_app, "add", epilog="Example: amci tenant add customers.json")
def add(
    ctx: Context,
    files: Annotated[list[str], typer.Argument(metavar="FILE…|-", help="YAML or JSON, one tenant or many.")],
    no_check: NoCheck = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
) -> None:
    """Add tenants, or change those that are there; takes the AWS solution's customer_details too."""
    from amci.cli.tenant_documents import given

    found = given(files, typer.get_text_stream("stdin").read)
    for note in found.notes:
        ctx.out.note(note)
    registry = _registry(ctx)
    changes = registry.plan(found.tenants).changes if dry_run else registry.add(found.tenants)
    _show_changes(ctx, changes, is_checked=not (no_check or dry_run))


@command(tenant_app, "list", epilog="Example: amci tenant list")
def list_tenants(ctx: Context) -> None:
    """Tenants, and whether each is ready."""
    from amci.cli.tenant_rows import tenant_row

    with ctx.opened() as opened:
        rows = [tenant_row(tenant, opened.runs) for tenant in opened.project.tenants.values()]
    ctx.out.rows(rows, ["tenant", "name", "status", "region", "instance_id", "tags"], empty="no tenants")


@command(tenant_app, "show", epilog="Example: amci tenant show blue-kettle")
def show(ctx: Context, tenant_id: TenantId) -> None:
    """One tenant: its definition, and what its newest check found."""
    from amci.cli.tenant_rows import STEP_COLUMNS, details

    with ctx.opened() as opened:
        found = details(_registry(ctx).get(tenant_id), opened.runs)
    if ctx.out.as_json:
        ctx.out.record(found)
        return
    steps = found.pop("steps")
    ctx.out.record({name: value for name, value in found.items() if value not in (None, "", [], {})})
    ctx.out.text("")
    ctx.out.rows(steps, STEP_COLUMNS[1:], empty=f"not checked yet: `amci tenant check {tenant_id}`")


@command(tenant_app, "check", epilog="Example: amci tenant check blue-kettle")
def check(ctx: Context, tenant_id: TenantId) -> None:
    """Look whether everything a tenant needs is there, and say what to do."""
    from amci.workflows.provisioning.provision import put_in_line

    with ctx.opened() as opened:
        key = put_in_line(opened.runs, _registry(ctx).get(tenant_id), anew=True)
        _provision(ctx, opened, [key])


@command(tenant_app, "update", epilog="Example: amci tenant update blue-kettle slots=5 'tags=[household]'")
def update(
    ctx: Context,
    tenant_id: TenantId,
    pairs: Annotated[list[str], typer.Argument(metavar="KEY=VALUE…", help="Fields to change.")],
    no_check: NoCheck = False,
) -> None:
    """Change fields of a tenant."""
    from amci.cli.tenant_documents import assignments

    changes = _registry(ctx).update(tenant_id, assignments(pairs))
    _show_changes(ctx, changes, is_checked=not no_check)


@command(tenant_app, "remove", epilog="Example: amci tenant remove blue-kettle --purge")
def remove(
    ctx: Context,
    tenant_id: TenantId,
    purge: Annotated[bool, typer.Option("--purge", help="Delete its raw files and rows as well.")] = False,
    yes: Yes = False,
) -> None:
    """Forget a tenant; its raw files and rows stay unless --purge is given, its credentials always."""
    registry = _registry(ctx)
    tenant = registry.get(tenant_id)
    gone: dict[str, Any] = {"tenant": tenant_id}
    if purge:
        with ctx.opened() as opened:
            gone |= _purge(ctx, opened, tenant, is_sure=yes)
    elif not yes:
        typer.confirm(f"Forget tenant {tenant_id}? Its files and rows stay.", abort=True, err=True)
    gone["removed"] = ctx.workspace.relative(registry.remove(tenant_id))
    ctx.out.record(gone)


def _registry(ctx: Context) -> Registry:
    from amci.tenants.registry import Registry

    return Registry(ctx.workspace.config)


def _show_changes(ctx: Context, changes: Changes, *, is_checked: bool) -> None:
    """Say what became of each tenant, and provision those that are new or changed."""
    from amci.cli.tenant_rows import change_rows
    from amci.workflows.provisioning.provision import put_in_line

    for note in changes.notes:
        ctx.out.note(note)
    rows = change_rows(changes)
    if not is_checked:
        ctx.out.rows(rows, ["tenant", "change"])
        return
    with ctx.opened() as opened:
        keys = []
        for row in rows:
            ctx.out.note(f"{row['tenant']}: {row['change']}")
            tenant = opened.project.tenants[row["tenant"]]
            keys.append(put_in_line(opened.runs, tenant, anew=row["change"] != "unchanged"))
        _provision(ctx, opened, keys)


def _provision(ctx: Context, opened: Session, keys: list[str]) -> None:
    """Do these provision runs and show their steps; exit code 3 where one failed."""
    from amci.cli.run_progress import do_runs, leave
    from amci.cli.tenant_rows import STEP_COLUMNS, step_rows

    done = do_runs(ctx, opened, keys, wait=True, is_patient=False)
    ctx.out.rows(step_rows(done), STEP_COLUMNS)
    leave(done)


def _purge(ctx: Context, opened: Session, tenant: Tenant, *, is_sure: bool) -> dict[str, Any]:
    """Say what would go, ask, and delete it: rows in the lake first, so that a second try finds the rest."""
    from amci.tenants.raw_folder import contents, delete, own_folder

    project = opened.project
    folder = own_folder(tenant, project.tenants.values(), opened.workspace, project.settings.roots[0].path)
    found = contents(folder)
    gone = {"files": found.files, "bytes": found.size, **opened.purge_tenant(tenant.tenant, dry_run=True)}
    said = ", ".join(f"{value} {name.replace('_', ' ')}" for name, value in gone.items())
    ctx.out.note(f"to be deleted: {said}; raw folder: {folder or 'outside the workspace, it stays'}")
    if not is_sure:
        typer.confirm(f"Delete all data of tenant {tenant.tenant}?", abort=True, err=True)
    opened.purge_tenant(tenant.tenant, dry_run=False)
    if folder:
        delete(folder)
    return gone
