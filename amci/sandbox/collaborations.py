"""The AWS Clean Rooms collaboration of an instance that has one; read only (amc-api 2.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from amci.sandbox.backend import Backend
from amci.sandbox.errors import Refusal
from amci.sandbox.http import Request, Response
from amci.sandbox.options import SandboxInstance


def collaboration(_: Backend, request: Request) -> Response:
    """GET /amc/instances/{id}/collaboration."""
    partners = [
        {
            "accountId": str(each.get("awsAccountId")),
            "displayName": each.get("displayName"),
            "status": "INVITED",
        }
        for each in _partners(request)
    ]
    about = {
        "id": collaboration_id(request.instance),
        "name": request.instance.name,
        "description": "",
        "status": "ACTIVE",
        "customerPartners": partners,
        "amcDataProviders": [],
        "resultsReceivers": [],
    }
    return Response(document={"collaboration": about})


def tables(_: Backend, request: Request) -> Response:
    """POST /amc/instances/{id}/collaboration/idmappingtables/list: always empty."""
    return _nothing(request, "idMappingTables")


def namespaces(_: Backend, request: Request) -> Response:
    """POST /amc/instances/{id}/collaboration/idnamespaces/list: always empty."""
    return _nothing(request, "collaborationIdNamespaceAssociations")


def collaboration_id(known: SandboxInstance) -> str:
    """The id of an instance's collaboration."""
    return f"collaboration-{known.instance_id}"


def _nothing(request: Request, name: str) -> Response:
    _partners(request)
    found: dict[str, Any] = {
        "collaborationId": collaboration_id(request.instance),
        name: [],
        "nextToken": None,
    }
    return Response(document=found)


def _partners(request: Request) -> tuple[Mapping[str, Any], ...]:
    partners = request.instance.partners
    if partners is None:
        raise Refusal(404, f"Instance {request.instance.instance_id} is not backed by AWS Clean Rooms.")
    return partners
