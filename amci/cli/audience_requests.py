"""What the commands of `amci audience` share: requests from options, audiences made and waited for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from amci.amcsql.findings import CompileError
from amci.app.session import Session
from amci.cli.context import Context
from amci.cli.run_progress import INTERRUPTED, SOME_FAILED
from amci.kernel.errors import NotFound, UsageError
from amci.kernel.signals import stopping
from amci.kernel.text import shown
from amci.sandbox.audiences.rules import check
from amci.sandbox.errors import NoAudience
from amci.tenants.model import Tenant
from amci.workflows.amc.audience_model import Audience, AudienceRequest, AudienceStatus, Reach
from amci.workflows.amc.audience_wire import is_like, is_named
from amci.workflows.amc.client import AmcClient
from amci.workflows.audiences import audience_parsing as asking
from amci.workflows.executions.request_parsing import chosen

_GROWS = 1.5  #: so much longer is each pause between two looks
_GONE = (AudienceStatus.FAILED, AudienceStatus.DEACTIVATED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the options of a command say."""

    name: str
    file: Path | None
    workflow: str | None
    window: str
    zone: str
    values: Sequence[str]
    advertiser: str | None = None
    description: str = ""
    country: str = ""
    refresh_days: int | None = None
    is_window_moving: bool = False
    reach: Reach | None = None


class Desk:
    """One tenant's audiences, for one command."""

    def __init__(self, ctx: Context, session: Session, tenant: str | None) -> None:
        """Raises NotFound and UsageError for a tenant that cannot be meant."""
        self._ctx = ctx
        self._session = session
        self._tenant: Tenant = chosen(session.project.tenants, [tenant] if tenant else [])[0]

    @property
    def client(self) -> AmcClient:
        """What asks AMC for the tenant."""
        return self._session.client(self._tenant)

    def create(self, asked: Asked, *, is_twin_wanted: bool, wait: bool) -> None:
        """Have an audience made and show it; the one that AMC has already, unless a twin is wanted."""
        request = self._request(asked)
        named = [found for found in self.client.audiences() if is_named(found, request.name)]
        alike = [found for found in named if is_like(request, found) and found.status not in _GONE]
        if alike and not is_twin_wanted:
            self._ctx.out.note("AMC has this audience already; --again makes a second one")
            self.show(alike[0].audience_id, wait=wait)
            return
        if named:
            self._ctx.out.note(
                f"AMC has {len(named)} of this name already; they are told apart by their ids only"
            )
        self.show(self.client.create_audience(request), wait=wait)

    def update(self, identifier: str, asked: Asked, *, wait: bool) -> None:
        """Have an audience that failed made anew and show it; raises UsageError for any other."""
        found = asking.meant(identifier, self.client.audiences())
        if found.status is not AudienceStatus.FAILED:
            raise UsageError(
                f"audience '{found.name}' is {found.status}, and AMC changes failed ones only",
                hint="make a new one with `amci audience create`",
            )
        self.client.update_audience(found.audience_id, self._mended(found, asked))
        self.show(found.audience_id, wait=wait)

    def delete(self, identifier: str, *, is_sure: bool) -> None:
        """Delete an audience that failed, after asking."""
        found = asking.meant(identifier, self.client.audiences())
        if found.status is not AudienceStatus.FAILED:
            raise UsageError(
                f"audience '{found.name}' is {found.status}, and AMC deletes failed ones only",
                hint="one that is not refreshed ends by itself after 30 days",
            )
        if not is_sure:
            typer.confirm(f"Delete audience '{found.name}' ({found.audience_id})?", abort=True, err=True)
        self.client.delete_audience(found.audience_id)
        self._ctx.out.record({"audience_id": found.audience_id, "name": found.name, "deleted": True})

    def show(self, identifier: str, *, wait: bool) -> None:
        """Show an audience; with `wait`, once AMC has made it or given up. Exit code 3 where it then failed."""
        found = self._followed(self._audience(identifier)) if wait else self._audience(identifier)
        self._ctx.out.record(audience_row(found), words(found, self._tenant.tenant))
        if wait and found.status in _GONE:
            raise typer.Exit(SOME_FAILED)
        if not found.status.is_final:
            self._ctx.out.note(
                f"`amci audience show {found.audience_id} --wait` waits for it; AMC may take hours"
            )

    def _audience(self, identifier: str) -> Audience:
        if found := self.client.audience(identifier):
            return found
        return asking.meant(identifier, self.client.audiences())

    def _followed(self, found: Audience) -> Audience:

        with stopping() as stop, self._ctx.out.progress(f"audience '{found.name}'") as tell:
            found = self._looked(found, stop, tell)
        if not found.status.is_final:
            self._ctx.out.note("AMC goes on making it")
            raise typer.Exit(INTERRUPTED)
        return found

    def _looked(self, found: Audience, stop: threading.Event, tell: Callable[[str], None]) -> Audience:
        """The audience when AMC has ended, or when somebody stops the waiting."""
        pause, audience_id = self._session.amc.poll_first, found.audience_id
        while not found.status.is_final:
            tell(found.status.value.lower())
            if self._session.clock.wait(stop, pause):
                break
            pause = min(pause * _GROWS, self._session.amc.poll_longest)
            seen = self.client.audience(audience_id)
            if seen is None:
                raise NotFound(
                    f"AMC does not know audience {audience_id} any more", hint="`amci audience list`"
                )
            found = seen
        return found

    def _request(self, asked: Asked) -> AudienceRequest:
        query = _query(asked)
        declared, values = asking.parameters(query, asked.values)
        start, end = asking.window(asked.window, asked.zone, self._session.clock.now())
        advertiser = asking.advertiser_for(asked.advertiser, self.client.advertisers())
        return AudienceRequest(
            name=asked.name,
            advertiser_id=advertiser.advertiser_id,
            advertiser_type=advertiser.type,
            window_start=start,
            window_end=end,
            query=query,
            workflow_id=asked.workflow,
            reach=asked.reach,
            description=asked.description,
            refresh_days=asked.refresh_days,
            is_window_moving=asked.is_window_moving,
            input_parameters=declared,
            parameter_values=values,
            country_code=asked.country,
        )

    def _mended(self, found: Audience, asked: Asked) -> AudienceRequest:
        """What the audience was, with what the options say in its place."""
        query, workflow_id = (found.query, None) if not found.workflow_id else (None, found.workflow_id)
        if asked.file or asked.workflow:
            query, workflow_id = _query(asked), asked.workflow
        declared, values = found.raw.get("inputParameters") or [], found.parameter_values
        if asked.file or asked.workflow or asked.values:
            declared, values = asking.parameters(query, asked.values)
        start, end = found.window_start, found.window_end
        if asked.window or start is None or end is None:
            start, end = asking.window(asked.window, asked.zone, self._session.clock.now())
        return AudienceRequest(
            name=found.name,
            advertiser_id=found.advertiser_id,
            advertiser_type=found.advertiser_type,
            window_start=start,
            window_end=end,
            query=query,
            workflow_id=workflow_id,
            reach=Reach(found.reach) if found.reach else None,
            description=found.description,
            is_window_moving=asked.is_window_moving or found.is_window_moving,
            input_parameters=declared,
            parameter_values=values,
            country_code=str(found.raw.get("countryCode") or ""),
        )


