"""Excel workbooks (.xlsx, .xlsm) as batches of text, row by row, with the types that cells have."""

from __future__ import annotations

import datetime as dt
import functools
import re
import warnings
import zipfile
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any, NoReturn

import pyarrow as pa

from amci.kernel.errors import AmciError, MalformedFile
from amci.kernel.names import column_names, did_you_mean
from amci.lake.formats.columns import are_more_than_words
from amci.lake.formats.header import header_doubt, is_value
from amci.lake.formats.model import MIB, ColumnPath, Doubt, TextBatch
from amci.lake.formats.totals import looks_like_row, lost_row

if TYPE_CHECKING:
    from amci.lake.formats.model import ExcelOptions, Limits
    from amci.lake.formats.source import ByteSource

_ROWS, _CELLS = 20_000, 500_000
#: What a workbook has beside its sheets, mostly its texts, is held in memory.
_MOST_BESIDE = 256 * MIB
_PIECE = MIB
#: A formula with no value after it, but for those that give a text: whoever wrote the workbook did not calculate.
_UNCALCULATED = re.compile(
    rb'<(?:\w+:)?c\b(?![^<>]*\bt="str")[^<>]*>\s*<(?:\w+:)?f\b(?:[^<>]*/>|[^<>]*>[^<]*</(?:\w+:)?f>)\s*'
    rb"(?:<(?:\w+:)?v\s*/>|<(?:\w+:)?v>\s*</(?:\w+:)?v>)?\s*</(?:\w+:)?c>"
)
_MERGED_CELLS = re.compile(rb'<(?:\w+:)?mergeCell\b[^<>]*\bref="[A-Z]+\d+:[A-Z]+(\d+)"')
_END_OF_ROW = re.compile(rb"</(?:\w+:)?row>")
_LONGEST_MATCH = 4096
#: What a number format has besides its letters: texts, escapes, and colours or languages.
_NO_LETTERS = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?![hms]+\])[^\]]*\]', re.IGNORECASE)
_INTEGERS = 10**15  #: doubles below are exact if they are whole
#: The number format of a code such as 01234 or 012-34: two zeros or more, and what else stands in it.
_LITERAL = r'(?:[- ]|"[^"]*"|\\.)'
_CODE = re.compile(rf"(?:\[\$-[^\]]*\])?({_LITERAL}*00(?:0|{_LITERAL})*)(?:;.*)?", re.DOTALL)
_PARTS = re.compile(r'"[^"]*"|\\.|.', re.DOTALL)
_Cell = dict[str, Any]  #: the parser's: its row and column from 1, its value, data_type and style_id
#: Of a sheet that is not read so many rows are looked at; with so many filled ones, a header and a row, it is a table.
_LOOKED_AT, _LEAST = 1000, 2
#: Sheets named in a sentence.
_NAMED = 5
#: How a workbook writes characters that XML has no place for.
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_CSV = "Save the sheet as CSV UTF-8."
#: The namespace of workbooks that are saved as Strict Open XML, which the library takes for empty.
_STRICT = b"purl.oclc.org/ooxml/spreadsheetml"
_WORKBOOK, _FEW_BYTES = "xl/workbook.xml", 4096
#: Number formats that a workbook may use by number alone, and the library does not know: those of East Asia and of
#: Thailand. What they show depends on the language of the program; all of them are dates or times.
_REGIONAL = (
    dict.fromkeys((*range(27, 37), *range(50, 59), 71, 72, 73, 74), "yyyy-mm-dd")
    | dict.fromkeys((32, 33, 75, 76, 78, 80), "h:mm:ss")
    | {77: "yyyy-mm-dd h:mm", 79: "[h]:mm:ss"}
)
_CUSTOM = 164  #: from it on, a number is that of a format in the workbook
#: A number format up to the `;` that ends its part for some numbers, and how it says for which ones.
_SECTION = re.compile(r'((?:"[^"]*"?|\\.|[^;"\\])*)(?:;|$)', re.DOTALL)
_DATE_LETTER = re.compile(r"[dmhys]")
_ELAPSED = re.compile(r"\[(?:h+|m+|s+)\]")
_CONDITION = re.compile(r"\[[<>=]")
_NO_DATE = Doubt(
    kind="cells",
    says="there are dates of 0, as of a reference to an empty cell, which Excel shows as 1900-01-00: they are NULL",
    hint="if they are to have a date, correct them in the workbook",
)
_MERGED = Doubt(
    kind="cells",
    says="there are merged cells below the header: only the first of them has the value, the others are NULL",
    hint="unmerge them in the workbook, and fill them",
)


