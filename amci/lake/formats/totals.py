"""Totals: one in the last row of a table, loaded as a row like the others; or a row left out as if it were one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from amci.lake.formats.model import Doubt

if TYPE_CHECKING:
    import pyarrow as pa

    from amci.lake.formats.model import TextBatch

#: What such a row begins with, in the languages of the marketplaces.
# fmt: off
_WORDS = (
    "total", "totals", "grand total", "grand totals", "overall total", "sum", "summe", "gesamt", "gesamtsumme",
    "gesamtergebnis", "insgesamt", "total général", "total general", "total geral", "totale", "totale complessivo",
    "totaal", "eindtotaal", "totalt", "summa", "suma", "razem", "toplam", "genel toplam", "итого", "合計", "総計",
    "总计", "合计", "المجموع", "totaux", "sous-total", "subtotal", "sub-total", "somme", "overall", "итог",
)
# fmt: on
#: Such a word, and what may follow it: a bracket, a currency, or marks.
_TOTAL = re.compile(
    rf"(?:{'|'.join(map(re.escape, _WORDS))})\s*(?:[(\[（].*[)\]）]|\s(?-i:[A-Z]{{3}})|[€$£¥])?[\s:*]*",
    re.DOTALL | re.IGNORECASE,
)
_HAN = re.compile(r"(?<=[\u4e00-\u9fff])\s+(?=[\u4e00-\u9fff])")
#: So many rows without a value behind a total do not hide it.
_MOST_EMPTY = 50
#: A row has as many values, at least.
_LEAST = 2


def noting_total(
    batches: Iterator[TextBatch], doubts: list[Doubt], setting: str, footer_lines: int
) -> Iterator[TextBatch]:
    """The batches of one file as they are; at the end, the doubt about a last row that is a total.

    `setting` is where the dataset says how many lines are left out, `footer_lines` how many are now.
    """
    rows, before, is_total, empty = 0, False, False, 0
    for batch in batches:
        data = batch.data
        last = data.num_rows - 1
        while last >= 0 and data.num_rows - last <= _MOST_EMPTY and not _first(data, last):
            last -= 1
        empty = data.num_rows - 1 - last + (empty if last < 0 else 0)
        if last >= 0:
            before = _is_total(data, last - 1) if last else is_total
            is_total = _is_total(data, last)
            rows += last + 1
        if data.num_columns == 1:
            empty = 0  # blank lines, which no setting counts
        yield batch
    if is_total and not before and rows > 1:
        doubts.append(
            Doubt(
                kind="total",
                says="its last row looks like a total of the others, and was loaded as one of them",
                hint=f"if all files of the dataset end so, leave it out by `{setting}: {{footer_lines:"
                f" {footer_lines + empty + 1}}}`; else take it out by a transform",
                is_refused=False,
                is_of_raw_rows=True,
            )
        )


def lost_row(setting: str) -> Doubt:
    """The doubt about a line that was left out behind a table, and looks like a row of it."""
    return Doubt(
        kind="rows",
        says="one of the last lines, which `footer_lines` leaves out, looks like a row",
        hint=f"if it is one, correct `{setting}: {{footer_lines: …}}` in the dataset, and take totals out by a"
        " transform if not all files have one",
    )


def looks_like_row(values: Sequence[str], columns: int) -> bool:
    """Whether what was left out behind a table is a row: with a value in each column or nearly, and no total."""
    filled = [value for value in values if value.strip()]
    is_whole = len(values) == columns and len(filled) >= max(_LEAST, columns // 2)
    return is_whole and bool(values[0].strip()) and not is_total_word(values[0])


def _first(data: pa.RecordBatch, row: int) -> str:
    """The first value of a row; empty if it has none."""
    for at in range(data.num_columns):  # nearly always the first is enough
        if (value := data.column(at)[row].as_py()) and value.strip():
            return str(value)
    return ""


def _is_total(data: pa.RecordBatch, row: int) -> bool:
    """Whether the first value of a row is a word for a total."""
    return is_total_word(_first(data, row))


def is_total_word(value: str) -> bool:
    """Whether a value is a word for a total, with what may stand around it."""
    return _TOTAL.fullmatch(_HAN.sub("", value.strip(" :*\u3000\u00a0"))) is not None
