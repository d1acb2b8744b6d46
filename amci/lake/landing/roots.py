"""What lies under a root and has landed: the scan that is the truth."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from amci.lake.landing.object_store import Landed

#: Control characters, and the surrogates by which Python shows bytes that are not UTF-8.
ODD = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_UNFINISHED = (".part", ".tmp", ".crdownload", ".filepart")


@dataclass(frozen=True, slots=True)
class Root:
    """A directory of raw files."""

    name: str
    path: Path
    watch: str = "events"  #: `events`, `polling` or `off`
    prefix: str = ""  #: begins every key of this root, as `acme/` if the directory is one tenant's own

    def key(self, relative: str) -> str:
        """The key of what lies at `relative` below the directory; that of the directory itself has no slash."""
        return f"{self.prefix}{relative}" if relative else self.prefix.rstrip("/")

    def path_of(self, key: str) -> Path:
        """Where the object with this key lies."""
        relative = key.removeprefix(self.prefix) if key + "/" != self.prefix else ""
        return self.path / relative if relative else self.path


def is_taken(name: str) -> bool:
    """Whether a file or folder of this name is ever looked at.

    Not taken: dot-files, unfinished downloads, and markers such as `_SUCCESS` or `_temporary` that Spark,
    Hadoop and Athena leave beside results.
    """
    return not (name.startswith((".", "_")) or name.lower().endswith(_UNFINISHED))


def nameable(folder: str) -> str:
    """`folder`, or the innermost folder above it whose name can be stored, so that known keys begin with it."""
    odd = ODD.search(folder)
    return folder[: odd.start()].rpartition("/")[0] if odd else folder


def scan(root: Root, under: str = "") -> Iterator[Landed]:
    """Every regular file below `root` (or below its folder with key `under`) that may be taken, landed or not.

    Symbolic links are followed only to files inside the root; FIFOs, sockets and devices are passed over, and
    so is what vanishes or cannot be read meanwhile. A folder `under` the root that is gone has no files; raises
    OSError if the root itself cannot be read.
    """
    pending = [root.path_of(under)]
    real = os.path.realpath(root.path)
    base = len(str(root.path)) + 1
    while pending:
        folder = pending.pop()
        try:
            entries = os.scandir(folder)
        except OSError:
            if folder == root.path:
                raise
            continue
        with entries:
            # Not as the disk has them: which of two equal files counts must not depend on that.
            for entry in sorted(entries, key=lambda entry: entry.name):
                if not is_taken(entry.name):
                    continue
                try:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(Path(entry.path))
                        continue
                    if entry.is_symlink() and not _is_inside(entry.path, real):
                        continue
                    found = entry.stat()
                except OSError:
                    continue
                if stat.S_ISREG(found.st_mode):
                    yield _landed(root.name, root.key(entry.path[base:]), found)


def links_passed_over(root: Root) -> Iterator[Path]:
    """Symbolic links below `root` that `scan` does not follow: to folders, out of the root, or to nowhere."""
    real = os.path.realpath(root.path)
    for folder, folders, files in os.walk(root.path):
        folders[:] = [name for name in folders if is_taken(name)]
        for name in (*folders, *files):
            path = Path(folder, name)
            if is_taken(name) and path.is_symlink() and not (path.is_file() and _is_inside(str(path), real)):
                yield path


def _landed(root: str, key: str, found: os.stat_result) -> Landed:
    r"""The file with its key; in a key that cannot be stored, odd bytes show as `\xNN`."""
    if not ODD.search(key):
        return Landed.of(root, key, found)
    text = os.fsencode(key).decode("utf-8", errors="backslashreplace")
    shown = ODD.sub(lambda m: m[0].encode("unicode_escape").decode(), text)
    return Landed.of(root, shown, found, has_odd_name=True)


def _is_inside(path: str, real_root: str) -> bool:
    return os.path.realpath(path).startswith(real_root + os.sep)


class Settling:
    """Which files stood still long enough; remembers what it saw between two scans."""

    def __init__(self, settle: timedelta) -> None:
        self._settle = settle
        self._seen: dict[tuple[str, str], tuple[int, int, datetime]] = {}

    def has_landed(self, file: Landed, now: datetime, *, trusts_mtime: bool) -> bool:
        """Whether size and mtime of `file` stood still for the settle time.

        Its mtime tells, if the clock that wrote it is this machine's (`trusts_mtime`); otherwise, and for an
        mtime in the future, two looks that far apart do.
        """
        age_ns = int(now.timestamp() * 1e9) - file.mtime_ns
        settle_ns = self._settle.total_seconds() * 1e9
        if trusts_mtime and age_ns >= settle_ns:
            self.forget(file)
            return True
        identity = (file.root, file.key)
        size, mtime_ns, since = self._seen.get(identity, (-1, -1, now))
        if (size, mtime_ns) != (file.size, file.mtime_ns):
            self._seen[identity] = (file.size, file.mtime_ns, now)
            return settle_ns == 0
        if now - since >= self._settle:
            self.forget(file)
            return True
        return False

    def forget(self, file: Landed) -> None:
        """This file is dealt with or gone."""
        self._seen.pop((file.root, file.key), None)
