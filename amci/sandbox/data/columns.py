"""Which columns of AMC's tables are stored in files, and which are computed on reading."""

from __future__ import annotations

from collections.abc import Iterator

from amci.amcsql.sources import Column, Source
from amci.kernel.names import quoted

#: Columns beside AMC's: the user a row belongs to, and the part of the people that user is in.
HIDDEN = ("amci user", "amci part")
#: End of a column's name → its expression over the timestamp column of the same name that ends in `_dt`.
_PARTS = {
    "_dt_hour": "date_trunc('hour', {})",
    "_date": "{}",
    "_day": "day({})",
    "_hour": "hour({})",
    "_month": "month({})",
}


def stored(source: Source) -> tuple[Column, ...]:
    """The columns that files of the table store."""
    return tuple(column for column in source.columns if derived(source, column) is None)


def stored_type(column: Column) -> str:
    """DuckDB's type in a file: a narrower decimal there, which fits 64 bits and is faster."""
    return "DECIMAL(18,4)" if column.sql_type.startswith("DECIMAL") else column.sql_type


def derived(source: Source, column: Column) -> str | None:
    """DuckDB's expression of a column that is a part of a timestamp column, such as its hour; else None."""
    return next(_derived(source, column.name), None)


def _derived(source: Source, name: str) -> Iterator[str]:
    stem, utc = (name.removesuffix("_utc"), "_utc") if name.endswith("_utc") else (name, "")
    for end, part in _PARTS.items():
        twin = source.by_name.get(f"{stem.removesuffix(end)}_dt{utc}")
        if stem.endswith(end) and twin is not None and twin.type == "TIMESTAMP":
            yield part.format(quoted(twin.name))
