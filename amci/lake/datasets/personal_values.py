"""Values that look like personal data, found by their form in columns that no rule of `pii:` names.

Phone numbers need a `+`, an area code set apart, or the American form: plain digits are ids more often.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Iterable
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pyarrow as pa

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
_DIGEST = re.compile(r"\s*[0-9a-fA-F]{64}\s*")
_FIGURE = re.compile(r"\s*[-+]?[0-9][0-9.,:/ TZ-]*\s*")
_PERIOD = re.compile(r"\s*(19|20)[0-9]{2}([-/.]?[0-9]{1,2}){0,2}\s*")
#: Rows of a batch, and of a file, that are looked at; fewer if there are very many columns.
_OF_BATCH, _OF_FILE = 5_000, 100_000
_CELLS = 200_000


def looks_like_a_value(cell: str) -> bool:
    """Whether a header cell has the form of an e-mail address, a social security number or a SHA-256 digest."""
    forms = (_FORMS["e-mail addresses"], _FORMS["social security numbers"])
    return bool(_DIGEST.fullmatch(cell)) or any(re.search(form, cell) for form in forms)


def looks_like_a_figure(cell: str) -> bool:
    """Whether a header cell is a number. Years, months and days are not: some reports have a column for each."""
    return bool(_FIGURE.fullmatch(cell)) and not _PERIOD.fullmatch(cell)


class Sample:
    """Counts values of some forms in a bounded sample of a file's rows, by column."""

    def __init__(self, forms: Iterable[Form]) -> None:
        self._forms = tuple(forms)
        self._looked_at = 0
        self._counts: Counter[tuple[str, Form]] = Counter()

    def look(self, data: pa.RecordBatch, but: Container[str] = ()) -> None:
        """Look at rows from all over a batch, in all text columns but those named."""
        import pyarrow as pa
        import pyarrow.compute as pc

        columns = [
            (name, column)
            for name, column in zip(data.schema.names, data.columns, strict=True)
            if name not in but and pa.types.is_string(column.type)
        ]
        most = max(1, _CELLS // (len(columns) or 1))
        rows = min(data.num_rows, _OF_BATCH, _OF_FILE - self._looked_at, most)
        if rows <= 0 or not columns:
            return
        self._looked_at += rows
        # One after the other in one array: a call costs more than a few hundred cells.
        spread = pa.array(range(0, data.num_rows, -(-data.num_rows // rows)), pa.int64())
        cells = pa.concat_arrays([column.take(spread) for _, column in columns])
        for form in self._forms:
            matches = pc.fill_null(pc.match_substring_regex(cells, _FORMS[form]), fill_value=False)
            for at in pc.indices_nonzero(matches).to_pylist():
                self._counts[columns[at // len(spread)][0], form] += 1

    @property
    def notes(self) -> list[dict[str, Any]]:
        """What was found, as notes of a quality rule: the column and how many rows, no values."""
        return [
            {"rule": f"pii: column {column} has no rule and holds {form}", "on_fail": "warn", "rows": count}
            for (column, form), count in sorted(self._counts.items())
        ]
