"""What the commands of `amci audience` share: requests from options, audiences made and waited for."""

from __future__ import annotations

from typing import Any

import typer

from amci.app.audiences import AudienceOptions, audience_request, changed_request, hint_for
from amci.app.session import Session
from amci.cli.context import Context
from amci.cli.exec_requests import utc_window
from amci.cli.run_progress import INTERRUPTED, SOME_FAILED
from amci.kernel.errors import NotFound, UsageError
from amci.kernel.signals import stopping
from amci.kernel.text import shown
from amci.tenants.model import Tenant
from amci.workflows.amc.audience_model import Audience, AudienceStatus
from amci.workflows.amc.audience_wire import is_like, is_named
from amci.workflows.amc.client import AmcClient
from amci.workflows.audiences.audience_parsing import meant

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
    show_audience(ctx, session, tenant, client.create_audience(request), wait=wait)


def update_audience(
    ctx: Context, session: Session, tenant: Tenant, identifier: str, options: AudienceOptions, *, wait: bool
) -> None:
    """Have an audience that failed made again and show it; raises UsageError for any other."""
    client = session.client(tenant)
    audience = meant(identifier, client.audiences())
    if audience.status is not AudienceStatus.FAILED:
        raise UsageError(
            f"audience '{audience.name}' is {audience.status}, and AMC changes failed ones only",
            hint="make a new one with `amci audience create`",
        )
    request = changed_request(audience, options, session.clock.now())
    client.update_audience(audience.audience_id, request)
    show_audience(ctx, session, tenant, audience.audience_id, wait=wait)


def delete_audience(
    ctx: Context, session: Session, tenant: Tenant, identifier: str, *, is_sure: bool
) -> None:
    """Delete an audience that failed, after asking; raises UsageError for any other."""
    client = session.client(tenant)
    audience = meant(identifier, client.audiences())
    if audience.status is not AudienceStatus.FAILED:
        raise UsageError(
            f"audience '{audience.name}' is {audience.status}, and AMC deletes failed ones only",
            hint="one that is not refreshed ends by itself after 30 days",
        )
    if not is_sure:
        typer.confirm(f"Delete audience '{audience.name}' ({audience.audience_id})?", abort=True, err=True)
    client.delete_audience(audience.audience_id)
    ctx.out.record({"audience_id": audience.audience_id, "name": audience.name, "deleted": True})


def show_audience(ctx: Context, session: Session, tenant: Tenant, identifier: str, *, wait: bool) -> None:
    """Show an audience; with `wait`, once AMC has made it or given up. Exit code 3 if it then failed."""
    client = session.client(tenant)
    audience = client.audience(identifier) or meant(identifier, client.audiences())
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
