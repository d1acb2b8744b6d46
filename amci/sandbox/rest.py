"""The sandbox over HTTP: a Starlette app that passes every request to `Sandbox.respond`, and its server."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Self
from urllib.parse import urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from amci.kernel.errors import UsageError
from amci.sandbox.errors import Refusal
from amci.sandbox.service import Sandbox, refused_unread

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_GRACE = 1  #: seconds a request may still take when the server is stopped
_LARGEST = 10 * 1024**2  #: bytes of a body; Amazon's API gateway takes no more
_PATIENCE = 30  #: seconds until a body has to be there
_OURS = frozenset({"localhost", "127.0.0.1", "::1"})
_ANY = frozenset({"0.0.0.0", "::"})  # noqa: S104 - only compared


def app(sandbox: Sandbox, host: str = "127.0.0.1") -> Starlette:
    """An ASGI app in front of a sandbox that listens on `host`."""

    async def answer(request: Request) -> Response:
        url = str(request.url)
        try:
            _check_source(request, host)
            body = await _body(request)
        except Refusal as refusal:
            now = sandbox.backend.clock.now()
            status, headers, content = refused_unread(request.method, url, refusal, now)
            # What was not read would be taken for the next request.
            return Response(content, status, dict(headers) | {"connection": "close"})
        asked = {name.lower(): value for name, value in request.headers.items()}
        status, headers, content = await run_in_threadpool(
            lambda: sandbox.respond(request.method, url, asked, body)
        )
        if status <= 0:
            # A connection that is open cannot be refused: wait until the client gives up.
            while (await request.receive())["type"] != "http.disconnect":
                pass
            return Response()
        return Response(content, status, dict(headers))

    return Starlette(routes=[Route("/{path:path}", answer, methods=_METHODS)])


def _check_source(request: Request, host: str) -> None:
    """Raise Refusal for a request of a web page: of another origin, or to a name that a page made up for this host."""
    origin = request.headers.get("origin")
    try:
        named, comes_from = request.url.hostname or "", origin and urlsplit(origin).netloc
    except ValueError:
        raise Refusal(400, "Host or Origin cannot be read.") from None
    if host not in _ANY and named not in _OURS | {host}:
        raise Refusal(403, f"Host {named} is not served here.")
    if origin is not None and comes_from != request.headers.get("host"):
        raise Refusal(403, "Requests of other origins are not served.")


async def _body(request: Request) -> bytes:
    """The body; raises Refusal if it is too large or does not come."""
    body = bytearray()
    try:
        async with asyncio.timeout(_PATIENCE):
            async for chunk in request.stream():
                body += chunk
                if len(body) > _LARGEST:
                    raise Refusal(413, f"The request body is larger than {_LARGEST} bytes.")
    except TimeoutError:
        raise Refusal(408, "The request body did not come in time.") from None
    return bytes(body)


class Server:
    """The sandbox on a port of this machine while the `with` block lasts."""

    def __init__(self, sandbox: Sandbox, host: str = "127.0.0.1", port: int = 0) -> None:
        """Port 0 takes any free port."""
        self._host, self._port = host, port
        config = uvicorn.Config(
            app(sandbox, host),
            log_config=None,
            access_log=False,
            lifespan="off",
            http="h11",
            loop="asyncio",
            ws="none",
            timeout_graceful_shutdown=_GRACE,
        )
        self._server = uvicorn.Server(config)

    def __enter__(self) -> Self:
        """Start to answer. Raises UsageError if the port is taken."""
        try:
            family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
            self.socket = socket.create_server((self._host, self._port), family=family)
            # Connections inherit it. asyncio sets it for sockets that it makes itself; else the second request of a
            # connection waits 40 ms for an acknowledgement.
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            raise UsageError(
                f"cannot listen on {self._host}:{self._port}: {error.strerror}",
                hint="choose another port with --port; 0 takes any that is free",
            ) from error
        # The socket listens already: connections wait in its queue until the thread is ready.
        self._thread = threading.Thread(target=self._server.run, args=([self.socket],), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()
        self.socket.close()

    @property
    def url(self) -> str:
        """The base URL of its routes."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self.socket.getsockname()[1]}"
