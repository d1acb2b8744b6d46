"""Excel workbooks: cells keep their types, and what cannot be read truly is refused."""

from __future__ import annotations

import datetime as dt
import io
import re
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from amci.kernel.errors import MalformedFile
from amci.lake.formats import ExcelOptions, FileFormat, Limits, Reading, excel_table


def book(*sheets: list[list[Any]], change: Callable[[Any], None] | None = None) -> bytes:
    made = openpyxl.Workbook()
    made.remove(made.active)
    for number, rows in enumerate(sheets, start=1):
        sheet = made.create_sheet(f"Sheet {number}")
        for row in rows:
            sheet.append(row)
    if change:
        change(made)
    file = io.BytesIO()
    made.save(file)
    return file.getvalue()


def changed(content: bytes, *pairs: tuple[bytes, bytes], part: str = "xl/worksheets/sheet1.xml") -> bytes:
    """The workbook with other bytes in one of its parts."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            text = old.read(name)
            for before, after in pairs if name == part else ():
                assert before in text
                text = text.replace(before, after)
            new.writestr(name, text)
    return file.getvalue()


def opened(content: bytes, folder: Path, **options: Any) -> tuple[list[dict[str, str | None]], Reading]:
    path = folder / "book.xlsx"
    path.write_bytes(content)
    limits = options.pop("limits", None)
    with Reading(
        path, FileFormat.EXCEL, is_guess=True, excel=ExcelOptions(**options), limits=limits
    ) as reading:
        return [row for batch in reading.batches() for row in batch.data.to_pylist()], reading


def rows(content: bytes, folder: Path, **options: Any) -> list[dict[str, str | None]]:
    return opened(content, folder, **options)[0]


NOON = dt.datetime(2026, 1, 2, 12)  # noqa: DTZ001 - a workbook knows no zones
MIDNIGHT = dt.datetime(2026, 1, 2)  # noqa: DTZ001


@pytest.mark.parametrize(
    ("value", "number_format", "text"),
    [
        ("007", "", "007"),
        ("1.50", "", "1.50"),
        ("ä \n", "", "ä \n"),
        (7, "", "7"),
        (7.0, "", "7"),
        (-0.5, "", "-0.5"),
        (0.1 + 0.2, "", "0.3"),
        (12345678901234, "", "12345678901234"),
        (1e300, "", "1e+300"),
        (0.125, "0.0%", "0.125"),
        (1234, "00000", "01234"),
        (1234.0, "[$-407]00000;@", "01234"),
        (123456789, "00000", "123456789"),
        (12345678, r"000\-00\-0000", "012-34-5678"),
        (10123456789, "00000-0000", "1012345-6789"),
        (7, 'No "0"00', "7"),
        (7, '"No ""0"\\000 00', "No 0000 07"),
        (7, '"A"""00', "A07"),
        (-7, "00000", "-7"),
        (7.5, "00000", "7.5"),
        (True, "00000", "true"),
        (7, "0", "7"),
        (7, "0.00", "7"),
        (1234, "#,##000", "1234"),
        (MIDNIGHT, "00000", "46024"),
        (True, "", "true"),
        (False, "", "false"),
        (MIDNIGHT.date(), "", "2026-01-02"),
        (MIDNIGHT, 'dd.mm.yyyy "h"', "2026-01-02"),
        (MIDNIGHT, "yyyy-mm-dd hh:mm", "2026-01-02 00:00:00"),
        (NOON, "", "2026-01-02 12:00:00"),
        (NOON, "[$-409]d-mmm-yy", "2026-01-02 12:00:00"),
        (dt.time(3, 4), "", "03:04:00"),
        (dt.timedelta(hours=30, seconds=5), "", "30:00:05"),
        (MIDNIGHT, '[=0]"";yyyy\\-mm\\-dd', "2026-01-02"),
        (dt.timedelta(hours=30), "[=0]0;[h]:mm", "30:00:00"),
        (7, '"USD;"0', "7"),
        (7, "0*d", "7"),
        (0, "yyyy-mm-dd", None),
        (0, "yyyy-mm-dd h:mm", None),
        (0, "mmm", None),
        (0, "h:mm", "00:00:00"),
        (0.25, "yyyy-mm-dd", "06:00:00"),
        (None, "", None),
        ("", "", None),
    ],
)
def test_a_cell_is_the_text_that_it_holds(
    value: object, number_format: str, text: str | None, tmp_path: Path
) -> None:
    def formatted(made: Any) -> None:
        if number_format:
            made["Sheet 1"]["A2"].number_format = number_format

    assert rows(book([["a", "b"], [value, "x"]], change=formatted), tmp_path) == [{"a": text, "b": "x"}]


