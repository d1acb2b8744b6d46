"""What the JSON reader takes, what it refuses, and with which line."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from amci.kernel.errors import MalformedFile
from amci.lake.formats import FileFormat, JsonOptions, Limits, Reading

CHUNKS = [1, 3, 1 << 20]
Row = dict[str, str | None]
EXPLODE = JsonOptions(explode=True)


def read(
    tmp_path: Path, content: bytes, chunk_bytes: int = 1 << 20, **options: Any
) -> tuple[list[tuple[str, list[Row]]], frozenset[tuple[str, str]]]:
    path = tmp_path / "raw.json"
    path.write_bytes(content)
    with Reading(path, FileFormat.JSON, chunk_bytes=chunk_bytes, **options) as reading:
        batches = [(batch.part, batch.data.to_pylist()) for batch in reading.batches()]
    assert reading.bytes == len(content)
    return batches, reading.quoted


def rows(tmp_path: Path, content: bytes, chunk_bytes: int = 1 << 20, **options: Any) -> list[Row]:
    return [row for _, batch in read(tmp_path, content, chunk_bytes, **options)[0] for row in batch]


@pytest.mark.parametrize("chunk_bytes", CHUNKS)
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b'[{"a":1.10},{"a":1e400}]', [{"a": "1.10"}, {"a": "1e400"}], id="array"),
        pytest.param(
            b'{"a":-0}\n\r\n{"a":12345678901234567890123}',
            [{"a": "-0"}, {"a": "12345678901234567890123"}],
            id="lines",
        ),
        pytest.param(
            b' {"a":true,"b":false,"c":null,"d":""} ',
            [{"a": "true", "b": "false", "c": None, "d": ""}],
            id="object",
        ),
        pytest.param(
            b'{"a":{"b":{"c":1}},"d":[1.50, {"e":"x \\u00e9"},null,true]}',
            [{"a_b_c": "1", "d": '[1.50,{"e":"x é"},null,true]'}],
            id="nested",
        ),
        pytest.param(
            b'[{"a":1},{"b":2},{}]',
            [{"a": "1", "b": None}, {"a": None, "b": "2"}, {"a": None, "b": None}],
            id="missing",
        ),
        pytest.param(
            b'[{"a_b":1,"a":{"b":2},"A B":3}]',
            [{"a_b": "1", "a_b_2e7336": "2", "a_b_fea4c5": "3"}],
            id="names that meet",
        ),
        pytest.param(b'\xef\xbb\xbf{"a":"\xc3\xa9"}', [{"a": "é"}], id="UTF-8 with BOM"),
        pytest.param('{"a":"é"}'.encode("utf-16"), [{"a": "é"}], id="UTF-16"),
        pytest.param(gzip.compress(b'[{"a":1}]'), [{"a": "1"}], id="gzip"),
    ],
)
def test_reads_what_was_written(tmp_path: Path, content: bytes, expected: Any, chunk_bytes: int) -> None:
    assert rows(tmp_path, content, chunk_bytes) == expected


@pytest.mark.parametrize("content", [b"", b" \n", b"[]", b"{}", b"[ ]\n"])
def test_a_file_without_rows_gives_no_batch(tmp_path: Path, content: bytes) -> None:
    assert read(tmp_path, content) == ([], frozenset())


def test_columns_whose_values_were_strings_are_told(tmp_path: Path) -> None:
    content = b'[{"a":1,"b":"1","c":{"d":"x1"},"e":["x"]},{"a":"2","b":null}]'
    assert read(tmp_path, content)[1] == {("", "a"), ("", "b"), ("", "c_d")}


@pytest.mark.parametrize(
    ("strings", "is_quoted"),
    [
        (["n/a", "-", "", " ", "Finland"], False),
        (["x", "TRUE"], True),
        (["-Infinity"], True),
        (["x", "v2"], True),
    ],
)
def test_words_do_not_make_a_column_one_of_strings(
    tmp_path: Path, strings: list[str], *, is_quoted: bool
) -> None:
    path = tmp_path / "raw.json"
    path.write_text(json.dumps([{"a": 1}, *({"a": text, "b": text} for text in strings)]))
    with Reading(path, FileFormat.JSON) as reading:
        list(reading.batches())
    assert reading.quoted == ({("", "a"), ("", "b")} if is_quoted else set())
    assert reading.mixed == ({("", "a")} if is_quoted else set())


AROUND = "it is one object around a list of 2 objects, data: it was loaded as one row"


@pytest.mark.parametrize(
    ("content", "setting"),
    [
        (
            '{"data": [{"a": "a row"}, {"a": "more"}], "n": 1, "a-b": 1}',
            'explode: true, drop: [n, "a-b"]}',
        ),
        ('{"data": [{"a": "x"}, {"a": "y"}]}', "explode: true}"),
        ('{"data": [{"a": 1}], "others": [{"b": 2}]}', None),
        ('{"data": ["a", "b", "c"]}', None),
        ('{"data": []}', None),
        ('{"id": 7, "name": "a rather long one", "items": [{"a": 1}]}', None),
        ('{"data": [{"a": 1}]}\n{"data": [{"a": 2}]}', None),
        ('[{"data": [{"a": 1}, {"a": 2}]}]', None),
        ('{"2026-11-01": [{"a": 1}, {"a": 2}]}', None),
    ],
)
def test_one_object_around_a_list_is_doubtful(tmp_path: Path, content: str, setting: str | None) -> None:
    path = tmp_path / "raw.json"
    path.write_text(content)
    with Reading(path, FileFormat.JSON) as reading:
        list(reading.batches())
    assert [doubt.says for doubt in reading.doubts] == ([AROUND] if setting else [])
    assert all(f"`json: {{{setting}`" in doubt.hint for doubt in reading.doubts)


@pytest.mark.parametrize("chunk_bytes", CHUNKS)
@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        (b'[{"a":1},\n2]', 2, "not an object"),
        (b'[{"a":1},\n[2]]', 2, "not an object"),
        (b"x", 1, "not an object"),
        (b'[{"a":1}\n,{"a":', 2, "ends early"),
        (b'[{"a":1},\n{"a":"x', 2, "ends early"),
        (b'[{"a":1}\n', 2, "ends early"),
        (b'{"a":1}\n{"a"', 2, "ends early"),
        (b'[{"a":1}\n{"a":2}]', 2, "not valid"),
        (b'{"a":1,\n\n"b":x}', 3, "not valid"),
        (b'{"a":01}', 1, "not valid"),
        (b'[{"a":1}]\n]', 2, "after the end"),
        (b'\n{"a":NaN}', 2, "NaN"),
        (b'{"a":-Infinity}', 1, "NaN"),
        (b'{"a":1}\n{"a":"\xff"}', 2, "not utf-8"),
        (b'{"a":1}\n{"a":"\\ud800"}', 2, "not Unicode"),
        (b'{"a":' + b"[" * 100_000, 1, "nested too deeply"),
    ],
)
def test_a_fault_is_refused_with_its_line(
    tmp_path: Path, content: bytes, line: int, says: str, chunk_bytes: int
) -> None:
    if chunk_bytes < 100 < len(content):
        chunk_bytes = 1000
    with pytest.raises(MalformedFile, match=says) as refused:
        read(tmp_path, content, chunk_bytes)
    assert refused.value.line == line
    assert refused.value.hint


@pytest.mark.parametrize("chunk_bytes", CHUNKS)
def test_each_array_of_an_exploded_object_is_a_part(tmp_path: Path, chunk_bytes: int) -> None:
    content = json.dumps(
        {
            "salesByDate": [{"date": "2026-01-01", "sales": {"amount": 1.5, "currency": "C1"}}],
            "reportSpecification": {"reportType": "X", "options": [1]},
            "empty": [],
            "salesByAsin": [{"asin": "B0"}, {"asin": "B1"}],
        }
    ).encode()
    batches, quoted = read(tmp_path, content, chunk_bytes, json=EXPLODE)
    assert batches == [
        ("salesByDate", [{"date": "2026-01-01", "sales_amount": "1.5", "sales_currency": "C1"}]),
        ("salesByAsin", [{"asin": "B0"}, {"asin": "B1"}]),
    ]
    assert quoted == {("salesByDate", "date"), ("salesByDate", "sales_currency"), ("salesByAsin", "asin")}


@pytest.mark.parametrize("chunk_bytes", CHUNKS)
@pytest.mark.parametrize("dropped", [b"12345", b'"x"', b'{"y":[1]}', b"null"])
def test_a_dropped_field_may_hold_anything(tmp_path: Path, dropped: bytes, chunk_bytes: int) -> None:
    options = JsonOptions(explode=True, drop=frozenset({"meta"}))
    content = b'{"meta":' + dropped + b',"A":[{"x":1}]}'
    assert read(tmp_path, content, chunk_bytes, json=options)[0] == [("A", [{"x": "1"}])]


def test_null_beside_arrays_is_nothing(tmp_path: Path) -> None:
    content = b'{"next":null,"A":[{"x":1}],"B": null}'
    assert read(tmp_path, content, json=EXPLODE)[0] == [("A", [{"x": "1"}])]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'{"A":1}', "the field A of the object is not an array"),
        (b'{"A":[],"next-page":"x"}', 'the field "next-page" of the object is not an array'),
        (b'{"A":{"n":null}}', "the field A"),
        (b'{"A":nul}', "not valid JSON"),
        (b'[{"a":1}]', "it|row|JSON|text"),
        (b'{"A":[1]}', "it|row|JSON|text"),
        (b'{"A":[],"A":[]}', "the field A of the object comes twice"),
        (b'{"A":[{"x":1}]', "it|row|JSON|text"),
        (b'{"A":[]} {}', "it|row|JSON|text"),
        (b"{A:[]}", "it|row|JSON|text"),
        (b'{"A"}', "it|row|JSON|text"),
    ],
)
def test_what_cannot_be_exploded_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(MalformedFile, match=says) as refused:
        read(tmp_path, content, json=EXPLODE)
    assert refused.value.line == 1


def test_columns_only_grow_from_batch_to_batch(tmp_path: Path) -> None:
    content = b"".join(b'{"a":%d}\n' % i for i in range(25_000)) + b'{"b":"x1"}'
    path = tmp_path / "raw.jsonl"
    path.write_bytes(content)
    with Reading(path, FileFormat.JSON, chunk_bytes=5000) as reading:
        batches = [batch.data for batch in reading.batches()]
    assert [batch.schema.names for batch in batches] == [["a"], ["a", "b"]]
    assert [value.as_py() for batch in batches for value in batch["a"]] == [*map(str, range(25_000)), None]
    assert reading.quoted == {("", "b")}


@pytest.mark.parametrize("chunk_bytes", [64, 1 << 20])
@pytest.mark.parametrize("tail", [b'"}]', b""])
def test_absurd_rows_are_refused(tmp_path: Path, tail: bytes, chunk_bytes: int) -> None:
    content = b'[{"a":1},\n{"a":"' + b"x" * 5000 + tail
    with pytest.raises(MalformedFile, match="longer than 1000") as refused:
        read(tmp_path, content, chunk_bytes, limits=Limits(max_line_bytes=1000))
    assert refused.value.line == 2


def test_absurdly_many_columns_are_refused(tmp_path: Path) -> None:
    content = b"[{" + b",".join(b'"c%d":1' % i for i in range(11)) + b"}]"
    with pytest.raises(MalformedFile, match="more than 10 columns"):
        read(tmp_path, content, limits=Limits(max_columns=10))


def test_a_plain_json_row_of_five_thousand_digits_keeps_them(tmp_path: Path) -> None:
    digits = "1" * 5000
    assert rows(tmp_path, b'{"a":%s}' % digits.encode()) == [{"a": digits}]


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity"])
def test_what_is_not_finite_is_null_if_the_dataset_says_so(text: str, tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    path.write_text(f'[{{"a": 1, "b": {text}, "c": [{text}]}}]', encoding="utf-8")
    with Reading(path, FileFormat.JSON, json=JsonOptions(not_finite=True)) as reading:
        [batch] = list(reading.batches())
    assert batch.data.to_pylist() == [{"a": "1", "b": None, "c": "[null]"}]


CASES = Path(__file__).parents[2] / "field_cases" / "kinds"


@pytest.mark.parametrize("chunk_bytes", [1, 7, 1 << 20])
@pytest.mark.parametrize(
    ("content", "line"),
    [
        ((CASES / "keys.json").read_bytes(), 1),
        (b'{"b":"1:2"}\n{"a":1,"b":2,"a":1}', 2),
        (b'{"a" :1,"a":2}', 1),
        (b'{"a" : 1,\n"a" : 2}', 1),
        (b'{"a"  :1,"a"\n:2}', 1),
        (b'{"a": {"b": 1, "b": 2}}', 1),
        (b'[{"a": [{"b": 1}, [{"c": 1, "c": 2}]]}]', 1),
        (b'{"a": "say \\":", "b": 1, "b": 2}', 1),
        (b'{"x\\\\":1,"a":1,"a":2}', 1),
        (b'{"a":1,"\\u0061":2}', 1),
        ('{"ä":"é\\":1","ä":2}'.encode(), 1),
    ],
)
def test_a_key_that_stands_twice_is_refused(
    tmp_path: Path, content: bytes, line: int, chunk_bytes: int
) -> None:
    with pytest.raises(MalformedFile, match="an object has a key twice") as refused:
        rows(tmp_path, content, chunk_bytes)
    assert refused.value.line == line
    assert "repeated_key: last" in refused.value.hint
    assert rows(tmp_path, content, chunk_bytes, json=JsonOptions(repeated_key=True))[-1] != {"a": "1"}


@pytest.mark.parametrize("chunk_bytes", [1, 1 << 20])
@pytest.mark.parametrize(
    "content",
    [
        b'{"a" : "x : \\" : y", "b":{"a":1},"c":[{"a":1},{"a":2}]}',
        b'{"a":"\\":\\":","x\\\\":"y\\\\"}\n{"a":"b"\t,"b"\t:1}',
        '{"ä:":"ö:","b":":"}'.encode(),
        b'{"a":{},"b":[],"c":[[]],"":""}',
    ],
)
def test_what_only_looks_like_a_second_key_is_read(tmp_path: Path, content: bytes, chunk_bytes: int) -> None:
    assert rows(tmp_path, content, chunk_bytes)


@pytest.mark.parametrize("row", ['{"a":"x","b":1}', '{"a" : "\\": ", "b":1}', '{"é": 1, "b" : 2}'])
def test_a_key_that_stands_twice_is_found_at_the_end_of_a_long_text(row: str, tmp_path: Path) -> None:
    good = "\n".join([row] * 6000)
    assert len(rows(tmp_path, good.encode())) == 6000
    with pytest.raises(MalformedFile, match="a key twice") as refused:
        rows(tmp_path, (good + "\n" + row.replace('"b"', '"b":0,"b"')).encode())
    assert refused.value.line == 6001
