"""HTTP requests and responses as handlers see them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from amci.kernel.clock import new_id
from amci.kernel.files import json_of
from amci.sandbox.errors import bad
from amci.sandbox.options import SandboxInstance

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
        """The instance that the path names. Raises LookupError for a route without an instance."""
        if self.known_instance is None:
            raise LookupError(self.path)
        return self.known_instance

    def document(self, wrapper: str = "") -> dict[str, Any]:
        """The JSON object in the body, whatever the content type says. Raises Refusal.

        If it wraps another object under the key `wrapper`, that one: AMC's documents show some bodies both ways.
        """
        try:
            document = json_of(self.body or b"null")
        except ValueError as error:
            raise bad("The request body is not valid JSON.") from error
        if not isinstance(document, dict):
            raise bad("The request body must be a JSON object.")
        inner = document.get(wrapper)
        return inner if isinstance(inner, dict) else document


def request(method: str, url: str, headers: Mapping[str, str], body: bytes, now: datetime) -> Request:
    """Parse a request; an empty parameter counts as absent."""
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
    """One HTTP response; status 0 stands for no answer at all, -1 for no connection."""

    status: int = 200
    document: Any = None  #: sent as JSON if there is no `content`
    content: bytes | None = None
    media: str = "application/json"

    def body(self) -> bytes:
        """What is sent."""
        if self.content is not None:
            return self.content
        return b"" if self.document is None else _encoded(self.document).encode()


def request_id() -> str:
    """A new id for AMC to name a request by."""
    return new_id()[:20].upper()


def is_true(value: object) -> bool:
    """Whether a field is true; clients send `true` as well as `"true"`."""
    return str(value).lower() == "true"