def test_a_column_with_a_text_cell_is_text_unless_that_is_a_word(tmp_path: Path) -> None:
    header = ["id", "n", "mixed", "word"]
    rows, reading = opened(
        book([header, ["007", 1, 1, 1], ["008", 2, "x1", "-"], ["9", 3, 4, " "]]), tmp_path
    )
    assert rows[-1]["word"] is None
    assert reading.quoted == {("", "id"), ("", "mixed")}
    assert reading.mixed == {("", "mixed")}
    assert (reading.may_add_columns, reading.guessed, reading.doubts) == (False, {}, [])
    assert len(reading.sha256) == 64


def test_a_column_with_a_code_is_text(tmp_path: Path) -> None:
    def formatted(made: Any) -> None:
        for row in (2, 3):
            made["Sheet 1"][f"B{row}"].number_format = "00000"

    _, reading = opened(book([["n", "zip"], [1, 1234], [2, 99999]], change=formatted), tmp_path)
    assert reading.quoted == {("", "zip")}


@pytest.mark.parametrize(
    ("number", "value", "text"),
    [
        *((number, 46327, "2026-11-01") for number in (27, 31, 34, 36, 50, 58, 71)),
        (77, 46327, "2026-11-01 00:00:00"),
        (31, 46327.5, "2026-11-01 12:00:00"),
        (31, 0, None),
        *((number, 0.5, "12:00:00") for number in (32, 33, 55, 75)),
        (32, 0, "00:00:00"),
        (79, 1.25, "30:00:00"),
        (59, 46327, "46327"),
    ],
)
def test_dates_by_number_formats_of_asia_are_dates(
    number: int, value: float, text: str | None, tmp_path: Path
) -> None:
    def formatted(made: Any) -> None:
        made["Sheet 1"]["A2"].number_format = "0.000"

    content = book([["a"], [value], ["x"]], change=formatted)
    styled = changed(
        content, (b'numFmtId="164" fontId', b'numFmtId="%d" fontId' % number), part="xl/styles.xml"
    )
    found, reading = opened(styled, tmp_path)
    assert found[0] == {"a": text} if text else found == [{"a": None}, {"a": "x"}]
    assert [doubt.says[-12:] for doubt in reading.doubts] == ([] if text else ["they are NULL"[-12:]])


@pytest.mark.parametrize(
    ("first", "values"),
    [
        (["US", 5, 1.5], 2),
        (["Widget", 12, MIDNIGHT], 2),
        (["Widget", True], 1),
        (["a", "10.0.0.1", None, "2026"], 2),
        (["a", "b"], 0),
    ],
)
def test_a_header_that_looks_like_a_row_is_told(first: list[Any], values: int, tmp_path: Path) -> None:
    content = book([first, ["DE", 6, 2.5, 1][: len(first)]])
    doubts = opened(content, tmp_path)[1].doubts
    assert [(doubt.kind, doubt.says) for doubt in doubts if "looks" in doubt.says] == (
        [
            (
                "header",
                f"its header looks like a row: {values} of {len(first)} names are numbers, dates or addresses",
            )
        ]
        if values
        else []
    )
    if values:
        assert "excel: {columns: […]}" in doubts[0].hint
        names = ("w", "x", "y", "z")[: len(first)]
        found, reading = opened(content, tmp_path, columns=names)
        assert [list(row) for row in found] == [list(names)] * 2
        assert (found[0]["w"], found[1]["w"]) == (first[0], "DE")
        assert reading.doubts == []


