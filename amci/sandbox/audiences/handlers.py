"""Rule-based and lookalike audiences: asked for, listed, mended and deleted where they failed (amc-api 2.4)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from sqlite3 import Row
from typing import Any

from amci.kernel.clock import new_id
from amci.sandbox.advertisers import of_instance
from amci.sandbox.audiences import request as requests
from amci.sandbox.backend import Backend
from amci.sandbox.definitions import definition_of
from amci.sandbox.errors import TERMS, UNAUTHORIZED, Refusal, bad, missing, not_ready
from amci.sandbox.http import Request, Response
from amci.sandbox.options import SandboxInstance
from amci.sandbox.paging import cut, number_after, token
from amci.sandbox.times import NEVER, from_micros, micros, span, wire

_INSTANCE = "Amazon-Marketing-Cloud-Audience-InstanceId"
_ENTITY = "Amazon-Advertising-API-EntityId"
_MOST = 100  #: audiences on a page
_STARTED = "Successfully started audience creation workflow."
_SAME = ("audienceName", "advertiserId", "audienceDescription")  #: what no change may change
_DELETED = 204


def create(backend: Backend, request: Request) -> Response:
    """POST /amc/audiences/query: the same request twice makes two audiences."""
    return _create(backend, request, requests.RULE_BASED)


def create_lookalike(backend: Backend, request: Request) -> Response:
    """POST /amc/audiences/lookalike."""
    return _create(backend, request, requests.LOOKALIKE)


def audiences(backend: Backend, request: Request) -> Response:
    """GET /amc/audiences/query: newest first."""
    known, limit = _admitted(backend, request), _limit(request)
    of_version = version(request.headers.get("accept", ""))
    rows = backend.store.rows(
        "audiences",
        instance_id=known.instance_id,
        after=number_after(request.query.get("nextToken"), NEVER),
        limit=limit + 1,
    )
    shown, is_more = cut(rows, limit)
    found: dict[str, Any] = {"executionMetadata": [document(row, of_version) for row in shown]}
    if is_more:
        found["nextToken"] = token(shown[-1]["seq"])
    return _answer(found, of_version)


def audience(backend: Backend, request: Request) -> Response:
    """GET /amc/audiences/query/{audienceExecutionId}."""
    known = _admitted(backend, request)
    of_version = version(request.headers.get("accept", ""))
    return _answer(document(_row(backend, request, known), of_version), of_version)


def change(backend: Backend, request: Request) -> Response:
    """PUT /amc/audiences/query/{audienceExecutionId}: an audience that failed is made anew."""
    known = _admitted(backend, request)
    row, asked = _row(backend, request, known), request.document()
    had = json.loads(row["request"])
    kept = {name: had.get(name) for name in ("advertiserType", "refreshRateDays")}
    if asked.get("audienceType") != row["kind"]:
        raise bad(f"audienceType is required and must be {row['kind']}.")
    fields, told = _fields(backend, request, known, {**kept, **asked}, row["kind"])
    for name in _SAME:
        if fields.get(name) != had.get(name):
            raise bad(f"{name} must be the same as before.")
    changed = backend.store.do(
        "mend_audience", audience_id=row["audience_id"], instance_id=known.instance_id, **told
    )
    if not changed:
        raise bad(
            f"Audience with ID {row['audience_id']} is {row['status']}: only failed audiences can be updated."
        )
    return _told(row["audience_id"])


def delete(backend: Backend, request: Request) -> Response:
    """DELETE /amc/audiences/query/{audienceExecutionId}: only of an audience that failed."""
    known = _admitted(backend, request)
    row = _row(backend, request, known)
    name = {"audience_id": row["audience_id"], "instance_id": known.instance_id}
    if not backend.store.do("delete_audience", **name):
        raise bad(
            f"Audience with ID {row['audience_id']} is {row['status']}: only failed audiences can be deleted."
        )
    return Response(status=_DELETED)


def _create(backend: Backend, request: Request, kind: str) -> Response:
    known = _admitted(backend, request)
    _, told = _fields(backend, request, known, request.document(), kind)
    digits = new_id()
    audience_id = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    backend.store.do(
        "new_audience", audience_id=audience_id, instance_id=known.instance_id, kind=kind, **told
    )
    return _told(audience_id)


def _fields(
    backend: Backend, request: Request, known: SandboxInstance, asked: Mapping[str, Any], kind: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A request's fields, and the columns they fill; raises Refusal."""
    fields = requests.checked(asked, kind)
    start, end = requests.window(asked)
    fields["advertiserType"] = _advertiser_type(backend, request, known, fields)
    query = fields.pop("query", None)
    if workflow_id := fields.get("workflowId"):
        # the workflow as it stands now, as with executions
        definition = definition_of(backend, known.instance_id, str(workflow_id))
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


