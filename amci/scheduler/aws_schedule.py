"""Schedules of "Amazon Marketing Cloud Insights on AWS" in amci's spelling (aws-solution 2.4, 10)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from amci.kernel.files import json_of

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


def is_schedule(document: Mapping[str, Any]) -> bool:
    """Whether this is a schedule of the AWS solution, or a rule of its older version."""
    return "execution_request" in document or bool({*_RENAMED} & {*document})


def deleted(document: Mapping[str, Any]) -> str | None:
    """The rule that a DeleteWorkflowSchedule request names, `{rule_name}` and nothing else; None if it is none."""
    return str(document["rule_name"]) if {*document} == {"rule_name"} else None


def ours(document: Mapping[str, Any]) -> dict[str, Any]:
    """A schedule in the spelling of a ScheduleFile.

    Taken: `{execution_request, schedule_expression, rule_name, rule_description}` of the AWS solution, and the rows
    `{customerId, Name, ScheduleExpression, State, Description, Input}` of its older version. Unknown keys are kept,
    so that they are found. Raises ValueError for what cannot be carried over.
    """
    fields = {_RENAMED.get(name, name): value for name, value in document.items()}
    if len(fields) < len(document):
        raise ValueError("one setting stands twice, in two spellings")
    if "execution_request" in fields:
        request = dict(_mapping(fields.pop("execution_request"), "execution_request"))
        if (kind := request.pop("requestType", "createExecution")) != "createExecution":
            raise ValueError(
                f"execution_request.requestType: a schedule can only createExecution, not {kind}"
            )
        fields |= _request_in(request, "execution_request", "createExecutionRequest")
    if "Input" in fields:
        fields |= _request_in(_mapping(fields.pop("Input"), "Input"), "Input", "payload")
    fields |= _of_row(fields)
    if "State" in fields:
        state = fields.pop("State")
        if state not in ("ENABLED", "DISABLED"):
            raise ValueError("State: should be ENABLED or DISABLED")
        fields["enabled"] = state == "ENABLED"
    if fields.pop("runBy", ""):
        raise ValueError("runBy: schedules by campaign are not supported; write a schedule with `for_each`")
    if fields.pop("EventBusName", "default") != "default":
        raise ValueError("EventBusName: there is no event bus here; leave it out")
    return fields


def _of_row(fields: dict[str, Any]) -> dict[str, Any]:
    """Whom the key of a row names, taken out of `fields`; its input says who is asked."""
    if "customerId" not in fields:
        return {}
    customer = fields.pop("customerId")
    tenants = fields.get("tenants", [customer])
    if customer not in tenants:
        raise ValueError("customerId: Input.customerId is another one; which of the two is meant?")
    return {"tenants": tenants}


def _request_in(document: Mapping[str, Any], field: str, inner: str) -> dict[str, Any]:
    """The request under `inner`, with the tenants it is for; `field` is where the document stands."""
    rest = dict(document)
    customer = rest.pop("customerId", None)
    tenants = {} if customer is None else {"tenants": customer if isinstance(customer, list) else [customer]}
    given = rest.pop(inner, {})
    if isinstance(given, list) and len(given) != 1:
        raise ValueError(f"{field}.{inner}: {len(given)} requests; write a schedule for each")
    request = _mapping(given[0] if isinstance(given, list) else given, f"{field}.{inner}")
    if rest:
        raise ValueError(f"{field}: unknown key {', '.join(sorted(rest))}")
    return tenants | _request(request)


def _request(request: Mapping[str, Any]) -> dict[str, Any]:
    """AMC's execution request; what has no field of its own goes to `more`, as AMC spells it."""
    rest = dict(request)
    definition = dict(_mapping(rest.pop("workflow", {}), "workflow"))
    fields: dict[str, Any] = {"workflow": definition.pop("workflowId", None) or rest.pop("workflowId", "")}
    rest.pop("workflowId", None)  # beside an ad-hoc workflow its own id counts
    window = {name: rest.pop(wire) for wire, name in _WINDOW.items() if wire in rest}
    return fields | {
        name: value
        for name, value in {
            "definition": definition,
            "window": window,
            "parameters": rest.pop("parameterValues", {}),
            "more": rest,
        }.items()
        if value
    }


def _mapping(value: Any, field: str) -> Mapping[str, Any]:
    """EventBridge keeps a rule's input as JSON text."""
    if isinstance(value, str):
        try:
            value = json_of(value)
        except ValueError:
            raise ValueError(f"{field}: is not JSON") from None
    if not isinstance(value, Mapping):
        raise ValueError(f"{field}: should be a mapping")  # noqa: TRY004 - pydantic takes ValueError for a mistake
    return value
