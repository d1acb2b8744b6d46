"""Login with Amazon: issues tokens, and checks those of requests (amc-api 1.1, 1.3)."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl

from amci.kernel.clock import new_id
from amci.kernel.files import json_of
from amci.sandbox.backend import Backend
from amci.sandbox.errors import UNAUTHORIZED, Refusal
from amci.sandbox.http import Request, Response
from amci.sandbox.times import micros

_LIFETIME = timedelta(hours=1)


def give_token(backend: Backend, request: Request) -> Response:
    """POST /auth/o2/token: a form or JSON, whatever the content type says."""
    fields = _fields(request)
    grant = fields.get("grant_type", "")
    if grant not in ("refresh_token", "authorization_code"):
        raise _no("unsupported_grant_type", "The authorization grant type is not supported")
    wanted = "refresh_token" if grant == "refresh_token" else "code"
    for name in (wanted, "client_id", "client_secret"):
        if not fields.get(name):
            raise _no("invalid_request", f"The request is missing a required parameter : {name}")
    _check_client(backend, fields)
    with backend.store.transaction():
        refresh = _refreshed(backend, fields) if wanted == "refresh_token" else _exchanged(backend, fields)
        access = f"Atza|{new_id()}"
        now = micros(request.now)
        backend.store.do("forget_tokens", now=now)
        _keep(backend, access, "access", fields["client_id"], now + _LIFETIME // timedelta(microseconds=1))
    document = {
        "access_token": access,
        "refresh_token": refresh,
        "token_type": "bearer",
        "expires_in": int(_LIFETIME.total_seconds()),
    }
    return Response(document=document)


def check(backend: Backend, request: Request) -> None:
    """Raise Refusal unless the request has a valid access token and the id of its client."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    client_id = request.headers.get("amazon-advertising-api-clientid", "")
    if scheme.lower() != "bearer" or not token or not client_id:
        raise Refusal(401, UNAUTHORIZED)
    row = backend.store.row("token", token=_hash(token))
    if row is None or row["kind"] != "access":
        raise Refusal(401, "Not authorized to access this advertiser: invalid access token")
    if row["expires_at"] <= micros(request.now) or backend.meets("expired_token"):
        raise Refusal(401, "Access token has expired")
    if row["client_id"] != client_id:
        raise Refusal(403, UNAUTHORIZED)


def _fields(request: Request) -> dict[str, str]:
    """The form's fields; the AWS solution sends them as JSON without a content type."""
    text = request.body.decode("utf-8", "replace").strip()
    if text.startswith("{"):
        try:
            return {name: str(value) for name, value in json_of(text).items()}
        except ValueError:
            raise _no("invalid_request", "The request body cannot be read") from None
    return dict(parse_qsl(text))


def _check_client(backend: Backend, fields: dict[str, str]) -> None:
    known = {login.client_id: login.client_secret for login in backend.options.credentials}
    if known and known.get(fields["client_id"]) != fields["client_secret"]:
        raise Refusal(401, "Client authentication failed", error="invalid_client")


def _refreshed(backend: Backend, fields: dict[str, str]) -> str:
    """The refresh token to return with the new access token: the same one, or its replacement. Raises Refusal."""
    token, client_id = fields["refresh_token"], fields["client_id"]
    row = backend.store.row("token", token=_hash(token))
    listed = {(login.client_id, login.refresh_token) for login in backend.options.credentials}
    is_unknown = row is None and listed and (client_id, token) not in listed
    if is_unknown or (row and (row["is_spent"] or row["client_id"] != client_id)):
        raise _no("invalid_grant", "The request has an invalid grant parameter : refresh_token")
    if not backend.options.rotates_refresh_tokens:
        return token
    backend.store.do("spend_token", token=_hash(token), kind="refresh", client_id=client_id)
    return _new_refresh_token(backend, client_id)


def _exchanged(backend: Backend, fields: dict[str, str]) -> str:
    """A refresh token for an authorization code, which can be used once. Raises Refusal."""
    code, client_id = _hash(fields["code"]), fields["client_id"]
    if backend.store.row("token", token=code):
        raise _no("invalid_grant", "The request has an invalid grant parameter : code")
    backend.store.do("spend_token", token=code, kind="code", client_id=client_id)
    return _new_refresh_token(backend, client_id)


def _new_refresh_token(backend: Backend, client_id: str) -> str:
    token = f"Atzr|{new_id()}"
    _keep(backend, token, "refresh", client_id, 0)
    return token


def _keep(backend: Backend, token: str, kind: str, client_id: str, expires_at: int) -> None:
    backend.store.do("keep_token", token=_hash(token), kind=kind, client_id=client_id, expires_at=expires_at)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _no(error: str, description: str) -> Refusal:
    return Refusal(400, description, error=error)


def refused(refusal: Refusal) -> dict[str, Any]:
    """The error body of OAuth."""
    return {"error": refusal.error or "invalid_request", "error_description": refusal.details}