def test_named_columns_are_all_there_are(tmp_path: Path) -> None:
    content = book([[None, 2], [3, 4]])
    assert rows(content, tmp_path, columns=("a", "b")) == [{"a": None, "b": "2"}, {"a": "3", "b": "4"}]
    with pytest.raises(MalformedFile, match="a value in column B, for which the dataset has no name"):
        rows(content, tmp_path, columns=("a",))
    with pytest.raises(ValueError, match="names that differ"):
        ExcelOptions(columns=("a", "a"))


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (b"_x005F_x000D_", "_x000D_"),
        (b"ABx005F_9", "ABx005F_9"),
        (b"_x005F_x005F_", "_x005F_"),
        (b"a_x0009_b", "a\tb"),
    ],
)
def test_escapes_are_read_once(written: bytes, text: str, tmp_path: Path) -> None:
    inline = b'<c r="A2" t="inlineStr"><is><t>text</t></is></c>'
    content = changed(book([["a"], ["text"]]), (b"<t>text</t>", b"<t>%b</t>" % written))
    shared = changed(book([["a"], ["text"]]), (inline, b'<c r="A2" t="s"><v>1</v></c>'))
    shared = changed(
        shared,
        (
            b"</Types>",
            (
                b'<Override PartName="/xl/sharedStrings.xml" ContentType="application/vnd.openxmlformats-office'
                b'document.spreadsheetml.sharedStrings+xml"/></Types>'
            ),
        ),
        part="[Content_Types].xml",
    )
    file = io.BytesIO(shared)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(
            "xl/sharedStrings.xml",
            b'<sst xmlns="%b"><si><t>no</t></si><si><r><t>%b</t></r></si></sst>' % (_MAIN[0], written),
        )
    for each in (content, file.getvalue()):
        assert rows(each, tmp_path) == [{"a": text}]


@pytest.mark.parametrize(
    "sheet", [[["a", "b"], [1, 2, " "]], [["\u00a0"], ["a", "b"], [1, 2]], [[None, "a", "b"], [" ", 1, 2]]]
)
def test_what_cannot_be_seen_outside_of_the_table_is_nothing(sheet: list[list[Any]], tmp_path: Path) -> None:
    assert rows(book(sheet), tmp_path) == [{"a": "1", "b": "2"}]


def with_rows(*rows_there: str) -> bytes:
    """A workbook with these rows in XML; `A2=5` stands for a cell, `=5` for one that does not say where it is."""
    cells = re.sub(r"([A-Z]*\d*)=(\d+)", r'<c r="\1"><v>\2</v></c>', "".join(rows_there)).replace(' r=""', "")
    return changed(EMPTY, (b"</sheetData>", f"{cells}</sheetData>".encode()))


EMPTY = book([])
HEAD = '<row r="1">A1=71 B1=72</row>'


@pytest.mark.parametrize(
    ("below", "expected"),
    [
        (['<row r="2">B2=2 A2=1</row>', '<row r="3">B3=4 A3=3</row>'], [["1", "2"], ["3", "4"]]),
        (["<row>=1 =2</row>", "<row>A3=3 B3=4</row>"], [["1", "2"], ["3", "4"]]),
        (
            ["<row>A5=1 B5=2</row>", '<row r="2"/>', '<row r="90000">B90000=4</row>'],
            [["1", "2"], [None, "4"]],
        ),
        (['<row r="3">A3=1 B3=2</row>', '<row r="2">A2=3 B2=4</row>'], "row 2 stands after row 3"),
        (['<row r="2">A2=1 B2=2</row>', '<row r="2">A2=3 B2=4</row>'], "row 2 stands after row 2"),
        (['<row r="2">A2=1 B2=2 A2=3</row>'], "cell A2 stands in it twice"),
        (['<row r="2">A2=1 B3=2</row>'], "row 2 has a cell of row 3"),
    ],
)
def test_no_row_and_no_cell_is_lost_that_is_not_in_order(
    below: list[str], expected: list[list[str | None]] | str, tmp_path: Path
) -> None:
    content = with_rows(HEAD, *below)
    if isinstance(expected, list):
        assert [list(row.values()) for row in rows(content, tmp_path)] == expected
    else:
        with pytest.raises(MalformedFile, match=expected) as refused:
            rows(content, tmp_path)
        assert refused.value.line


def test_the_table_begins_at_its_first_header_cell(tmp_path: Path) -> None:
    content = book(
        [[], [None, "Total Sales", None, "Total Sales"], [], [None, 1, 2, 3], [None, None, None, 4]]
    )
    assert rows(content, tmp_path) == [
        {"total_sales": "1", "unnamed": "2", "total_sales_2": "3"},
        {"total_sales": None, "unnamed": None, "total_sales_2": "4"},
    ]


