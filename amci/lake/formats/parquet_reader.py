"""Parquet as batches of text that can be read back without loss."""

from __future__ import annotations

import datetime as dt
import decimal
import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import MAXYEAR, MINYEAR
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from amci.kernel.errors import MalformedFile
from amci.kernel.names import column_names
from amci.lake.formats.columns import compact
from amci.lake.formats.json_cursor import Number
from amci.lake.formats.model import ColumnPath, TextBatch

if TYPE_CHECKING:
    from amci.lake.formats.model import Limits
    from amci.lake.formats.source import ByteSource

_ROWS = 65_536
#: What Parquet counts days and moments in, from 1970.
_PER_DAY = {"D": 1, "s": 86_400, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
_EPOCH = dt.date(1970, 1, 1)
_FIRST_DAY, _LAST_DAY = (dt.date.min - _EPOCH).days, (dt.date.max - _EPOCH).days
#: Of SQL's DECIMAL.
_MOST_DIGITS = 38
_DAMAGED = "Write the file again where it was made."


def parquet_batches(
    source: ByteSource,
    limits: Limits,
    reserved: frozenset[str],
    quoted: set[tuple[str, str]],
    types: dict[tuple[str, str], str],
    *,
    kept: frozenset[str] = frozenset(),
) -> Iterator[TextBatch]:
    """The rows of a Parquet file; one batch without rows when it has none.

    Moments are ISO with a space (`2026-01-02 03:04:05.123456`), those with a zone in UTC with `+00:00`.
    Floats are the shortest text that reads back equal, with a point or an exponent. Lists, structs and maps
    are compact JSON, binary must be UTF-8. Columns that were strings go into `quoted`, with an empty part; SQL types
    that the text does not tell go into `types`.
    Raises MalformedFile, StorageError.
    """
    for _ in source.raw():
        pass
    if not source.count:
        return
    try:
        file = pq.ParquetFile(source.file())
        _check(file, source.count, limits)
        schema = file.schema_arrow
        names = column_names(schema.names, reserved, kept=kept)
        paths = tuple((name,) for name in schema.names)
        inner = tuple(path for field in schema for path in _inner(field, ()))
        quoted |= {("", name) for name, field in zip(names, schema, strict=True) if _is_string(field.type)}
        stated = {("", name): _sql_type(field.type) for name, field in zip(names, schema, strict=True)}
        types |= {column: sql_type for column, sql_type in stated.items() if sql_type}
        is_empty = True
        for batch in file.iter_batches(batch_size=_ROWS):
            is_empty = False
            yield TextBatch("", _as_text(batch, names), paths, inner)
    except (pa.ArrowException, OSError) as error:
        # Arrow says OSError of damaged data as well, but without a number.
        if isinstance(error, OSError) and error.errno:
            raise source.unreadable(error) from error
        raise MalformedFile("it is not valid Parquet", hint=_DAMAGED) from None
    if is_empty:
        empty = pa.RecordBatch.from_arrays([pa.array([], pa.string())] * len(names), names=names)
        yield TextBatch("", empty, paths, inner)


def _check(file: pq.ParquetFile, raw_bytes: int, limits: Limits) -> None:
    metadata = file.metadata
    expanded = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    if len(file.schema_arrow) > limits.max_columns:
        raise MalformedFile(
            f"it has more than {limits.max_columns} columns", hint="If the file is sound, raise max_columns."
        )
    limits.check_expanded(expanded, raw_bytes)


def _inner(field: pa.Field, above: ColumnPath) -> Iterator[ColumnPath]:
    """The fields inside a column of structs, or of lists or maps of them."""
    kind, path = field.type, (*above, field.name)
    while pa.types.is_dictionary(kind) or pa.types.is_map(kind) or _is_list(kind):
        kind = kind.item_type if pa.types.is_map(kind) else kind.value_type
    if pa.types.is_struct(kind):
        for below in kind:
            yield (*path, below.name)
            yield from _inner(below, path)


def _is_list(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind)
        or pa.types.is_large_list(kind)
        or pa.types.is_fixed_size_list(kind)
        or pa.types.is_list_view(kind)
        or pa.types.is_large_list_view(kind)
    )


def _is_string(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_string(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType) and kind != pa.uuid():
        return _is_string(kind.storage_type)
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
    )


