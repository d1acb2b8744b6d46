"""A transport that answers inside this process: the seam for the sandbox and for tests."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping
from functools import cache

import httpx

from amci.kernel.exchange import bounded_transport

#: What carries a request and brings the answer: the network, a recording, the sandbox.
Transport = httpx.BaseTransport

#: (method, URL, headers with lower-case names, body) → (status, headers, body)
Respond = Callable[[str, str, Mapping[str, str], bytes], tuple[int, Mapping[str, str], bytes]]

#: Connections of one process; more would only wait for AMC's own limits.
POOL = httpx.Limits(max_connections=100, max_keepalive_connections=20)

#: A status of `respond` that says: took the request, never answered.
NO_ANSWER = 0
#: A status of `respond` that says: there was no connection, the request was not sent.
NO_CONNECTION = -1

#: Bytes of an answer of the API. What is packed becomes a thousand times as long.
MOST, _MOST_PACKED = 64 * 1024**2, 256 * 1024
#: Seconds in which an exchange with the API, or the headers of a download, have to be whole.
PATIENCE = 120
#: A download may last longer if it is as fast as this.
BYTES_PER_SECOND = 1024


class BoundedStream(httpx.SyncByteStream):
    """A body that may not be endless. How slow it may be is a matter of `kernel.exchange`."""

    def __init__(self, inner: httpx.SyncByteStream, *, most: int) -> None:
        self._inner = inner
        self._most = most

    def __iter__(self) -> Iterator[bytes]:
        """The chunks as they come; raises ReadError of httpx."""
        size = 0
        for chunk in self._inner:
            size += len(chunk)
            if size > self._most:
                raise httpx.ReadError("too long")
            yield chunk

    def close(self) -> None:
        """Give the connection back."""
        self._inner.close()


def bound_answer(response: httpx.Response) -> None:
    """Bound what is read of an answer of the API; a hook of httpx."""
    if isinstance(response.stream, httpx.SyncByteStream):
        most = _MOST_PACKED if "content-encoding" in response.headers else MOST
        response.stream = BoundedStream(response.stream, most=most)


@cache
def trusted() -> ssl.SSLContext:
    """The certificates that httpx trusts. All connections share them: reading them takes 50 milliseconds."""
    return httpx.create_ssl_context()


def network() -> Transport:
    """The network itself, for a transport that looks over its shoulder."""
    inner = httpx.HTTPTransport(verify=trusted(), limits=POOL)
    bounded_transport(inner)
    return inner


class InProcess(Transport):
    """Hands each request to `respond` instead of the network."""

    def __init__(self, respond: Respond) -> None:
        self._respond = respond

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The answer; raises what httpx raises if there is none."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        status, answered, body = self._respond(request.method, str(request.url), headers, request.read())
        if status == NO_ANSWER:
            raise httpx.ReadTimeout("no answer", request=request)
        if status == NO_CONNECTION:
            raise httpx.ConnectError("no connection", request=request)
        # A stream, not content: content counts as read, and a download could not be streamed any more.
        return httpx.Response(status, headers=dict(answered), stream=httpx.ByteStream(body), request=request)
