"""Opening a raw file: whatever its format, it becomes batches in which every column is text."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterator
from typing import TYPE_CHECKING, Self

from amci.kernel.errors import MalformedFile
from amci.lake.formats.csv_reader import csv_batches
from amci.lake.formats.json_reader import json_batches
from amci.lake.formats.kind import format_by_content, other_kind
from amci.lake.formats.model import CsvOptions, Doubt, FileFormat, JsonOptions, Limits, TextBatch
from amci.lake.formats.parquet_reader import parquet_batches
from amci.lake.formats.source import ByteSource

if TYPE_CHECKING:
    from pathlib import Path

# As long as a block of the CSV parser, so that blocks go through uncopied.
CHUNK_BYTES = 4 << 20


class Reading:
    """A raw file, open for one reading; gzip and zstd are known by their first bytes.

    A context manager that closes the file.
    """

    def __init__(
        self,
        path: Path,
        fmt: FileFormat | None,
        *,
        is_guess: bool = False,
        csv: CsvOptions | None = None,
        json: JsonOptions | None = None,
        limits: Limits | None = None,
        reserved: frozenset[str] = frozenset(),
        kept: frozenset[str] = frozenset(),
        chunk_bytes: int = CHUNK_BYTES,
    ) -> None:
        """`fmt` is None if nothing says it; with `is_guess` the file's name promises it, and its content decides.

        `reserved` are column names that are taken already, `kept` those that earlier releases gave and the
        configuration still uses. What is read does not depend on `chunk_bytes`.

        Raises FileNotFoundError as it is, StorageError if the file cannot be opened.
        """
        self._source = ByteSource(path, chunk_bytes=chunk_bytes)
        self._format, self._is_guess = fmt, is_guess
        self._csv = csv or CsvOptions()
        self._json = json or JsonOptions()
        self._limits = limits or Limits()
        self._reserved, self._kept = reserved, kept
        self.sha256 = ""  #: of the raw bytes that were read, in hex; empty until `batches` is exhausted
        self.bytes = 0  #: raw bytes that were read; right once `batches` is exhausted
        self.is_blank = (
            False  #: whether it has no content at all, not even a header; right once reading has begun
        )
        #: (part, column) whose values were strings somewhere, so that they are not numbers; right at the end
        self.quoted: frozenset[tuple[str, str]] = frozenset()
        #: (part, column) → SQL type that the file itself states and that its text does not tell; right at the end
        self.types: dict[tuple[str, str], str] = {}
        #: what the dataset left open and is not the usual, such as `delimiter`; right at the end
        self.guessed: dict[str, str] = {}
        self.doubts: list[Doubt] = []  #: what may be wrong with the file; right at the end

    @property
    def may_add_columns(self) -> bool:
        """Whether a later batch may have columns that an earlier one lacks."""
        return self._format is FileFormat.JSON

    @property
    def has_values(self) -> bool:
        """Whether what is not a string was a value in the file, and not text; right once reading has begun."""
        return self._format is not FileFormat.CSV

    def batches(self) -> Iterator[TextBatch]:
        """The rows in order, from the first; NULL is null and '' is ''.

        A file with columns and no rows gives one batch without rows; one without columns gives none.
        Raises MalformedFile, StorageError. The messages hold nothing of the rows.
        """
        quoted: set[tuple[str, str]] = set()
        self._format = self._looked_at()
        match self._format:
            case FileFormat.CSV:
                yield from csv_batches(
                    self._source, self._csv, self._limits, self._reserved, self.guessed, kept=self._kept
                )
            case FileFormat.JSON:
                yield from json_batches(
                    self._source, self._json, self._limits, self._reserved, quoted, kept=self._kept
                )
            case FileFormat.PARQUET:
                yield from parquet_batches(
                    self._source, self._limits, self._reserved, quoted, self.types, kept=self._kept
                )
        self._source.drain()
        self.sha256, self.bytes, self.quoted = self._source.sha256, self._source.count, frozenset(quoted)

    def _looked_at(self) -> FileFormat:
        """The format, after a look at the first bytes; raises MalformedFile if the file is something else."""
        head, is_whole = self._source.head(self._limits)
        self.is_blank = is_whole and not head.removeprefix(BOM_UTF8).strip()
        found = format_by_content(head) if self._is_guess or self._format is None else None
        expected = found or self._format
        if other := other_kind(head, expected or FileFormat.CSV, is_whole=is_whole):
            raise other.refused()
        if expected is None:
            raise MalformedFile(
                "the file's ending names no format",
                hint="set `format: csv`, `json` or `parquet` in the dataset's configuration",
            )
        return expected

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._source.close()
