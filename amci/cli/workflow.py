"""`amci workflow …`: parse, call, show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import typer
import yaml

from amci.app.session import Session
from amci.app.workflow_check import refuse_bad
from amci.cli.context import Context, command
from amci.cli.run_progress import exit_if_failed, finish_runs
from amci.kernel.clock import timestamp
from amci.kernel.errors import NotFound, UsageError
from amci.kernel.run import NewRun, Run
from amci.tenants.model import tenant_named
from amci.workflows.definitions import difference, workflow_pull
from amci.workflows.definitions.definition import amc_definition
from amci.workflows.definitions.deployed_workflows import current_runs, overview
from amci.workflows.definitions.library import workflow_named
from amci.workflows.definitions.run_factory import Action, workflow_run

workflow_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

WorkflowId = Annotated[str, typer.Argument(help="Id of the workflow.")]
OneTenant = Annotated[str, typer.Option("--tenant", help="Tenant.")]
Tenants = Annotated[list[str] | None, typer.Option("--tenant", help="Tenant; may be given again.")]
Every = Annotated[bool, typer.Option("--all", help="Every tenant the workflow is for.")]
Wait = Annotated[bool, typer.Option("--wait", help="Do it now, and say what AMC answered.")]
NoCheck = Annotated[bool, typer.Option("--no-check", help="Send it, whatever `amci sql check` says of it.")]


@command(workflow_app, "list", epilog="Example: amci workflow list")
def list_workflows(ctx: Context) -> None:
    """Workflows, whom they are for, and whose AMC has them."""
    with ctx.session() as session:
        stands = current_runs(session.runs.list(kind="workflow", limit=-1))
        rows = overview(session.project.workflows, session.project.tenants, stands)
    ctx.out.rows(
        rows, ["workflow_id", "version", "for", "in_amc", "outdated", "warnings"], empty="no workflows"
    )


@command(workflow_app, "show", epilog="Example: amci workflow show reach --tenant acme --remote")
def show(
    ctx: Context,
    workflow_id: WorkflowId,
    tenant: Annotated[str | None, typer.Option("--tenant", help="As this tenant's AMC gets it.")] = None,
    remote: Annotated[bool, typer.Option("--remote", help="As the tenant's AMC has it now.")] = False,
) -> None:
    """A workflow: here, as AMC gets it, or as AMC has it."""
    if remote and not tenant:
        raise UsageError("whose AMC?", hint="name it with --tenant")
    with ctx.session() as session:
        if tenant and remote:
            found = _remote(session, workflow_id, tenant)
        else:
            workflow = workflow_named(session.project.workflows, workflow_id)
            meant = tenant_named(session.project.tenants, tenant) if tenant else None
            found = amc_definition(workflow, meant) if meant else workflow.model_dump(mode="json")
    ctx.out.record(found, _readable(found))


@command(workflow_app, "diff", epilog="Example: amci workflow diff reach --tenant acme")
def diff(ctx: Context, workflow_id: WorkflowId, tenant: OneTenant) -> None:
    """How a workflow here differs from the one in a tenant's AMC."""
    with ctx.session() as session:
        workflow = workflow_named(session.project.workflows, workflow_id)
        ours = amc_definition(workflow, tenant_named(session.project.tenants, tenant))
        lines = difference.diff(ours, _remote(session, workflow_id, tenant))
    report = {"workflow_id": workflow_id, "tenant": tenant, "is_same": not lines, "differences": lines}
    ctx.out.record(report, lines or ["no difference"])


@dataclass(frozen=True, slots=True, kw_only=True)
class SendOptions:
    """The options of `create` and `update`."""

    tenant: Tenants = None
    every: Every = False
    no_check: NoCheck = False
    wait: Wait = False


@command(workflow_app, "create", epilog="Example: amci workflow create reach --tenant acme --wait")
def create(ctx: Context, workflow_id: WorkflowId, options: SendOptions) -> None:
    """Create a workflow in AMC, or update it if AMC has it."""
    _send(ctx, Action.CREATE, workflow_id, options)


@command(workflow_app, "update", epilog="Example: amci workflow update reach --all --wait")
def update(ctx: Context, workflow_id: WorkflowId, options: SendOptions) -> None:
    """Update a workflow that AMC has."""
    _send(ctx, Action.UPDATE, workflow_id, options)


