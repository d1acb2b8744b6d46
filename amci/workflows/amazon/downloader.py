"""Fetches files by pre-signed links: without AMC's headers, streamed, unpacked (amc-api 2.2)."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from itertools import chain
from typing import BinaryIO
from urllib.parse import urljoin

import httpx

from amci.kernel.clock import Clock
from amci.kernel.errors import Refused, RemoteError, Unavailable
from amci.kernel.exchange import within
from amci.workflows.amazon import transport
from amci.workflows.amazon.answers import Answer, LinkExpired, NotNow, refusal
from amci.workflows.amazon.kept_connections import KeptAnswer, KeptConnections
from amci.workflows.amazon.retry import RequestRetry

_CHUNK = 64 * 1024
_GZIP = b"\x1f\x8b"
_ZLIB_GZIP = 31  # zlib's wbits for a gzip member
#: The ETag of a file that S3 got in one part: its MD5, if its encryption leaves it that.
_MD5 = re.compile(r'"([0-9a-f]{32})"')
_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_ERROR_BYTES = 4096
_CODE = re.compile(rb"<Code>([A-Za-z0-9]{1,60})</Code>")


@dataclass(frozen=True, slots=True)
class Downloader:
    """Fetches what links lead to; threads may share it. No error names a link: who has one, has the file."""

    http: httpx.Client  #: sends no credentials
    retry: RequestRetry
    clock: Clock
    kept: KeptConnections | None = None  #: fetches what is plain, if it may

    def fetch(self, url: str, out: BinaryIO) -> int:
        """Write the file into `out`, unpacked if it is gzip; returns the bytes written.

        Repeated within bounds until the file begins. Raises LinkExpired if it has expired,
        Unavailable if the file broke off: `out` then holds a part of it.
        """
        response = self.retry.call(lambda: self._opened(url))
        try:
            with within(transport.PATIENCE, per_second=transport.BYTES_PER_SECOND):
                proof = _Proof(response)
                return sum(out.write(part) for part in _plain(proof.chunks(), proof))
        except (httpx.RequestError, zlib.error) as error:
            raise _broken_off(type(error).__name__) from None
        finally:
            response.close()

    def _opened(self, url: str) -> httpx.Response | KeptAnswer:
        try:
            with within(transport.PATIENCE):
                response = self._answer(url)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError):
            raise Refused(
                HTTPStatus.BAD_REQUEST, "AMC gave a download link that is not a web address"
            ) from None
        except httpx.RequestError as error:
            raise Unavailable(
                f"the download did not begin ({type(error).__name__})",
                hint="check the network and any proxy; amci tries again by itself",
            ) from None
        if response.status_code == HTTPStatus.OK:
            return response
        try:
            raise self._refusal(response)
        finally:
            response.close()

    def _answer(self, url: str) -> httpx.Response | KeptAnswer:
        """As soon as its headers are there. httpx asks what cannot go over a kept connection, and redirects."""
        # What is stored packed stays so on the way: its end can then be told from a break.
        headers = {"accept-encoding": "identity"}
        if self.kept and self.kept.takes(url, headers):
            answer = self.kept.ask("GET", url, headers)
            if not (answer.status_code in _REDIRECTS and "location" in answer.headers):
                return answer
            answer.close()
            url = urljoin(url, answer.headers["location"])
        return self.http.send(self.http.build_request("GET", url, headers=headers), stream=True)

    def _refusal(self, response: httpx.Response | KeptAnswer) -> RemoteError:
        """S3's error; of its text only the code is used, the rest repeats parts of the link."""
        status = response.status_code
        answer = Answer.of(status, response.headers, b"", self.clock.now())
        error = refusal(answer)
        if status == HTTPStatus.TOO_MANY_REQUESTS or isinstance(error, NotNow):
            return error or NotNow(answer)
        match = _CODE.search(_beginning(response))
        code = match[1].decode() if match else ""
        # 400 ExpiredToken: the link outlived the login it was signed with.
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN) or code == "ExpiredToken":
            return LinkExpired(code)
        return Refused(status, f"the download was refused with status {status} {code}".rstrip(), code=code)


def _beginning(response: httpx.Response | KeptAnswer) -> bytes:
    try:
        return next(response.iter_bytes(_MOST_ERROR_BYTES), b"")
    except httpx.RequestError:
        return b""


class _Proof:
    """Whether a file came whole: by its length, its chunks, its packing or its hash.

    A connection that ends proves nothing: a proxy that gives up ends it as well, perhaps at the end of a line. S3
    always sends a length or chunks. What has neither, whatever its version of HTTP, is taken only if its hash fits
    or it is gzip, which knows its end; a result that lacks rows would be worse than one that comes later.
    """

    def __init__(self, response: httpx.Response | KeptAnswer) -> None:
        headers = response.headers
        self._response = response
        self._is_network = "http_version" in response.extensions
        self._has_end = (
            "content-length" in headers or "chunked" in headers.get("transfer-encoding", "").lower()
        )
        etag = _MD5.fullmatch(headers.get("etag", ""))
        self._expected = etag[1] if etag and "content-encoding" not in headers else ""
        # With a key of KMS or the customer's, or from another server, what looks like an MD5 may be none.
        self._is_md5 = headers.get("x-amz-server-side-encryption", "") == "AES256"
        self.is_packed = False

    def chunks(self) -> Iterator[bytes]:
        """The file as it comes; raises Unavailable at its end if that is not proven."""
        found = hashlib.md5(usedforsecurity=False)
        for chunk in self._response.iter_bytes(_CHUNK):
            found.update(chunk)
            yield chunk
        is_equal = bool(self._expected) and found.hexdigest() == self._expected
        if self._expected and self._is_md5 and not is_equal:
            raise _broken_off("its hash is another one")
        if self._is_network and not (self._has_end or is_equal or self.is_packed):
            raise Unavailable(
                "the download does not say where it ends, so it may have broken off",
                hint="check any proxy: S3 sends a Content-Length; amci fetches it again",
            )


def _plain(chunks: Iterator[bytes], proof: _Proof) -> Iterable[bytes]:
    first = next(chunks, b"")
    whole = chain((first,), chunks)
    proof.is_packed = first.startswith(_GZIP)
    return _unpacked(whole) if proof.is_packed else whole


def _unpacked(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Gzip, of one member or several."""
    member = zlib.decompressobj(wbits=_ZLIB_GZIP)
    for chunk in chunks:
        rest = chunk
        while rest:
            if member.eof:
                member = zlib.decompressobj(wbits=_ZLIB_GZIP)
            yield member.decompress(rest)
            rest = member.unused_data
    if not member.eof:
        raise _broken_off("in the middle of packed data")


def _broken_off(how: str) -> Unavailable:
    return Unavailable(f"the download broke off ({how})", hint="amci fetches it again")
