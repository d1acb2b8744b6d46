"""`amci audience …`: parse, call, show."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import typer

from amci.app.audiences import (
    AudienceOptions,
    audience_request,
    changed_request,
    hint_for,
    require_as_sent,
)
from amci.app.session import Session
from amci.cli.context import Context, Yes, command
from amci.cli.exec_requests import utc_window
from amci.cli.run_progress import INTERRUPTED, SOME_FAILED
from amci.kernel.errors import NotFound, UsageError
from amci.kernel.signals import stopping
from amci.kernel.text import shown
from amci.tenants.model import Tenant
from amci.workflows.amc.audience_model import Audience, AudienceRequest, AudienceStatus, Reach
from amci.workflows.amc.audience_wire import is_like, is_named
from amci.workflows.amc.client import AmcClient
from amci.workflows.audiences.audience_parsing import meant, reach_from
from amci.workflows.executions.request_parsing import chosen

audience_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Its name, as the DSP shows it after 'AMC'.")]
Which = Annotated[str, typer.Argument(metavar="AUDIENCE", help="Id of the audience, or its name.")]
File = Annotated[Path | None, typer.Argument(metavar="[FILE.sql]", help="The query, a SELECT of user_id.")]
Workflow = Annotated[
    str | None, typer.Option("--workflow", help="Id of a workflow in AMC, in place of a file.")
]
OneTenant = Annotated[str | None, typer.Option("--tenant", "-t", help="Tenant; the only one by default.")]
Window = Annotated[str, typer.Option("--window", help="Events of START..END; dates may be dynamic.")]
Zone = Annotated[str, typer.Option("--zone", help="Time zone of the window.")]
Refresh = Annotated[int | None, typer.Option("--refresh-days", help="Days between refreshes; AMC says 21.")]
Relative = Annotated[bool, typer.Option("--relative", help="Move the window on with each refresh.")]
Values = Annotated[
    list[str] | None, typer.Option("--value", help="name=value or name:TYPE=value; may be given again.")
]
AdvertiserId = Annotated[
    str | None, typer.Option("--advertiser", help="Who gets it; the only one by default.")
]
Description = Annotated[str, typer.Option("--description", help="For those who look at it later.")]
Country = Annotated[str, typer.Option("--country", help="Country code, such as US.")]
Again = Annotated[bool, typer.Option("--again", help="Even if AMC has the very same already.")]
Wait = Annotated[bool, typer.Option("--wait", help="Until AMC has made it, or given up.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAudience:
    """The options of a new audience of either kind."""

    tenant: OneTenant = None
    window: Window
    zone: Zone = "UTC"
    refresh_days: Refresh = None
    is_window_moving: Relative = False
    values: Values = None
    workflow: Workflow = None
    advertiser: AdvertiserId = None
    description: Description = ""
    country: Country = ""
    again: Again = False
    wait: Wait = False


@command(
    audience_app,
    "create",
    epilog="Example: amci audience create 'Seen in May' seen.sql --window 2026-05-01..2026-06-01 --wait",
)
def create(ctx: Context, name: Name, file: File = None, *, options: NewAudience) -> None:
    """Make an audience of the people a query finds; 2,000 at least."""
    _create(ctx, name, file, options, None)


@command(
    audience_app,
    "lookalike",
    epilog="Example: amci audience lookalike 'Like buyers' buyers.sql --window 'TODAY(-90)..TODAY(-2)' --reach similar",
)
def lookalike(
    ctx: Context,
    name: Name,
    file: File = None,
    *,
    options: NewAudience,
    reach: Annotated[
        str, typer.Option("--reach", help="most-similar, similar, balanced, broad or most-broad.")
    ] = "balanced",
) -> None:
    """Make an audience of people like those a query finds; 500 to 500,000 are its seed."""
    _create(ctx, name, file, options, reach_from(reach))


def _create(ctx: Context, name: str, file: Path | None, options: NewAudience, reach: Reach | None) -> None:
    own = {"tenant", "again", "wait"}
    asked = {field.name: getattr(options, field.name) for field in fields(options) if field.name not in own}
    wanted = AudienceOptions(name=name, file=file, reach=reach, **asked)
    with ctx.session() as session:
        tenant = _tenant(session, options.tenant)
        create_audience(ctx, session, tenant, wanted, again=options.again, wait=options.wait)


@command(audience_app, "list", epilog="Example: amci audience list --tenant acme")
def list_audiences(ctx: Context, tenant: OneTenant = None) -> None:
    """The audiences of a tenant's AMC instance, newest first."""
    with ctx.session() as session:
        rows = [audience_row(found) for found in session.client(_tenant(session, tenant)).audiences()]
    rows.sort(key=lambda row: str(row["created_at"]), reverse=True)
    ctx.out.rows(rows, LISTED, empty="no audiences")


