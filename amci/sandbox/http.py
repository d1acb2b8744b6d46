"""A request as it came and a response as it goes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from amci.sandbox.errors import bad
from amci.sandbox.options import SandboxInstance

_MOST = 100  #: items on a page (amc-api 1.6)
_encoded = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request."""

    method: str
    base: str  #: scheme and host it was sent to
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]  #: names in lower case
    body: bytes
    now: datetime
    parts: Mapping[str, str] = field(default_factory=dict)  #: the variable parts of the path
    known_instance: SandboxInstance | None = None

    @property
    def instance(self) -> SandboxInstance:
        """The instance the path names; only routes of an instance have one."""
        if self.known_instance is None:
            raise LookupError(self.path)
        return self.known_instance

    def document(self) -> dict[str, Any]:
        """The JSON object in the body, whatever the content type says."""
        try:
            document = json.loads(self.body or b"null")
        except ValueError as error:
            raise bad("The request body is not valid JSON.") from error
        if not isinstance(document, dict):
            raise bad("The request body must be a JSON object.")
        return document

    def limit(self) -> int:
        """How many items a page may have."""
        text = self.query.get("limit") or str(_MOST)
        if not text.isdecimal() or not 1 <= int(text) <= _MOST:
            raise bad(f"limit must be between 1 and {_MOST}.")
        return int(text)


def request(method: str, url: str, headers: Mapping[str, str], body: bytes, now: datetime) -> Request:
    """Take a request apart; a parameter that is empty counts as absent."""
    split = urlsplit(url)
    return Request(
        method=method.upper(),
        base=f"{split.scheme}://{split.netloc}" if split.netloc else "",
        path=unquote(split.path),
        query=dict(parse_qsl(split.query)),
        headers=headers,
        body=body,
        now=now,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """One HTTP response; status 0 means that no answer comes, -1 that there is no connection."""

    status: int = 200
    document: Any = None  #: sent as JSON where there is no `content`
    content: bytes | None = None
    media: str = "application/json"

    def body(self) -> bytes:
        """What is sent."""
        if self.content is not None:
            return self.content
        return b"" if self.document is None else _encoded(self.document).encode()


def page(name: str, items: Sequence[Any], token: str | None) -> Response:
    """A list under its name, with `nextToken` where there is more."""
    document: dict[str, Any] = {name: list(items)}
    if token:
        document["nextToken"] = token
    return Response(document=document)


def is_true(value: object) -> bool:
    """Clients send `true` as well as `"true"`."""
    return str(value).lower() == "true"
