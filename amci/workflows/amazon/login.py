"""Login with Amazon: consent, tokens, and the authentication of requests to AMC (amc-api 1.1, 1.3)."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx

from amci.kernel.clock import Clock
from amci.kernel.errors import AuthError, Throttled, Unavailable, UsageError
from amci.kernel.exchange import bounded, within
from amci.tenants.credentials import Credential, CredentialSource
from amci.tenants.model import Region
from amci.workflows.amazon import transport

#: Where tokens are asked for. A token is good in all regions.
TOKEN_URLS: Mapping[Region, str] = {
    "NA": "https://api.amazon.com/auth/o2/token",
    "EU": "https://api.amazon.co.uk/auth/o2/token",
    "FE": "https://api.amazon.co.jp/auth/o2/token",
}
_CONSENT_URLS: Mapping[Region, str] = {
    "NA": "https://www.amazon.com/ap/oa",
    "EU": "https://eu.account.amazon.com/ap/oa",
    "FE": "https://apac.account.amazon.com/ap/oa",
}
_SCOPE = "advertising::campaign_management"
#: A token is renewed this long before it ends, so that none ends on its way.
_AHEAD = timedelta(minutes=1)
_LIFE_SECONDS = 3600
_TIMEOUT_SECONDS = 30.0

_REFRESH_HINT = "the refresh token was revoked or belongs to another client: run `amci auth login`"
_CODE_HINT = (
    "a code is good once, for five minutes, and with the redirect URI it was made for:"
    " run `amci auth login` again"
)
_CLIENT_HINT = "client id and client secret do not belong together: enter them again with `amci auth set`"
_APPROVAL_HINT = (
    "Amazon has to approve this client for the Amazon Ads API; see its security profile at Amazon"
)
_OTHER_HINT = (
    "see whether a proxy stands in between; if not, enter the credentials again with `amci auth set`"
)
_HINTS = {
    "invalid_client": _CLIENT_HINT,
    "unauthorized_client": _APPROVAL_HINT,
    "invalid_scope": _APPROVAL_HINT,
    "access_denied": _REFRESH_HINT,
}


class LwaAuth(httpx.Auth):
    """Signs requests with an access token and renews it: a minute before it ends, and when AMC refuses it.

    Threads may share it. Many that meet an ended token cause one refresh: whoever comes second finds another token
    in the source. Token requests go through `client` if one is given.
    Raises AuthError if Login with Amazon refuses, Unavailable and Throttled if it cannot be asked.
    """

    def __init__(
        self,
        auth_id: str,
        source: CredentialSource,
        token_url: str,
        clock: Clock,
        *,
        client: httpx.Client | None = None,
    ) -> None:
        self._auth_id = auth_id
        self._source = source
        self._token_url = token_url
        self._clock = clock
        self._client = client
        self._lock = threading.Lock()

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send `request` signed, and a second time with another token if the first was refused."""
        credential = self.current()
        request.headers.update(signature(credential))
        response = yield request
        if refuses_token(response.status_code, response.read):
            request.headers.update(signature(self.renewed(credential)))
            yield request

    def current(self) -> Credential:
        """The credential, with an access token that is still good."""
        credential = self._source.get(self._auth_id)
        return self.renewed(credential) if self._is_due(credential) else credential

    def _is_due(self, credential: Credential) -> bool:
        if not credential.access_token:
            return True
        return credential.expires_at is not None and self._clock.now() >= credential.expires_at - _AHEAD

    def renewed(self, seen: Credential) -> Credential:
        """A credential with another access token than `seen` has."""

        def change(stored: Credential) -> Credential:
            if stored.access_token != seen.access_token and not self._is_due(stored):
                return stored
            return refresh(stored, self._token_url, self._clock, client=self._client, auth_id=self._auth_id)

        with self._lock:
            return self._source.update(self._auth_id, change)


def signature(credential: Credential) -> dict[str, str]:
    """The headers that say who asks."""
    return {
        "Authorization": f"Bearer {credential.access_token}",
        "Amazon-Advertising-API-ClientId": credential.client_id,
    }


def refuses_token(status: int, read: Callable[[], bytes]) -> bool:
    """401, but for terms that were not accepted; and the 403 that speaks of an expired token (amc-api 1.5)."""
    if status not in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        return False
    text = read().decode(errors="replace").lower()
    if status == httpx.codes.UNAUTHORIZED:
        return "terms and conditions" not in text
    return "token" in text and "expired" in text


def refresh(
    credential: Credential,
    token_url: str,
    clock: Clock,
    *,
    client: httpx.Client | None = None,
    auth_id: str = "default",
) -> Credential:
    """`credential` with a fresh access token, and with the new refresh token if Amazon gave one."""
    if not credential.refresh_token:
        raise AuthError(
            f"credentials '{auth_id}' have no refresh token",
            hint=f"give consent with `amci auth login {auth_id}`",
        )
    form = {"grant_type": "refresh_token", "refresh_token": credential.refresh_token}
    return _with_tokens(credential, form, token_url, clock, client, invalid_grant=_REFRESH_HINT)


