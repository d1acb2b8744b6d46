"""Tenants from the documents people have: amci's own, and the AWS solution's `customer_details` (aws-solution 1.1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from amci.kernel import aws_documents
from amci.kernel.config import parsed
from amci.kernel.errors import ConfigError, Problem
from amci.tenants.checks import doubts, faults
from amci.tenants.model import Tenant

_LISTS = ("customers", "tenants")


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
    for path, one in _each(document, ""):
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


def _each(document: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The documents of single tenants, with where each stands."""
    if isinstance(document, list):
        for position, one in enumerate(document):
            yield from _each(one, _joined(path, str(position)))
    elif isinstance(document, Mapping) and len(document) == 1 and (name := next(iter(document))) in _LISTS:
        yield from _each(document[name] or [], _joined(path, name))
    else:
        yield path, document


def _joined(*parts: str) -> str:
    return ".".join(part for part in parts if part)


def _tenant(document: Any, shown: str, is_lenient: bool) -> tuple[Tenant, tuple[str, ...]]:
    """The tenant of one document, and the keys of it that are not used."""
    if not isinstance(document, Mapping):
        raise ConfigError([Problem(shown, "", "should be a mapping of keys to values")])
    if not aws_documents.is_customer(document):
        return _checked(document, shown, is_lenient), ()
    customer = aws_documents.customer(document, shown)
    try:
        return _checked(customer.fields, shown, is_lenient), customer.unused
    except ConfigError as error:
        problems = [Problem(shown, customer.key_of(p.field), p.says) for p in error.problems]
        raise ConfigError(problems) from None


def _checked(fields: Mapping[str, Any], shown: str, is_lenient: bool) -> Tenant:
    tenant = parsed(Tenant, fields, shown)
    if not is_lenient and (wrong := faults(tenant)):
        raise ConfigError([Problem(shown, fault.field, fault.says) for fault in wrong])
    return tenant


def _unused_note(tenant_id: str, keys: tuple[str, ...]) -> str:
    where = f"files land in raw/{tenant_id}/, or in the directory that `raw:` names"
    return f"{tenant_id}: not used here: {', '.join(keys)}; {where}"
