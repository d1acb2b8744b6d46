"""Whatever table is written, in whatever dialect, it reads back equal; whatever is ragged is refused."""

import csv
import gzip
import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings, strategies as st

from amci.kernel.errors import MalformedFile
from amci.lake.formats import CsvOptions, FileFormat, JsonOptions, Reading

Rows = list[list[str | None]]
Table = tuple[int, Rows]
Compress = Callable[[bytes], bytes]

CELL = st.none() | st.text(
    st.sampled_from("\"\\,\n\r;' aé漢😀1")
    | st.characters(exclude_categories=("Cs",), exclude_characters="\0"),
    max_size=6,
)
CHUNKS = st.sampled_from([1, 2, 3, 7, 64, 1 << 20])
COMPRESS = st.sampled_from([bytes, gzip.compress, zstandard.compress])


@st.composite
def tables(draw: st.DrawFn, min_rows: int = 0) -> Table:
    width = draw(st.integers(1, 4))
    return width, draw(
        st.lists(st.lists(CELL, min_size=width, max_size=width), min_size=min_rows, max_size=8)
    )


def written_doubled(width: int, rows: Rows, line_end: str = "\n") -> str:
    """The table as Python's csv module writes it, NULL as nothing and text in quotes."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_NONNUMERIC, lineterminator=line_end)
    writer.writerow([f"c{i}" for i in range(width)])
    for row in rows:
        if row == [None]:
            out.write(line_end)  # the writer itself puts '' there
            continue
        # A number is what that writer leaves bare, and no number is as bare as an empty one.
        writer.writerow([_Null(0) if cell is None else cell for cell in row])
    return out.getvalue()


class _Null(int):
    def __str__(self) -> str:
        return ""

    __repr__ = __str__


def written_as_amc(width: int, rows: Rows, line_end: str = "\n") -> str:
    """The table with quotes escaped by a backslash, and backslashes where they stand before a quote."""

    def cell(value: str | None) -> str:
        if value is None:
            return ""
        if value and not set(value) & set('",\n\r\\'):
            return value
        out, run = [], 0
        for c in value:
            run = run + 1 if c == "\\" else 0
            out.append(c)
            if c == '"':
                held = len(out) - 1
                while held and out[held - 1] == "\\":
                    held -= 1
                backslashes = len(out) - 1 - held
                out[held:] = ["\\" * (2 * backslashes + 1), '"']
        text = "".join(out)
        return f'"{text}' + "\\" * run + '"'

    lines = [",".join(f"c{i}" for i in range(width)), *(",".join(map(cell, row)) for row in rows)]
    return "".join(line + line_end for line in lines)


def read(content: bytes, fmt: FileFormat, **options: Any) -> list[tuple[str, dict[str, str | None]]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "raw"
        path.write_bytes(content)
        with Reading(path, fmt, **options) as reading:
            return [(batch.part, row) for batch in reading.batches() for row in batch.data.to_pylist()]


def cells(content: bytes, **options: Any) -> list[list[str | None]]:
    return [list(row.values()) for _, row in read(content, FileFormat.CSV, **options)]


@given(
    tables(),
    CHUNKS,
    COMPRESS,
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
@settings(max_examples=80, deadline=None)
def test_doubled_quotes_read_back_equal(
    table: Table, chunk_bytes: int, compress: Compress, line_end: str, encoding: str
) -> None:
    content = compress(written_doubled(*table, line_end).encode(encoding))
    assert cells(content, chunk_bytes=chunk_bytes, csv=CsvOptions(escape="double")) == table[1]


@given(tables(), CHUNKS, COMPRESS, st.sampled_from(["\n", "\r\n"]))
@settings(max_examples=80, deadline=None)
def test_backslash_escapes_read_back_equal(
    table: Table, chunk_bytes: int, compress: Compress, line_end: str
) -> None:
    content = compress(written_as_amc(*table, line_end).encode())
    assert cells(content, chunk_bytes=chunk_bytes, csv=CsvOptions(escape="backslash")) == table[1]


@given(tables(), CHUNKS, st.booleans())
@settings(max_examples=80, deadline=None)
def test_what_is_detected_does_not_depend_on_the_chunks(table: Table, chunk_bytes: int, as_amc: bool) -> None:
    content = (written_as_amc if as_amc else written_doubled)(*table).encode()

    def outcome(size: int) -> list[list[str | None]] | str:
        try:
            return cells(content, chunk_bytes=size)
        except MalformedFile as refused:
            return str(refused)

    assert outcome(chunk_bytes) == outcome(1 << 20)


@given(st.lists(st.text(st.sampled_from('"ab, '), min_size=1, max_size=8), min_size=1, max_size=8), CHUNKS)
@settings(max_examples=80, deadline=None)
def test_amcs_escapes_are_detected(values: list[str], chunk_bytes: int) -> None:
    rows = [[str(i), value, "end"] for i, value in enumerate(values)]
    assert cells(written_as_amc(3, rows).encode(), chunk_bytes=chunk_bytes) == rows


WORDS = ["Müller", "été", "CRÉÉE", "ações", "5 €", "“smart”", "L’Oréal", "10 m²", "plain", "Þórður", "®", " "]


@given(st.lists(st.sampled_from(WORDS), min_size=1).map(" ".join), CHUNKS)
@settings(max_examples=50, deadline=None)
def test_windows_text_is_told_from_utf8_by_its_first_bytes(text: str, chunk_bytes: int) -> None:
    content = b"a,b\n\xe9 ," + text.encode("cp1252") + b"\n"
    assert cells(content, chunk_bytes=chunk_bytes) == [["é ", text]]


@given(tables(min_rows=1), st.data(), CHUNKS)
@settings(max_examples=80, deadline=None)
def test_a_ragged_row_is_refused_with_its_line(table: Table, data: st.DataObject, chunk_bytes: int) -> None:
    width, rows = table
    at = data.draw(st.integers(0, len(rows) - 1))
    change = data.draw(st.sampled_from([1, 2] if width < 3 else [-1, 1, 2]))
    rows[at] = (rows[at] + ["x", "y"])[: width + change]
    text = written_doubled(width, rows)
    before = written_doubled(width, rows[:at])
    with pytest.raises(MalformedFile) as refused:
        cells(text.encode(), chunk_bytes=chunk_bytes, csv=CsvOptions(escape="double"))
    assert refused.value.line == len(before.encode().splitlines()) + 1


NUMBER = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
SCALAR = st.none() | st.booleans() | NUMBER | st.text(st.characters(exclude_categories=("Cs",)), max_size=8)


@given(
    st.lists(
        st.fixed_dictionaries({"a": SCALAR, "b": SCALAR, "c": st.lists(SCALAR, max_size=3)}), max_size=6
    ),
    st.sampled_from(["array", "lines", "pretty", "exploded"]),
    CHUNKS,
    COMPRESS,
    st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_json_reads_back_exactly(
    rows: list[dict[str, Any]], shape: str, chunk_bytes: int, compress: Compress, ascii_only: bool
) -> None:
    def text(value: Any, **more: Any) -> str:
        return json.dumps(value, ensure_ascii=ascii_only, **more)

    def expected(value: Any) -> str | None:
        if value is None or isinstance(value, str):
            return value
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    match shape:
        case "array":
            content = text(rows)
        case "lines":
            content = "\n".join(map(text, rows))
        case "pretty":
            content = text(rows, indent=2)
        case "exploded":
            content = text({"reportSpecification": {"x": 1}, "rows": rows})
    found = read(
        compress(content.encode()),
        FileFormat.JSON,
        chunk_bytes=chunk_bytes,
        json=JsonOptions(explode=shape == "exploded"),
    )
    part = "rows" if shape == "exploded" else ""
    assert found == [(part, {key: expected(value) for key, value in row.items()}) for row in rows]
