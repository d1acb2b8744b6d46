"""Values that look like personal data, found by their form in columns that no rule of `pii:` names.

Phone numbers need a `+`, an area code set apart, or the American form: plain digits are ids more often.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Iterable
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

Form = Literal["e-mail addresses", "phone numbers", "social security numbers"]

#: Read by Python and by Arrow (RE2), so without looking ahead or behind.
_FORMS: dict[Form, str] = {
    "e-mail addresses": r"""[^\s@<>"',;:(){}\[\]]+@[^\s@<>"',;:(){}\[\]]+\.[^\s@<>"',;:(){}\[\]0-9._-]{2,}""",
    "phone numbers": (
        r"^\s*(\+[1-9][0-9 ()./-]{5,18}[0-9]|\(?[0-9]{3}\)?[ .-]{1,2}[0-9]{3}[ .-][0-9]{4}"
        r"|00[1-9][0-9]{0,3}[ /(.-][0-9 ()./-]{4,16}[0-9]|0[1-9][0-9]{1,4}[ /][0-9 -]{4,12}[0-9])\s*$"
    ),
    "social security numbers": r"^\s*[0-9]{3}-[0-9]{2}-[0-9]{4}\s*$",
}
#: Text without which a value has not the form; quick to look for.
_NEEDED: dict[Form, str] = {"e-mail addresses": "@"}
_DIGEST = re.compile(r"\s*[0-9a-fA-F]{64}\s*")
_FIGURE = re.compile(r"\s*[-+]?[0-9][0-9.,:/ TZ-]*\s*")
#: Rows of a batch, and of a file, that are looked at.
_OF_BATCH, _OF_FILE = 1_000, 20_000


def looks_like_a_value(cell: str) -> bool:
    """Whether a header cell has the form of an e-mail address, a social security number or a SHA-256 digest."""
    forms = (_FORMS["e-mail addresses"], _FORMS["social security numbers"])
    return bool(_DIGEST.fullmatch(cell)) or any(re.search(form, cell) for form in forms)


def looks_like_a_figure(cell: str) -> bool:
    """Whether a header cell is a number, a date or a time."""
    return bool(_FIGURE.fullmatch(cell))


class Sample:
    """Counts values of some forms in a bounded sample of a file's rows, by column."""

    def __init__(self, forms: Iterable[Form]) -> None:
        self._forms = tuple(forms)
        self._looked_at = 0
        self._counts: Counter[tuple[str, Form]] = Counter()

    def look(self, data: pa.RecordBatch, but: Container[str] = ()) -> None:
        """Look at the first rows of a batch, in all text columns but those named."""
        rows = min(data.num_rows, _OF_BATCH, _OF_FILE - self._looked_at)
        if rows <= 0:
            return
        self._looked_at += rows
        for name, column in zip(data.schema.names, data.columns, strict=True):
            if name not in but and pa.types.is_string(column.type):
                for form in self._forms:
                    if count := _count(column.slice(0, rows), form):
                        self._counts[name, form] += count

    @property
    def notes(self) -> list[dict[str, Any]]:
        """What was found, as notes of a quality rule: the column and how many rows, no values."""
        return [
            {"rule": f"pii: column {column} has no rule and holds {form}", "on_fail": "warn", "rows": count}
            for (column, form), count in sorted(self._counts.items())
        ]


def _count(column: pa.Array, form: Form) -> int:
    if needed := _NEEDED.get(form):
        column = column.filter(pc.fill_null(pc.match_substring(column, needed), fill_value=False))
    return int(pc.sum(pc.match_substring_regex(column, _FORMS[form])).as_py() or 0)