def _advertiser_type(
    backend: Backend, request: Request, known: SandboxInstance, fields: Mapping[str, Any]
) -> str:
    """What kind of account the audience is for: one of the instance's advertisers."""
    kinds = [
        kind for name, kind in of_instance(backend, known, request.now) if name == fields["advertiserId"]
    ]
    if not kinds:
        raise bad(
            f"Advertiser {fields['advertiserId']} is not an advertiser of instance {known.instance_id}."
        )
    asked = fields.get("advertiserType")
    if asked and asked not in kinds:
        raise bad(f"Advertiser {fields['advertiserId']} is not of type {asked}.")
    return str(asked or kinds[0])


def _admitted(backend: Backend, request: Request) -> SandboxInstance:
    """The instance the headers name, its audiences as they stand by now; raises Refusal (amc-api 1.3)."""
    for header in (_INSTANCE, _ENTITY):
        if not request.headers.get(header.lower()):
            raise bad(f"Header {header} is required.")
    instance_id = request.headers[_INSTANCE.lower()]
    account = backend.instances.account_of(instance_id)
    if account is None or account[0] != request.headers[_ENTITY.lower()]:
        raise Refusal(403, UNAUTHORIZED)
    known = backend.instances.get(instance_id, request.now)
    if known is None:
        raise missing("Instance", instance_id)
    if not known.has_accepted_terms:
        raise Refusal(401, TERMS)
    if known.creation_status != "COMPLETED":
        raise not_ready(known)
    return known


def _row(backend: Backend, request: Request, known: SandboxInstance) -> Row:
    audience_id = request.parts["audienceExecutionId"]
    row = backend.store.row("audience", instance_id=known.instance_id, audience_id=audience_id)
    if row is None:
        raise missing("Audience", audience_id)
    return row


def _limit(request: Request) -> int:
    text = request.query.get("maxResults") or str(_MOST)
    if not text.isdecimal() or not 1 <= int(text) <= _MOST:
        raise bad(f"maxResults must be between 1 and {_MOST}.")
    return int(text)


def _told(audience_id: str) -> Response:
    return Response(
        document={
            "audienceExecutionDescription": _STARTED,
            "audienceExecutionId": audience_id,
            "status": "PENDING",
        }
    )


def _answer(found: Mapping[str, Any], of_version: str) -> Response:
    """With its own content type: the version that was accepted."""
    return Response(content=json.dumps(found, separators=(",", ":")).encode(), media=media(of_version))


_MEDIA = "application/vnd.amcquerybasedaudience.v{}+json"
_VERSION = re.compile(r"application/vnd\.amc(?:querybased|lookalike)audience\.v([0-9.]+)\+json")
_VERSIONS = ("1", "1.1", "1.2")
#: Of a client that accepts any JSON: AMC's guide reads `dspCanonicalId` so, and v1 does not have it.
_PLAIN = "1.1"
_SINCE = {
    "1.1": ("audienceCount", "dspCanonicalId"),
    "1.2": (
        *("advertiserType", "audienceType", "deletable", "inputParameters"),
        *("lookalikeAudienceExpectedReach", "no3pTrackers", "parameterValues", "workflowId"),
    ),
}


def version(accept: str) -> str:
    """The newest version of answers the client accepts; raises Refusal where it accepts none there is."""
    named = [found[1] for found in _VERSION.finditer(accept)]
    if known := [each for each in _VERSIONS if each in named]:
        return known[-1]
    if named and "*/*" not in accept and "application/json" not in accept:
        raise Refusal(406, f"Not acceptable: {accept}")
    return _PLAIN


def media(of_version: str) -> str:
    """The content type of an answer in this version."""
    return _MEDIA.format(of_version)


def document(row: Row, of_version: str) -> dict[str, Any]:
    """The audience; fields that have no value (yet) are left out."""
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
    """The id of an audience that has arrived in the DSP, one of so many digits."""
    if row["refreshed_at"] is None:
        return None
    number = int(hashlib.sha256(f"{digits}{row['audience_id']}".encode()).hexdigest(), 16)
    least: int = 10 ** (digits - 1)
    return str(least + number % (9 * least))
