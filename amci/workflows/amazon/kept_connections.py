"""HTTP/1.1 over connections that are kept: what requests to AMC need of it, at a fifth of httpx's processor time.

Address and headers have to be plain (`KeptConnections.takes`), and no proxy in between; httpx sends everything else.
What is raised is what httpx raises.
"""

from __future__ import annotations

import io
import re
import select
import socket
import ssl
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.client import (
    BadStatusLine,
    HTTPConnection,
    HTTPException,
    HTTPResponse,
    LineTooLong,
    RemoteDisconnected,
)
from typing import TYPE_CHECKING, NamedTuple
from urllib.request import getproxies

import httpx

from amci.kernel import exchange
from amci.kernel.clock import stopwatch

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

#: An address that httpx would send as it stands.
_PLAIN = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9][a-z0-9.-]*)(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<target>/(?:[A-Za-z0-9._~:/@!$&*+,;=-]|%[0-9A-F]{2})*(?:\?(?:[A-Za-z0-9._~:/?@!$&*+,;=-]|%[0-9A-F]{2})*)?)"
)
_DOTS = re.compile(r"/\.{1,2}(?:[/?]|$)")
_VALUE = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_PORTS = {"http": 80, "https": 443}
#: Seconds for which a connection is kept that is not used, and how many of one host are.
_KEPT_SECONDS, _MOST_KEPT = 30.0, 20
#: Within so many seconds hardly a server closes one.
_SURELY_KEPT_SECONDS = 5.0
_BUFFER = 64 * 1024
_STATUS = re.compile(rb"HTTP/1\.(?P<minor>[01]) (?P<status>[1-9][0-9]{2})(?: [^\r\n]*)?\r?\n")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LONGEST_LINE, _MOST_HEADERS = 64 * 1024, 100
_HTTP_1_0 = 10


class _Origin(NamedTuple):
    scheme: str
    host: str
    port: int


def has_proxy() -> bool:
    """Whether this machine or process is told to reach the web through a proxy, which is left to httpx."""
    return bool(getproxies().keys() & {"http", "https", "all"})


class KeptConnections:
    """Connections to the hosts that were asked; threads may share it, each request has one for itself."""

    def __init__(self, agent: str, timeout: float, trusted: Callable[[], ssl.SSLContext]) -> None:
        """`agent` says who asks. `timeout`: seconds for connecting, and for each read and write, as with httpx."""
        self._headers = {"user-agent": agent, "accept": "*/*"}
        self._timeout = timeout
        self._trusted = trusted
        self._lock = threading.Lock()
        self._idle: defaultdict[_Origin, list[_Connection]] = defaultdict(list)
        self._is_closed = False

    def takes(self, url: str, headers: Mapping[str, str]) -> bool:
        """Whether address and headers can be sent just as they stand."""
        is_plain = _PLAIN.fullmatch(url) and not _DOTS.search(url)
        return bool(is_plain) and all(map(_VALUE.fullmatch, headers.values()))

    def ask(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes | None = None
    ) -> KeptAnswer | httpx.Response:
        """The answer to what `takes` has passed, as soon as its headers are there; to be closed.

        A GET for which the server has closed a kept connection is sent again, once, on a new one. Any other request is
        sent once, and on a connection that was used a moment ago. An answer that is packed is one of httpx, which
        unpacks it. Raises httpx.TransportError.
        """
        match = _PLAIN.fullmatch(url)
        if match is None or not self.takes(url, headers):
            raise httpx.LocalProtocolError("an address or a header that is not plain")
        origin = _Origin(match["scheme"], match["host"], int(match["port"] or _PORTS[match["scheme"]]))
        asked = method, match["target"], self._headers | dict(headers), content
        is_get, response = method == "GET", None
        connection = self._kept(origin, _KEPT_SECONDS if is_get else _SURELY_KEPT_SECONDS)
        if connection and is_get:
            response = connection.tried(*asked)
        if connection is None or (is_get and response is None):
            connection = self._connected(origin)
        response = response or connection.response(*asked)
        return self._answer(origin, connection, response)

    def _answer(
        self, origin: _Origin, connection: _Connection, response: HTTPResponse
    ) -> KeptAnswer | httpx.Response:
        answer = KeptAnswer(response, lambda: self._keep(origin, connection), connection.hang_up)
        if answer.status_code < HTTPStatus.OK:
            answer.close()
            raise httpx.RemoteProtocolError("an answer that is none yet")
        if answer.headers.get("content-encoding", "identity") == "identity":
            return answer
        headers, extensions = list(answer.headers.items()), dict(answer.extensions)
        return httpx.Response(
            answer.status_code, headers=headers, stream=_Packed(answer), extensions=extensions
        )

    def close(self) -> None:
        """Close what is kept; what is still in use is closed when it is given back."""
        with self._lock:
            self._is_closed = True
            idle = [connection for of_host in self._idle.values() for connection in of_host]
            self._idle.clear()
        for connection in idle:
            connection.hang_up()

    def _kept(self, origin: _Origin, seconds: float) -> _Connection | None:
        """One that was used in the last seconds and that the server has not closed."""
        while True:
            with self._lock:
                if not self._idle[origin]:
                    return None
                connection = self._idle[origin].pop()
            if connection.is_fresh(seconds):
                return connection
            connection.hang_up()

    def _keep(self, origin: _Origin, connection: _Connection) -> None:
        with self._lock:
            idle = self._idle[origin]
            is_kept = not self._is_closed and len(idle) < _MOST_KEPT
            if is_kept:
                connection.used_at = stopwatch()
                idle.append(connection)
        if not is_kept:
            connection.hang_up()

    def _connected(self, origin: _Origin) -> _Connection:
        context = self._trusted() if origin.scheme == "https" else None
        connection = _Connection(origin, context, self._timeout)
        with _errors_of_httpx(connection, httpx.ConnectTimeout, httpx.ConnectError):
            connection.connect()
        return connection


