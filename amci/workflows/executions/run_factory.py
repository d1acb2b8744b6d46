"""The run of an execution: how a request is written into the run store, and read from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from amci.kernel.clock import timestamp
from amci.kernel.run import NewRun
from amci.tenants.model import Tenant
from amci.workflows.amc.model import ExecutionRequest, TimeWindow, WindowType

#: The kind of an execution's run.
EXECUTE = "execute"


def request_document(request: ExecutionRequest) -> dict[str, Any]:
    """The request as JSON values; what has not been asked for is left out."""
    window = {**asdict(request.window), "type": str(request.window.type)}
    asked = {
        name: getattr(request, name)
        for name in ExecutionRequest.__slots__
        if getattr(request, name) != getattr(_PLAIN, name)
    }
    return asked | {"window": {name: value for name, value in window.items() if value is not None}}


_PLAIN = ExecutionRequest(workflow_id="")


def request_from(document: Mapping[str, Any]) -> ExecutionRequest:
    """Inverse of `request_document`."""
    window = dict(document.get("window", {}))
    window["type"] = WindowType(window.get("type", WindowType.MOST_RECENT_DAY))
    return ExecutionRequest(**{**document, "window": TimeWindow(**window)})


def execute_run(
    tenant: Tenant,
    request: ExecutionRequest,
    *,
    key: str,
    at: datetime,
    schedule: str = "adhoc",
    correlation_id: str | None = None,
) -> NewRun:
    """The run of one execution; `at` is the moment its dates are resolved for, `key` makes it happen once."""
    return NewRun(
        idempotency_key=key,
        kind=EXECUTE,
        payload={"request": request_document(request), "schedule": schedule, "at": timestamp(at)},
        tenant_id=tenant.tenant,
        pool=tenant.pool,
        batch_key=tenant.tenant,
        correlation_id=correlation_id,
    )
