"""Workflows as they are saved in AMC (amc-api 2.2)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from amci.amcsql.findings import CompileError
from amci.sandbox.backend import Backend
from amci.sandbox.errors import Refusal, bad, duplicate, missing, not_compiled
from amci.sandbox.http import Request, Response, page
from amci.sandbox.paging import after, cut, token
from amci.sandbox.times import micros

_ID = re.compile(r"[A-Za-z0-9._-]+")


def workflows(backend: Backend, request: Request) -> Response:
    """GET /workflows."""
    limit = request.limit()
    rows = backend.store.rows(
        "workflows",
        instance_id=request.instance.instance_id,
        after=after(request.query.get("nextToken"), ""),
        limit=limit + 1,
    )
    shown, is_more = cut(rows, limit)
    items = [json.loads(row["definition"]) for row in shown]
    return page("workflows", items, token(shown[-1]["workflow_id"]) if is_more else None)


def workflow(backend: Backend, request: Request) -> Response:
    """GET /workflows/{workflowId}: only the fields that were set."""
    return Response(
        document=definition_of(backend, request.instance.instance_id, request.parts["workflowId"])
    )


def create(backend: Backend, request: Request) -> Response:
    """POST /workflows."""
    definition = _flat(request.document())
    workflow_id = str(definition.get("workflowId") or "")
    checked(backend, request, definition, workflow_id)
    made = backend.store.do("new_workflow", **_row(request, workflow_id, definition))
    if not made:
        raise duplicate("Workflow", workflow_id)
    return Response(document={})


def change(backend: Backend, request: Request) -> Response:
    """PUT /workflows/{workflowId}: the body takes the place of the definition."""
    workflow_id = request.parts["workflowId"]
    definition = _flat(request.document()) | {"workflowId": workflow_id}
    definition_of(backend, request.instance.instance_id, workflow_id)
    checked(backend, request, definition, workflow_id)
    backend.store.do("change_workflow", **_row(request, workflow_id, definition))
    return Response(document={})


def delete(backend: Backend, request: Request) -> Response:
    """DELETE /workflows/{workflowId}: refused while a schedule refers to it."""
    name = {"instance_id": request.instance.instance_id, "workflow_id": request.parts["workflowId"]}
    with backend.store.changing():
        used = backend.store.rows("schedules_of_workflow", **name)
        if used:
            schedules = ", ".join(row["schedule_id"] for row in used)
            raise bad(f"Workflow with ID {name['workflow_id']} is referenced by schedules: {schedules}.")
        if not backend.store.do("delete_workflow", **name):
            raise missing("Workflow", name["workflow_id"])
    return Response(document={})


def definition_of(backend: Backend, instance_id: str, workflow_id: str) -> dict[str, Any]:
    """A saved definition; Refusal where there is none."""
    row = backend.store.row("workflow", instance_id=instance_id, workflow_id=workflow_id)
    if row is None:
        raise missing("Workflow", workflow_id)
    definition: dict[str, Any] = json.loads(row["definition"])
    return definition


def checked(backend: Backend, request: Request, definition: Mapping[str, Any], workflow_id: str) -> None:
    """Raise Refusal unless the definition has an id AMC takes and compiles."""
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


def _flat(document: dict[str, Any]) -> dict[str, Any]:
    """The workflow itself; the OpenAPI files describe it wrapped, live it is flat (amc-api 2.0)."""
    inner = document.get("workflow")
    return inner if isinstance(inner, dict) else document


def _row(request: Request, workflow_id: str, definition: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "instance_id": request.instance.instance_id,
        "workflow_id": workflow_id,
        "definition": json.dumps(definition),
        "now": micros(request.now),
    }