@command(audience_app, "show", epilog="Example: amci audience show 'Seen in May' --wait")
def show(ctx: Context, audience: Which, tenant: OneTenant = None, wait: Wait = False) -> None:
    """One audience: how many people it has, or why it was not made."""
    with ctx.session() as session:
        show_audience(ctx, session, _tenant(session, tenant), audience, wait=wait)


@command(audience_app, "update", epilog="Example: amci audience update 'Seen in May' seen.sql --wait")
def update(
    ctx: Context,
    audience: Which,
    file: File = None,
    *,
    tenant: OneTenant = None,
    window: Annotated[str, typer.Option("--window", help="Another window; as before if left out.")] = "",
    zone: Zone = "UTC",
    relative: Relative = False,
    value: Values = None,
    workflow: Workflow = None,
    wait: Wait = False,
) -> None:
    """Correct an audience that failed: another query, window or values; AMC makes it again."""
    options = AudienceOptions(
        name="",
        file=file,
        workflow=workflow,
        window=window,
        zone=zone,
        values=value,
        is_window_moving=relative,
    )
    with ctx.session() as session:
        owner = _tenant(session, tenant)
        client = session.client(owner)
        failed = _failed(audience, client, "changes", "make a new one with `amci audience create`")
        request = changed_request(failed, options, session.clock.now())
        client.update_audience(failed.audience_id, request)
        show_audience(ctx, session, owner, failed.audience_id, wait=wait, sent=request)


@command(audience_app, "delete", epilog="Example: amci audience delete 'Seen in May'")
def delete(ctx: Context, audience: Which, tenant: OneTenant = None, yes: Yes = False) -> None:
    """Delete an audience that failed; others end by themselves."""
    with ctx.session() as session:
        client = session.client(_tenant(session, tenant))
        hint = "one that is not refreshed ends by itself after 30 days"
        failed = _failed(audience, client, "deletes", hint)
        if not yes:
            ctx.out.confirm(f"Delete audience '{failed.name}' ({failed.audience_id})?")
        client.delete_audience(failed.audience_id)
    ctx.out.record({"audience_id": failed.audience_id, "name": failed.name, "deleted": True})


def _failed(identifier: str, client: AmcClient, does: str, hint: str) -> Audience:
    """The audience that is meant; raises UsageError unless it failed, since AMC `does` so to no other."""
    audience = meant(identifier, client.audiences())
    if audience.status is not AudienceStatus.FAILED:
        raise UsageError(
            f"audience '{audience.name}' is {audience.status}, and AMC {does} failed ones only", hint=hint
        )
    return audience


def _tenant(session: Session, name: str | None) -> Tenant:
    return chosen(session.project.tenants, [name] if name else [])[0]


_GROWTH = 1.5  #: so much longer is each pause between two looks
_GONE = (AudienceStatus.FAILED, AudienceStatus.DEACTIVATED)


def create_audience(
    ctx: Context, session: Session, tenant: Tenant, options: AudienceOptions, *, again: bool, wait: bool
) -> None:
    """Have an audience made and show it; the one that AMC has already, unless it is wanted `again`."""
    client = session.client(tenant)
    request = audience_request(client, options, session.clock.now())
    namesakes = [found for found in client.audiences() if is_named(found, request.name)]
    equal = [found for found in namesakes if is_like(request, found) and found.status not in _GONE]
    if equal and not again:
        ctx.out.note("AMC has this audience already; --again makes a second one")
        show_audience(ctx, session, tenant, equal[0].audience_id, wait=wait)
        return
    if namesakes:
        ctx.out.note(f"AMC has {len(namesakes)} of this name already; they are told apart by their ids only")
    show_audience(ctx, session, tenant, client.create_audience(request), wait=wait, sent=request)


