"""When two executions are alike: how a request is recognised among the executions AMC shows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from amci.kernel.text import utf8
from amci.workflows.amc.model import Execution, ExecutionRequest, WindowType

#: Begins the ids of inline workflows, which AMC keeps only with their execution.
INLINE = "amci-"


def recognisable(request: ExecutionRequest, idempotency_key: str) -> ExecutionRequest:
    """The request as it is sent: ad-hoc SQL gets a workflow id that no other run has.

    AMC shows of an inline workflow nothing but its id. The name a person gave stays the folder of the result.
    """
    if request.sql_query is None:
        return request
    digest = hashlib.sha256(utf8(idempotency_key)).hexdigest()
    return replace(request, workflow_id=f"{INLINE}{digest[:16]}")


def fingerprint(request: ExecutionRequest) -> str:
    """Hash of what AMC shows of an execution from its first moment, but for the time window."""
    return _hash([request.workflow_id, request.window.time_zone, _plain(request.parameter_values)])


def window_text(request: ExecutionRequest) -> str:
    """`start/end` as asked; empty if AMC resolves it, for AMC shows such a window only later."""
    window = request.window
    return f"{window.start}/{window.end}" if window.type is WindowType.EXPLICIT else ""


def content(name: str, request: ExecutionRequest) -> str:
    """Hash of everything a resolved request asks for, under the name people know."""
    return _hash(
        [
            *(name, request.sql_query, _plain(request.definition), str(request.window.type)),
            *(window_text(request), request.window.time_zone, _plain(request.parameter_values)),
            *(request.dry_run, request.require_synthetic_data, request.disable_aggregation_controls),
            *(request.ignore_data_gaps, request.skip_publish, request.timeout_seconds, _plain(request.more)),
        ]
    )


def is_like(request: ExecutionRequest, execution: Execution) -> bool:
    """Whether AMC's execution may be the one that was asked for."""
    shown = replace(
        request,
        workflow_id=execution.workflow_id,
        window=replace(request.window, time_zone=execution.time_zone),
        parameter_values=execution.parameter_values,
    )
    if fingerprint(shown) != fingerprint(request):
        return False
    if request.window.type is not WindowType.EXPLICIT:
        return True
    asked = (request.window.start, request.window.end)
    return tuple(map(_local, asked)) == tuple(
        map(_local, (execution.window_start_local, execution.window_end_local))
    )


def _local(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text.removesuffix("Z")) if text else None


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as texts, since AMC may show the number 5 as "5"; what is not there is not asked for."""
    return {name: _text(value) for name, value in sorted(values.items()) if value is not None}


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return _plain(value)
    if isinstance(value, list | tuple):
        return [_text(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _hash(parts: list[Any]) -> str:
    text = json.dumps(parts, ensure_ascii=False, separators=(",", ":"), default=str)
    return hashlib.sha256(utf8(text)).hexdigest()
