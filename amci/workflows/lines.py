"""The runs of this package: how an execution or a workflow is written into the run store, and read from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from enum import StrEnum
from typing import Any

from amci.kernel.clock import timestamp
from amci.kernel.run import NewRun
from amci.tenants.model import Tenant
from amci.workflows.definition import Workflow, amc_definition
from amci.workflows.model import ExecutionRequest, TimeWindow, WindowType
from amci.workflows.sql import sql_hash

#: Kinds of runs.
EXECUTE, WORKFLOW = "execute", "workflow"


class Action(StrEnum):
    """What is done to a workflow in AMC."""

    CREATE = "create"  #: or update, where AMC has it already
    UPDATE = "update"
    DELETE = "delete"


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


def workflow_run(
    action: Action,
    tenant: Tenant,
    workflow: Workflow | str,
    *,
    again: str = "",
    correlation_id: str | None = None,
    is_pruning: bool = False,
) -> NewRun:
    """The run that brings a workflow to one tenant's AMC, or takes it away; by id where config has it no more.

    One definition is brought once; `again`, such as a moment, makes it another run. Raises UsageError where the
    tenant's values do not fit the parameters. `is_pruning`: only while config has no such workflow for the tenant.
    """
    workflow_id = workflow if isinstance(workflow, str) else workflow.workflow_id
    digest = "" if isinstance(workflow, str) else definition_hash(amc_definition(workflow, tenant))
    about = f"{tenant.tenant}/{workflow_id}"
    return NewRun(
        idempotency_key=f"workflow:{action}:{about}@{tenant.instance_id}:{digest[:16]}:{again}".rstrip(":"),
        kind=WORKFLOW,
        payload={"action": str(action), "tenant": tenant.tenant, "workflow": workflow_id}
        | ({"is_pruning": True} if is_pruning else {}),
        tenant_id=tenant.tenant,
        lock_key=f"workflow:{tenant.instance_id}/{workflow_id}",
        correlation_id=correlation_id,
    )


def definition_hash(definition: Mapping[str, Any]) -> str:
    """SHA-256 of a definition as AMC spells it; the layout of the SQL does not count."""
    counted = {**definition, "sqlQuery": sql_hash(definition["sqlQuery"])}
    text = json.dumps(counted, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
