"""The sandbox over HTTP: a Starlette app that passes every request to `Sandbox.respond`, and its server."""

from __future__ import annotations

import socket
import threading
from typing import Self

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from amci.kernel.errors import UsageError
from amci.sandbox.service import Sandbox

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_GRACE = 1  #: seconds a request may still take when the server is stopped


def app(sandbox: Sandbox) -> Starlette:
    """An ASGI app in front of a sandbox."""

    async def answer(request: Request) -> Response:
        body = await request.body()
        asked = {name.lower(): value for name, value in request.headers.items()}
        url = str(request.url)
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


class Server:
    """The sandbox on a port of this machine while the `with` block lasts."""

    def __init__(self, sandbox: Sandbox, host: str = "127.0.0.1", port: int = 0) -> None:
        """Port 0 takes any free port."""
        self._host, self._port = host, port
        config = uvicorn.Config(
            app(sandbox),
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
            self._socket = socket.create_server((self._host, self._port), family=family)
        except OSError as error:
            raise UsageError(
                f"cannot listen on {self._host}:{self._port}: {error.strerror}",
                hint="choose another port with --port; 0 takes any that is free",
            ) from error
        # The socket listens already: connections wait in its queue until the thread is ready.
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    @property
    def url(self) -> str:
        """The base URL of its routes."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._socket.getsockname()[1]}"
