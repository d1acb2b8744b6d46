"""Schedules as the AWS solution and its older fork wrote them, turned into our spelling (aws-solution 2.4, 10)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

#: Fields of AMC's execution request that have a place of their own in a schedule file.
_WINDOW = {
    "timeWindowType": "type",
    "timeWindowStart": "start",
    "timeWindowEnd": "end",
    "timeWindowTimeZone": "time_zone",
}
_RENAMED = {
    "rule_name": "schedule",
    "rule_description": "description",
    "schedule_expression": "expression",
    "Name": "schedule",
    "Description": "description",
    "ScheduleExpression": "expression",
}


def in_our_words(document: Mapping[str, Any]) -> dict[str, Any]:
    """A schedule document in our spelling; one that is ours already comes back as it is.

    Taken: `{execution_request, schedule_expression, rule_name, rule_description}` of the AWS solution, and
    `{Name, ScheduleExpression, State, Description, Input}` of its older fork. Keys nobody knows are kept, so
    that they are found. Raises ValueError where something cannot be carried over.
    """
    ours = {_RENAMED.get(name, name): value for name, value in document.items()}
    if len(ours) < len(document):
        raise ValueError("one setting stands twice, in two spellings")
    if "execution_request" in ours:
        ours |= _execution(_mapping(ours.pop("execution_request"), "execution_request"))
    if "Input" in ours:
        ours |= _input(_mapping(ours.pop("Input"), "Input"))
    if "State" in ours:
        state = ours.pop("State")
        if state not in ("ENABLED", "DISABLED"):
            raise ValueError("State: should be ENABLED or DISABLED")
        ours["enabled"] = state == "ENABLED"
    if ours.pop("runBy", ""):
        raise ValueError("runBy: schedules by campaign are not supported; write one schedule with parameters")
    if ours.pop("EventBusName", "default") != "default":
        raise ValueError("EventBusName: there is no event bus here; leave it out")
    return ours


def _execution(request: Mapping[str, Any]) -> dict[str, Any]:
    rest = dict(request)
    if (kind := rest.pop("requestType", "createExecution")) != "createExecution":
        raise ValueError(f"execution_request.requestType: a schedule can only createExecution, not {kind}")
    tenants = _tenants(rest)
    inner = _mapping(rest.pop("createExecutionRequest", {}), "execution_request.createExecutionRequest")
    if rest:
        raise ValueError(f"execution_request: unknown key {', '.join(sorted(rest))}")
    return tenants | _request(inner)


def _input(document: Mapping[str, Any]) -> dict[str, Any]:
    rest = dict(document)
    tenants = _tenants(rest)
    payload = _mapping(rest.pop("payload", {}), "Input.payload")
    if rest:
        raise ValueError(f"Input: unknown key {', '.join(sorted(rest))}")
    return tenants | _request(payload)


def _request(request: Mapping[str, Any]) -> dict[str, Any]:
    """AMC's execution request; what has no place of its own goes to `more`, as AMC spells it."""
    rest = dict(request)
    definition = dict(_mapping(rest.pop("workflow", {}), "workflow"))
    ours: dict[str, Any] = {"workflow": definition.pop("workflowId", None) or rest.pop("workflowId", "")}
    rest.pop("workflowId", None)  # beside an ad-hoc workflow its own id counts
    window = {name: rest.pop(wire) for wire, name in _WINDOW.items() if wire in rest}
    return ours | {
        name: value
        for name, value in {
            "definition": definition,
            "window": window,
            "parameters": rest.pop("parameterValues", {}),
            "more": rest,
        }.items()
        if value
    }


def _tenants(document: dict[str, Any]) -> dict[str, Any]:
    customer = document.pop("customerId", None)
    if customer is None:
        return {}
    return {"tenants": customer if isinstance(customer, list) else [customer]}


def _mapping(value: Any, field: str) -> Mapping[str, Any]:
    """EventBridge keeps a rule's input as JSON text."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise ValueError(f"{field}: is no JSON") from None
    if not isinstance(value, Mapping):
        raise ValueError(f"{field}: should be a mapping")  # noqa: TRY004 - pydantic takes ValueError for a mistake
    return value
