"""How advertiser data uploads answer: with an error body of their own, and all problems at once (amc-api 1.5, 2.5)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from amci.sandbox.errors import Refusal
from amci.sandbox.http import Request, Response, request_id

_COUNTRY = re.compile(r"[A-Z]{2}")


class InvalidRequest(Refusal):
    """400, with all problems of a request."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__(400, " ".join(problems))
        self.problems = problems


def check_none(problems: Sequence[str]) -> None:
    """Raise InvalidRequest if there are problems."""
    if problems:
        raise InvalidRequest(problems)


def refused(refusal: Refusal) -> Response:
    """`{code, details, errors, requestId}`."""
    problems = refusal.problems if isinstance(refusal, InvalidRequest) else [refusal.details]
    return Response(
        status=refusal.status,
        document={
            "code": str(refusal.status),
            "details": refusal.details,
            "errors": list(problems),
            "requestId": request_id(),
        },
    )


def parameters(request: Request) -> Mapping[str, str]:
    """The parameters of a list: in the query, or in the body as some clients send them. Raises Refusal."""
    sent = request.document() if request.body.strip() else {}
    return {name: str(value) for name, value in sent.items() if value not in (None, "")} | dict(request.query)


def country_problems(value: object) -> list[str]:
    """Problems of a country code that is set for a data set or an upload."""
    if value is None or (isinstance(value, str) and _COUNTRY.fullmatch(value)):
        return []
    return ["countryCode must be two capital letters (ISO 3166), such as US."]


def text_problems(document: Mapping[str, Any], *names: str) -> list[str]:
    """Problems of those of these fields that are set, but not to a string."""
    return [f"{name} must be a string." for name in names if not isinstance(document.get(name), str | None)]
