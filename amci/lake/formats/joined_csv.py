"""Small CSV files of one header, parsed together: alone, most of what each costs is the parser's start.

    header `day,units` in both files

    2026-11-01,5        the text that is parsed     2026-11-01,5
    ------------                                    <token>,
    2026-11-02,7                                    2026-11-02,7
    2026-11-03,9                                    2026-11-03,9
                                                    <token>,

Only files that are as plain as they can be: all else is left to `csv_reader`, which explains what it refuses. What
stands for the end of a file is drawn for each text, so no file can have it; it is missing if one runs into the next.
"""

from __future__ import annotations

from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from amci.kernel.clock import new_id
from amci.kernel.errors import MalformedFile
from amci.lake.formats.archive import MAGIC as ARCHIVE
from amci.lake.formats.csv_reader import AS_TEXT, header_names
from amci.lake.formats.delimiter import CANDIDATES, separator_line
from amci.lake.formats.header import is_value
from amci.lake.formats.kind import other_kind
from amci.lake.formats.model import ColumnPath, CsvOptions, Doubt, FileFormat, TextBatch
from amci.lake.formats.quotes import StrayText, strictly_quoted
from amci.lake.formats.shape import Shape
from amci.lake.formats.source import HEAD_BYTES, MAGIC
from amci.lake.formats.totals import is_total_word, noting_total

if TYPE_CHECKING:
    from amci.lake.formats.model import Limits

#: A larger file is left to `csv_reader`, which judges a delimiter by so much of it.
SMALL_BYTES = HEAD_BYTES
#: A text that the parser refuses is halved until its files are so few; those are then read alone.
_FEW = 8
_LONGEST_HEADER = 16 << 10
#: What no plain file begins with.
_MARKS = (BOM_UTF8, BOM_UTF16_LE, BOM_UTF16_BE, *MAGIC, *ARCHIVE, b"<", b"{", b"[")


@dataclass(frozen=True, slots=True)
class PlainHeader:
    """A header that leaves nothing open: no doubt, no other delimiter, a name for each of several columns."""

    line: bytes  #: with its end
    shape: Shape
    names: tuple[str, ...]  #: the catalogue's
    paths: tuple[ColumnPath, ...]


@dataclass(frozen=True, slots=True)
class JoinedRows:
    """Rows of several files in one batch."""

    data: pa.RecordBatch  #: every column is text
    members: Sequence[tuple[int, int, int]]  #: which file, the first of its rows, and how many there are


def may_be_joined(options: CsvOptions) -> bool:
    """Whether files that are written so can be parsed together: nothing is left out of them, or changed."""
    return options.encoding in ("auto", "utf-8") and options == replace(
        CsvOptions(),
        delimiter=options.delimiter,
        quote=options.quote,
        escape=options.escape,
        apostrophe=options.apostrophe,
        encoding=options.encoding,
    )


def plain_header(
    content: bytes, options: CsvOptions, limits: Limits, reserved: frozenset[str], kept: frozenset[str]
) -> PlainHeader | None:
    """The header of a whole small file, if all of the file may be parsed with others; None if it is read alone."""
    end = content.find(b"\n") + 1
    if not 0 < end <= _LONGEST_HEADER or len(content) > limits.max_line_bytes:
        return None
    header = _plain(content[:end], options, limits.max_columns, reserved, kept)
    return header if header and _is_plain(content, header, options) else None


@lru_cache(maxsize=256)
def _plain(
    line: bytes, options: CsvOptions, max_columns: int, reserved: frozenset[str], kept: frozenset[str]
) -> PlainHeader | None:
    text = line.rstrip(b"\r\n")
    if not text or line[:1].isspace() or line.startswith(_MARKS) or b"\r" in text or separator_line(line)[1]:
        return None
    is_open = options.delimiter == "auto" and any(each in text for each in CANDIDATES[1:])
    if is_open or other_kind(line, FileFormat.CSV, is_whole=False):
        return None
    if options.delimiter == "auto":
        options = replace(options, delimiter=CANDIDATES[0].decode())
    shape = Shape(options.delimiter.encode(), options.quote.encode())
    record = shape.first(line)
    if not record.is_closed or record.size != len(line) or not 1 < record.columns <= max_columns:
        return None
    try:
        if shape.quote:
            list(strictly_quoted(iter((line,)), shape, max_run=len(line)))
        names, paths = header_names(line, options, reserved, kept)
    except (MalformedFile, StrayText):
        return None
    is_sure = all(path[0].strip() and not is_value(path[0]) for path in paths)
    return PlainHeader(line, shape, names, paths) if is_sure else None


def _is_plain(content: bytes, header: PlainHeader, options: CsvOptions) -> bool:
    """Whether a file is text without escapes, has rows, and the first of them is as long as its header."""
    delimiter, quote = header.shape.delimiter, header.shape.quote
    begin = len(header.line)
    if b"\0" in content or (
        quote and (content.count(quote, begin) % 2 or _has_escapes(content, quote, options))
    ):
        return False
    if not content.isascii():
        try:
            content.decode()
        except UnicodeDecodeError:
            return False
    end = content.find(b"\n", begin)
    first = content[begin:] if end < 0 else content[begin:end]
    if not first.strip():
        return False
    return (quote and quote in first) or first.count(delimiter) == len(header.names) - 1


