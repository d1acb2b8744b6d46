"""What a raw file may look like, how far it may go, and what reading it gives."""

from __future__ import annotations

import codecs
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Literal

from amci.kernel.errors import MalformedFile

if TYPE_CHECKING:
    import pyarrow as pa

MIB = 1 << 20


class FileFormat(StrEnum):
    """What is inside a raw file, whatever it is compressed with."""

    CSV = "csv"
    JSON = "json"  #: an array of objects, objects one after another (JSON lines), or one object
    PARQUET = "parquet"
    EXCEL = "excel"  #: a workbook (.xlsx, .xlsm), of which one sheet is read

    @property
    def is_random_access(self) -> bool:
        """Whether it cannot be read from begin to end, so that it may not be compressed as a whole."""
        return self in (FileFormat.PARQUET, FileFormat.EXCEL)


_EXTENSIONS = {
    ".csv": FileFormat.CSV,
    ".json": FileFormat.JSON,
    ".jsonl": FileFormat.JSON,
    ".ndjson": FileFormat.JSON,
    ".parquet": FileFormat.PARQUET,
    ".xlsx": FileFormat.EXCEL,
    ".xlsm": FileFormat.EXCEL,
}


def format_of(name: str) -> FileFormat | None:
    """The format a file's name promises, without regard to case; None if it promises none we read.

    `.gz` and `.zst` are looked through. A bare `.gz` is JSON, as in the AWS solution's reports transform.
    Compressed Parquet is not read, nor are such workbooks: both compress themselves and must be read out of order.
    """
    inner, outer = ["", "", *PurePosixPath(name.lower()).suffixes][-2:]
    if outer not in {".gz", ".zst"}:
        return _EXTENSIONS.get(outer)
    found = _EXTENSIONS.get(inner, FileFormat.JSON if outer == ".gz" else None)
    return None if found and found.is_random_access else found


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvOptions:
    """How a CSV file is written; the defaults read what AMC writes and what RFC 4180 says."""

    delimiter: str = "auto"  #: auto: judged by the first records, see `delimiter`
    quote: str = '"'  #: empty if nothing is quoted
    #: how a quote inside a quoted value is written: doubled, after a backslash (AMC), or found out
    escape: Literal["auto", "double", "backslash"] = "auto"
    #: read an escaped quote as an apostrophe, as the AWS solution did
    apostrophe: bool = False
    #: a Python codec, or auto: BOM, else UTF-8, else judged by what comes out
    encoding: str = "auto"
    skip_lines: int = 0  #: physical lines before the header that are no part of the table
    footer_lines: int = 0  #: the same after the rows; blank lines at the very end do not count
    comment: str = ""  #: lines that begin with this character are left out; empty if there are none
    #: read `="007"` as the text 007
    formulas_as_text: bool = False
    strip: bool = False  #: leave out blanks around values
    columns: tuple[str, ...] = ()  #: the names of the columns of a file without a header; empty if it has one

    def __post_init__(self) -> None:
        for field in ("delimiter", "quote", "comment"):
            value = getattr(self, field)
            if (field, value) in {("quote", ""), ("delimiter", "auto"), ("comment", "")}:
                continue
            if len(value) != 1 or not value.isascii() or value in "\0\r\n\\":
                raise ValueError(f"{field} must be one ASCII character, and no line break or backslash")
        _check_columns(self.columns)
        if self.delimiter == self.quote or self.comment in (self.delimiter, self.quote or None):
            raise ValueError("delimiter, quote and comment must differ")
        if self.delimiter == "auto" and self.comment and self.comment in ",\t;|":
            raise ValueError("the delimiter must be named if comment is a character that may be one")
        if self.encoding != "auto":
            try:
                "".encode(self.encoding)
                codecs.getincrementaldecoder(self.encoding)
            except LookupError as error:
                raise ValueError("encoding must be auto or a text encoding Python knows") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonOptions:
    """How a JSON file becomes rows."""

    #: the top is one object whose fields are arrays, and each array is a table (Selling Partner reports)
    explode: bool = False
    #: NaN and Infinity, which are not JSON, are null; else they are refused
    not_finite: bool = False
    #: of a key that stands twice in an object, the last value counts; else such a row is refused
    repeated_key: bool = False
    #: top-level fields to leave out; only looked at with `explode`
    drop: frozenset[str] = frozenset({"reportSpecification"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ExcelOptions:
    """Where the table is in a workbook."""

    #: its name, or which of those that are not hidden, from 1; None if nothing says it, and the first is read
    sheet: str | int | None = None
    skip_lines: int = 0  #: rows of the sheet before the header that are no part of the table
    footer_lines: int = 0  #: the same after the rows
    columns: tuple[
        str, ...
    ] = ()  #: the names of the columns of a sheet without a header; empty if it has one
    error_as_null: bool = False  #: whether `#REF!` and its like are NULL; else they are refused

    def __post_init__(self) -> None:
        _check_columns(self.columns)


def _check_columns(columns: tuple[str, ...]) -> None:
    if len(set(columns)) < len(columns) or not all(name.strip() for name in columns):
        raise ValueError("columns must have names that differ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How large things may get before a file is refused."""

    max_line_bytes: int = 16 * MIB  #: one CSV record or one JSON row (there counted in characters)
    max_expanded_bytes: int = 64 * 1024 * MIB  #: a compressed file, expanded
    max_ratio: int = 1000  #: expanded to compressed, looked at once `ratio_after_bytes` are expanded
    ratio_after_bytes: int = 64 * MIB
    max_columns: int = 5_000  #: DuckDB needs seconds, and 1 GiB, to write so many

    def check_expanded(self, expanded: int, compressed: int) -> None:
        """Raise MalformedFile if so many bytes are too many, at all or for so many compressed ones."""
        if expanded > self.max_expanded_bytes:
            raise MalformedFile(
                f"it expands to more than {self.max_expanded_bytes} bytes",
                hint="If the file is sound, raise max_expanded_bytes.",
            )
        if expanded > self.ratio_after_bytes and expanded > compressed * self.max_ratio:
            raise MalformedFile(
                f"it expands to more than {self.max_ratio} times its size",
                hint="If the file is sound, raise max_ratio.",
            )


#: The name of a column as the file spells it; of a field inside others, their names from the top down.
ColumnPath = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TextBatch:
    """Some rows of one table inside a file."""

    part: str  #: the array the rows come from in an exploded JSON file, else empty
    data: pa.RecordBatch  #: every column is text; names are catalogue names; NULL is null
    paths: tuple[ColumnPath, ...]  #: how the file itself names each column, below its part
    inner: tuple[
        ColumnPath, ...
    ] = ()  #: fields inside columns that became JSON text, if the file declares them
    entry: str = ""  #: the file in a ZIP archive that they are from, else empty

    @property
    def own_paths(self) -> tuple[ColumnPath, ...]:
        """The paths without the part."""
        return tuple(path[1:] for path in self.paths) if self.part else self.paths


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadFacts:
    """What is known of a file that was read to its end, beside its rows."""

    sha256: str  #: of the raw bytes, in hex
    content_sha256: str  #: of what is inside, if the file is compressed, see `Reading`
    bytes: int  #: raw
    has_values: bool = False  #: whether what is not a string was a value in the file, and not text
    #: (part, column) with strings that could be numbers or dates, so that they are not numbers
    quoted: frozenset[tuple[str, str]] = frozenset()
    mixed: frozenset[tuple[str, str]] = frozenset()  #: those that have numbers, too
    #: (part, column) → SQL type that the file itself states and that its text does not tell
    types: Mapping[tuple[str, str], str] = dataclasses.field(default_factory=dict)
    #: what the dataset left open and is not the usual, such as `delimiter`
    guessed: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """Something about a file that may be wrong, though it can be read."""

    kind: str  #: what is doubtful, in a word: `columns`, `rows`, `text` …
    says: str  #: one sentence; it holds nothing of the rows that could be personal
    hint: str = ""  #: what to do, naming the setting if there is one
    column: str = ""  #: its catalogue name; empty if the doubt is about the whole file
    line: int | None = None  #: in the raw file, counted from 1
    is_of_new_columns: bool = False  #: whether it is unfounded if other files brought the same columns
    is_refused: bool = True  #: whether it alone makes a dataset refuse the file that refuses what is doubtful
    is_of_raw_rows: bool = (
        False  #: whether it is unfounded if a transform sees the rows, which may take some out
    )
