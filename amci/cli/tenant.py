"""`amci tenant …`: parse, call, show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

import typer

from amci.app.session import Session
from amci.cli.context import Context, DryRun, Yes, command
from amci.cli.run_progress import exit_if_failed, finish_runs
from amci.kernel.config import read_text
from amci.kernel.errors import ConfigError, Problem, UsageError, collected
from amci.kernel.files import source_text
from amci.kernel.run import Run
from amci.kernel.runs import RunStore
from amci.tenants.documents import Given, tenants_from
from amci.tenants.model import Tenant
from amci.tenants.raw_folder import contents, delete, own_folder
from amci.tenants.registry import Changes, Registry
from amci.workflows.provisioning.provision import newest_run, queue_provisioning, status_of

tenant_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

TenantId = Annotated[str, typer.Argument(metavar="ID", help="The tenant's id.")]
NoCheck = Annotated[bool, typer.Option("--no-check", help="Do not look at AMC and folders now.")]


@command(tenant_app, "add", epilog="Example: amci tenant add customers.json")
def add(
    ctx: Context,
    files: Annotated[list[str], typer.Argument(metavar="FILE…|-", help="YAML or JSON, one tenant or many.")],
    no_check: NoCheck = False,
    dry_run: DryRun = False,
) -> None:
    """Add tenants, or change those that are there; takes the AWS solution's customer_details too."""
    found = tenants_from_files(files)
    for note in found.notes:
        ctx.out.note(note)
    registry = _registry(ctx)
    changes = registry.plan(found.tenants).changes if dry_run else registry.add(found.tenants)
    _show_changes(ctx, changes, is_checked=not (no_check or dry_run))


@command(tenant_app, "list", epilog="Example: amci tenant list")
def list_tenants(ctx: Context) -> None:
    """Tenants, and whether each is ready."""
    with ctx.session() as session:
        rows = [tenant_row(tenant, session.runs) for tenant in session.project.tenants.values()]
    ctx.out.rows(rows, ["tenant", "name", "status", "region", "instance_id", "tags"], empty="no tenants")


@command(tenant_app, "show", epilog="Example: amci tenant show blue-kettle")
def show(ctx: Context, tenant_id: TenantId) -> None:
    """One tenant: its definition, and what its newest check found."""
    with ctx.session() as session:
        found = details(_registry(ctx).get(tenant_id), session.runs)
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
    with ctx.session() as session:
        key = queue_provisioning(session.runs, _registry(ctx).get(tenant_id), again=True)
        _provision(ctx, session, [key])


@command(tenant_app, "update", epilog="Example: amci tenant update blue-kettle slots=5 'tags=[household]'")
def update(
    ctx: Context,
    tenant_id: TenantId,
    pairs: Annotated[list[str], typer.Argument(metavar="KEY=VALUE…", help="Fields to change.")],
    no_check: NoCheck = False,
) -> None:
    """Change fields of a tenant."""
    changes = _registry(ctx).update(tenant_id, parse_assignments(pairs))
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
        with ctx.session() as session:
            gone |= _purge(ctx, session, tenant, is_sure=yes)
    elif not yes:
        ctx.out.confirm(f"Forget tenant {tenant_id}? Its files and rows stay.")
    removal = registry.remove(tenant_id)
    file = ctx.workspace.relative(removal.file)
    gone |= {"rewritten": file} if removal.is_file_kept else {"removed": file}
    _note_not_carried_over(ctx, removal.not_carried_over)
    if removal.not_carried_over:
        gone["not_carried_over"] = {name: list(keys) for name, keys in removal.not_carried_over.items()}
    ctx.out.record(gone)


def _registry(ctx: Context) -> Registry:
    return Registry(ctx.workspace.config)


def _show_changes(ctx: Context, changes: Changes, *, is_checked: bool) -> None:
    """Say what became of each tenant, and provision those that are new or changed."""
    for note in changes.notes:
        ctx.out.note(note)
    _note_not_carried_over(ctx, changes.not_carried_over)
    rows = change_rows(changes)
    if not is_checked:
        ctx.out.rows(rows, ["tenant", "change"])
        return
    with ctx.session() as session:
        keys = []
        for row in rows:
            ctx.out.note(f"{row['tenant']}: {row['change']}")
            tenant = session.project.tenants[row["tenant"]]
            keys.append(queue_provisioning(session.runs, tenant, again=row["change"] != "unchanged"))
        _provision(ctx, session, keys, changes.not_carried_over)


def _note_not_carried_over(ctx: Context, unused: Mapping[str, Sequence[str]]) -> None:
    for name, keys in unused.items():
        ctx.out.note(f"{name}: its file is now in amci's own form; not carried over: {', '.join(keys)}")


