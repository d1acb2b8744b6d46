"""The samples, generated once for all tests of them, and how to read one."""

from __future__ import annotations

import csv
import gzip
import io
from functools import cache

from amci.app import samples
from amci.app.samples import Sample


@cache
def first() -> list[Sample]:
    return samples.first_delivery()


@cache
def second() -> list[Sample]:
    return samples.second_delivery()


def text(sample: Sample) -> str:
    content = gzip.decompress(sample.content) if sample.key.endswith(".gz") else sample.content
    if content.startswith(b"\xff\xfe"):
        return content.decode("utf-16")
    return content.decode("latin-1" if sample.about == "Latin-1" else "utf-8")


def table(written: str) -> list[list[str]]:
    """The cells of a CSV, quotes escaped by a backslash; other backslashes stand for themselves."""
    return list(csv.reader(io.StringIO(written.replace('\\"', '""'), newline=""), strict=True))


def about(words: str, among: list[Sample]) -> Sample:
    (found,) = [sample for sample in among if words in sample.about]
    return found
