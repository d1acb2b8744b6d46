"""The table on one sheet of a workbook: its header, and its rows as batches of text."""

from __future__ import annotations

import datetime as dt
import re
from collections import deque
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from amci.kernel.errors import MalformedFile
from amci.kernel.names import column_names
from amci.lake.formats.columns import are_more_than_words
from amci.lake.formats.excel_cells import Cell, Style, column_letters, is_blank, number_format, shown, written
from amci.lake.formats.header import header_doubt, is_value
from amci.lake.formats.model import ColumnPath, Doubt, TextBatch
from amci.lake.formats.totals import looks_like_row, lost_row

if TYPE_CHECKING:
    from amci.lake.formats.model import ExcelOptions, Limits

_ROWS, _CELLS = 20_000, 500_000
#: How a workbook writes characters that XML has no place for.
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
#: What to do about a workbook that cannot be read.
CSV = "Save the sheet as CSV UTF-8."
_NO_DATE = Doubt(
    kind="cells",
    says="there are dates of 0, as of a reference to an empty cell, which Excel shows as 1900-01-00: they are NULL",
    hint="if they are to have a date, correct them in the workbook",
)


def sheet_rows(sheet: Any) -> Iterator[tuple[int, dict[int, Cell]]]:
    """Each row's number, and its cells with a value by their places, counted from 0.

    The library's own iterator loses rows that come after a later one, or twice, and cells that do. Raises MalformedFile
    if rows do not come in order, or if it is not certain where a value belongs.
    """
    from openpyxl.worksheet._reader import WorkSheetParser

    book, last = sheet.parent, 0
    with closing(sheet._get_source()) as source:  # noqa: SLF001 - as its own iterator does it
        parser = WorkSheetParser(
            source,
            sheet._shared_strings,  # noqa: SLF001
            data_only=True,
            epoch=book.epoch,
            date_formats=book._date_formats,  # noqa: SLF001
            timedelta_formats=book._timedelta_formats,  # noqa: SLF001
        )
        for counted, cells in parser.parse():
            row: dict[int, Cell] = {}
            number = counted
            for cell in cells:
                value, at = cell["value"], cell["column"] - 1
                if value is None or value == "":
                    continue
                if not row:
                    number = cell["row"]
                if at in row or cell["row"] != number:
                    twice = f"cell {column_letters(at)}{number} stands in it twice"
                    other = f"row {number} has a cell of row {cell['row']}"
                    raise _disordered(twice if at in row else other, number)
                row[at] = cell
            if row and number <= last:
                raise _disordered(f"row {number} stands after row {last}", number)
            last = number if row else last
            yield number, row


def _disordered(says: str, number: int) -> MalformedFile:
    return MalformedFile(
        f"the rows of the sheet are not in order: {says}",
        line=number,
        hint=f"Correct the program that writes it; or open it, check that no row is missing, and save it again. {CSV}",
    )