def excel_batches(
    source: ByteSource,
    options: ExcelOptions,
    limits: Limits,
    reserved: frozenset[str],
    quoted: set[tuple[str, str]],
    mixed: set[tuple[str, str]],
    guessed: dict[str, str],
    doubts: list[Doubt],
    *,
    kept: frozenset[str] = frozenset(),
) -> Iterator[TextBatch]:
    """The rows of one sheet below its header; one batch without rows if there are none.

    Numbers are the shortest text that reads back equal, whole ones without a point; those that the number format
    shows as a code, such as `00000`, are what it shows. Dates and times are ISO; booleans `true` and `false`. `_x000D_`
    and its like are the characters they stand for. Empty cells, empty text and blanks are NULL; rows without any value
    are left out. Columns that have text other than words, or a code, go into `quoted`, and into `mixed` if they have
    numbers, too; the sheet goes into `guessed` if there are several to choose from.
    Raises MalformedFile with the row of the sheet, StorageError.
    """
    for _ in source.raw():
        pass
    try:
        import openpyxl
    except ModuleNotFoundError:
        raise MalformedFile(
            "this is an Excel workbook, and amci was installed without the reader for them",
            hint="Run `pip install 'amci[excel]'`, then `amci redrive`; or save it as CSV UTF-8.",
        ) from None
    # It warns of what it does not keep, such as charts; nothing here writes a workbook.
    warnings.filterwarnings("ignore", module="openpyxl")
    try:
        with zipfile.ZipFile(source.seekable()) as archive:
            _check_size(archive, source.count, limits)
            _check_not_strict(archive)
            reader = openpyxl.reader.excel.ExcelReader(
                source.seekable(), read_only=True, data_only=True, keep_links=False
            )
            reader.read_strings = functools.partial(_read_texts, reader)
            reader.read()
            with closing(reader.wb) as book:
                _mark_dates(book)
                sheet = _sheet(book, options, guessed)
                merged = _check_cells(archive, sheet._worksheet_path, limits)  # noqa: SLF001 - its only name for it
                table = _Table(sheet, options, limits, reserved, kept)
                yield from table.batches()
                quoted |= table.quoted
                mixed |= table.mixed
                others = _others(book, sheet) if options.sheet is None else []
                doubts += table.doubts()
            if not table.header_row and "sheet" in guessed:
                _refuse_empty(guessed["sheet"])
            if merged > table.header_row:
                doubts.append(_MERGED)
            if others:
                doubts.append(
                    Doubt(
                        kind="sheet",
                        says=f"of its sheets only '{sheet.title}' was read; others have rows, too: {_listed(others)}",
                        hint="name the one to read in the dataset as `excel: {sheet: …}`, `1` for the first",
                    )
                )
    except AmciError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno:
            raise source.unreadable(error) from error
        raise MalformedFile(
            "it is not a sound Excel workbook", hint=f"Open and save it again. {_CSV}"
        ) from error


def _check_size(archive: zipfile.ZipFile, compressed: int, limits: Limits) -> None:
    parts = archive.infolist()
    limits.check_expanded(sum(part.file_size for part in parts), compressed)
    beside = sum(part.file_size for part in parts if not part.filename.startswith("xl/worksheets/"))
    if beside > _MOST_BESIDE:
        raise MalformedFile(f"the workbook has more than {_MOST_BESIDE} bytes of texts", hint=_CSV)