class KeptAnswer:
    """An answer, with the names of httpx.Response for what is needed of one."""

    extensions: Mapping[str, bytes] = {"http_version": b"HTTP/1.1"}  #: it came from the network

    def __init__(self, response: HTTPResponse, keep: Callable[[], None], drop: Callable[[], None]) -> None:
        self.status_code = response.status
        self.headers: Mapping[str, str] = dict(response.headers)  #: by names in lower case
        self.content = b""  #: what `read` has read
        self._response = response
        self._keep, self._drop = keep, drop

    def read(self, most: int) -> None:
        """Read all of the body into `content`, and close; raises httpx.ReadError if it is longer than `most`."""
        parts, size = [], 0
        try:
            for part in self.iter_bytes(_BUFFER):
                size += len(part)
                if size > most:
                    raise httpx.ReadError("too long")
                parts.append(part)
        finally:
            self.close()
        self.content = b"".join(parts)

    def iter_bytes(self, chunk_size: int) -> Iterator[bytes]:
        """The body as it comes; raises httpx.TransportError, also if it ends before its end."""
        with _errors_of_httpx():
            while part := self._response.read(chunk_size):
                yield part
            if self._response.length:
                raise httpx.RemoteProtocolError("the body was cut short")

    def close(self) -> None:
        """Give the connection back, if the body was read to its end."""
        keep = self._keep if self._response.isclosed() and not self._response.will_close else self._drop
        self._response.close()
        self._keep = self._drop = lambda: None
        keep()


class _Packed(httpx.SyncByteStream):
    """The body of an answer, for httpx."""

    def __init__(self, answer: KeptAnswer) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        return self._answer.iter_bytes(_BUFFER)

    def close(self) -> None:
        self._answer.close()


class _Response(HTTPResponse):
    """As in http.client, which reads headers as those of a mail: that takes as long as all else of an answer."""

    def begin(self) -> None:
        """Read the status line and the headers; raises HTTPException, RemoteDisconnected if nothing came."""
        (minor, status), headers = self._status_read(), self._headers_read()
        while status == HTTPStatus.CONTINUE:
            (minor, status), headers = self._status_read(), self._headers_read()
        self.version, self.code, self.status = 10 + minor, status, status
        self.headers = self.msg = headers  # type: ignore[assignment]
        coding, lengths = headers.get("transfer-encoding", "").lower(), headers.get("content-length", "")
        options = {option.strip().lower() for option in headers.get("connection", "").split(",")}
        self.chunked, self.chunk_left, self.length = coding == "chunked", None, None
        if coding not in ("", "chunked"):
            raise HTTPException("a coding that was not asked for")
        if lengths and not self.chunked:
            different = {length.strip() for length in lengths.split(",")}
            if len(different) > 1 or not lengths.isascii() or not min(different).isdecimal():
                raise HTTPException("no length")
            self.length = int(min(different))
        if status < HTTPStatus.OK or status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
            self.length = 0
        is_kept = "close" not in options and (self.version > _HTTP_1_0 or "keep-alive" in options)
        self.will_close = not is_kept or (self.length is None and not self.chunked)

    def _status_read(self) -> tuple[int, int]:
        """The minor version of HTTP, and the status."""
        match = _STATUS.fullmatch(self._line())
        if match is None:
            raise BadStatusLine("no HTTP/1")
        return int(match["minor"]), int(match["status"])

    def _headers_read(self) -> dict[str, str]:
        """Name in lower case → value; the values of one name together."""
        headers: dict[str, str] = {}
        for _ in range(_MOST_HEADERS):
            line = self._line()
            if line in (b"\r\n", b"\n"):
                return headers
            name, colon, value = line.decode("iso-8859-1").partition(":")
            if not colon or not _NAME.fullmatch(name):
                raise HTTPException("no header")
            name, value = name.lower(), value.strip()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        raise HTTPException("too many headers")

    def _line(self) -> bytes:
        line = self.fp.readline(_LONGEST_LINE)
        if not line:
            raise RemoteDisconnected("nothing came")
        if not line.endswith(b"\n"):
            raise LineTooLong("header")
        return line


