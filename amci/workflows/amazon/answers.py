"""What AMC answered, and which of our errors it is: statuses and texts in words a marketer understands."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from amci.kernel.clock import timestamp
from amci.kernel.errors import AuthError, Refused, RemoteError, Throttled, Unavailable
from amci.kernel.files import json_of
from amci.workflows.amazon.scrub_rules import without_secrets_or_links

_SECONDS = re.compile(r"\s*(\d{1,9})(?:\.\d+)?\s*")

_HALF = re.compile(rb"\\u[dD][89a-fA-F]|\xed[\xa0-\xbf]")
_encoded = json.JSONEncoder(ensure_ascii=False).encode

#: No pause that Amazon asks for is longer: the header may come from a proxy, or from a clock that is wrong.
_LONGEST_PAUSE = timedelta(hours=1)

#: Where AMC's families keep the text of an error, in this order (amc-api 1.5).
_TEXTS = ("message", "statusReason", "details", "messageSubject")
_LONGEST_TEXT = 2000
_LOGIN_HINT = "log in again with `amci auth login`"
_TERMS = "terms and conditions"
_TERMS_HINT = "somebody has to open the AMC console and accept Amazon's terms for this account"
_ACCESS_HINT = (
    "check instance_id, advertiser_id, marketplace_id and region of the tenant,"
    " and that the Amazon user who logged in may use this AMC account"
)
_HINTS = {
    HTTPStatus.BAD_REQUEST: "AMC says what is wrong with the request; correct it and try again",
    HTTPStatus.UNPROCESSABLE_ENTITY: "AMC says what is wrong with the request; correct it and try again",
    HTTPStatus.FORBIDDEN: _ACCESS_HINT,
    HTTPStatus.NOT_FOUND: "AMC does not know it under this instance_id and region, or does not know it any more",
}
_REDIRECT_HINT = (
    "amci follows no redirects, so that credentials reach Amazon only; check the address and region"
)


class LinkExpired(Refused):
    """The link to a file is no longer good, or never was; AMC hands out another one."""

    def __init__(self, code: str) -> None:
        says, hint = "the download link has expired", "amci asks for a new one"
        super().__init__(HTTPStatus.FORBIDDEN, says, code=code, hint=hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A request that was sent and how it was answered, without headers, bodies and values of its query."""

    method: str
    url: str  #: the query has its parameters' names only: a token may be the value of one
    sent_at: datetime
    seconds: float
    status: int | None = None  #: HTTP; None: no answer came
    request_id: str = ""
    failure: str = ""  #: why no answer came

    @classmethod
    def of(cls, method: str, url: str, sent_at: datetime, seconds: float, **answered: Any) -> Exchange:
        """`url` as it was sent."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
        names = "&".join(name for name, _ in parse_qsl(parts.query, keep_blank_values=True))
        shown = urlunsplit((parts.scheme, host + port, parts.path, names, ""))
        return cls(
            method=method, url=safe_text(shown), sent_at=sent_at, seconds=round(seconds, 3), **answered
        )

    def document(self) -> dict[str, Any]:
        """As JSON values, without what is empty."""
        values = {
            name: getattr(self, name)
            for name in ("method", "url", "status", "seconds", "request_id", "failure")
        }
        values["sent_at"] = timestamp(self.sent_at)
        return {name: value for name, value in values.items() if value not in (None, "")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An HTTP answer, read: AMC's Content-Type says nothing reliable about its body (amc-api 1.3)."""

    status: int
    document: Any = None  #: the JSON of the body; None if it is empty or no JSON
    request_id: str = ""
    retry_after: timedelta | None = None
    exchange: Mapping[str, Any] | None = field(default=None, compare=False)  #: how it came, as JSON values

    @classmethod
    def of(cls, status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> Answer:
        """`headers` finds names in any case."""
        document = _json(body)
        return cls(
            status=status,
            document=document,
            request_id=request_id(headers, document),
            retry_after=retry_after(headers.get("retry-after", ""), now),
        )

    @property
    def is_success(self) -> bool:
        """Whether AMC did what was asked."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES


class NotNow(Unavailable):
    """AMC answered that it cannot, for now."""

    def __init__(self, answer: Answer) -> None:
        said = error_text(answer.document)
        super().__init__(
            f"AMC answered with status {answer.status}" + (f": {said}" if said else ""),
            request_id=answer.request_id,
            hint="amci tries again by itself",
        )
        self.retry_after = answer.retry_after  #: as Amazon asked


def _json(body: bytes) -> Any:
    try:
        value = json_of(body)
        # Halves of a character cannot be stored, logged or sent.
        return json.loads(_encoded(value).encode(errors="replace")) if _HALF.search(body) else value
    # Text in no known encoding, or nested deeper than can be read, is not AMC's JSON either.
    except ValueError:
        return None


def retry_after(text: str, now: datetime) -> timedelta | None:
    """`Retry-After`, in seconds or as a date (RFC 9110 10.2.3), at most an hour; None if missing or unreadable."""
    if match := _SECONDS.fullmatch(text):
        return min(timedelta(seconds=int(match[1])), _LONGEST_PAUSE)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    pause = (at if at.tzinfo else at.replace(tzinfo=UTC)) - now
    return min(max(pause, timedelta()), _LONGEST_PAUSE)


def refusal(answer: Answer) -> RemoteError | None:
    """The error an answer stands for; None if AMC did what was asked."""
    if answer.is_success:
        return None
    said = error_text(answer.document)
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        return Throttled(
            "AMC was asked too often" + (f": {said}" if said else ""),
            retry_after=answer.retry_after,
            request_id=answer.request_id,
        )
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return NotNow(answer)
    if hint := _login_hint(answer.status, said):
        return AuthError(
            f"AMC does not accept this login: {said or 'it gives no reason'}",
            request_id=answer.request_id,
            hint=hint,
        )
    return Refused(
        answer.status,
        said or f"AMC refused with status {answer.status} and no text",
        code=error_code(answer.document),
        request_id=answer.request_id,
        hint=_hint(answer.status),
    )


def _login_hint(status: int, said: str) -> str:
    """What to do if the login is at fault: a 401, or a 403 that speaks of a token (amc-api 1.5)."""
    text = said.lower()
    if status == HTTPStatus.UNAUTHORIZED:
        return _TERMS_HINT if _TERMS in text else _LOGIN_HINT
    return _LOGIN_HINT if status == HTTPStatus.FORBIDDEN and "token" in text else ""


def _hint(status: int) -> str:
    if status < HTTPStatus.BAD_REQUEST:
        return _REDIRECT_HINT
    return next((hint for known, hint in _HINTS.items() if known == status), "")


def error_text(document: object) -> str:
    """What an error body of any family says, without what looks like a secret; empty if it says nothing."""
    if not isinstance(document, Mapping):
        return ""
    said = next((str(document[name]) for name in _TEXTS if document.get(name)), "")
    return safe_text(said)


def error_code(document: object) -> str:
    """AMC's `code` in an error body, usually the status as text."""
    return str(document.get("code") or "") if isinstance(document, Mapping) else ""


def request_id(headers: Mapping[str, str], document: object) -> str:
    """Amazon's id of the request, for its support; `headers` finds names in any case."""
    body = document.get("requestId") if isinstance(document, Mapping) else None
    found = headers.get("x-amz-rid") or headers.get("x-amz-request-id") or body or ""
    return safe_text(str(found))[:100]


def safe_text(text: str) -> str:
    """A text of AMC's for an error, the state and the log: bounded, printable, without what looks like a secret."""
    # Cut first, with room: what is long takes long to search.
    plain = text[: 2 * _LONGEST_TEXT]
    if not plain.isprintable():
        plain = "".join(c if c.isprintable() or c.isspace() else "\ufffd" for c in plain)
    return without_secrets_or_links(plain)[:_LONGEST_TEXT].strip()
