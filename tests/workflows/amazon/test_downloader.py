"""Are result files fetched whole, unpacked, and without telling anybody who asks?"""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from amci.kernel.errors import AmciError, Refused, Throttled, Unavailable
from amci.workflows.amc.client import AmcClient

from ..amc.conftest import Amc

CSV = b"campaign,reach\nSpring,10\n" * 1000
EXPIRED = (
    b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message>"
    b"<AWSAccessKeyId>AKIAplanted</AWSAccessKeyId></Error>"
)


def link(amc: Amc) -> str:
    return f"{amc.url}/bucket/result.csv?X-Amz-Signature=planted&X-Amz-Expires=600"


def fetched(client: AmcClient, url: str) -> bytes:
    out = io.BytesIO()
    size = client.fetch(url, out)
    assert size == len(out.getvalue())
    return out.getvalue()


def test_no_credentials_go_to_where_the_files_are(amc: Amc, client: AmcClient) -> None:
    amc.says(CSV)
    assert fetched(client, link(amc)) == CSV
    names = set(amc.asked[0].headers)
    assert not {n for n in names if "authorization" in n or n.startswith("amazon")}
    assert amc.asked[0].query["X-Amz-Signature"] == "planted"


@pytest.mark.parametrize("headers", [{}, {"Content-Encoding": "gzip"}], ids=["stored", "encoded"])
@pytest.mark.parametrize("plain", [CSV, b"", b"\x1f"], ids=["csv", "empty", "one byte"])
def test_gzip_is_unpacked_however_it_is_declared(
    amc: Amc, client: AmcClient, plain: bytes, headers: dict[str, str]
) -> None:
    amc.says(gzip.compress(plain), headers=headers)
    assert fetched(client, link(amc)) == plain


def test_gzip_of_several_members_is_one_file(amc: Amc, client: AmcClient) -> None:
    amc.says(gzip.compress(CSV) + gzip.compress(b"last,1\n"))
    assert fetched(client, link(amc)) == CSV + b"last,1\n"


@pytest.mark.parametrize("plain", [b"", b"x"])
def test_a_short_file_is_whole(amc: Amc, client: AmcClient, plain: bytes) -> None:
    amc.says(plain)
    assert fetched(client, link(amc)) == plain


@pytest.mark.parametrize(
    ("body", "more"),
    [
        (CSV, {"length": len(CSV) + 1}),
        (gzip.compress(CSV)[:-9], {}),
        (gzip.compress(CSV) + b"garbage", {}),
        (gzip.compress(CSV)[:20] + b"\xff" * 50, {}),
        (b"no gzip", {"headers": {"Content-Encoding": "gzip"}}),
    ],
    ids=["too short", "packed, cut", "packed, garbage behind", "packed, damaged", "not packed"],
)
def test_a_file_that_is_not_whole_is_said_to_be_so(
    amc: Amc, client: AmcClient, body: bytes, more: dict[str, Any]
) -> None:
    amc.says(body, **more)
    with pytest.raises(Unavailable, match="broke off"):
        client.fetch(link(amc), io.BytesIO())


@pytest.mark.parametrize(
    ("status", "body"),
    [(403, EXPIRED), (403, b""), (401, b""), (400, b"<Error><Code>ExpiredToken</Code></Error>")],
)
def test_an_expired_link_is_refused_with_403(amc: Amc, client: AmcClient, status: int, body: bytes) -> None:
    amc.says(body, status=status)
    with pytest.raises(Refused, match="link has expired") as caught:
        client.fetch(link(amc), io.BytesIO())
    assert caught.value.status == 403
    assert len(amc.asked) == 1


def test_any_other_refusal_names_its_code(amc: Amc, client: AmcClient) -> None:
    amc.says(b"<Error><Code>NoSuchKey</Code></Error>", status=404)
    with pytest.raises(Refused, match="status 404 NoSuchKey") as caught:
        client.fetch(link(amc), io.BytesIO())
    assert (caught.value.status, caught.value.code) == (404, "NoSuchKey")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_store_is_asked_again(
    amc: Amc, client: AmcClient, pauses: list[timedelta], status: int
) -> None:
    amc.says(b"<Error><Code>SlowDown</Code></Error>", status=status, headers={"Retry-After": "2"})
    amc.says(CSV)
    assert fetched(client, link(amc)) == CSV
    assert pauses == [timedelta(seconds=2)]


@pytest.mark.parametrize(("status", "kind"), [(429, Throttled), (503, Unavailable)])
def test_but_not_for_ever(amc: Amc, client: AmcClient, status: int, kind: type[AmciError]) -> None:
    amc.says(b"", status=status)
    with pytest.raises(kind):
        client.fetch(link(amc), io.BytesIO())
    assert len(amc.asked) == 5


def test_a_store_that_hangs_up_first_is_asked_again(amc: Amc, client: AmcClient) -> None:
    amc.says(b"", ends="close")
    amc.says(CSV)
    assert fetched(client, link(amc)) == CSV


def test_a_redirect_of_the_store_is_followed(amc: Amc, client: AmcClient) -> None:
    amc.says(b"", status=307, headers={"Location": f"{amc.url}/other-region"})
    amc.says(CSV)
    assert fetched(client, link(amc)) == CSV
    assert amc.paths == ["GET /bucket/result.csv", "GET /other-region"]


@pytest.mark.parametrize(
    "url", ["", "result.csv", "file:///etc/passwd", "s3://bucket/key", "http://[::1", "https://a\x00b"]
)
def test_a_link_that_is_no_web_address_is_refused(client: AmcClient, url: str) -> None:
    with pytest.raises(Refused, match="not a web address"):
        client.fetch(url, io.BytesIO())


@pytest.mark.parametrize("status", [400, 403, 404, 429, 500])
def test_no_error_names_the_link(amc: Amc, connect: Callable[..., AmcClient], status: int) -> None:
    amc.says(EXPIRED, status=status)
    with pytest.raises(AmciError) as caught:
        connect(attempts=1).fetch(link(amc), io.BytesIO())
    said = f"{caught.value}{caught.value!r}{caught.value.__cause__}{caught.value.hint}"
    assert not [word for word in ("planted", "X-Amz", amc.url, "/bucket") if word in said]


def test_a_file_is_never_wholly_in_memory(amc: Amc, client: AmcClient) -> None:
    plain = b"campaign,reach\n" * 4_000_000  # 60 MB, packed into 60 kB

    class Counting(io.RawIOBase):
        size = 0
        largest = 0

        def write(self, part: Any) -> int:
            self.size += len(part)
            self.largest = max(self.largest, len(part))
            return len(part)

    amc.says(gzip.compress(plain, 1))
    out: Any = Counting()
    size = len(plain)
    del plain
    assert client.fetch(link(amc), out) == size
    assert out.largest < size / 2
