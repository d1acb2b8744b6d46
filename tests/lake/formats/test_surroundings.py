"""Lines that are no part of the table: left out if the dataset says so, else named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from amci.kernel.errors import MalformedFile
from amci.lake.formats import CsvOptions, FileFormat, Reading
from amci.lake.formats.csv_reader import csv_batches
from amci.lake.formats.model import Limits
from amci.lake.formats.source import ByteSource

CASES = Path(__file__).parents[2] / "field_cases" / "surroundings"
CHUNKS = [1, 3, 1 << 20]

Options = dict[str, str | int]


def case(name: str) -> bytes:
    return (CASES / name).read_bytes()


def read(
    content: bytes, folder: Path, chunk_bytes: int = 1 << 20, **options: str | int
) -> list[list[str | None]]:
    """The header's names and the rows."""
    path = folder / "file.csv"
    path.write_bytes(content)
    csv = CsvOptions(**options)  # type: ignore[arg-type]
    with Reading(path, FileFormat.CSV, csv=csv, chunk_bytes=chunk_bytes) as reading:
        batches = [batch.data for batch in reading.batches()]
    rows = [list(row.values()) for batch in batches for row in batch.to_pylist()]
    return [batches[0].schema.names, *rows]


@pytest.mark.parametrize("chunk_bytes", CHUNKS)
@pytest.mark.parametrize(
    ("content", "options", "table"),
    [
        (
            case("preamble.csv"),
            {"skip_lines": 3, "footer_lines": 1},
            "advertiser date impressions clicks|Foo 2026-04-01 100 3|Bar 2026-04-01 50 1",
        ),
        (case("trailing.csv"), {}, "a b c|1 2 3|4 5 6"),
        (b"x;y\n\na;b\n1;2\n", {"skip_lines": 2}, "a b|1 2"),
        (b"T\r\n\r\na,b\r\n1,2\r\n3,4\r\nsum,6\r\n\r\n", {"skip_lines": 2, "footer_lines": 1}, "a b|1 2|3 4"),
        (b"T\ra,b\r1,2\rsum\r", {"skip_lines": 1, "footer_lines": 1}, "a b|1 2"),
        (b"a,b\r\n1,2\r\n\r\nsum,2", {"footer_lines": 2}, "a b|1 2"),
        (b"a\n1\n\nsum\n2\n\n\n", {"footer_lines": 3}, "a|1"),
        (b'say "hi\na,b\n1,2\n"open', {"skip_lines": 1, "footer_lines": 1}, "a b|1 2"),
        (b"sep=;\nT,T\na;b\n1;2\n", {"skip_lines": 2}, "a b|1 2"),
        ("T\na,b\n1,ä\nsum\n".encode("utf-16"), {"skip_lines": 1, "footer_lines": 1}, "a b|1 ä"),
        (b'# it\'s "odd\na,b\n#x\n1,"2\n#3"\n4,#5\n#', {"comment": "#"}, "a b|1 2\n#3|4 #5"),
        (b"#\r\na\r\n#\r\n1\r\n#x\r\n2\r\n", {"comment": "#"}, "a|1|2"),
        (b"a,b\n", {"footer_lines": 0}, "a b"),
        (b"a,b\nsum,\n", {"footer_lines": 1}, "a b"),
        (b'a,b\n"1,",2,\n3,4,\n', {}, "a b|1, 2|3 4"),
        (b"a,b\n" + b"1,2,\n" * 50, {}, "a b" + "|1 2" * 50),
    ],
)
def test_what_is_no_part_of_the_table_is_left_out(
    content: bytes, options: Options, table: str, chunk_bytes: int, tmp_path: Path
) -> None:
    assert read(content, tmp_path, chunk_bytes, **options) == [row.split(" ") for row in table.split("|")]


def test_an_amount_with_a_comma_below_two_lines_of_text(tmp_path: Path) -> None:
    assert read(case("statement.csv"), tmp_path, skip_lines=2)[1] == [
        "Nov 1, 2026 12:03:04 AM PDT",
        "111-222",
        "1,234.50",
    ]


def test_the_end_of_a_large_file_is_left_out_as_well(tmp_path: Path) -> None:
    (tmp_path / "file.csv").write_bytes(b"T\na,b\n" + b"1,2\n" * 5000 + b"sum,5000\n\n")
    source = ByteSource(tmp_path / "file.csv", chunk_bytes=1024)
    options = CsvOptions(skip_lines=1, footer_lines=1)
    batches = list(csv_batches(source, options, Limits(), frozenset(), set(), {}, [], block_bytes=4096))
    source.close()
    assert len(batches) > 1
    assert sum(batch.data.num_rows for batch in batches) == 5000


