"""`amci runs …`: parse, call, print."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from amci.cli.context import Context, Limit, command
from amci.kernel.errors import UsageError
from amci.kernel.run import Run, RunStatus
from amci.kernel.runs import RunStore

runs_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

RunIds = Annotated[list[int], typer.Argument(help="Run ids.")]


@command(runs_app, "list", epilog="Example: amci runs list --status failed")
def runs_list(
    ctx: Context,
    status: Annotated[
        str | None, typer.Option(help="pending, running, succeeded, skipped, failed or cancelled.")
    ] = None,
    kind: Annotated[str | None, typer.Option(help="Such as light, heavy, execute or notify.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's.")] = None,
    limit: Limit = 50,
    before: Annotated[
        int | None, typer.Option(min=1, max=2**63 - 1, help="Only runs with a smaller id; for paging.")
    ] = None,
) -> None:
    """Runs, newest first."""
    with ctx.state() as state:
        found = RunStore(state, ctx.clock).list(
            status=_status(status), kind=kind, tenant=tenant, limit=limit, before=before
        )
    ctx.out.rows(
        [_run_row(run) for run in found],
        ["run_id", "kind", "status", "tenant_id", "object", "changed_at", "reason"],
        empty="no runs",
    )


@command(runs_app, "show", epilog="Example: amci runs show 17")
def runs_show(ctx: Context, run_id: Annotated[int, typer.Argument(help="Run id.")]) -> None:
    """One run: what it is about, its history, and the runs of the same story."""
    with ctx.state() as state:
        store = RunStore(state, ctx.clock)
        run, events, story = store.get(run_id), store.events(run_id), store.story(run_id)
    details = _run_row(run) | {
        "attempts": run.attempts,
        "claims": run.claims,
        "payload": run.payload,
        "result": run.result,
    }
    history = [{"at": e.at, "event": e.event, "reason": e.reason, "worker": e.worker} for e in events]
    if ctx.out.as_json:
        ctx.out.record(details | {"history": history, "story": [_run_row(r) for r in story]})
        return
    ctx.out.record({k: v for k, v in details.items() if v not in (None, "")})
    ctx.out.text("")
    ctx.out.rows(history, ["at", "event", "reason", "worker"])
    ctx.out.text("")
    ctx.out.rows([_run_row(r) for r in story], ["run_id", "kind", "status", "object", "reason"])


@command(runs_app, "cancel", epilog="Example: amci runs cancel 17")
def runs_cancel(ctx: Context, run_ids: RunIds) -> None:
    """Cancel runs that have not ended; what AMC has of them is cancelled by runs of their own."""
    # Here, because it loads the client of AMC, which the commands that only look do without.
    from amci.workflows.executions.cancel import cancel

    with ctx.session() as session, session.state.transaction():
        following = [run for run_id in run_ids for run in cancel(session.runs, session.executions, run_id)]
    ctx.out.record({"cancelled": len(run_ids), "to_be_cancelled_in_amc": len(following)})


def _status(name: str | None) -> RunStatus | None:
    if name is None:
        return None
    if name.upper() not in RunStatus.__members__:
        raise UsageError(f"no status '{name}'", hint=f"one of {', '.join(s.lower() for s in RunStatus)}")
    return RunStatus(name.upper())


def _run_row(run: Run) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "kind": run.kind,
        "status": run.status.value,
        "tenant_id": run.tenant_id,
        "object": run.idempotency_key.split(":", 1)[-1],
        "run_after": run.run_after,
        "created_at": run.created_at,
        "changed_at": run.changed_at,
        "correlation_id": run.correlation_id,
        "reason": run.reason,
    }
