"""The administration of AMC: accounts, instances, their advertisers and collaborations (amc-api 2.1)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from amci.kernel.errors import UsageError
from amci.workflows.amc import wire
from amci.workflows.amc.client_base import AmcClientBase, items, made, segment
from amci.workflows.amc.model import Account, Advertiser, Instance

_INSTANCES = "/amc/instances"
_MOST_ADVERTISERS = 10  #: to add, and to remove, in one update (amc-api 1.6)
_LONGEST_TOKEN = 36


class Administration(AmcClientBase):
    """What concerns the AMC account and its instances."""

    def accounts(self) -> list[Account]:
        """The AMC accounts this login may see."""
        keys = ("accountId", "marketplaceId")
        found = self._all("/amc/accounts", "amcAccounts", *keys, params={}, has_account=False)
        return [wire.account(item) for item in found]

    def instances(self) -> list[Instance]:
        """The instances of the tenant's AMC account."""
        return [wire.instance(item) for item in self._all(_INSTANCES, "instances", "instanceId")]

    def instance(self, instance_id: str) -> Instance:
        """One instance; Refused(404) if there is none."""
        return wire.instance(self._call("GET", _instance(instance_id)).document)

    def create_instance(self, definition: Mapping[str, Any]) -> Instance:
        """Ask for a new instance, which AMC then makes: see its `creation_status` by `instance`.

        Safe to repeat: for ten minutes the same definition means the same instance, as its token is made of it.
        """
        token = {"idempotencyToken": self._token(definition)}
        return made(self._call("POST", _INSTANCES, body=token | dict(definition)), wire.instance)

    def update_instance(self, instance_id: str, changes: Mapping[str, Any]) -> Instance:
        """Change an instance that is COMPLETED, and see how it stands then; Refused(404) if there is none."""
        self._call("PUT", _instance(instance_id), body=changes)
        return self.instance(instance_id)

    def delete_instance(self, instance_id: str) -> bool:
        """Delete an instance and all that is in it; False if there was none."""
        return self._found("DELETE", _instance(instance_id)) is not None

    def update_customer_aws_account(self, instance_id: str, aws_account_id: str, bucket_name: str) -> str:
        """Have results delivered into a bucket of one's own AWS account.

        Returns the link to the CloudFormation stack that makes the bucket. Sent once.
        """
        path = f"{_instance(instance_id)}/updateCustomerAwsAccount"
        body = {"awsAccountId": aws_account_id, "bucketName": bucket_name}
        answer = self._call("POST", path, body=body, is_repeatable=False)
        return made(answer, lambda found: wire.required(found, "cfnBucketUrl"))

    def advertisers(self) -> list[Advertiser]:
        """The advertisers whose events are in the tenant's instance."""
        # One advertiser may be there once for each type.
        found = self._all(self._own("/advertisers"), "advertisers", "id", "type", "marketplaceId")
        return [wire.advertiser(item) for item in found]

    def start_advertiser_update(
        self, add: Sequence[Advertiser] = (), remove: Sequence[Advertiser] = ()
    ) -> dict[str, Any]:
        """Ask for advertisers to come into the tenant's instance and to leave it; the update as it stands.

        Ten each at most, else UsageError. Sent once; Refused while another update is open.
        """
        _check_number(add, remove)
        body = {
            "advertisersToAdd": [wire.advertiser_body(advertiser) for advertiser in add],
            "advertisersToRemove": [wire.advertiser_body(advertiser) for advertiser in remove],
        }
        answer = self._call("POST", self._own("/advertisers/updates"), body=body, is_repeatable=False)
        return made(answer, wire.advertiser_update)

    def advertiser_updates(self) -> list[dict[str, Any]]:
        """All advertiser updates of the tenant's instance: `updateId` and `status`."""
        found = self._all(self._own("/advertisers/updates"), "advertiserUpdates", "updateId")
        return [wire.advertiser_update(item) for item in found]

    def advertiser_update(self, update_id: int) -> dict[str, Any] | None:
        """One advertiser update, as AMC spells it; None if there is none."""
        found = self._found("GET", self._own(f"/advertisers/updates/{update_id}"))
        return wire.advertiser_update(found.document) if found else None

    def collaboration(self) -> dict[str, Any] | None:
        """The AWS Clean Rooms collaboration behind the tenant's instance; None if there is none."""
        return self._one(self._own("/collaboration"), "collaboration")

    def id_mapping_tables(self) -> list[dict[str, Any]]:
        """The ID mapping tables of the collaboration."""
        return self._posted("/collaboration/idmappingtables/list", "idMappingTables")

    def id_namespaces(self) -> list[dict[str, Any]]:
        """The ID namespaces of the collaboration."""
        return self._posted("/collaboration/idnamespaces/list", "collaborationIdNamespaceAssociations")

    def _posted(self, path: str, name: str) -> list[dict[str, Any]]:
        """A list that AMC gives to POST: it changes nothing, so it is repeated as a GET is."""
        own = self._own(path)
        found = items(
            lambda asked: self._call("POST", own, body={"maxResults": 100, **asked}), name, ("id",), {}
        )
        return [dict(item) for item in found]

    def _own(self, path: str) -> str:
        """Of the tenant's instance."""
        return f"{_INSTANCES}/{self._instance_id()}{path}"

    def _token(self, definition: Mapping[str, Any]) -> str:
        """The same for the same request."""
        said = json.dumps([self._account(), definition], sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()[:_LONGEST_TOKEN]


def _instance(instance_id: str) -> str:
    return f"{_INSTANCES}/{segment(instance_id)}"


def _check_number(add: Sequence[Advertiser], remove: Sequence[Advertiser]) -> None:
    if not add and not remove:
        raise UsageError("no advertiser to add or to remove", hint="name one at least")
    if max(len(add), len(remove)) > _MOST_ADVERTISERS:
        raise UsageError(
            f"{len(add)} advertisers to add and {len(remove)} to remove are too many for one update",
            hint=f"AMC takes {_MOST_ADVERTISERS} each; send the others when this update has ended",
        )
