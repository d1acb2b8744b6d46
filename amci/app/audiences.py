"""Audiences as people ask for them: requests from their words, checked as AMC would check them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from amci.amcsql.findings import CompileError
from amci.kernel.errors import RemoteError, UsageError
from amci.kernel.files import text_of
from amci.sandbox.audiences.rules import check
from amci.sandbox.errors import NoAudience
from amci.workflows.amc import audience_wire
from amci.workflows.amc.audience_model import Audience, AudienceRequest, Reach
from amci.workflows.amc.client import AmcClient
from amci.workflows.audiences.audience_parsing import advertiser_for, parameters, query_of, window

#: What AMC says, and what to do about it.
_HINTS = {
    "Use audience-specific tables": (
        "the query reads tables for measurement: add _for_audiences to their names,"
        " such as dsp_impressions_for_audiences"
    ),
    "interval data types": "write dates in the query as parameters or literals, not as INTERVAL",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AudienceOptions:
    """An audience in the words of a person."""

    name: str
    file: Path | None  #: with the query; or `workflow`
    workflow: str | None  #: id of a workflow in AMC
    window: str  #: `START..END`, dates may be dynamic
    zone: str  #: time zone of the window
    values: Sequence[str] | None  #: `name=value` or `name:TYPE=value`
    advertiser: str | None = None  #: who gets it; the only one by default
    description: str = ""
    country: str = ""
    refresh_days: int | None = None
    is_window_moving: bool = False
    reach: Reach | None = None  #: of a lookalike audience


def audience_request(client: AmcClient, options: AudienceOptions, at: datetime) -> AudienceRequest:
    """The request for a new audience, dates as of `at`.

    Raises UsageError for a query, window or parameters that AMC would refuse, NotFound for an unknown advertiser.
    """
    query = _query(options)
    declared, values = parameters(query, options.values or ())
    start, end = window(options.window, options.zone, at)
    advertiser = advertiser_for(options.advertiser, client.advertisers())
    return AudienceRequest(
        name=options.name,
        advertiser_id=advertiser.advertiser_id,
        advertiser_type=advertiser.type,
        window_start=start,
        window_end=end,
        query=query,
        workflow_id=options.workflow,
        reach=options.reach,
        description=options.description,
        refresh_days=options.refresh_days,
        is_window_moving=options.is_window_moving,
        input_parameters=declared,
        parameter_values=values,
        country_code=options.country,
    )


def changed_request(audience: Audience, options: AudienceOptions, at: datetime) -> AudienceRequest:
    """What the audience was, with what the options say in its place; raises as `audience_request` does."""
    has_query = bool(options.file or options.workflow)
    query, workflow_id = (None, audience.workflow_id) if audience.workflow_id else (audience.query, None)
    if has_query:
        query, workflow_id = _query(options), options.workflow
    declared, values = audience.raw.get("inputParameters") or [], audience.parameter_values
    if has_query or options.values:
        declared, values = parameters(query, options.values or ())
    start, end = audience.window_start, audience.window_end
    if options.window or start is None or end is None:
        start, end = window(options.window, options.zone, at)
    return AudienceRequest(
        name=audience.name,
        advertiser_id=audience.advertiser_id,
        advertiser_type=audience.advertiser_type,
        window_start=start,
        window_end=end,
        query=query,
        workflow_id=workflow_id,
        reach=Reach(audience.reach) if audience.reach else None,
        description=audience.description,
        is_window_moving=options.is_window_moving or audience.is_window_moving,
        input_parameters=declared,
        parameter_values=values,
        country_code=str(audience.raw.get("countryCode") or ""),
    )


def require_as_sent(sent: AudienceRequest, shown: Audience) -> None:
    """Raise RemoteError if AMC shows another audience than was sent."""
    if fields := audience_wire.differing(sent, shown):
        ours = audience_wire.hash_of(audience_wire.body(sent), fields)[:16]
        theirs = audience_wire.hash_of(shown.raw, fields)[:16]
        raise RemoteError(
            f"AMC has another audience {shown.audience_id} than was sent: hash {ours} here, {theirs} in AMC;"
            f" it differs in {', '.join(fields)}",
            hint=f"see `amci audience show {shown.audience_id}`; `amci audience update` sends one that failed again",
        )


def hint_for(says: str) -> str:
    """What to do about what AMC says of a query; empty if its words say it themselves."""
    return next((hint for said, hint in _HINTS.items() if said in says), "")


def _query(options: AudienceOptions) -> str | None:
    """The query in the file, checked as AMC would; None if a workflow stands for it. Raises UsageError, ConfigError."""
    if (options.file is None) == (options.workflow is None):
        raise UsageError("whom should the audience have?", hint="give a file with SQL, or --workflow ID")
    if options.file is None:
        return None
    query = query_of(text_of(options.file))
    try:
        check(query)
    except (NoAudience, CompileError) as error:
        says = str(error)
        raise UsageError(f"AMC would make no audience of this query: {says}", hint=hint_for(says)) from None
    return query
