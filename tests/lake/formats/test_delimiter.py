"""Which delimiter is taken where the dataset says nothing of one."""

from __future__ import annotations

from pathlib import Path

import pytest

from amci.kernel.errors import MalformedFile
from amci.lake.formats import CsvOptions, FileFormat, Reading

CASES = Path(__file__).parents[2] / "field_cases" / "delimiters"


def read(content: bytes, folder: Path, **options: str) -> list[dict[str, str | None]]:
    path = folder / "file.csv"
    path.write_bytes(content)
    with Reading(path, FileFormat.CSV, csv=CsvOptions(**options)) as reading:  # type: ignore[arg-type]
        return [row for batch in reading.batches() for row in batch.data.to_pylist()]


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("tab.csv", {"sku": "A1", "title": "Mug", "units": "3"}),
        ("semicolon.csv", {"kampagne": "Alpha", "klicks": "3", "kosten": "12"}),
        ("semicolon-decimal.csv", {"kampagne": "Alpha", "klicks": "3", "kosten": "12,50"}),
        ("sep-line.csv", {"name": "Bägs", "umsatz": "3"}),
    ],
)
def test_the_delimiters_of_the_world_are_seen(name: str, row: dict[str, str], tmp_path: Path) -> None:
    rows = read((CASES / name).read_bytes(), tmp_path)
    assert rows[0] == row


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b"a,b\n1;2,3\n", [{"a": "1;2", "b": "3"}]),
        (b"a;b,c\n1,2\n", [{"a_b": "1", "c": "2"}]),
        (b"name;costs, net\nx;1\n", [{"name": "x", "costs_net": "1"}]),
        (b'"a;b"\n1\n', [{"a_b": "1"}]),
        (b"a;b\n1\n", [{"a_b": "1"}]),
        (b"a;b|c\n1;2|3\n4;5|6\n", [{"a": "1", "b_c": "2|3"}, {"a": "4", "b_c": "5|6"}]),
        (b"\n\na\tb\n\n1\t2\n", [{"a": "1", "b": "2"}]),
        ("a;b\nä;2\n".encode("utf-16"), [{"a": "ä", "b": "2"}]),
        (b'a;b\n"x;\ny";2\n', [{"a": "x;\ny", "b": "2"}]),
        (b"a|b", []),
        (b"sep=|\na|b\n1|2\n", [{"a": "1", "b": "2"}]),
        (b'"sep=;"\r\na;b\r\n1;2\r\n', [{"a": "1", "b": "2"}]),
        (b"sep,b\n1,2\n", [{"sep": "1", "b": "2"}]),
        (b"a;b\n" + b"1;2\n" * 30_000, [{"a": "1", "b": "2"}] * 30_000),
    ],
)
def test_another_than_the_comma_only_where_all_speaks_for_it(
    content: bytes, rows: list[dict[str, str]], tmp_path: Path
) -> None:
    assert read(content, tmp_path) == rows


def test_lines_keep_their_numbers_below_the_line_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(MalformedFile) as refused:
        read(b"sep=;\na;b\n1;2\n3\n", tmp_path)
    assert refused.value.line == 4


def test_what_the_dataset_says_counts(tmp_path: Path) -> None:
    assert read(b"a;b\n1;2\n", tmp_path, delimiter=",") == [{"a_b": "1;2"}]
    assert read((CASES / "sep-line.csv").read_bytes(), tmp_path, delimiter=";") == [
        {"name": "Bägs", "umsatz": "3"}
    ]
    assert read(b"sep=;\n1\n", tmp_path, delimiter=",") == [{"sep_": "1"}]


@pytest.mark.parametrize(("content", "guessed"), [(b"a;b\n1;2\n", {"delimiter": ";"}), (b"a,b\n1,2\n", {})])
def test_what_was_guessed_is_said(content: bytes, guessed: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file.csv").write_bytes(content)
    with Reading(tmp_path / "file.csv", FileFormat.CSV) as reading:
        list(reading.batches())
    assert reading.guessed == guessed


def doubts(content: bytes, folder: Path, **options: str) -> list[tuple[str, str]]:
    (folder / "file.csv").write_bytes(content)
    with Reading(folder / "file.csv", FileFormat.CSV, csv=CsvOptions(**options)) as reading:  # type: ignore[arg-type]
        list(reading.batches())
    return [(doubt.kind, doubt.hint.partition("`")[2].partition("`")[0]) for doubt in reading.doubts]


@pytest.mark.parametrize(
    ("content", "columns", "other"),
    [
        (b"Anzeige;Kosten, EUR\nA;1,50\nB;2,75\n", ["anzeige", "kosten_eur"], ","),
        (
            "Nachname, Vorname;Betrag;Ort\nMüller, A;5;X\n".encode(),
            ["nachname_vorname", "betrag", "ort"],
            ",",
        ),
        (b"Day,Spend;net\r1,1;5\r2,2; 7\r", ["day", "spend_net"], ";"),
        (b"Item, name\tQty\nA, x\t1\n", ["item_name", "qty"], ","),
        (b'Kampagne;"Kosten, netto"\nA;1,50\nB;2,75\n', ["kampagne", "kosten_netto"], ","),
        (b"a,b|c,d\n1,2|3,4\n", ["a", "b_c", "d"], "|"),
        (b"a,b\tc\n1,2\t3\n", ["a", "b_c"], "\\t"),
    ],
)
def test_of_several_delimiters_that_fit_the_likely_one_is_taken_and_told(
    content: bytes, columns: list[str], other: str, tmp_path: Path
) -> None:
    assert list(read(content, tmp_path)[0]) == columns
    assert doubts(content, tmp_path) == [("delimiter", f'csv: {{delimiter: "{other}"}}')]


@pytest.mark.parametrize(
    ("content", "options", "expected"),
    [
        (b"a;b;c\n1;2;3\n4;5\n6;7;8\n", {}, ";"),
        (b"a,b\n1,2\n", {"delimiter": ";"}, ","),
        (b"a;b\n1;2\n", {}, None),
        (b"a;b,c\n1,2\n", {}, None),
        (b'"a;b"\n1\n', {}, None),
        (b"a,b|c,d\n1,2|3,4\n", {"delimiter": "|"}, None),
    ],
)
def test_a_table_of_one_column_with_a_delimiter_in_its_header_is_doubtful(
    content: bytes, options: dict[str, str], expected: str | None, tmp_path: Path
) -> None:
    told = [("delimiter", f'csv: {{delimiter: "{expected}"}}')] if expected else []
    assert doubts(content, tmp_path, **options) == told
