"""What a raw file holds, beyond what the file system says of it: its hash, and a quick look at its two ends."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

from amci.kernel.files import plain_file

#: A file of up to so many bytes is read whole where its ends would do: that takes no longer.
SMALL = 256 * 2**10
_END = 64 * 2**10
_CHUNK = 2**20


def content_hash(path: Path, stop: threading.Event | None = None) -> str:
    """The SHA-256 of a file's bytes, in hex; empty if `stop` was set before its end. Raises OSError."""
    found = hashlib.sha256()
    with plain_file(path) as file:
        while chunk := file.read(_CHUNK):
            if stop is not None and stop.is_set():
                return ""
            found.update(chunk)
    return found.hexdigest()


def probe(path: Path) -> str:
    """A hash of the first and last bytes of a large file. Raises OSError."""
    with plain_file(path) as file:
        found = hashlib.sha256(file.read(_END))
        file.seek(-_END, 2)
        found.update(file.read(_END))
    return found.hexdigest()[:32]
