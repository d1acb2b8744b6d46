"""The administration API: accounts, instances and their advertisers, wrapped as live (amc-api 2.1)."""

from __future__ import annotations

from typing import Any

from amci.sandbox.backend import Backend
from amci.sandbox.errors import UNAUTHORIZED, Refusal
from amci.sandbox.messages import Request, Response
from amci.sandbox.options import SandboxInstance
from amci.sandbox.paging import cut, number_after, token
from amci.sandbox.queries import ADVERTISERS


def accounts(backend: Backend, request: Request) -> Response:
    """GET /amc/accounts."""
    found = {(known.entity_id, known.marketplace_id): known.name for known in backend.options.instances}
    items = [
        {"accountId": entity, "accountName": f"Account of {name}", "marketplaceId": marketplace}
        for (entity, marketplace), name in found.items()
    ]
    return _page(request, "amcAccounts", items)


def instances(backend: Backend, request: Request) -> Response:
    """GET /amc/instances: those of the account in the headers."""
    account = account_of(request)
    mine = [
        known for known in backend.options.instances if (known.entity_id, known.marketplace_id) == account
    ]
    if not mine:
        raise Refusal(403, UNAUTHORIZED)
    return _page(request, "instances", [_instance(known) for known in mine])


def instance(_: Backend, request: Request) -> Response:
    """GET /amc/instances/{id}."""
    return Response(document={"instance": _instance(request.instance)})


def advertisers(_: Backend, request: Request) -> Response:
    """GET /amc/instances/{id}/advertisers."""
    items = [
        {
            "id": str(entry.advertiser_id) if kind == "DISPLAY" else f"ENTITY{entry.advertiser_id}",
            "name": entry.name,
            "type": kind,
            "marketplaceId": None if kind == "DISPLAY" else request.instance.marketplace_id,
            "configuredAdvertiserTypes": [kind] if kind == "DISPLAY" else ["SPONSORED_PRODUCTS"],
        }
        for entry in ADVERTISERS
        for kind in ("DISPLAY", "SPONSORED_ADS")
        if request.query.get("type") in (None, kind)
    ]
    response = _page(request, "advertisers", items)
    response.document["totalCount"] = len(items)
    return response


def account_of(request: Request) -> tuple[str, str]:
    """Account and marketplace as the headers name them."""
    names = ("amazon-advertising-api-advertiserid", "amazon-advertising-api-marketplaceid")
    entity, marketplace = (request.headers.get(name, "") for name in names)
    return entity, marketplace


def _instance(known: SandboxInstance) -> dict[str, Any]:
    """An instance with the keys of a live answer, in their order."""
    is_there = known.creation_status == "COMPLETED"
    return {
        "instanceId": known.instance_id,
        "instanceName": known.name,
        "instanceType": "STANDARD",
        "customerCanonicalName": None,
        "creationStatus": known.creation_status,
        "creationDatetime": None,
        "s3BucketName": known.bucket_name if is_there else "",
        "s3BucketRegion": "us-east-1",
        "awsAccountId": "",
        "entities": ["NA"],
        "dataUploadAwsAccountId": "",
        "apiEndpoint": "https://advertising-api.amazon.com" if is_there else None,
        "acrCollaboration": None,
        "optionalDatasets": [],
        "advertiserTypes": ["DISPLAY", "SPONSORED_ADS"],
    }


def _page(request: Request, name: str, items: list[dict[str, Any]]) -> Response:
    """A page of a list that is known whole; administration says null where there is no more."""
    start, limit = number_after(request.query.get("nextToken"), 0), request.limit()
    shown, is_more = cut(items[start : start + limit + 1], limit)
    return Response(document={name: list(shown), "nextToken": token(start + limit) if is_more else None})
