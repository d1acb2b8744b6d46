"""AMC's JSON and our values: the only place that knows AMC's spelling of them (amc-api 1.5, 2.0–2.2)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from amci.kernel.clock import moment
from amci.kernel.errors import Refused, UsageError
from amci.workflows.amazon.answers import safe_text
from amci.workflows.amc.model import (
    Account,
    Advertiser,
    Downloads,
    Execution,
    ExecutionRequest,
    ExecutionStatus,
    Instance,
    TimeWindow,
    WindowType,
)

Document = Mapping[str, Any]
Item = TypeVar("Item")


def unwrapped(document: Document, name: str) -> Document:
    """The object in either of AMC's envelopes: `{name: {…}}` or flat."""
    inner = document.get(name)
    return inner if isinstance(inner, Mapping) else document


def listed(document: object, name: str) -> list[Document] | None:
    """The objects of a list; None if the answer has no such list, which is not the same as an empty one."""
    if not isinstance(document, Mapping) or name not in document:
        return None
    found = document[name] or []
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else None


def next_token(document: Document) -> str:
    """Of the next page; empty on the last one, if AMC leaves it out or says null."""
    return str(document.get("nextToken") or "")


def execution(document: Document) -> Execution:
    """A workflow execution; raises Refused for what is none, or has a status amci does not know."""
    flat = unwrapped(document, "workflowExecution")
    return Execution(
        workflow_execution_id=required(flat, "workflowExecutionId"),
        workflow_id=str(flat.get("workflowId") or ""),
        status=_status(required(flat, "status")),
        status_reason=safe_text(str(flat.get("statusReason") or "")),
        created_at=time_of(flat, "createTime"),
        updated_at=time_of(flat, "lastUpdatedTime"),
        window_start=time_of(flat, "timeWindowStart"),
        window_end=time_of(flat, "timeWindowEnd"),
        window_start_local=text_of(flat, "timeWindowStartOriginal"),
        window_end_local=text_of(flat, "timeWindowEndOriginal"),
        time_zone=text_of(flat, "timeWindowTimeZoneOriginal") or text_of(flat, "timeWindowTimeZone") or "UTC",
        parameter_values=_map_of(flat, "parameterValues"),
        execution_seconds=number_of(flat, "executionTime"),
        output_columns=tuple(_list_of(flat, "outputColumns", dict)),
        raw=flat,
    )


def _status(word: str) -> ExecutionStatus:
    try:
        return ExecutionStatus(word)
    except ValueError:
        raise unreadable(f"an unknown status of an execution, '{word}'") from None


def execution_body(request: ExecutionRequest) -> dict[str, Any]:
    """The body of POST /workflowExecutions; raises UsageError if a date is not resolved yet.

    `workflow` if SQL is sent along, else `workflowId`; of the rest only what is set.
    """
    switches = {
        "dryRun": request.dry_run,
        "requireSyntheticData": request.require_synthetic_data,
        "disableAggregationControls": request.disable_aggregation_controls,
        "skipPublish": request.skip_publish,
    }
    body = dict(request.more) | _workflow(request) | _window(request.window)
    body |= {name: True for name, is_on in switches.items() if is_on}
    if request.parameter_values:
        body["parameterValues"] = dict(request.parameter_values)
    if request.ignore_data_gaps is not None:
        body["ignoreDataGaps"] = request.ignore_data_gaps
    if request.timeout_seconds is not None:
        body["workflowExecutionTimeoutSeconds"] = request.timeout_seconds
    return body


def _workflow(request: ExecutionRequest) -> dict[str, Any]:
    if request.sql_query is None:
        return {"workflowId": request.workflow_id}
    named = {"workflowId": request.workflow_id} if request.workflow_id else {}
    return {"workflow": dict(request.definition) | named | {"sqlQuery": request.sql_query}}


def _window(window: TimeWindow) -> dict[str, str]:
    body = {"timeWindowType": window.type.value, "timeWindowTimeZone": window.time_zone}
    if window.type is WindowType.EXPLICIT:
        body |= {"timeWindowStart": _local(window.start), "timeWindowEnd": _local(window.end)}
    return body


def _local(text: str | None) -> str:
    """`yyyy-MM-ddTHH:mm:ss` without offset: AMC reads it in the window's zone (amc-api 2.2)."""
    try:
        at = datetime.fromisoformat(text or "")
    except ValueError:
        at = None
    if at is None or at.tzinfo is not None:
        raise UsageError(
            f"'{text or ''}' cannot be sent to AMC as an end of a time window",
            hint="write yyyy-MM-ddTHH:mm:ss, local to the window's time zone",
        )
    return at.isoformat(timespec="seconds")


