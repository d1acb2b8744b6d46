"""The sandbox itself: advances to the present for each request, then answers as AMC would."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from amci.kernel.clock import Clock
from amci.kernel.errors import StorageError, UsageError
from amci.sandbox import login
from amci.sandbox.administration import account_of
from amci.sandbox.audiences.simulation import AudienceSimulator
from amci.sandbox.backend import Backend
from amci.sandbox.errors import Refusal, check_ready
from amci.sandbox.execution_end import PendingQuery, run
from amci.sandbox.faults import Faults, InjectedFault, afterwards, checked, instead
from amci.sandbox.http import Request, Response, request as parsed, request_id
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
from amci.sandbox.uploads.uploads import advance_uploads

#: Bytes of a body from which its SQL is read ahead.
_LONG = 4_000

Answer = tuple[int, Mapping[str, str], bytes]


class Sandbox:
    """AMC on this machine; its state is stored under `directory` and outlives the process. Threads may share it."""

    def __init__(self, directory: Path, clock: Clock, options: SandboxOptions | None = None) -> None:
        """Open the sandbox in `directory`, which is created if it is missing. Raises StorageError, StateError."""
        options = options or SandboxOptions()
        store = Store.open(directory / "sandbox.db", clock)
        self.faults = Faults()
        self.requests: Counter[str] = Counter()  #: method and path of a route → how often it was called
        self.backend = Backend(
            store=store,
            clock=clock,
            options=options,
            instances=Instances(store, options),
            queries=Queries(
                directory, options, lambda instance_id: uploaded_sources(self.backend, instance_id)
            ),
            key=bytes.fromhex(store.noted("key", os.urandom(32).hex())),
        )
        self._simulator = Simulator(self.backend)
        self._audiences = AudienceSimulator(self.backend)
        self._late: list[Request] = []  #: requests to be carried out at their `now`, without an answer
        self._lock = threading.RLock()
        self._is_closed = False

    def respond(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Answer one request: status, headers, body. `headers` has names in lower case.

        A fault may ask for no answer at all: then the status is 0, or -1 for no connection. Raises StorageError.
        """
        self.advance()
        self._read_ahead(parsed(method, url, headers, body, self.backend.clock.now()))
        with self._open():
            request = parsed(method, url, headers, body, self.backend.clock.now())
            if request.path.startswith("/sandbox/"):
                return _answer(_control(self.faults, self.requests, request), "application/json")
            match = route_of(request.method, request.path)
            self.requests[f"{request.method} {match[0].path if match else request.path}"] += 1
            fault = self.faults.take(request.method, request.path)
            if fault and fault.kind == "late":
                self._late.append(replace(request, now=request.now + timedelta(seconds=fault.seconds)))
            response = (instead(fault) if fault else None) or self._handled(request, match, fault)
            answer = _answer(response, _media(request, match[0] if match else None, response))
            if fault and fault.kind == "throttle":
                return answer[0], {**answer[1], "retry-after": str(fault.retry_after)}, answer[2]
            return answer

    def advance(self) -> None:
        """Advance to the present; meanwhile, requests are answered while a query runs or an upload is read.

        Raises StorageError.
        """
        self._carry_out_late_requests()
        now = micros(self.backend.clock.now())
        advance_uploads(self.backend, now)
        advance_deletions(self.backend, now)
        while queries := self._pending_queries():
            for query in queries:
                self._run(query)
        self._audiences.advance_to(micros(self.backend.clock.now()))

    def _carry_out_late_requests(self) -> None:
        with self._open():
            now = self.backend.clock.now()
            due = [request for request in self._late if request.now <= now]
            self._late = [request for request in self._late if request.now > now]
            for request in due:
                self._handled(request, route_of(request.method, request.path), None)

    def _pending_queries(self) -> list[PendingQuery]:
        with self._open():
            return self._simulator.advance_to(micros(self.backend.clock.now()))

    def _run(self, query: PendingQuery) -> None:
        try:
            result = run(self.backend.queries, query)
            with self._open():
                self._simulator.record(query, result)
        finally:
            self._simulator.release(query)

    def close(self) -> None:
        """Close the store and the DuckDB sessions; a query that is running is interrupted."""
        with self._lock:
            self._is_closed = True
            self.backend.queries.close()
            self.backend.store.close()

    @contextmanager
    def _open(self) -> Iterator[None]:
        """Hold the lock. Raises StorageError if the sandbox was closed, for instance while a query ran."""
        with self._lock:
            if self._is_closed:
                raise StorageError("the sandbox is closed")
            yield

    def _read_ahead(self, request: Request) -> None:
        """Read the SQL of a long request before it has the lock, which it then only has to remember.

        Reading takes seconds if there is much of it, in which others are answered.
        """
        match = route_of(request.method, request.path) if len(request.body) > _LONG else None
        if match is None or match[0].is_public:
            return
        route, parts = match
        # Whatever is wrong is said when it is its turn.
        with suppress(Refusal):
            with self._open():
                login.check(self.backend, request)
                known = self._admitted(route, parts.get("instanceId"), request)
            if known is not None:
                self.backend.queries.read_ahead(known.instance_id, request.document())

    def _handled(
        self, request: Request, match: tuple[Endpoint, dict[str, str]] | None, fault: InjectedFault | None
    ) -> Response:
        self.backend.fault = fault
        try:
            response = self._called(request, match)
        except Refusal as refusal:
            response = _refused(request, refusal)
        finally:
            self.backend.fault = None
        return afterwards(fault, response, request) if fault else response

    def _called(self, request: Request, match: tuple[Endpoint, dict[str, str]] | None) -> Response:
        if match is None:
            raise Refusal(404, "Not found")
        route, parts = match
        known = None
        if not route.is_public:
            login.check(self.backend, request)
            known = self._admitted(route, parts.get("instanceId"), request)
        return route.handler(self.backend, replace(request, parts=parts, known_instance=known))

    def _admitted(self, route: Endpoint, instance_id: str | None, request: Request) -> SandboxInstance | None:
        """The instance a path names; raises Refusal if the request's account may not see it."""
        if instance_id is None:
            return None
        known = self.backend.instances.admitted(instance_id, *account_of(request), request.now)
        if route.needs_all:
            check_ready(known)
        return known