def _has_escapes(content: bytes, quote: bytes, options: CsvOptions) -> bool:
    return options.escape != "double" and b"\\" in content and b"\\" + quote in content


def joined_rows(contents: Sequence[bytes], header: PlainHeader) -> Iterator[JoinedRows]:
    """The rows of files with this header; those of which nothing comes have to be read alone.

    Contents are whole files that `plain_header` has passed.
    """
    pending = [list(range(len(contents)))]
    while pending:
        files = pending.pop()
        try:
            yield _parsed(files, [contents[file] for file in files], header)
        except _Unusual as unusual:
            if unusual.files:
                pending.append([file for file in files if file not in unusual.files])
            elif len(files) > _FEW:
                middle = len(files) // 2
                pending += [files[middle:], files[:middle]]


class _Unusual(Exception):
    """Files cannot be parsed together: because of these, or nobody knows which."""

    def __init__(self, files: Sequence[int] = ()) -> None:
        super().__init__()
        self.files = frozenset(files)


def _parsed(files: Sequence[int], contents: Sequence[bytes], header: PlainHeader) -> JoinedRows:
    # Of digits, so that a column of digits stays one.
    token = str(int(new_id(), 16))
    shape, columns = header.shape, len(header.names)
    separator = token.encode() + shape.delimiter * (columns - 1) + b"\n"
    pieces: list[bytes | memoryview] = []
    for content in contents:
        pieces.append(memoryview(content)[len(header.line) :])
        pieces.append(separator if content.endswith((b"\n", b"\r")) else b"\n" + separator)
    text = b"".join(pieces)
    has_quotes = bool(shape.quote) and shape.quote in text
    if has_quotes and (stray := _stray(text, shape)).size:
        ends = np.cumsum([len(piece) for piece in pieces])[1::2]
        raise _Unusual([files[at] for at in np.unique(np.searchsorted(ends, stray, side="right"))])
    parse = arrow_csv.ParseOptions(
        delimiter=shape.delimiter.decode(),
        quote_char=shape.quote.decode() or False,
        newlines_in_values=has_quotes,
        ignore_empty_lines=True,
    )
    read = arrow_csv.ReadOptions(column_names=header.names, use_threads=False, block_size=len(text) + 1)
    try:
        batches = arrow_csv.read_csv(pa.py_buffer(text), read, parse, AS_TEXT).combine_chunks().to_batches()
    except pa.ArrowInvalid:
        raise _Unusual from None
    data = batches[0]
    ends = pc.indices_nonzero(pc.equal(data.column(0), token)).to_pylist()
    if len(ends) != len(files) or ends[-1] != data.num_rows - 1:
        raise _Unusual
    starts = [0, *(end + 1 for end in ends)]
    members = [
        (file, start, end - start)
        for file, start, end in zip(files, starts, ends, strict=False)
        if end > start
    ]
    return JoinedRows(data, _without_doubtful(data, members, header))


def _stray(text: bytes, shape: Shape) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Where quotes stand that do not open a value at its begin, or close one at its end; see `quotes`."""
    bytes_ = np.frombuffer(text, np.uint8)
    places = np.flatnonzero(bytes_ == shape.quote[0])
    is_edge = np.zeros(256, np.bool_)
    is_edge[list(shape.delimiter + b"\r\n")] = True
    opening, closing = places[::2], places[1::2]
    # Two that follow each other inside a value stand for one.
    is_doubled = np.append(closing[:-1] + 1 == opening[1:], False)
    begins = is_edge[bytes_[opening - 1]] | (opening == 0)
    begins[1:] |= is_doubled[:-1]
    ends = is_edge[bytes_[closing + 1]] | is_doubled
    return np.concatenate([opening[~begins], closing[~ends]])


def _without_doubtful(
    data: pa.RecordBatch, members: Sequence[tuple[int, int, int]], header: PlainHeader
) -> list[tuple[int, int, int]]:
    """Files that repeat their header, or end in a total, have a doubt, which is told of each alone."""
    first = data.column(0)
    name = pa.scalar(header.paths[0][0], pa.string())
    repeats = np.empty(0)
    if pc.index(first, name).as_py() >= 0:
        repeats = np.asarray(pc.indices_nonzero(pc.equal(first, name)))
    last = first.take(pa.array([start + rows - 1 for _, start, rows in members], pa.int64())).to_pylist()
    return [
        member
        for member, value in zip(members, last, strict=True)
        if not _has_any(repeats, member) and not _ends_in_total(data, member, value, header)
    ]


def _has_any(places: np.ndarray, member: tuple[int, int, int]) -> bool:
    _, start, rows = member
    return bool(places.size) and bool(((places >= start) & (places < start + rows)).any())


def _ends_in_total(
    data: pa.RecordBatch, member: tuple[int, int, int], value: str | None, header: PlainHeader
) -> bool:
    """Whether a file whose last row begins with this value may end in a total."""
    if value and value.strip():
        return is_total_word(value)
    _, start, rows = member
    doubts: list[Doubt] = []
    batch = TextBatch("", data.slice(start, rows), header.paths)
    list(noting_total(iter((batch,)), doubts, "csv", 0))
    return bool(doubts)
