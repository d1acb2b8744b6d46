"""Excel workbooks (.xlsx, .xlsm) as batches of text, row by row, with the types that cells have."""

from __future__ import annotations

import functools
import re
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any, NoReturn

from amci.kernel.errors import AmciError, MalformedFile
from amci.kernel.names import did_you_mean
from amci.lake.formats.excel_cells import mark_dates
from amci.lake.formats.excel_table import CSV, Table, sheet_rows
from amci.lake.formats.model import MIB, Doubt

if TYPE_CHECKING:
    from amci.lake.formats.model import ExcelOptions, Limits, TextBatch
    from amci.lake.formats.source import ByteSource

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
#: Of a sheet that is not read so many rows are looked at; with so many filled ones, a header and a row, it is a table.
_LOOKED_AT, _LEAST = 1000, 2
#: Sheets named in a sentence.
_NAMED = 5
#: The namespace of workbooks that are saved as Strict Open XML, which the library takes for empty.
_STRICT = b"purl.oclc.org/ooxml/spreadsheetml"
_WORKBOOK, _FEW_BYTES = "xl/workbook.xml", 4096
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
                mark_dates(book)
                sheet = _sheet(book, options, guessed)
                merged = _check_cells(archive, sheet._worksheet_path, limits)  # noqa: SLF001 - its only name for it
                table = Table(sheet, options, limits, reserved, kept)
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
            "it is not a sound Excel workbook", hint=f"Open and save it again. {CSV}"
        ) from error


def _check_size(archive: zipfile.ZipFile, compressed: int, limits: Limits) -> None:
    parts = archive.infolist()
    limits.check_expanded(sum(part.file_size for part in parts), compressed)
    beside = sum(part.file_size for part in parts if not part.filename.startswith("xl/worksheets/"))
    if beside > _MOST_BESIDE:
        raise MalformedFile(f"the workbook has more than {_MOST_BESIDE} bytes of texts", hint=CSV)


def _check_not_strict(archive: zipfile.ZipFile) -> None:
    with archive.open(_WORKBOOK) as file:
        if _STRICT in file.read(_FEW_BYTES):
            raise MalformedFile(
                "it is a workbook of the kind Strict Open XML, which amci does not read",
                hint=f"Save it as `Excel Workbook (*.xlsx)`, not as `Strict Open XML Spreadsheet`. Or: {CSV}",
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
            hint=f"Save it as `Excel Workbook (*.xlsx)`. Or: {CSV}",
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
        filled = (cells for _, cells in islice(sheet_rows(sheet), _LOOKED_AT) if cells)
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
