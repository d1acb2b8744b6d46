"""The sandbox itself: takes a request, lets time do its work, and answers as AMC would."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from amci.kernel.clock import Clock, new_id
from amci.sandbox import login
from amci.sandbox.administration import account_of
from amci.sandbox.audiences.life import AudienceLife
from amci.sandbox.backend import Backend
from amci.sandbox.controls import control
from amci.sandbox.errors import TERMS, UNAUTHORIZED, Refusal, missing, not_ready
from amci.sandbox.execution_end import EndedExecution, run
from amci.sandbox.faults import Faults, InjectedFault, afterwards, instead
from amci.sandbox.http import Request, Response, request as parsed
from amci.sandbox.instances import Instances
from amci.sandbox.options import SandboxInstance, SandboxOptions
from amci.sandbox.queries import Queries
from amci.sandbox.routes import Endpoint, route_of
from amci.sandbox.simulation import Simulator
from amci.sandbox.store import Store
from amci.sandbox.times import micros
from amci.sandbox.uploads import answers as adu
from amci.sandbox.uploads.deletions import advance_deletions
from amci.sandbox.uploads.uploaded import uploaded_sources
from amci.sandbox.uploads.uploading import advance_uploads

Answer = tuple[int, Mapping[str, str], bytes]


class Sandbox:
    """AMC on this machine; what it knows lies under `directory` and outlives the process."""

    def __init__(self, directory: Path, clock: Clock, options: SandboxOptions | None = None) -> None:
        """Open the sandbox in `directory`, made where it is missing; raises StorageError."""
        options = options or SandboxOptions()
        store = Store(directory / "sandbox.db")
        self.faults = Faults()
        self.requests: Counter[str] = Counter()  #: how often each route was asked
        self._backend = Backend(
            store=store,
            clock=clock,
            options=options,
            instances=Instances(store, options),
            queries=Queries(
                directory, options, lambda instance_id: uploaded_sources(self._backend, instance_id)
            ),
            key=bytes.fromhex(store.noted("key", os.urandom(32).hex())),
        )
        self._advancing = Simulator(self._backend)
        self._audiences = AudienceLife(self._backend)
        self._lock = threading.RLock()

    def respond(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Answer one request; header names in lower case. Status 0: no answer comes; -1: no connection."""
        self.advance()
        with self._lock:
            request = parsed(method, url, headers, body, self._backend.clock.now())
            if request.path.startswith("/sandbox/"):
                return _answer(control(self.faults, self.requests, request), "application/json")
            found = route_of(request.method, request.path)
            self.requests[f"{request.method} {found[0].path if found else request.path}"] += 1
            fault = self.faults.take(request.method, request.path)
            response = (instead(fault) if fault else None) or self._carried_out(request, found, fault)
            answer = _answer(response, _media(request, found[0] if found else None, response))
            if fault and fault.kind == "throttle":
                return answer[0], {**answer[1], "retry-after": str(fault.retry_after)}, answer[2]
            return answer

    def advance(self) -> None:
        """Let time do its work; other requests are answered while a query runs or an upload is read."""
        now = micros(self._backend.clock.now())
        advance_uploads(self._backend, now)
        advance_deletions(self._backend, now)
        while work := self._advanced():
            for each in work:
                self._run(each)
        self._audiences.advance()

    def _advanced(self) -> list[EndedExecution]:
        with self._lock:
            return self._advancing.advance()

    def _run(self, work: EndedExecution) -> None:
        try:
            made = run(self._backend.queries, work)
            with self._lock:
                self._advancing.record(work, made)
        finally:
            self._advancing.let_go(work)

    def close(self) -> None:
        """Let go of files and queries."""
        with self._lock:
            self._backend.queries.close()
            self._backend.store.close()

    def _carried_out(
        self, request: Request, found: tuple[Endpoint, dict[str, str]] | None, fault: InjectedFault | None
    ) -> Response:
        self._backend.fault = fault
        try:
            response = self._answered(request, found)
        except Refusal as refusal:
            response = _refused(request, refusal)
        finally:
            self._backend.fault = None
        return afterwards(fault, response, request) if fault else response

    def _answered(self, request: Request, found: tuple[Endpoint, dict[str, str]] | None) -> Response:
        if found is None:
            raise Refusal(404, "Not found")
        route, parts = found
        known = None
        if not route.is_public:
            login.check(self._backend, request)
            known = self._admitted(route, parts.get("instanceId"), request)
        return route.handler(self._backend, replace(request, parts=parts, known_instance=known))

    def _admitted(self, route: Endpoint, instance_id: str | None, request: Request) -> SandboxInstance | None:
        """The instance a path names; Refusal where the request's account may not see that."""
        if instance_id is None:
            return None
        account, instances = account_of(request), self._backend.instances
        known = instances.get(instance_id, request.now)
        if known is None and instances.was_in(account, instance_id):
            raise missing("Instance", instance_id)
        if known is None or account != known.account:
            raise Refusal(403, UNAUTHORIZED)
        if route.needs_all:
            if not known.has_accepted_terms:
                raise Refusal(401, TERMS)
            if known.creation_status != "COMPLETED":
                raise not_ready(known)
        return known


def _refused(request: Request, refusal: Refusal) -> Response:
    """The error body of the family the request belongs to (amc-api 1.5)."""
    if request.path == "/auth/o2/token":
        return Response(status=refusal.status, document=login.refused(refusal))
    if request.path == "/amc/accounts":
        return Response(
            status=refusal.status, document={"message": refusal.details, "requestId": _request_id()}
        )
    if request.path.startswith("/amc/advertiserData/"):
        return adu.refused(refusal)
    said = {"code": str(refusal.status), "details": refusal.details}
    if request.path.startswith("/amc/audiences/"):
        said["requestId"] = _request_id()
    return Response(status=refusal.status, document=said)


def _media(request: Request, route: Endpoint | None, response: Response) -> str:
    """Live, AMC calls its answers to whatever changes something a stream of octets (amc-api 1.3)."""
    if response.content is not None or route is None or route.is_public or response.status != 200:  # noqa: PLR2004 - HTTP
        return response.media
    return route.media if request.method == "GET" else "application/octet-stream"


def _answer(response: Response, media: str) -> Answer:
    name = _request_id()
    headers = {"content-type": media, "x-amz-rid": name, "x-amz-request-id": name}
    return response.status, headers, response.body()


def _request_id() -> str:
    return new_id()[:20].upper()