def _check_not_strict(archive: zipfile.ZipFile) -> None:
    with archive.open(_WORKBOOK) as file:
        if _STRICT in file.read(_FEW_BYTES):
            raise MalformedFile(
                "it is a workbook of the kind Strict Open XML, which amci does not read",
                hint=f"Save it as `Excel Workbook (*.xlsx)`, not as `Strict Open XML Spreadsheet`. Or: {_CSV}",
            )


def _read_texts(reader: Any) -> None:
    """What the library's method of that name does, but for its leaving out `x005F_` wherever that stands."""
    from openpyxl.cell.text import Text
    from openpyxl.xml.constants import SHARED_STRINGS, SHEET_MAIN_NS
    from openpyxl.xml.functions import iterparse

    part = reader.package.find(SHARED_STRINGS)
    if part is not None:
        with reader.archive.open(part.PartName[1:]) as file:
            for _, node in iterparse(file):
                if node.tag == f"{{{SHEET_MAIN_NS}}}si":
                    reader.shared_strings.append(Text.from_tree(node).content)
                    node.clear()


def _number_format(book: Any, style: Any) -> str:
    from openpyxl.styles.numbers import BUILTIN_FORMATS

    number = style.numFmtId
    if number >= _CUSTOM:
        return str(book._number_formats[number - _CUSTOM])  # noqa: SLF001
    return str(BUILTIN_FORMATS.get(number) or _REGIONAL.get(number, "General"))


def _mark_dates(book: Any) -> None:
    """Tell the library which styles are dates; it knows few of the formats, and looks at the first section of each."""
    formats = [_number_format(book, style) for style in book._cell_styles]  # noqa: SLF001
    styles = {each: _Style.of(each) for each in set(formats)}
    book._date_formats = {n for n, each in enumerate(formats) if styles[each].is_date}  # noqa: SLF001
    book._timedelta_formats = {n for n, each in enumerate(formats) if styles[each].is_elapsed}  # noqa: SLF001


def _dated(number_format: str) -> str:
    """What dates are shown by, without texts and the like: the first section, unless that is for some numbers only."""
    sections = _SECTION.findall(number_format)
    bare = [_NO_LETTERS.sub("", each).lower() for each in sections]
    found = bare if _CONDITION.search(sections[0]) else bare[:1]
    return next((each for each in found if _DATE_LETTER.search(each)), bare[0])


def _sheet(book: Any, options: ExcelOptions, guessed: dict[str, str]) -> Any:
    """The sheet that the options name; by number, those that are hidden do not count."""
    seen = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
    if isinstance(options.sheet, str):
        names = {sheet.title: sheet for sheet in book.worksheets}
        if options.sheet in names:
            return names[options.sheet]
        raise MalformedFile(
            f"there is no sheet '{options.sheet}'{did_you_mean(options.sheet, names)}",
            hint="Correct `excel: {sheet: …}` in the dataset.",
        )
    number = options.sheet or 1
    if not book.worksheets:
        raise MalformedFile(
            "it has no sheet that amci can read",
            hint=f"Save it as `Excel Workbook (*.xlsx)`. Or: {_CSV}",
        )
    if number > len(seen):
        raise MalformedFile(
            f"there is no sheet {number}: it has {len(seen)} that can be seen",
            hint="Name the sheet in the dataset as `excel: {sheet: …}`.",
        )
    found = seen[number - 1]
    if len(seen) > 1 and number == 1:
        guessed["sheet"] = found.title
    return found


def _others(book: Any, sheet: Any) -> list[str]:
    """The names of other sheets that can be seen and have a header and a row."""
    return [
        each.title
        for each in book.worksheets
        if each is not sheet and each.sheet_state == "visible" and _has_rows(each)
    ]


