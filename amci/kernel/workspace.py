"""Where things lie in a workspace, how it is found, and who may write to it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from amci.kernel.clock import pause
from amci.kernel.errors import NoWorkspace, WorkspaceBusy
from amci.kernel.files import storage_errors

#: The file that makes a directory a workspace.
MARKER = "amci.yaml"


class _Below:
    """A place inside a workspace, by its path below the home."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __get__(self, workspace: WorkspacePaths, _: type) -> Path:
        return workspace.home / self._path


@dataclass(frozen=True, slots=True)
class WorkspacePaths:
    """A directory with everything amci knows: configuration, raw files, stages, state."""

    home: Path

    settings_file = _Below(MARKER)
    config = _Below("config")  #: tenants, datasets, workflows, schedules and transforms, as people write them
    raw = _Below("raw")  #: where files land
    pre_stage = _Below("stage/pre-stage")  #: Parquet in which every column is text, as landed
    post_stage = _Below("stage/post-stage")  #: typed Parquet; its files belong to the catalog
    quarantine = _Below("quarantine")  #: rows that a quality rule kept out of the lake
    state = _Below("state/amci.db")  #: the run store
    catalog = _Below("state/catalog.db")  #: the DuckLake metadata
    spill = _Below("state/spill")  #: for what DuckDB cannot hold in memory; empty between runs
    lock = _Below("state/lock")  #: held by the one process that writes
    credentials = _Below("state/credentials.enc")  #: for Amazon, encrypted
    #: The key to the credentials if neither AMCI_KEY nor the OS keyring holds it; mode 0600.
    key_file = _Below("state/credentials.key")
    log = _Below("logs/amci.jsonl")  #: JSON lines
    sandbox = _Below("sandbox")  #: the state of this workspace's sandbox, and the bucket it delivers into
    fixtures = _Below("fixtures")  #: recorded answers of AMC, a file per scenario
    published = _Below("catalog.duckdb")  #: views over post-stage, for tools that do not know DuckLake

    def relative(self, path: Path) -> str:
        """`path` as shown in messages and state: relative to the workspace if it lies inside."""
        return str(path.relative_to(self.home)) if path.is_relative_to(self.home) else str(path)

    def writer(self) -> str | None:
        """The id of the process that writes here, or None."""
        if not self.lock.exists():
            return None
        handle = os.open(self.lock, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _holder(handle)
        finally:
            os.close(handle)
        return None

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be the one process that writes here. Raises WorkspaceBusy if another already is.

        The lock is the kernel's (flock): it ends with the process that holds it, however that ends.
        """
        with storage_errors("lock the workspace"):
            self.lock.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.lock, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if not _locked(handle, fcntl.LOCK_EX):
                raise WorkspaceBusy(
                    f"another amci (process {_holder(handle)}) is writing to {self.home}",
                    hint="queries and `amci status` work beside it; to write, stop that process first",
                )
            with storage_errors("lock the workspace"):
                os.truncate(handle, 0)
                os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            os.close(handle)


def _locked(handle: int, how: int) -> bool:
    """Take the lock; a process that only looks (`writer`) holds it for an instant, which is waited out."""
    for _ in range(10):
        try:
            fcntl.flock(handle, how | fcntl.LOCK_NB)
        except BlockingIOError:
            pause(0.01)
        else:
            return True
    return False


def _holder(handle: int) -> str:
    return os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"


def find(home: Path | None, environ: Mapping[str, str], cwd: Path) -> WorkspacePaths:
    """The workspace meant by `--home`, `AMCI_HOME`, or the current directory and those above it.

    Raises NoWorkspace if there is none.
    """
    named = home or (Path(environ["AMCI_HOME"]) if environ.get("AMCI_HOME") else None)
    candidates = [named] if named else [cwd, *cwd.parents]
    for candidate in candidates:
        # Whatever lies there: that it cannot be read is said with its name.
        if os.path.lexists(candidate / MARKER):
            return WorkspacePaths(candidate.resolve())
    where = str(named) if named else f"{cwd} or above it"
    raise NoWorkspace(
        f"no workspace at {where}", hint="make one with `amci init DIR`, or name one with --home or AMCI_HOME"
    )
