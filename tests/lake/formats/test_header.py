"""Files without a header: told, and read with the names that their dataset has for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from amci.kernel.errors import MalformedFile
from amci.lake.formats import CsvOptions, FileFormat, Reading
from amci.lake.formats.header import is_value


def read(content: bytes, folder: Path, **options: Any) -> tuple[list[dict[str, str | None]], list[str]]:
    (folder / "file.csv").write_bytes(content)
    with Reading(folder / "file.csv", FileFormat.CSV, csv=CsvOptions(**options)) as reading:
        rows = [row for batch in reading.batches() for row in batch.data.to_pylist()]
    return rows, [doubt.says for doubt in reading.doubts if doubt.kind == "header"]


@pytest.mark.parametrize(
    "value",
    [
        "7",
        "-1.5",
        "1.234,50",
        "$3",
        "12 %",
        "2026-11-01",
        "1.11.2026",
        "2026-11-01T08:00:00Z",
        "10.0.0.1",
        "fe80::1",
    ],
)
def test_numbers_dates_and_addresses_are_no_names(value: str) -> None:
    assert is_value(value)


@pytest.mark.parametrize(
    "name", ["", "day", "7 days", "18-24", "Q1 2026", "1st", "B07ABC", "units_2026", "#", "%"]
)
def test_other_names_are(name: str) -> None:
    assert not is_value(name)


def test_a_header_that_looks_like_a_row_is_told_without_its_values(tmp_path: Path) -> None:
    assert read(b"a,2026-11-01,3\nb,2026-11-02,4\n", tmp_path)[1] == [
        "its header looks like a row: 2 of 3 names are numbers, dates or addresses"
    ]
    assert read(b"name,day,units\nb,2026-11-02,4\n", tmp_path)[1] == []


@pytest.mark.parametrize(
    ("content", "options", "rows"),
    [
        (b"1,2\n3,4\n", {}, [("1", "2"), ("3", "4")]),
        (b"\n1;2", {}, [("1", "2")]),
        (b"1,5;2,5\n3,5;4,5\n", {}, [("1,5", "2,5"), ("3,5", "4,5")]),
        (b'T\n"x\ny",2\n3,4\n', {"skip_lines": 1}, [("x\ny", "2"), ("3", "4")]),
        (b"1,2,\n3,4,\n", {}, [("1", "2"), ("3", "4")]),
        (b"a,b\n1,2\n", {"skip_lines": 1}, [("1", "2")]),
        (b"", {}, []),
    ],
)
def test_columns_that_are_named_make_the_first_line_a_row(
    content: bytes, options: dict[str, int], rows: list[tuple[str, str]], tmp_path: Path
) -> None:
    expected = [{"day": day, "units_sold": units} for day, units in rows]
    assert read(content, tmp_path, columns=("Day", "Units sold"), **options) == (expected, [])


@pytest.mark.parametrize(
    ("content", "line"), [(b"1,2,3\n4,5,6\n", 1), (b"1,2\n3,4\n5\n", 3), (b"\n1\n2\n", 2)]
)
def test_rows_with_another_number_of_values_are_refused(content: bytes, line: int, tmp_path: Path) -> None:
    with pytest.raises(MalformedFile, match="the dataset names 2 columns") as refused:
        read(content, tmp_path, columns=("a", "b"))
    assert refused.value.line == line
    assert "csv: {columns: […]}" in str(refused.value.hint)


@pytest.mark.parametrize("columns", [("a", "a"), ("a", " ")])
def test_columns_need_names_that_differ(columns: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="names that differ"):
        CsvOptions(columns=columns)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b",x,,y\n1,2,3,4\n", ["columns with values have no name in the header: unnamed, unnamed_2"]),
        (b"x,y,\n1,2,\n", []),
    ],
)
def test_columns_without_a_name_are_told_if_they_have_values(
    content: bytes, told: list[str], tmp_path: Path
) -> None:
    assert read(content, tmp_path)[1] == told


@pytest.mark.parametrize(
    ("content", "options", "count"),
    [
        (b"city,state\nx,y\ncity,state\nz,w\ncity,state\n", {}, "2 of its rows are"),
        (b"city,,state\nx,,y\ncity,,state\n", {}, "1 of its rows is"),
        (b"x,y\ncity,state\n", {"columns": ("city", "state")}, "1 of its rows is"),
        (b"city,state\ncity,other\n", {}, ""),
        (b"city\ncity\n", {}, ""),
        (b"city,state\n", {}, ""),
    ],
)
def test_a_header_among_the_rows_is_told(
    content: bytes, options: dict[str, Any], count: str, tmp_path: Path
) -> None:
    rows, told = read(content, tmp_path, **options)
    assert len(rows) == content.count(b"\n") - (not options)
    assert [says.partition(" its header")[0] for says in told] == ([count] if count else [])
