"""Writes a query's answer as its rows come, for programs: CSV or Parquet. `result_json` has JSON."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from amci.lake.query.result import QueryResult, has_end_of_day, unwritable

_DATE_BITS = 32


def write_csv(result: QueryResult, target: IO[str]) -> None:
    """All rows as CSV: NULL is nothing, the empty text `""`.

    In a single column NULL is `""` as well: most readers take an empty line for no row.
    """
    import polars as pl

    schema, batches = result.arrow()
    null = '""' if len(result.columns) == 1 else ""
    csv.writer(target, lineterminator="\r\n").writerow(result.columns)
    for batch in batches:
        columns = [texts(column) for column in batch.columns]
        frame = pl.DataFrame([pl.Series(str(n), column) for n, column in enumerate(columns)])
        text = frame.write_csv(include_header=False, line_terminator="\r\n", null_value=null)
        target.write(text if schema.names else "")


def texts(column: pa.Array) -> pa.Array:
    """The column itself if it holds numbers, booleans or text; else its values as text in a file.

    Raises QueryError for a value that Python or Arrow cannot spell, such as an infinite date in a list.
    """
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        return texts(column.storage)
    if pa.types.is_dictionary(kind):
        return column.cast(kind.value_type)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_time(kind):
        return _moments(column)
    if _is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or _is_interval(kind):
        if has_end_of_day(column):
            raise unwritable()
        try:
            values = column.to_pylist(maps_as_pydicts="strict")
        # A time before the year 1 or after 9999; a map whose keys are lists; a key that comes twice.
        except (OverflowError, TypeError, ValueError, LookupError):
            raise unwritable() from None
        return pa.array([value if value is None else _text(value) for value in values], pa.string())
    return column


def _moments(column: pa.Array) -> pa.Array:
    """ISO 8601; DuckDB's infinite dates and times are the largest and the smallest number there is."""
    kind, types = column.type, pa.types
    zone = "Z" if types.is_timestamp(kind) and kind.tz else ""
    numbers = column.view(pa.int32() if kind.bit_width == _DATE_BITS else pa.int64())
    plain = column.cast(pa.timestamp(kind.unit)) if zone else column
    if types.is_date(kind):
        spelt = plain.cast(pa.string())
    elif (whole := _seconds(plain, numbers)) is not None:
        spelt = whole.cast(pa.string())
    else:
        spelt = pc.replace_substring_regex(plain.cast(pa.string()), r"\.0+$", "")
    is_strange = pc.starts_with(spelt, "<")
    if types.is_timestamp(kind):
        spelt = pc.replace_substring(spelt, " ", "T", max_replacements=1)
    if zone:
        spelt = pc.binary_join_element_wise(spelt, zone, "")
    is_infinite = pc.equal(pc.abs(numbers), 2 ** (kind.bit_width - 1) - 1)
    if pc.any(pc.and_not(is_strange, is_infinite)).as_py():
        raise unwritable()
    if not pc.any(is_infinite).as_py():
        return spelt
    return pc.if_else(is_infinite, pc.if_else(pc.less(numbers, 0), "-infinity", "infinity"), spelt)


def _seconds(column: pa.Array, numbers: pa.Array) -> pa.Array | None:
    """The times in seconds, as which they are spelled without a fraction; None if one has a fraction of a second."""
    kind = column.type
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[kind.unit]
    is_whole = pc.equal(pc.multiply(pc.divide(numbers, per_second), per_second), numbers)
    if not pc.all(is_whole, min_count=0).as_py():
        return None
    return column.cast(pa.timestamp("s") if pa.types.is_timestamp(kind) else pa.time32("s"))


def _is_nested(kind: pa.DataType) -> bool:
    return bool(pa.types.is_nested(kind))


def _is_interval(kind: pa.DataType) -> bool:
    return bool(pa.types.is_interval(kind) or pa.types.is_duration(kind))


def _text(value: Any) -> str:
    return (
        as_json(value) if isinstance(value, list | dict | tuple) and not _is_period(value) else _plain(value)
    )


def _is_period(value: Any) -> bool:
    return isinstance(value, pa.MonthDayNano)


def unique(names: Sequence[str]) -> list[str]:
    """The names of columns, those that come again with a number behind them."""
    taken: set[str] = set()
    found = []
    for name in names:
        free, n = name, 1
        while free in taken or (n > 1 and free in names):
            n += 1
            free = f"{name}_{n}"
        taken.add(free)
        found.append(free)
    return found


def as_json(value: Any) -> str:
    """A value of a row as JSON text."""
    if value is None or isinstance(value, bool | int | str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else "null"
    if isinstance(value, Decimal):
        return f"{value:f}" if value.is_finite() else "null"
    if isinstance(value, dict):
        fields = (f"{json.dumps(_key(k), ensure_ascii=False)}: {as_json(v)}" for k, v in value.items())
        return f"{{{', '.join(fields)}}}"
    if isinstance(value, list | tuple) and not _is_period(value):
        return f"[{', '.join(map(as_json, value))}]"
    return json.dumps(_plain(value), ensure_ascii=False)


def _key(value: Any) -> str:
    return value if isinstance(value, str) else as_json(value)


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return _period(0, value.days, (value.seconds * 1_000_000 + value.microseconds) * 1_000)
    if isinstance(value, pa.MonthDayNano):
        return _period(value.months, value.days, value.nanoseconds)
    return value.hex() if isinstance(value, bytes) else str(value)


def _period(months: int, days: int, nanoseconds: int) -> str:
    """An ISO 8601 period: P1M2DT3.5S."""
    return f"P{months}M{days}DT{Decimal(nanoseconds) / 10**9:f}S"


def write_parquet(result: QueryResult, sink: IO[bytes]) -> None:
    """All rows as Parquet with Arrow's types, intervals as text."""
    schema, batches = result.arrow()
    # Parquet cannot store intervals.
    kinds = [pa.string() if _is_interval(field.type) else field.type for field in schema]
    schema = pa.schema(list(zip(unique(schema.names), kinds, strict=True)))
    with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        for batch in batches:
            columns = [texts(c) if _is_interval(c.type) else c for c in batch.columns]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
