"""What a sample is, what all of them share (seeded chance, invented tenants, encodings), and putting them on disk."""

from __future__ import annotations

import gzip
import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from amci.kernel.files import storage_errors

Expect = Literal["loaded", "skipped", "quarantined", "replaced"]
Cell = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Sample:
    """One file as it arrives."""

    key: str  #: POSIX path below the raw root
    content: bytes
    about: str  #: what is special about it, one phrase
    expect: Expect  #: what should become of it


def seeded(seed: int, name: str) -> random.Random:
    """Seeded by the name too, so that one file does not change when another is added."""
    return random.Random(f"{seed}/{name}")  # noqa: S311 - sample data, nothing secret


TENANTS = ("northwind-outdoor", "blue-kettle", "atlas_pets")
CAMPAIGNS = {
    "northwind-outdoor": ("Tents, autumn", 'The "Summit" jacket', "Stoves", "Lanterns\nwave 2", "Trail café"),
    "blue-kettle": ("Kettles always on", 'Say "tea, please"', "Filter jugs", "Gifts\nDecember", "Thé vert"),
    "atlas_pets": ("Leads, harnesses", 'Puppy "starter" box', "Cat trees", "Treats\\retarget", "Señor Gato"),
}
PRODUCTS = ("amazon_dsp", "sponsored_brands", "sponsored_display", "sponsored_products", "sponsored_tv")
DEVICES = ("Connected TV", "PC", "Phone", "Tablet")


def encoded(lines: list[str], encoding: str = "utf-8") -> bytes:
    """The lines as a file, each with its newline."""
    return ("\n".join(lines) + "\n").encode(encoding)


def gzipped(content: bytes) -> bytes:
    """Packed, without the time of packing."""
    return gzip.compress(content, mtime=0)


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
