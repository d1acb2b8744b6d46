"""Rule-based and lookalike audiences: created, listed, retried and deleted if they failed (amc-api 2.4).

Answers have versions; a client chooses one with its Accept header.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from sqlite3 import Row
from typing import Any

from amci.sandbox.advertisers import of_instance
from amci.sandbox.audiences import request as requests
from amci.sandbox.backend import Backend
from amci.sandbox.definitions import definition_of
from amci.sandbox.errors import Refusal, bad, check_ready
from amci.sandbox.http import Request, Response
from amci.sandbox.resources import Resource, new_uuid
from amci.sandbox.times import NEVER, from_micros, micros, span, wire

_AUDIENCES = Resource(
    name="audience",
    title="Audience",
    part="audienceExecutionId",
    items="executionMetadata",
    first=NEVER,
    limit="maxResults",
)
_INSTANCE = "Amazon-Marketing-Cloud-Audience-InstanceId"
_ENTITY = "Amazon-Advertising-API-EntityId"
_DESCRIPTION = "Successfully started audience creation workflow."
_SAME = ("audienceName", "advertiserId", "audienceDescription")  #: fields that a change has to repeat
_DELETED = 204


def create(backend: Backend, request: Request) -> Response:
    """POST /amc/audiences/query: the same request twice makes two audiences."""
    return _create(backend, request, requests.RULE_BASED)


def create_lookalike(backend: Backend, request: Request) -> Response:
    """POST /amc/audiences/lookalike."""
    return _create(backend, request, requests.LOOKALIKE)


def audiences(backend: Backend, request: Request) -> Response:
    """GET /amc/audiences/query: newest first."""
    request = _admitted(backend, request)
    of_version = _version(request.headers.get("accept", ""))
    page = _AUDIENCES.page(backend, request, lambda row: _document(row, of_version))
    return _answer(page.document, of_version)


def audience(backend: Backend, request: Request) -> Response:
    """GET /amc/audiences/query/{audienceExecutionId}."""
    request = _admitted(backend, request)
    of_version = _version(request.headers.get("accept", ""))
    return _answer(_document(_AUDIENCES.row(backend, request), of_version), of_version)


def change(backend: Backend, request: Request) -> Response:
    """PUT /amc/audiences/query/{audienceExecutionId}: retries an audience that failed, with changed fields."""
    request = _admitted(backend, request)
    row, asked = _AUDIENCES.row(backend, request), request.document()
    had = json.loads(row["request"])
    kept = {name: had.get(name) for name in ("advertiserType", "refreshRateDays")}
    if asked.get("audienceType") != row["kind"]:
        raise bad(f"audienceType is required and must be {row['kind']}.")
    fields, columns = _fields(backend, request, {**kept, **asked}, row["kind"])
    for name in _SAME:
        if fields.get(name) != had.get(name):
            raise bad(f"{name} must be the same as before.")
    if not backend.store.do("retry_audience", **_names(row), **columns):
        raise _not_failed(row, "updated")
    return _started(row["audience_id"])


def delete(backend: Backend, request: Request) -> Response:
    """DELETE /amc/audiences/query/{audienceExecutionId}: only of an audience that failed."""
    row = _AUDIENCES.row(backend, _admitted(backend, request))
    if not backend.store.do("delete_audience", **_names(row)):
        raise _not_failed(row, "deleted")
    return Response(status=_DELETED)


def _create(backend: Backend, request: Request, kind: str) -> Response:
    request = _admitted(backend, request)
    _, columns = _fields(backend, request, request.document(), kind)
    names = {"audience_id": new_uuid(), "instance_id": request.instance.instance_id}
    backend.store.do("new_audience", kind=kind, **names, **columns)
    return _started(names["audience_id"])


def _fields(
    backend: Backend, request: Request, asked: Mapping[str, Any], kind: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A request's fields, and the columns of its row. Raises Refusal."""
    fields = requests.checked(asked, kind)
    start, end = requests.window(asked)
    fields["advertiserType"] = _advertiser_type(backend, request, fields)
    query = fields.pop("query", None)
    if workflow_id := fields.get("workflowId"):
        # the workflow as it stands now, as with executions
        definition = definition_of(backend, request.instance.instance_id, str(workflow_id))
        query = definition["sqlQuery"]
        fields["inputParameters"] = fields["inputParameters"] or definition.get("inputParameters") or []
    requests.check_declared(fields, fields["inputParameters"])
    return fields, {
        "request": json.dumps(fields),
        "query": str(query),
        "window_start": start,
        "window_end": end,
        "now": micros(request.now),
        "next_at": micros(request.now) + span(backend.options.pending),
    }


def _advertiser_type(backend: Backend, request: Request, fields: Mapping[str, Any]) -> str:
    """The type of the advertiser, who has to be one of the instance's. Raises Refusal."""
    advertisers = of_instance(backend, request.instance, request.now)
    kinds = [kind for name, kind in advertisers if name == fields["advertiserId"]]
    if not kinds:
        instance_id = request.instance.instance_id
        raise bad(f"Advertiser {fields['advertiserId']} is not an advertiser of instance {instance_id}.")
    asked = fields.get("advertiserType")
    if asked and asked not in kinds:
        raise bad(f"Advertiser {fields['advertiserId']} is not of type {asked}.")
    return str(asked or kinds[0])


