"""How audiences are shown, in a marketer's words."""

from __future__ import annotations

from typing import Any

from amci.kernel.text import shown
from amci.workflows.amc.audience_model import Audience, AudienceStatus

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
