"""Workflow executions: created, listed, cancelled, deleted (amc-api 2.2)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from sqlite3 import Row
from typing import Any

from amci.sandbox.backend import Backend
from amci.sandbox.definitions import definition_of
from amci.sandbox.document import document
from amci.sandbox.errors import bad
from amci.sandbox.http import Request, Response
from amci.sandbox.options import SandboxInstance
from amci.sandbox.resources import Resource, new_uuid
from amci.sandbox.times import NEVER, BadMoment, Window, micros, read, span, window_of, zone

_SHORTEST, _LONGEST = 900, 86400  #: workflowExecutionTimeoutSeconds
_EXECUTIONS = Resource(
    name="workflow_execution", title="Execution", part="workflowExecutionId", items="executions", first=NEVER
)


def create(backend: Backend, request: Request) -> Response:
    """POST /workflowExecutions."""
    asked = request.document()
    definition = _definition(backend, request, asked)
    _check_timeout(asked)
    values = asked.get("parameterValues")
    if values is not None and not isinstance(values, dict):
        raise bad("parameterValues must be a map of names to values.")
    window = window_of(asked, request.now)
    row = add(
        backend,
        request.instance.instance_id,
        definition,
        {name: value for name, value in asked.items() if name not in ("workflow", "sqlQuery")},
        window,
        created_at=request.now,
        is_stuck=backend.meets("stuck_pending"),
    )
    return Response(document=document(backend, row))


def add(
    backend: Backend,
    instance_id: str,
    definition: Mapping[str, Any],
    asked: Mapping[str, Any],
    window: Window,
    *,
    created_at: datetime,
    schedule: str = "adhoc",
    is_stuck: bool = False,
) -> Row:
    """Queue an execution in its instance; its row. Raises StorageError."""
    execution_id = new_uuid()
    with backend.store.transaction():
        backend.store.do(
            "new_execution",
            workflow_execution_id=execution_id,
            instance_id=instance_id,
            workflow_id=definition["workflowId"],
            request=json.dumps(asked),
            definition=json.dumps(definition),
            is_stuck=int(is_stuck),
            now=micros(created_at),
            window_start=micros(window.start),
            window_end=micros(window.end),
            schedule=schedule,
        )
        backend.store.do(
            "wake", instance_id=instance_id, at=micros(created_at) + span(backend.options.pending)
        )
        return row_of(backend, instance_id, execution_id)


def get(backend: Backend, request: Request) -> Response:
    """GET /workflowExecutions/{id}."""
    row = _EXECUTIONS.row(backend, request)
    return Response(document=document(backend, row, has_workflow=_is_true(request, "includeWorkflow")))


def listed(backend: Backend, request: Request) -> Response:
    """GET /workflowExecutions: newest first, a page at a time."""
    query = request.query
    if not (query.get("workflowId") or query.get("minCreationTime")):
        raise bad("Either workflowId or minCreationTime is required.")
    is_ascending = _is_true(request, "sortAscending")
    name = "executions_of_workflow" if query.get("workflowId") else "executions"
    has_workflow = _is_true(request, "includeWorkflow")
    return _EXECUTIONS.page(
        backend,
        request,
        lambda row: document(backend, row, has_workflow=has_workflow),
        statement=f"{name}_oldest_first" if is_ascending else name,
        first=0 if is_ascending else NEVER,
        workflow_id=query.get("workflowId"),
        since=_moment(request, "minCreationTime", 0),
        until=_moment(request, "maxCreationTime", NEVER),
        is_with_cancelled=int(_is_true(request, "includeCancelled")),
    )


def change(backend: Backend, request: Request) -> Response:
    """PUT /workflowExecutions/{id}: cancelling is the one change there is; other fields are ignored."""
    row = _EXECUTIONS.row(backend, request)
    status = request.document().get("status")
    if status is None:
        return Response(document={})
    if status != "CANCELLED":
        raise bad(f"Invalid status {status}: an execution can only be changed to CANCELLED.")
    now = micros(request.now)
    with backend.store.transaction():
        name = {key: row[key] for key in ("instance_id", "workflow_execution_id")}
        cancelled = backend.store.do("cancel", now=now, **name)
        wake_account(backend, request.instance, now)
    if not cancelled:
        status = row_of(backend, row["instance_id"], row["workflow_execution_id"])["status"]
        raise bad(f"Execution with ID {row['workflow_execution_id']} cannot be cancelled: it is {status}.")
    return Response(document={})


def delete(backend: Backend, request: Request) -> Response:
    """DELETE /workflowExecutions/{id}."""
    with backend.store.transaction():
        _EXECUTIONS.delete(backend, request)
        wake_account(backend, request.instance, micros(request.now))
    return Response(document={})


def wake_account(backend: Backend, known: SandboxInstance, now: int) -> None:
    """Look at all instances of the account again: a slot has become free early, so another execution may start."""
    every = json.dumps(backend.instances.ids_of(known.account))
    backend.store.do("wake_several", instances=every, at=now)


def row_of(backend: Backend, instance_id: str, workflow_execution_id: str) -> Row:
    """The row of an execution. Raises Refusal (404)."""
    return _EXECUTIONS.find(backend, instance_id, workflow_execution_id)


def _definition(backend: Backend, request: Request, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The workflow to run: a saved one, or the one in the request."""
    inline = asked.get("workflow")
    if inline is None and asked.get("sqlQuery"):
        inline = {"sqlQuery": asked["sqlQuery"]}
    if inline is not None and asked.get("workflowId"):
        raise bad("Only one of workflowId and workflow may be specified.")
    if inline is None:
        if not asked.get("workflowId"):
            raise bad("One of workflowId and workflow must be specified.")
        return definition_of(backend, request.instance.instance_id, str(asked["workflowId"]))
    if not isinstance(inline, dict) or not isinstance(inline.get("sqlQuery"), str):
        raise bad("workflow must have a sqlQuery.")
    return {**inline, "workflowId": str(inline.get("workflowId") or f"transient_{new_uuid()}")}


def _check_timeout(asked: Mapping[str, Any]) -> None:
    text = str(asked.get("workflowExecutionTimeoutSeconds") or _SHORTEST)
    if not text.isdecimal() or not _SHORTEST <= int(text) <= _LONGEST:
        raise bad(f"workflowExecutionTimeoutSeconds must be between {_SHORTEST} and {_LONGEST}.")


def _is_true(request: Request, name: str) -> bool:
    return request.query.get(name, "").lower() == "true"


def _moment(request: Request, name: str, otherwise: int) -> int:
    text = request.query.get(name)
    if not text:
        return otherwise
    try:
        return micros(read(text, zone(request.query.get("timeZone") or "UTC")).astimezone(UTC))
    except BadMoment as error:
        raise bad(f"Invalid {name}: {error}.") from error