def show_audience(
    ctx: Context,
    session: Session,
    tenant: Tenant,
    identifier: str,
    *,
    wait: bool,
    sent: AudienceRequest | None = None,
) -> None:
    """Show an audience; with `wait`, once AMC has made it or given up. Exit code 3 if it then failed.

    Raises RemoteError if AMC shows another one than was `sent`.
    """
    client = session.client(tenant)
    audience = client.audience(identifier) or meant(identifier, client.audiences())
    if sent is not None:
        require_as_sent(sent, audience)
    if wait:
        audience = _completed(ctx, session, client, audience)
    ctx.out.record(audience_row(audience), words(audience, tenant.tenant))
    if wait and audience.status in _GONE:
        raise typer.Exit(SOME_FAILED)
    if not audience.status.is_final:
        ctx.out.note(f"`amci audience show {audience.audience_id} --wait` waits for it; AMC may take hours")


def _completed(ctx: Context, session: Session, client: AmcClient, audience: Audience) -> Audience:
    """The audience once AMC has made it or given up; exit code 130 if the waiting is interrupted."""
    pause, audience_id = session.amc.poll_first, audience.audience_id
    with stopping() as stop, ctx.out.progress(f"audience '{audience.name}'") as tell:
        while not audience.status.is_final:
            tell(audience.status.value.lower())
            if session.clock.wait(stop, pause):
                break
            pause = min(pause * _GROWTH, session.amc.poll_longest)
            seen = client.audience(audience_id)
            if seen is None:
                raise NotFound(
                    f"AMC does not know audience {audience_id} any more", hint="`amci audience list`"
                )
            audience = seen
    if not audience.status.is_final:
        ctx.out.note("AMC goes on making it")
        raise typer.Exit(INTERRUPTED)
    return audience


LISTED = ["audience_id", "name", "status", "people", "kind", "refresh", "window", "created_at"]
_STANDS = {
    AudienceStatus.PENDING: "waits in AMC's queue",
    AudienceStatus.RUNNING: "is being made",
    AudienceStatus.FAILED: "was not made",
    AudienceStatus.DEACTIVATED: "has ended: it has no members any more, and ads no longer reach it",
}


def audience_row(found: Audience) -> dict[str, Any]:
    """An audience with all that is known of it."""
    return {
        "audience_id": found.audience_id,
        "name": found.name,
        "status": found.status.value,
        "people": found.members,
        "kind": "lookalike" if found.is_lookalike else "rule-based",
        "reach": found.reach,
        "refresh": _refresh(found),
        "window": utc_window(found.window_start, found.window_end),
        "is_window_moving": found.is_window_moving,
        "created_at": found.created_at,
        "refreshed_at": found.refreshed_at,
        "reason": found.status_reason,
        "advertiser_id": found.advertiser_id,
        "advertiser_type": found.advertiser_type,
        "description": found.description,
        "parameters": dict(found.parameter_values),
        "workflow": found.workflow_id,
        "dsp_audience_id": found.dsp_audience_id,
        "dsp_canonical_id": found.dsp_canonical_id,
        "query": found.query,
    }


def words(found: Audience, tenant_id: str) -> list[str]:
    """What a person wants to know of it: how it stands, why, and what to do."""
    lines = [f"audience '{found.name}' {_stands(found)}", f"id: {found.audience_id}"]
    if found.status_reason:
        lines.append(f"AMC says: {found.status_reason}")
    if hint := hint_for(found.status_reason):
        lines.append(f"hint: {hint}")
    if found.status is AudienceStatus.FAILED:
        lines.append(f"fix it:    amci audience update {found.audience_id} FILE.sql --tenant {tenant_id}")
        lines.append(f"remove it: amci audience delete {found.audience_id} --tenant {tenant_id}")
    lines.append(
        f"events: {utc_window(found.window_start, found.window_end)}"
        + (", moving on with each refresh" if found.is_window_moving else "")
    )
    lines.append(f"refreshed: {_refresh(found)}" + _last(found))
    if found.dsp_canonical_id:
        lines.append(
            f"in the DSP: look for 'AMC {found.name.removeprefix('AMC ')}', id {found.dsp_canonical_id}"
        )
    return lines


def _stands(found: Audience) -> str:
    if found.status is AudienceStatus.SUCCEEDED:
        people = "is ready" if found.members is None else f"is ready: {found.members:,} people"
        return f"{people}, alike to the seed ({found.reach})" if found.is_lookalike else people
    return _STANDS[found.status]


def _refresh(found: Audience) -> str:
    if not found.refresh_days:
        return "" if found.refresh_days is None else "never"
    return "every day" if found.refresh_days == 1 else f"every {found.refresh_days} days"


def _last(found: Audience) -> str:
    return f", last at {shown(found.refreshed_at)}" if found.refreshed_at else ""
