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


def delimiter_of(text: bytes, quote: bytes, *, named: int = 0, is_whole: bool) -> tuple[bytes, bytes]:
    r"""The delimiter by which the first records have equally many values, and another that would fit too, or none.

    It is the comma if the header has no other candidate, or none makes all records alike. If several do, it is the one
    that makes as many columns as the dataset names (`named`, 0 if it names none); then one that no quoted name in the
    header has inside, as in `Campaign;"Costs, net"`; then one that no blank follows there, as in `Campaign;Costs, net`;
    then the one that makes most columns; then the comma.
    `text` is the beginning of the file, `is_whole` says whether it is all of it.
    """
    line = re.split(rb"[\r\n]", text.lstrip(b"\r\n"), maxsplit=1)[0]
    inside = [each for each in CANDIDATES if each in line]
    if inside in ([], [b","]):
        return b",", b""
    columns = {each: _columns(text, Shape(each, quote), is_whole=is_whole) for each in inside}
    alike = {each: count for each, count in columns.items() if count > 1}
    if not alike:
        return b",", b""

    def rank(each: bytes) -> tuple[bool, bool, bool, int]:
        is_quoted = any(_divides_quoted(each, line, other, quote) for other in alike if other != each)
        return alike[each] == named, not is_quoted, each + b" " not in line, alike[each]

    first, *others = sorted(alike, key=rank, reverse=True)
    is_sure = not others or alike[first] == named != alike[others[0]]
    return first, b"" if is_sure else others[0]


def divides(delimiter: bytes, header: bytes, quote: bytes) -> bool:
    """Whether a header has several names by this delimiter."""
    return Shape(delimiter, quote).first(header).columns > 1


def _divides_quoted(each: bytes, line: bytes, other: bytes, quote: bytes) -> bool:
    """Whether a name in the header, as another delimiter divides it, is quoted and has this one inside."""
    if not quote:
        return False
    q, o = re.escape(quote), re.escape(other)
    names = re.findall(rb"(?:^|%b)%b([^%b]*)%b(?=%b|$)" % (o, q, q, q, o), line)
    return any(each in name for name in names)


def _columns(text: bytes, shape: Shape, *, is_whole: bool) -> int:
    """How many values each of the first records has; 0 if they differ."""
    records = list(islice(shape.records(physical_lines(iter((text,)), longest=len(text))), _SAMPLE + 1))
    if len(records) > _SAMPLE or (not is_whole and len(records) > 1):
        records.pop()  # it may be cut off
    counts = {record.columns for record in records}
    return counts.pop() if len(counts) == 1 else 0