class Table:
    """The table on one sheet: from the first header cell to the last one, and down."""

    def __init__(
        self,
        sheet: Any,
        options: ExcelOptions,
        limits: Limits,
        reserved: frozenset[str],
        kept: frozenset[str],
    ) -> None:
        self._sheet = sheet
        self._options = options
        self._limits = limits
        self._reserved, self._kept = reserved, kept
        self._styles: dict[int, Style] = {}  #: by their numbers in the workbook
        self._first = 0  #: place of the first column on the sheet
        self.header_row = 0
        self._names: tuple[str, ...] = ()
        self._paths: tuple[ColumnPath, ...] = ()
        self._texts: set[int] = set()  #: columns with a text cell that is more than a word, or a code
        self._numbers: set[int] = set()  #: columns with a number
        self._words: set[str] = (
            set()
        )  #: texts that are words; the workbook holds each of them in memory anyway
        self._after: list[dict[int, Cell]] = []  #: the rows that `footer_lines` leaves out
        self._values_in_header = 0  #: how many of its cells look like a row's
        self._has_no_date = False  #: whether a date is 0

    def batches(self) -> Iterator[TextBatch]:
        """The rows below the header; one batch without rows if there are none, nothing if there is no header."""
        rows: list[list[str | None]] = []
        is_first = True
        lines = self._lines()
        for number, cells in lines:
            if all(map(is_blank, cells.values())):
                continue
            self._take_header(number, cells)
            if self._options.columns:
                rows.append(self._row(number, cells))
            break
        else:
            if self._options.skip_lines or self._options.footer_lines:
                raise MalformedFile(
                    "there is no header in what `skip_lines` and `footer_lines` leave of the sheet",
                    hint="Correct these settings in the dataset, or send the file again.",
                )
            return
        for number, cells in lines:
            rows.append(self._row(number, cells))
            if len(rows) >= _ROWS or len(rows) * len(self._names) >= _CELLS:
                yield self._batch(rows)
                rows, is_first = [], False
        if rows or is_first:
            yield self._batch(rows)

    @property
    def quoted(self) -> set[tuple[str, str]]:
        """Columns with text that is more than a word, or a code; right at the end."""
        return {("", self._names[at]) for at in self._texts}

    @property
    def mixed(self) -> set[tuple[str, str]]:
        """Those of `quoted` that have numbers, too."""
        return {("", self._names[at]) for at in self._texts & self._numbers}

    def _lines(self) -> Iterator[tuple[int, dict[int, Cell]]]:
        """Rows with a value, and their numbers, without those that the options leave out."""
        held: deque[tuple[int, dict[int, Cell]]] = deque()
        for number, cells in sheet_rows(self._sheet):
            if number <= self._options.skip_lines or not cells:
                continue
            held.append((number, cells))
            while held[0][0] <= number - self._options.footer_lines:
                yield held.popleft()
                if not held:
                    break
        self._after.extend(cells for _, cells in held)

    def _take_header(self, number: int, cells: dict[int, Cell]) -> None:
        texts = {at: text for at, cell in cells.items() if (text := self._text(number, at, cell))}
        self._first, self.header_row = min(texts, default=0), number
        header = [texts.get(at, "") for at in range(self._first, max(texts, default=0) + 1)]
        if self._options.columns:
            self._first, header = 0, list(self._options.columns)
        else:
            self._values_in_header = sum(
                cells[at]["data_type"] != "s" or is_value(text) for at, text in texts.items()
            )
        if len(header) > self._limits.max_columns:
            raise MalformedFile(
                f"it has {len(header)} columns, more than {self._limits.max_columns}",
                hint="If the file is sound, raise max_columns.",
            )
        self._names = tuple(column_names(header, self._reserved, kept=self._kept))
        self._paths = tuple((name,) for name in header)
        self._texts.clear()
        self._numbers.clear()

    def _row(self, number: int, cells: dict[int, Cell]) -> list[str | None]:
        row: list[str | None] = [None] * len(self._names)
        for at, cell in cells.items():
            place = at - self._first
            if not 0 <= place < len(row):
                if is_blank(cell):
                    continue
                raise MalformedFile(
                    f"a value in column {column_letters(at)}, for which {self._header_is} has no name",
                    line=number,
                    hint="If the table begins further down, say so in the dataset as `excel: {skip_lines: N}`; else"
                    " give the column a name, or take out what stands beside the table.",
                )
            text = self._text(number, at, cell)
            row[place] = None if text is None or text.isspace() else text
        return row

    def _batch(self, rows: list[list[str | None]]) -> TextBatch:
        columns = zip(*rows, strict=True) if rows else [()] * len(self._names)
        try:
            arrays = [pa.array(column, pa.string()) for column in columns]
        except UnicodeEncodeError:
            raise MalformedFile("a cell is not Unicode text", hint=CSV) from None
        return TextBatch("", pa.RecordBatch.from_arrays(arrays, names=list(self._names)), self._paths)

    def _text(self, number: int, at: int, cell: Cell) -> str | None:
        """What a cell holds, as text; NULL for an error only if the dataset says so."""
        value = cell["value"]
        if cell["data_type"] == "e":
            if self._options.error_as_null:
                return None
            raise MalformedFile(
                f"column {column_letters(at)} has an error of Excel ({value})",
                line=number,
                hint="Correct it in the workbook, or say `excel: {errors: null}` in the dataset.",
            )
        if isinstance(value, dt.datetime):
            is_date = value.time() == dt.time() and not self._style(cell).shows_time
            return value.date().isoformat() if is_date else value.isoformat(" ")
        if isinstance(value, dt.time) and value == dt.time() and self._style(cell).shows_date:
            self._has_no_date = True
            return None
        if isinstance(value, str):
            if at - self._first not in self._texts and value not in self._words:
                if are_more_than_words([value]):
                    self._texts.add(at - self._first)
                else:
                    self._words.add(value)
            return _ESCAPED.sub(lambda escaped: chr(int(escaped[1], 16)), value) if "_x" in value else value
        text = written(value)
        if cell["style_id"] and text.isdigit() and (code := self._style(cell).code):
            self._texts.add(at - self._first)
            return shown(text, code)
        if type(value) in (int, float):
            self._numbers.add(at - self._first)
        return text

    def doubts(self) -> Iterator[Doubt]:
        """What may be wrong with the table; right at the end."""
        if self._values_in_header:
            yield header_doubt(self._values_in_header, len(self._names), "excel")
        if self._has_no_date:
            yield _NO_DATE
        if any(looks_like_row(self._values(cells), len(self._names)) for cells in self._after):
            yield lost_row("excel")

    def _values(self, cells: dict[int, Cell]) -> list[str]:
        places = range(self._first, self._first + len(self._names))
        return [str(cells[at]["value"]) if at in cells else "" for at in places]

    @property
    def _header_is(self) -> str:
        return "the dataset" if self._options.columns else f"the header in row {self.header_row}"

    def _style(self, cell: Cell) -> Style:
        number = cell["style_id"]
        if number not in self._styles:
            book = self._sheet.parent
            self._styles[number] = Style.of(number_format(book, book._cell_styles[number]))  # noqa: SLF001
        return self._styles[number]
