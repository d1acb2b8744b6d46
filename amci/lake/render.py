"""A query's answer as a table for people, or as CSV, JSON or Parquet for programs, written as the rows come."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import IO, Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq

from amci.errors import UsageError
from amci.files import replacing
from amci.lake.query import Result, Session
from amci.output import Output, aligned, cell_width, shown

#: Rows of a table for people, and how far the others are counted.
SHOWN_ROWS, COUNTED_ROWS = 100, 100_000
_WIDEST = 60
FORMATS = ("table", "csv", "json", "parquet")


def render(session: Session, sql: str, format: str, output: Path | None, out: Output) -> None:  # noqa: A002
    """Run `sql` and write its answer to `output`, complete or not at all, or to standard output.

    - `table`: aligned; the first 100 rows and a line that says how many there are (counted up to 100,000). NULL
      is NULL, and a text that reads NULL stands in quotes. On a terminal long values and the columns that do not
      fit are left out, and the last line says so.
    - `csv`: RFC 4180, UTF-8, a header; NULL is empty and an empty text is `""`; times are ISO 8601; lists and
      structs are JSON; binary is hexadecimal.
    - `json`: an array of objects; decimals with all their digits; NaN and infinities, which JSON does not have,
      are null; of columns with the same name the second gets `_2`.
    - `parquet`: Arrow's types; column names as in JSON.

    Raises UsageError for another format or Parquet on a terminal, QueryError where the query fails, StorageError
    where the disk refuses.
    """
    if format not in FORMATS:
        raise UsageError(f"there is no format '{format}'", hint=f"one of {', '.join(FORMATS)}")
    if format == "parquet" and output is None and out.stdout.isatty():
        raise UsageError("Parquet is not for a terminal", hint="name a file with --output")
    result = session.run(sql)
    if format == "parquet":
        with _binary(output, out) as sink:
            _write_parquet(result, sink)
        return
    with _text(output, out) as target:
        if format == "csv":
            write_csv(result, target)
        elif format == "json":
            write_json(result, target)
        else:
            write_table(result, target, None if output else out.width)


@contextmanager
def _text(output: Path | None, out: Output) -> Iterator[IO[str]]:
    if output is None:
        yield out.stdout
        return
    with replacing(output) as part, part.open("w", encoding="utf-8", newline="") as target:
        yield target


@contextmanager
def _binary(output: Path | None, out: Output) -> Iterator[IO[bytes]]:
    if output is None:
        # Parquet keeps its place itself, so a pipe will do.
        yield getattr(out.stdout, "buffer", sys.stdout.buffer)
        return
    with replacing(output) as part, part.open("wb") as target:
        yield target


def write_table(result: Result, target: IO[str], width: int | None) -> None:
    """The first rows, aligned; `width` is the terminal's, None for no terminal."""
    rows = (row for batch in result.batches(1_000) for row in batch)
    first = list(islice(rows, SHOWN_ROWS))
    total = len(first) + sum(1 for _ in islice(rows, COUNTED_ROWS + 1 - len(first)))
    fitting = len(result.columns) if width is None else _fitting(result.columns, first, width)
    lines = aligned(
        result.columns[:fitting],
        [row[:fitting] for row in first],
        widest=None if width is None else _WIDEST,
        show=_shown,
    )
    for line in lines:
        target.write(f"{line}\n")
    for line in _remarks(total, len(result.columns) - fitting):
        target.write(f"{line}\n")


def _fitting(columns: Sequence[str], rows: Sequence[Sequence[Any]], width: int) -> int:
    """How many of the columns fit side by side; one at least."""
    used = 0
    for position, name in enumerate(columns):
        cells = (name, *(_shown(row[position]) for row in rows))
        used += min(_WIDEST, max(map(cell_width, cells))) + 2
        if used - 2 > width:
            return max(position, 1)
    return len(columns)


