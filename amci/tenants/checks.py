"""What is wrong with tenants beyond the form of their fields: one alone, and several beside each other."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from amci.kernel.errors import Problem
from amci.tenants.marketplaces import MARKETPLACES, nearest, shown
from amci.tenants.model import Tenant

_LONGEST_ID = 200

Key = TypeVar("Key", bound=Hashable)


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
    places = {name: (home / tenant.raw).resolve() for name, tenant in tenants.items() if tenant.raw}
    above = _grouped((place, name) for name, at in places.items() for place in (at, *at.parents))
    prefixes = _grouped((tenant.table_prefix(""), name) for name, tenant in tenants.items())
    found = []
    for tenant, other in _pairs(
        tenants, changed, [*prefixes.values(), *(above.get(place, ()) for place in set(places.values()))]
    ):
        shown_file = files.get(tenant.tenant, f"tenant {tenant.tenant}")
        if tenant.table_prefix("") == other.table_prefix(""):
            says = f"'{tenant.table_prefix('')}' is tenant {other.tenant}'s already: their tables would mix"
            found.append(Problem(shown_file, "prefix", says))
        if tenant.raw and other.raw and _overlap(places[tenant.tenant], places[other.tenant]):
            says = f"'{tenant.raw}' overlaps with tenant {other.tenant}'s: whose is a file there?"
            found.append(Problem(shown_file, "raw", says))
    return found


def shared(tenants: Mapping[str, Tenant], changed: Collection[str]) -> list[str]:
    """What two tenants share and may, though it is seldom meant; in sentences."""
    instances = _grouped((tenant.instance_id, name) for name, tenant in tenants.items() if tenant.instance_id)
    hashes = _grouped((tenant.hash_value, name) for name, tenant in tenants.items())
    found = []
    for tenant, other in _pairs(tenants, changed, [*instances.values(), *hashes.values()]):
        names = f"{tenant.tenant} and {other.tenant}"
        if tenant.instance_id and tenant.instance_id == other.instance_id:
            found.append(f"{names} have the same AMC instance, {tenant.instance_id}; they share its slots")
        if tenant.hash_value == other.hash_value:
            found.append(f"{names} have the same customer_hash; in shared tables their rows mix")
    return found


def _grouped(pairs: Iterable[tuple[Key, str]]) -> dict[Key, list[str]]:
    """By key, the names it has."""
    groups: dict[Key, list[str]] = {}
    for key, name in pairs:
        groups.setdefault(key, []).append(name)
    return groups


def _pairs(
    tenants: Mapping[str, Tenant], changed: Collection[str], groups: Iterable[Collection[str]]
) -> Iterator[tuple[Tenant, Tenant]]:
    """Each changed tenant with each other one that is in a group with it, every pair once."""
    beside: dict[str, set[str]] = {}
    for group in groups:
        for name in group if len(group) > 1 else ():
            beside.setdefault(name, set()).update(group)
    places = {name: place for place, name in enumerate(tenants)}
    done = set()
    for name in changed:
        done.add(name)
        for other in sorted(beside.get(name, set()) - done, key=places.__getitem__):
            yield tenants[name], tenants[other]


def _overlap(one: Path, other: Path) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)
