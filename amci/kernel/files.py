"""Files that are complete or absent (write beside, fsync, rename), and texts that people name."""

from __future__ import annotations

import errno
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from amci.kernel.errors import ConfigError, Problem, StorageError

_on_fault: Callable[[str], None] | None = None


def on_fault_point(callback: Callable[[str], None] | None) -> None:
    """Have `callback` called at every fault point; None switches them off again."""
    global _on_fault  # noqa: PLW0603 - one process, one switch; handing it through every call would cost more
    _on_fault = callback


def fault_point(name: str) -> None:
    """A moment at which a crash test may kill the process; nothing at all otherwise."""
    if _on_fault is not None:
        _on_fault(name)


def storage_error(error: OSError, doing: str) -> StorageError:
    """What the operating system refused, in words, with what to do about it."""
    hints = {
        errno.ENOSPC: "free some space, then run the same command again: work goes on where it stopped",
        errno.EDQUOT: "free some space, then run the same command again: work goes on where it stopped",
        errno.EROFS: "the file system is read-only; remount it writable or move the workspace",
        errno.EACCES: "give this user read and write permission there",
        errno.EPERM: "give this user read and write permission there",
        errno.EMFILE: "raise the limit of open files (ulimit -n)",
    }
    said = os.strerror(error.errno) if error.errno else str(error)
    hint = hints.get(error.errno or 0, "check the disk; the run is tried again")
    return StorageError(f"{doing}: {said}", hint=hint)


@contextmanager
def storage_errors(doing: str) -> Iterator[None]:
    """Translate the operating system's refusals; a file that is not there stays FileNotFoundError."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise storage_error(error, doing) from error


def fsync(path: Path) -> None:
    """Bring a file or a directory's entries to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`; what is written there takes its place in one step.

    The content is fsynced before the rename and the directory after it. When the block raises, nothing of it
    stays behind. Raises StorageError if the disk refuses.
    """
    part = path.with_name(f"{_beside(path)}{os.getpid()}-{threading.get_ident()}.part")
    with storage_errors(f"write {path.name}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield part
            fault_point("files.before_fsync")
            fsync(part)
            fault_point("files.before_rename")
            part.replace(path)
            fault_point("files.after_rename")
            fsync(path.parent)
        finally:
            part.unlink(missing_ok=True)


def sweep(path: Path) -> None:
    """Remove what killed processes left of `path` beside it; only if no other process writes there."""
    with storage_errors(f"clear the way for {path.name}"):
        beside = path.parent.iterdir() if path.parent.is_dir() else ()
        for other in beside:
            if other.name.startswith(_beside(path)) and other.suffix == ".part":
                other.unlink(missing_ok=True)


def _beside(path: Path) -> str:
    """How the names of temporary files of `path` begin."""
    return f".{path.name[:120]}."


def write_bytes(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Put `content` at `path` in one step."""
    with replacing(path) as part:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(handle, "wb") as out:
            out.write(content)


def text_of(path: Path, shown: str = "", *, newline: str | None = None) -> str:
    """The text of a file in UTF-8, without a byte order mark; `newline` is as in `open`.

    Raises ConfigError if it cannot be read; `shown` is what it calls the file.
    """
    try:
        with path.open(encoding="utf-8-sig", newline=newline) as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        problem = Problem(shown or str(path), "", f"cannot be read: {why}")
        raise ConfigError([problem], hint="check the path") from error


def source_text(source: str) -> str:
    """The text of a file, or of standard input if the source is `-`; raises ConfigError."""
    return sys.stdin.read() if source == "-" else text_of(Path(source))
