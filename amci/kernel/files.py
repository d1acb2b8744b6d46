"""Files that are complete or absent (write beside, fsync, rename), and the bounded reader of files from outside."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from amci.kernel.errors import ConfigError, Problem, StorageError, UsageError

#: Bytes of a file that is read whole: configuration, SQL, a transform, a note beside a result.
MOST_BYTES = 4 * 1024**2
#: How deep lists and mappings may lie in each other; what works on them later is recursive.
MOST_DEPTH = 100
_SPECIAL = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}

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
        errno.ENAMETOOLONG: "shorten the names of the file and its folders",
        errno.EMFILE: "raise the limit of open files (ulimit -n)",
    }
    said = error.strerror or str(error)
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


def moved(source: Path, path: Path) -> None:
    """Move a file that was written by `replacing`; to another file system by a copy. Raises StorageError."""
    with storage_errors(f"write {path.name}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            source.replace(path)
            fsync(path.parent)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            with replacing(path) as part:
                shutil.copyfile(source, part)
            source.unlink()


#: What the operating system says of a path that no directory can have.
_NO_PLACE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)


def new_directory(folder: Path, *, is_made: bool = True) -> Path:
    """The absolute path of a directory that a person named, made unless that comes later.

    Raises UsageError if something is in it already, or if there can be no such directory; StorageError if the disk
    refuses.
    """
    try:
        place = folder.resolve()
        if place.exists() and (not place.is_dir() or any(place.iterdir())):
            raise UsageError(f"{folder} is not empty", hint="name a new directory")
        if is_made:
            place.mkdir(parents=True, exist_ok=True)
    except RuntimeError as error:  # so pathlib calls links that lead in a circle
        raise UsageError(f"make {folder}: {os.strerror(errno.ELOOP)}", hint="name a new directory") from error
    except OSError as error:
        if error.errno in _NO_PLACE:
            raise UsageError(f"make {folder}: {error.strerror}", hint="name a new directory") from error
        raise storage_error(error, f"make {folder}") from error
    return place


def walked(top: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """What os.walk gives, links to folders followed; but for one that leads back to a folder it lies in."""
    for folder, folders, names in os.walk(top, followlinks=True):
        # Not of Path, whose methods raise if a folder may be listed and not looked into.
        if links := [each for each in folders if os.path.islink(f"{folder}/{each}")]:  # noqa: PTH114
            above = {os.path.realpath(each) for each in (folder, *map(str, Path(folder).parents))}
            back = {each for each in links if os.path.realpath(f"{folder}/{each}") in above}
            folders[:] = [each for each in folders if each not in back]
        yield folder, folders, names


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


def plain_file(path: Path) -> BinaryIO:
    """A regular file, opened to read its bytes; a link to one is followed, as config/ may consist of links.

    Never waits for the other end of a pipe, and opens no device. Raises OSError, with what is there instead in
    its `strerror`.
    """
    _require_regular(path.stat())
    # It may have been replaced meanwhile: looked at again once it is open.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        _require_regular(os.fstat(handle))
        return os.fdopen(handle, "rb", buffering=0)
    except BaseException:
        os.close(handle)
        raise


def _require_regular(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        if stat.S_ISDIR(found.st_mode):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        says = f"it is {_SPECIAL.get(stat.S_IFMT(found.st_mode), 'something else')}, not a file"
        raise OSError(errno.EINVAL, says)


def bounded_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """The content of a regular file of at most so many bytes; raises OSError, as `plain_file` does."""
    with plain_file(path) as file:
        return _bounded(file, most)


def _bounded(file: BinaryIO, most: int) -> bytes:
    """All that is in a file or stream, of at most `most` bytes; raises OSError."""
    # Its size is no promise: it may grow, and files of /proc have none.
    parts, left = [], most + 1
    while left and (part := file.read(min(left, 1 << 20))):
        parts.append(part)
        left -= len(part)
    if not left:
        raise _too_large(most)
    return b"".join(parts)


def _too_large(most: int) -> OSError:
    return OSError(errno.EFBIG, f"it is larger than {most // 1024**2} MiB")


def text_of(path: Path, shown: str = "", *, newline: str | None = None, most: int = MOST_BYTES) -> str:
    """The text of a regular file in UTF-8, without a byte order mark; `newline` is as in `open`.

    Raises ConfigError if it cannot be read or has more than `most` bytes; `shown` is what it calls the file.
    """
    with _unreadable(shown or str(path)):
        return _decoded(bounded_bytes(path, most), newline)


def source_text(source: str) -> str:
    """The text of what a person named: a file, a pipe, or standard input if it is `-`; raises ConfigError."""
    with _unreadable("standard input" if source == "-" else str(source)):
        if source == "-":
            text = sys.stdin.read(MOST_BYTES + 1)
            if len(text) > MOST_BYTES:
                raise _too_large(MOST_BYTES)
            # In some locales Python lets bytes pass that are no text.
            return text.encode(errors="surrogateescape").decode()
        # A shell gives the output of a command as a pipe: amci tenant add <(…).
        if not Path(source).is_fifo():
            return _decoded(bounded_bytes(Path(source)), None)
        with Path(source).open("rb", buffering=0) as pipe:
            return _decoded(_bounded(pipe, MOST_BYTES), None)


def _decoded(content: bytes, newline: str | None) -> str:
    text = content.decode("utf-8-sig")
    return text if newline == "" else text.replace("\r\n", "\n").replace("\r", "\n")


@contextmanager
def _unreadable(shown: str) -> Iterator[None]:
    """What keeps a text from being read, as ConfigError."""
    try:
        yield
    except (OSError, UnicodeDecodeError, MemoryError) as error:
        why = {UnicodeDecodeError: "it is not UTF-8 text", MemoryError: "there is not enough memory"}
        says = error.strerror if isinstance(error, OSError) else why[type(error)]
        raise ConfigError([Problem(shown, "", f"cannot be read: {says}")], hint="check the path") from error


def entries(folder: Path, shown: str) -> list[Path]:
    """What lies in a folder, by name; nothing if there is no folder. Raises ConfigError if it cannot be listed."""
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigError(
            [Problem(shown, "", f"cannot be read: {error.strerror}")], hint="check the path"
        ) from error


def json_of(
    text: str | bytes, *, object_pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None = None
) -> Any:
    """The value of a JSON text from outside.

    Raises ValueError, in one sentence, if it is not JSON, deeper than MOST_DEPTH, or has a number of thousands of
    digits.
    """
    try:
        value = json.loads(text, object_pairs_hook=object_pairs_hook)
    except json.JSONDecodeError:
        raise
    except (RecursionError, MemoryError):
        raise ValueError("it is nested too deeply") from None
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8 text") from None
    except ValueError:
        raise ValueError("it has a number with too many digits") from None
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MOST_DEPTH:
            raise ValueError("it is nested too deeply")
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
    return value
