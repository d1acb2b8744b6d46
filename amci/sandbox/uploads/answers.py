"""How advertiser data uploads answer: error body, pages, and a list of all that is wrong (amc-api 1.5, 2.5)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from amci.kernel.clock import new_id
from amci.sandbox.backend import Backend
from amci.sandbox.errors import Refusal, bad
from amci.sandbox.http import Request, Response

Handler = Callable[[Backend, Request], Response]

_MOST = 100  #: items on a page
_COUNTRY = re.compile(r"[A-Z]{2}")


class Problems(Refusal):
    """400 with everything that is wrong with a request."""

    def __init__(self, said: Sequence[str]) -> None:
        super().__init__(400, " ".join(said))
        self.said = said


def checked(said: Sequence[str]) -> None:
    """Raise Problems where there are any."""
    if said:
        raise Problems(said)


def answering(handler: Handler) -> Handler:
    """The same handler, whose refusals have the error body of advertiser data uploads."""

    def answer(backend: Backend, request: Request) -> Response:
        try:
            return handler(backend, request)
        except Refusal as refusal:
            return refused(refusal)

    return answer


def refused(refusal: Refusal) -> Response:
    """`{code, details, errors, requestId}`."""
    said = refusal.said if isinstance(refusal, Problems) else [refusal.details]
    return Response(
        status=refusal.status,
        document={
            "code": str(refusal.status),
            "details": refusal.details,
            "errors": list(said),
            "requestId": new_id()[:20].upper(),
        },
    )


def parameters(request: Request) -> Mapping[str, str]:
    """What a list is asked for: in the query, or in the body as some clients send it."""
    sent = request.document() if request.body.strip() else {}
    return {name: str(value) for name, value in sent.items() if value not in (None, "")} | dict(request.query)


def most_of(asked: Mapping[str, str]) -> int:
    """`maxResults`; raises Refusal."""
    text = asked.get("maxResults") or str(_MOST)
    if not text.isdecimal() or not 1 <= int(text) <= _MOST:
        raise bad(f"maxResults must be between 1 and {_MOST}.")
    return int(text)


def country_problems(value: object) -> list[str]:
    """What is wrong with a country code that is set for a data set or an upload."""
    if value is None or (isinstance(value, str) and _COUNTRY.fullmatch(value)):
        return []
    return ["countryCode must be two capital letters (ISO 3166), such as US."]


def text_problems(document: Mapping[str, Any], *names: str) -> list[str]:
    """Which of these fields are there and are no text."""
    return [f"{name} must be a string." for name in names if not isinstance(document.get(name), str | None)]


def uuid() -> str:
    """A new id as AMC writes them."""
    digits = new_id()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
