"""Lines of a CSV file that are no part of its table: before the header, after the rows, and comments.

What is left out leaves its line end behind where lines are counted, so that a fault has its line in the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from amci.kernel.errors import MalformedFile
from amci.lake.formats.shape import Record, Shape, physical_lines
from amci.lake.formats.text import BadText

_LINE_END = re.compile(rb"\r\n?|\n")
#: So many records are looked at for those before a header; from it on, all of them have to agree.
_SAMPLE = 60
#: A header and a row.
_LEAST = 2
#: So many may stand after the rows.
_FEW_LAST = 10


def without_first(lines: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The text without its first lines, but for their ends."""
    text = b""
    while lines:
        found = _LINE_END.search(text)
        # A CR that ends the text may be the first half of a line end.
        if found and not (found[0] == b"\r" and found.end() == len(text)):
            yield found[0]
            text, lines = text[found.end() :], lines - 1
            continue
        held = text[-1:] if text.endswith(b"\r") else b""
        more = next(chunks, None)
        if more is None:
            yield held
            return
        text = held + more
    yield text
    yield from chunks


def without_last(
    lines: int, chunks: Iterator[bytes], *, longest: int, left_out: list[bytes] | None = None
) -> Iterator[bytes]:
    """The text without its last lines, which go into `left_out`; blank ones at its very end do not count.

    Raises MalformedFile if those it has to hold have more than `longest` bytes.
    """
    held = b""
    try:
        for chunk in chunks:
            held += chunk
            begin = _begin_of_last(lines, held)
            if begin:
                yield held[:begin]
                held = held[begin:]
            _check_length(held, longest)
    except BadText:
        # It has to come after all text before it, as its line is counted by that.
        yield held
        raise
    if left_out is not None:
        left_out[:] = [held]


def _begin_of_last(lines: int, text: bytes) -> int:
    """Where the last lines of a text begin; 0 if it has no more than those."""
    begin, end = 0, len(text.rstrip(b"\r\n"))
    for _ in range(lines):
        begin = max(text.rfind(b"\n", 0, end), text.rfind(b"\r", 0, end)) + 1
        if not begin:
            return 0
        end = begin - (2 if text.endswith(b"\r\n", 0, begin) else 1)
    return begin


def _check_length(held: bytes, longest: int) -> None:
    if len(held) > longest:
        raise MalformedFile(
            f"a line is longer than {longest} bytes", hint="If the file is sound, raise max_line_bytes."
        )


def without_comments(
    mark: bytes, shape: Shape, chunks: Iterator[bytes], *, keeps_ends: bool, longest: int
) -> Iterator[bytes]:
    """The text without lines that begin with `mark`, unless a quoted value goes on in them.

    With `keeps_ends` their line ends stay: blank lines, as a file of several columns may have.
    Raises MalformedFile if a line has more than `longest` bytes.
    """
    is_open, rest = False, b""
    for chunk in chunks:
        text = rest + chunk
        *lines, rest = text.splitlines(keepends=True) or [b""]
        if rest.endswith(b"\n"):
            lines.append(rest)
            rest = b""
        _check_length(rest, longest)
        kept = []
        for line in lines:
            if not is_open and line.startswith(mark):
                if keeps_ends:
                    kept.append(line[len(line.rstrip(b"\r\n")) :])
            else:
                kept.append(line)
                is_open = shape.is_open_after(line, is_open=is_open)
        yield b"".join(kept)
    if is_open or not rest.startswith(mark):
        yield rest


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What seems to stand around a table."""

    skip_lines: int
    footer_lines: int
    columns: int  #: of the table

    @property
    def hint(self) -> str:
        """What to set, if it is so."""
        says, settings = [], []
        if self.skip_lines:
            says.append("the first line" if self.skip_lines == 1 else f"the first {self.skip_lines} lines")
            settings.append(f"skip_lines: {self.skip_lines}")
        if self.footer_lines:
            says.append("the last line" if self.footer_lines == 1 else f"the last {self.footer_lines} lines")
            settings.append(f"footer_lines: {self.footer_lines}")
        seem = "seems" if self.skip_lines + self.footer_lines == 1 else "seem"
        said = " and ".join(says)
        return (
            f"{said[:1].upper()}{said[1:]} {seem} to be no part of the table: if so, say"
            f" `csv: {{{', '.join(settings)}}}` in the dataset; else quote values that hold a delimiter"
            " or a line break, and check that the file is whole."
        )


def surroundings(text: bytes, shape: Shape, *, is_whole: bool) -> Surroundings | None:
    """What the beginning of a file shows; None if it shows no table with lines around it.

    Before it are records with clearly fewer values; from its header on all agree, but for a few last ones.
    """
    records = list(islice(shape.records(physical_lines(iter((text,)), longest=len(text))), _SAMPLE))
    if len(records) == _SAMPLE or (not is_whole and records):
        is_whole = False
        records.pop()  # it may be cut off
    columns = max((record.columns for record in records), default=1)
    begin = next((i for i, record in enumerate(records) if record.columns == columns), 0)
    end = next((i for i in range(begin, len(records)) if records[i].columns != columns), len(records))
    before, last = records[:begin], records[end:]
    if not (before or last) or end - begin < _LEAST or not _are_short([*before, *last], columns):
        return None
    if last and not is_whole:
        return None
    return Surroundings(records[begin].line - 1 if before else 0, _lines_of(last), columns)


def footer(record: Record, rest: Iterator[Record], columns: int) -> Surroundings | None:
    """What a record that does not fit shows with all after it; None if they are many, or not clearly shorter."""
    last = [record, *islice(rest, _FEW_LAST)]
    if len(last) > _FEW_LAST or not _are_short(last, columns):
        return None
    return Surroundings(0, _lines_of(last), columns)


def _are_short(records: Sequence[Record], columns: int) -> bool:
    """Whether all have at most two thirds of the table's values, as a title or a total has."""
    return all(record.columns * 3 <= columns * 2 for record in records)


def _lines_of(last: Sequence[Record]) -> int:
    return last[-1].line - last[0].line + 1 if last else 0