def _has_rows(sheet: Any) -> bool:
    try:
        filled = (cells for _, cells in islice(_rows(sheet), _LOOKED_AT) if cells)
        return len(list(islice(filled, _LEAST))) == _LEAST
    except Exception:  # noqa: BLE001 - it is not read, so its faults do not count
        return False


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(f"'{name}'" for name in names[:_NAMED]) + more


def _refuse_empty(sheet: str) -> NoReturn:
    raise MalformedFile(
        f"sheet '{sheet}' is empty, and there are others",
        hint="Name the one to read in the dataset as `excel: {sheet: …}`.",
    )


def _check_cells(archive: zipfile.ZipFile, path: str, limits: Limits) -> int:
    """The last row with merged cells, 0 if there are none.

    Raises MalformedFile for what the library would not tell: formulas without values, and endless rows.
    """
    held, since, merged = b"", 0, 0
    with archive.open(path) as file:
        while piece := file.read(_PIECE):
            text = held + piece
            if _UNCALCULATED.search(text):
                raise MalformedFile(
                    "there are formulas in it that were never calculated",
                    hint="Open it in a spreadsheet program and save it; then it has their values.",
                )
            ends = [-since, *(found.end() for found in _END_OF_ROW.finditer(piece)), len(piece)]
            if max(end - begin for begin, end in pairwise(ends)) > limits.max_line_bytes:
                raise MalformedFile(
                    f"a row is longer than {limits.max_line_bytes} bytes",
                    hint="If the file is sound, raise max_line_bytes.",
                )
            since = ends[-1] - ends[-2]
            merged = max(merged, *(int(found[1]) for found in _MERGED_CELLS.finditer(text)), 0)
            held = text[-_LONGEST_MATCH:]
    return merged


def _rows(sheet: Any) -> Iterator[tuple[int, dict[int, _Cell]]]:
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
            row: dict[int, _Cell] = {}
            number = counted
            for cell in cells:
                value, at = cell["value"], cell["column"] - 1
                if value is None or value == "":
                    continue
                if not row:
                    number = cell["row"]
                if at in row or cell["row"] != number:
                    twice = f"cell {_letters(at)}{number} stands in it twice"
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
        hint=f"Correct the program that writes it; or open it, check that no row is missing, and save it again. {_CSV}",
    )


