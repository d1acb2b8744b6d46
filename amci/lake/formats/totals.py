"""Whether the last row of a table is its total, which was loaded as a row like the others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from amci.lake.formats.model import Doubt

if TYPE_CHECKING:
    import pyarrow as pa

    from amci.lake.formats.model import TextBatch

#: What such a row begins with, in the languages of the marketplaces.
# fmt: off
_WORDS = frozenset({
    "total", "totals", "grand total", "grand totals", "overall total", "sum", "summe", "gesamt", "gesamtsumme",
    "gesamtergebnis", "insgesamt", "total général", "total general", "total geral", "totale", "totale complessivo",
    "totaal", "eindtotaal", "totalt", "summa", "suma", "razem", "toplam", "genel toplam", "итого", "合計", "総計",
    "总计", "合计", "المجموع",
})
# fmt: on


def noting_total(
    batches: Iterator[TextBatch], doubts: list[Doubt], setting: str, footer_lines: int
) -> Iterator[TextBatch]:
    """The batches of one file as they are; at the end, the doubt about a last row that is a total.

    `setting` is where the dataset says how many lines are left out, `footer_lines` how many are now.
    """
    rows, before, is_total = 0, False, False
    for batch in batches:
        if count := batch.data.num_rows:
            before = is_total
            is_total = _is_total(batch.data, count - 1)
            if is_total and count > 1:
                before = _is_total(batch.data, count - 2)
            rows += count
        yield batch
    if is_total and not before and rows > 1:
        doubts.append(
            Doubt(
                kind="total",
                says="its last row looks like a total of the others, and was loaded as one of them",
                hint=f"leave it out by `{setting}: {{footer_lines: {footer_lines + 1}}}` in the dataset",
            )
        )


def _is_total(data: pa.RecordBatch, row: int) -> bool:
    """Whether the first value of a row is a word for a total."""
    for at in range(data.num_columns):  # nearly always the first is enough
        if value := data.column(at)[row].as_py():
            return value.strip(" :*").casefold() in _WORDS
    return False