def _refused(request: Request, refusal: Refusal) -> Response:
    """The error body of the family the request belongs to (amc-api 1.5)."""
    if request.path == "/auth/o2/token":
        return Response(status=refusal.status, document=login.refused(refusal))
    if request.path == "/amc/accounts":
        return Response(
            status=refusal.status, document={"message": refusal.details, "requestId": request_id()}
        )
    if request.path.startswith("/amc/advertiserData/"):
        return adu.refused(refusal)
    response = _error(refusal)
    if request.path.startswith("/amc/audiences/"):
        response.document["requestId"] = request_id()
    return response


def refused_unread(method: str, url: str, refusal: Refusal, now: datetime) -> Answer:
    """AMC's answer to a request that is refused before its body is read."""
    response = _refused(parsed(method, url, {}, b"", now), refusal)
    return _answer(response, response.media)


def answer_of(refusal: Refusal) -> Answer:
    """AMC's answer to what cannot be read as a request."""
    response = _error(refusal)
    return _answer(response, response.media)


def _error(refusal: Refusal) -> Response:
    document = {"code": str(refusal.status), "details": refusal.details}
    return Response(status=refusal.status, document=document)


def _media(request: Request, route: Endpoint | None, response: Response) -> str:
    """The content type: AMC calls its answers to all requests but GET a stream of octets (amc-api 1.3)."""
    if response.content is not None or route is None or route.is_public or response.status != 200:  # noqa: PLR2004 - HTTP
        return response.media
    return route.media if request.method == "GET" else "application/octet-stream"


def _answer(response: Response, media: str) -> Answer:
    name = request_id()
    headers = {"content-type": media, "x-amz-rid": name, "x-amz-request-id": name}
    return response.status, headers, response.body()


def _control(faults: Faults, requests: Mapping[str, int], request: Request) -> Response:
    """Answer the sandbox's own routes: set, list and clear faults, count requests."""
    document: dict[str, object] = {}
    try:
        match request.method, request.path:
            case "GET", "/sandbox/requests":
                document = {"requests": dict(requests)}
            case "GET", "/sandbox/faults":
                document = {"faults": faults.listed()}
            case "POST", "/sandbox/faults":
                faults.add(checked(request.document()))
            case "DELETE", "/sandbox/faults":
                faults.clear()
            case _:
                return _error(Refusal(404, "Not found"))
    except UsageError as error:
        return _error(Refusal(400, f"{error}; {error.hint}"))
    except Refusal as refusal:
        return _error(refusal)
    return Response(document=document)
