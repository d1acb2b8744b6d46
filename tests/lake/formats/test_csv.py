"""What the CSV reader takes, what it refuses, and with which line."""

import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from amci.kernel.errors import MalformedFile, StorageError
from amci.lake.formats import CsvOptions, FileFormat, Limits, Reading
from amci.lake.formats.csv_reader import csv_batches
from amci.lake.formats.source import ByteSource

CHUNKS = [1, 3, 1 << 20]

Row = tuple[str | None, ...]
Compress = Callable[[bytes], bytes]


def read(
    path: Path, content: bytes, chunk_bytes: int = 1 << 20, **options: Any
) -> tuple[list[str] | None, list[Row]]:
    path.write_bytes(content)
    with Reading(path, FileFormat.CSV, chunk_bytes=chunk_bytes, **options) as reading:
        batches = [batch.data for batch in reading.batches()]
    assert reading.sha256 == hashlib.sha256(content).hexdigest()
    assert reading.bytes == len(content)
    names = batches[0].schema.names if batches else None
    return names, [tuple(row.values()) for batch in batches for row in batch.to_pylist()]


@pytest.fixture
def csv_file(tmp_path: Path) -> Path:
    return tmp_path / "raw.csv"


@pytest.mark.parametrize("chunk_bytes", CHUNKS)
@pytest.mark.parametrize(
    ("content", "rows"),
    [
        pytest.param(b"a,b\n1,2\n", [("1", "2")], id="plain"),
        pytest.param(b"a,b\n1,2", [("1", "2")], id="header and one row without a last line break"),
        pytest.param(b"a,b\n", [], id="header only"),
        pytest.param(b"a,b", [], id="header only without a line break"),
        pytest.param(b'a,b\n1,""\n,x\n', [("1", ""), (None, "x")], id="NULL is not the empty text"),
        pytest.param(b"\n\r\na,b\n\n1,2\n\n\n3,4\n\n", [("1", "2"), ("3", "4")], id="blank lines"),
        pytest.param(b'a,b\r\n"1\r\n2",3\r\n', [("1\r\n2", "3")], id="CRLF, also inside quotes"),
        pytest.param(b"a,b\r1,2\r3,4\r", [("1", "2"), ("3", "4")], id="lone CR"),
        pytest.param(b'"a","b"\n"x ""y"", z",2\n', [('x "y", z', "2")], id="doubled quotes"),
        pytest.param(b"\xef\xbb\xbfa,b\n1,\xc3\xa9\n", [("1", "é")], id="UTF-8 with BOM"),
        pytest.param("a,b\n1,é\n".encode("utf-16"), [("1", "é")], id="UTF-16 with BOM"),
        pytest.param(
            b"\xfe\xff" + "a,b\n1,漢\n".encode("utf-16-be"), [("1", "漢")], id="UTF-16 big endian with BOM"
        ),
        pytest.param(b"a,b\n1,caf\xe9 \x80\n", [("1", "café €")], id="Windows-1252"),
        pytest.param("a,b\n1,€漢😀\n".encode(), [("1", "€漢😀")], id="UTF-8"),
        pytest.param(b"a,b\nC:\\temp,00123\n", [("C:\\temp", "00123")], id="backslashes that escape nothing"),
        pytest.param(b'a,b\n1,"say \\"hi\\", ok"\n', [("1", 'say "hi", ok')], id="AMC's escapes"),
        pytest.param(
            b'a,b\n1,"TV 55\\""\n2,"TV 42\\""\n',
            [("1", 'TV 55"'), ("2", 'TV 42"')],
            id="escape before the end",
        ),
        pytest.param(b'a,b\n"12\\", 14\\"",2\n', [('12", 14"', "2")], id="escape before a delimiter"),
        pytest.param(
            b'a,b\n1,"C:\\x, y\\"\n2,3\n', [("1", "C:\\x, y\\"), ("2", "3")], id="backslash before the end"
        ),
        pytest.param(
            b'a,b\n1,"{""q"":""say \\""hi\\"", ok""}"\n',
            [("1", '{"q":"say \\"hi\\", ok"}')],
            id="JSON inside CSV",
        ),
    ],
)
def test_reads_what_was_written(csv_file: Path, content: bytes, rows: list[Row], chunk_bytes: int) -> None:
    assert read(csv_file, content, chunk_bytes) == (["a", "b"], rows)