def _query(asked: Asked) -> str | None:
    """The query in the file, checked as AMC would; None where a workflow stands for it. Raises UsageError."""
    if (asked.file is None) == (asked.workflow is None):
        raise UsageError("whom should the audience have?", hint="give a file with SQL, or --workflow ID")
    if asked.file is None:
        return None
    try:
        text = asked.file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{asked.file} cannot be read: {error.strerror if isinstance(error, OSError) else 'it is no UTF-8 text'}",
            hint="name a file with the audience's SQL, or a workflow with --workflow",
        ) from None
    query = asking.query_of(text)
    _check(query)
    return query


def _check(query: str) -> None:
    """Say at once what AMC would say after some minutes."""
    try:
        check(query)
    except (NoAudience, CompileError) as error:
        says = str(error)
        raise UsageError(f"AMC would make no audience of this query: {says}", hint=hint_for(says)) from None


LISTED = ["audience_id", "name", "status", "people", "kind", "refresh", "window", "created_at"]
_STANDS = {
    AudienceStatus.PENDING: "waits in AMC's queue",
    AudienceStatus.RUNNING: "is being made",
    AudienceStatus.FAILED: "was not made",
    AudienceStatus.DEACTIVATED: "has ended: it has no members any more, and ads no longer reach it",
}
#: What AMC says, and what to do about it.
_HINTS = {
    "Use audience-specific tables": (
        "the query reads tables for measurement: add _for_audiences to their names,"
        " such as dsp_impressions_for_audiences"
    ),
    "interval data types": "write dates in the query as parameters or literals, not as INTERVAL",
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
        "window": _window(found),
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
        lines.append(f"mend it:   amci audience update {found.audience_id} FILE.sql --tenant {tenant_id}")
        lines.append(f"remove it: amci audience delete {found.audience_id} --tenant {tenant_id}")
    lines.append(
        f"events: {_window(found)}" + (", moving on with each refresh" if found.is_window_moving else "")
    )
    lines.append(f"refreshed: {_refresh(found)}" + _last(found))
    if found.dsp_canonical_id:
        lines.append(
            f"in the DSP: look for 'AMC {found.name.removeprefix('AMC ')}', id {found.dsp_canonical_id}"
        )
    return lines


def hint_for(says: str) -> str:
    """What to do about what AMC says of a query; empty where its words say it themselves."""
    return next((hint for said, hint in _HINTS.items() if said in says), "")


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


def _window(found: Audience) -> str:
    if found.window_start is None or found.window_end is None:
        return ""
    return f"{found.window_start:%Y-%m-%dT%H:%M:%S}..{found.window_end:%Y-%m-%dT%H:%M:%S}"
