"""What may follow a closing quote, and files in which nothing is quoted."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from amci.kernel.errors import MalformedFile
from amci.lake.formats import CsvOptions, FileFormat, Reading
from amci.lake.formats.faults import Shape
from amci.lake.formats.quotes import RunTooLong, StrayText, strictly_quoted

CASES = Path(__file__).parents[2] / "field_cases" / "quotes"
NONE = CsvOptions(delimiter="\t", quote="")


def read(
    content: bytes, options: CsvOptions, folder: Path, chunk: int = 1 << 20
) -> list[tuple[str | None, ...]]:
    path = folder / "file.csv"
    path.write_bytes(content)
    with Reading(path, FileFormat.CSV, csv=options, chunk_bytes=chunk) as reading:
        return [tuple(row.values()) for batch in reading.batches() for row in batch.data.to_pylist()]


@pytest.mark.parametrize(
    ("name", "delimiter", "line"),
    [("titles.txt", "\t", 2), ("comma.csv", ",", 3), ("inch.txt", "\t", 3)],
)
def test_a_title_that_begins_with_a_quote_joins_no_rows(
    name: str, delimiter: str, line: int, tmp_path: Path
) -> None:
    with pytest.raises(MalformedFile) as refused:
        read((CASES / name).read_bytes(), CsvOptions(delimiter=delimiter), tmp_path)
    assert refused.value.line == line
    assert "quote: none" in (refused.value.hint or "")


def test_where_nothing_is_quoted_a_quote_is_text(tmp_path: Path) -> None:
    titles = read((CASES / "titles.txt").read_bytes(), NONE, tmp_path)
    assert titles == [
        ("A1", '"Best" Mug 12"', "3"),
        ("A2", '"Best Mug', "4"),
        ("A3", '"Best Mug', "5"),
        ("A4", "Plain", "6"),
    ]
    assert [row[1] for row in read((CASES / "inch.txt").read_bytes(), NONE, tmp_path)] == [
        'Monitor 24" black',
        '"Deluxe" kettle',
    ]
    commas = read((CASES / "comma.csv").read_bytes(), CsvOptions(quote=""), tmp_path)
    assert [row[1] for row in commas] == ["Plain", '"Best Mug', '"Best Mug', "Plain"]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b'a,b\n1,"x"y\n', 2),
        (b'a,b\n1,2\n3,"x" \n', 3),
        (b'a,b\n"x"y,1\n', 2),
        (b'a,b\n1,""x\n', 2),
        (b'a,b\n1,"x""y"z\n', 2),
        (b'a,b\n1,"x\ny" z\n', 2),
        (b'"a"b,c\n1,2\n', 1),
        (b'a,b\n1,"x"y', 2),
    ],
)
def test_text_after_a_closing_quote_is_refused_with_its_line(
    content: bytes, line: int, tmp_path: Path
) -> None:
    with pytest.raises(MalformedFile, match="text follows a closing quote") as refused:
        read(content, CsvOptions(), tmp_path)
    assert refused.value.line == line


TEXTS = st.text(alphabet='",;\n\rab é', max_size=40)


@settings(max_examples=400, deadline=None)
@given(text=TEXTS, size=st.integers(1, 6), long=st.sampled_from([1, 100]))
def test_it_is_refused_exactly_where_rfc_4180_has_no_text(text: str, size: int, long: int) -> None:
    """The standard library's reader, when it is told to be strict, is the oracle."""
    data = text.encode()
    chunks = [data[at : at + size] for at in range(0, len(data), size)]
    try:
        walked = strictly_quoted(iter(chunks), Shape(b",", b'"'), max_run=1000, long=long)
        found: bytes | None = b"".join(walked)
    except StrayText:
        found = None
    try:
        list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        is_stray = "expected after" in str(error)
    else:
        is_stray = False
    assert found == (None if is_stray else data)


LINES = st.lists(
    st.tuples(st.text(alphabet="\"'\\ab é;,", min_size=1), st.text(alphabet="\"'ab,", min_size=1)), max_size=8
)


@settings(max_examples=100, deadline=None)
@given(rows=LINES, size=st.integers(3, 40))
def test_what_is_not_quoted_comes_as_it_is(
    rows: list[tuple[str, str]], size: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = "".join(f"{a}\t{b}\n" for a, b in [("x", "y"), *rows]).encode()
    assert read(content, NONE, tmp_path_factory.mktemp("rows"), size) == rows


def test_one_column_without_quotes_keeps_its_blank_lines(tmp_path: Path) -> None:
    assert read(b"a\n1\n\n3\n", CsvOptions(quote=""), tmp_path) == [("1",), (None,), ("3",)]


def test_quotes_without_end_are_not_held_without_end() -> None:
    with pytest.raises(RunTooLong):
        list(strictly_quoted(iter([b'"' * 50] * 50), Shape(b",", b'"'), max_run=1000))
