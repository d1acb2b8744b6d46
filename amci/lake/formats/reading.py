"""Opening a raw file: whatever its format, it becomes batches in which every column is text."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterator
from contextlib import closing
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Self

from amci.kernel.errors import MalformedFile
from amci.lake.formats.archive import MAGIC as ARCHIVE, Archive, EntryNames, naming, without_documents
from amci.lake.formats.csv_reader import csv_batches
from amci.lake.formats.excel_reader import excel_batches
from amci.lake.formats.header import noting_repeats
from amci.lake.formats.json_reader import json_batches
from amci.lake.formats.kind import PARQUET, Kind, document, format_by_content, other_kind
from amci.lake.formats.model import (
    CsvOptions,
    Doubt,
    ExcelOptions,
    FileFormat,
    JsonOptions,
    Limits,
    ReadFacts,
    TextBatch,
    format_of,
)
from amci.lake.formats.parquet_reader import parquet_batches
from amci.lake.formats.source import ByteSource
from amci.lake.formats.totals import noting_total

if TYPE_CHECKING:
    from pathlib import Path
    from zipfile import ZipInfo

# As long as a block of the CSV parser, so that blocks go through uncopied.
CHUNK_BYTES = 4 << 20
#: Columns named in a sentence, and files of an archive.
_NAMED = 5


class Reading:
    """A raw file, open for one reading; gzip and zstd are known by their first bytes.

    A ZIP archive is read as one object, file by file. A context manager that closes the file.
    """

    def __init__(
        self,
        path: Path,
        fmt: FileFormat | None,
        *,
        is_guess: bool = False,
        csv: CsvOptions | None = None,
        json: JsonOptions | None = None,
        excel: ExcelOptions | None = None,
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
        self._excel = excel or ExcelOptions()
        self._chunk_bytes = chunk_bytes
        self._limits = limits or Limits()
        self._reserved, self._kept = reserved, kept
        self.sha256 = ""  #: of the raw bytes that were read, in hex; empty until `batches` is exhausted
        #: of what is inside, if gzip, zstd or a ZIP archive is all that is around one file; else as `sha256`
        self.content_sha256 = ""
        self.bytes = 0  #: raw bytes that were read; right once `batches` is exhausted
        self.is_blank = (
            False  #: whether it has no content at all, not even a header; right once reading has begun
        )
        #: (part, column) with strings that could be numbers or dates, so that they are not numbers; right at the end
        self.quoted: frozenset[tuple[str, str]] = frozenset()
        self.mixed: frozenset[tuple[str, str]] = (
            frozenset()
        )  #: those that have numbers, too; right at the end
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
    def is_nested(self) -> bool:
        """Whether fields may lie inside others, so that a point in a name is something else than a step to one."""
        return self._format is FileFormat.JSON

    @property
    def has_values(self) -> bool:
        """Whether what is not a string was a value in the file, and not text; right once reading has begun."""
        return self._format is not FileFormat.CSV

    @property
    def facts(self) -> ReadFacts:
        """What is known of the file once `batches` is exhausted."""
        return ReadFacts(
            sha256=self.sha256,
            content_sha256=self.content_sha256,
            bytes=self.bytes,
            has_values=self.has_values,
            quoted=self.quoted,
            mixed=self.mixed,
            types=self.types,
            guessed=self.guessed,
        )

    def batches(self) -> Iterator[TextBatch]:
        """The rows in order, from the first; NULL is null and '' is ''.

        A file with columns and no rows gives one batch without rows; one without columns gives none.
        Raises MalformedFile, StorageError. The messages hold nothing of the rows.
        """
        quoted: set[tuple[str, str]] = set()
        mixed: set[tuple[str, str]] = set()
        head, is_whole = self._source.head(self._limits)
        self.is_blank = is_whole and not head.removeprefix(BOM_UTF8).strip()
        archive = Archive(self._source) if head.startswith(ARCHIVE) else None
        if archive and not document(archive.names):
            found = self._entries(archive, quoted, mixed)
        else:
            self._format = self._format_in(self._source, self._format, self._is_guess)
            found = self._in(self._source, quoted, mixed, self.types)
        nameless: dict[str, None] = {}
        for batch in found:
            nameless |= dict.fromkeys(_nameless(batch))
            yield batch
        if nameless:
            self.doubts.append(
                Doubt(
                    kind="header",
                    says=f"columns with values have no name in the header: {', '.join(list(nameless)[:_NAMED])}",
                    hint="name them where the file is made",
                )
            )
        self._source.drain()
        self.content_sha256 = self.content_sha256 or self._source.content_sha256
        self.sha256, self.bytes = self._source.sha256, self._source.count
        self.quoted, self.mixed = frozenset(quoted), frozenset(mixed)

    def _in(
        self,
        source: ByteSource,
        quoted: set[tuple[str, str]],
        mixed: set[tuple[str, str]],
        types: dict[tuple[str, str], str],
    ) -> Iterator[TextBatch]:
        """The rows of the raw file, or of one in an archive."""
        limits, reserved, kept = self._limits, self._reserved, self._kept
        match self._format:
            case FileFormat.CSV:
                found = csv_batches(
                    source, self._csv, limits, reserved, quoted, self.guessed, self.doubts, kept=kept
                )
                yield from noting_total(
                    noting_repeats(found, self.doubts), self.doubts, "csv", self._csv.footer_lines
                )
            case FileFormat.JSON:
                yield from json_batches(
                    source, self._json, limits, reserved, quoted, mixed, self.doubts, kept=kept
                )
            case FileFormat.PARQUET:
                yield from parquet_batches(source, limits, reserved, quoted, types, kept=kept)
            case FileFormat.EXCEL:
                found = excel_batches(
                    source, self._excel, limits, reserved, quoted, mixed, self.guessed, self.doubts, kept=kept
                )
                yield from noting_total(
                    noting_repeats(found, self.doubts), self.doubts, "excel", self._excel.footer_lines
                )

    def _entries(
        self, archive: Archive, quoted: set[tuple[str, str]], mixed: set[tuple[str, str]]
    ) -> Iterator[TextBatch]:
        """The rows of all files in an archive, which have to be of one format."""
        for _ in self._source.raw():
            pass
        formats: set[FileFormat] = set()
        entries, left_out = without_documents(
            archive.files(self._source.count, self._limits), is_guess=self._is_guess
        )
        self.doubts += left_out
        for entry in entries:
            if not entry.file_size:
                continue
            name = format_of(PurePosixPath(entry.filename).name) if self._is_guess else self._format
            with naming(entry.filename):
                formats.add(self._format_in(self._opened(archive, entry), name, self._is_guess))
        if len(formats) > 1:
            raise MalformedFile(
                f"the archive has files of several formats in it ({', '.join(sorted(formats))})",
                hint="Send those of each dataset in an archive of their own.",
            )
        self._format = next(iter(formats), self._format)
        names = EntryNames(self._reserved, self._kept)
        stated: dict[tuple[str, str], set[str]] = {}
        values: set[tuple[str, str]] = set()
        for entry in entries if formats else []:
            here: set[tuple[str, str]] = set()
            both: set[tuple[str, str]] = set()
            every: set[tuple[str, str]] = set()
            types: dict[tuple[str, str], str] = {}
            with naming(entry.filename), closing(self._opened(archive, entry)) as source:
                for batch in self._in(source, here, both, types):
                    every |= {(batch.part, name) for name in batch.data.schema.names}
                    yield names.renamed(batch, entry.filename)
                if len(entries) == 1:
                    source.drain()
                    self.content_sha256 = source.content_sha256
            quoted |= {names.of(column) for column in here}
            values |= {names.of(column) for column in both | (every - here)}
            for column, kind in types.items():
                stated.setdefault(names.of(column), set()).add(kind)
        mixed |= quoted & values
        # Files that are alike give the same doubts.
        self.doubts = [*dict.fromkeys(self.doubts), *map(_strange, names.strange[:_NAMED])]
        self.types |= {column: kinds.pop() for column, kinds in stated.items() if len(kinds) == 1}

    def _opened(self, archive: Archive, entry: ZipInfo) -> ByteSource:
        source = archive.opened(entry, chunk_bytes=self._chunk_bytes)
        head, _ = source.head(self._limits)
        if not head.startswith((*ARCHIVE, PARQUET)):
            return source
        source.close()
        return archive.held(entry, chunk_bytes=self._chunk_bytes)

    def _format_in(self, source: ByteSource, named: FileFormat | None, is_guess: bool) -> FileFormat:
        """The format, after a look at the first bytes; raises MalformedFile if the file is something else."""
        head, is_whole = source.head(self._limits)
        found = format_by_content(head) if is_guess or named is None else None
        expected = found or named
        if head.startswith(ARCHIVE):
            return self._document(source, expected, is_guess)
        if other := other_kind(head, expected or FileFormat.CSV, is_whole=is_whole):
            raise other.refused()
        if expected is None:
            raise MalformedFile(
                "the file's ending names no format",
                hint="set `format: csv`, `json`, `parquet` or `excel` in the dataset's configuration",
            )
        return expected

    def _document(self, source: ByteSource, expected: FileFormat | None, is_guess: bool) -> FileFormat:
        """Excel, if this ZIP archive is a workbook and one is expected."""
        kind = document(Archive(source).names)
        if isinstance(kind, Kind):
            raise kind.refused()
        if kind is None:
            raise MalformedFile("this is an archive inside of an archive", hint="Unpack it.")
        if expected not in (kind, None) and not is_guess:
            raise Kind("an Excel workbook", "set `format: excel`, or save it as CSV UTF-8").refused()
        return kind

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._source.close()


def _nameless(batch: TextBatch) -> list[str]:
    """Columns that have a value and nothing for a header."""
    blank = [at for at, path in enumerate(batch.paths) if not path[-1].strip()]
    columns = [(batch.data.schema.names[at], batch.data.column(at)) for at in blank]
    return [name for name, values in columns if values.null_count < len(values)]


def _strange(entry: str) -> Doubt:
    return Doubt(
        kind="columns",
        says=f"{entry} has no column of the files before it in the archive",
        hint="send files of different tables apart, if they are; else check its header and delimiter",
    )