class _Table:
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
        self._styles: dict[int, _Style] = {}  #: by their numbers in the workbook
        self._first = 0  #: place of the first column on the sheet
        self.header_row = 0
        self._names: tuple[str, ...] = ()
        self._paths: tuple[ColumnPath, ...] = ()
        self._texts: set[int] = set()  #: columns with a text cell that is more than a word, or a code
        self._numbers: set[int] = set()  #: columns with a number
        self._words: set[str] = (
            set()
        )  #: texts that are words; the workbook holds each of them in memory anyway
        self._after: list[dict[int, _Cell]] = []  #: the rows that `footer_lines` leaves out
        self._values_in_header = 0  #: how many of its cells look like a row's
        self._has_no_date = False  #: whether a date is 0

    def batches(self) -> Iterator[TextBatch]:
        rows: list[list[str | None]] = []
        is_first = True
        lines = self._lines()
        for number, cells in lines:
            if all(map(_is_blank, cells.values())):
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

    def _lines(self) -> Iterator[tuple[int, dict[int, _Cell]]]:
        """Rows with a value, and their numbers, without those that the options leave out."""
        held: deque[tuple[int, dict[int, _Cell]]] = deque()
        for number, cells in _rows(self._sheet):
            if number <= self._options.skip_lines or not cells:
                continue
            held.append((number, cells))
            while held[0][0] <= number - self._options.footer_lines:
                yield held.popleft()
                if not held:
                    break
        self._after.extend(cells for _, cells in held)

    def _take_header(self, number: int, cells: dict[int, _Cell]) -> None:
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

    def _row(self, number: int, cells: dict[int, _Cell]) -> list[str | None]:
        row: list[str | None] = [None] * len(self._names)
        for at, cell in cells.items():
            place = at - self._first
            if not 0 <= place < len(row):
                if _is_blank(cell):
                    continue
                raise MalformedFile(
                    f"a value in column {_letters(at)}, for which {self._header_is} has no name",
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
            raise MalformedFile("a cell is not Unicode text", hint=_CSV) from None
        return TextBatch("", pa.RecordBatch.from_arrays(arrays, names=list(self._names)), self._paths)

    def _text(self, number: int, at: int, cell: _Cell) -> str | None:
        """What a cell holds, as text; NULL for an error only if the dataset says so."""
        value = cell["value"]
        if cell["data_type"] == "e":
            if self._options.error_as_null:
                return None
            raise MalformedFile(
                f"column {_letters(at)} has an error of Excel ({value})",
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
        text = _written(value)
        if cell["style_id"] and text.isdigit() and (code := self._style(cell).code):
            self._texts.add(at - self._first)
            return _shown(text, code)
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

    def _values(self, cells: dict[int, _Cell]) -> list[str]:
        places = range(self._first, self._first + len(self._names))
        return [str(cells[at]["value"]) if at in cells else "" for at in places]

    @property
    def _header_is(self) -> str:
        return "the dataset" if self._options.columns else f"the header in row {self.header_row}"

    def _style(self, cell: _Cell) -> _Style:
        number = cell["style_id"]
        if number not in self._styles:
            book = self._sheet.parent
            self._styles[number] = _Style.of(_number_format(book, book._cell_styles[number]))  # noqa: SLF001
        return self._styles[number]


@dataclass(frozen=True, slots=True)
class _Style:
    """What a number format shows."""

    is_date: bool  #: or a time
    is_elapsed: bool  #: whether its hours may be more than a day has
    shows_date: bool  #: whether it has a day, a month or a year
    shows_time: bool  #: whether it has a time of day
    code: tuple[str | None, ...]  #: the parts of a code, None for each digit; empty if it does not show one

    @classmethod
    def of(cls, number_format: str) -> _Style:
        """The style with this number format."""
        letters = _dated(number_format)
        shows_time = "h" in letters or "s" in letters
        code = _CODE.fullmatch(number_format)
        parts = _PARTS.finditer(code[1]) if code else ()
        return cls(
            is_date=_DATE_LETTER.search(letters) is not None,
            is_elapsed=_ELAPSED.search(letters) is not None,
            shows_date="d" in letters or "y" in letters or ("m" in letters and not shows_time),
            shows_time=shows_time,
            code=tuple(None if part[0] == "0" else part[0].strip('"').removeprefix("\\") for part in parts),
        )


def _is_blank(cell: _Cell) -> bool:
    """Whether nothing of it can be seen."""
    return isinstance(cell["value"], str) and not cell["value"].strip()


def _shown(digits: str, code: tuple[str | None, ...]) -> str:
    """A whole number as a code: filled up with zeros; digits that are too many stand before the others."""
    size = code.count(None)
    filled = digits.zfill(size)
    more = len(filled) - size
    given = iter((filled[: more + 1], *filled[more + 1 :]))
    return "".join(next(given) if part is None else part for part in code)


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        is_whole = value.is_integer() and abs(value) < _INTEGERS
        return str(int(value)) if is_whole else repr(value)
    if isinstance(value, dt.timedelta):
        return _hours(value)
    return value.isoformat() if isinstance(value, (dt.date, dt.time)) else str(value)


def _hours(value: dt.timedelta) -> str:
    """Hours, minutes and seconds, as the format `[h]:mm:ss` shows them."""
    seconds, part = divmod(abs(value) // dt.timedelta(microseconds=1), 1_000_000)
    sign, fraction = "-" if value < dt.timedelta() else "", f".{part:06}" if part else ""
    return f"{sign}{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}{fraction}"


def _letters(at: int) -> str:
    """The name that Excel gives a column, from 0: A to Z, AA and so on."""
    name = ""
    while at >= 0:
        at, digit = divmod(at, 26)
        name, at = chr(ord("A") + digit) + name, at - 1
    return name
