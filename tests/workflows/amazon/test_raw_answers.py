"""Answers of Amazon's hosts byte by byte: slow for ever, without end, and broken off."""

from __future__ import annotations

import gzip
import hashlib
import io
from collections.abc import Iterable, Iterator
from pathlib import Path

import httpx
import pytest

from amci.kernel.config import AmcSettings
from amci.kernel.errors import AmciError, OutcomeUnknown, Unavailable
from amci.kernel.testing import FakeClock
from amci.tenants.credentials import Credential, MemoryCredentials
from amci.tenants.model import Tenant
from amci.workflows.amazon import login, transport
from amci.workflows.amazon.fixture_transport import RecordTransport
from amci.workflows.amazon.scrub import Scrubber
from amci.workflows.amc.client import AmcClient
from amci.workflows.amc.connections import Connections
from amci.workflows.amc.model import ExecutionRequest

from ...raw_server import raw_server, slowly
from ..amc.conftest import FOREVER

CSV = b"campaign,reach\nSpring,10\nSummer,20\nAutumn,30\n"
OK = b"HTTP/1.1 200 OK\r\n"
JSON = b'{"workflows": []}'


def endless(head: bytes, drip: bytes, end: bytes) -> list[bytes]:
    """The head at once, then drips; in the end it is a right answer all the same."""
    return [head, *slowly(drip), end]


LENGTH = b"content-length: 17\r\n\r\n" + JSON
CHUNKED = b"11\r\n" + JSON + b"\r\n0\r\n\r\n"
#: What a server does that is slow for ever.
SLOW = {
    "the status line": endless(b"HTTP/1.1 200 O", b"K", b"\r\n" + LENGTH),
    "a header": endless(OK + b"x: ", b"y", b"\r\n" + LENGTH),
    "one header after the other": endless(OK, b"x:y\r\n", b"\r\n" + LENGTH),
    "answers that are no answer yet": [b"HTTP/1.1 102 Processing\r\n\r\n"] * 100 + [OK + LENGTH],
    "the body": endless(OK + b"content-length: 117\r\n\r\n", b" ", JSON),
    "the framing of the body": endless(
        OK + b"transfer-encoding: chunked\r\n\r\n1;", b"e", b"\r\n \r\n" + CHUNKED
    ),
    "what follows the body": endless(
        OK + b"transfer-encoding: chunked\r\n\r\n" + CHUNKED[:-2] + b"x: ", b"y", b"\r\n\r\n"
    ),
}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "PATIENCE", 0.3)


@pytest.fixture
def tenant() -> Tenant:
    return Tenant(tenant="acme", instance_id="amcabc12345", advertiser_id="ENTITY1", marketplace_id="M")


def connections(url: str, over: httpx.BaseTransport | None = None) -> Connections:
    credential = Credential("amzn1.client", "secret", "refresh", access_token="t", expires_at=FOREVER)  # noqa: S106
    return Connections(
        AmcSettings(requests_per_second=0, attempts=1),
        MemoryCredentials({"default": credential}),
        FakeClock(),
        transport=over,
        base_url=url,
    )


@pytest.mark.parametrize("answer", SLOW.values(), ids=list(SLOW))
@pytest.mark.parametrize("call", ["list", "create", "record"])
def test_the_api_may_not_be_slow_for_ever(
    answer: Iterable[bytes], call: str, tenant: Tenant, tmp_path: Path
) -> None:
    with raw_server(lambda _: answer) as server:
        over = None
        if call == "record":
            over = RecordTransport(transport.network(), tmp_path / "x.yaml", Scrubber({}), FakeClock())
        opened = connections(server.url, over)
        client = opened.client(tenant)
        if call == "create":
            with pytest.raises(OutcomeUnknown):
                client.create_execution(ExecutionRequest(workflow_id="reach"))
        else:
            with pytest.raises(Unavailable):
                client.workflows()
        opened.close()


@pytest.mark.parametrize("answer", SLOW.values(), ids=list(SLOW))
def test_the_login_may_not_be_slow_for_ever(answer: Iterable[bytes]) -> None:
    with raw_server(lambda _: answer) as server, pytest.raises(Unavailable, match="did not answer"):
        login.exchange_code(
            "code",
            "https://localhost",
            client_id="c",
            client_secret="s",  # noqa: S106 - of nobody
            token_url=server.url,
            clock=FakeClock(),
        )


@pytest.mark.parametrize("answer", SLOW.values(), ids=list(SLOW))
def test_a_download_may_not_be_slow_for_ever(answer: Iterable[bytes], tenant: Tenant) -> None:
    with raw_server(lambda _: answer) as server:
        opened = connections(server.url)
        with pytest.raises(Unavailable):
            opened.client(tenant).fetch(server.url, io.BytesIO())
        opened.close()


