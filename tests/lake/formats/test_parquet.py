"""What the Parquet reader makes of each type, and what it refuses."""

import datetime as dt
import hashlib
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from amci.kernel.errors import MalformedFile
from amci.lake.formats import FileFormat, Limits, Reading

MOMENT = dt.datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=dt.UTC)


def read(path: Path, **options: Any) -> tuple[list[pa.RecordBatch], frozenset[tuple[str, str]]]:
    with Reading(path, FileFormat.PARQUET, **options) as reading:
        batches = [batch.data for batch in reading.batches()]
    assert reading.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert reading.bytes == path.stat().st_size
    assert all(kind == pa.string() for batch in batches for kind in batch.schema.types)
    return batches, reading.quoted


@pytest.mark.parametrize(
    ("values", "kind", "text"),
    [
        ([2**63 - 1, -1, None], pa.int64(), ["9223372036854775807", "-1", None]),
        ([2**64 - 1], pa.uint64(), ["18446744073709551615"]),
        ([True, False], pa.bool_(), ["true", "false"]),
        ([0.1, 1.0, -2.0, 1e300, float("nan")], pa.float64(), ["0.1", "1.0", "-2.0", "1e+300", "nan"]),
        ([0.1], pa.float32(), ["0.1"]),
        ([Decimal("1.10"), Decimal("-0.01")], pa.decimal128(38, 2), ["1.10", "-0.01"]),
        ([MOMENT], pa.timestamp("us", "Europe/Berlin"), ["2026-01-02 03:04:05.123456+00:00"]),
        ([MOMENT.replace(tzinfo=None)], pa.timestamp("us"), ["2026-01-02 03:04:05.123456"]),
        ([dt.date(2026, 1, 2)], pa.date32(), ["2026-01-02"]),
        ([dt.time(1, 2, 3)], pa.time64("us"), ["01:02:03.000000"]),
        (["", "x\n", None], pa.string(), ["", "x\n", None]),
        ([b"x\xc3\xa9"], pa.binary(), ["xé"]),
        ([[1, None], None], pa.list_(pa.int64()), ["[1,null]", None]),
        (
            [{"a": 1.5, "b": dt.date(2026, 1, 1)}],
            pa.struct({"a": pa.float64(), "b": pa.date32()}),
            ['{"a":1.5,"b":"2026-01-01"}'],
        ),
        ([[Decimal("1.10")]], pa.list_(pa.decimal128(5, 2)), ["[1.10]"]),
        ([[MOMENT]], pa.list_(pa.timestamp("us", "UTC")), ['["2026-01-02 03:04:05.123456+00:00"]']),
        ([None], pa.null(), [None]),
    ],
)
def test_every_type_becomes_text_without_loss(
    tmp_path: Path, values: list[Any], kind: pa.DataType, text: list[str | None]
) -> None:
    path = tmp_path / "raw.parquet"
    pq.write_table(pa.table({"a": pa.array(values, kind)}), path)
    batches, _ = read(path)
    assert [value for batch in batches for value in batch["a"].to_pylist()] == text


def test_names_are_catalogue_names_and_strings_count_as_quoted(tmp_path: Path) -> None:
    path = tmp_path / "raw.parquet"
    pq.write_table(
        pa.table({"Total Sales": [1], "asin": ["007"], "run": pa.array(["x"]).dictionary_encode()}), path
    )
    batches, quoted = read(path, reserved=frozenset({"run"}))
    assert batches[0].to_pylist() == [{"total_sales": "1", "asin": "007", "run_2": "x"}]
    assert quoted == {("", "asin"), ("", "run_2")}


def test_a_file_without_rows_gives_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "raw.parquet"
    pq.write_table(pa.table({"a": pa.array([], pa.int64())}), path)
    batches, _ = read(path)
    assert [(batch.schema.names, batch.num_rows) for batch in batches] == [(["a"], 0)]


def test_a_file_without_bytes_gives_no_batch(tmp_path: Path) -> None:
    path = tmp_path / "raw.parquet"
    path.touch()
    assert read(path) == ([], frozenset())


def test_a_file_that_is_cut_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "raw.parquet"
    pq.write_table(pa.table({"a": list(range(1000))}), path)
    content = path.read_bytes()
    for length in range(1, len(content), 97):
        path.write_bytes(content[:length])
        with pytest.raises(MalformedFile, match="not valid Parquet"):
            read(path)


def test_binary_that_is_no_text_is_refused_by_column(tmp_path: Path) -> None:
    path = tmp_path / "raw.parquet"
    for values in ([b"\xff"], [[b"\xff"]]):
        pq.write_table(pa.table({"a": [1], "bin": values}), path)
        with pytest.raises(MalformedFile, match="column bin"):
            read(path)


def test_limits_hold(tmp_path: Path) -> None:
    path = tmp_path / "raw.parquet"
    pq.write_table(pa.table({"a": [0] * 1_000_000, "b": list(range(1_000_000))}), path, use_dictionary=False)
    for limits, says in (
        (Limits(max_columns=1), "columns"),
        (Limits(max_expanded_bytes=1 << 20), "1048576 bytes"),
        (Limits(max_ratio=1, ratio_after_bytes=1 << 20), "1 times"),
    ):
        with pytest.raises(MalformedFile, match=says):
            read(path, limits=limits)
    assert sum(batch.num_rows for batch in read(path)[0]) == 1_000_000


CASES = Path(__file__).parents[2] / "field_cases" / "parquet"
BEGIN, LATER = "2026-11-01 10:00:00.000000", "2026-11-02 10:00:00.000000"


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("int96.parquet", [{"t": BEGIN}, {"t": LATER}]),
        ("ns.parquet", [{"t": BEGIN, "tz": f"{BEGIN}+00:00"}, {"t": LATER, "tz": f"{LATER}+00:00"}]),
    ],
)
def test_nanoseconds_that_are_none_are_left_out(name: str, rows: list[dict[str, str]]) -> None:
    batches, _ = read(CASES / name)
    assert [row for batch in batches for row in batch.to_pylist()] == rows


def test_nanoseconds_that_are_some_are_kept(tmp_path: Path) -> None:
    pq.write_table(pa.table({"t": pa.array([1], pa.timestamp("ns"))}), tmp_path / "f.parquet")
    batches, _ = read(tmp_path / "f.parquet")
    assert batches[0].to_pylist() == [{"t": "1970-01-01 00:00:00.000000001"}]


@pytest.mark.parametrize(
    "kind", [pa.timestamp("us"), pa.timestamp("s", "UTC"), pa.timestamp("ms"), pa.date32()]
)
@pytest.mark.parametrize("year", [-5000, 0, 10_000, 52_462])
def test_moments_that_no_calendar_has_are_refused(kind: pa.DataType, year: int, tmp_path: Path) -> None:
    per_day = {"day": 1, "s": 86_400, "ms": 86_400_000, "us": 86_400_000_000}[getattr(kind, "unit", "day")]
    days = round((year - 1970) * 365.2425) + 180
    stored = pa.array([0, days * per_day], pa.int32() if pa.types.is_date(kind) else pa.int64())
    pq.write_table(pa.table({"a": ["x", "y"], "t": stored.cast(kind)}), tmp_path / "f.parquet")
    with pytest.raises(MalformedFile, match="column t: a moment outside of the years 1 to 9999"):
        read(tmp_path / "f.parquet")


def test_a_moment_far_away_is_refused() -> None:
    with pytest.raises(MalformedFile, match="column t: a moment outside of the years 1 to 9999"):
        read(CASES / "far.parquet")