def exchange_code(
    code: str,
    redirect_uri: str,
    *,
    client_id: str,
    client_secret: str,
    token_url: str,
    clock: Clock,
    client: httpx.Client | None = None,
) -> Credential:
    """The credential that an authorization code is good for."""
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
    credential = Credential(client_id, client_secret, refresh_token="")
    credential = _with_tokens(credential, form, token_url, clock, client, invalid_grant=_CODE_HINT)
    if not credential.refresh_token:
        raise AuthError("Login with Amazon gave no refresh token", hint="run `amci auth login` again")
    return credential


def consent_url(region: Region, client_id: str, redirect_uri: str, state: str) -> str:
    """The page where somebody who may see the AMC account gives consent; `state` comes back with the code."""
    asked = {
        "client_id": client_id,
        "scope": _SCOPE,
        "response_type": "code",
        "redirect_uri": redirect_uri,
        "state": state,
    }
    return f"{_CONSENT_URLS[region]}?{urlencode(asked)}"


def code_from(answer: str, state: str | None) -> str:
    """The authorization code in what a person pasted: the code, or the whole address they were sent to.

    Raises UsageError if there is none or the address answers another `state` (None: any), AuthError if
    consent was refused.
    """
    answer = answer.strip()
    if "://" not in answer:
        if not answer:
            raise UsageError("no code was given", hint="paste the address your browser was sent to")
        return answer
    values = {name: found[0] for name, found in parse_qs(urlsplit(answer).query).items()}
    if "error" in values:
        raise AuthError("Amazon was not given consent", hint="run `amci auth login` again and allow access")
    if not values.get("code"):
        raise UsageError(
            "that address holds no code", hint="paste the whole address, with what follows the '?'"
        )
    if state is not None and values.get("state", state) != state:
        raise UsageError("that address answers another login", hint="open the address printed last")
    return values["code"]


def _with_tokens(
    credential: Credential,
    form: Mapping[str, str],
    token_url: str,
    clock: Clock,
    client: httpx.Client | None,
    *,
    invalid_grant: str,
) -> Credential:
    whole = {**form, "client_id": credential.client_id, "client_secret": credential.client_secret}
    asked_at = clock.now()
    answer = _document(_posted(token_url, whole, client), invalid_grant)
    token, life = answer.get("access_token"), answer.get("expires_in", _LIFE_SECONDS)
    if not isinstance(token, str) or not token:
        raise _no_answer("Login with Amazon answered without a token")
    has_life = isinstance(life, int | float) and 0 < life <= timedelta(days=30).total_seconds()
    renewed = answer.get("refresh_token")
    return replace(
        credential,
        access_token=token,
        refresh_token=renewed if isinstance(renewed, str) and renewed else credential.refresh_token,
        expires_at=asked_at + timedelta(seconds=life if has_life else _LIFE_SECONDS),
    )


def _posted(token_url: str, form: Mapping[str, str], client: httpx.Client | None) -> httpx.Response:
    if client is None:
        hooks = {"response": [transport.bound_answer]}
        with bounded(httpx.Client(verify=transport.trusted(), event_hooks=hooks)) as own:
            return _posted(token_url, form, own)
    try:
        with within(transport.PATIENCE):
            return client.post(token_url, data=dict(form), timeout=_TIMEOUT_SECONDS, follow_redirects=False)
    except httpx.RequestError as error:
        raise _no_answer(f"Login with Amazon did not answer ({type(error).__name__})") from error


def _document(response: httpx.Response, invalid_grant: str) -> dict[str, Any]:
    """What Login with Amazon said; its own words are left out of errors, they may repeat a token."""
    try:
        document = response.json()
    except ValueError:  # not JSON, or not even text
        document = None
    document = document if isinstance(document, dict) else {}
    if response.is_success:
        return document
    status = response.status_code
    if status == httpx.codes.TOO_MANY_REQUESTS:
        raise Throttled("Login with Amazon was asked too often", retry_after=_pause(response))
    if not response.is_client_error:
        raise _no_answer(f"Login with Amazon answered with status {status}")
    error = str(document.get("error", ""))
    code = error if re.fullmatch(r"[a-z_]{1,40}", error) else f"status {status}"
    hint = _HINTS.get(code, _OTHER_HINT)
    raise AuthError(
        f"Login with Amazon refused: {code}", hint=invalid_grant if code == "invalid_grant" else hint
    )


def _pause(response: httpx.Response) -> timedelta | None:
    asked = response.headers.get("retry-after", "")
    return timedelta(seconds=min(int(asked), _LIFE_SECONDS)) if re.fullmatch(r"[0-9]{1,5}", asked) else None


def _no_answer(message: str) -> Unavailable:
    return Unavailable(message, hint="check the network and any proxy; amci tries again by itself")
