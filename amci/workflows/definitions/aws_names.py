"""A workflow as AMC spells it, or wrapped in a request of the AWS solution (aws-solution 2.1), in our spelling."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

#: Fields whose name here is not AMC's in snake_case.
_OTHER_NAMES = {"sqlQuery": "sql", "sql_query": "sql"}
_KINDS = ("createWorkflow", "updateWorkflow", "getWorkflow", "deleteWorkflow")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def ours(document: Mapping[str, Any], fields: Collection[str]) -> dict[str, Any]:
    """The mapping with AMC's names of `fields` as ours; ValueError if one field stands in two spellings."""
    renamed: dict[str, Any] = {}
    for key, value in document.items():
        name = key if key in fields else _OTHER_NAMES.get(key, _HUMP.sub("_", str(key)).lower())
        name = name if name in fields else key
        if name in renamed:
            raise ValueError(f"'{key}' stands twice, in two spellings")
        renamed[name] = value
    return renamed


def is_request(document: Mapping[str, Any]) -> bool:
    """Whether this is a request to the AWS solution about a workflow."""
    return "workflowRequest" in document or "workflowDefinition" in document


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowRequest:
    """What a request about a workflow asks for."""

    kind: str  #: createWorkflow, updateWorkflow, getWorkflow or deleteWorkflow
    workflow_id: str
    customers: list[str]
    is_record: bool  #: a row of the solution's table: it was carried out there


def request(document: Mapping[str, Any]) -> WorkflowRequest:
    """The request in a document that `is_request`. Raises ValueError for a type that there is not."""
    inner = document.get("workflowRequest", document)
    inner = inner if isinstance(inner, Mapping) else {}
    kind = str(inner.get("requestType") or "createWorkflow")
    if kind not in _KINDS:
        raise ValueError(f"no requestType '{kind}'; there are {', '.join(_KINDS)}")
    defined = inner.get("workflowDefinition")
    named = inner.get("workflowId") or (defined.get("workflowId") if isinstance(defined, Mapping) else None)
    return WorkflowRequest(
        kind=kind,
        workflow_id=str(named or ""),
        customers=_customers(document, inner),
        is_record="responseStatus" in document,
    )


def definition(document: Mapping[str, Any]) -> dict[str, Any]:
    """The definition in a request about a workflow, as AMC spells it; any other document as it is.

    The request's customer is whom the workflow is for. Raises ValueError for a request that defines nothing.
    """
    if not is_request(document):
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