@pytest.mark.parametrize(
    ("sheet", "options", "expected"),
    [
        (
            [["Report", "May"], [], ["a", "b", "c"], [1, 2, 3], ["sum", 2], []],
            {"skip_lines": 2, "footer_lines": 1},
            [3],
        ),
        ([["a", "b", "c"], [1, 2, 3], [4, 5, 6], [], ["sum", "#REF!"]], {"footer_lines": 2}, [3, 6]),
        ([["a", "b", "c"]], {}, []),
        ([["a", "b", "c"], ["sum"]], {"footer_lines": 1}, []),
    ],
)
def test_rows_around_the_table_are_left_out(
    sheet: list[list[Any]], options: dict[str, int], expected: list[int], tmp_path: Path
) -> None:
    assert [row["c"] for row in rows(book(sheet), tmp_path, **options)] == list(map(str, expected))


def hide_first(made: Any) -> None:
    made["Sheet 1"].sheet_state = "hidden"


@pytest.mark.parametrize(
    ("sheet", "change", "expected"),
    [
        (None, None, "1"),
        (1, None, "1"),
        (2, None, "2"),
        ("Sheet 2", None, "2"),
        (1, hide_first, "2"),
        ("Sheet 1", hide_first, "1"),
    ],
)
def test_the_sheet_is_the_first_that_can_be_seen_or_the_named_one(
    sheet: int | str | None, change: Callable[[Any], None] | None, expected: str, tmp_path: Path
) -> None:
    content = book([["a"], [1]], [["a"], [2]], change=change)
    found, reading = opened(content, tmp_path, sheet=sheet)
    assert found == [{"a": expected}]
    assert reading.guessed == ({"sheet": "Sheet 1"} if sheet in (1, None) and not change else {})
    told = "of its sheets only 'Sheet 1' was read; others have rows, too: 'Sheet 2'"
    assert [doubt.says for doubt in reading.doubts] == ([told] if sheet is None else [])


@pytest.mark.parametrize(
    ("rows_there", "is_hidden"), [([["note"]], False), ([["a"], [2]], True), ([], False)]
)
def test_sheets_that_are_hidden_or_have_no_table_are_not_told_of(
    rows_there: list[list[Any]], is_hidden: bool, tmp_path: Path
) -> None:
    def hide(made: Any) -> None:
        made["Sheet 2"].sheet_state = "hidden" if is_hidden else "visible"

    assert opened(book([["a"], [1]], rows_there, change=hide), tmp_path)[1].doubts == []


def test_characters_that_xml_has_no_place_for_are_read(tmp_path: Path) -> None:
    assert rows(book([["a_x000D_\nb", "c"], ["x_x000d_y", "_xyz_"]]), tmp_path) == [
        {"a_b": "x\ry", "c": "_xyz_"}
    ]


def test_what_a_sheet_says_of_its_size_is_not_believed(tmp_path: Path) -> None:
    content = changed(
        book([["a", "b"], [1, 2], [3, 4]]), (b'<dimension ref="A1:B3"', b'<dimension ref="A1:A2"')
    )
    assert rows(content, tmp_path) == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]


SIMPLE = book([["a", "b"], [1, 2]])
_RELATIONSHIPS = (
    b"http://schemas.openxmlformats.org/officeDocument/2006/relationships",
    b"http://purl.oclc.org/ooxml/officeDocument/relationships",
)
_MAIN = (
    b"http://schemas.openxmlformats.org/spreadsheetml/2006/main",
    b"http://purl.oclc.org/ooxml/spreadsheetml/main",
)
STRICT = changed(
    changed(SIMPLE, _RELATIONSHIPS, _MAIN, part="xl/workbook.xml"),
    _RELATIONSHIPS,
    part="xl/_rels/workbook.xml.rels",
)


