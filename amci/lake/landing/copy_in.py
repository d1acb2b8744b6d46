"""Bringing files into a raw root: copied or linked beside their place, then renamed into it."""

from __future__ import annotations

import os
import shutil
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from amci.kernel.errors import NotFound, UsageError
from amci.kernel.files import replacing, storage_errors
from amci.lake.landing.roots import ODD, is_taken

#: Names listed in a message; the rest is counted.
_SHOWN = 10


def copy_in(paths: Iterable[Path], raw: Path, under: str = "", *, link: bool = False) -> list[str]:
    """Put files, and the files of folders with their inner layout, into the root `raw`; returns their keys.

    `under` is the folder of the root they belong in. An existing file is replaced in one step. With `link`
    the files are hard links if the disk can, else copies. All is checked before the first file is brought.
    Raises NotFound for a source that does not exist; UsageError for names that are never taken, places
    outside the root, and two sources for one place; StorageError if the disk refuses.
    """
    base = _folder(under)
    found = [(str(base / inner), source) for path in paths for inner, source in _sources(path)]
    _check_names(found)
    places = {key: _place(raw, key) for key, _ in found}
    for key, source in found:
        with storage_errors(f"bring {key}"), replacing(places[key]) as part:
            _bring(source, part, link=link)
    return [key for key, _ in found]


def _folder(under: str) -> PurePosixPath:
    path = PurePosixPath(under)
    if ODD.search(under) or path.is_absolute() or ".." in path.parts:
        raise UsageError(
            "the folder of raw/ has to be a plain relative path",
            hint="leave out a leading `/`, `..` and control characters",
        )
    return path


def _sources(path: Path) -> list[tuple[PurePosixPath, Path]]:
    """The files that `path` stands for, each with its place; symbolic links are followed."""
    if not path.exists():
        raise NotFound(f"no file or folder {path}", hint="check the name; nothing was brought")
    if not path.is_dir():
        return [(PurePosixPath(path.name), path)]
    files = list(_walk(path, PurePosixPath(), frozenset()))
    if not files:
        raise NotFound(f"no files in {path}", hint="nothing was brought")
    return files


def _walk(
    folder: Path, inner: PurePosixPath, above: frozenset[tuple[int, int]]
) -> Iterator[tuple[PurePosixPath, Path]]:
    """Files below `folder` in order of their names; `above` are the folders on the way, so that links end."""
    with storage_errors(f"look into {folder}"):
        found = folder.stat()
        entries = sorted(folder.iterdir())
    identity = (found.st_dev, found.st_ino)
    if identity in above:
        raise UsageError(
            f"{folder} is a link to a folder above it", hint="remove the link; nothing was brought"
        )
    for entry in entries:
        if entry.is_dir():
            yield from _walk(entry, inner / entry.name, above | {identity})
        else:
            yield inner / entry.name, entry


def _check_names(found: list[tuple[str, Path]]) -> None:
    refused = [key for key, _ in found if ODD.search(key) or not all(map(is_taken, key.split("/")))]
    if refused:
        raise UsageError(
            f"{len(refused)} names are never taken: {_listed(refused)}",
            hint="rename them: no leading `.` or `_`, no ending `.part` or `.tmp`, no control characters",
        )
    special = [str(source) for _, source in found if not _is_regular(source)]
    if special:
        raise UsageError(f"not regular files: {_listed(special)}", hint="leave them out; nothing was brought")
    twice = [key for key, times in Counter(key for key, _ in found).items() if times > 1]
    if twice:
        raise UsageError(
            f"two files for one place: {_listed(twice)}",
            hint="bring them one after another, or under other folders",
        )


def _is_regular(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        return False


def _place(raw: Path, key: str) -> Path:
    """Where `key` lies; links inside the root may not lead out of it, for a scan would not follow them."""
    place = raw / key
    if place.is_dir():
        raise UsageError(
            f"{key} is a folder in raw/", hint="rename the file, or bring it under another folder"
        )
    if not place.parent.resolve().is_relative_to(raw.resolve()):
        raise UsageError(
            f"{key} would lie outside raw/", hint="a link in raw/ leads out of it; remove the link"
        )
    return place


def _bring(source: Path, part: Path, *, link: bool) -> None:
    real = source.resolve()
    if link:
        try:
            os.link(real, part)
        except OSError:
            # Another disk, or one without links: a copy does the same.
            part.unlink(missing_ok=True)
        else:
            return
    shutil.copyfile(real, part)


def _listed(names: list[str]) -> str:
    shown = ", ".join(ODD.sub("?", name) for name in names[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown
