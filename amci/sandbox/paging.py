"""`nextToken`: where the next page begins, unreadable from outside as AMC's are."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any, TypeVar

from amci.sandbox.errors import bad
from amci.sandbox.http import Request, Response

Item = TypeVar("Item")


def token(after: object) -> str:
    """The token of the page that begins after `after`."""
    return base64.urlsafe_b64encode(f"after:{after}".encode()).decode()


def after(text: str | None, first: str) -> str:
    """Inverse of `token`; `first` where there is none. Raises Refusal."""
    if not text:
        return first
    try:
        marker, colon, value = base64.urlsafe_b64decode(text.encode()).decode().partition(":")
    except (binascii.Error, ValueError) as error:
        raise bad("Invalid nextToken.") from error
    if (marker, colon) != ("after", ":"):
        raise bad("Invalid nextToken.")
    return value


def number_after(text: str | None, first: int) -> int:
    """`after` for pages that are ordered by a number."""
    value = after(text, str(first))
    if not value.isdecimal():
        raise bad("Invalid nextToken.")
    return int(value)


def cut(items: Sequence[Item], limit: int) -> tuple[Sequence[Item], bool]:
    """The first `limit` of items that were asked for with one more than that, and whether there is more."""
    return items[:limit], len(items) > limit


def whole(request: Request, name: str, items: Sequence[Any]) -> Response:
    """A page of a list that is known whole; administration says null where there is no more."""
    start, limit = number_after(request.query.get("nextToken"), 0), request.limit()
    shown, is_more = cut(items[start : start + limit + 1], limit)
    return Response(document={name: list(shown), "nextToken": token(start + limit) if is_more else None})