@pytest.mark.parametrize("content", [b"", b"\n\r\n\n", b"\xef\xbb\xbf"])
def test_a_file_without_a_header_gives_no_batch(csv_file: Path, content: bytes) -> None:
    assert read(csv_file, content) == (None, [])


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_a_blank_line_is_a_null_in_a_file_of_one_column(csv_file: Path, newline: bytes) -> None:
    content = newline.join([b"", b"a", b"1", b"", b'""', b"2", b""])
    assert read(csv_file, content) == (["a"], [("1",), (None,), ("",), ("2",)])


def test_a_last_blank_line_is_a_row_only_where_it_is_ended(csv_file: Path) -> None:
    assert read(csv_file, b"a\n1\n\n")[1] == [("1",), (None,)]
    assert read(csv_file, b"a\n1\n")[1] == [("1",)]


def test_names_are_catalogue_names_and_unique(csv_file: Path) -> None:
    content = b'Total Sales,total_sales,,"a\nb",run\n1,2,3,4,5\n'
    names, rows = read(csv_file, content, reserved=frozenset({"run"}))
    assert names == ["total_sales_c611c6", "total_sales", "unnamed", "a_b", "run_2"]
    assert rows == [("1", "2", "3", "4", "5")]


@pytest.mark.parametrize(
    ("options", "content", "value"),
    [
        (CsvOptions(delimiter=";", quote="'"), b"a;b\n1;'x;''y'\n", "x;'y"),
        (CsvOptions(delimiter="\t"), b"a\tb\n1\tx,y\n", "x,y"),
        (CsvOptions(encoding="latin-1"), b"a,b\n1,\xc3\xa9\x80\n", "Ã©\x80"),
        (CsvOptions(encoding="utf-16-le"), "a,b\n1,é\n".encode("utf-16-le"), "é"),
        (CsvOptions(encoding="utf-32"), "a,b\n1,é\n".encode("utf-32"), "é"),
        (CsvOptions(encoding="windows-1252"), "a,b\n1,é\n".encode("utf-8-sig"), "é"),
        (CsvOptions(encoding="windows-1252"), "a,b\n1,é\n".encode("utf-16"), "é"),
        (CsvOptions(encoding="utf-8"), b"\xfe\xff" + "a,b\n1,é\n".encode("utf-16-be"), "é"),
        (CsvOptions(encoding="shift_jis"), "a,b\n1,漢\n".encode("shift_jis"), "漢"),
        (CsvOptions(encoding="UTF8"), b"\xef\xbb\xbfa,b\n1,\xc3\xa9\n", "é"),
        (CsvOptions(escape="backslash"), b'a,b\n1,"x\\\\\\"y\\\\"\n', 'x\\"y\\'),
        (CsvOptions(escape="backslash", apostrophe=True), b'a,b\n1,"5\\" x"\n', "5' x"),
        (CsvOptions(escape="backslash"), b'a,b\n1,"C:\\\\d\\\\"\n', "C:\\\\d\\"),
        (CsvOptions(formulas_as_text=True), b'="a",b\n1,="007"\n', "007"),
        (CsvOptions(formulas_as_text=True), b'a,b\n1,"=""say """"x"""", y"""\n', 'say "x", y'),
        (CsvOptions(strip=True), b'a, b\n 1 ,\t"x y" \n', '"x y"'),
        (CsvOptions(strip=True, formulas_as_text=True), b'a, b\n 1, ="007"\n', "007"),
        (CsvOptions(formulas_as_text=True), b'a,b\n1,=A1&"7"\n', '=A1&"7"'),
        (CsvOptions(), b'a,b\n1,="007"\n', '="007"'),
        (CsvOptions(escape="double"), b'a,b\n1,"x\\"\n', "x\\"),
        (CsvOptions(escape="auto", apostrophe=True), b'a,b\n1,"5\\" x"\n', "5' x"),
    ],
)
@pytest.mark.parametrize("chunk_bytes", CHUNKS)
def test_what_is_declared_wins(
    csv_file: Path, options: CsvOptions, content: bytes, value: str, chunk_bytes: int
) -> None:
    assert read(csv_file, content, chunk_bytes, csv=options) == (["a", "b"], [("1", value)])


LOADED = "its last row looks like a total of the others, and was loaded as one of them"


