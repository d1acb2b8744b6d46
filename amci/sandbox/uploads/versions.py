"""The rows of uploaded data sets on disk: a folder of Parquet files per version, complete or absent."""

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
    """Where the versions of a data set lie; one made anew under the same id has another folder."""
    return directory / "data-sets" / f"{row['seq']}-{row['data_set_id']}"


def files_of(directory: Path, row: Row) -> list[Path]:
    """The Parquet files of the present version of a data set; none where nothing was uploaded yet."""
    if row["version"] is None:
        return []
    return sorted((folder_of(directory, row) / row["version"]).glob("*.parquet"))


@contextmanager
def alone(directory: Path) -> Iterator[bool]:
    """Whether no other process changes uploaded data sets while the block lasts.

    The lock is the kernel's: it ends with the process that holds it, however that ends.
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
def making(folder: Path, version: str) -> Iterator[Path]:
    """A folder to put the files of a new version in; it takes its place in one step when the block ends.

    When the block raises, nothing of it stays. Raises StorageError where the disk refuses.
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


def take_over(files: Iterable[Path], part: Path) -> None:
    """Have these files in a new version, too, without copying them."""
    for file in files:
        os.link(file, part / file.name)


def tidy(folder: Path, keep: Iterable[str | None]) -> None:
    """Remove versions nobody reads any more, and what killed processes left."""
    kept = set(keep)
    with storage_errors("clear away an uploaded data set"):
        for each in folder.iterdir() if folder.is_dir() else ():
            if each.name not in kept:
                _remove(each)


def forget(directory: Path, row: Row) -> None:
    """Remove all there is of a data set."""
    with storage_errors("delete an uploaded data set"):
        _remove(folder_of(directory, row))


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