@pytest.mark.parametrize("chunk_bytes", CHUNKS)
@pytest.mark.parametrize(
    ("content", "options", "line", "says"),
    [
        (b"T\nU\na,b\n1,2\n3\n", {"skip_lines": 2}, 5, "1 values where the header has 2"),
        (b"#\na,b\n#\n1,2\n3\n", {"comment": "#"}, 5, "1 values where the header has 2"),
        (
            b"T\r\na,b\r\n1,2\r\n3,\xc3\xa9\r\n4,\xff\r\nsum",
            {"skip_lines": 1, "footer_lines": 1},
            5,
            "not utf-8",
        ),
        (b"a,b\n1,2,\n3,4,5\n", {}, 3, "3 values where the header has 2"),
        (b"a,b\n1,2,\n3,4\n", {}, 3, "2 values where the header has 2"),
        (b'a,b\n1,2,\n3,4,""\n', {}, 3, "3 values where the header has 2"),
        (b"a,b\n1,2\n", {"skip_lines": 2}, None, "there is no header in what"),
        (b"a,b\n1,2\n", {"footer_lines": 3}, None, "there is no header in what"),
        (b"#a,b\n", {"comment": "#"}, None, "there is no header in what"),
    ],
)
def test_a_fault_has_its_line_in_the_file(
    content: bytes, options: Options, line: int | None, says: str, chunk_bytes: int, tmp_path: Path
) -> None:
    with pytest.raises(MalformedFile, match=says) as refused:
        read(content, tmp_path, chunk_bytes, **options)
    assert refused.value.line == line
    assert refused.value.hint


@pytest.mark.parametrize(
    ("content", "options", "hint"),
    [
        (case("preamble.csv"), {}, r"first 3 lines seem .* `csv: \{skip_lines: 3\}` in the dataset"),
        (case("statement.csv"), {}, r"first 2 lines seem .* `csv: \{skip_lines: 2\}`"),
        (b"T\n\na;b;c\n1;2;3\n4;5;6,7\n8;9;10\n", {"delimiter": ";"}, r"first 2 lines .*\{skip_lines: 2\}"),
        (
            b"T\na,b,c\n1,2,3\nsum,3\n",
            {},
            r"first line and the last line seem .*\{skip_lines: 1, footer_lines: 1\}",
        ),
        (b"a,b,c\n1,2,3\nsum,3\n\nby me\n", {}, r"last 3 lines seem .*\{footer_lines: 3\}"),
        (b"a,b,c\n" + b"1,2,3\n" * 20_000 + b"sum,3\n", {}, r"last line seems .*\{footer_lines: 1\}"),
        (b"T\nU\na,b,c\n1,2,3\n", {"skip_lines": 1}, r"first 2 lines .*\{skip_lines: 2\}"),
        (b"a,b,c\n1,2,3\n1,2,3,\n", {}, "a delimiter at its end"),
        (b"a,b\n1,2,\n3,4\n", {}, "lines before have a delimiter"),
        (b"a,b,c\n1,2\n1,2,3\n", {}, "^Quote values"),
        (b"a,b,c,d\n1,2,3,4\n1,2,3\n", {}, "^Quote values"),
        (b"a,b\n1,2\n3,4,5\n", {}, "^Quote values"),
    ],
)
def test_the_setting_that_would_help_is_named(
    content: bytes, options: Options, hint: str, tmp_path: Path
) -> None:
    with pytest.raises(MalformedFile, match="values where the header has") as refused:
        read(content, tmp_path, **options)
    assert re.search(hint, refused.value.hint)


def test_a_last_line_without_end_is_not_kept_forever(tmp_path: Path) -> None:
    (tmp_path / "file.csv").write_bytes(b"a,b\n" + b"x" * 5000)
    limits = Limits(max_line_bytes=1000)
    for options in (CsvOptions(footer_lines=1), CsvOptions(comment="#")):
        with (
            Reading(
                tmp_path / "file.csv", FileFormat.CSV, csv=options, limits=limits, chunk_bytes=512
            ) as reading,
            pytest.raises(MalformedFile, match="longer than 1000 bytes"),
        ):
            list(reading.batches())


@pytest.mark.parametrize("options", [{"comment": ","}, {"comment": '"'}, {"comment": "##"}])
def test_settings_that_contradict_each_other_are_refused(options: Options) -> None:
    with pytest.raises(ValueError, match="must"):
        CsvOptions(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "hints"),
    [
        (
            b"Report of May\n\nName;Clicks;Costs\nA;1;2\nB;2;3\n",
            ["set `csv: {skip_lines: 2}` in the dataset"],
        ),
        (b"tags\nx;y\nz;w\n", []),
        (b"note\nx;y;z\nz\n", []),
        (b"Name;Clicks;Costs\nA;1;2\n", []),
    ],
)
def test_a_table_that_was_read_as_one_column_is_doubted(
    content: bytes, hints: list[str], tmp_path: Path
) -> None:
    (tmp_path / "file.csv").write_bytes(content)
    with Reading(tmp_path / "file.csv", FileFormat.CSV) as reading:
        list(reading.batches())
    assert [doubt.hint for doubt in reading.doubts] == hints


@pytest.mark.parametrize(
    ("content", "lines"),
    [(b"T\na,b,c\n1,2,3\n4,5,6\n", [2]), (b"T,U\nV\na,b,c\n1,2,3\n", []), (b"T\na,b\n1,2\n", [])],
)
def test_a_line_that_may_be_the_header_is_not_left_out_in_silence(
    content: bytes, lines: list[int], tmp_path: Path
) -> None:
    (tmp_path / "file.csv").write_bytes(content)
    with Reading(tmp_path / "file.csv", FileFormat.CSV, csv=CsvOptions(skip_lines=2)) as reading:
        list(reading.batches())
    assert [doubt.line for doubt in reading.doubts if doubt.kind == "rows"] == lines
