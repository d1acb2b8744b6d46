"""Time limits for whole HTTP exchanges.

httpx's own timeouts are for each read and write: a server that sends a byte now and then, of its headers or of the
framing of its body, is never too slow for them. Here the network under a client of httpx is watched instead: within
the block of `within` everything together has to end in time, or bring enough bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import httpx

from amci.kernel.clock import stopwatch

if TYPE_CHECKING:
    from ssl import SSLContext


class _Limit:
    """How long an exchange may last."""

    def __init__(self, seconds: float, per_second: int, outer: _Limit | None) -> None:
        self._began = stopwatch()
        self._seconds = seconds
        self._per_second = per_second
        self._outer = outer
        self._bytes = 0

    def count(self, size: int) -> None:
        """So many bytes came."""
        self._bytes += size
        if self._outer:
            self._outer.count(size)

    def left(self) -> float:
        """Seconds until it has to be over; each enough bytes put that off by a second."""
        earned = self._bytes / self._per_second if self._per_second else 0
        left = self._began + max(self._seconds, earned) - stopwatch()
        return min(left, self._outer.left()) if self._outer else left


_LIMIT: ContextVar[_Limit | None] = ContextVar("limit", default=None)


@contextmanager
def within(seconds: float, *, per_second: int = 0) -> Iterator[None]:
    """Let all that a bounded client does in this block last no longer than this; else ReadTimeout of httpx.

    With `per_second`, it may last longer as long as so many bytes a second came since it began.
    """
    token = _LIMIT.set(_Limit(seconds, per_second, _LIMIT.get()))
    try:
        yield
    finally:
        _LIMIT.reset(token)


def bounded(client: httpx.Client) -> httpx.Client:
    """The client, whose network heeds `within`; also on its way through proxies."""
    for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001 - see `bounded_transport`
        bounded_transport(transport)
    return client


def bounded_transport(transport: httpx.BaseTransport | None) -> httpx.BaseTransport | None:
    """The transport, if it is a network whose connections then heed `within`."""
    if isinstance(transport, httpx.HTTPTransport):
        # httpx hands no network of one's own to httpcore, which would take one; a test fails if this moves.
        pool: Any = transport._pool  # noqa: SLF001
        pool._network_backend = _Network(pool._network_backend)  # noqa: SLF001
    return transport


def left(timeout: float | None) -> float | None:
    """What remains of a timeout within the limit; raises ReadTimeout of httpx if that is over."""
    limit = _LIMIT.get()
    if limit is None:
        return timeout
    remaining = limit.left()
    if remaining <= 0:
        raise httpx.ReadTimeout("the exchange took too long")
    return remaining if timeout is None else min(timeout, remaining)


def count(size: int) -> None:
    """Take note that so many bytes came, which may put the limit off."""
    if limit := _LIMIT.get():
        limit.count(size)


class _Network:
    """A network backend of httpcore."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, **more: Any) -> _Connection:
        """Connect; `more` is not looked at."""
        return _Connection(self._inner.connect_tcp(host, port, timeout=left(timeout), **more))

    def connect_unix_socket(self, path: str, timeout: float | None = None, **more: Any) -> _Connection:
        """Connect to a socket of this machine."""
        return _Connection(self._inner.connect_unix_socket(path, timeout=left(timeout), **more))

    def sleep(self, seconds: float) -> None:
        """Wait between two tries to connect."""
        self._inner.sleep(seconds)


class _Connection:
    """A network stream of httpcore."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What came next."""
        data: bytes = self._inner.read(max_bytes, timeout=left(timeout))
        count(len(data))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send all of it."""
        self._inner.write(buffer, timeout=left(timeout))

    def start_tls(
        self, ssl_context: SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> _Connection:
        """Go on encrypted."""
        return _Connection(self._inner.start_tls(ssl_context, server_hostname, left(timeout)))

    def get_extra_info(self, info: str) -> Any:
        """What httpcore asks about the socket."""
        return self._inner.get_extra_info(info)

    def close(self) -> None:
        """Hang up."""
        self._inner.close()
