"""Webhook notices: one signed POST."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import datetime, timedelta

import httpx

from amci.kernel.errors import Refused, Unavailable
from amci.kernel.exchange import bounded, within
from amci.kernel.notify.notice import Notice, NotifyTarget
from amci.kernel.version import __version__

#: Statuses of a server that is busy; a retry may help.
_BUSY = (408, 425, 429)
#: So many times the timeout of one read may the whole exchange last.
_EXCHANGE = 3
_OK, _REDIRECT, _CLIENT_ERROR, _SERVER_ERROR = 200, 300, 400, 500


def post(
    target: NotifyTarget, notice: Notice, *, key: str, secret: str, at: datetime, timeout: timedelta
) -> None:
    """POST the notice as JSON; raises Unavailable if a retry may help, Refused if not.

    `key` is the same for every attempt at one notice. Redirects are not followed: their targets are not configured.
    """
    content = json.dumps(notice.document(), separators=(",", ":")).encode()
    headers = {
        "Content-Type": "application/json",
        "Idempotency-Key": key,
        "User-Agent": f"amci/{__version__}",
    }
    if secret:
        headers["X-Amci-Signature"] = signature(secret, content, at)
    try:
        with (
            within(_EXCHANGE * timeout.total_seconds()),
            bounded(httpx.Client(timeout=timeout.total_seconds(), follow_redirects=False)) as client,
            client.stream("POST", target.url, content=content, headers=headers) as response,
        ):
            status = response.status_code
    except httpx.InvalidURL as error:
        raise Refused(0, "the address of the webhook cannot be used", hint="correct `notify.url`") from error
    except httpx.HTTPError as error:
        raise Unavailable(
            f"webhook {target.host} did not answer ({type(error).__name__})", hint="it is tried again"
        ) from error
    _check_status(status, target)


def signature(secret: str, content: bytes, at: datetime) -> str:
    """`t=<unix seconds>,v1=<HMAC-SHA-256 of "t.content" in hex>`."""
    stamp = str(int(at.timestamp()))
    made = hmac.new(secret.encode(), f"{stamp}.".encode() + content, hashlib.sha256).hexdigest()
    return f"t={stamp},v1={made}"


def _check_status(status: int, target: NotifyTarget) -> None:
    if _OK <= status < _REDIRECT:
        return
    if status >= _SERVER_ERROR or status in _BUSY:
        raise Unavailable(f"webhook {target.host} answered {status}", hint="it is tried again")
    is_redirect = _REDIRECT <= status < _CLIENT_ERROR
    hint = (
        "set `url` to where it leads" if is_redirect else "check its address and secret, then `amci redrive`"
    )
    raise Refused(status, f"webhook {target.host} answered {status}", hint=hint)
