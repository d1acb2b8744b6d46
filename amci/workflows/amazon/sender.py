"""The one place that sends requests to AMC: in turn, repeated within bounds, with errors of ours."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

import httpx

from amci.kernel.clock import Clock, stopwatch
from amci.kernel.errors import OutcomeUnknown, RemoteError, Unavailable, UsageError
from amci.kernel.exchange import within
from amci.tenants.credentials import Credential
from amci.workflows.amazon import transport
from amci.workflows.amazon.answers import Answer, Exchange, NotNow, refusal
from amci.workflows.amazon.circuit_breaker import CircuitBreaker, Turn
from amci.workflows.amazon.kept_connections import KeptAnswer, KeptConnections
from amci.workflows.amazon.login import LwaAuth, refuses_token, signature
from amci.workflows.amazon.rate_limiter import RateLimiter
from amci.workflows.amazon.retry import RequestRetry

#: Raised before anything of the request was sent.
_NOT_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.LocalProtocolError,
)


@dataclass(frozen=True, slots=True)
class SignedConnections:
    """Asks one of Amazon's hosts over kept connections; threads may share it."""

    kept: KeptConnections
    auth: LwaAuth
    base: str  #: where paths begin
    headers: dict[str, str]  #: of every request, with names in lower case

    @classmethod
    def like(cls, http: httpx.Client, kept: KeptConnections, auth: LwaAuth) -> SignedConnections:
        """What asks as `http` does."""
        return cls(kept, auth, str(http.base_url).rstrip("/"), dict(http.headers))

    def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None,
        content: bytes | None,
    ) -> SignedRequest | None:
        """What can be sent; None if it takes httpx to send it, or to say what is wrong with it."""
        query = f"?{urlencode(params)}" if params else ""
        own = {name.lower(): value for name, value in headers.items()}
        request = SignedRequest(self, method, f"{self.base}{path}{query}", self.headers | own, content)
        return request if self.kept.takes(request.url, request.headers) else None


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request that is signed when it is sent."""

    by: SignedConnections
    method: str
    url: str
    headers: Mapping[str, str]
    content: bytes | None

    def send(self) -> KeptAnswer | httpx.Response:
        """The answer, read; that with another token if the first is refused. Raises as httpx does."""
        credential = self.by.auth.current()
        answer = self._answer(credential)
        if refuses_token(answer.status_code, lambda: answer.content):
            answer = self._answer(self.by.auth.renewed(credential))
        return answer

    def _answer(self, credential: Credential) -> KeptAnswer | httpx.Response:
        headers = {**self.headers, **signature(credential)}
        answer = self.by.kept.ask(self.method, self.url, headers, self.content)
        if isinstance(answer, httpx.Response):
            transport.bound_answer(answer)
            with closing(answer):
                answer.read()
        else:
            answer.read(transport.MOST)
        return answer


@dataclass(frozen=True, slots=True)
class RequestSender:
    """Sends what is asked of one AMC instance; threads may share it."""

    http: httpx.Client  #: signs requests and follows no redirects
    breaker: CircuitBreaker
    limit: RateLimiter
    retry: RequestRetry
    clock: Clock
    signed: SignedConnections | None = None  #: sends what is plain, if it may

    def call(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        is_repeatable: bool = True,
    ) -> Answer:
        """AMC's answer to a request it carried out.

        A request that is not repeatable is sent once: OutcomeUnknown if AMC may have carried it out.
        Raises the errors of `refusal`, and CircuitOpen if the instance is given a rest.
        """
        request = self._built(method, path, headers, params, body)
        if not is_repeatable:
            return self._once(request, is_repeatable=False)
        return self.retry.call(lambda: self._once(request, is_repeatable=True))

    def _built(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
    ) -> httpx.Request | SignedRequest:
        # As ASCII: JSON may hold halves of UTF-16, which UTF-8 has none of.
        content = None if body is None else json.dumps(body, separators=(",", ":"), allow_nan=False).encode()
        if self.signed and (plain := self.signed.request(method, path, headers, params, content)):
            return plain
        try:
            return self.http.build_request(method, path, headers=headers, params=params, content=content)
        # An id that no header or address can carry.
        except (httpx.InvalidURL, UnicodeError) as error:
            raise UsageError(
                f"'{path}' cannot be asked of AMC", hint="check the tenant's ids in config/tenants/"
            ) from error

    def _once(self, request: httpx.Request | SignedRequest, *, is_repeatable: bool) -> Answer:
        with self.breaker.turn() as turn:
            self.limit.take()
            sent_at, began = self.clock.now(), stopwatch()

            def exchange(**answered: Any) -> Mapping[str, Any]:
                url, took = str(request.url), stopwatch() - began
                return Exchange.of(request.method, url, sent_at, took, **answered).document()

            try:
                with within(transport.PATIENCE):
                    response = (
                        request.send() if isinstance(request, SignedRequest) else self.http.send(request)
                    )
            except httpx.RequestError as error:
                unanswered = self._unanswered(error, turn, is_repeatable=is_repeatable)
                unanswered.exchange = exchange(failure=type(error).__name__)
                raise unanswered from None
            answer = Answer.of(response.status_code, response.headers, response.content, self.clock.now())
            answer = replace(answer, exchange=exchange(status=answer.status, request_id=answer.request_id))
            refused = _refused(answer, turn, is_repeatable=is_repeatable)
            if refused is None and request.method == "GET" and not isinstance(answer.document, Mapping):
                refused = Unavailable("AMC's answer was empty or cut short", request_id=answer.request_id)
            if refused:
                refused.exchange = answer.exchange
                raise refused
            return answer

    def _unanswered(self, error: httpx.RequestError, turn: Turn, *, is_repeatable: bool) -> RemoteError:
        """Its own text is left out: it may hold a header, and so a token."""
        where, kind = self.http.base_url.host, type(error).__name__
        is_sent = not isinstance(error, _NOT_SENT)
        says = f"{where} did not answer ({kind})" if is_sent else f"no connection to {where} ({kind})"
        turn.failed(says)
        if is_sent and not is_repeatable:
            return _unknown(says)
        return Unavailable(says, hint="check the network and any proxy; amci tries again by itself")


def _refused(answer: Answer, turn: Turn, *, is_repeatable: bool) -> RemoteError | None:
    """The error an answer stands for, if it stands for one, noted in the circuit."""
    refused = refusal(answer)
    if isinstance(refused, NotNow):
        turn.failed(str(refused))
        return refused if is_repeatable else _unknown(str(refused))
    turn.answered()
    return refused


def _unknown(says: str) -> OutcomeUnknown:
    return OutcomeUnknown(
        f"{says}; AMC may have carried the request out",
        hint="amci looks for what it may have made before it asks again",
    )