def _provision(
    ctx: Context, session: Session, keys: list[str], unused: Mapping[str, Sequence[str]] | None = None
) -> None:
    """Do these provision runs and show their steps; exit code 3 if one failed.

    `unused` are keys that were not carried over, by tenant; its rows say so in JSON.
    """
    done = finish_runs(ctx, session, keys, wait=True, is_patient=False)
    rows = step_rows(done)
    for row in rows:
        if dropped := (unused or {}).get(row["tenant"]):
            row["not_carried_over"] = list(dropped)
    ctx.out.rows(rows, STEP_COLUMNS)
    exit_if_failed(done)


def _purge(ctx: Context, session: Session, tenant: Tenant, *, is_sure: bool) -> dict[str, Any]:
    """Say what would go, ask, and delete it: rows in the lake first, so that a second try finds the rest."""
    project = session.project
    folder = own_folder(tenant, project.tenants.values(), session.workspace, project.settings.roots[0].path)
    found = contents(folder)
    gone = {"files": found.files, "bytes": found.size, **session.purge_tenant(tenant.tenant, dry_run=True)}
    said = ", ".join(f"{value} {name.replace('_', ' ')}" for name, value in gone.items())
    ctx.out.note(f"to be deleted: {said}; raw folder: {folder or 'outside the workspace, it stays'}")
    if not is_sure:
        ctx.out.confirm(f"Delete all data of tenant {tenant.tenant}?")
    session.purge_tenant(tenant.tenant, dry_run=False)
    if folder:
        delete(folder)
    return gone


STEP_COLUMNS = ("tenant", "step", "ok", "says", "do")


def tenant_row(tenant: Tenant, runs: RunStore) -> dict[str, Any]:
    """A tenant at a glance."""
    return {
        "tenant": tenant.tenant,
        "name": tenant.name,
        "status": status_of(runs, tenant.tenant),
        "region": tenant.region if tenant.instance_id else "",
        "instance_id": tenant.instance_id,
        "auth_id": tenant.auth_id if tenant.instance_id else "",
        "tags": list(tenant.tags),
    }


def details(tenant: Tenant, runs: RunStore) -> dict[str, Any]:
    """All there is to know about a tenant, with the steps of its newest provision run."""
    run = newest_run(runs, tenant.tenant)
    known = tenant.model_dump(mode="json") | {
        "prefix": tenant.table_prefix(""),
        "customer_hash": tenant.hash_value,
        "status": status_of(runs, tenant.tenant),
    }
    return known | {"reason": run.reason if run else None, "steps": step_rows([run] if run else [])}


def step_rows(runs: Iterable[Run]) -> list[dict[str, Any]]:
    """The steps of provision runs; a run without any says why."""
    rows = []
    for run in runs:
        steps = (run.result or {}).get("steps") or [{"step": "all", "ok": None, "says": _waits(run)}]
        rows += [{"tenant": run.tenant_id, "run_id": run.run_id, "do": "", **step} for step in steps]
    return rows


def change_rows(changes: Changes) -> list[dict[str, Any]]:
    """What became of each tenant."""
    by_word: Mapping[str, tuple[str, ...]] = {
        "created": changes.created,
        "updated": changes.updated,
        "unchanged": changes.unchanged,
    }
    rows: list[dict[str, Any]] = [
        {"tenant": name, "change": word} for word, names in by_word.items() for name in names
    ]
    for row in rows:
        if dropped := changes.not_carried_over.get(row["tenant"]):
            row["not_carried_over"] = list(dropped)
    return rows


def _waits(run: Run) -> str:
    return f"{run.status.lower()}: {run.reason}" if run.reason else run.status.lower()


def tenants_from_files(names: Iterable[str]) -> Given:
    """The tenants of these files, YAML or JSON; `-` is standard input.

    Raises ConfigError with the problems of all files.
    """
    tenants: list[Tenant] = []
    notes: list[str] = []
    unused: dict[str, tuple[str, ...]] = {}
    problems: list[Problem] = []
    for name in names:
        shown = "standard input" if name == "-" else name
        with collected(problems):
            found = tenants_from(read_text(source_text(name), shown), shown)
            tenants += found.tenants
            notes += found.notes
            unused |= found.unused
    if problems:
        raise ConfigError(problems, hint="fix the fields named above; nothing was added")
    return Given(tuple(tenants), tuple(notes), unused)


def parse_assignments(pairs: Iterable[str]) -> Mapping[str, Any]:
    """`key=value` as a mapping: text fields as written, others read as YAML; raises UsageError."""
    found: dict[str, Any] = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not (key and sign):
            raise UsageError(f"'{pair}' is not key=value", hint="such as slots=5 or 'tags=[household, pets]'")
        field = Tenant.model_fields.get(key)
        is_text = field is not None and isinstance(field.default, str)
        found[key] = value if is_text else read_text(value, key)
    return found