@pytest.mark.parametrize("size", [1, 4096])
def test_a_download_may_last_longer_if_it_gets_on(tenant: Tenant, size: int) -> None:
    answer = [OK + b"content-length: %d\r\n\r\n" % (50 * size), *[b"x" * size] * 50]
    with raw_server(lambda _: answer) as server:
        opened = connections(server.url)
        if size == 1:
            with pytest.raises(Unavailable, match="broke off"):
                opened.client(tenant).fetch(server.url, io.BytesIO())
        else:
            assert opened.client(tenant).fetch(server.url, io.BytesIO()) == 50 * size
        opened.close()


def chunked(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def etag(data: bytes, more: bytes = b"") -> bytes:
    return b'ETag: "' + hashlib.md5(data, usedforsecurity=False).hexdigest().encode() + b'"\r\n' + more


S3 = b"x-amz-server-side-encryption: AES256\r\n"
KMS = b"x-amz-server-side-encryption: aws:kms\r\n"
CUT = CSV[: CSV.index(b"Summer")]  # at the end of a line
PACKED = gzip.compress(CSV)
WHOLE = {
    "length": OK + b"content-length: %d\r\n\r\n" % len(CSV) + CSV,
    "chunks": OK + b"transfer-encoding: chunked\r\n\r\n" + chunked(CSV) + b"0\r\n\r\n",
    "neither, but its hash": OK + etag(CSV) + b"\r\n" + CSV,
    "neither, but packed": OK + b"\r\n" + PACKED,
    "HTTP/1.0 with a length": b"HTTP/1.0 200 OK\r\ncontent-length: %d\r\n\r\n" % len(CSV) + CSV,
    "length, and the hash of S3": OK + etag(CSV, S3) + b"content-length: %d\r\n\r\n" % len(CSV) + CSV,
    "a hash that is none, by KMS": OK + etag(b"other", KMS) + b"content-length: %d\r\n\r\n" % len(CSV) + CSV,
    "a hash that is none, elsewhere": OK + etag(b"other") + b"content-length: %d\r\n\r\n" % len(CSV) + CSV,
    "a hash of parts": OK
    + b'ETag: "d41d8cd98f00b204e9800998ecf8427e-2"\r\n'
    + S3
    + b"content-length: %d\r\n\r\n" % len(CSV)
    + CSV,
}
BROKEN = {
    "length": OK + b"content-length: %d\r\n\r\n" % len(CSV) + CUT,
    "chunks, inside one": OK + b"transfer-encoding: chunked\r\n\r\n%x\r\n" % len(CSV) + CUT,
    "chunks, between two": OK + b"transfer-encoding: chunked\r\n\r\n" + chunked(CUT),
    "neither": OK + b"\r\n" + CUT,
    "neither, connection: close": OK + b"connection: close\r\n\r\n" + CUT,
    "neither, HTTP/1.0": b"HTTP/1.0 200 OK\r\n\r\n" + CUT,
    "neither, and another hash": OK + etag(CSV) + b"\r\n" + CUT,
    "neither, and a hash of parts": OK + b'ETag: "' + b"0" * 32 + b'-2"\r\n\r\n' + CUT,
    "neither, packed": OK + b"\r\n" + PACKED[:-9],
    "neither, encoded": OK + b"content-encoding: gzip\r\n\r\n" + PACKED[:-9],
    "a proxy that counted what it had": OK + etag(CSV, S3) + b"content-length: %d\r\n\r\n" % len(CUT) + CUT,
}


@pytest.fixture(params=["live", "record"])
def client(request: pytest.FixtureRequest, tenant: Tenant, tmp_path: Path) -> Iterator[AmcClient]:
    over = None
    if request.param == "record":
        over = RecordTransport(transport.network(), tmp_path / "x.yaml", Scrubber({}), FakeClock())
    opened = connections("http://127.0.0.1:9", over)
    yield opened.client(tenant)
    opened.close()


@pytest.mark.parametrize("answer", WHOLE.values(), ids=list(WHOLE))
def test_a_file_that_came_whole_is_taken(client: AmcClient, answer: bytes) -> None:
    out = io.BytesIO()
    with raw_server(lambda _: [answer]) as server:
        client.fetch(f"{server.url}/x.csv", out)
    assert out.getvalue() == CSV


@pytest.mark.parametrize("answer", BROKEN.values(), ids=list(BROKEN))
def test_a_file_that_broke_off_at_the_end_of_a_line_is_not_taken(client: AmcClient, answer: bytes) -> None:
    with raw_server(lambda _: [answer]) as server, pytest.raises(AmciError) as raised:
        client.fetch(f"{server.url}/x.csv", io.BytesIO())
    assert isinstance(raised.value, Unavailable)
    assert raised.value.retryable
