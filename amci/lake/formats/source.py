"""The bytes of a raw file: read once in order, counted, hashed, and expanded within limits."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from itertools import chain
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, BinaryIO

from amci.kernel.errors import MalformedFile, StorageError
from amci.kernel.files import plain_file

if TYPE_CHECKING:
    import pyarrow as pa

    from amci.lake.formats.model import Limits

MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
#: So many bytes are looked at before a file is read.
HEAD_BYTES = 64 << 10
_SUFFIXES = {".gz": "gzip", ".zst": "zstd"}


class ByteSource:
    """An open raw file.

    The file stays the one that was opened, also when another takes its name meanwhile.
    Raises FileNotFoundError when it has gone, StorageError when it cannot be read.
    """

    def __init__(self, path: PurePath, *, chunk_bytes: int, file: BinaryIO | None = None) -> None:
        """Open the file at `path`, unless `file` is what lies there."""
        self._path = path
        self._chunk_bytes = chunk_bytes
        try:
            self._file = file or plain_file(Path(path))
        except FileNotFoundError:
            raise
        except OSError as error:
            raise self.unreadable(error) from error
        self._hash = hashlib.sha256()
        self._count = 0
        self._content = ""
        self._expanding: Iterator[bytes] = iter(())
        self._head: tuple[bytes, bool] | None = None
        self._reading: Iterator[bytes] = iter(())

    @property
    def sha256(self) -> str:
        """The hash of the raw bytes read since the last start, in hex."""
        return self._hash.hexdigest()

    @property
    def content_sha256(self) -> str:
        """The hash of the expanded bytes; that of the raw ones if the file is not compressed. Right after `drain`."""
        return self._content or self.sha256

    @property
    def count(self) -> int:
        """How many raw bytes were read since the last start."""
        return self._count

    def head(self, limits: Limits) -> tuple[bytes, bool]:
        """The first expanded bytes, HEAD_BYTES at most, and whether that is all; read once, before anything else.

        Raises as `expanded` does.
        """
        if self._head is None:
            try:
                self._file.seek(0)
                head = self._file.read(HEAD_BYTES + 1)
            except OSError as error:
                raise self.unreadable(error) from error
            if any(head.startswith(magic) for magic in MAGIC):
                head = at_least(self.expanded(limits), HEAD_BYTES + 1)
            self._head = head[:HEAD_BYTES], len(head) <= HEAD_BYTES
        return self._head

    def raw(self) -> Iterator[bytes]:
        """The bytes as they are on the disk, from the first; hash and count start again."""
        self._reading = self._read()
        return self._reading

    def _read(self) -> Iterator[bytes]:
        self._hash, self._count, self._content = hashlib.sha256(), 0, ""
        try:
            self._file.seek(0)
            while chunk := self._file.read(self._chunk_bytes):
                self._hash.update(chunk)
                self._count += len(chunk)
                yield chunk
        except OSError as error:
            raise self.unreadable(error) from error

    def expanded(self, limits: Limits) -> Iterator[bytes]:
        """The bytes from the first, expanded if they are gzip or zstd; several members are one file.

        Raises MalformedFile if the name promises a compression that the content does not have, if the
        compressed data is damaged or ends early, and if it expands past a limit.
        """
        chunks = self.raw()
        head = at_least(chunks, max(map(len, MAGIC)))
        found = next((kind for magic, kind in MAGIC.items() if head.startswith(magic)), None)
        promised = _SUFFIXES.get(self._path.suffix.lower())
        if head and promised and found != promised:
            raise MalformedFile(
                f"the name says {promised}, the content is not", hint="Send it again, or rename it."
            )
        chunks = chain((head,), chunks)
        if not found:
            return chunks
        self._expanding = self._expand(chunks, found, limits)
        return self._expanding

    def _expand(self, chunks: Iterator[bytes], kind: str, limits: Limits) -> Iterator[bytes]:
        import pyarrow as pa

        stream = pa.CompressedInputStream(pa.PythonFile(ChunkFile(chunks), mode="r"), kind)
        total, content = 0, hashlib.sha256()
        while True:
            try:
                block = stream.read(self._chunk_bytes)
            except (OSError, pa.ArrowException) as error:
                says = "ends early" if "Truncated" in str(error) else "is damaged"
                raise MalformedFile(f"the {kind} data {says}", hint="Send the whole file again.") from None
            if not block:
                self._content = content.hexdigest()
                return
            content.update(block)
            total += len(block)
            limits.check_expanded(total, self._count)
            yield block

    def drain(self) -> None:
        """Read what is left, so that hashes and count are those of the whole file."""
        for _ in chain(self._expanding, self._reading):
            pass

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def seekable(self) -> BinaryIO:
        """The raw file itself, for readers that jump about; neither hashed nor counted."""
        return self._file

    def file(self) -> pa.PythonFile:
        """The raw file for readers that jump about; neither hashed nor counted."""
        import pyarrow as pa

        return pa.PythonFile(self._file, mode="r")

    def unreadable(self, error: OSError) -> StorageError:
        """The operating system's refusal in our words."""
        return StorageError(f"cannot read {self._path.name}: {error.strerror}", hint="Check disk and rights.")


class ChunkFile:
    """A chain of chunks as the kind of file pyarrow reads from, also in a thread of its own."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""
        self._lock = threading.Lock()
        self.closed = False

    def read(self, size: int) -> bytes:
        """At most `size` bytes, and at least half of that before the end; empty at the end."""
        with self._lock:
            if self.closed:
                return b""
            # A chunk as long as a block goes through uncopied, also when the first one lost its header.
            self._rest = at_least(self._chunks, max(1, size // 2), self._rest)
            if len(self._rest) <= size:
                found, self._rest = self._rest, b""
            else:
                found, self._rest = self._rest[:size], self._rest[size:]
            return found

    def close(self) -> None:
        """Wait for a read in another thread, and allow no more of them."""
        with self._lock:
            self.closed = True


def at_least(chunks: Iterator[bytes], size: int, start: bytes = b"") -> bytes:
    """`start` and as many chunks as make it `size` bytes long; less only when the chunks end."""
    parts, have = [start], len(start)
    while have < size and (chunk := next(chunks, None)) is not None:
        parts.append(chunk)
        have += len(chunk)
    return b"".join(parts) if len(parts) > 1 else start
