"""Decompresses uploaded files piece by piece: gzip, zip, bzip2 and the three containers of snappy."""

from __future__ import annotations

import bz2
import gzip
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pyarrow as pa

from amci.kernel.files import storage_errors
from amci.sandbox.uploads.bucket_files import BucketFile, UploadFailed

_PIECE = 1 << 20
_MOST_AT_ONCE = 256 << 20  #: bytes; a snappy block is decompressed in memory as a whole
_FRAMED = b"\xff\x06\x00\x00sNaPpY"
#: Compression → first bytes of its files; raw snappy has none.
_MAGIC = {"GZIP": b"\x1f\x8b", "ZIP": b"PK\x03\x04", "BZIP": b"BZh"}


def unpacked(file: BucketFile, compression: str, place: Path) -> Path:
    """A file with the decompressed content in the folder `place`; the file itself if it is not compressed.

    Raises UploadFailed if it does not have that compression, StorageError.
    """
    with storage_errors(f"unpack {file.key}"):
        if compression == "NONE":
            _check_is_plain(file)
            return file.path
        target = place / "unpacked"
        try:
            with target.open("wb") as out:
                _UNPACK[compression](file.path, out)
        except (EOFError, zlib.error, zipfile.BadZipFile, gzip.BadGzipFile, pa.ArrowException) as error:
            raise _broken(file, compression) from error
        except OSError as error:
            # bz2 raises a bare OSError for a file that is not bzip2
            if error.errno is None:
                raise _broken(file, compression) from error
            raise
        except _NotSnappy as error:
            raise _broken(file, compression) from error
        return target


class _NotSnappy(ValueError):
    pass


def _broken(file: BucketFile, compression: str) -> UploadFailed:
    return UploadFailed(
        f"{file.key}: cannot be decompressed as {compression}; it is damaged or something else."
    )


def _check_is_plain(file: BucketFile) -> None:
    with file.path.open("rb") as stream:
        head = stream.read(8)
    for compression, magic in _MAGIC.items():
        if head.startswith(magic):
            raise UploadFailed(
                f"{file.key}: the file is compressed; set compressionFormat to {compression} instead of NONE."
            )


def _gzip(path: Path, out: IO[bytes]) -> None:
    with gzip.open(path) as stream:
        shutil.copyfileobj(stream, out, _PIECE)


def _bzip(path: Path, out: IO[bytes]) -> None:
    with bz2.open(path) as stream:
        shutil.copyfileobj(stream, out, _PIECE)


def _zip(path: Path, out: IO[bytes]) -> None:
    with zipfile.ZipFile(path) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        if len(members) != 1 or members[0].flag_bits & 1:
            raise zipfile.BadZipFile("one file is expected, without a password")
        with archive.open(members[0]) as stream:
            shutil.copyfileobj(stream, out, _PIECE)


def _snappy(path: Path, out: IO[bytes]) -> None:
    """Snappy's framing, Hadoop's blocks, or one raw block; only the content tells which."""
    codec = pa.Codec("snappy")

    def plain(block: bytes) -> bytes:
        size = _varint(block)
        if not 0 <= size <= _MOST_AT_ONCE:
            raise _NotSnappy
        return bytes(codec.decompress(block, decompressed_size=size))

    with path.open("rb") as stream:
        head = stream.read(len(_FRAMED))
        stream.seek(0)
        pieces = _framed(stream, plain) if head == _FRAMED else _blocks(stream, path.stat().st_size, plain)
        for piece in pieces:
            out.write(piece)


def _framed(stream: IO[bytes], plain: Callable[[bytes], bytes]) -> Iterator[bytes]:
    compressed, uncompressed, checksum = 0, 1, 4
    while header := stream.read(4):
        kind, length = header[0], int.from_bytes(header[1:4], "little")
        body = _exactly(stream, length)
        if kind == compressed:
            yield plain(body[checksum:])
        elif kind == uncompressed:
            yield body[checksum:]


def _blocks(stream: IO[bytes], size: int, plain: Callable[[bytes], bytes]) -> Iterator[bytes]:
    """Hadoop's blocks: a block, and each of its chunks, follows its length (big endian); or one raw block."""
    if not _is_hadoops(stream, size):
        if size > _MOST_AT_ONCE:
            raise _NotSnappy
        yield plain(stream.read())
        return
    while header := stream.read(4):
        left = int.from_bytes(header, "big")
        while left > 0:
            piece = plain(_exactly(stream, int.from_bytes(_exactly(stream, 4), "big")))
            left -= len(piece)
            yield piece


def _is_hadoops(stream: IO[bytes], size: int) -> bool:
    head = stream.read(13)
    stream.seek(0)
    whole, first = int.from_bytes(head[:4], "big"), int.from_bytes(head[4:8], "big")
    return 0 < first <= size - 8 and 0 <= _varint(head[8:]) <= whole


def _varint(block: bytes) -> int:
    """The length of the decompressed content, with which a snappy block begins; -1 if it does not."""
    value = 0
    for position, byte in enumerate(block[:5]):
        value |= (byte & 0x7F) << (7 * position)
        if byte < 0x80:  # noqa: PLR2004 - the last byte of the number
            return value
    return -1


def _exactly(stream: IO[bytes], length: int) -> bytes:
    body = stream.read(length) if length <= _MOST_AT_ONCE else b""
    if len(body) != length:
        raise _NotSnappy
    return body


_UNPACK: dict[str, Callable[[Path, IO[bytes]], None]] = {
    "GZIP": _gzip,
    "ZIP": _zip,
    "BZIP": _bzip,
    "SNAPPY": _snappy,
}
