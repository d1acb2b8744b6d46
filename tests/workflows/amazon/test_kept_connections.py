"""Kept connections: which requests they take, when one is used again, and what a server may do to them."""

from __future__ import annotations

import gzip
import io
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import httpx
import pytest

from amci.kernel import exchange
from amci.kernel.errors import OutcomeUnknown, Unavailable
from amci.kernel.testing import FakeClock
from amci.tenants.credentials import Credential, MemoryCredentials
from amci.tenants.model import Tenant
from amci.workflows.amazon import kept_connections
from amci.workflows.amazon.kept_connections import KeptConnections, has_proxy
from amci.workflows.amazon.transport import trusted
from amci.workflows.amc.connections import Connections
from amci.workflows.amc.model import ExecutionRequest

from ...raw_server import raw_server
from ..amc.conftest import FOREVER
from .test_sender import ONCE

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
#: The answer and, a moment later, the end of the connection, as servers do that have waited long enough.
BYE = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}"


class Server:
    """Answers request after request on a connection, and hangs up instead of an empty answer."""

    def __init__(self, answer: Callable[[], bytes]) -> None:
        self.requests = self.connections = 0
        self._answer = answer
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._serve)]
        self._threads[0].start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                self._open.append(self._listening.accept()[0])
                self.connections += 1
                self._threads.append(threading.Thread(target=self._speak, args=[self._open[-1]]))
                self._threads[-1].start()

    def _speak(self, connected: socket.socket) -> None:
        with suppress(OSError), connected:
            heard = b""
            while more := connected.recv(65536):
                heard += more
                # Bodies are so small that they come with their headers, or are heard as nothing new.
                if b"\r\n\r\n" in heard:
                    self.requests += 1
                    heard = b""
                    if not (answer := self._answer()):
                        return
                    connected.sendall(answer)
                    if b"close" in answer:
                        return

    def close(self) -> None:
        for each in (self._listening, *self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join()


@contextmanager
def serving(*answers: bytes) -> Iterator[Server]:
    """A server with these answers, the last one for ever."""
    left = list(answers)
    server = Server(lambda: left.pop(0) if len(left) > 1 else left[0])
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def kept() -> Iterator[KeptConnections]:
    made = KeptConnections("amci", 5.0, trusted)
    yield made
    made.close()


def got(kept: KeptConnections, url: str, method: str = "GET") -> bytes:
    answer = kept.ask(method, url, {})
    answer.read(100) if isinstance(answer, kept_connections.KeptAnswer) else answer.read()
    answer.close()
    return answer.content


@pytest.mark.parametrize(
    ("url", "value", "is_taken"),
    [
        ("https://advertising-api.amazon.com/amc/x?limit=100&nextToken=a%2Fb%3D", "v", True),
        ("http://127.0.0.1:8080/", "two words", True),
        ("https://[::1]/x", "v", False),
        ("https://user:secret@host/x", "v", False),
        ("https://host/a/../b", "v", False),
        ("https://host/ä", "v", False),
        ("https://host/a b", "v", False),
        ("https://host/a#b", "v", False),
        ("https://HOST/a", "v", False),
        ("https://host/a%2g", "v", False),
        ("ftp://host/a", "v", False),
        ("https://host/a", "ENTITÄT", False),
        ("https://host/a", "a\r\nX: b", False),
        ("https://host/a", "", False),
    ],
)
def test_only_what_is_plain_is_taken(kept: KeptConnections, url: str, value: str, *, is_taken: bool) -> None:
    assert kept.takes(url, {"x-id": value}) is is_taken
    # What is taken is sent as it stands: httpx would not change a letter of it.
    assert not is_taken or str(httpx.URL(url)) == url
    if not is_taken:
        with pytest.raises(httpx.LocalProtocolError):
            kept.ask("GET", url, {"x-id": value})


def test_a_connection_is_used_again(kept: KeptConnections) -> None:
    with serving(OK) as server:
        assert [got(kept, server.url + "/") for _ in range(3)] == [b"{}"] * 3
        assert server.connections == 1


def test_but_not_one_that_was_not_read_to_its_end(kept: KeptConnections) -> None:
    with serving(OK) as server:
        kept.ask("GET", server.url + "/", {}).close()
        assert got(kept, server.url + "/") == b"{}"
        assert server.connections == 2


def test_nor_one_that_says_it_ends(kept: KeptConnections) -> None:
    with serving(BYE) as server:
        assert [got(kept, server.url + "/") for _ in range(2)] == [b"{}"] * 2
        assert server.connections == 2


@pytest.mark.parametrize(("method", "seconds"), [("GET", 31.0), ("POST", 6.0)])
def test_nor_an_old_one(
    kept: KeptConnections, monkeypatch: pytest.MonkeyPatch, method: str, seconds: float
) -> None:
    now = [0.0]
    monkeypatch.setattr(kept_connections, "stopwatch", lambda: now[0])
    with serving(OK) as server:
        for connections in (1, 2):
            got(kept, server.url + "/", method)
            now[0] += seconds - 1.5
            got(kept, server.url + "/", method)
            assert server.connections == connections
            now[0] += seconds


def test_a_get_that_meets_a_closed_connection_is_sent_again_once(
    kept: KeptConnections, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The end comes just after one has looked for it.
    monkeypatch.setattr(kept_connections._Connection, "is_fresh", lambda *_: True)
    with serving(OK, b"", OK, b"", b"") as server:
        url = server.url + "/"
        assert got(kept, url) == b"{}"
        assert got(kept, url) == b"{}"
        assert (server.requests, server.connections) == (3, 2)
        with pytest.raises(httpx.ReadError):
            got(kept, url)
        assert (server.requests, server.connections) == (5, 3)


def test_any_other_request_is_sent_once(kept: KeptConnections, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_connections._Connection, "is_fresh", lambda *_: True)
    credential = Credential("c", "s", "r", access_token="t", expires_at=FOREVER)  # noqa: S106 - of nobody
    tenant = Tenant(tenant="acme", instance_id="amc1", advertiser_id="E", marketplace_id="M")
    with serving(OK, b"") as server:
        opened = Connections(
            ONCE, MemoryCredentials({"default": credential}), FakeClock(), base_url=server.url
        )
        client = opened.client(tenant)
        with pytest.raises(Unavailable, match="no list"):
            client.workflows()
        with pytest.raises(OutcomeUnknown):
            client.create_execution(ExecutionRequest(workflow_id="reach"))
        assert (server.requests, server.connections) == (2, 1)
        opened.close()


def test_a_packed_answer_is_unpacked(kept: KeptConnections) -> None:
    packed = gzip.compress(b"rows")
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(packed)
    with serving(head + packed) as server:
        assert [got(kept, server.url + "/") for _ in range(2)] == [b"rows"] * 2
        assert server.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: y\r\n  folded\r\ncontent-length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2, 3\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}",
        b"HTTP/1.1 103 Early Hints\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000 + b"\r\n\r\n",
    ],
)
def test_what_is_no_whole_answer_is_none(kept: KeptConnections, answer: bytes) -> None:
    with raw_server(lambda _: [answer]) as server, pytest.raises(httpx.RemoteProtocolError):
        got(kept, server.url + "/")


