"""Writes a query's answer as an aligned table for people."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import IO, Any

from amci.kernel.text import aligned, cell_width, shown
from amci.lake.query.result import QueryResult

#: Rows that are shown, and how far the others are counted.
SHOWN_ROWS, COUNTED_ROWS = 100, 100_000
_WIDEST = 60
_PLAN = ("explain_key", "explain_value")
#: Types whose Python values are shown as they are.
_SIMPLE = re.compile(r"BOOLEAN|U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|DOUBLE|VARCHAR|DECIMAL\(\d+,\d+\)")


def write_table(result: QueryResult, target: IO[str], width: int | None) -> None:
    """The first rows, aligned; `width` is the terminal's, None for no terminal."""
    rows: list[tuple[Any, ...]] = []
    total = 0
    for size, first in _pieces(result):
        rows += first[: SHOWN_ROWS - len(rows)]
        total += size
        if total > COUNTED_ROWS:
            break
    if result.columns == _PLAN:
        target.writelines(f"{plan}\n" for _, plan in rows)
        return
    fitting = len(result.columns) if width is None else _fitting(result.columns, rows, width)
    lines = aligned(
        result.columns[:fitting],
        [row[:fitting] for row in rows],
        widest=None if width is None else _WIDEST,
        show=_shown,
    )
    target.writelines(f"{line}\n" for line in (*lines, *_remarks(total, len(result.columns) - fitting)))


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
        yield f"({SHOWN_ROWS} of {many} rows; --format csv, json or parquet gives all, in the shell .mode)"
    else:
        yield f"({total} row{'' if total == 1 else 's'})"
    if hidden:
        yield f"({hidden} more column{'' if hidden == 1 else 's'}; csv, json and parquet have all)"


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return f"'{value}'" if value == "NULL" else value
    return "NULL" if value is None else shown(value)


def _pieces(result: QueryResult) -> Iterator[tuple[int, list[tuple[Any, ...]]]]:
    """The answer piece by piece: how many rows it has, and the first of them, as many as may be shown."""
    if all(_SIMPLE.fullmatch(kind) for kind in result.types):
        yield from ((len(rows), rows) for rows in result.pieces())
        return
    # Here, because importing Arrow takes longer than most answers of simple types.
    from amci.lake.query.result_files import texts

    for batch in result.arrow()[1]:
        columns = [texts(column).to_pylist() for column in batch.slice(0, SHOWN_ROWS).columns]
        yield batch.num_rows, list(zip(*columns, strict=True))
