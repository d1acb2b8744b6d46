"""A tenant: an advertiser with an AMC instance, whose results arrive here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from amci.kernel.config import NotifySettings, Strict
from amci.kernel.errors import NotFound
from amci.kernel.names import near_or
from amci.tenants import marketplaces

Region = marketplaces.Region

#: Executions AMC runs at one time for one instance; surplus ones wait there (amc-api 1.6).
AMC_SLOTS = 10


class Tenant(Strict):
    """One file in config/tenants/."""

    tenant: str
    """Its id: the first folder of its keys, and AMC's `customerId`."""
    name: str = ""
    """Display name."""
    prefix: str = ""
    """First part of its tables' names; the id if empty."""
    customer_hash: str = ""
    """Value of the `customer_hash` partition; the id if empty."""
    shared_workflows: tuple[str, ...] = ()
    """Workflows whose results go to tables shared by all tenants (prefix `amc`)."""
    tags: tuple[str, ...] = ()
    """Free labels; workflows and schedules can be declared for all tenants with a tag."""
    region: Region = "NA"
    """Which of Amazon's hosts: `NA`, `EU` or `FE`; that of the marketplace if it is not given."""
    instance_id: str = ""
    """AMC instance; empty for a tenant whose files only arrive."""
    advertiser_id: str = ""
    """AMC account id (`ENTITY…`), sent as `Amazon-Advertising-API-AdvertiserId`."""
    marketplace_id: str = ""
    """Marketplace of the AMC account, such as `ATVPDKIKX0DER`."""
    auth_id: str = "default"
    """Which credentials of `amci auth`."""
    slots: Annotated[int, Field(ge=1, le=100_000)] = AMC_SLOTS
    """Executions of this tenant at one time."""
    raw: str = ""
    """A raw directory of its own, relative to the workspace or absolute; outside directories are only read.

    Its keys begin with `workflow=…`, as in a bucket of AMC's."""
    notify: tuple[NotifySettings, ...] = ()
    """Whom to tell of this tenant's runs, beside those in amci.yaml."""
    values: dict[str, Any] = Field(default={})
    """Values of this tenant for the parameters of workflows and schedules declared for many."""

    @model_validator(mode="before")
    @classmethod
    def _region_of_marketplace(cls, document: Any) -> Any:
        if isinstance(document, dict) and "region" not in document:
            marketplace_id = document.get("marketplace_id")
            found = marketplaces.MARKETPLACES.get(marketplace_id) if isinstance(marketplace_id, str) else None
            return document | {"region": found.region} if found else document
        return document

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

    @property
    def pool(self) -> str:
        """Whose slots its executions take."""
        return f"amc:{self.instance_id}"

    @property
    def account_pool(self) -> str:
        """Whose slots all executions of its AMC account take."""
        return f"amc-account:{self.advertiser_id}"


def tenant_named(tenants: Mapping[str, Tenant], name: str) -> Tenant:
    """The tenant called `name`; raises NotFound with a near name as the hint."""
    if name in tenants:
        return tenants[name]
    raise NotFound(
        f"no tenant '{name}'",
        hint=near_or(name, tenants, "`amci tenant list` shows the tenants"),
    )
