"""Which columns of AMC's tables the files hold, and which are computed from them when they are read."""

from __future__ import annotations

from collections.abc import Iterator

from amci.amcsql.sources import Column, Source
from amci.kernel.names import quoted

#: Columns beside AMC's that tell whom a row belongs to.
HIDDEN = ("amci user", "amci part")
#: What a column's end says about its `_dt` twin.
_PARTS = {
    "_dt_hour": "date_trunc('hour', {})",
    "_date": "{}",
    "_day": "day({})",
    "_hour": "hour({})",
    "_month": "month({})",
}


def stored(source: Source) -> tuple[Column, ...]:
    """The columns a file of the table holds."""
    return tuple(column for column in source.columns if derived(source, column) is None)


def stored_type(column: Column) -> str:
    """DuckDB's type in a file: decimals are narrower there, which makes them quicker."""
    return "DECIMAL(18,4)" if column.sql_type.startswith("DECIMAL") else column.sql_type


def derived(source: Source, column: Column) -> str | None:
    """DuckDB's expression for a column that is a part of the moment beside it; None where it is none."""
    return next(_derived(source, column.name), None)


def _derived(source: Source, name: str) -> Iterator[str]:
    stem, utc = (name.removesuffix("_utc"), "_utc") if name.endswith("_utc") else (name, "")
    for end, part in _PARTS.items():
        twin = source.by_name.get(f"{stem.removesuffix(end)}_dt{utc}")
        if stem.endswith(end) and twin is not None and twin.type == "TIMESTAMP":
            yield part.format(quoted(twin.name))
