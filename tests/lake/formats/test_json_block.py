"""Rows read at once are what they are if each is read by itself, and faults in them are told alike."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from amci.kernel.errors import MalformedFile
from amci.lake.formats import FileFormat, JsonOptions, Limits, Reading, json_reader
from amci.lake.formats.json_cursor import Cursor

TEXTS = [
    "",
    "a",
    "x y",
    "true",
    "-inf",
    "n/a",
    "é",
    "日本",
    "😀",
    'a"b',
    "\\",
    '\\"',
    '":',
    "{",
    "]",
    ",",
    "\n",
    "7",
]
NUMBERS = [
    "0",
    "-0",
    "1.10",
    "-1.5e3",
    "1E5",
    "1e400",
    "12345678901234567890123",
    "true",
    "false",
    "null",
    "null",
]
FAULTS = [
    '"',
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\\",
    "\n",
    "1",
    "n",
    "\x01",
    '","',
    '":',
    "NaN",
    '"\\ud800"',
    "\u00a0",
]
KEYS = ["a", "b", "a_b", "é", 'k"', "x\\", ""]


def value(rng: random.Random, depth: int) -> str:
    kind = rng.random() + depth / 10
    if kind < 0.1:
        return row(rng, rng.sample(KEYS, rng.randrange(3)), depth + 3)
    if kind < 0.2:
        return f"[{', '.join(value(rng, depth + 3) for _ in range(rng.randrange(4)))}]"
    text = json.dumps(rng.choice(TEXTS), ensure_ascii=rng.random() < 0.5)
    return rng.choice((text, rng.choice(NUMBERS)))


def row(rng: random.Random, keys: list[str], depth: int = 0) -> str:
    space = rng.choice(("", " ", "\r\n\t")) if rng.random() < 0.1 else ""
    fields = (f"{json.dumps(key)}:{space}{value(rng, depth)}{space}" for key in keys if rng.random() < 0.95)
    return f"{{{space}{', '.join(fields)}}}"


def hostile(seed: int) -> tuple[bytes, JsonOptions]:
    rng = random.Random(seed)  # noqa: S311
    keys = rng.sample(KEYS, 4) + (["a", "a"] if seed % 40 == 0 else [])
    rows = [row(rng, keys) for _ in range(rng.choice((2, 30)))]
    explode = seed % 4 == 0
    text = (f"[{', '.join(rows)}]", " \n".join(rows))[seed % 2]
    text = f'{{"p": [{", ".join(rows)}], "q": [{rows[0]}]}}' if explode else text
    for _ in range(rng.choice((0, 0, 1, 2))):
        place = rng.randrange(len(text))
        text = text[:place] + rng.choice(FAULTS) + text[place + rng.randrange(2) :]
    options = JsonOptions(explode=explode, not_finite=seed % 3 == 0, repeated_key=seed % 5 == 0)
    return text.encode(), options


def read(path: Path, content: bytes, options: JsonOptions, chunk_bytes: int) -> Any:
    path.write_bytes(content)
    try:
        with Reading(path, FileFormat.JSON, json=options, chunk_bytes=chunk_bytes) as reading:
            batches = [(batch.part, batch.data.to_pydict()) for batch in reading.batches()]
    except MalformedFile as refused:
        return str(refused), refused.line, refused.hint
    return batches, reading.quoted, reading.mixed, reading.doubts


@pytest.fixture
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_reader, "LEAST", 1)


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What of the text was read value by value."""
    seen: list[str] = []
    value = Cursor.value

    def noted(cursor: Cursor) -> Any:
        found = value(cursor)
        seen.append(str(found[0]))
        return found

    monkeypatch.setattr(Cursor, "value", noted)
    return seen


def test_it_reads_what_is_read_row_by_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(60):
        content, options = hostile(seed)
        chunk_bytes = (100, 1 << 20)[seed % 2]
        monkeypatch.setattr(json_reader, "LEAST", 1 << 30)
        expected = read(tmp_path / "raw.json", content, options, chunk_bytes)
        monkeypatch.setattr(json_reader, "LEAST", 1)
        assert read(tmp_path / "raw.json", content, options, chunk_bytes) == expected, seed


@pytest.mark.usefixtures("_at_once")
@pytest.mark.parametrize(
    "rows",
    [
        '{"a": 1.10, "b": "x"}\n{"a": -0, "b": null}\n',
        '[{"a": 1},\n {"b": 2}, {"b": 3, "a": 4}]',
        '[\r\n{\r\n\t"a" : 1\r\n}\r\n,{"a":2}]',
        '{"a": "say \\"x\\": \\\\", "b": "\\u00e9"} {"a": "\\ud83d\\ude00", "b": "é"}',
        '{"a": {"b": {"c": 1}}, "d": 2}\n{"d": 3, "a": null}\n{"a": {}}',
        '{"a": [1.50, {"b": "x, y"}, [null, "\\u00e9"]]}\n{"a": [ ]}',
        '{"caf\\u00e9": 1}{"café": 2}',
        '{"a": 1, "b":%s"x"}\n{}\n{"b": "y" }' % (" " * 500),
    ],
)
def test_what_is_usual_is_read_at_once(rows: str, tmp_path: Path, one_by_one: list[str]) -> None:
    read(tmp_path / "raw.json", rows.encode(), JsonOptions(), 1 << 20)
    assert one_by_one == []


@pytest.mark.usefixtures("_at_once")
def test_a_single_row_is_told_apart_from_many(tmp_path: Path) -> None:
    content = b'{"data": [{"a": "a row"}, {"a": "more"}]}'
    *_, doubts = read(tmp_path / "raw.json", content, JsonOptions(), 1 << 20)
    assert [doubt.kind for doubt in doubts] == ["rows"]


def test_rows_without_fields_are_counted(tmp_path: Path, one_by_one: list[str]) -> None:
    content = b"{}\n" * 30_000 + b'{"a": 1}\n' * 3000
    [(_, found)], *_ = read(tmp_path / "raw.json", content, JsonOptions(), 1 << 20)
    assert found == {"a": [None] * 30_000 + ["1"] * 3000}
    assert len(one_by_one) < 10


@pytest.mark.usefixtures("_at_once")
def test_a_block_stays_within_the_limits(tmp_path: Path) -> None:
    path = tmp_path / "raw.json"
    path.write_text('{"a":1}\n{"b":2}\n{"c":"' + "x" * 100 + '"}\n{"d":4}')
    for limits, line in ((Limits(max_columns=3), 4), (Limits(max_line_bytes=90), 3)):
        with (
            Reading(path, FileFormat.JSON, limits=limits) as reading,
            pytest.raises(MalformedFile) as refused,
        ):
            list(reading.batches())
        assert refused.value.line == line


def test_a_long_file_is_read_at_once_but_for_a_row_in_each_piece(
    tmp_path: Path, one_by_one: list[str]
) -> None:
    content = b"".join(b'{"a": %d, "b": "x"}\n' % number for number in range(20_000))
    path = tmp_path / "raw.jsonl"
    path.write_bytes(content)
    with Reading(path, FileFormat.JSON, chunk_bytes=len(content) // 4) as reading:
        found = [text for batch in reading.batches() for text in batch.data["a"].to_pylist()]
    assert found == [*map(str, range(20_000))]
    assert len(one_by_one) < 10
