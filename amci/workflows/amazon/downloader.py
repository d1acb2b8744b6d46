"""Fetches files by pre-signed links: without AMC's headers, streamed, unpacked (amc-api 2.2)."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from itertools import chain
from typing import BinaryIO

import httpx

from amci.kernel.clock import Clock
from amci.kernel.errors import Refused, RemoteError, Unavailable
from amci.workflows.amazon.answers import Answer, NotNow, refusal
from amci.workflows.amazon.retry import RequestRetry

_CHUNK = 64 * 1024
_GZIP = b"\x1f\x8b"
_ZLIB_GZIP = 31  # zlib's wbits for a gzip member
_MOST_ERROR_BYTES = 4096
_CODE = re.compile(rb"<Code>([A-Za-z0-9]{1,60})</Code>")


@dataclass(frozen=True, slots=True)
class Downloader:
    """Fetches what links lead to; threads may share it. No error names a link: who has one, has the file."""

    http: httpx.Client  #: sends no credentials
    retry: RequestRetry
    clock: Clock

    def fetch(self, url: str, out: BinaryIO) -> int:
        """Write the file into `out`, unpacked if it is gzip; returns the bytes written.

        Repeated within bounds until the file begins. Raises Refused(403) if the link has expired,
        Unavailable if the file broke off: `out` then holds a part of it.
        """
        response = self.retry.call(lambda: self._opened(url))
        try:
            return sum(out.write(part) for part in _plain(response.iter_bytes(_CHUNK)))
        except (httpx.RequestError, zlib.error) as error:
            raise _broken_off(type(error).__name__) from None
        finally:
            response.close()

    def _opened(self, url: str) -> httpx.Response:
        try:
            # What is stored packed stays so on the way: its end can then be told from a break.
            request = self.http.build_request("GET", url, headers={"Accept-Encoding": "identity"})
            response = self.http.send(request, stream=True)
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

    def _refusal(self, response: httpx.Response) -> RemoteError:
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
            return Refused(
                HTTPStatus.FORBIDDEN,
                "the download link has expired",
                code=code,
                hint="amci asks for a new one",
            )
        return Refused(status, f"the download was refused with status {status} {code}".rstrip(), code=code)


def _beginning(response: httpx.Response) -> bytes:
    try:
        return next(response.iter_bytes(_MOST_ERROR_BYTES), b"")
    except httpx.RequestError:
        return b""


def _plain(chunks: Iterator[bytes]) -> Iterable[bytes]:
    first = next(chunks, b"")
    whole = chain((first,), chunks)
    return _unpacked(whole) if first.startswith(_GZIP) else whole


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
