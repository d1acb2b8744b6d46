"""Putting samples on disk, each file complete or absent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from amci.app.samples.model import Sample
from amci.kernel.files import storage_errors


def write(root: Path, samples: Iterable[Sample]) -> None:
    """Put each sample below `root` at its key; a file that is there already is replaced.

    Raises StorageError where the disk refuses.
    """
    for sample in samples:
        with arriving(root / sample.key) as file:
            file.write(sample.content)


@contextmanager
def arriving(path: Path) -> Iterator[BinaryIO]:
    """Written under a name that is never taken, then renamed; not fsynced, for a sample can be made again."""
    part = path.with_name(f".{path.name}.part")
    with storage_errors(f"write {path.name}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("wb") as file:
                yield file
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
