"""The rows of uploaded data sets on disk: a folder of Parquet files for each version, complete or absent.

    data-sets/<seq>-<data set>/<version>/<upload>-<number of the file>.parquet

A version is never changed. The store says which one is current; the previous one stays for queries that still read
it, until the next upload removes it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Row

from amci.kernel.files import fault_point, fsync, storage_errors

_UNFINISHED = ".part"


def folder_of(directory: Path, row: Row) -> Path:
    """The folder of a data set's versions; `seq` tells data sets apart that had the same id one after the other."""
    return directory / "data-sets" / f"{row['seq']}-{row['data_set_id']}"


def files_of(directory: Path, row: Row) -> list[Path]:
    """The Parquet files of the current version of a data set; none before the first upload."""
    if row["version"] is None:
        return []
    return sorted((folder_of(directory, row) / row["version"]).glob("*.parquet"))


@contextmanager
def exclusive(directory: Path) -> Iterator[bool]:
    """Take the lock on uploaded data sets; yields False if another process holds it. Raises StorageError.

    The operating system releases the lock when the process ends, however it ends.
    """
    place = directory / "data-sets"
    with storage_errors("lock uploaded data sets"):
        place.mkdir(parents=True, exist_ok=True)
        handle = os.open(place / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)


@contextmanager
def new_version(folder: Path, version: str) -> Iterator[Path]:
    """A folder for the files of a new version, which gets its final name when the block ends.

    If the block raises, nothing is left. Raises StorageError if the disk refuses.
    """
    part, done = folder / f"{version}{_UNFINISHED}", folder / version
    with storage_errors("write an uploaded data set"):
        _remove(part)
        _remove(done)
        part.mkdir(parents=True)
        try:
            yield part
            fault_point("versions.before_fsync")
            for file in part.iterdir():
                fsync(file)
            fsync(part)
            fault_point("versions.before_rename")
            part.rename(done)
            fault_point("versions.after_rename")
            fsync(folder)
        finally:
            _remove(part)


def link_files(files: Iterable[Path], part: Path) -> None:
    """Add these files to a new version without copying them."""
    for file in files:
        os.link(file, part / file.name)


def remove_others(folder: Path, keep: Iterable[str | None]) -> None:
    """Remove versions that are not in `keep`, and what killed processes left. Raises StorageError."""
    kept = set(keep)
    with storage_errors("remove old versions of an uploaded data set"):
        for each in folder.iterdir() if folder.is_dir() else ():
            if each.name not in kept:
                _remove(each)


def delete_files(directory: Path, row: Row) -> None:
    """Remove all versions of a data set. Raises StorageError."""
    with storage_errors("delete an uploaded data set"):
        _remove(folder_of(directory, row))


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