def _admitted(backend: Backend, request: Request) -> Request:
    """The request with the instance that its headers name. Raises Refusal (amc-api 1.3)."""
    for header in (_INSTANCE, _ENTITY):
        if not request.headers.get(header.lower()):
            raise bad(f"Header {header} is required.")
    instance_id, entity = (request.headers[header.lower()] for header in (_INSTANCE, _ENTITY))
    known = backend.instances.admitted(instance_id, entity, None, request.now)
    check_ready(known)
    return replace(request, known_instance=known)


def _names(row: Row) -> dict[str, str]:
    return {name: row[name] for name in ("instance_id", "audience_id")}


def _not_failed(row: Row, change: str) -> Refusal:
    audience_id, status = row["audience_id"], row["status"]
    return bad(f"Audience with ID {audience_id} is {status}: only failed audiences can be {change}.")


def _started(audience_id: str) -> Response:
    return Response(
        document={
            "audienceExecutionDescription": _DESCRIPTION,
            "audienceExecutionId": audience_id,
            "status": "PENDING",
        }
    )


def _answer(document: Mapping[str, Any], of_version: str) -> Response:
    """A response with the content type of its version."""
    return Response(
        content=json.dumps(document, separators=(",", ":")).encode(), media=_MEDIA.format(of_version)
    )


_MEDIA = "application/vnd.amcquerybasedaudience.v{}+json"
_VERSION_NAME = re.compile(r"application/vnd\.amc(?:querybased|lookalike)audience\.v([0-9.]+)\+json")
_VERSIONS = ("1", "1.1", "1.2")
#: For a client that accepts any JSON: AMC's guide reads `dspCanonicalId` that way, which v1 lacks.
_PLAIN = "1.1"
_SINCE = {
    "1.1": ("audienceCount", "dspCanonicalId"),
    "1.2": (
        *("advertiserType", "audienceType", "deletable", "inputParameters"),
        *("lookalikeAudienceExpectedReach", "no3pTrackers", "parameterValues", "workflowId"),
    ),
}


def _version(accept: str) -> str:
    """The newest version of answers that the client accepts. Raises Refusal (406) if there is none."""
    named = [found[1] for found in _VERSION_NAME.finditer(accept)]
    if known := [each for each in _VERSIONS if each in named]:
        return known[-1]
    if named and "*/*" not in accept and "application/json" not in accept:
        raise Refusal(406, f"Not acceptable: {accept}")
    return _PLAIN


def _document(row: Row, of_version: str) -> dict[str, Any]:
    """The audience in a version of the answer; fields without a value are left out."""
    shown = _everything(row)
    for since, names in _SINCE.items():
        if _VERSIONS.index(since) > _VERSIONS.index(of_version):
            shown = {name: value for name, value in shown.items() if name not in names}
    return {name: shown[name] for name in sorted(shown) if shown[name] is not None}


def _everything(row: Row) -> dict[str, Any]:
    asked: Mapping[str, Any] = json.loads(row["request"])
    names = ("advertiserId", "advertiserType", "audienceDescription", "audienceName", "countryCode")
    return {
        **{name: asked.get(name) for name in names},
        "audienceCount": row["members"],
        "audienceExecutionId": row["audience_id"],
        "audienceType": row["kind"],
        "createTime": _with_milliseconds(row["created_at"]),
        "deletable": row["status"] == "FAILED",
        "dspAudienceId": _in_dsp(row, 12),
        "dspCanonicalId": _in_dsp(row, 18),
        "inputParameters": asked["inputParameters"] or None,
        "instanceId": row["instance_id"],
        "lastRefreshedTime": _with_milliseconds(row["refreshed_at"]),
        "lookalikeAudienceExpectedReach": asked.get("lookalikeAudienceExpectedReach"),
        "no3pTrackers": False,
        "parameterValues": asked["parameterValues"] or None,
        "query": row["query"],
        "refreshRateDays": asked["refreshRateDays"],
        "status": row["status"],
        "statusReason": row["reason"],
        "timeWindowEnd": wire(row["window_end"]),
        "timeWindowRelative": asked["timeWindowRelative"],
        "timeWindowStart": wire(row["window_start"]),
        "workflowId": asked.get("workflowId"),
    }


def _with_milliseconds(stored: int | None) -> str | None:
    if stored is None:
        return None
    moment = from_micros(stored)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"


def _in_dsp(row: Row, digits: int) -> str | None:
    """The audience's id in the DSP, of so many digits; None before its first refresh."""
    if row["refreshed_at"] is None:
        return None
    number = int(hashlib.sha256(f"{digits}{row['audience_id']}".encode()).hexdigest(), 16)
    least: int = 10 ** (digits - 1)
    return str(least + number % (9 * least))