class _Connection(HTTPConnection):
    """A connection to a host, that heeds `kernel.exchange.within`."""

    response_class = _Response

    def __init__(self, origin: _Origin, context: ssl.SSLContext | None, timeout: float) -> None:
        super().__init__(origin.host, origin.port)
        self.auto_open = 0
        self.used_at = stopwatch()
        self._context = context
        self._seconds = timeout
        self._link: _Socket | None = None

    def connect(self) -> None:
        """Connect, and encrypt if the origin says so; raises OSError, with TimeoutError."""
        sock = socket.create_connection((self.host, self.port), exchange.left(self._seconds))
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._context:
                sock = self._context.wrap_socket(sock, server_hostname=self.host)
        except BaseException:
            sock.close()
            raise
        self.sock = self._link = _Socket(sock, self._seconds)

    def hang_up(self) -> None:
        """Close the socket, which http.client leaves open for the rest of an answer."""
        self.close()
        if self._link:
            self._link.hang_up()

    def is_fresh(self, seconds: float) -> bool:
        """Whether it was used in the last seconds, and nothing came since: not even its end."""
        poll = select.poll()
        poll.register(self.sock.fileno(), select.POLLIN)
        return stopwatch() - self.used_at < seconds and not poll.poll(0)

    def response(
        self, method: str, target: str, headers: Mapping[str, str], content: bytes | None
    ) -> HTTPResponse:
        """The answer, its headers read; raises httpx.TransportError."""
        with _errors_of_httpx(self):
            self.request(method, target, body=content, headers=headers)
            return self.getresponse()

    def tried(
        self, method: str, target: str, headers: Mapping[str, str], content: bytes | None
    ) -> HTTPResponse | None:
        """As `response`, but None if the server has closed the connection."""
        with _errors_of_httpx(self), suppress(ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
            self.request(method, target, body=content, headers=headers)
            return self.getresponse()
        self.hang_up()
        return None


class _Socket:
    """What http.client needs of a socket; each read and write has its own time, and all what is left."""

    def __init__(self, inner: socket.socket, seconds: float) -> None:
        self._inner = inner
        self._seconds = seconds
        self.fileno = inner.fileno
        self.hang_up = inner.close

    def close(self) -> None:
        """Leave it open: http.client closes it as soon as the headers of a last answer are there."""

    def sendall(self, data: bytes) -> None:
        """Send all of it."""
        self._inner.settimeout(exchange.left(self._seconds))
        self._inner.sendall(data)

    def recv_into(self, buffer: WriteableBuffer) -> int:
        """What came next."""
        self._inner.settimeout(exchange.left(self._seconds))
        size = self._inner.recv_into(buffer)
        exchange.count(size)
        return size

    def makefile(self, _mode: str) -> io.BufferedReader:
        """For one answer; closing it leaves the socket open."""
        return io.BufferedReader(_Incoming(self), _BUFFER)


class _Incoming(io.RawIOBase):
    """The bytes that come in."""

    def __init__(self, sock: _Socket) -> None:
        self._sock = sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        return self._sock.recv_into(buffer)


@contextmanager
def _errors_of_httpx(
    connection: _Connection | None = None,
    timeout: type[httpx.TransportError] = httpx.ReadTimeout,
    failure: type[httpx.TransportError] = httpx.ReadError,
) -> Iterator[None]:
    """Translate errors of sockets and of http.client, and close the connection that had them."""
    try:
        yield
    except Exception as error:
        if connection:
            connection.hang_up()
        if isinstance(error, TimeoutError):
            raise timeout("timed out") from None
        # `ConnectionError`: what is broken off in the first line is both of these.
        if isinstance(error, HTTPException) and not isinstance(error, ConnectionError):
            raise httpx.RemoteProtocolError("no HTTP") from None
        if isinstance(error, OSError):
            raise failure("no connection") from None
        raise
