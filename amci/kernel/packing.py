"""JSON of what ended long ago in a fifth of its bytes: nothing is lost, and it is still JSON.

    {"object_id": 7, "version": 1, "tables": […], …}  →  {"packed": "1:…", "object_id": 7, "version": 1}

What SQL asks for stays beside it in clear; SQL reads the rest by its function `unpacked`.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Collection, Mapping
from typing import Any

#: What such documents have in common, the most frequent last. A file that was packed is read by its number for ever:
#: another text gets another number.
_COMMON = {
    "1": (
        b'{"availableTimeBeforeWindowSecs": 0, "createTime": "2026-01-01T00:00:00Z", "dataGaps": [],'
        b' "disableAggregationControls": false, "executionCategory": "AD_HOC", "executionTime": 0,'
        b' "expireTime": "2026-01-01T00:00:00Z", "ignoreDataGaps": false, "invalidationOffsetSecs": 266400,'
        b' "lastUpdatedTime": "2026-01-01T00:00:00Z", "outputChannels": [{"channel": {"type": "DOWNLOAD"},'
        b' "status": "AVAILABLE"}, {"channel": {"type": "PUBLISH"}, "status": "AVAILABLE"}],'
        b' "outputColumns": [{"columnType": "DIMENSION", "dataType": "DATE", "name": "'
        b'"}, {"columnType": "DIMENSION", "dataType": "STRING", "name": "'
        b'"}, {"columnType": "METRIC", "dataType": "LONG", "name": "'
        b'"}, {"columnType": "METRIC", "dataType": "DOUBLE", "name": "'
        b'"}], "outputS3URI": "s3://amc-", "parameterValues": {}, "requireSyntheticData": false,'
        b' "status": "SUCCEEDED", "timeWindowEnd": "2026-01-01T00:00:00Z", "timeWindowEndOriginal":'
        b' "2026-01-01T00:00:00", "timeWindowStart": "2026-01-01T00:00:00Z", "timeWindowStartOriginal":'
        b' "2026-01-01T00:00:00", "timeWindowTimeZoneOriginal": "UTC", "validatedTime": "2026-01-01T00:00:00Z",'
        b' "waitUntil": "2026-01-01T00:00:00Z", "workflowExecutionId": "", "workflowExecutionTimeoutSeconds":'
        b' 21600, "workflowId": ""}"submitted": {"method": "POST", "url":'
        b' "https://advertising-api.amazon.com/amc/reporting/amc/workflowExecutions", "status": 200, "seconds":'
        b' 0.013, "request_id": "", "sent_at": "2026-01-01T00:00:00.000000Z"}, "answered": {"method": "GET", "url":'
        b' "https://advertising-api-eu.amazon.com/amc/reporting/amc/workflowExecutions/"request": {"workflow_id":'
        b' "", "window": {"type": "EXPLICIT", "start": "2026-01-01T00:00:00", "end": "2026-01-01T00:00:00",'
        b' "time_zone": "UTC"}, "parameter_values": {'
        b'{"again":"","tables":[{"table":"amc__adhoc","files":["adtech/amc/amc_/customer_hash=/export_year=2026/'
        b'export_month=01/file_last_modified=2026-01-01T00-00-00/2026-01-01T00-00-00-000Z-v1.parquet"],"rows":'
        b'"quoted":[],"values":[],"sha256":[""],"headers":{}}],"partition":{"customer_hash":"","export_year":'
        b'"2026","export_month":"01"},"constants":{},"workflow_id":"","schedule":"daily","export_time":'
        b'"2026-01-01T00:00:00.000000Z","sha256":"","origin":{"workflow_execution_id":"","sql_hash":"",'
        b'"time_window_start":"2026-01-01T00:00:00.000000Z","time_window_end":"2026-01-01T00:00:00.000000Z"},'
        b'"types":{"":"DATE","":"STRING","":"LONG","":"DOUBLE"},"read_by":""}'
    )
}
_NEWEST = "1"
_KEY = "packed"
_BEGINS = f'{{"{_KEY}":'


def packed(document: Mapping[str, Any], *, clear: Collection[str] = ()) -> dict[str, Any]:
    """A document, a JSON object without the field `packed`, with the fields `clear` as they are."""
    text = json.dumps(
        {key: value for key, value in document.items() if key not in clear}, separators=(",", ":")
    )
    compressing = zlib.compressobj(9, zdict=_COMMON[_NEWEST])
    data = compressing.compress(text.encode()) + compressing.flush()
    return {
        _KEY: f"{_NEWEST}:{base64.b85encode(data).decode()}",
        **{key: document[key] for key in clear if key in document},
    }


def unpacked(document: dict[str, Any]) -> dict[str, Any]:
    """What was packed, or a document that was not, as it is."""
    if _KEY not in document:
        return document
    number, _, data = document[_KEY].partition(":")
    expanding = zlib.decompressobj(zdict=_COMMON[number])
    clear = {key: value for key, value in document.items() if key != _KEY}
    inside: dict[str, Any] = json.loads(expanding.decompress(base64.b85decode(data)))
    return clear | inside


def unpacked_text(text: str | None) -> str | None:
    """The same of JSON text, for SQL."""
    if text is None or not text.startswith(_BEGINS):
        return text
    return json.dumps(unpacked(json.loads(text)))
