"""Requests about executions as the AWS solution took them (aws-solution 2.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from amci.kernel.errors import UsageError
from amci.workflows.amc.model import ExecutionRequest, TimeWindow, WindowType
from amci.workflows.executions.request_parsing import window_type

#: The AWS solution's own sentence (aws-solution 2.2).
_MISSING = "workflowId and customerId are required in execution request"
_MISSING_ID = "workflowExecutionId and customerId are required in execution request"
_SWITCHES = {
    "dryRun": "dry_run",
    "requireSyntheticData": "require_synthetic_data",
    "disableAggregationControls": "disable_aggregation_controls",
    "ignoreDataGaps": "ignore_data_gaps",
    "skipPublish": "skip_publish",
}
_TIMEOUT = "workflowExecutionTimeoutSeconds"
_OF_WINDOW = ("timeWindowType", "timeWindowStart", "timeWindowEnd", "timeWindowTimeZone")


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsRequest:
    """A request document of the AWS solution."""

    kind: str  #: createExecution, cancelExecution or getExecutionStatus
    tenants: Sequence[str]
    request: ExecutionRequest | None = None  #: of createExecution
    workflow_execution_id: str = ""  #: of the others


def execution_request_from(document: Mapping[str, Any]) -> AwsRequest:
    """The document `{customerId, requestType, createExecutionRequest…}` as values; raises UsageError.

    `customerId` may be a list (aws-solution 10). Unlike there, cancelling and asking for a status need no
    workflow, but the id of the execution (K-29).
    """
    customers = document.get("customerId") or []
    tenants = [customers] if isinstance(customers, str) else [str(customer) for customer in customers]
    kind = str(document.get("requestType") or "createExecution")
    if kind == "createExecution":
        return AwsRequest(kind=kind, tenants=tenants, request=_created(document, tenants))
    if kind not in ("cancelExecution", "getExecutionStatus"):
        raise UsageError(
            f"no requestType '{kind}'", hint="createExecution, cancelExecution or getExecutionStatus"
        )
    workflow_execution_id = str(document.get("workflowExecutionId") or "")
    if not tenants or not workflow_execution_id:
        raise UsageError(_MISSING_ID, hint="add the missing field to the document")
    return AwsRequest(kind=kind, tenants=tenants, workflow_execution_id=workflow_execution_id)


def _created(document: Mapping[str, Any], tenants: Sequence[str]) -> ExecutionRequest:
    asked = dict(document.get("createExecutionRequest") or {})
    workflow = dict(asked.pop("workflow", None) or {})
    named = asked.pop("workflowId", None)
    # An inline workflow wins over a saved one, as it did there.
    workflow_id = str(workflow.pop("workflowId", None) or named or "")
    if not tenants or not workflow_id:
        raise UsageError(_MISSING, hint="add the missing field to the document")
    sql_query = workflow.pop("sqlQuery", None)
    window = _window({name: asked.pop(name, None) for name in _OF_WINDOW})
    timeout = asked.pop(_TIMEOUT, None)
    switches = {ours: asked.pop(theirs) for theirs, ours in _SWITCHES.items() if theirs in asked}
    return ExecutionRequest(
        workflow_id=workflow_id,
        sql_query=sql_query,
        definition=workflow if sql_query else {},
        window=window,
        parameter_values=asked.pop("parameterValues", None) or {},
        timeout_seconds=None if timeout is None else _whole(timeout),
        more=asked,
        **{name: _is_on(name, value) for name, value in switches.items()},
    )


def _window(fields: Mapping[str, Any]) -> TimeWindow:
    kind, start, end, zone = (fields[name] or None for name in _OF_WINDOW)
    return TimeWindow(
        type=window_type(str(kind))
        if kind
        else WindowType.EXPLICIT
        if start or end
        else WindowType.MOST_RECENT_DAY,
        start=start,
        end=end,
        time_zone=zone or "UTC",
    )


def _is_on(name: str, value: Any) -> bool:
    """True and false, also as the texts that people send."""
    words = {"true": True, "false": False}
    if str(value).lower() not in words:
        raise UsageError(f"'{value}' is not a value of {name}", hint="write true or false")
    return words[str(value).lower()]


def _whole(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        raise UsageError(
            f"'{value}' is not a number of seconds", hint=f"{_TIMEOUT} is 900 to 86400"
        ) from None
