"""Which delimiter a CSV file has, judged by its first records, if its dataset does not say."""

from __future__ import annotations

import re
from itertools import islice

from amci.lake.formats.shape import Shape, physical_lines

#: What people and programs put between values; the comma where nothing speaks for another one.
CANDIDATES = (b",", b"\t", b";", b"|")
#: So many records have to agree.
_SAMPLE = 20
#: The line in which Excel is told, and tells, the delimiter; it is not part of the table.
_SEP_LINE = re.compile(rb'"?sep=([^\r\n"]?)"?(?=\r|\n|\Z)', re.IGNORECASE)


def separator_line(text: bytes) -> tuple[bytes, int]:
    """The delimiter that a first line such as `sep=;` names, and how long the line is; empty and 0 without one."""
    found = _SEP_LINE.match(text)
    return (found[1], found.end()) if found else (b"", 0)


def delimiter_of(text: bytes, quote: bytes, *, is_whole: bool) -> bytes:
    r"""The delimiter by which the first records have equally many values.

    It is the comma if the header has one, unless only another one makes all records alike, as in
    `Name;Costs, net;Clicks`. `text` is the beginning of the file, `is_whole` says whether it is all of it.
    """
    header = text.lstrip(b"\r\n").partition(b"\n")[0]
    inside = [each for each in CANDIDATES if each in header]
    if inside in ([], [b","]):
        return b","
    columns = {each: _columns(text, Shape(each, quote), is_whole=is_whole) for each in inside}
    alike = {each: found for each, found in columns.items() if found > 1}
    if not alike or b"," in alike:
        return b","
    return max(alike, key=alike.__getitem__)


def _columns(text: bytes, shape: Shape, *, is_whole: bool) -> int:
    """How many values each of the first records has; 0 if they differ."""
    records = list(islice(shape.records(physical_lines(iter((text,)), longest=len(text))), _SAMPLE + 1))
    if len(records) > _SAMPLE or (not is_whole and len(records) > 1):
        records.pop()  # it may be cut off
    counts = {record.columns for record in records}
    return counts.pop() if len(counts) == 1 else 0
