"""Whether a name in a header looks like a value, because the file has no header and its first row was taken for one."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

from amci.lake.formats.model import Doubt

_NUMBER = r"[-+]?[$€£¥]?\d[\d.,\s']*[%€]?"
_TIME = r"(?:[T ]+\d\d?:\d\d.*)?"
_DATE = rf"(?:\d{{4}}([-/.])\d\d?\1\d\d?|\d\d?([-/.])\d\d?\2(?:\d{{4}}|\d\d)){_TIME}"
_VALUE = re.compile(rf"{_NUMBER}|{_DATE}")


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
