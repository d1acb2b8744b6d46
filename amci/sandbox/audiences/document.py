"""An audience as AMC shows it, in the version of the answer that the client accepts (amc-api 2.4)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from sqlite3 import Row
from typing import Any

from amci.sandbox.errors import Refusal
from amci.sandbox.times import from_micros, wire

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
