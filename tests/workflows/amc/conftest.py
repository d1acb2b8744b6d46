"""AMC as a real HTTP server that answers by a script and remembers what it was asked."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from amci.kernel.config import AmcSettings
from amci.kernel.testing import FakeClock
from amci.tenants.credentials import Credential, MemoryCredentials
from amci.tenants.model import Tenant
from amci.workflows.amc.client import AmcClient
from amci.workflows.amc.connections import Connections

ACCESS, REFRESH, SECRET = "Atza|planted-access", "Atzr|planted-refresh", "planted-client-secret"
FOREVER = datetime(2099, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request as it arrived."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]  #: lower-case names
    body: Any


@dataclass(frozen=True, kw_only=True)
class Script:
    """One answer; `ends` "close" hangs up and "silence" says nothing, both after reading the request."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    ends: str = ""
    length: int | None = None  #: what Content-Length says, where it lies


class Amc:
    """Plays its script; the last answer stays. Tokens are given under /auth/o2/token without a script."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.logins = 0
        self._script: deque[Script] = deque()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def says(self, *documents: Any, status: int = 200, **more: Any) -> None:
        """Add answers: JSON of anything, bytes as they are."""
        for document in documents:
            body = document if isinstance(document, bytes) else json.dumps(document).encode()
            self._script.append(Script(status=status, body=body, **more))

    def close(self) -> None:
        self._over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def paths(self) -> list[str]:
        return [f"{asked.method} {asked.path}" for asked in self.asked]

    def _next(self, asked: Asked) -> Script:
        with self._lock:
            self.asked.append(asked)
            return self._script.popleft() if len(self._script) > 1 else self._script[0]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        amc = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                address = urlsplit(self.path)
                if address.path == "/auth/o2/token":
                    amc.logins += 1
                    token = {"access_token": f"Atza|fresh{amc.logins}", "expires_in": 3600}
                    return self.reply(Script(body=json.dumps(token).encode()))
                script = amc._next(
                    Asked(
                        method=self.command,
                        path=address.path,
                        query=dict(parse_qsl(address.query, keep_blank_values=True)),
                        headers={name.lower(): value for name, value in self.headers.items()},
                        body=json.loads(body) if body else None,
                    )
                )
                if script.ends:
                    self.close_connection = True
                    if script.ends == "silence":
                        amc._over.wait()
                    return None
                return self.reply(script)

            do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - http.server's names

            def reply(self, script: Script) -> None:
                self.send_response(script.status)
                for name, value in script.headers.items():
                    self.send_header(name, value)
                length = len(script.body) if script.length is None else script.length
                self.send_header("Content-Length", str(length))
                if script.length is not None:
                    self.close_connection = True
                self.end_headers()
                self.wfile.write(script.body)

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        return Handler


@pytest.fixture
def amc() -> Iterator[Amc]:
    server = Amc()
    yield server
    server.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def pauses() -> list[timedelta]:
    """What was waited for; the clock was turned by as much."""
    return []


@pytest.fixture
def tenant() -> Tenant:
    return Tenant(
        tenant="acme", instance_id="amcabc12345", advertiser_id="ENTITY1", marketplace_id="ATVPDKIKX0DER"
    )


@pytest.fixture
def connect(
    amc: Amc, clock: FakeClock, pauses: list[timedelta], tenant: Tenant
) -> Iterator[Callable[..., AmcClient]]:
    """Makes a tenant's client with settings of one's own."""
    opened = []

    def wait(pause: timedelta) -> None:
        pauses.append(pause)
        clock.turn(pause)

    def connected(of: Tenant = tenant, transport: Any = None, **settings: Any) -> AmcClient:
        credential = Credential("amzn1.client", SECRET, REFRESH, access_token=ACCESS, expires_at=FOREVER)
        connections = Connections(
            AmcSettings(requests_per_second=0, **{"breaker_failures": 100} | settings),
            MemoryCredentials({"default": credential}),
            clock,
            transport=transport,
            base_url=None if transport else amc.url,
            pause=wait,
        )
        opened.append(connections)
        return connections.client(of)

    yield connected
    for connections in opened:
        connections.close()


@pytest.fixture
def client(connect: Callable[..., AmcClient]) -> AmcClient:
    return connect()
