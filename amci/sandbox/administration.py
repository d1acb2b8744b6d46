"""The administration API: accounts, instances and their collaborations, wrapped as live (amc-api 2.1)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from amci.sandbox.advertisers import TYPES, of_instance
from amci.sandbox.backend import Backend
from amci.sandbox.errors import UNAUTHORIZED, Refusal, bad, not_ready
from amci.sandbox.executions import wake_account
from amci.sandbox.http import Request, Response
from amci.sandbox.options import SandboxInstance
from amci.sandbox.resources import whole
from amci.sandbox.times import micros
from amci.sandbox.uploads.versions import delete_files

_NAME = re.compile(r"[A-Za-z0-9 ]{3,50}")
_AWS_ACCOUNT = re.compile(r"\d{12}")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_LONGEST_TOKEN = 36
_MOST_PARTNERS = 2
_CHANGEABLE = ("instanceName", "advertiserName", "awsAccountId", "s3BucketName")
_FIELDS = (*_CHANGEABLE, "acrBacked", "acrCustomerPartners")
_STACKS = "https://console.aws.amazon.com/cloudformation/home#/stacks/new"


def accounts(backend: Backend, request: Request) -> Response:
    """GET /amc/accounts."""
    items = [
        {"accountId": entity, "accountName": f"Account of {name}", "marketplaceId": marketplace}
        for (entity, marketplace), name in backend.instances.accounts().items()
    ]
    return whole(request, "amcAccounts", items)


def instances(backend: Backend, request: Request) -> Response:
    """GET /amc/instances: those of the account in the headers."""
    mine = backend.instances.of_account(_own_account(backend, request), request.now)
    return whole(request, "instances", [_instance(backend, request, known) for known in mine])


def instance(backend: Backend, request: Request) -> Response:
    """GET /amc/instances/{id}."""
    return _shown(backend, request, request.instance)


def create(backend: Backend, request: Request) -> Response:
    """POST /amc/instances: the instance is created over time."""
    account, asked = _own_account(backend, request), request.document()
    fields = _checked({name: asked[name] for name in _FIELDS if asked.get(name) is not None})
    if "instanceName" not in fields:
        raise bad("instanceName is required.")
    token = asked.get("idempotencyToken")
    if token is not None and not 1 <= len(str(token)) <= _LONGEST_TOKEN:
        raise bad(f"idempotencyToken must have between 1 and {_LONGEST_TOKEN} characters.")
    made = backend.instances.create(account, fields, str(token or ""), request.now)
    return _shown(backend, request, replace(made, creation_status="REQUESTED"))


def change(backend: Backend, request: Request) -> Response:
    """PUT /amc/instances/{id}: once it has been created."""
    if request.instance.creation_status != "COMPLETED":
        raise not_ready(request.instance)
    asked = request.document()
    fields = _checked({name: asked[name] for name in _CHANGEABLE if asked.get(name) is not None})
    return _shown(backend, request, backend.instances.change(request.instance, fields, request.now))


def delete(backend: Backend, request: Request) -> Response:
    """DELETE /amc/instances/{id}, with everything in it."""
    for row in backend.store.rows("data_sets", instance_id=request.instance.instance_id, after="", limit=-1):
        delete_files(backend.directory, row)
    with backend.store.transaction():
        backend.instances.delete(request.instance)
        wake_account(backend, request.instance, micros(request.now))
    return Response(status=204)


def update_customer_aws_account(backend: Backend, request: Request) -> Response:
    """POST /amc/instances/{id}/updateCustomerAwsAccount: from now on, results go to the customer's bucket."""
    asked = request.document()
    if not asked.get("awsAccountId") or not asked.get("bucketName"):
        raise bad("awsAccountId and bucketName are required.")
    fields = _checked({"awsAccountId": asked["awsAccountId"], "s3BucketName": asked["bucketName"]})
    backend.instances.change(request.instance, fields, request.now)
    return Response(document={"cfnBucketUrl": f"{_STACKS}?param_BucketName={quote(fields['s3BucketName'])}"})


def account_of(request: Request) -> tuple[str, str]:
    """The account that the headers name: its id and marketplace."""
    names = ("amazon-advertising-api-advertiserid", "amazon-advertising-api-marketplaceid")
    entity, marketplace = (request.headers.get(name, "") for name in names)
    return entity, marketplace


def _own_account(backend: Backend, request: Request) -> tuple[str, str]:
    account = account_of(request)
    if account not in backend.instances.accounts():
        raise Refusal(403, UNAUTHORIZED)
    return account


def _checked(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields if they are valid. Raises Refusal."""
    for name, pattern, what in (
        ("instanceName", _NAME, "3 to 50 letters, digits and spaces"),
        ("advertiserName", _NAME, "3 to 50 letters, digits and spaces"),
        ("awsAccountId", _AWS_ACCOUNT, "12 digits"),
        ("s3BucketName", _BUCKET, "the name of an S3 bucket"),
    ):
        if name in fields and not pattern.fullmatch(str(fields[name])):
            raise bad(f"Invalid {name}: it must be {what}.")
    _check_partners(fields.get("acrCustomerPartners", []))
    return fields


def _check_partners(partners: object) -> None:
    if not isinstance(partners, list) or len(partners) > _MOST_PARTNERS:
        raise bad(f"acrCustomerPartners must be a list of at most {_MOST_PARTNERS} partners.")
    for each in partners:
        abilities = each.get("abilities", []) if isinstance(each, Mapping) else None
        if abilities not in ([], ["CAN_RECEIVE_RESULTS"]):
            raise bad("acrCustomerPartners: abilities may only be CAN_RECEIVE_RESULTS.")


def _shown(backend: Backend, request: Request, known: SandboxInstance) -> Response:
    return Response(document={"instance": _instance(backend, request, known)})


def _instance(backend: Backend, request: Request, known: SandboxInstance) -> dict[str, Any]:
    """An instance with the keys of a live answer, in their order."""
    is_there = known.creation_status == "COMPLETED"
    types = {kind for _, kind in of_instance(backend, known, request.now)}
    made_at = f"{known.created_at:%Y-%m-%dT%H:%M:%SZ}" if known.created_at and is_there else None
    return {
        "instanceId": known.instance_id,
        "instanceName": known.name,
        "instanceType": known.instance_type,
        "customerCanonicalName": known.advertiser_name,
        "creationStatus": known.creation_status,
        "creationDatetime": made_at,
        "s3BucketName": known.bucket_name if is_there else "",
        "s3BucketRegion": "us-east-1",
        "awsAccountId": known.aws_account_id,
        "entities": ["NA"],
        "dataUploadAwsAccountId": "",
        "apiEndpoint": "https://advertising-api.amazon.com" if is_there else None,
        "acrCollaboration": {"id": collaboration_id(known)} if known.partners is not None else None,
        "optionalDatasets": [],
        "advertiserTypes": [kind for kind in TYPES if kind in types],
    }


def collaboration(_: Backend, request: Request) -> Response:
    """GET /amc/instances/{id}/collaboration: that of AWS Clean Rooms, if the instance has one; read only."""
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
