"""What lies under a root and has landed: the scan that is the truth."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

from amci.lake.landing.object_store import UNSIGNED, Landed

#: Control characters, and the surrogates by which Python shows bytes that are not UTF-8.
ODD = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
#: Keys in a folder come before its key with this, and after all keys comes the last one.
_AFTER_SLASH, _LAST = "0", "\U0010ffff"
#: Files and folders that are compared at a time.
_AT_A_TIME = 10_000
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


@dataclass(frozen=True, slots=True)
class Stamp:
    """What changes of a folder whenever a file comes into it, goes or gets another name; not if one is written over."""

    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, found: os.stat_result) -> Self:
        """That of a folder as the file system shows it."""
        return cls(found.st_mtime_ns, found.st_ctime_ns, found.st_ino & UNSIGNED)


@dataclass(frozen=True, slots=True)
class Listing:
    """What lies in a folder and may be taken."""

    key: str  #: how the keys of what is in it begin, without the last slash
    files: list[Landed]
    folders: list[tuple[str, str]]  #: those in it: key and path of each, by name
    stamp: Stamp | None  #: taken before; None if the stamp of the folder does not tell all of its changes
    has_odd_name: bool

    def gaps(self) -> list[tuple[str, str]]:
        """Between which keys, the first included, there is nothing but the files: around what is in its folders.

        What is known there beside the files is gone, with its folder maybe.
        """
        first = f"{self.key}/" if self.key else ""
        last = f"{self.key}{_AFTER_SLASH}" if self.key else _LAST
        inner = sorted({f"{key}/" for key, _ in self.folders})
        starts = [first, *(start[:-1] + _AFTER_SLASH for start in inner)]
        return list(zip(starts, [*inner, last], strict=True))


def walk(root: Root, folders: Iterable[str], but: Collection[str] = ()) -> Iterator[Listing]:
    """List these folders, by key, and all those below them, `but` for some.

    Symbolic links are followed only to files inside the root; FIFOs, sockets and devices are passed over, and so is
    what vanishes or cannot be read meanwhile. A folder that is gone has no files; raises OSError if the root itself
    cannot be read.
    """
    pending = [(key, str(root.path_of(key))) for key in folders]
    real = os.path.realpath(root.path)
    while pending:
        listing = _listing(root, *pending.pop(), real)
        pending += [(key, path) for key, path in listing.folders if key not in but]
        yield listing


def in_batches(listings: Iterable[Listing]) -> Iterator[list[Listing]]:
    """Some folders at a time, so that what is held in memory does not grow with a root."""
    batch: list[Listing] = []
    size = 0
    for listing in listings:
        batch.append(listing)
        size += 1 + len(listing.files)
        if size >= _AT_A_TIME:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def scan(root: Root, under: str = "") -> Iterator[Landed]:
    """Every regular file below `root`, or its folder with key `under`, that may be taken, landed or not; see `walk`."""
    for listing in walk(root, [under or root.key("")]):
        yield from listing.files


def _listing(root: Root, key: str, path: str, real: str) -> Listing:
    base = len(str(root.path)) + 1
    files: list[Landed] = []
    folders: list[tuple[str, str]] = []
    is_telling, has_odd_name = True, bool(ODD.search(path[base:]))
    try:
        stamp = Stamp.of(os.stat(path))  # noqa: PTH116 - thousands of them
        entries = os.scandir(path)
    except OSError:
        if path == str(root.path):
            raise
        return Listing(key, [], [], None, has_odd_name)
    with entries:
        # Not as the disk has them: which of two equal files counts must not depend on that.
        for entry in sorted(entries, key=lambda entry: entry.name):
            if not is_taken(entry.name):
                continue
            try:
                if entry.is_dir(follow_symlinks=False):
                    # A name that cannot be stored does not lead back to its folder.
                    is_telling = is_telling and not ODD.search(entry.name)
                    folders.append((shown(root.key(entry.path[base:])), entry.path))
                    continue
                if entry.is_symlink():
                    is_telling = False  # what it leads to comes and goes elsewhere
                    if not _is_inside(entry.path, real):
                        continue
                found = entry.stat()
            except OSError:
                is_telling = False
                continue
            if stat.S_ISREG(found.st_mode):
                files.append(_landed(root.name, root.key(entry.path[base:]), found))
    return Listing(key, files, folders, stamp if is_telling else None, has_odd_name)


def links_passed_over(root: Root) -> Iterator[Path]:
    """Symbolic links below `root` that `scan` does not follow: to folders, out of the root, or to nowhere."""
    real = os.path.realpath(root.path)
    pending = [str(root.path)]
    while pending:
        # What cannot be read has none.
        with suppress(OSError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                if not is_taken(entry.name):
                    continue
                if entry.is_symlink():
                    if not (Path(entry.path).is_file() and _is_inside(entry.path, real)):
                        yield Path(entry.path)
                elif entry.is_dir():
                    pending.append(entry.path)


def _landed(root: str, key: str, found: os.stat_result) -> Landed:
    r"""The file with its key; in a key that cannot be stored, odd bytes show as `\xNN`."""
    if not ODD.search(key):
        return Landed.of(root, key, found)
    return Landed.of(root, shown(key), found, has_odd_name=True)


def shown(key: str) -> str:
    r"""`key` with odd bytes as `\xNN`, as it is stored."""
    if not ODD.search(key):
        return key
    text = os.fsencode(key).decode("utf-8", errors="backslashreplace")
    return ODD.sub(lambda m: m[0].encode("unicode_escape").decode(), text)


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
