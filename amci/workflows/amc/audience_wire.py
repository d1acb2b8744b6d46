"""AMC's JSON of audiences and our values (amc-api 2.4)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from amci.kernel.clock import moment
from amci.kernel.errors import UsageError
from amci.kernel.text import utf8
from amci.workflows.amazon.answers import Answer, error_text
from amci.workflows.amc.audience_model import Audience, AudienceRequest, AudienceStatus
from amci.workflows.amc.wire import Document, required, time_of, unreadable

#: Accepted answers; AMC takes requests as plain JSON.
NEWEST = "application/vnd.amcquerybasedaudience.v1.2+json"
MADE = "application/vnd.amcquerybasedaudience.v1+json, application/json"
MADE_ALIKE = "application/vnd.amclookalikeaudience.v1+json, application/json"
LIST = "executionMetadata"
_OTHER_LIST = "executionDataList"  #: in one of Amazon's own samples
_PREFIX = "AMC "  #: before the name, as the DSP shows it
_MOST_DAYS, _LEAST_DAYS_ALIKE = 21, 7


def body(request: AudienceRequest) -> dict[str, Any]:
    """The body of a request for a new audience; raises UsageError for one that AMC does not take."""
    _check(request)
    fields: dict[str, Any] = {
        "audienceName": request.name,
        "audienceDescription": request.description,
        "advertiserId": request.advertiser_id,
        "advertiserType": request.advertiser_type,
        "countryCode": request.country_code,
        "query": request.query,
        "workflowId": request.workflow_id,
        "timeWindowStart": _text(request.window_start),
        "timeWindowEnd": _text(request.window_end),
        "inputParameters": [dict(each) for each in request.input_parameters],
        "parameterValues": dict(request.parameter_values),
        "lookalikeAudienceExpectedReach": request.reach.value if request.reach else None,
    }
    said = {name: value for name, value in fields.items() if value}
    if request.refresh_days is not None:
        said["refreshRateDays"] = request.refresh_days
    return said | {"timeWindowRelative": request.is_window_moving}


def change_body(request: AudienceRequest) -> dict[str, Any]:
    """The body of a request to make a failed audience again; its refreshes stay as they were."""
    said = body(request)
    said.pop("refreshRateDays", None)
    return said | {"audienceType": "LOOKALIKE" if request.reach else "RULE_BASED"}


def _check(request: AudienceRequest) -> None:
    if not request.name.strip() or not request.advertiser_id:
        raise UsageError("an audience needs a name and an advertiser", hint="say which advertiser gets it")
    if (request.query is None) == (request.workflow_id is None):
        raise UsageError("an audience needs a query or a workflow", hint="give one of them")
    if request.window_start >= request.window_end:
        raise UsageError(
            "the time window ends before it starts", hint="the end is exclusive, and comes after the start"
        )
    least = _LEAST_DAYS_ALIKE if request.reach else 0
    if request.refresh_days is not None and not least <= request.refresh_days <= _MOST_DAYS:
        what = "a lookalike audience" if request.reach else "an audience"
        raise UsageError(
            f"{what} cannot be refreshed every {request.refresh_days} days",
            hint=f"AMC takes {least} to {_MOST_DAYS} days" + ("" if request.reach else "; 0 is never"),
        )


def _text(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def started(document: Document) -> str:
    """The id of an audience that AMC has begun to make; raises Refused if there is none."""
    return required(document, "audienceExecutionId")


def audience(document: Document) -> Audience:
    """An audience; raises Refused for what is none, or has a status amci does not know."""
    texts = {
        name: str(document.get(theirs) or "")
        for name, theirs in (
            ("reach", "lookalikeAudienceExpectedReach"),
            ("advertiser_id", "advertiserId"),
            ("advertiser_type", "advertiserType"),
            ("description", "audienceDescription"),
            ("query", "query"),
            ("workflow_id", "workflowId"),
            ("dsp_audience_id", "dspAudienceId"),
            ("dsp_canonical_id", "dspCanonicalId"),
        )
    }
    return Audience(
        audience_id=required(document, "audienceExecutionId"),
        name=str(document.get("audienceName") or ""),
        status=_status(required(document, "status")),
        status_reason=error_text({"statusReason": document.get("statusReason")}),
        is_lookalike=document.get("audienceType") == "LOOKALIKE",
        members=_whole(document, "audienceCount"),
        created_at=time_of(document, "createTime"),
        refreshed_at=time_of(document, "lastRefreshedTime"),
        window_start=time_of(document, "timeWindowStart"),
        window_end=time_of(document, "timeWindowEnd"),
        is_window_moving=str(document.get("timeWindowRelative")).lower() == "true",
        refresh_days=_whole(document, "refreshRateDays"),
        parameter_values=document.get("parameterValues") or {},
        raw=document,
        **texts,
    )


def is_named(found: Audience, name: str) -> bool:
    """Whether this is its name, with or without what the DSP puts before it."""
    return found.name in (name, f"{_PREFIX}{name}")


def is_like(request: AudienceRequest, found: Audience) -> bool:
    """Whether an audience is what a request asks for; a window that moves with each refresh does not count."""
    is_window = request.is_window_moving or (
        (found.window_start, found.window_end) == (request.window_start, request.window_end)
    )
    # a workflow's query is AMC's to know
    is_query = request.query is None or " ".join(found.query.split()) == " ".join(request.query.split())
    return (
        is_named(found, request.name)
        and found.advertiser_id in ("", request.advertiser_id)
        and found.workflow_id == (request.workflow_id or "")
        and found.reach == (request.reach or "")
        and found.is_window_moving == request.is_window_moving
        and dict(found.parameter_values) == dict(request.parameter_values)
        and is_window
        and is_query
    )


def differing(request: AudienceRequest, found: Audience) -> list[str]:
    """The fields, as AMC spells them, that AMC shows otherwise than they were sent; one it does not show is none."""
    # AMC writes parameters out with what they are by default.
    ours = {name: _comparable(value) for name, value in body(request).items() if name != "inputParameters"}
    theirs = {name: _comparable(found.raw.get(name)) for name in ours}
    if request.is_window_moving:
        ours |= {name: theirs[name] for name in ("timeWindowStart", "timeWindowEnd")}
    if is_named(found, request.name):
        ours["audienceName"] = theirs["audienceName"]
    return [name for name, value in ours.items() if theirs[name] not in ("", value)]


def hash_of(document: Document, names: Iterable[str]) -> str:
    """SHA-256 of these fields of an audience, the layout of its query left out."""
    text = json.dumps({name: _comparable(document.get(name)) for name in sorted(names)}, sort_keys=True)
    return hashlib.sha256(utf8(text)).hexdigest()


def _comparable(value: Any) -> str:
    """As text: AMC may show the number 5 as "5", a moment with fractions, and a query on other lines."""
    if value in (None, "", [], {}):
        return ""
    if isinstance(value, str):
        try:
            return moment(value).isoformat() if value[:1].isdigit() else " ".join(value.split())
        except ValueError:
            return " ".join(value.split())
    if isinstance(value, Mapping):
        return str({name: _comparable(each) for name, each in sorted(value.items())})
    if isinstance(value, list | tuple):
        return str([_comparable(each) for each in value])
    return str(value).lower() if isinstance(value, bool) else str(value)


def with_list(answer: Answer) -> Answer:
    """The same page, its list under the name that AMC's specification has."""
    document = answer.document
    if isinstance(document, Mapping) and LIST not in document and _OTHER_LIST in document:
        return replace(answer, document={**document, LIST: document[_OTHER_LIST]})
    return answer


def _status(word: str) -> AudienceStatus:
    try:
        return AudienceStatus(word)
    except ValueError:
        raise unreadable(f"an unknown status of an audience, '{word}'") from None


def _whole(document: Document, name: str) -> int | None:
    value = document.get(name)
    try:
        return None if value in (None, "") else int(value)
    except (TypeError, ValueError):
        raise unreadable(f"{name} '{value}', which is not a number") from None
