"""The sandbox over HTTP: an ASGI app that passes every request to `Sandbox.respond`, and its server."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from typing import Self
from urllib.parse import urlsplit

import h11
import uvicorn
from starlette.concurrency import run_in_threadpool
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from amci.kernel.errors import UsageError
from amci.sandbox.errors import Refusal
from amci.sandbox.service import Sandbox, answer_of, refused_unread

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
_GRACE = 1  #: seconds a request may still take when the server is stopped
_LARGEST = 10 * 1024**2  #: bytes of a body; Amazon's API gateway takes no more
_PATIENCE = 30  #: seconds until a body has to be there
_HEADERS = 10  #: seconds until a request line and headers have to be there
_KEPT = 5  #: seconds that a connection may be idle between two requests
_AHEAD = 1024**2  #: bytes of further requests that a connection may send before the one before is answered
_CONNECTIONS = 200  #: at one time; more are turned away
_OURS = frozenset({"localhost", "127.0.0.1", "::1"})
_ANY = frozenset({"0.0.0.0", "::"})  # noqa: S104 - only compared


def app(sandbox: Sandbox, host: str = "127.0.0.1") -> ASGIApp:
    """An ASGI app in front of a sandbox that listens on `host`."""

    def refused(request: Request, refusal: Refusal) -> Response:
        now = sandbox.backend.clock.now()
        # What is in the way of reading the address is not in the way of saying so.
        path = request.scope["path"]
        status, headers, content = refused_unread(request.method, path, refusal, now)
        # What was not read would be taken for the next request.
        return Response(content, status, dict(headers) | {"connection": "close"})

    async def answer(request: Request) -> Response:
        try:
            _check(request, host)
            url = str(request.url)
            body = await _body(request)
        except Refusal as refusal:
            return refused(request, refusal)
        except ClientDisconnect:
            # Nothing was asked, and there is no one to answer.
            return Response()
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

    async def failed(request: Request, _: Exception) -> Response:
        return refused(request, Refusal(500, "Internal error"))

    async def everything(scope: Scope, receive: Receive, send: Send) -> None:
        response = await answer(Request(scope, receive))
        await response(scope, receive, send)

    # No router: what there is not is refused as AMC refuses, not as Starlette does.
    return ServerErrorMiddleware(everything, handler=failed)


def _check(request: Request, host: str) -> None:
    """Raise Refusal for an unknown method, or a request of a web page.

    Such a page is of another origin, or it made up a name for this host.
    """
    if request.method not in _METHODS:
        raise Refusal(405, f"The method {request.method} is not supported.")
    origin = request.headers.get("origin")
    try:
        named = urlsplit(f"//{request.headers.get('host') or host}").hostname or ""
        comes_from = origin and urlsplit(origin).netloc
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


class _Connection(H11Protocol):
    """A connection that is closed if its request does not come, and on which errors are those of AMC."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request; turn away what is too much."""
        super().connection_made(transport)
        if len(self.connections) > _CONNECTIONS:
            self._end(503, "Too many connections.")
        else:
            self._await_request()

    def data_received(self, data: bytes) -> None:
        """Go on with the request, or with the next one."""
        if self._deadline is None and self.conn.their_state is h11.IDLE:
            self._await_request()
        super().data_received(data)
        if self._deadline is not None and self.conn.their_state is not h11.IDLE:
            self._deadline.cancel()
            self._deadline = None
        # uvicorn goes on reading while a request is answered, and keeps what comes.
        if self.conn.their_state is h11.DONE and len(self.conn.trailing_data[0]) > _AHEAD:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadline."""
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP; h11 says which status would be right."""
        error = sys.exc_info()[1]
        status = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else 400
        self._end(status, msg)

    def _await_request(self) -> None:
        self._deadline = self.loop.call_later(_HEADERS, self._end, 408, "The request did not come in time.")

    def _end(self, status: int, details: str) -> None:
        """Say what is wrong, if an answer has not begun yet, and close."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            answered, headers, content = answer_of(Refusal(status, details))
            fields = {**headers, "content-length": str(len(content)), "connection": "close"}
            parts = (
                h11.Response(status_code=answered, headers=list(fields.items())),
                h11.Data(data=content),
                h11.EndOfMessage(),
            )
            self.transport.write(b"".join(self.conn.send(part) or b"" for part in parts))
        self.transport.close()


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
            http=_Connection,
            timeout_keep_alive=_KEPT,
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
