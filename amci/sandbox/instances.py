"""Instances: those of the options, those created by clients, and what was changed about either (amc-api 2.1)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from sqlite3 import Row
from typing import Any

from amci.kernel.clock import new_id
from amci.sandbox.errors import UNAUTHORIZED, Refusal, bad, missing
from amci.sandbox.options import SandboxInstance, SandboxOptions, bucket_of
from amci.sandbox.store import Store
from amci.sandbox.times import from_micros, micros

#: AMC's account: id and marketplace.
Account = tuple[str, str]

_STEPS = ("REQUESTED", "SUBMITTED", "IN_PROGRESS")
_TOKEN_LASTS = timedelta(minutes=10)
_EVERYTHING_IN_IT = ("forget_workflows", "forget_schedules", "forget_executions", "forget_queue", "forget_audiences",
                      "forget_data_sets", "forget_uploads", "forget_deletions", "forget_used")  # fmt: skip


class Instances:
    """Finds, creates, changes and deletes instances."""

    def __init__(self, store: Store, options: SandboxOptions) -> None:
        self._store = store
        self._options = options
        self._configured = {known.instance_id: known for known in options.instances}
        self._rows: dict[str, Row | None] = {}  #: as they were last read
        self._ids: dict[Account, list[str]] = {}

    def refresh(self) -> None:
        """Forget cached rows if another process has changed the store."""
        if self._store.has_foreign_changes():
            self._forget()

    def get(self, instance_id: str, now: datetime) -> SandboxInstance | None:
        """The instance as it is at `now`; None if it does not exist, or was deleted."""
        row = self._row(instance_id)
        if row is None:
            return self._configured.get(instance_id)
        return None if row["is_deleted"] else self._instance(row, now)

    def admitted(
        self, instance_id: str, entity: str, marketplace: str | None, now: datetime
    ) -> SandboxInstance:
        """The instance as it is at `now`, for a client of its account; without a marketplace, of any.

        Raises Refusal: 403 for an instance of another account, 404 for one that was deleted.
        """
        account = self.account_of(instance_id)
        if account is None or account[0] != entity or marketplace not in (None, account[1]):
            raise Refusal(403, UNAUTHORIZED)
        known = self.get(instance_id, now)
        if known is None:
            raise missing("Instance", instance_id)
        return known

    def is_alone(self, instance_id: str) -> bool:
        """Whether it is the only instance of the options."""
        return list(self._configured) == [instance_id]

    def accounts(self) -> dict[Account, str]:
        """The AMC accounts, each with the name of an instance."""
        return {known.account: known.name for known in self._configured.values()}

    def of_account(self, account: Account, now: datetime) -> list[SandboxInstance]:
        """The instances of an account: those of the options, then the others in order of creation."""
        ids = [known.instance_id for known in self._configured.values() if known.account == account]
        present = [self.get(instance_id, now) for instance_id in ids]
        return [known for known in present if known] + [self._instance(r, now) for r in self._made(account)]

    def ids_of(self, account: Account) -> list[str]:
        """The ids of an account's instances; a deleted one of the options is among them."""
        if account not in self._ids:
            ids = [instance_id for instance_id, known in self._configured.items() if known.account == account]
            self._ids[account] = ids + [row["instance_id"] for row in self._made(account)]
        return self._ids[account]

    def account_of(self, instance_id: str) -> Account | None:
        """The account of an instance; None if the sandbox does not know it."""
        if configured := self._configured.get(instance_id):
            return configured.account
        row = self._row(instance_id)
        return (row["entity_id"], row["marketplace_id"]) if row else None

    def create(
        self, account: Account, fields: Mapping[str, Any], token: str, now: datetime
    ) -> SandboxInstance:
        """A new instance, or the one that this idempotency token created in the last ten minutes. Raises Refusal."""
        entity_id, marketplace_id = account
        named = {"entity_id": entity_id, "marketplace_id": marketplace_id}
        with self._store.transaction():
            since = micros(now - _TOKEN_LASTS)
            row = self._store.row("instance_by_token", token=token, since=since, **named) if token else None
            if row is None:
                instance_id = f"amc{new_id()[:8]}"
                kept = {"asked": fields, **fields}
                kept.setdefault("s3BucketName", bucket_of(instance_id, fields["instanceName"]))
                self._store.do(
                    "new_instance",
                    instance_id=instance_id,
                    fields=json.dumps(kept),
                    token=token or None,
                    now=micros(now),
                    **named,
                )
                self._forget()
                row = self._row(instance_id)
        if row is None or json.loads(row["fields"])["asked"] != fields:
            raise bad("idempotencyToken was used for a request with other parameters.")
        return self._instance(row, now)

    def change(self, known: SandboxInstance, fields: Mapping[str, Any], now: datetime) -> SandboxInstance:
        """The instance with these fields changed."""
        with self._store.transaction():
            row = self._row(known.instance_id)
            # the bucket keeps its name if the instance is renamed
            had = json.loads(row["fields"]) if row else {"s3BucketName": known.bucket_name}
            self._keep(known, {**had, **fields}, is_deleted=False)
        return self.get(known.instance_id, now) or known

    def delete(self, known: SandboxInstance) -> None:
        """Delete an instance with everything in it; its id is kept."""
        with self._store.transaction():
            self._keep(known, {}, is_deleted=True)
            for forget in _EVERYTHING_IN_IT:
                self._store.do(forget, instance_id=known.instance_id)

    def _keep(self, known: SandboxInstance, fields: Mapping[str, Any], *, is_deleted: bool) -> None:
        self._store.do(
            "change_instance",
            instance_id=known.instance_id,
            entity_id=known.entity_id,
            marketplace_id=known.marketplace_id,
            fields=json.dumps(fields),
            is_deleted=int(is_deleted),
        )
        self._forget()

    def _forget(self) -> None:
        self._rows.clear()
        self._ids.clear()

    def _row(self, instance_id: str) -> Row | None:
        if instance_id not in self._rows:
            self._rows[instance_id] = self._store.row("instance", instance_id=instance_id)
        return self._rows[instance_id]

    def _made(self, account: Account) -> list[Row]:
        return self._store.rows("instances_made", entity_id=account[0], marketplace_id=account[1])

    def _instance(self, row: Row, now: datetime) -> SandboxInstance:
        fields = json.loads(row["fields"])
        known = self._configured.get(row["instance_id"]) or SandboxInstance(
            instance_id=row["instance_id"],
            entity_id=row["entity_id"],
            marketplace_id=row["marketplace_id"],
            name=fields["instanceName"],
            creation_status=self._status(now - from_micros(row["created_at"])),
            created_at=from_micros(row["created_at"]),
            partners=tuple(fields.get("acrCustomerPartners") or ()) if fields.get("acrBacked") else None,
        )
        return replace(
            known,
            name=fields.get("instanceName") or known.name,
            advertiser_name=fields.get("advertiserName") or known.advertiser_name,
            aws_account_id=fields.get("awsAccountId") or known.aws_account_id,
            bucket=fields.get("s3BucketName") or known.bucket,
        )

    def _status(self, age: timedelta) -> str:
        """The creation status of an instance of this age: each step takes a third of the time."""
        takes = self._options.creating
        return "COMPLETED" if not takes or age >= takes else _STEPS[max(0, age * len(_STEPS) // takes)]
