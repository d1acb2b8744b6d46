"""A workflow execution in AMC's answers, with the keys of a live one (amc-api 2.2)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from sqlite3 import Row
from typing import Any

from amci.sandbox.backend import Backend
from amci.sandbox.http import is_true
from amci.sandbox.times import local, span, wire

_EXPIRES, _WAITS = span(timedelta(hours=24)), span(timedelta(hours=1))
_REMEMBERED = 10_000  #: executions
_SECOND = span(timedelta(seconds=1))
_DEFAULT_TIMEOUT = 21600
_INVALIDATION = 266400  #: seconds; the figure every live answer has


def document(backend: Backend, row: Row, *, has_workflow: bool = False) -> dict[str, Any]:
    """The execution, without the keys that have no value yet, as live. It is cached: do not change it."""
    # a row only changes together with its status, so clients that list the same executions all day are cheap
    key = (row["seq"], row["status"], has_workflow)
    if key not in backend.documents:
        if len(backend.documents) >= _REMEMBERED:
            backend.documents.clear()
        backend.documents[key] = _made(backend, row, has_workflow=has_workflow)
    return backend.documents[key]


def _made(backend: Backend, row: Row, *, has_workflow: bool) -> dict[str, Any]:
    asked = json.loads(row["request"])
    shown = {
        "createTime": wire(row["created_at"]),
        "dataGaps": [],
        "disableAggregationControls": is_true(asked.get("disableAggregationControls")),
        "executionCategory": "AD_HOC" if row["schedule"] == "adhoc" else "SCHEDULED",
        "expireTime": wire(row["created_at"] + _EXPIRES),
        "ignoreDataGaps": is_true(asked.get("ignoreDataGaps")),
        "lastUpdatedTime": wire(row["changed_at"]),
        "parameterValues": asked.get("parameterValues") or {},
        "requireSyntheticData": is_true(asked.get("requireSyntheticData")),
        "status": row["status"],
        "statusReason": row["reason"],
        "timeWindowTimeZoneOriginal": asked.get("timeWindowTimeZone") or "UTC",
        "waitUntil": wire(row["created_at"] - _WAITS),
        "workflowExecutionId": row["workflow_execution_id"],
        "workflowExecutionTimeoutSeconds": limit_of(asked) or _DEFAULT_TIMEOUT,
        "workflowId": row["workflow_id"],
        "sqlQuery": json.loads(row["definition"])["sqlQuery"] if has_workflow else None,
        "advertisers": asked.get("advertisers"),
        **_window(row, asked),
        **_progress(row),
        **_result(backend, row, asked),
    }
    return {name: shown[name] for name in sorted(shown) if shown[name] is not None}


def limit_of(asked: Mapping[str, Any]) -> int | None:
    """How many seconds an execution may run; None if its request does not say."""
    return int(asked.get("workflowExecutionTimeoutSeconds") or 0) or None


def _window(row: Row, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The time window; AMC does not show a relative one before the execution has started."""
    is_relative = asked.get("timeWindowType", "MOST_RECENT_DAY") != "EXPLICIT"
    if is_relative and row["started_at"] is None:
        return {}
    name = asked.get("timeWindowTimeZone") or "UTC"
    return {
        "timeWindowStart": wire(row["window_start"]),
        "timeWindowEnd": wire(row["window_end"]),
        "timeWindowStartOriginal": local(row["window_start"], name),
        "timeWindowEndOriginal": local(row["window_end"], name),
    }


def _progress(row: Row) -> dict[str, Any]:
    """The keys that an execution has once it has started, and once it has ended."""
    if row["started_at"] is None:
        return {}
    progress = {
        "availableTimeBeforeWindowSecs": 0,
        "invalidationOffsetSecs": _INVALIDATION,
        "validatedTime": wire(row["started_at"]),
    }
    # while it is RUNNING, its query has not finished though its time is up
    if row["ended_at"] is not None and row["status"] != "RUNNING":
        progress["executionTime"] = (row["ended_at"] - row["started_at"]) // _SECOND
    return progress


def _result(backend: Backend, row: Row, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Where the result is, and its columns."""
    if row["status"] != "SUCCEEDED":
        return {}
    known = backend.instances.get(row["instance_id"], backend.clock.now())
    bucket = known.bucket_name if known else ""
    is_published = not is_true(asked.get("skipPublish")) and not is_true(asked.get("dryRun"))
    found = backend.store.row("result_columns", result_id=row["result_id"]) if row["result_id"] else None
    return {
        "outputChannels": [
            {"channel": {"type": "DOWNLOAD"}, "status": "AVAILABLE" if found else "UNAVAILABLE"},
            {"channel": {"type": "PUBLISH"}, "status": "AVAILABLE" if is_published else "UNAVAILABLE"},
        ],
        "outputColumns": json.loads(found["columns"]) if found else [],
        "outputS3URI": f"s3://{bucket}/{row['delivered']}" if is_published and row["delivered"] else "N/A",
    }
