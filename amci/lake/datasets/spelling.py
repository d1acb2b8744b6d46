"""How people write values in the files of a dataset; nothing configured is as JSON and ISO 8601 write them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Spelling:
    """How the values of a column are written."""

    not_finite: bool = False  #: NaN and Infinity are numbers
    #: the values were DOUBLEs and are written in the fewest digits that read back as the same
    floats: bool = False


PLAIN = Spelling()
