"""The shape of CSV: where records and physical lines end, and how many values a record has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Record:
    """One CSV record, told by its shape alone."""

    line: int  #: physical line it begins on
    columns: int
    size: int  #: bytes, line breaks inside included
    is_closed: bool  #: False if a quote is still open
    is_stray: bool = False  #: whether text follows a closing quote
    is_trailing: bool = False  #: whether a delimiter is its last byte


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
            is_trailing = text.endswith((self.delimiter + b"\n", self.delimiter + b"\r\n"), 0, end)
            return Record(1, text.count(self.delimiter, 0, end) + 1, end, True, False, is_trailing)
        return next(self.records(physical_lines(iter((text,)), longest=len(text))))

    def records(self, lines: Iterator[bytes]) -> Iterator[Record]:
        """The records of some physical lines, blank ones left out.

        They are the parser's records, so a quote inside a bare value is text.
        """
        begun, columns, size, is_open, is_stray = 0, 1, 0, False, False
        closing = self._closing()
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
                is_trailing = line.rstrip(b"\r\n").endswith(self.delimiter)
                yield Record(begun, columns, size, True, is_stray, is_trailing)
        if is_open:
            yield Record(begun, columns, size, is_closed=False, is_stray=is_stray)

    def is_open_after(self, line: bytes, *, is_open: bool) -> bool:
        """Whether a quoted value goes on after a physical line, before which one did or did not."""
        if not is_open and (not self.quote or self.quote not in line):
            return False
        return self._line(line, self._closing(), is_open=is_open)[1]

    def _closing(self) -> re.Pattern[bytes]:
        """What a quoted value is from inside it to its end."""
        return re.compile(rb"[^%b]*+(?:%b%b[^%b]*+)*+%b" % ((re.escape(self.quote or b"x"),) * 5))

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
