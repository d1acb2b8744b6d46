"""What a file is, whatever it is called: the words fit what lies there."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from amci.kernel.errors import MalformedFile
from amci.lake.formats import FileFormat, Reading

CASES = Path(__file__).parents[2] / "field_cases" / "kinds"
CSV, JSON, PARQUET, EXCEL = FileFormat


def zipped(*names: str) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for name in names:
            file.writestr(name, "a,b\n1,2\n" * 100)
    return archive.getvalue()


def parquet() -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"a": [1]}), file)
    return file.getvalue()


PAGE = b"\xef\xbb\xbf\n<!DOCTYPE html>\n<html><body>503</body></html>"
DENIED = b'<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code><Message>of a bucket</Message></Error>'

#: Content, what it was taken for, and what is said.
OTHERS = [
    ((CASES / "book.xlsx").read_bytes(), CSV, "this is an Excel workbook"),
    ((CASES / "book-named.csv").read_bytes(), CSV, "this is an Excel workbook"),
    ((CASES / "book.xlsx").read_bytes(), PARQUET, "this is an Excel workbook"),
    (zipped("word/document.xml"), CSV, "this is a Word document"),
    (zipped("xl/workbook.bin"), EXCEL, "this is a binary Excel workbook"),
    (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600,
        CSV,
        "this is an old Excel workbook or Word document",
    ),
    (b"%PDF-1.7\n%\xe2\xe3\0", CSV, "this is a PDF document"),
    (parquet(), CSV, "this is a Parquet file"),
    (parquet(), JSON, "this is a Parquet file"),
    (PAGE, CSV, "this is a web page, perhaps one that says what went wrong"),
    (gzip.compress(PAGE, mtime=0), CSV, "this is a web page, perhaps one that says what went wrong"),
    (PAGE, JSON, "this is a web page, perhaps one that says what went wrong"),
    (DENIED, CSV, r"this is an error answer \(AccessDenied\), not a report"),
    (b"<report xmlns='x'><row/></report>", CSV, "this is XML"),
    (b'{"code": "401", "details": "no"}', CSV, "this is an error answer, not a report"),
    (b'{"code": "401", "details": "no"}', JSON, "this is an error answer, not a report"),
    (
        b'{"errors": [{"code": "QuotaExceeded", "message": "m"}]}',
        JSON,
        "this is an error answer, not a report",
    ),
    (b'[{"a": 1}]', CSV, "this is JSON"),
    (b'{"a": 1}\n{"a": 2}\n', CSV, "this is JSON"),
]


def read(content: bytes, fmt: FileFormat | None, folder: Path, *, is_guess: bool = False) -> list[object]:
    path = folder / "file"
    path.write_bytes(content)
    with Reading(path, fmt, is_guess=is_guess) as reading:
        return [row for batch in reading.batches() for row in batch.data.to_pylist()]


@pytest.mark.parametrize("is_guess", [True, False])
@pytest.mark.parametrize(("content", "fmt", "says"), OTHERS)
def test_it_is_called_what_it_is(
    content: bytes, fmt: FileFormat, says: str, *, is_guess: bool, tmp_path: Path
) -> None:
    if is_guess and b"xl/workbook.xml" in content:
        says = "it is not a sound Excel workbook"
    if is_guess and content.startswith(b"PAR1"):
        assert read(content, fmt, tmp_path, is_guess=True) == [{"a": "1"}]
        return
    with pytest.raises(MalformedFile, match=f"^{says}$") as refused:
        read(content, fmt, tmp_path, is_guess=is_guess)
    assert refused.value.hint.endswith(".")


@pytest.mark.parametrize("fmt", [CSV, None])
def test_the_file_in_an_archive_is_read(fmt: FileFormat | None, tmp_path: Path) -> None:
    assert read((CASES / "archive.zip").read_bytes(), fmt, tmp_path, is_guess=fmt is None) == [
        {"a": "1", "b": "2"}
    ]


def test_a_workbook_is_read_whatever_it_is_called(tmp_path: Path) -> None:
    made = openpyxl.Workbook()
    for row in (["a"], ["x"]):
        made.active.append(row)
    made.save(tmp_path / "book")
    assert read((tmp_path / "book").read_bytes(), CSV, tmp_path, is_guess=True) == [{"a": "x"}]


@pytest.mark.parametrize(
    ("content", "fmt"),
    [
        (b"BZh,b\n1,2\n", CSV),
        (b"ORC,b\n1,2\n", CSV),
        (b"[a],b\n1,2\n", CSV),
        (b"{a},b\n1,2\n", CSV),
        (b"<a,b\n1,2\n", CSV),
        (b"<5,b\n1,2\n", CSV),
        (b"PK,b\n1,2\n", CSV),
        (b'[{"code": "401", "details": "no"}]', JSON),
        (b'{"code": "401", "details": "no", "sku": "A1"}', JSON),
        (b'{"code": "401"}', JSON),
        (b"", CSV),
    ],
)
def test_what_only_resembles_something_else_is_read(content: bytes, fmt: FileFormat, tmp_path: Path) -> None:
    assert len(read(content, fmt, tmp_path)) == (1 if content else 0)


def test_a_name_that_promises_nothing_is_no_hurdle_where_the_content_is_certain(tmp_path: Path) -> None:
    assert read(parquet(), None, tmp_path) == [{"a": "1"}]
    with pytest.raises(MalformedFile, match="it is not a sound Excel workbook"):
        read((CASES / "book.xlsx").read_bytes(), None, tmp_path)
    with pytest.raises(MalformedFile, match="the file's ending names no format"):
        read(b"a,b\n1,2\n", None, tmp_path)


@pytest.mark.parametrize(
    ("content", "line"), [((CASES / "trailing-comma.json").read_bytes(), 1), (b'[\n{"a": 1},\n]', 3)]
)
def test_a_comma_before_the_end_is_told(content: bytes, line: int, tmp_path: Path) -> None:
    with pytest.raises(MalformedFile, match="there is a comma before the end of the list") as refused:
        read(content, JSON, tmp_path)
    assert refused.value.line == line
