"""What provisioning asks of AMC, as protocols that the AMC client fulfils."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class AccountLike(Protocol):
    """An AMC account."""

    @property
    def account_id(self) -> str:
        """`ENTITY…`."""
        ...

    @property
    def name(self) -> str:
        """Display name."""
        ...

    @property
    def marketplace_id(self) -> str:
        """Its marketplace."""
        ...


class InstanceLike(Protocol):
    """An AMC instance."""

    @property
    def instance_id(self) -> str:
        """Its id."""
        ...

    @property
    def name(self) -> str:
        """Display name."""
        ...

    @property
    def creation_status(self) -> str:
        """`REQUESTED`, `SUBMITTED`, `IN_PROGRESS`, `COMPLETED` (once `SUCCEEDED`) or `FAILED` (amc-api 2.1)."""
        ...


class AmcAccess(Protocol):
    """AMC as one tenant sees it. Methods raise RemoteError."""

    def accounts(self) -> Sequence[AccountLike]:
        """The accounts the login sees."""
        ...

    def instances(self) -> Sequence[InstanceLike]:
        """The instances of the tenant's account."""
        ...

    def instance(self, instance_id: str) -> InstanceLike:
        """One instance."""
        ...

    def advertisers(self) -> Sequence[object]:
        """The advertisers in the tenant's instance."""
        ...