@pytest.mark.parametrize(
    ("content", "options", "line", "says", "hint"),
    [
        (
            book([["a", "b"], [1, 2], [3, "#REF!"]]),
            {},
            3,
            "column B has an error of Excel (#REF!)",
            "errors: null",
        ),
        (book([["a", "#N/A"], [1, 2]]), {}, 1, "column B has an error of Excel", "errors: null"),
        (book([["a", "b"], [1, "=A2+1"]]), {}, None, "formulas in it that were never calculated", "save it"),
        (book([["R", "x"], ["a", "b", "c"]]), {}, 2, "a value in column C", "skip_lines"),
        (book([[None, "a"], ["x", "b"]]), {}, 2, "a value in column A", "skip_lines"),
        (SIMPLE, {"sheet": "Shet 1"}, None, "no sheet 'Shet 1' (did you mean 'Sheet 1'?)", "sheet: …"),
        (SIMPLE, {"sheet": 2}, None, "no sheet 2: it has 1", "sheet: …"),
        (STRICT, {}, None, "of the kind Strict Open XML", "as `Excel Workbook (*.xlsx)`, not as `Strict"),
        (SIMPLE, {"skip_lines": 2}, None, "no header in what", "settings"),
        (book([], [["a"], [1]]), {}, None, "sheet 'Sheet 1' is empty", "sheet: …"),
        (
            book([[str(i) for i in range(11)]]),
            {"limits": Limits(max_columns=10)},
            None,
            "11 columns",
            "max_columns",
        ),
        (SIMPLE, {"limits": Limits(max_expanded_bytes=1000)}, None, "expands to more than", "max_expanded"),
        (SIMPLE[:-30], {}, None, "damaged or cut off", "again"),
        (changed(SIMPLE, (b"</row>", b"</rov>")), {}, None, "not a sound Excel workbook", "CSV UTF-8"),
        (changed(SIMPLE, (b"<v>1</v>", b"<v>one</v>")), {}, None, "not a sound Excel workbook", "CSV UTF-8"),
        (b"a,b\n1,2\n", {}, None, "this is no Excel workbook", "format: csv"),
        (b"<html><body/></html>", {}, None, "this is a web page", "again"),
    ],
)
def test_what_cannot_be_read_truly_is_refused(
    content: bytes, options: dict[str, Any], line: int | None, says: str, hint: str, tmp_path: Path
) -> None:
    with pytest.raises(MalformedFile, match=re.escape(says)) as refused:
        rows(content, tmp_path, **options)
    assert refused.value.line == line
    assert hint in (refused.value.hint or "")


def test_errors_are_null_if_the_dataset_says_so(tmp_path: Path) -> None:
    found, reading = opened(book([["a", "b"], [1, "#DIV/0!"], [3, 4]]), tmp_path, error_as_null=True)
    assert found == [{"a": "1", "b": None}, {"a": "3", "b": "4"}]
    assert reading.quoted == frozenset()


def test_endless_rows_are_not_held(tmp_path: Path) -> None:
    content = changed(SIMPLE, (b"</sheetData>", b"<row>" + b"<c/>" * 400 + b"</row></sheetData>"))
    with pytest.raises(MalformedFile, match="a row is longer than 1000 bytes"):
        rows(content, tmp_path, limits=Limits(max_line_bytes=1000))


@pytest.mark.parametrize(("cells", "doubts"), [("B1:C1", 0), ("A2:A3", 1)])
def test_merged_cells_are_told_of_below_the_header(cells: str, doubts: int, tmp_path: Path) -> None:
    content = book([["a", "b"], ["x", 1], [None, 2]], change=lambda made: made["Sheet 1"].merge_cells(cells))
    _, reading = opened(content, tmp_path)
    assert len(reading.doubts) == doubts


def test_without_the_reader_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(MalformedFile, match="installed without the reader") as refused:
        rows(SIMPLE, tmp_path)
    assert "pip install 'amci[excel]'" in refused.value.hint


@pytest.mark.parametrize(
    ("last", "is_told"),
    [(["x", 2], True), (["Total", 2], False), (["Made by hand"], False), ([None, 2], False)],
)
def test_a_row_that_is_left_out_for_a_total_is_told(last: list[Any], is_told: bool, tmp_path: Path) -> None:
    doubts = opened(book([["a", "b"], ["y", 1], last]), tmp_path, footer_lines=1)[1].doubts
    assert [doubt.kind for doubt in doubts] == (["rows"] if is_told else [])


@pytest.mark.parametrize(("before", "hints"), [(2, ["excel: {footer_lines: 1}"]), ("TOTAL", [])])
def test_many_rows_come_in_batches(
    before: object, hints: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(excel_table, "_ROWS", 2)
    path = tmp_path / "book.xlsx"
    path.write_bytes(book([["a"], [1], [before], ["Total"]]))
    with Reading(path, FileFormat.EXCEL) as reading:
        sizes = [batch.data.num_rows for batch in reading.batches()]
    assert sizes == [2, 1]
    assert [doubt.hint.split("`")[1] for doubt in reading.doubts] == hints
