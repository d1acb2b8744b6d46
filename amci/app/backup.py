"""Backups: a copy of a workspace that is right at any moment, also while amci is at work, and back from it.

State and catalog are copied while no other process can change the state, so the ledger names no run that the state does
not know; what the ledger has beyond the state is what a process had committed that was killed right after it. Other
files never change: they are copied afterwards, and newer ones do no harm. The manifest is written last.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from amci.kernel.clock import Clock, timestamp
from amci.kernel.errors import DamagedFile, NotFound, StateError, StorageError, UsageError
from amci.kernel.files import (
    bounded_bytes,
    fsync,
    json_of,
    new_directory,
    plain_file,
    replacing,
    storage_errors,
    walked,
    write_bytes,
)
from amci.kernel.version import __version__
from amci.kernel.workspace import MARKER, WorkspacePaths
from amci.lake.catalog.checksums import lake_files
from amci.lake.catalog.duck import REMEDY
from amci.lake.query.session import session
from amci.lake.upkeep.check import NEEDED_BEFORE, examine

MANIFEST = "backup.json"
_LONGEST_MANIFEST = 1024**3  #: bytes; it has a line or two for each file
#: The databases, in the order in which they are copied, and the table of each that has the epoch.
_DATABASES = {"state/catalog.db": "amci_lake", "state/amci.db": "lake"}
#: What else is copied: files, and folders with all that is in them. Not the key of the credentials.
_PLACES = (MARKER, "config", "fixtures", "state/credentials.enc", "stage", "quarantine", "raw")
_CHUNK = 2**20
#: How long a copy waits for the process that is writing, seconds.
_PATIENCE = 60.0
#: For asking the copied catalog: memory in bytes, and time.
_LITTLE, _LONG = 256 * 2**20, timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Copied:
    """What was copied."""

    files: int
    bytes: int
    missing: int = (
        0  #: files that were lost or damaged before, and that only older snapshots of the lake need
    )


def back_up(workspace: WorkspacePaths, folder: Path, clock: Clock, tell: Callable[[str], None]) -> Copied:
    """Copy a workspace into the new `folder`; `tell` hears what is being copied.

    Raises UsageError if the folder is inside the workspace, or exists and is not empty; StorageError if the disk
    refuses, or a file of the lake went while it was copied; DamagedFile if one is not what was written.
    """
    if new_directory(folder, is_made=False).is_relative_to(workspace.home):
        raise UsageError(f"{folder} is inside the workspace", hint="name a directory outside it")
    new_directory(folder)
    files: dict[str, dict[str, Any]] = {}
    with _filling(folder, "make the backup"):
        (folder / "state").mkdir()
        with _still(workspace.state):
            for name in _DATABASES:
                if (workspace.home / name).exists():
                    tell(name)
                    _copy_database(workspace.home / name, folder / name)
            _drop_unless_made(folder / "state" / "catalog.db")
        files |= {name: _described(folder / name) for name in _DATABASES if (folder / name).exists()}
        for name in _names(workspace.home):
            tell(name)
            try:
                with storage_errors(f"copy {name}"):
                    files[name] = _copy(workspace.home / name, folder / name)
            except FileNotFoundError:
                continue  # a raw file that was removed meanwhile; files of the lake are asked for below
        missing = _missing(
            WorkspacePaths(folder.resolve()), {name: each["sha256"] for name, each in files.items()}
        )
        manifest = {"amci": __version__, "taken_at": timestamp(clock.now()), "files": files}
        write_bytes(folder / MANIFEST, json.dumps(manifest, indent=1).encode())
    return Copied(len(files), sum(each["size"] for each in files.values()), missing)


def restore(folder: Path, home: Path, tell: Callable[[str], None]) -> Copied:
    """Make the new workspace `home` from a backup, and check each file on the way; `tell` hears which.

    State and catalog get a new epoch: neither goes together with those of the workspace that the backup was made of.
    `amci.yaml` comes last: what an interrupted or refused restore leaves is not a workspace.
    Raises NotFound if there is no whole backup, UsageError if `home` is not empty, StateError if a file was altered.
    """
    new_directory(home, is_made=False)
    try:
        files = dict(json_of(bounded_bytes(folder / MANIFEST, _LONGEST_MANIFEST))["files"])
        outside = next((name for name in files if not _is_inside(home, name)), None)
        if outside is None:
            files[MARKER] = files.pop(MARKER)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotFound(
            f"{folder} has no whole backup", hint=f"{MANIFEST} is written when a backup is complete"
        ) from error
    if outside is not None:
        raise StateError(f"the backup names {outside}, outside the workspace", hint="take another backup")
    new_directory(home)
    with _filling(home, "restore the backup"):
        for name, described in files.items():
            tell(name)
            if name == MARKER:
                for database in files.keys() & _DATABASES.keys():
                    _next_epoch(home / database, _DATABASES[database])
            with replacing(home / name) as beside:
                try:
                    copied = _copy(folder / name, beside)
                except FileNotFoundError:
                    raise StateError(f"the backup lacks {name}", hint="take another backup") from None
                if copied != described:
                    raise StateError(f"{name} is not what was backed up", hint="take another backup")
    return Copied(len(files), sum(each["size"] for each in files.values()))


def _is_inside(home: Path, name: str) -> bool:
    """Whether a name of a manifest is below `home`. Raises ValueError if no file can have it."""
    return (home / name).resolve().is_relative_to(home.resolve())


@contextmanager
def _filling(folder: Path, doing: str) -> Iterator[None]:
    """Translate what a disk refuses while `folder` is filled: the half that is there is not gone on with."""
    try:
        with storage_errors(doing):
            yield
    except StorageError as error:
        if error.__cause__ is None:  # a file of the lake went meanwhile
            raise
        hint = f"check the disk and its free space, delete {folder}, then run the same command again"
        raise StorageError(str(error), hint=hint) from error


@contextmanager
def _still(state: Path) -> Iterator[None]:
    """Keep other processes from changing the state meanwhile; they wait."""
    if not state.exists():
        yield
        return
    with (
        closing(sqlite3.connect(state, timeout=_PATIENCE, isolation_level=None)) as db,
        _sqlite_errors(state),
    ):
        db.execute("BEGIN IMMEDIATE")
        yield


def _copy_database(source: Path, target: Path) -> None:
    with (
        _sqlite_errors(source),
        closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as db,
        closing(sqlite3.connect(target)) as copy,
    ):
        db.backup(copy)
    fsync(target)


@contextmanager
def _sqlite_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StorageError(f"copy {path.name}: {error}", hint="see `amci doctor`, then try again") from error


def _drop_unless_made(catalog: Path) -> None:
    """Remove the copy of a catalog that was just being made: nothing was in it."""
    if catalog.exists():
        with _sqlite_errors(catalog), closing(sqlite3.connect(catalog)) as db:
            is_made = db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'ducklake_schema'").fetchone()
            is_made = (
                is_made and db.execute("SELECT 1 FROM ducklake_schema WHERE schema_name = 'amci'").fetchone()
            )
        if not is_made:
            catalog.unlink()


def _next_epoch(path: Path, table: str) -> None:
    """Tell a restored database from the one it was copied from; one of before there were epochs has none."""
    with _sqlite_errors(path), closing(sqlite3.connect(path)) as db, db:
        if db.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (table,)).fetchone():
            db.execute(f"UPDATE {table} SET epoch = epoch + 1")


def _names(home: Path) -> Iterator[str]:
    """The files to copy, relative to the workspace; not what is still being written, nor pipes and devices.

    Links to folders are followed as amci follows them: everywhere but in `raw`.
    """
    for place in _PLACES:
        path = home / place
        if path.is_file():
            yield place
        for base, _, names in walked(path) if place != "raw" else os.walk(path):
            for name in sorted(names):
                if not name.endswith(".part") and Path(base, name).is_file():
                    yield str(Path(base, name).relative_to(home))


def _copy(source: Path, target: Path) -> dict[str, Any]:
    """Copy a file with its times and mode; its size and hash. Raises FileNotFoundError."""
    digest, size = hashlib.sha256(), 0
    with plain_file(source) as read:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as write:
            while chunk := read.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
                write.write(chunk)
            write.flush()
            os.fsync(write.fileno())
        # After it was read: a file that changed meanwhile must look new where it is restored.
        status = os.fstat(read.fileno())
    target.chmod(status.st_mode & 0o7777)
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
    return {"size": size, "sha256": digest.hexdigest()}


def _described(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"size": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _missing(copy: WorkspacePaths, hashes: Mapping[str, str]) -> int:
    """How many files of the copied catalog are not in the copy, or damaged there, and needed by older snapshots only.

    Raises StorageError if the newest one lacks a file: `vacuum` may have deleted it meanwhile. Raises DamagedFile if
    one is not what was written, by the hash it was copied with: a backup of damage is none.
    """
    if not copy.catalog.exists():
        return 0
    with session(copy, memory_limit=_LITTLE, timeout=_LONG, threads=1) as asking:
        found = [
            row for row in examine(asking, copy, deep=False) if row["problem"] not in ("extra", "ledger")
        ]
        files = lake_files(asking.con, copy.post_stage)
    missing = {row["file"] for row in found}
    for file in files:
        name = copy.relative(file.path)
        if file.sha256 and hashes.get(name, file.sha256) != file.sha256:
            if file.is_current:
                raise DamagedFile(f"{name} is not what amci wrote", hint=REMEDY)
            missing.add(name)
    wrong = [row for row in found if NEEDED_BEFORE not in row["says"]]
    if wrong:
        raise StorageError(
            f"{wrong[0]['file']} of the lake is {wrong[0]['problem']} in the copy",
            hint="if `amci lake check` finds nothing wrong, try again when no `amci lake vacuum` is at work",
        )
    return len(missing)
