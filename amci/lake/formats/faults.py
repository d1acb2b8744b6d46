"""The slow second look at a CSV file that was refused: which line is at fault, and why."""

from __future__ import annotations

from collections.abc import Iterator

from amci.kernel.errors import MalformedFile
from amci.lake.formats.shape import Record, Shape, physical_lines
from amci.lake.formats.surroundings import Surroundings, footer
from amci.lake.formats.text import BadText


def record_fault(
    chunks: Iterator[bytes],
    shape: Shape,
    *,
    max_line_bytes: int,
    around: Surroundings | None = None,
    named: int = 0,
    is_trailing: bool = False,
) -> MalformedFile:
    """What is wrong with the first record that differs from the header or is longer than it may be.

    `around` is what the beginning of the file shows of lines around its table, `named` how many columns the dataset
    names because there is no header. With `is_trailing`, the rows, but not the header, end in a delimiter.
    """
    lines = physical_lines(chunks, longest=max_line_bytes)
    header = named or None
    records = shape.records(lines)
    for record in records:
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
        elif record.columns != header + is_trailing or record.is_trailing < is_trailing:
            hint = _hint(record, records, header, around, is_trailing=is_trailing)
            if not named:
                return MalformedFile(
                    f"{record.columns} values where the header has {header}", line=record.line, hint=hint
                )
            return MalformedFile(
                f"{record.columns} values where the dataset names {header} column{'s' * (header > 1)}",
                line=record.line,
                hint=f"Correct `csv: {{columns: […]}}` in the dataset if it is wrong. {hint}",
            )
    return MalformedFile("the CSV cannot be parsed", hint="Check its delimiter, quotes and encoding.")


def _hint(
    record: Record, rest: Iterator[Record], header: int, around: Surroundings | None, *, is_trailing: bool
) -> str:
    around = around or footer(record, rest, header)
    if around:
        return around.hint
    if is_trailing:
        return "The lines before have a delimiter at their ends, which was left out; write all lines alike."
    if record.is_trailing and record.columns == header + 1:
        return "It has a delimiter at its end: leave it out, or write one at the end of all lines."
    return "Quote values that hold a delimiter or a line break; check that the file is whole."


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
