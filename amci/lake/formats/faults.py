"""The slow second look at a CSV file that was refused: which line is at fault, and why."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from amci.kernel.errors import MalformedFile
from amci.lake.formats.text import BadText


@dataclass(frozen=True, slots=True)
class Record:
    """One CSV record, told by its shape alone."""

    line: int  #: physical line it begins on
    columns: int
    size: int  #: bytes, line breaks inside included
    is_closed: bool  #: False if a quote is still open
    is_stray: bool = False  #: whether text follows a closing quote


@dataclass(frozen=True, slots=True)
class Shape:
    """What divides the values of a CSV file."""

    delimiter: bytes
    quote: bytes  #: empty if nothing is quoted

    def first(self, text: bytes) -> Record:
        """The first record of a text that begins with one; it may go on where it ends with the text."""
        end = text.find(b"\n") + 1
        is_bare = not self.quote or text.find(self.quote, 0, end) < 0
        if end and is_bare and text.find(b"\r", 0, end - 2) < 0:
            return Record(1, text.count(self.delimiter, 0, end) + 1, end, is_closed=True)
        return next(self.records(physical_lines(iter((text,)), longest=len(text))))

    def records(self, lines: Iterator[bytes]) -> Iterator[Record]:
        """The records of some physical lines, blank ones left out.

        They are the parser's records, so a quote inside a bare value is text.
        """
        begun, columns, size, is_open, is_stray = 0, 1, 0, False, False
        closing = re.compile(rb"[^%b]*+(?:%b%b[^%b]*+)*+%b" % ((re.escape(self.quote or b"x"),) * 5))
        for number, line in enumerate(lines, start=1):
            if not is_open:
                begun, columns, size, is_stray = number, 1, 0, False
                if not line.rstrip(b"\r\n"):
                    continue
            more, is_open, strays = self._line(line, closing, is_open=is_open)
            columns += more
            size += len(line)
            is_stray = is_stray or strays
            if not is_open:
                yield Record(begun, columns, size, is_closed=True, is_stray=is_stray)
        if is_open:
            yield Record(begun, columns, size, is_closed=False, is_stray=is_stray)

    def _line(self, line: bytes, closing: re.Pattern[bytes], *, is_open: bool) -> tuple[int, bool, bool]:
        """How many delimiters a line adds to its record, whether it leaves a quote open, and has text after one."""
        if not self.quote or (not is_open and self.quote not in line):
            return line.count(self.delimiter), False, False
        delimiters, at, is_stray = 0, 0, False
        is_quoted = is_open or line.startswith(self.quote)
        if is_quoted and not is_open:
            at = 1
        while True:
            if is_quoted:
                end = closing.match(line, at)
                if end is None:
                    return delimiters, True, is_stray
                at = end.end()
                is_stray = is_stray or line[at : at + 1] not in (self.delimiter, b"\r", b"\n", b"")
            at = line.find(self.delimiter, at) + 1
            if not at:
                return delimiters, False, is_stray
            delimiters += 1
            is_quoted = line.startswith(self.quote, at)
            at += is_quoted


def physical_lines(chunks: Iterator[bytes], *, longest: int) -> Iterator[bytes]:
    r"""Lines with their ends; `\n`, `\r\n` and a lone `\r` each end one.

    A line of more than `longest` bytes comes in pieces only as its last one: reading stops there.
    """
    held = b""
    for chunk in chunks:
        *whole, held = (held + chunk).splitlines(keepends=True) or [b""]
        yield from whole
        if held.endswith(b"\n"):
            yield held
            held = b""
        elif len(held) > longest:
            break
    if held:
        yield held


def record_fault(chunks: Iterator[bytes], shape: Shape, *, max_line_bytes: int) -> MalformedFile:
    """What is wrong with the first record that differs from the header or is longer than it may be."""
    lines = physical_lines(chunks, longest=max_line_bytes)
    header: int | None = None
    for record in shape.records(lines):
        if record.size > max_line_bytes:
            return MalformedFile(
                f"the record is longer than {max_line_bytes} bytes",
                line=record.line,
                hint="A quote may be missing. If the file is sound, raise max_line_bytes.",
            )
        if record.is_stray:
            return MalformedFile(
                "text follows a closing quote",
                line=record.line,
                hint="If nothing is quoted in such files, say `csv: {quote: none}` in the dataset. Inside quotes, a"
                " quote is doubled.",
            )
        if not record.is_closed:
            return MalformedFile(
                "a quoted value is never closed",
                line=record.line,
                hint="The file may have been cut off; send it again.",
            )
        if header is None:
            header = record.columns
        elif record.columns != header:
            return MalformedFile(
                f"{record.columns} values where the header has {header}",
                line=record.line,
                hint="Quote values that hold a delimiter or a line break; check that the file is whole.",
            )
    return MalformedFile("the CSV cannot be parsed", hint="Check its delimiter, quotes and encoding.")


def text_fault(chunks: Iterator[bytes]) -> MalformedFile | None:
    """The first bytes that are not text, with their line; None if all is text."""
    lines, after_cr = 1, False
    try:
        for chunk in chunks:
            lines += chunk.count(b"\n") + chunk.count(b"\r") - chunk.count(b"\r\n")
            lines -= after_cr and chunk.startswith(b"\n")
            after_cr = chunk.endswith(b"\r")
    except BadText as fault:
        return MalformedFile(str(fault), line=lines, hint=fault.hint)
    return None
