"""What a client meets that sends no proper request, or none at all: AMC's form of an error, and a closed connection."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from amci.kernel.testing import FakeClock
from amci.sandbox import rest
from amci.sandbox.options import SandboxOptions
from amci.sandbox.rest import Server
from amci.sandbox.service import Sandbox

HEAD = b"Host: localhost\r\n"


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    sandbox = Sandbox(tmp_path / "sandbox", FakeClock(), SandboxOptions(scale=0.001, days=5))
    yield sandbox
    sandbox.close()


@pytest.fixture
def port(sandbox: Sandbox) -> Iterator[int]:
    with Server(sandbox) as server:
        yield server.socket.getsockname()[1]


def answer(port: int, sent: bytes, *, closes: bool = True) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the first answer; what comes until the server closes, if it does."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(sent)
        with client.makefile("rb") as reader:
            status = int(reader.readline().split()[1])
            headers = {}
            while (line := reader.readline().decode().strip()) != "":
                name, _, value = line.partition(": ")
                headers[name.lower()] = value
            size = 0 if sent.startswith(b"HEAD ") else int(headers["content-length"])
            body = reader.read(size)
            if closes:
                assert reader.read() == b""
    return status, headers, body


def said(port: int, sent: bytes, *, closes: bool = True) -> tuple[int, Any]:
    """Status and JSON of the first answer."""
    status, headers, body = answer(port, sent, closes=closes)
    assert headers["content-type"] == "application/json"
    assert len(headers["x-amz-request-id"]) == 20
    return status, json.loads(body)


BROKEN = {
    "no request at all": (b"nonsense\r\n\r\n", 400),
    "a line without a version, as of HTTP/0.9": (b"GET /\r\n\r\n", 400),
    "another version": (b"GET / HTTP/9.9\r\n" + HEAD + b"\r\n", 404),
    "a TLS greeting": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    "a header without a name": (b"GET / HTTP/1.1\r\n" + HEAD + b": x\r\n\r\n", 400),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"GET / HTTP/1.1\r\n" + HEAD + HEAD + b"\r\n", 400),
    "a length that is no number": (b"POST / HTTP/1.1\r\n" + HEAD + b"Content-Length: x\r\n\r\n", 400),
    "two lengths": (b"POST / HTTP/1.1\r\n" + HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
    "a coding that nobody knows": (b"POST / HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: x\r\n\r\n", 501),
    "a broken chunk": (
        b"POST / HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
        400,
    ),
    "an address that does not end": (b"GET /" + b"a" * 100_000, 431),
    "headers that do not end": (b"GET / HTTP/1.1\r\n" + HEAD + b"X: " + b"a" * 100_000, 431),
    "an unknown method": (b"BREW / HTTP/1.1\r\n" + HEAD + b"\r\n", 405),
    "another method": (b"OPTIONS / HTTP/1.1\r\n" + HEAD + b"\r\n", 405),
    "a tunnel": (b"CONNECT localhost:1 HTTP/1.1\r\n" + HEAD + b"\r\n", 405),
    "a foreign host": (b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403),
    "a host that cannot be read": (b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400),
    "a port that cannot be read": (b"GET / HTTP/1.1\r\nHost: localhost:x\r\n\r\n", 404),
    "a body that is too large": (
        b"POST / HTTP/1.1\r\n" + HEAD + b"Content-Length: 10485761\r\n\r\n" + b" " * (10 * 2**20 + 1),
        413,
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_broken_is_refused_in_amcs_form(port: int, kind: str) -> None:
    sent, status = BROKEN[kind]
    found, document = said(port, sent, closes=status != 404)
    assert (found, document["code"]) == (status, str(status))
    assert document["details"]
    # and the server goes on
    assert said(port, b"GET /nowhere HTTP/1.1\r\n" + HEAD + b"\r\n", closes=False)[0] == 404


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"])
def test_there_is_no_such_page(port: int, method: str) -> None:
    sent = f"{method} /nowhere HTTP/1.1\r\n".encode() + HEAD + b"\r\n"
    status, headers, body = answer(port, sent, closes=False)
    assert (status, headers["content-type"]) == (404, "application/json")
    assert body == b"" if method == "HEAD" else json.loads(body)["code"] == "404"


def test_a_bug_is_said_in_amcs_form(port: int, sandbox: Sandbox) -> None:
    sandbox.backend.store.close()  # whatever is asked fails
    status, document = said(port, b"GET /amc/instances HTTP/1.1\r\n" + HEAD + b"\r\n")
    assert (status, document["code"]) == (500, "500")


SLOW = {
    "nothing": b"",
    "half a line": b"GET /now",
    "half the headers": b"GET / HTTP/1.1\r\nHost: loc",
    "half a body": b"POST / HTTP/1.1\r\n" + HEAD + b"Content-Length: 10\r\n\r\nhalf",
}


@pytest.mark.parametrize("kind", SLOW)
def test_what_does_not_come_in_time_is_not_waited_for(
    sandbox: Sandbox, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest, "_HEADERS", 0.05)
    monkeypatch.setattr(rest, "_PATIENCE", 0.05)
    with Server(sandbox) as server:
        status, document = said(server.socket.getsockname()[1], SLOW[kind])
    assert (status, document["code"]) == (408, "408")


@pytest.mark.parametrize("more", [b"", b"GET /agai"])
def test_a_kept_connection_is_closed_when_nothing_more_comes(
    sandbox: Sandbox, more: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest, "_HEADERS", 0.05)
    monkeypatch.setattr(rest, "_KEPT", 0.05)
    with Server(sandbox) as server:
        sent = b"GET /nowhere HTTP/1.1\r\n" + HEAD + b"\r\n" + more
        with socket.create_connection(("127.0.0.1", server.socket.getsockname()[1]), timeout=30) as client:
            client.sendall(sent)
            with client.makefile("rb") as reader:
                assert reader.read().startswith(b"HTTP/1.1 404")


def test_a_client_that_has_said_all_is_still_answered(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(b"GET /nowhere HTTP/1.1\r\n" + HEAD + b"Connection: close\r\n\r\n")
        with client.makefile("rb") as reader:
            assert reader.read().startswith(b"HTTP/1.1 404")


def test_requests_that_come_ahead_of_answers_are_answered_within_bounds(port: int) -> None:
    one = b"GET /nowhere HTTP/1.1\r\n" + HEAD + b"\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(one * 99 + one.replace(HEAD, HEAD + b"Connection: close\r\n"))
        with client.makefile("rb") as reader:
            assert reader.read().count(b"HTTP/1.1 404") == 100
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client, pytest.raises(ConnectionError):
        client.sendall(one * 2_000_000)  # 90 MB, which the server kept
    assert said(port, one, closes=False)[0] == 404


def test_a_client_that_goes_away_is_no_error(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    with Server(sandbox) as server:
        address = ("127.0.0.1", server.socket.getsockname()[1])
        with socket.create_connection(address, timeout=30) as client:
            client.sendall(
                b"POST /nowhere HTTP/1.1\r\n" + HEAD + b"Content-Length: 10\r\nExpect: 100-continue\r\n\r\n"
            )
            # An interim answer shows that the body is waited for.
            assert client.recv(12) == b"HTTP/1.1 100"
    assert [record for record in caplog.records if record.exc_info] == []


def test_more_connections_than_there_may_be_are_turned_away(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest, "_CONNECTIONS", 3)
    with Server(sandbox) as server:
        port = server.socket.getsockname()[1]
        kept = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(3)]
        for client in kept:
            # An answer shows that the server has taken the connection.
            client.sendall(b"GET /nowhere HTTP/1.1\r\n" + HEAD + b"\r\n")
            assert client.recv(12) == b"HTTP/1.1 404"
        assert said(port, b"")[0] == 503
        for client in kept:
            client.close()
