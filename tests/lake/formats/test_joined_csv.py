"""Small files parsed together: what comes out is what each gives alone, or nothing, and then it is read alone."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from amci.kernel.errors import MalformedFile
from amci.lake.formats.joined_csv import joined_rows, may_be_joined, plain_header
from amci.lake.formats.model import CsvOptions, Doubt, FileFormat, Limits
from amci.lake.formats.reading import Reading

_NONE: frozenset[str] = frozenset()
_HEADERS = [
    *(
        b"day,units,note\n",
        b"day,units,note\r\n",
        b'"day","un,its",note\n',
        b"day,units,day\n",
        b"Stra\xc3\x9fe,b,c\n",
    ),
    *(
        b"day;units;note\n",
        b"day,uni;ts,note\n",
        b"one\n",
        b"day,,note\n",
        b"2025,units,note\n",
        b"day,units,note",
    ),
    *(
        b"\nday,units,note\n",
        b"sep=,\nday,units,note\n",
        b"\xef\xbb\xbfday,units,note\n",
        b"<a>,b,c\n",
        b"[1,2,3\n",
    ),
    *(b'day,"un\nits",note\n', b'day,un"its,note\n', b'day,"units"x,note\n', b"day,units,note\rx,y,z\n"),
]
_CELLS = [
    *(
        "2026-11-01",
        "7",
        "12.50",
        "-3",
        "",
        "",
        "x",
        "größer",
        "N/A",
        "Total",
        "day",
        "a b",
        "00123",
        "1.234",
    ),
    *(
        '"a,b"',
        '"a\nb"',
        '"a""b"',
        '""',
        '" "',
        "''",
        "a'b",
        'a"b',
        '"a',
        'a"',
        '"a"b',
        '"""',
        '\\"',
        '"a\\"b"',
    ),
    *('"a\r\nb"', "\x00", "\t", "\\N", '="007"', " 7 ", "+1", "#"),
]
_ENDS = ["\n", "\n", "\n", "\r\n", "\r"]


def _body(rng: random.Random) -> bytes:
    """A few rows: most of them plain, and now and then a cell or an end that is hostile."""
    hostile = rng.random() < 0.6
    cells = _CELLS if hostile else _CELLS[:16]
    text, end = "", rng.choice(_ENDS) if hostile else "\n"
    for _ in range(rng.randrange(2)):
        columns = 3 if rng.random() < 0.97 else rng.randrange(1, 5)
        text += ",".join(rng.choice(cells) for _ in range(columns)) + end
        text += "\n" if hostile and rng.random() < 0.05 else ""
    if rng.random() < 0.3:
        text = text.rstrip("\r\n")
    return text.encode("latin-1" if hostile and rng.random() < 0.05 else "utf-8")


def _alone(
    path: Path, content: bytes, options: CsvOptions
) -> tuple[list[str], list[tuple[object, ...]], list[Doubt]]:
    path.write_bytes(content)
    with Reading(path, FileFormat.CSV, is_guess=True, csv=options, reserved=_NONE) as reading:
        batches = [batch.data for batch in reading.batches()]
        assert reading.facts.quoted | reading.facts.guessed.keys() == set()
    rows = [tuple(row.values()) for batch in batches for row in batch.to_pylist()]
    return batches[0].schema.names, rows, reading.doubts


def _together(
    contents: list[bytes], options: CsvOptions
) -> Iterator[tuple[int, list[str], list[tuple[object, ...]]]]:
    plain = {}
    for at, content in enumerate(contents):
        if header := plain_header(content, options, Limits(), _NONE, _NONE):
            plain.setdefault(header, []).append(at)
    for header, files in plain.items():
        for rows in joined_rows([contents[at] for at in files], header):
            for file, start, count in rows.members:
                found = rows.data.slice(start, count).to_pylist()
                yield files[file], rows.data.schema.names, [tuple(row.values()) for row in found]


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    "options", [CsvOptions(), CsvOptions(escape="double"), CsvOptions(quote="", delimiter=",")]
)
def test_what_is_read_together_is_what_each_file_gives_alone(
    seed: int, options: CsvOptions, tmp_path: Path
) -> None:
    rng = random.Random(f"{seed} {options}")  # noqa: S311 - it only has to be the same each time
    read = 0
    for header in _HEADERS:
        contents = [header + _body(rng) for _ in range(20)]
        for at, names, rows in _together(contents, options):
            assert (names, rows, []) == _alone(tmp_path / "a.csv", contents[at], options), contents[at]
            read += 1
    assert read  # it is not right because it never happens


def test_files_as_amc_writes_them_are_read_together() -> None:
    header = b"day,campaign,cost\n"
    contents = [header + f'2026-11-{n:02},"Always on, {n}",{n}.5\n'.encode() * n for n in range(1, 29)]
    found = {at: rows for at, _, rows in _together(contents, CsvOptions())}
    assert found == {n - 1: [(f"2026-11-{n:02}", f"Always on, {n}", f"{n}.5")] * n for n in range(1, 29)}


@pytest.mark.parametrize(
    "bad",
    [
        b'1,"open,3\n',  # a quote that is never closed
        b'1,"open\n2,"open,3\n',
        b'1,a"b",3\n',
        b"1,2\n",  # a row is short, or the file was cut off
        b"1,2,3\n1,2",
        b"1,2,3,\n",
        b"Total,2,3\n",
        b"day,units,note\n",
        b"\n\n",
        b"",
    ],
)
def test_a_file_that_is_not_plain_is_left_out_and_disturbs_no_other(bad: bytes) -> None:
    header = b"day,units,note\n"
    contents = [header + f"{n},{n},{n}\n".encode() for n in range(40)]
    contents[17] = header + bad
    found = {at: rows for at, _, rows in _together(contents, CsvOptions())}
    expected = {n: [(str(n),) * 3] for n in range(40) if n != 17}
    assert len(found) >= 32  # its neighbours in a text that was refused are read alone
    assert found == {at: expected.get(at) for at in found}


@pytest.mark.parametrize(
    ("options", "are"),
    [
        (CsvOptions(), True),
        (CsvOptions(delimiter=";", quote="'"), True),
        (CsvOptions(skip_lines=1), False),
        (CsvOptions(footer_lines=1), False),
        (CsvOptions(comment="#"), False),
        (CsvOptions(strip=True), False),
        (CsvOptions(formulas_as_text=True), False),
        (CsvOptions(columns=("a", "b")), False),
        (CsvOptions(encoding="latin-1"), False),
    ],
)
def test_only_what_changes_nothing_of_a_file_is_read_together(options: CsvOptions, are: bool) -> None:
    assert may_be_joined(options) is are


def test_a_file_that_fails_alone_is_never_read_together(tmp_path: Path) -> None:
    for content in (b'a,b\n1,"x\n', b"a,b\n1\n", b"a,b\n\x00,1\n", b"a,b\n\xc3\xa4,1\n\xff,1\n"):
        with pytest.raises(MalformedFile):
            _alone(tmp_path / "a.csv", content, CsvOptions())
        assert not list(_together([content, content], CsvOptions()))
