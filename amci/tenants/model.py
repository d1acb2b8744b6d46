"""A tenant: an advertiser whose AMC results arrive here."""

from __future__ import annotations

from pydantic import field_validator

from amci.config import Strict


class Tenant(Strict):
    """One file in config/tenants/."""

    tenant: str
    """Its id: the first folder of its keys, and AMC's `customerId`."""
    name: str = ""
    """Display name."""
    prefix: str = ""
    """First part of its tables' names; the id where empty."""
    customer_hash: str = ""
    """Value of the `customer_hash` partition; the id where empty."""
    shared_workflows: tuple[str, ...] = ()
    """Workflows whose results go to tables shared by all tenants (prefix `amc`)."""
    tags: tuple[str, ...] = ()
    """Free labels."""

    @field_validator("tenant")
    @classmethod
    def _one_folder(cls, value: str) -> str:
        if not value or "/" in value or value.startswith((".", "_")) or not value.isprintable():
            raise ValueError("should be a folder name: printable, no '/', not starting with '.' or '_'")
        return value

    def table_prefix(self, workflow_id: str) -> str:
        """The prefix of the table that takes the results of `workflow_id`."""
        return "amc" if workflow_id in self.shared_workflows else (self.prefix or self.tenant).lower()

    @property
    def hash_value(self) -> str:
        """The value of the `customer_hash` partition."""
        return (self.customer_hash or self.tenant).lower()
