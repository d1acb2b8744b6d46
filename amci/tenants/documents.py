"""Tenants from the documents people have: amci's own, and the AWS solution's `customer_details` (aws-solution 1.1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from pydantic import ConfigDict, Field

from amci.kernel.config import Strict, parsed
from amci.kernel.errors import ConfigError, Problem
from amci.tenants.checks import doubts, faults
from amci.tenants.model import Tenant

_LISTS = ("customers", "tenants")
_ENVELOPE = "customer_details"
#: Keys of versions before the solution's last; it ignored them too.
_OLD = ("endpoint_url", "aws_red_account_id")
#: The path of each field of a tenant in a document of the AWS solution.
_TENANT_FIELDS = MappingProxyType(
    {
        "tenant": "customer_id",
        "name": "customer_name",
        "auth_id": "auth_id",
        "instance_id": "amc.instance_id",
        "advertiser_id": "amc.amazon_ads_advertiser_id",
        "marketplace_id": "amc.amazon_ads_marketplace_id",
        "region": "amc.amazon_ads_marketplace_id",
    }
)
_BUCKET_FIELDS = ("bucket_name", "bucket_account", "bucket_region", "aws_orange_account_id", *_OLD)


class _Aws(Strict):
    """Values as people pasted them: numbers for ids, blanks around them."""

    model_config = ConfigDict(coerce_numbers_to_str=True, str_strip_whitespace=True)


class AmcDetails(_Aws):
    """The nested `amc`."""

    instance_id: str = Field(min_length=1)
    """AMC instance."""
    amazon_ads_advertiser_id: str = Field(min_length=1)
    """AMC account id."""
    amazon_ads_marketplace_id: str = Field(min_length=1)
    """Its marketplace."""
    aws_orange_account_id: str = ""
    """Not used."""
    bucket_name: str = ""
    """Not used."""


class CustomerDetails(_Aws):
    """What `customer_details` holds."""

    customer_id: str = Field(min_length=1)
    """The tenant's id."""
    customer_name: str = Field(min_length=1)
    """Display name."""
    auth_id: str | None = None
    """Which credentials."""
    bucket_exists: bool = True
    """Not used; text `"true"` and `"false"` too."""
    bucket_account: str | None = None
    """Not used."""
    bucket_region: str | None = None
    """Not used."""
    amc: AmcDetails
    """The AMC instance."""


@dataclass(frozen=True, slots=True)
class Given:
    """What a document says."""

    tenants: tuple[Tenant, ...]
    notes: tuple[str, ...]  #: what is not used, and what is odd; sentences
    unused: Mapping[str, tuple[str, ...]]  #: keys of the AWS solution's form without a place here, by tenant


def tenants_from(document: Any, shown: str, *, is_lenient: bool = False) -> Given:
    """The tenants of a document: one, a list, or a list under `customers` or `tenants`.

    Raises ConfigError with every problem of every tenant in it; `shown` names the document there.
    `is_lenient` also takes tenants of valid form that AMC would refuse.
    """
    tenants: list[Tenant] = []
    notes: list[str] = []
    unused: dict[str, tuple[str, ...]] = {}
    problems: list[Problem] = []
    for path, one in each_document(document):
        try:
            tenant, dropped = _tenant(one, shown, is_lenient)
        except ConfigError as error:
            problems += [Problem(shown, _joined(path, p.field), p.says) for p in error.problems]
            continue
        tenants.append(tenant)
        if dropped:
            unused[tenant.tenant] = dropped
            notes.append(_unused_note(tenant.tenant, dropped))
        notes += doubts(tenant)
    if not tenants and not problems:
        problems.append(Problem(shown, "", "it holds no tenant"))
    if problems:
        raise ConfigError(problems, hint="fix the fields named above; nothing was added")
    return Given(tuple(tenants), tuple(notes), unused)


def each_document(document: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Single documents out of lists, and out of lists under `customers` or `tenants`, with where each stands."""
    if isinstance(document, list):
        for position, one in enumerate(document):
            yield from each_document(one, _joined(path, str(position)))
    elif isinstance(document, Mapping) and len(document) == 1 and (name := next(iter(document))) in _LISTS:
        yield from each_document(document[name] or [], _joined(path, name))
    else:
        yield path, document


def is_customer(document: Mapping[str, Any]) -> bool:
    """Whether this is a `customer_details` document of the AWS solution, or its inside."""
    return _ENVELOPE in document or "customer_id" in document


def _joined(*parts: str) -> str:
    return ".".join(part for part in parts if part)


def _tenant(document: Any, shown: str, is_lenient: bool) -> tuple[Tenant, tuple[str, ...]]:
    """The tenant of one document, and the keys of it that are not used."""
    if not isinstance(document, Mapping):
        raise ConfigError([Problem(shown, "", "should be a mapping of keys to values")])
    if not is_customer(document):
        return _checked(document, shown, is_lenient), ()
    envelope = _ENVELOPE if _ENVELOPE in document else ""
    fields, unused = _customer(document, envelope, shown)
    try:
        return _checked(fields, shown, is_lenient), unused
    except ConfigError as error:
        raise ConfigError(
            [Problem(shown, _joined(envelope, _TENANT_FIELDS[p.field]), p.says) for p in error.problems]
        ) from None


def _customer(
    document: Mapping[str, Any], envelope: str, shown: str
) -> tuple[dict[str, str], tuple[str, ...]]:
    """The fields of a tenant in a document of the AWS solution, and its keys that mean nothing to amci.

    Raises ConfigError with every mistake, under the names that the solution uses.
    """
    details = document[envelope] if envelope else document
    problems = [
        Problem(shown, key, f"unknown key beside {_ENVELOPE}")
        for key in document
        if envelope and key != envelope
    ]
    if not isinstance(details, Mapping):
        problems.append(Problem(shown, envelope, "should be a mapping of keys to values"))
        raise ConfigError(problems)
    try:
        customer = parsed(CustomerDetails, _without_old(details), shown)
    except ConfigError as error:
        problems += [Problem(shown, _joined(envelope, p.field), p.says) for p in error.problems]
    if problems:
        raise ConfigError(problems)
    fields = {
        "tenant": customer.customer_id,
        "name": customer.customer_name,
        "instance_id": customer.amc.instance_id,
        "advertiser_id": customer.amc.amazon_ads_advertiser_id,
        "marketplace_id": customer.amc.amazon_ads_marketplace_id,
    } | ({"auth_id": customer.auth_id} if customer.auth_id else {})
    given = {**details, **details["amc"]}
    return fields, tuple(name for name in _BUCKET_FIELDS if given.get(name))


def _without_old(details: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in details.items() if key not in _OLD}
    if isinstance(kept.get("amc"), Mapping):
        kept["amc"] = {key: value for key, value in kept["amc"].items() if key not in _OLD}
    return kept


def _checked(fields: Mapping[str, Any], shown: str, is_lenient: bool) -> Tenant:
    tenant = parsed(Tenant, fields, shown)
    if not is_lenient and (wrong := faults(tenant)):
        raise ConfigError([Problem(shown, fault.field, fault.says) for fault in wrong])
    return tenant


def _unused_note(tenant_id: str, keys: tuple[str, ...]) -> str:
    where = f"files land in raw/{tenant_id}/, or in the directory that `raw:` names"
    return f"{tenant_id}: not used here: {', '.join(keys)}; {where}"