def utc_seconds(at: datetime) -> str:
    """A moment as AMC takes it in a query: UTC, whole seconds, no offset (amc-api 2.2)."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def instance(document: Document) -> Instance:
    """An AMC instance; raises Refused for what is none."""
    flat = unwrapped(document, "instance")
    status = str(flat.get("creationStatus") or "")
    return Instance(
        instance_id=required(flat, "instanceId"),
        name=str(flat.get("instanceName") or ""),
        # The old name, which some answers still use (amc-api 2.1).
        creation_status="COMPLETED" if status == "SUCCEEDED" else status,
        instance_type=str(flat.get("instanceType") or "STANDARD"),
        raw=flat,
    )


def account(document: Document) -> Account:
    """An AMC account; raises Refused for what is none."""
    return Account(
        account_id=required(document, "accountId"),
        name=str(document.get("accountName") or ""),
        marketplace_id=str(document.get("marketplaceId") or ""),
    )


def advertiser(document: Document) -> Advertiser:
    """An advertiser of an instance; raises Refused for what is none."""
    return Advertiser(
        advertiser_id=required(document, "id"),
        name=str(document.get("name") or ""),
        type=str(document.get("type") or ""),
        marketplace_id=text_of(document, "marketplaceId"),
    )


def advertiser_body(of: Advertiser) -> dict[str, str]:
    """What names an advertiser in a request; those of DSP have no marketplace."""
    named = {"id": of.advertiser_id, "type": of.type}
    return named | {"marketplaceId": of.marketplace_id} if of.marketplace_id else named


def advertiser_update(document: Document) -> dict[str, Any]:
    """An advertiser update as AMC spells it; raises Refused for what is none."""
    flat = unwrapped(document, "advertiserUpdate")
    required(flat, "updateId")
    status = required(flat, "status")
    # The old name, which some answers still use (amc-api 2.1).
    return {**flat, "status": "COMPLETED" if status == "COMPLETE" else status}


def downloads(document: Document) -> Downloads | None:
    """Links to the files of a result; None if the answer has none to offer, not even an empty list.

    Raises Refused if they are no list of texts.
    """
    if "downloadUrls" not in document:
        return None
    kinds = ("downloadUrls", "metadataDownloadUrls")
    return Downloads(*(tuple(_list_of(document, kind, str)) for kind in kinds))


def required(document: Document, name: str) -> str:
    """A field that has to be there; raises Refused if it is not."""
    value = document.get(name)
    if value in (None, ""):
        raise unreadable(f"an object without {name}")
    return str(value)


def text_of(document: Document, name: str) -> str | None:
    """A field as text; None if it is missing or empty."""
    value = document.get(name)
    return str(value) if value else None


def time_of(document: Document, name: str) -> datetime | None:
    """A field as a moment in UTC; None if it is missing or empty. Raises Refused for what is not a time."""
    text = text_of(document, name)
    try:
        return moment(text).astimezone(UTC) if text else None
    except (ValueError, OverflowError):
        raise unreadable(f"{name} '{text}', which is not a time") from None


def number_of(document: Document, name: str) -> float | None:
    """A field as a number; None if it is missing or empty. Raises Refused for what is not a number."""
    value = document.get(name)
    try:
        return None if value in (None, "") else float(value)
    except (TypeError, ValueError, OverflowError):
        raise unreadable(f"{name} '{str(value)[:100]}', which is not a number") from None


def _map_of(document: Document, name: str) -> Document:
    """A field that is an object; empty if it is missing. Raises Refused for anything else."""
    value = document.get(name) or {}
    if not isinstance(value, Mapping):
        raise unreadable(f"{name} that is no object")
    return value


def _list_of(document: Document, name: str, kind: type[Item]) -> list[Item]:
    """A field that is a list of this kind; empty if it is missing. Raises Refused for anything else."""
    value = document.get(name) or []
    if not isinstance(value, list) or not all(isinstance(item, kind) for item in value):
        raise unreadable(f"{name} that is no list of the usual kind")
    return value


def unreadable(what: str) -> Refused:
    """The error for an answer that amci cannot read."""
    return Refused(
        200, f"AMC answered with {what}", code="unreadable", hint="a newer amci may know it; please report it"
    )
