"""Result files: in the bucket under AMC's keys, and behind links that expire (amc-api 2.3)."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import timedelta
from sqlite3 import Row
from typing import Any
from urllib.parse import quote

from amci.kernel.files import write_bytes
from amci.sandbox.backend import Backend
from amci.sandbox.errors import not_downloadable
from amci.sandbox.executions import row_of
from amci.sandbox.http import Request, Response, is_true
from amci.sandbox.times import from_micros, micros, span, wire

_GOOD_FOR = span(timedelta(minutes=10))
_EXPIRED = (
    b"<?xml version='1.0' encoding='UTF-8'?><Error><Code>AccessDenied</Code><Message>%s</Message></Error>"
)


def key_of(row: Row, at: int) -> str:
    """The key of the result of an execution that ended at `at`."""
    name, schedule = row["workflow_id"], row["schedule"]
    if schedule == "adhoc":
        moment = from_micros(at)
        stem = f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z-{name}"
    else:
        stem = f"{from_micros(row['created_at']):%Y-%m-%d}-{name}-ver1"
    return f"workflow={name}/schedule={schedule}/{stem}.csv"


def deliver(backend: Backend, row: Row, key: str, result_id: str) -> None:
    """Write the result and its metadata to the bucket, if the sandbox has one. Raises StorageError.

    AMC has a bucket per instance: if the sandbox has several, each has a folder, named like its bucket.
    """
    bucket = backend.options.bucket
    if bucket is None:
        return
    known = backend.instances.get(row["instance_id"], backend.clock.now())
    found = backend.store.row("result", result_id=result_id)
    if known is None or found is None:
        return
    if not backend.instances.is_alone(known.instance_id):
        bucket = bucket / known.bucket_name
    path = bucket / key
    about = json.dumps(_metadata(row, found), indent=2).encode()
    write_bytes(path.parent / "metadata" / f"{path.stem}.json", about)
    write_bytes(path, found["content"])


def links(backend: Backend, request: Request) -> Response:
    """GET /workflowExecutions/{id}/downloadUrls: links to this server, good for ten minutes."""
    row = row_of(backend, request.instance.instance_id, request.parts["workflowExecutionId"])
    if row["status"] != "SUCCEEDED" or not row["result_id"]:
        raise not_downloadable(row["workflow_execution_id"])
    expires = micros(request.now) + (0 if backend.meets("slow_links") else _GOOD_FOR)
    folder = f"/results/{row['instance_id']}/{row['workflow_execution_id']}"
    stem = row["delivered"].rpartition("/")[2].removesuffix(".csv")
    return Response(
        document={
            "downloadUrls": [_signed(backend, request.base, f"{folder}/{stem}.csv", expires)],
            "metadataDownloadUrls": [_signed(backend, request.base, f"{folder}/{stem}.json", expires)],
        }
    )


def fetch(backend: Backend, request: Request) -> Response:
    """GET /results/…: a file, for a link that has not expired. No login is needed."""
    expires = request.query.get("Expires", "")
    good = _signature(backend, request.path, expires)
    if not hmac.compare_digest(good, request.query.get("Signature", "")):
        return _denied("Access Denied")
    if int(expires) <= micros(request.now):
        return _denied("Request has expired")
    row = row_of(backend, request.parts["instanceId"], request.parts["workflowExecutionId"])
    found = backend.store.row("result", result_id=row["result_id"])
    if found is None:
        raise not_downloadable(row["workflow_execution_id"])
    if request.path.endswith(".json"):
        return Response(document=_metadata(row, found))
    return Response(content=found["content"], media="text/csv")


def _metadata(row: Row, found: Row) -> dict[str, Any]:
    asked = json.loads(row["request"])
    return {
        "workflowExecutionId": row["workflow_execution_id"],
        "workflowId": row["workflow_id"],
        "sqlQuery": json.loads(row["definition"])["sqlQuery"],
        "parameterValues": asked.get("parameterValues") or {},
        "timeWindowStart": wire(row["window_start"]),
        "timeWindowEnd": wire(row["window_end"]),
        "timeWindowTimeZone": asked.get("timeWindowTimeZone") or "UTC",
        "disableAggregationControls": is_true(asked.get("disableAggregationControls")),
        "outputColumns": json.loads(found["columns"]),
        "rowCount": found["rows"],
    }


def _signed(backend: Backend, base: str, path: str, expires: int) -> str:
    return f"{base}{quote(path)}?Expires={expires}&Signature={_signature(backend, path, str(expires))}"


def _signature(backend: Backend, path: str, expires: str) -> str:
    return hmac.new(backend.key, f"{path}\n{expires}".encode(), hashlib.sha256).hexdigest()


def _denied(why: str) -> Response:
    return Response(status=403, content=_EXPIRED % why.encode(), media="application/xml")
