"""CSV as batches of text, at Arrow's speed but refusing what Arrow would silently accept."""

from __future__ import annotations

import csv
import functools
import json
import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from itertools import chain, islice
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from amci.kernel.errors import MalformedFile
from amci.kernel.names import column_names
from amci.lake.formats.delimiter import CANDIDATES, delimiter_of, divides, separator_line
from amci.lake.formats.escapes import unescaped
from amci.lake.formats.faults import record_fault, text_fault
from amci.lake.formats.header import header_doubt, is_value
from amci.lake.formats.model import ColumnPath, Doubt, TextBatch
from amci.lake.formats.quotes import RunTooLong, StrayText, strictly_quoted
from amci.lake.formats.shape import Shape, physical_lines
from amci.lake.formats.source import ChunkFile, at_least
from amci.lake.formats.surroundings import (
    Surroundings,
    surroundings,
    without_comments,
    without_first,
    without_last,
)
from amci.lake.formats.text import BadText, checked, utf8
from amci.lake.formats.totals import looks_like_row, lost_row

if TYPE_CHECKING:
    from amci.lake.formats.model import CsvOptions, Limits
    from amci.lake.formats.source import ByteSource

BLOCK_BYTES = 4 << 20

#: Enough for a line such as `sep=;` in any encoding.
_SEPARATOR_BYTES = 40
#: With so many columns it is hardly by chance that all lines but the first ones have equally many delimiters.
_TABLE = 3
_LINE = re.compile(rb"[^\r\n]+")
#: What lies behind the last delimiter, if lines end in one and the header does not; no catalogue name is so.
_NOTHING = "\0"

#: By which a spreadsheet is told that digits are text, such as `="007"`.
_FORMULA = r'^="((?:[^"]|"")*)"$'

# A bare empty value is NULL, a quoted one is ''.
AS_TEXT = arrow_csv.ConvertOptions(
    default_column_type=pa.string(),
    strings_can_be_null=True,
    null_values=[""],
    quoted_strings_can_be_null=False,
)


class _Unclosed(Exception):
    """The last record swallowed the end of the file."""


class _TooLong(Exception):
    """A record is longer than it may be."""


class _BeyondHeader(Exception):
    """There is a value after the last delimiter of lines that end in one."""


def csv_batches(
    source: ByteSource,
    options: CsvOptions,
    limits: Limits,
    reserved: frozenset[str],
    quoted: set[tuple[str, str]],
    guessed: dict[str, str],
    doubts: list[Doubt],
    *,
    kept: frozenset[str] = frozenset(),
    block_bytes: int = BLOCK_BYTES,
) -> Iterator[TextBatch]:
    """The rows of a CSV file; one batch without rows when there is only a header, none when there is nothing.

    Blank lines are skipped. In a file of one column a blank line is a NULL, except before the header.
    A record may be as long as `limits.max_line_bytes`; past a block the file is read again in larger ones.
    What the dataset left open, and is not the usual, is in `guessed` at the end: `delimiter`, `encoding`. Columns with
    text that was in a formula go into `quoted`.
    Raises MalformedFile with the physical line, StorageError.
    """
    reader = _Reader(source, options, limits, reserved, kept)
    done = 0
    blocks = sorted({block_bytes, max(block_bytes, limits.max_line_bytes)})
    for block in blocks:
        seen = 0
        try:
            with closing(reader.batches(block)) as batches:
                for batch in batches:
                    seen += batch.num_rows
                    if seen > done or not batch.num_rows:
                        yield TextBatch("", batch.slice(batch.num_rows - (seen - done)), reader.paths)
                        done = seen
        except pa.ArrowInvalid as error:
            # Arrow's words hold values of the row, so they go no further.
            if "straddl" not in str(error) or block == blocks[-1]:
                raise reader.fault() from None
        except (BadText, StrayText, RunTooLong, _Unclosed, _TooLong, _BeyondHeader):
            raise reader.fault() from None
        else:
            guessed |= reader.guessed
            doubts += reader.doubts()
            quoted |= {("", name) for name in reader.of_formulas}
            return


