"""ZIP archives: all files in one are one object; what is beside them, or cannot be read, is left out or refused."""

from __future__ import annotations

import gzip
import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from amci.kernel.errors import MalformedFile
from amci.lake.formats import CsvOptions, FileFormat, Limits, Reading, archive

Rows = list[dict[str, str | None]]


def zipped(*files: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as file:
        for name, content in files:
            file.writestr(name, content)
    return made.getvalue()


def parquet() -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"a": ["1"]}), file)
    return file.getvalue()


def workbook() -> bytes:
    made, file = openpyxl.Workbook(), io.BytesIO()
    for row in (["a"], ["1"]):
        made.active.append(row)
    made.save(file)
    return file.getvalue()


def read(content: bytes, folder: Path, fmt: FileFormat | None = None, **options: Any) -> tuple[Rows, Reading]:
    path = folder / "report.zip"
    path.write_bytes(content)
    with Reading(path, fmt, is_guess=fmt is None, **options) as reading:
        rows = [row for batch in reading.batches() for row in batch.data.to_pylist()]
    assert reading.sha256 == hashlib.sha256(content).hexdigest()
    assert reading.bytes == len(content)
    return rows, reading


CSV, JSON = b"a,b\n1,2\n", b'[{"a": "1"}]'


@pytest.mark.parametrize(
    ("files", "expected", "quoted"),
    [
        ([("report.csv", CSV)], [{"a": "1", "b": "2"}], []),
        ([("x.json", JSON), ("y.json", b'{"b": 2}')], [{"a": "1"}, {"b": "2"}], ["a"]),
        ([("x.parquet", parquet()), ("y", parquet())], [{"a": "1"}] * 2, ["a"]),
        ([("x.xlsx", workbook()), ("y.csv", workbook())], [{"a": "1"}] * 2, ["a"]),
        ([("x.csv.gz", gzip.compress(CSV)), ("y.csv", CSV)], [{"a": "1", "b": "2"}] * 2, []),
        ([("../../etc/a.csv", CSV), ("/b.csv", b"a\n3\n")], [{"a": "1", "b": "2"}, {"a": "3"}], []),
        (
            [
                ("d/", b""),
                ("d/a.csv", CSV),
                ("__MACOSX/d/._a.csv", b"\0"),
                ("d/.DS_Store", b"\0"),
                ("e.csv", b""),
            ],
            [{"a": "1", "b": "2"}],
            [],
        ),
    ],
)
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_all_files_in_it_are_one_object(
    files: list[tuple[str, bytes]], expected: Rows, quoted: list[str], method: int, tmp_path: Path
) -> None:
    rows, reading = read(zipped(*files, method=method), tmp_path)
    assert rows == expected
    assert reading.quoted == {("", name) for name in quoted}


@pytest.mark.parametrize(
    ("names", "fmt", "left_out", "is_refused"),
    [
        (["data.csv", "README.txt"], None, "README.txt", False),
        (["data.csv", "ReadMe", "d/logo.PNG", "guide.pdf"], None, "ReadMe, d/logo.PNG, guide.pdf", False),
        (["data.csv", "notes.txt"], None, "notes.txt", True),
        (["data.csv", "README.txt"], FileFormat.CSV, "README.txt", False),
        (["data.txt", "more.txt", "Thumbs.db"], FileFormat.CSV, "Thumbs.db", False),
        (["data.txt", "notes.txt"], FileFormat.CSV, "", False),
        (["readme.csv", "data.csv"], None, "", False),
        (["readme.txt"], FileFormat.CSV, "", False),
    ],
)
def test_what_is_no_data_by_its_name_is_left_out_and_told(
    names: list[str], fmt: FileFormat | None, left_out: str, is_refused: bool, tmp_path: Path
) -> None:
    out = left_out.split(", ") if left_out else []
    rows, reading = read(zipped(*((name, b"Hello" if name in out else CSV) for name in names)), tmp_path, fmt)
    assert rows == [{"a": "1", "b": "2"}] * (len(names) - len(out))
    assert [(d.kind, d.says.partition(": ")[2], d.is_refused) for d in reading.doubts] == (
        [("files", left_out, is_refused)] if out else []
    )


def test_settings_hold_for_each_file(tmp_path: Path) -> None:
    content = zipped(("a.txt", b"T\na;b\n1;2\nsum"), ("b.txt", b"T\na;b\n3;4\nsum"))
    options = CsvOptions(delimiter=";", skip_lines=1, footer_lines=1)
    rows, _ = read(content, tmp_path, FileFormat.CSV, csv=options, chunk_bytes=3)
    assert rows == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]