def _sql_type(kind: pa.DataType) -> str:
    """The SQL type that a guess from the text would miss; else empty."""
    if pa.types.is_dictionary(kind):
        return _sql_type(kind.value_type)
    if kind == pa.uuid():
        return "UUID"
    if pa.types.is_decimal(kind):
        return f"DECIMAL({kind.precision},{kind.scale})" if kind.precision <= _MOST_DIGITS else ""
    if pa.types.is_floating(kind):
        return "DOUBLE"
    if pa.types.is_time(kind):
        return "TIME"
    return "UBIGINT" if pa.types.is_uint64(kind) else ""


def _as_text(batch: pa.RecordBatch, names: list[str]) -> pa.RecordBatch:
    arrays = []
    for name, column in zip(names, batch.columns, strict=True):
        sound = _in_range(name, column) if pa.types.is_temporal(column.type) else column
        try:
            arrays.append(_text(sound))
        except (pa.ArrowException, ValueError):
            raise MalformedFile(
                f"column {name}: {column.type} cannot be written as text", hint="Write it as text or numbers."
            ) from None
    return pa.RecordBatch.from_arrays(arrays, names=names)


def _in_range(name: str, column: pa.Array) -> pa.Array:
    """The days, times or moments, nanoseconds as microseconds if none is lost; raises MalformedFile if no text has one.

    Arrow would write `<value out of range: 1601510400000000>` for what lies outside of the years 1 to 9999.
    """
    kind = column.type
    if pa.types.is_time64(kind) and kind.unit == "ns":
        with suppress(pa.ArrowInvalid):
            return column.cast(pa.time64("us"))
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        with suppress(pa.ArrowInvalid):
            return column.cast(pa.timestamp("us", kind.tz))
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        ticks = _PER_DAY[
            kind.unit if pa.types.is_timestamp(kind) else "D" if pa.types.is_date32(kind) else "ms"
        ]
        # By their numbers: Arrow's own `year` wraps around.
        found = pc.min_max(column.cast(pa.int32()) if pa.types.is_date32(kind) else column.cast(pa.int64()))
        first, last = found["min"].as_py(), found["max"].as_py()
        if first is not None and not _FIRST_DAY * ticks <= first <= last < (_LAST_DAY + 1) * ticks:
            raise MalformedFile(
                f"column {name}: a moment outside of the years {MINYEAR} to {MAXYEAR}",
                hint="Seconds may have been written as milliseconds, or milliseconds as microseconds.",
            )
    return column


def _text(column: pa.Array) -> pa.Array:
    kind = column.type
    if pa.types.is_dictionary(kind) or (isinstance(kind, pa.BaseExtensionType) and kind != pa.uuid()):
        return _text(column.dictionary_decode() if pa.types.is_dictionary(kind) else column.storage)
    if pa.types.is_decimal(kind):
        return _decimals(column)
    if pa.types.is_nested(kind) or kind == pa.uuid():
        write = str if kind == pa.uuid() else _json
        return pa.array([None if v is None else write(v) for v in column.to_pylist()], pa.string())
    if pa.types.is_floating(kind):
        text = (column.cast(pa.float32()) if pa.types.is_float16(kind) else column).cast(pa.string())
        whole = pc.match_substring_regex(text, r"^-?[0-9]+$")
        return pc.if_else(whole, pc.binary_join_element_wise(text, ".0", ""), text)
    if pa.types.is_timestamp(kind) and kind.tz:
        text = column.cast(pa.timestamp(kind.unit)).cast(pa.string())
        return pc.binary_join_element_wise(text, "+00:00", "")
    return column.cast(pa.string())


def _decimals(column: pa.Array) -> pa.Array:
    """Decimals without an exponent, which Arrow writes for some."""
    text = column.cast(pa.string())
    if not pc.any(pc.match_substring(text, "E"), min_count=0).as_py():
        return text
    return pa.array([None if v is None else f"{v:f}" for v in column.to_pylist()], pa.string())


def _json(value: Any) -> str:
    return compact(_plain(value))


def _plain(value: Any) -> Any:
    """A nested value in terms of JSON."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    try:
        return _WRITTEN[type(value)](value)
    except KeyError:
        raise ValueError("JSON has no such thing") from None


def _float(value: float) -> str:
    return Number(value) if math.isfinite(value) else str(value)


def _moment(value: dt.datetime) -> str:
    return (value.astimezone(dt.UTC) if value.tzinfo else value).isoformat(" ")


_WRITTEN: dict[type, Callable[[Any], str]] = {
    bytes: bytes.decode,
    int: Number,
    float: _float,
    decimal.Decimal: lambda value: Number(f"{value:f}"),
    dt.datetime: _moment,
    dt.date: dt.date.isoformat,
    dt.time: dt.time.isoformat,
}