def _remarks(total: int, hidden: int) -> Iterator[str]:
    if total > SHOWN_ROWS:
        many = f"more than {COUNTED_ROWS:,}" if total > COUNTED_ROWS else f"{total:,}"
        yield f"({SHOWN_ROWS} of {many} rows; csv, json and parquet have all: --format, or .mode in the shell)"
    else:
        yield f"({total} row{'' if total == 1 else 's'})"
    if hidden:
        yield f"({hidden} more column{'' if hidden == 1 else 's'}; csv, json and parquet have all)"


def _shown(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return f"'{value}'" if value == "NULL" else value
    if isinstance(value, list | dict | tuple | bytes):
        return as_json(value)
    return shown(value)


def write_csv(result: Result, target: IO[str]) -> None:
    """All rows as CSV."""
    import polars as pl

    schema, batches = result.arrow()
    _line(target, result.columns)
    plainer = [_plainer(field.type) for field in schema]
    for batch in batches:
        columns = [
            column if change is None else change(column)
            for column, change in zip(batch.columns, plainer, strict=True)
        ]
        frame = pl.from_arrow(pa.Table.from_arrays(columns, names=[str(n) for n in range(len(columns))]))
        if isinstance(frame, pl.DataFrame):
            target.write(frame.write_csv(include_header=False, line_terminator="\r\n"))


def _line(target: IO[str], names: Sequence[str]) -> None:
    csv.writer(target, lineterminator="\r\n").writerow(names)


def _plainer(kind: pa.DataType) -> Callable[[pa.Array], pa.Array] | None:
    """How to make text of a column that the CSV writer would spell in its own way; None where it need not be."""
    simple = (
        *(pa.types.is_integer, pa.types.is_decimal, pa.types.is_boolean),
        *(pa.types.is_string, pa.types.is_large_string, pa.types.is_floating, pa.types.is_null),
    )
    if any(check(kind) for check in simple):
        return None
    return lambda column: pa.array([_as_text(value) for value in column.to_pylist()], pa.string())


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json_text if (json_text := as_json(value))[:1] != '"' else json.loads(json_text)


def write_json(result: Result, target: IO[str]) -> None:
    """All rows as an array of objects, one object a line."""
    names = [json.dumps(name, ensure_ascii=False) for name in _unique(result.columns)]
    between = "["
    for batch in result.batches():
        piece = io.StringIO()
        for row in batch:
            fields = ", ".join(f"{n}: {as_json(v)}" for n, v in zip(names, row, strict=True))
            piece.write(f"{between}\n{{{fields}}}")
            between = ","
        target.write(piece.getvalue())
    target.write("\n]\n" if between == "," else "[]\n")


def _unique(names: Sequence[str]) -> list[str]:
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
    match value:
        case None | bool() | int() | str():
            return json.dumps(value, ensure_ascii=False)
        case float():
            return repr(value) if math.isfinite(value) else "null"
        case Decimal():
            return f"{value:f}" if value.is_finite() else "null"
        case dict():
            fields = (f"{as_json(_key(k))}: {as_json(v)}" for k, v in value.items())
            return f"{{{', '.join(fields)}}}"
        case list() | tuple():
            return f"[{', '.join(map(as_json, value))}]"
        case _:
            return json.dumps(_plain(value), ensure_ascii=False)


def _key(value: Any) -> str:
    return value if isinstance(value, str) else _as_text(value) or "null"


def _plain(value: Any) -> str:
    match value:
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case date() | time():
            return value.isoformat()
        case timedelta():
            return f"P{value.days}DT{value.seconds + value.microseconds / 1e6:g}S"
        case bytes():
            return value.hex()
        case UUID():
            return str(value)
        case _:
            return str(value)


def _write_parquet(result: Result, sink: IO[bytes]) -> None:
    schema, batches = result.arrow()
    schema = pa.schema(
        [
            field.with_name(name)
            for field, name in zip(schema, _unique(schema.names), strict=True)
        ]
    )
    with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(pa.RecordBatch.from_arrays(batch.columns, schema=schema))