@pytest.mark.parametrize(
    ("content", "options", "hint"),
    [
        (b"a,b\nx,1\nTotal,1\n", {}, "csv: {footer_lines: 1}"),
        (b"a,b,c\n1,x,1\n,Grand total:,1\n\n", {}, "csv: {footer_lines: 1}"),
        (b"a,b\nx,1\nSumme,1\n20 rows\n", {"footer_lines": 1}, "csv: {footer_lines: 2}"),
        (b"a,b\nx,1\nTotal,1\n", {"footer_lines": 1}, ""),
        (b"a,b\nTotal,1\n", {}, ""),
        (b"a,b\nTotal,1\nx,1\n", {}, ""),
        (b"a,b\nx,1\nTotal,1\nTotal,2\n", {}, ""),
        (b"a,b\nx,1\nTotals of May,1\n", {}, ""),
        (b"a,b\nx,1\nTotal,1\n,\n , \n", {}, "csv: {footer_lines: 3}"),
        (b"a\nx\nTotal\n\n", {}, "csv: {footer_lines: 1}"),
        (b"a,b\nx,1\n,\n", {}, ""),
        *(
            (f"a,b\nx,1\n{word},1\n".encode(), {}, "footer_lines: 1")
            for word in (
                "Totaux",
                "Sous-total",
                "Somme",
                "Overall",
                "Total (USD)",
                "Gesamt (EUR):",
                "Total USD",
                "Total €",
                "Итог",
                "总 计",
                "合計（円）",
            )
        ),
        *(
            (f"a,b\nx,1\n{word},1\n".encode(), {}, "")
            for word in ("Total Wireless", "Total net", "Summer", "Sum of x")
        ),
    ],
)
def test_a_total_in_the_last_row_is_doubtful(
    csv_file: Path, content: bytes, options: dict[str, Any], hint: str
) -> None:
    csv_file.write_bytes(content)
    with Reading(csv_file, FileFormat.CSV, csv=CsvOptions(**options)) as reading:
        list(reading.batches())
    assert [doubt.says for doubt in reading.doubts] == ([LOADED] if hint else [])
    assert all(hint in doubt.hint for doubt in reading.doubts)


LOST = "one of the last lines, which `footer_lines` leaves out, looks like a row"


@pytest.mark.parametrize(
    ("after", "lines", "is_told"),
    [
        (b"y,2", 1, True),
        (b"y,2\n\n", 1, True),
        (b"y,2\nTotal,3", 2, True),
        (b'"y,z",2', 1, True),
        (b"Total (USD),2", 1, False),
        (b"Made on 2026-11-01,", 1, False),
        (b",2", 1, False),
        (b"made, by, hand", 1, False),
        (b"y,2", 0, False),
    ],
)
def test_a_row_that_is_left_out_for_a_total_is_doubtful(
    csv_file: Path, after: bytes, lines: int, is_told: bool
) -> None:
    csv_file.write_bytes(b"a,b\nx,1\n" + after)
    with Reading(csv_file, FileFormat.CSV, csv=CsvOptions(footer_lines=lines)) as reading:
        list(reading.batches())
    assert [doubt.says for doubt in reading.doubts] == ([LOST] if is_told else [])


@pytest.mark.parametrize("chunk_bytes", CHUNKS)
@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        pytest.param(b"a,b\n1,2\n3,4,5\n", 3, "3 values where the header has 2", id="too many values"),
        pytest.param(b"a,b\n1,2\n3\n4,5\n", 3, "1 values where the header has 2", id="too few values"),
        pytest.param(b'a,b\n"x\n\ny",2\r\n\n1\n', 6, "1 values", id="physical lines are counted"),
        pytest.param(b'a,b\n1,2\n3,"x\n4,5\n', 3, "never closed", id="quote never closed"),
        pytest.param(b'a,b\n1,2\n3,"x', 3, "never closed", id="quote open at the end"),
        pytest.param(b'a\n1\n"x\n', 3, "never closed", id="quote never closed in one column"),
        pytest.param(b'"a,b\n1,2\n', 1, "never closed", id="quote never closed in the header"),
        pytest.param(b"a,b\n1,2\n3,\0\n", 3, "NUL", id="NUL"),
        pytest.param(b"a,\0\n1,2\n", 1, "NUL", id="NUL in the header"),
        pytest.param(b"a,b\n1,\xc3\xa9\n3,\xff\n", 3, "not utf-8", id="UTF-8 that breaks off"),
    ],
)
def test_a_fault_is_refused_with_its_line(
    csv_file: Path, content: bytes, line: int, says: str, chunk_bytes: int
) -> None:
    with pytest.raises(MalformedFile, match=says) as refused:
        read(csv_file, content, chunk_bytes)
    assert refused.value.line == line
    assert refused.value.hint


