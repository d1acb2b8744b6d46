"""What is wrong with tenants beyond the form of their fields: one alone, and several beside each other."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from amci.kernel.errors import Problem
from amci.tenants.marketplaces import MARKETPLACES, nearest, shown
from amci.tenants.model import Tenant

_LONGEST_ID = 200


@dataclass(frozen=True, slots=True)
class TenantFault:
    """Something wrong with one field of a tenant."""

    field: str
    says: str


def faults(tenant: Tenant) -> list[TenantFault]:
    """What AMC would refuse, or never understand."""
    found = []
    if len(tenant.tenant.encode()) > _LONGEST_ID:
        found.append(
            TenantFault("tenant", f"should have at most {_LONGEST_ID} bytes: it names files and folders")
        )
    if not (tenant.instance_id.isascii() and (tenant.instance_id or "x").isalnum()):
        found.append(TenantFault("instance_id", "should be letters and digits only, such as amcab12cd34"))
    for field in ("advertiser_id", "marketplace_id"):
        value = getattr(tenant, field)
        if tenant.instance_id and not value:
            found.append(TenantFault(field, "field required if there is an instance_id"))
        elif value and not (value.isascii() and value.isprintable() and " " not in value):
            found.append(TenantFault(field, "should have no blanks and no special characters"))
    marketplace = MARKETPLACES.get(tenant.marketplace_id)
    if marketplace and marketplace.region != tenant.region:
        says = (
            f"{tenant.region} contradicts the marketplace: {marketplace.country} is in {marketplace.region}"
        )
        found.append(TenantFault("region", says))
    return found


def doubts(tenant: Tenant) -> list[str]:
    """What is odd and may be right all the same, in sentences."""
    found = []
    marketplace_id = tenant.marketplace_id
    if marketplace_id and marketplace_id not in MARKETPLACES:
        near = nearest(marketplace_id)
        meant = f" (did you mean {shown(near.marketplace_id)}?)" if near else ""
        found.append(
            f"{tenant.tenant}: amci does not know marketplace {marketplace_id}{meant}; region {tenant.region}"
        )
    if tenant.instance_id and not tenant.instance_id.startswith("amc"):
        found.append(f"{tenant.tenant}: AMC's instance ids begin with amc, {tenant.instance_id} does not")
    return found


def clashes(
    tenants: Mapping[str, Tenant], changed: Collection[str], home: Path, files: Mapping[str, str]
) -> list[Problem]:
    """What no two tenants may share, if one of them is among `changed`; `home` is the workspace.

    `files` has the names of the tenants' files; one that is not written yet is called by its id.
    """
    found = []
    for tenant, other in _pairs(tenants, changed):
        shown_file = files.get(tenant.tenant, f"tenant {tenant.tenant}")
        if tenant.table_prefix("") == other.table_prefix(""):
            says = f"'{tenant.table_prefix('')}' is tenant {other.tenant}'s already: their tables would mix"
            found.append(Problem(shown_file, "prefix", says))
        if tenant.raw and other.raw and _overlap(home / tenant.raw, home / other.raw):
            says = f"'{tenant.raw}' overlaps with tenant {other.tenant}'s: whose is a file there?"
            found.append(Problem(shown_file, "raw", says))
    return found


def shared(tenants: Mapping[str, Tenant], changed: Collection[str]) -> list[str]:
    """What two tenants share and may, though it is seldom meant; in sentences."""
    found = []
    for tenant, other in _pairs(tenants, changed):
        names = f"{tenant.tenant} and {other.tenant}"
        if tenant.instance_id and tenant.instance_id == other.instance_id:
            found.append(f"{names} have the same AMC instance, {tenant.instance_id}; they share its slots")
        if tenant.hash_value == other.hash_value:
            found.append(f"{names} have the same customer_hash; in shared tables their rows mix")
    return found


def _pairs(tenants: Mapping[str, Tenant], changed: Collection[str]) -> Iterator[tuple[Tenant, Tenant]]:
    """Each changed tenant with each other one, every pair once."""
    done = set()
    for tenant_id in changed:
        done.add(tenant_id)
        for other_id, other in tenants.items():
            if other_id not in done:
                yield tenants[tenant_id], other


def _overlap(one: Path, other: Path) -> bool:
    one, other = one.resolve(), other.resolve()
    return one.is_relative_to(other) or other.is_relative_to(one)
