"""Lists that come in pages: every object once, and an end to it (amc-api 2.0)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from amci.kernel.errors import Refused, Unavailable
from amci.workflows.amazon.answers import Answer
from amci.workflows.amc import wire
from amci.workflows.amc.wire import Document

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