@pytest.mark.parametrize(
    ("answer", "connections"),
    [
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, 1),
        (b"HTTP/1.1 200\nContent-Length: 2\nCONTENT-LENGTH:2\n\n{}", 1),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n2;a=b\r\n{}\r\n0\r\nx: y\r\n\r\n", 1),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\n{}", 2),
        (b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\n{}", 1),
    ],
)
def test_answers_are_read_however_they_are_written(
    kept: KeptConnections, answer: bytes, connections: int
) -> None:
    with serving(answer) as server:
        assert [got(kept, server.url + "/") for _ in range(2)] == [b"{}"] * 2
        assert server.connections == connections


def test_the_time_limit_holds_for_all_of_an_answer(kept: KeptConnections) -> None:
    with serving(OK) as server, exchange.within(0), pytest.raises(httpx.ReadTimeout):
        got(kept, server.url + "/")


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "all_proxy"])
def test_a_proxy_is_left_to_httpx(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with serving(OK) as proxy:
        monkeypatch.setenv(name, proxy.url)
        assert has_proxy()
        opened = Connections(ONCE, MemoryCredentials({}), FakeClock())
        assert opened.client(Tenant(tenant="acme"))._caller.signed is None
        opened.close()


def test_files_come_over_kept_connections_too() -> None:
    with serving(OK) as server:
        opened = Connections(ONCE, MemoryCredentials({}), FakeClock(), base_url=server.url)
        client = opened.client(Tenant(tenant="acme"))
        for _ in range(3):
            client.fetch(f"{server.url}/bucket/x.csv?X-Amz-Signature=1%2F2", out := io.BytesIO())
            assert out.getvalue() == b"{}"
        assert server.connections == 1
        opened.close()
