"""From a request as it was written down to the one that is sent: parameters merged and typed, dates resolved."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from amci.kernel import dates
from amci.kernel.errors import UsageError
from amci.tenants.model import Tenant
from amci.workflows.amc.model import ExecutionRequest
from amci.workflows.definitions import parameters, sql, time_windows
from amci.workflows.definitions.definition import Workflow

#: What AMC allows in the id of a workflow (amc-api 2.2); it also names a folder.
_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")


def resolved(
    request: ExecutionRequest, workflow: Workflow | None, tenant: Tenant, at: datetime
) -> ExecutionRequest:
    """The request as it is to be sent, as of `at`; raises UsageError if it makes no sense.

    `workflow` is its definition in config; None if the workflow is only in AMC. Parameters of ad-hoc SQL, and
    of workflows that are not in config, are sent as they are given, with their dynamic dates resolved.
    """
    if not _ID.fullmatch(request.workflow_id):
        raise UsageError(
            f"'{request.workflow_id}' cannot be the id of a workflow",
            hint="use letters, digits, '.', '-' and '_', and no '.' at the beginning",
        )
    if workflow is not None and request.sql_query is None and not workflow.is_for(tenant):
        raise UsageError(
            f"workflow '{workflow.workflow_id}' is not for tenant '{tenant.tenant}'",
            hint="name the tenant, or a tag of it, in the workflow's file, then `amci apply`",
        )
    zone = dates.time_zone(request.window.time_zone)
    if workflow is None or request.sql_query is not None:
        values = _values(request.parameter_values, at, zone)
    else:
        merged = parameters.merged(workflow, tenant, request.parameter_values)
        values = parameters.resolved(workflow, merged, at, zone)
    text = None if request.sql_query is None else sql.as_sent(request.sql_query)
    window, more = time_windows.resolve(request.window, at), _values(request.more, at, zone)
    return replace(request, window=window, parameter_values=values, sql_query=text, more=more)


def sql_hash_of(request: ExecutionRequest, workflow: Workflow | None) -> str:
    """Hash of the SQL as far as it is known here; empty for a workflow that is only in AMC."""
    text = request.sql_query or (workflow.sql if workflow else "")
    return sql.sql_hash(text) if text else ""


def _values(given: Mapping[str, Any], at: datetime, zone: ZoneInfo) -> dict[str, Any]:
    return {name: _value(value, at, zone) for name, value in given.items()}


def _value(value: Any, at: datetime, zone: ZoneInfo) -> Any:
    if isinstance(value, list | tuple):
        return [_value(item, at, zone) for item in value]
    return dates.resolved(value, at, zone) if isinstance(value, str) else value
