"""Headers that are rows, because the file has none and its first row was taken for one; and rows that are headers."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc

from amci.lake.formats.model import Doubt, TextBatch

_NUMBER = r"[-+]?[$€£¥]?\d[\d.,\s']*[%€]?"
_TIME = r"(?:[T ]+\d\d?:\d\d.*)?"
_DATE = rf"(?:\d{{4}}([-/.])\d\d?\1\d\d?|\d\d?([-/.])\d\d?\2(?:\d{{4}}|\d\d)){_TIME}"
_VALUE = re.compile(rf"{_NUMBER}|{_DATE}")


_SMALL = 64 << 10  #: bytes


@lru_cache(maxsize=10_000)  # many files have the same header
def is_value(name: str) -> bool:
    """Whether it is a number, a date or an IP address, and no name of a column; `18-24` may be one."""
    name = name.strip()
    if _VALUE.fullmatch(name):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def header_doubt(values: int, columns: int, setting: str) -> Doubt:
    """The doubt about a header in which so many of its names are values; `setting` is where columns are named."""
    return Doubt(
        kind="header",
        says=f"its header looks like a row: {values} of {columns} names are numbers, dates or addresses",
        hint=f"if such files have no header, name their columns as `{setting}: {{columns: […]}}` in the dataset",
        is_of_new_columns=True,
    )


def noting_repeats(batches: Iterator[TextBatch], doubts: list[Doubt]) -> Iterator[TextBatch]:
    """The batches of one file as they are; at the end, the doubt about rows that are its header again."""
    count = 0
    for batch in batches:
        count += _repeats(batch)
        yield batch
    if count:
        are = "is" if count == 1 else "are"
        doubts.append(
            Doubt(
                kind="header",
                says=f"{count} of its rows {are} its header again, as in files that"
                " were joined; loaded as a row like the others",
                hint="leave headers out where files are joined, or take such rows out by a transform; if"
                " `columns` of the dataset names what the file has a header for, take that out",
                is_of_raw_rows=True,
            )
        )


def _repeats(batch: TextBatch) -> int:
    """How many rows have the names of their columns for values; none in a file of one column."""
    names = [path[-1] for path in batch.paths]
    at = next((at for at, name in enumerate(names) if name), None)
    if at is None or len(names) == 1:
        return 0
    column, count = batch.data.column(at), 0
    text = column.buffers()[-1]
    # Of a small file that is quicker than to ask Arrow.
    if text is None or (text.size < _SMALL and names[at].encode() not in text.to_pybytes()):
        return 0
    value = pa.scalar(names[at], pa.string())
    if pc.index(column, value).as_py() < 0:
        return 0
    rows = batch.data.filter(pc.equal(column, value))
    for row in range(rows.num_rows):
        count += all(
            (values[row].as_py() or "") == name for values, name in zip(rows.columns, names, strict=True)
        )
    return count