def test_text_that_is_not_in_the_declared_encoding_is_refused_with_its_line(csv_file: Path) -> None:
    for encoding, content in (("utf-8", b"a,b\n1,\xff\n"), ("ascii", b"a,b\n1,\xc3\xa9\n")):
        with pytest.raises(MalformedFile, match=f"not {encoding}") as refused:
            read(csv_file, content, csv=CsvOptions(encoding=encoding))
        assert refused.value.line == 2


def test_utf16_that_is_cut_inside_a_character_is_refused(csv_file: Path) -> None:
    with pytest.raises(MalformedFile, match="not utf-16"):
        read(csv_file, "a,b\n1,2\n".encode("utf-16")[:-1])


def test_no_message_holds_a_value(csv_file: Path) -> None:
    with pytest.raises(MalformedFile) as refused:
        read(csv_file, b"a,b\nsecret,x,y\n")
    assert "secret" not in str(refused.value) + refused.value.hint
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress], ids=["gzip", "zstd"])
def test_compressed_members_one_after_another_are_one_file(csv_file: Path, compress: Compress) -> None:
    assert read(csv_file, compress(b"a,b\n1,2\n") + compress(b"3,4\n"))[1] == [("1", "2"), ("3", "4")]


@pytest.mark.parametrize("chunk_bytes", CHUNKS)
@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress], ids=["gzip", "zstd"])
def test_a_compressed_file_that_is_cut_anywhere_is_refused(
    tmp_path: Path, compress: Compress, chunk_bytes: int
) -> None:
    content = compress(b"a,b\n1,2\n3,4\n")
    name = tmp_path / ("raw.csv.gz" if compress is gzip.compress else "raw.csv.zst")
    for length in range(1, len(content)):
        with pytest.raises(MalformedFile):
            read(name, content[:length], chunk_bytes)


def test_a_damaged_compressed_file_is_refused(csv_file: Path) -> None:
    content = bytearray(gzip.compress(b"a,b\n" + bytes(range(48, 58)) * 50 + b",1\n"))
    content[-6] ^= 0xFF
    with pytest.raises(MalformedFile, match="damaged"):
        read(csv_file, bytes(content))


def test_a_name_that_promises_compression_is_held_to_it(tmp_path: Path) -> None:
    with pytest.raises(MalformedFile, match="gzip"):
        read(tmp_path / "raw.csv.GZ", b"a,b\n1,2\n")


def test_decompression_bombs_are_refused(csv_file: Path) -> None:
    content = gzip.compress(b"a,b\n" + b"1,2\n" * 500_000)
    ratio = Limits(ratio_after_bytes=1 << 20, max_ratio=100)
    for limits, says in ((Limits(max_expanded_bytes=1 << 20), "1048576 bytes"), (ratio, "100 times")):
        with pytest.raises(MalformedFile, match=says):
            read(csv_file, content, limits=limits)
    assert len(read(csv_file, content)[1]) == 500_000


def test_absurd_lines_are_refused_with_their_line(csv_file: Path) -> None:
    long = b"a,b\n1,2\n3," + b"x" * 5000 + b"\n"
    assert len(read(csv_file, long, limits=Limits(max_line_bytes=6000))[1]) == 2
    for content, line in ((long, 3), (b"a" * 5000 + b",b\n", 1), (b'a,b\n1,"' + b"x\n" * 5000, 2)):
        with pytest.raises(MalformedFile, match="longer than 1000 bytes") as refused:
            read(csv_file, content, 64, limits=Limits(max_line_bytes=1000))
        assert refused.value.line == line


def test_absurd_headers_are_refused(csv_file: Path) -> None:
    with pytest.raises(MalformedFile, match="11 columns"):
        read(csv_file, b"," * 10 + b"\n", limits=Limits(max_columns=10))


def streamed(path: Path, block_bytes: int, chunk_bytes: int, limits: Limits) -> list[Row]:
    source = ByteSource(path, chunk_bytes=chunk_bytes)
    try:
        batches = list(
            csv_batches(source, CsvOptions(), limits, frozenset(), set(), {}, [], block_bytes=block_bytes)
        )
    finally:
        source.close()
    return [tuple(row.values()) for batch in batches for row in batch.data.to_pylist()]