def test_a_header_is_one_column_in_all_files(tmp_path: Path) -> None:
    content = zipped(
        ("a.csv", b"userid,userId\n1,2\n"), ("b.csv", b"userId,c,c\n3,4,5\n"), ("c.csv", b"c,userid\n6,7\n")
    )
    rows, _ = read(content, tmp_path)
    (other,) = set(rows[0]) - {"userid"}
    assert rows == [
        {"userid": "1", other: "2"},
        {other: "3", "c": "4", "c_2": "5"},
        {"c": "6", "userid": "7"},
    ]


def test_columns_of_text_are_named_as_in_all_files(tmp_path: Path) -> None:
    content = zipped(("a.json", b'[{"userid": 1, "userId": 2}]'), ("b.json", b'[{"userId": "x1"}]'))
    rows, reading = read(content, tmp_path)
    assert reading.quoted == {("", name) for name in set(rows[0]) - {"userid"}}
    assert reading.mixed == reading.quoted


def encrypted(content: bytes) -> bytes:
    """The archive with the bit set that says so, in both of its places."""
    file = bytearray(content)
    file[6] |= 1
    file[file.index(b"PK\x01\x02") + 8] |= 1
    return bytes(file)


def damaged(content: bytes) -> bytes:
    return content.replace(b"1,2", b"1,3")


STORED = zipped(("a.csv", CSV), method=zipfile.ZIP_STORED)
BOMB = zipped(("a.csv", b"a\n" + b"1\n" * 500_000))


@pytest.mark.parametrize(
    ("content", "limits", "says"),
    [
        (
            zipped(("a.csv", CSV), ("d/b.csv", b"a,b\n1\n")),
            None,
            "^d/b.csv: line 2: 1 values where the header has 2$",
        ),
        (zipped(("a.csv", CSV), ("b.json", JSON)), None, r"several formats in it \(csv, json\)"),
        (
            zipped(("a.csv", CSV), ("report.dat", b"Hi")),
            None,
            "^report.dat: the file's ending names no format$",
        ),
        (zipped(("a.csv", b"<html></html>")), None, "^a.csv: this is a web page"),
        (zipped(("a.csv", STORED)), None, "^a.csv: this is an archive inside of an archive$"),
        (zipped(("a\n.csv", b"<html></html>")), None, "^a file in it: this is a web page"),
        (zipped((".a.csv", CSV)), None, "no file in the archive"),
        (zipped(), None, "no file in the archive"),
        (encrypted(STORED), None, "encrypted"),
        (damaged(STORED), None, "^a.csv: the ZIP archive is damaged or cut off$"),
        (STORED[:-10], None, "^the ZIP archive is damaged or cut off$"),
        (BOMB, Limits(max_expanded_bytes=1000), "expands to more than 1000 bytes"),
        (BOMB, Limits(max_ratio=10, ratio_after_bytes=1000), "expands to more than 10 times its size"),
    ],
)
def test_what_cannot_be_read_is_refused(
    content: bytes, limits: Limits | None, says: str, tmp_path: Path
) -> None:
    with pytest.raises(MalformedFile, match=says) as refused:
        read(content, tmp_path, limits=limits)
    assert refused.value.hint
    assert refused.value.line == (2 if "line 2" in says else None)


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        content = zipped(("a.csv", CSV), ("a.csv", CSV))
    with pytest.raises(MalformedFile, match="the same name"):
        read(content, tmp_path)


def test_there_are_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "_MOST_ENTRIES", 1)
    monkeypatch.setattr(archive, "_MOST_HELD", 10)
    with pytest.raises(MalformedFile, match="more than 1 files"):
        read(zipped(("a.csv", CSV), ("b.csv", CSV)), tmp_path)
    with pytest.raises(MalformedFile, match=r"a.parquet: it is larger than 10 bytes"):
        read(zipped(("a.parquet", parquet())), tmp_path)


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ([("a.csv", CSV), ("b.csv", b"c,d\n1,2\n"), ("c.csv", b"d,a\n1,2\n")], ["b.csv"]),
        ([("a.csv", CSV), ("b.csv", b"b,x\n1,2\n"), ("c.csv", b"")], []),
        ([("a.json", b'[{"a": 1}]'), ("b.json", b'[{"b": 1}]')], ["b.json"]),
    ],
)
def test_files_in_it_that_share_no_column_are_told(
    files: list[tuple[str, bytes]], told: list[str], tmp_path: Path
) -> None:
    _, reading = read(zipped(*files), tmp_path)
    assert [doubt.says.partition(" ")[0] for doubt in reading.doubts if doubt.kind == "columns"] == told
