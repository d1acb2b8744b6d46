"""Columns and types of Parquet files beside those that the catalog, or pre-stage, says they have.

A file that lacks a column is right: DuckLake reads NULL there. So is one with a type that the column once had, since
DuckLake widens it when it reads. Any other type would be read as other values, or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from amci.lake.catalog.duck import METADATA
from amci.lake.datasets.objects import RESERVED

#: DuckLake's names of the types that can be told from each other in Parquet, by Arrow's.
_PLAIN = {
    "bool": "boolean",
    "int8": "int8",
    "int16": "int16",
    "int32": "int32",
    "int64": "int64",
    "uint8": "uint8",
    "uint16": "uint16",
    "uint32": "uint32",
    "uint64": "uint64",
    "float": "float32",
    "double": "float64",
    "string": "varchar",
    "large_string": "varchar",
    "date32[day]": "date",
    "timestamp[us]": "timestamp",
}
_KNOWN = frozenset({*_PLAIN.values(), "timestamptz"})
_FIELD_ID = b"PARQUET:field_id"
_COLUMNS = f"""
    SELECT table_id, column_id, arg_max(column_name, begin_snapshot) AS name, list(DISTINCT lower(column_type)) AS types
      FROM {METADATA}.ducklake_column WHERE parent_column IS NULL GROUP BY ALL"""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table, as the catalog has or had it."""

    name: str  #: the newest
    types: frozenset[str]  #: DuckLake's names; all that it has had


#: Columns that DuckLake adds to the files it merges, such as the number and the snapshot of each row.
_OF_DUCKLAKE = "_ducklake_internal_"
#: Columns by their number, which a file has as its field id.
Columns = Mapping[int, Column]


def columns_by_table(con: duckdb.DuckDBPyConnection) -> dict[int, dict[int, Column]]:
    """The columns of every table, now and before, by the table's number."""
    found: dict[int, dict[int, Column]] = {}
    for table_id, column_id, name, types in con.execute(_COLUMNS).fetchall():
        found.setdefault(int(table_id), {})[int(column_id)] = Column(name, frozenset(types))
    return found


def difference(path: Path, columns: Columns) -> str:
    """In what a file of post-stage differs from the columns of its table; empty if in nothing that matters.

    Raises OSError and ArrowException.
    """
    for field in pq.read_schema(path):
        number = (field.metadata or {}).get(_FIELD_ID)
        if number is None or field.name.startswith(_OF_DUCKLAKE):
            continue
        column = columns.get(int(number))
        if column is None:
            return f"it has a column {field.name} that its table never had"
        have = _ducklake_type(field.type)
        if (
            column.types <= _KNOWN | {t for t in column.types if t.startswith("decimal")}
            and have not in column.types
        ):
            wanted = " or ".join(sorted(column.types))
            return f"its column {column.name} is {have or field.type}, and {wanted} in the catalog"
    return ""


def staged_difference(path: Path) -> str:
    """In what a file of pre-stage differs from what every one has, text and amci's own columns; empty if in nothing."""
    schema = pq.read_schema(path)
    if lacking := sorted(RESERVED - set(schema.names)):
        return f"it has no column {lacking[0]}"
    for field in schema:
        is_right, wanted = (pa.types.is_integer, "a number") if field.name in RESERVED else (_is_text, "text")
        if not is_right(field.type):
            return f"its column {field.name} is {field.type}, and not {wanted}"
    return ""


def _is_text(kind: pa.DataType) -> bool:
    return any(
        is_kind(kind)
        for is_kind in (
            pa.types.is_string,
            pa.types.is_large_string,
            pa.types.is_dictionary,
            pa.types.is_null,
        )
    )


def _ducklake_type(kind: pa.DataType) -> str:
    """DuckLake's name of a type of Arrow's; empty if it cannot be told."""
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if pa.types.is_timestamp(kind) and kind.tz:
        return "timestamptz"
    return _PLAIN.get(str(kind), "")