@pytest.mark.parametrize("chunk_bytes", [100, 4096, 1 << 20])
def test_a_record_longer_than_a_block_is_read_and_no_row_comes_twice(
    csv_file: Path, chunk_bytes: int
) -> None:
    rows = [(str(i), f"v\n{i}") for i in range(3000)]
    rows[2000] = ("long", "y" * 50_000)
    csv_file.write_text("a,b\n" + "".join(f'{a},"{b}"\n' for a, b in rows))
    assert streamed(csv_file, 4096, chunk_bytes, Limits(max_line_bytes=60_000)) == rows


def test_a_record_longer_than_any_block_is_refused_with_its_line(csv_file: Path) -> None:
    csv_file.write_text("a,b\n" + "1,2\n" * 3000 + "3," + "y" * 50_000 + "\n" + "1,2\n" * 3000)
    with pytest.raises(MalformedFile, match="longer than") as refused:
        streamed(csv_file, 4096, 4096, Limits(max_line_bytes=10_000))
    assert refused.value.line == 3002


def test_a_fault_deep_in_a_streamed_file_has_its_line(csv_file: Path) -> None:
    good = "1,2\n" * 3000
    for bad, line in (("1,2,3\n", 3002), ('1,"x\n', 3002), ("1,\0\n", 3002)):
        csv_file.write_text("a,b\n" + good + bad + good * (bad != '1,"x\n'))
        with pytest.raises(MalformedFile) as refused:
            streamed(csv_file, 4096, 1000, Limits())
        assert refused.value.line == line


def test_escapes_that_begin_deep_in_a_file_are_found(csv_file: Path) -> None:
    rows = [(str(i), "C:\\x") for i in range(20_000)] + [("1", 'say "hi", ok')] * 3
    csv_file.write_text("a,b\n" + "".join('{},"{}"\n'.format(a, b.replace('"', '\\"')) for a, b in rows))
    assert streamed(csv_file, 4096, 1000, Limits()) == rows


def test_a_file_that_vanished_says_so_itself(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Reading(tmp_path / "gone.csv", FileFormat.CSV)


def test_what_cannot_be_read_is_the_disks_fault(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        Reading(tmp_path, FileFormat.CSV)


def test_a_file_replaced_or_removed_while_read_stays_the_one_opened(csv_file: Path) -> None:
    csv_file.write_bytes(b"a,b\n1,2\n")
    with Reading(csv_file, FileFormat.CSV) as reading:
        other = csv_file.with_suffix(".new")
        other.write_bytes(b"a,b\n9,9\n")
        other.replace(csv_file)
        csv_file.unlink()
        rows = [row for batch in reading.batches() for row in batch.data.to_pylist()]
    assert rows == [{"a": "1", "b": "2"}]
    assert reading.sha256 == hashlib.sha256(b"a,b\n1,2\n").hexdigest()


def test_a_file_that_grows_while_read_is_hashed_as_it_was_read(csv_file: Path) -> None:
    csv_file.write_bytes(b"a,b\n" + b"1,2\n" * 1000)
    with Reading(csv_file, FileFormat.CSV, chunk_bytes=100) as reading:
        with csv_file.open("ab") as more:
            more.write(b"3,4\n")
        rows = sum(batch.data.num_rows for batch in reading.batches())
    assert rows == 1001
    assert (reading.bytes, reading.sha256) == (4008, hashlib.sha256(csv_file.read_bytes()).hexdigest())


def test_a_reading_can_be_left_in_the_middle(csv_file: Path) -> None:
    csv_file.write_bytes(b"a,b\n" + b"1,2\n" * 4_000_000)
    with Reading(csv_file, FileFormat.CSV) as reading:
        first = next(reading.batches())
    assert 0 < first.data.num_rows < 4_000_000
    assert reading.sha256 == ""


@pytest.mark.parametrize(
    "wrong",
    [
        {"delimiter": ""},
        {"delimiter": ",,"},
        {"quote": "é"},
        {"quote": "\\"},
        {"delimiter": '"'},
        {"encoding": "rot13"},
    ],
)
def test_options_that_cannot_be_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="must"):
        CsvOptions(**wrong)


def test_paths_are_taken_as_they_are(tmp_path: Path) -> None:
    odd = tmp_path / "schedule=daily" / "ümläut #1.csv"
    odd.parent.mkdir()
    assert read(odd, b"a\n1\n") == (["a"], [("1",)])
