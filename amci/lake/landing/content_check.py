"""Compares the content of raw files with what was read: a file may have been replaced behind all that `stat` says."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from sqlite3 import Row
from typing import Any

from amci.kernel import log
from amci.kernel.clock import Clock, timestamp
from amci.lake.landing.content import content_hash
from amci.lake.landing.ingest import Ingest
from amci.lake.landing.object_store import ObjectStore
from amci.lake.landing.roots import Root

#: Objects asked for at once.
_CHUNK = 200
#: What a file counts for at least, in bytes, since opening many small ones costs as well.
_LEAST = 64 * 2**10

_log = log.get("contents")


@dataclass(frozen=True, slots=True)
class Checked:
    """What a look at contents found."""

    files: int = 0
    bytes: int = 0
    replaced: tuple[str, ...] = ()  #: keys of files with another content; each is noted as a new version
    unreadable: tuple[str, ...] = ()  #: keys of files that the disk refused to read
    is_whole: bool = True  #: whether nothing that was due is left

    def as_report(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "files": self.files,
            "bytes": self.bytes,
            "replaced": list(self.replaced),
            "unreadable": list(self.unreadable),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentCheck:
    """Reads raw files and compares their hashes with those of what was loaded."""

    roots: Mapping[str, Root]  #: by name
    objects: ObjectStore
    ingest: Ingest
    clock: Clock

    def suspects(self, stop: threading.Event) -> Checked:
        """Compare the files that another may have replaced: inode or change time differ, and size and mtime do not."""
        return self._check("", None, stop)

    def check(self, stop: threading.Event, *, before: datetime, most_bytes: int | None = None) -> Checked:
        """Compare suspects, then all files that were last compared, or seen, before a moment.

        It ends when `stop` is set or `most_bytes` were read, and goes on where it was when it is called again.
        """
        return self._check(timestamp(before), most_bytes, stop)

    def _check(self, before: str, most_bytes: int | None, stop: threading.Event) -> Checked:
        files = size = counted = 0
        replaced: list[str] = []
        unreadable: list[str] = []
        while rows := self.objects.unchecked(before, _CHUNK):
            for row in rows:
                if stop.is_set() or (most_bytes is not None and counted >= most_bytes):
                    return Checked(files, size, tuple(replaced), tuple(unreadable), is_whole=False)
                try:
                    is_other = self._is_other(row, stop)
                except FileNotFoundError:
                    is_other = False  # the next look at the root says so
                except OSError as error:
                    _log.warning("content not compared", key=row["key"], reason=str(error.strerror))
                    unreadable.append(row["key"])
                    is_other = False
                if is_other is None:
                    continue
                files, size, counted = files + 1, size + row["size"], counted + max(row["size"], _LEAST)
                if is_other:
                    replaced.append(row["key"])
                else:
                    self.objects.checked([row["object_id"]])
        return Checked(files, size, tuple(replaced), tuple(unreadable))

    def _is_other(self, row: Row, stop: threading.Event) -> bool | None:
        """Whether the file has another content, which is noted then; None if `stop` was set meanwhile."""
        root = self.roots.get(row["root"])
        if root is None:
            return False
        path = root.path_of(row["key"])
        found = path.stat()
        if (found.st_size, found.st_mtime_ns) != (row["size"], row["mtime_ns"]):
            return False  # a new version, as the next look at the root says
        sha256 = content_hash(path, stop)
        if not sha256:
            return None
        if sha256 == row["sha256"]:
            return False
        _log.info("file replaced", key=row["key"], version=row["version"])
        self.ingest.replaced(row["root"], row["key"], row["object_id"], row["version"])
        return True
