"""What every call of an AMC client builds on: the tenant's ids, the account's headers, paths, envelopes, pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

from amci.kernel.errors import ConfigError, OutcomeUnknown, Problem, Refused, Unavailable, UsageError
from amci.tenants.model import Tenant
from amci.workflows.amazon.answers import Answer
from amci.workflows.amazon.sender import RequestSender
from amci.workflows.amc import wire
from amci.workflows.amc.wire import Document

Value = TypeVar("Value")

_NOT_FOUND = 404
PAGE: Mapping[str, str] = {"limit": "100"}


class AmcClientBase:
    """Asks AMC for one tenant.

    Every call raises AuthError, Refused, Throttled or Unavailable if AMC does, and ConfigError if the
    tenant lacks an id the call needs. What is sent once raises OutcomeUnknown if AMC may have done it.
    """

    def __init__(self, tenant: Tenant, caller: RequestSender) -> None:
        self._tenant = tenant
        self._caller = caller

    def _call(
        self, method: str, path: str, *, body: Mapping[str, Any] | None = None, is_repeatable: bool = True
    ) -> Answer:
        """In the name of the tenant's AMC account."""
        return self._caller.call(method, path, self._account(), body=body, is_repeatable=is_repeatable)

    def _one(self, path: str, name: str) -> dict[str, Any] | None:
        """One object, in either envelope, as AMC spells it; None if there is none."""
        found = self._found("GET", path)
        return dict(wire.unwrapped(found.document, name)) if found else None

    def _found(self, method: str, path: str) -> Answer | None:
        try:
            return self._call(method, path)
        except Refused as error:
            if error.status == _NOT_FOUND:
                return None
            raise

    def _all(
        self, path: str, name: str, *keys: str, params: Mapping[str, str] = PAGE, has_account: bool = True
    ) -> Iterator[Document]:
        """All objects of the list `name`, each once by its `keys`."""
        account = self._account() if has_account else {}
        return items(lambda asked: self._caller.call("GET", path, account, params=asked), name, keys, params)

    def _reported(self, name: str, key: str) -> list[dict[str, Any]]:
        return [dict(item) for item in self._all(self._reporting(f"/{name}"), name, key)]

    def _reporting(self, path: str) -> str:
        return f"/amc/reporting/{self._instance_id()}{path}"

    def _instance_id(self) -> str:
        return segment(self._needed("instance_id"))

    def _account(self) -> dict[str, str]:
        """The headers that say for which AMC account (amc-api 1.3)."""
        return {
            "Amazon-Advertising-API-AdvertiserId": self._needed("advertiser_id"),
            "Amazon-Advertising-API-MarketplaceId": self._needed("marketplace_id"),
        }

    def _needed(self, field: str) -> str:
        value: str = getattr(self._tenant, field)
        if not value:
            name = self._tenant.tenant
            raise ConfigError(
                [Problem(f"tenant {name}", field, "is needed to talk to AMC")],
                hint=f"`amci tenant update {name} {field}=…`",
            )
        return value


def made(answer: Answer, read: Callable[[Document], Value]) -> Value:
    """What AMC says it made; OutcomeUnknown if it says nothing that can be read."""
    try:
        return read(answer.document if isinstance(answer.document, Mapping) else {})
    except Refused as error:
        unknown = OutcomeUnknown(
            f"AMC took the request; {error}",
            request_id=answer.request_id,
            hint="look at what AMC has made before asking for it again; for executions amci does so by itself",
        )
        unknown.exchange = answer.exchange
        raise unknown from error


def segment(text: str) -> str:
    """One segment of a path; raises UsageError for what would lead to another path."""
    if text in ("", ".", ".."):
        raise UsageError(f"'{text}' is not an id", hint="give an id as AMC shows it")
    return quote(text, safe="")


_MOST_PAGES = 1000

#: Asks for the page with these query parameters.
Page = Callable[[Mapping[str, str]], Answer]


def items(page: Page, name: str, keys: Sequence[str], params: Mapping[str, str]) -> Iterator[Document]:
    """The objects of the list `name`, told apart by their `keys`: pages may shift between two calls.

    Raises Unavailable if an answer has no such list, Refused if the pages have no end.
    """
    seen: set[tuple[str, ...]] = set()
    for answer in _pages(page, name, params):
        found = wire.listed(answer.document, name)
        if found is None:
            raise Unavailable(f"AMC's answer has no list of {name}", request_id=answer.request_id)
        for item in found:
            identity = tuple(str(item.get(key)) for key in keys)
            if identity not in seen:
                seen.add(identity)
                yield item


def _pages(page: Page, name: str, params: Mapping[str, str]) -> Iterator[Answer]:
    tokens = {""}
    token = ""
    for _ in range(_MOST_PAGES):
        answer = page({**params, "nextToken": token} if token else params)
        yield answer
        token = wire.next_token(answer.document)
        if not token:
            return
        if token in tokens:
            break
        tokens.add(token)
    raise Refused(
        answer.status,
        f"AMC's list of {name} has no end",
        code="pages",
        request_id=answer.request_id,
        hint="this is a fault on AMC's side; try again later",
    )
