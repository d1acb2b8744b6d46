"""Documents of "Amazon Marketing Cloud Insights on AWS" that may stand in config/, in amci's spelling.

What people onboarded with (aws-solution 1.1), their workflows (2.1) and schedules (2.4, 10). Each reader leaves a
document alone that is amci's own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from pydantic import ConfigDict, Field

from amci.kernel.config import Strict, parsed
from amci.kernel.errors import ConfigError, Problem

_ENVELOPE = "customer_details"
#: Keys of versions before the solution's last; it ignored them too.
_OLD = ("endpoint_url", "aws_red_account_id")
#: The path of each field of a tenant in a document of the AWS solution.
_TENANT_FIELDS = MappingProxyType(
    {
        "tenant": "customer_id",
        "name": "customer_name",
        "auth_id": "auth_id",
        "instance_id": "amc.instance_id",
        "advertiser_id": "amc.amazon_ads_advertiser_id",
        "marketplace_id": "amc.amazon_ads_marketplace_id",
        "region": "amc.amazon_ads_marketplace_id",
    }
)
_BUCKET_FIELDS = ("bucket_name", "bucket_account", "bucket_region", "aws_orange_account_id", *_OLD)
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


class _Aws(Strict):
    """Values as people pasted them: numbers for ids, blanks around them."""

    model_config = ConfigDict(coerce_numbers_to_str=True, str_strip_whitespace=True)


class AmcDetails(_Aws):
    """The nested `amc`."""

    instance_id: str = Field(min_length=1)
    """AMC instance."""
    amazon_ads_advertiser_id: str = Field(min_length=1)
    """AMC account id."""
    amazon_ads_marketplace_id: str = Field(min_length=1)
    """Its marketplace."""
    aws_orange_account_id: str = ""
    """Not used."""
    bucket_name: str = ""
    """Not used."""


class CustomerDetails(_Aws):
    """What `customer_details` holds."""

    customer_id: str = Field(min_length=1)
    """The tenant's id."""
    customer_name: str = Field(min_length=1)
    """Display name."""
    auth_id: str | None = None
    """Which credentials."""
    bucket_exists: bool = True
    """Not used; text `"true"` and `"false"` too."""
    bucket_account: str | None = None
    """Not used."""
    bucket_region: str | None = None
    """Not used."""
    amc: AmcDetails
    """The AMC instance."""


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer of the AWS solution."""

    fields: Mapping[str, str]  #: of a tenant, by amci's names
    unused: tuple[str, ...]  #: keys with a value that means nothing to amci
    envelope: str  #: the key that the details stand under, or empty

    def key_of(self, field: str) -> str:
        """The path of a field of the tenant in the document."""
        return _joined(self.envelope, _TENANT_FIELDS[field])


def is_customer(document: Mapping[str, Any]) -> bool:
    """Whether this is a `customer_details` document, or its inside."""
    return _ENVELOPE in document or "customer_id" in document


def customer(document: Mapping[str, Any], shown: str) -> Customer:
    """The customer of a document; raises ConfigError with every mistake, in a document called `shown`."""
    envelope = _ENVELOPE if _ENVELOPE in document else ""
    details = document[envelope] if envelope else document
    problems = [
        Problem(shown, key, f"unknown key beside {_ENVELOPE}")
        for key in document
        if envelope and key != envelope
    ]
    if not isinstance(details, Mapping):
        problems.append(Problem(shown, envelope, "should be a mapping of keys to values"))
        raise ConfigError(problems)
    try:
        known = parsed(CustomerDetails, _without_old(details), shown)
    except ConfigError as error:
        problems += [Problem(shown, _joined(envelope, p.field), p.says) for p in error.problems]
        raise ConfigError(problems) from None
    if problems:
        raise ConfigError(problems)
    given = {**details, **details["amc"]}
    fields = {
        "tenant": known.customer_id,
        "name": known.customer_name,
        "instance_id": known.amc.instance_id,
        "advertiser_id": known.amc.amazon_ads_advertiser_id,
        "marketplace_id": known.amc.amazon_ads_marketplace_id,
    } | ({"auth_id": known.auth_id} if known.auth_id else {})
    return Customer(fields, tuple(name for name in _BUCKET_FIELDS if given.get(name)), envelope)


def _without_old(details: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in details.items() if key not in _OLD}
    if isinstance(kept.get("amc"), Mapping):
        kept["amc"] = {key: value for key, value in kept["amc"].items() if key not in _OLD}
    return kept


def _joined(*parts: str) -> str:
    return ".".join(part for part in parts if part)


def is_workflow(document: Mapping[str, Any]) -> bool:
    """Whether this is a request to the AWS solution about a workflow."""
    return "workflowRequest" in document or "workflowDefinition" in document


def workflow(document: Mapping[str, Any]) -> dict[str, Any]:
    """The definition in a request about a workflow, as AMC spells it; any other document as it is.

    The request's customer is whom the workflow is for. Raises ValueError for a request that defines nothing.
    """
    if not is_workflow(document):
        return dict(document)
    inner = document.get("workflowRequest", document)
    definition = inner.get("workflowDefinition") if isinstance(inner, Mapping) else None
    if not isinstance(definition, Mapping):
        raise ValueError("the request has no workflowDefinition, so it defines no workflow")  # noqa: TRY004 - pydantic takes ValueErrors
    request_type = inner.get("requestType", "createWorkflow")
    if request_type not in ("createWorkflow", "updateWorkflow"):
        raise ValueError(f"a request of type {request_type} defines no workflow")
    named = {"workflowId": inner.get("workflowId"), "tenants": _customers(document, inner)}
    return {name: value for name, value in named.items() if value} | dict(definition)


def _customers(*documents: Mapping[str, Any]) -> list[str]:
    named: str | list[str] = next((d["customerId"] for d in documents if d.get("customerId")), [])
    return [named] if isinstance(named, str) else list(named)


def is_schedule(document: Mapping[str, Any]) -> bool:
    """Whether this is a schedule of the AWS solution, or a rule of its older version."""
    return "execution_request" in document or bool({*_RENAMED} & {*document})


def schedule(document: Mapping[str, Any]) -> dict[str, Any]:
    """A schedule in the spelling of a ScheduleFile.

    Taken: `{execution_request, schedule_expression, rule_name, rule_description}` of the AWS solution, and
    `{Name, ScheduleExpression, State, Description, Input}` of its older fork. Unknown keys are kept,
    so that they are found. Raises ValueError for what cannot be carried over.
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
    """AMC's execution request; what has no field of its own goes to `more`, as AMC spells it."""
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
            raise ValueError(f"{field}: is not JSON") from None
    if not isinstance(value, Mapping):
        raise ValueError(f"{field}: should be a mapping")  # noqa: TRY004 - pydantic takes ValueError for a mistake
    return value
