"""The run of an execution: what it carries, and how that is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from amci.kernel.clock import moment, timestamp
from amci.kernel.run import NewRun
from amci.workflows.amc.model import ExecutionRequest, TimeWindow, WindowType

if TYPE_CHECKING:
    from amci.tenants.model import Tenant

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


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecuteTask:
    """What a person or a schedule asks a run of kind `execute` to do; its payload in the run store."""

    request: ExecutionRequest  #: as asked: dates in its window and parameters may be dynamic
    schedule: str = "adhoc"  #: names the `schedule=` folder of the result
    at: datetime | None = None  #: dates are resolved for this moment; for the run's creation if None

    def payload(self) -> dict[str, Any]:
        """As JSON values."""
        at = {"at": timestamp(self.at)} if self.at else {}
        return {"request": request_document(self.request), "schedule": self.schedule, **at}

    @classmethod
    def of(cls, payload: Mapping[str, Any]) -> Self:
        """Inverse of `payload`."""
        return cls(
            request=request_from(payload["request"]),
            schedule=str(payload.get("schedule") or "adhoc"),
            at=moment(payload["at"]) if payload.get("at") else None,
        )


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
        payload=ExecuteTask(request=request, schedule=schedule, at=at).payload(),
        tenant_id=tenant.tenant,
        pool=tenant.pool,
        batch_key=tenant.tenant,
        correlation_id=correlation_id,
    )