@command(workflow_app, "delete", epilog="Example: amci workflow delete reach --tenant acme --yes --wait")
def delete(
    ctx: Context,
    workflow_id: WorkflowId,
    tenant: Annotated[list[str], typer.Option("--tenant", help="Tenant; may be given again.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    wait: Wait = False,
) -> None:
    """Delete a workflow in AMC; the file in config/workflows/ stays."""
    with ctx.session() as session:
        tenants = [tenant_named(session.project.tenants, name) for name in tenant]
        if not yes:
            ctx.out.confirm(f"delete {workflow_id} in the AMC of {', '.join(tenant)}?")
        again = timestamp(session.clock.now())
        runs = [workflow_run(Action.DELETE, t, workflow_id, again=again) for t in tenants]
        _do(ctx, session, runs, wait=wait)


@command(workflow_app, "pull", epilog="Example: amci workflow pull --tenant acme")
def pull(
    ctx: Context,
    tenant: OneTenant,
    workflow_ids: Annotated[
        list[str] | None, typer.Argument(help="Ids; all that AMC has by default.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
) -> None:
    """Write workflows of a tenant's AMC into config/workflows/."""
    with ctx.session() as session:
        client = session.connections.client(tenant_named(session.project.tenants, tenant))
        ids = workflow_ids or [str(found["workflowId"]) for found in client.workflows()]
        folder, known, rows = session.workspace.config / "workflows", session.project.workflows, []
        for name in ids:
            remote = _remote(session, name, tenant)
            done, why = workflow_pull.pull(folder, remote, [tenant], known.get(name), is_forced=force)
            rows.append({"workflow_id": name, "done": done, "why": why})
    ctx.out.rows(rows, ["workflow_id", "done", "why"], empty="AMC has no workflows")


def _send(ctx: Context, action: Action, workflow_id: str, options: SendOptions) -> None:
    """Create or update a workflow for the tenants named, or all it is for; its SQL is checked before."""
    with ctx.session() as session:
        workflow = workflow_named(session.project.workflows, workflow_id)
        everybody = session.project.tenants
        tenants = [tenant_named(everybody, name) for name in options.tenant or []]
        if options.every:
            tenants = [t for t in everybody.values() if t.instance_id and workflow.is_for(t)]
        if not tenants:
            raise UsageError("for which tenant?", hint="name it with --tenant, or say --all")
        if not options.no_check:
            refuse_bad(session, [workflow], tenants, ctx.out.note)
        again = timestamp(session.clock.now())
        runs = [workflow_run(action, tenant, workflow, again=again) for tenant in tenants]
        _do(ctx, session, runs, wait=options.wait)


def _do(ctx: Context, session: Session, runs: list[NewRun], *, wait: bool) -> None:
    """Queue the runs, do them if asked, and show how they stand."""
    session.runs.create(runs)
    done = finish_runs(ctx, session, [run.idempotency_key for run in runs], wait=wait)
    ctx.out.rows([_row(run) for run in done], ["run_id", "tenant", "workflow", "action", "status", "says"])
    if not wait:
        ctx.out.note("`amci up` or `amci drain` does it")
    exit_if_failed(done)


def _row(run: Run) -> dict[str, Any]:
    said = (run.result or {}).get("responseStatus") or run.reason
    about = {name: run.payload[name] for name in ("tenant", "workflow", "action")}
    return {"run_id": run.run_id, **about, "status": run.status.value, "says": said, "result": run.result}


def _remote(session: Session, workflow_id: str, tenant_id: str) -> dict[str, Any]:
    tenant = tenant_named(session.project.tenants, tenant_id)
    found = session.connections.client(tenant).workflow(workflow_id)
    if found is None:
        hint = f"`amci workflow create {workflow_id} --tenant {tenant_id}` creates it"
        raise NotFound(f"the AMC of {tenant_id} has no workflow '{workflow_id}'", hint=hint)
    return found


def _readable(found: Mapping[str, Any]) -> list[str]:
    """The fields that say something as YAML, and the SQL as it is written."""
    texts = [found[name] for name in ("sql", "sqlQuery") if found.get(name)]
    rest = {name: value for name, value in found.items() if value and name not in ("sql", "sqlQuery")}
    fields = yaml.safe_dump(rest, sort_keys=False, allow_unicode=True).rstrip().splitlines()
    return [*fields, *(line for text in texts for line in ("", *text.strip().splitlines()))]