class _Reader:
    """One CSV file, which may be gone through more than once."""

    def __init__(
        self,
        source: ByteSource,
        options: CsvOptions,
        limits: Limits,
        reserved: frozenset[str],
        kept: frozenset[str],
    ) -> None:
        self._source = source
        self._options = options
        self._limits = limits
        self._reserved, self._kept = reserved, kept
        self._is_auto = options.delimiter == "auto"
        self._header_line = b""
        self._after: list[bytes] = []  #: what `footer_lines` leaves out
        self._is_trailing = False  #: whether rows, but not the header, end in a delimiter
        self.of_formulas: set[str] = set()  #: columns with text that was in a formula
        self._rival = ""  #: a delimiter that would fit as well as the one that is taken
        delimiter, self._separator_line = self._look()
        #: what was not named and is not the usual: the delimiter, the encoding
        self.guessed: dict[str, str] = {}
        if options.delimiter == "auto" and delimiter != ",":
            self.guessed["delimiter"] = delimiter
        self._options = options = replace(options, delimiter=delimiter)
        self._shape = Shape(options.delimiter.encode(), options.quote.encode())
        self.paths: tuple[ColumnPath, ...] = ()  #: the header as it is written; empty until it was read

    def _look(self) -> tuple[str, int]:
        """The delimiter, and how long a line at the beginning is that only names it."""
        named = self._options.delimiter
        text, is_whole = self._head() if named == "auto" else self._head(_SEPARATOR_BYTES)
        said, size = separator_line(text)
        if named == "auto":
            table = self._table_of(text[size:], is_whole=is_whole)
            if said:
                return said.decode(), size
            found, rival = delimiter_of(
                table, self._options.quote.encode(), named=len(self._options.columns), is_whole=is_whole
            )
            self._rival = rival.decode()
            return found.decode(), size
        return named, size if said in (b"", named.encode()) else 0

    def _head(self, size: int | None = None) -> tuple[bytes, bool]:
        """The text that a file begins with, and whether it is all of it."""
        head, is_whole = self._source.head(self._limits)
        text = b""
        # The head may end inside a character; what is no text is told when the file is read.
        with suppress(BadText):
            for piece in utf8(iter((head[:size],)), self._options.encoding):
                text += piece
        return text, is_whole

    def _table_of(self, text: bytes, *, is_whole: bool) -> bytes:
        """The beginning of a file without what the dataset calls no part of its table; lines keep their numbers."""
        options = self._options
        if not (options.skip_lines or options.footer_lines or options.comment):
            return text
        chunks = iter((text,))
        if is_whole and options.footer_lines:
            chunks = without_last(options.footer_lines, chunks, longest=len(text))
        if options.skip_lines:
            chunks = without_first(options.skip_lines, chunks)
        text = b"".join(chunks)
        return (
            re.sub(rb"(?m)^%b.*" % re.escape(options.comment.encode()), b"", text)
            if options.comment
            else text
        )

    def batches(self, block: int) -> Generator[pa.RecordBatch]:
        """The rows, parsed in blocks of so many bytes; raises what `fault` then explains."""
        chunks = self._strict_records()
        found = self._header(chunks)
        if found is None:
            self._check_blank()
            return
        names, body = found
        body = at_least(chunks, block, body)
        fits = len(body) < block
        self._is_trailing = self._ends_in_delimiter(body, len(names))
        if self._is_trailing:
            self.guessed["line_end"] = "delimiter"
            names = (*names, _NOTHING)
        chunks = self._ended(chain((body,), chunks), len(names))
        parse = arrow_csv.ParseOptions(
            delimiter=self._options.delimiter,
            quote_char=self._options.quote or False,
            newlines_in_values=bool(self._options.quote),
            ignore_empty_lines=len(names) > 1,
        )
        if fits:
            text = b"".join(chunks)
            read = arrow_csv.ReadOptions(column_names=names, use_threads=False, block_size=len(text) + 1)
            table = arrow_csv.read_csv(pa.py_buffer(text), read, parse, AS_TEXT)
            yield from self._checked(table.to_batches())
        else:
            read = arrow_csv.ReadOptions(column_names=names, block_size=block)
            with closing(ChunkFile(chunks)) as file:
                stream = pa.PythonFile(file, mode="r")
                yield from self._checked(arrow_csv.open_csv(stream, read, parse, AS_TEXT))

    def fault(self) -> MalformedFile:
        """Why the file was refused, found by going through it again, slowly."""
        return text_fault(checked(self._text())) or record_fault(
            self._records(keeps_ends=True),
            self._shape,
            max_line_bytes=self._limits.max_line_bytes,
            around=self._surroundings(),
            named=len(self._options.columns),
            is_trailing=self._is_trailing,
        )

    def doubts(self) -> Iterator[Doubt]:
        """What may be wrong with a file that was read: its delimiter, or where its table begins."""
        if self._rival:
            yield Doubt(
                kind="delimiter",
                says=f"{_named(self._options.delimiter)} was taken for its delimiter, and {_named(self._rival)} would"
                " fit as well",
                hint=f"set the right one in the dataset, such as `csv: {{delimiter: {json.dumps(self._rival)}}}`",
            )
        if encoding := self.guessed.get("encoding"):
            yield Doubt(
                kind="encoding",
                says=f"it is not UTF-8, and was read as {encoding}, judged by its words",
                hint=f"check names with accents, and set `csv: {{encoding: {encoding}}}`, or the right one, in the"
                " dataset",
            )
        odd = 0 if self._options.columns else sum(is_value(path[0]) for path in self.paths)
        if odd:
            yield header_doubt(odd, len(self.paths), "csv")
        if doubt := self._left_out() or self._one_column():
            yield doubt
        if any(looks_like_row(values, len(self.paths)) for values in self._values_after()):
            yield lost_row("csv")

    def _values_after(self) -> Iterator[list[str]]:
        """The values of the lines that `footer_lines` leaves out."""
        for line in b"".join(self._after).decode(errors="replace").splitlines():
            with suppress(csv.Error):
                yield from csv.reader(
                    [line], delimiter=self._options.delimiter, quotechar=self._options.quote or None,
                    quoting=csv.QUOTE_MINIMAL if self._options.quote else csv.QUOTE_NONE,
                )  # fmt: skip

    def _left_out(self) -> Doubt | None:
        """Whether `skip_lines` has left out a line that could be the header, because there are fewer lines above it."""
        if not self._options.skip_lines or self._options.columns or len(self.paths) < _TABLE:
            return None
        lines = physical_lines(iter((self._head()[0],)), longest=self._limits.max_line_bytes)
        left_out = [line for line in islice(lines, self._options.skip_lines) if line.strip()]
        if not left_out or self._shape.first(left_out[-1]).columns != len(self.paths):
            return None
        return Doubt(
            kind="rows",
            says="the last of the lines that `skip_lines` leaves out has as many values as the header",
            hint="if it is the header, correct `csv: {skip_lines: …}` in the dataset",
            line=self._options.skip_lines,
        )

    def _one_column(self) -> Doubt | None:
        """Whether a file of one column looks like a table with another delimiter, perhaps below lines of text."""
        if len(self.paths) != 1 or self._options.columns:
            return None
        around = self._surroundings() if self._is_auto else None
        if around and around.skip_lines and around.columns >= _TABLE:
            return Doubt(
                kind="rows",
                says=f"it was read as one column, and looks like a table of {around.columns} below other lines",
                hint=f"set `csv: {{skip_lines: {around.skip_lines}}}` in the dataset",
            )
        inside = [each for each in CANDIDATES if divides(each, self._header_line, self._shape.quote)]
        if not inside:
            return None
        found = inside[0].decode()
        return Doubt(
            kind="delimiter",
            says=f"it was read as one column, and its header has {_named(found)} inside",
            hint=f"if that is its delimiter, set `csv: {{delimiter: {json.dumps(found)}}}` in the dataset",
        )

    def _surroundings(self) -> Surroundings | None:
        """The lines around the table that the dataset does not know of, if the beginning of the file shows them."""
        head, is_whole = self._head()
        text = self._table_of(head, is_whole=is_whole)
        delimiters = CANDIDATES if self._is_auto else (self._shape.delimiter,)
        shapes = [Shape(each, self._shape.quote) for each in delimiters]
        found = [each for each in (surroundings(text, s, is_whole=is_whole) for s in shapes) if each]
        return max(found, key=lambda each: each.columns, default=None)

    def _check_blank(self) -> None:
        """Raise MalformedFile if the file has lines, and the settings leave all of them out."""
        head, is_whole = self._head()
        if head.strip() or not is_whole:
            raise MalformedFile(
                "there is no header in what `skip_lines`, `footer_lines` and `comment` leave of it",
                hint="Correct these settings in the dataset, or send the file again.",
            )

    def _ends_in_delimiter(self, rows: bytes, columns: int) -> bool:
        """Whether the first row ends in a delimiter that the header lacks; then no row may have a value there."""
        first = _LINE.search(rows) if columns > 1 else None
        if first is None or not first[0].endswith(self._shape.delimiter):
            return False
        record = self._shape.first(rows[first.start() : first.end() + 1])
        return record.is_closed and record.columns == columns + 1

    def _text(self) -> Iterator[bytes]:
        text = utf8(self._source.expanded(self._limits), self._options.encoding, self.guessed)
        longest = self._limits.max_line_bytes
        if lines := self._options.footer_lines:
            text = without_last(lines, text, longest=longest, left_out=self._after)
        if lines := self._options.skip_lines:
            return without_first(lines, text)
        return _without(self._separator_line, text) if self._separator_line else text

    def _records(self, *, keeps_ends: bool = False) -> Iterator[bytes]:
        longest = self._limits.max_line_bytes
        text = unescaped(self._text(), self._options, max_run=longest)
        if not self._options.comment:
            return text
        mark = self._options.comment.encode()
        return without_comments(mark, self._shape, text, keeps_ends=keeps_ends, longest=longest)

    def _strict_records(self) -> Iterator[bytes]:
        longest = self._limits.max_line_bytes
        return (
            strictly_quoted(self._records(), self._shape, max_run=longest)
            if self._shape.quote
            else self._records()
        )

    def _header(self, chunks: Iterator[bytes]) -> tuple[tuple[str, ...], bytes] | None:
        """The columns' catalogue names, and what was read beyond the header; None if there is no line.

        If the options name the columns, the first line is a row.
        """
        text = b""
        while not text:
            chunk = next(chunks, None)
            if chunk is None:
                return None
            text = chunk.lstrip(b"\r\n")
        while (record := self._shape.first(text)).size == len(text) and (more := at_least(chunks, 1)):
            if len(text) > self._limits.max_line_bytes:
                raise _TooLong
            text += more
        if not record.is_closed:
            raise _Unclosed
        if record.columns > self._limits.max_columns:
            raise MalformedFile(
                f"it has {record.columns} columns, more than {self._limits.max_columns}",
                hint="Check the delimiter. If the file is sound, raise max_columns.",
            )
        if self._options.columns:
            names, self.paths = _catalogued(self._options.columns, self._reserved, self._kept)
            return names, text
        self._header_line = text[: record.size]
        names, self.paths = header_names(self._header_line, self._options, self._reserved, self._kept)
        return names, text[record.size :]

    def _ended(self, chunks: Iterator[bytes], columns: int) -> Iterator[bytes]:
        """The text and, as its last record, one of empty strings, or of nothing if nothing is quoted.

        The parser takes a quote that is never closed for a value that ends with the file. Such a value
        swallows this record, which is how it is found out.
        """
        last = b"\n"
        for chunk in chunks:
            if chunk:
                yield chunk
                last = chunk[-1:]
        if last not in b"\r\n":
            yield b"\n"
        yield self._shape.delimiter.join([self._shape.quote * 2] * columns) + b"\n"

    def _checked(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The batches without the record `_ended` added; raises when it is gone or a record is too long."""
        held: pa.RecordBatch | None = None
        for batch in batches:
            if held is not None:
                yield self._with_header(held)
            if batch.nbytes > self._limits.max_line_bytes and _longest(batch) > self._limits.max_line_bytes:
                raise _TooLong
            held = batch
        if held is None or (self._shape.quote and held.column(held.num_columns - 1)[-1].as_py() != ""):
            raise _Unclosed
        yield self._with_header(held.slice(0, held.num_rows - 1))

    def _with_header(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The columns that the header names; raises _BeyondHeader for a value in one after them."""
        if self._options.strip:
            columns = [pc.utf8_trim_whitespace(column) for column in batch.columns]
            batch = pa.RecordBatch.from_arrays(columns, schema=batch.schema)
        if self._options.formulas_as_text:
            batch = self._without_formulas(batch)
        if not self._is_trailing:
            return batch
        last = batch.num_columns - 1
        if batch.column(last).null_count < batch.num_rows:
            raise _BeyondHeader
        return batch.remove_column(last)

    def _without_formulas(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        for i, name in enumerate(batch.schema.names):
            column = batch.column(i)
            are = pc.match_substring_regex(column, _FORMULA)
            if pc.any(are).as_py():
                text = pc.replace_substring_regex(column, _FORMULA, r"\1")
                column = pc.if_else(are, pc.replace_substring(text, '""', '"'), column)
                batch = batch.set_column(i, name, column)
                self.of_formulas.add(name)
        return batch


def _named(delimiter: str) -> str:
    """A delimiter as a sentence has it."""
    return "the tab" if delimiter == "\t" else f"`{delimiter}`"


def _without(size: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The text without so many first bytes; the line end after them stays, so that lines keep their numbers."""
    yield at_least(chunks, size)[size:]
    yield from chunks


@functools.lru_cache(maxsize=256)
def header_names(
    header: bytes, options: CsvOptions, reserved: frozenset[str], kept: frozenset[str]
) -> tuple[tuple[str, ...], tuple[ColumnPath, ...]]:
    """The catalogue names of a header, and its cells; kept, because ten thousand small files have few headers."""
    try:
        line = header.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise BadText from None
    try:
        if options.quote:
            cells = next(csv.reader([line], delimiter=options.delimiter, quotechar=options.quote))
        else:
            cells = line.split(options.delimiter)
    except csv.Error:
        raise MalformedFile("a column's name is too long", hint="A quote may be missing.") from None
    if options.strip:
        cells = [cell.strip() for cell in cells]
    if options.formulas_as_text:
        cells = [re.sub(_FORMULA, r"\1", cell) for cell in cells]
    return _catalogued(cells, reserved, kept)


def _catalogued(
    cells: Sequence[str], reserved: frozenset[str], kept: frozenset[str]
) -> tuple[tuple[str, ...], tuple[ColumnPath, ...]]:
    return tuple(column_names(cells, reserved, kept=kept)), tuple((cell,) for cell in cells)


def _longest(batch: pa.RecordBatch) -> int:
    """Bytes in the values of the longest record."""
    lengths = [pc.fill_null(pc.binary_length(column), 0).cast(pa.int64()) for column in batch.columns]
    found: int = pc.max(functools.reduce(pc.add, lengths)).as_py()
    return found
