"""Saved workflows (amc-api 2.2). Live they are sent flat; the OpenAPI files wrap them (amc-api 2.0)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from sqlite3 import Row
from typing import Any

from amci.amcsql.findings import CompileError
from amci.sandbox.backend import Backend
from amci.sandbox.errors import Refusal, bad, not_compiled
from amci.sandbox.http import Request, Response
from amci.sandbox.resources import Resource
from amci.sandbox.times import micros

_ID = re.compile(r"[A-Za-z0-9._-]+")
_WORKFLOWS = Resource(name="workflow", title="Workflow", part="workflowId", items="workflows")


def workflows(backend: Backend, request: Request) -> Response:
    """GET /workflows."""
    return _WORKFLOWS.page(backend, request, _definition)


def workflow(backend: Backend, request: Request) -> Response:
    """GET /workflows/{workflowId}: only the fields that were set."""
    return Response(document=_definition(_WORKFLOWS.row(backend, request)))


def create(backend: Backend, request: Request) -> Response:
    """POST /workflows."""
    definition = request.document("workflow")
    workflow_id = str(definition.get("workflowId") or "")
    _check(backend, request, definition, workflow_id)
    _WORKFLOWS.insert(backend, **_row(request, workflow_id, definition))
    return Response(document={})


def change(backend: Backend, request: Request) -> Response:
    """PUT /workflows/{workflowId}: the body replaces the definition."""
    workflow_id = request.parts["workflowId"]
    definition = request.document("workflow") | {"workflowId": workflow_id}
    _WORKFLOWS.row(backend, request)
    _check(backend, request, definition, workflow_id)
    backend.store.do("change_workflow", **_row(request, workflow_id, definition))
    return Response(document={})


def delete(backend: Backend, request: Request) -> Response:
    """DELETE /workflows/{workflowId}: refused while a schedule refers to it."""
    name = {"instance_id": request.instance.instance_id, "workflow_id": request.parts["workflowId"]}
    with backend.store.transaction():
        used = backend.store.rows("schedules_of_workflow", **name)
        if used:
            schedules = ", ".join(row["schedule_id"] for row in used)
            raise bad(f"Workflow with ID {name['workflow_id']} is referenced by schedules: {schedules}.")
        _WORKFLOWS.delete(backend, request)
    return Response(document={})


def definition_of(backend: Backend, instance_id: str, workflow_id: str) -> dict[str, Any]:
    """A saved definition. Raises Refusal (404)."""
    return _definition(_WORKFLOWS.find(backend, instance_id, workflow_id))


def _definition(row: Row) -> dict[str, Any]:
    definition: dict[str, Any] = json.loads(row["definition"])
    return definition


def _check(backend: Backend, request: Request, definition: Mapping[str, Any], workflow_id: str) -> None:
    """Raise Refusal unless the definition has a valid id and compiles."""
    if not _ID.fullmatch(workflow_id):
        raise bad(
            "workflowId is required and may contain letters, digits, periods, dashes and underscores only."
        )
    if not isinstance(definition.get("sqlQuery"), str) or not definition["sqlQuery"].strip():
        raise bad("sqlQuery is required.")
    try:
        backend.queries.compile(request.instance.instance_id, definition)
    except CompileError as error:
        raise Refusal(400, not_compiled(workflow_id, str(error))) from error


def _row(request: Request, workflow_id: str, definition: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "instance_id": request.instance.instance_id,
        "workflow_id": workflow_id,
        "definition": json.dumps(definition),
        "now": micros(request.now),
    }
