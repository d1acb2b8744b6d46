"""The SQL types that rows are stored with whose types a transform chose.

DuckLake and Parquet have no HUGEINT, and keep an ENUM as text. What a transform makes is stored as the nearest type
that holds every value, or refused.
"""

from __future__ import annotations

from collections.abc import Collection

import duckdb
from duckdb.sqltypes import DuckDBPyType

from amci.kernel.errors import TransformError
from amci.kernel.names import quoted
from amci.kernel.plugins import Transform

#: Types that DuckLake or Parquet would store as another one, or not at all, and what they are stored as.
_STORED = {
    "hugeint": "BIGINT",
    "uhugeint": "BIGINT",
    "float": "DOUBLE",
    "timestamp_ns": "TIMESTAMP",
    "enum": "VARCHAR",
}
#: Types that no table holds.
_NOT_STORED = ("bit", "union", "bignum")


def stored_types(
    con: duckdb.DuckDBPyConnection, table: str, but: Collection[str], transform: Transform | None
) -> dict[str, str]:
    """The SQL types that columns of `table` are stored with. Raises TransformError if that would lose a value."""
    relation = con.table(table)
    given = {c: t for c, t in zip(relation.columns, relation.types, strict=True) if c not in but}
    types = {c: _stored(t) for c, t in given.items()}
    lossy = {
        c: f"count_if(CAST(TRY_CAST({quoted(c)} AS {types[c]}) AS {t}) IS DISTINCT FROM {quoted(c)})"
        for c, t in given.items()
        if types[c] not in ("", str(t)) and t.id != "float"
    }
    counts = dict.fromkeys(types, 0)
    if lossy:
        losses = con.execute(f"SELECT {', '.join(lossy.values())} FROM {quoted(table)}").fetchall()[0]
        counts |= dict(zip(lossy, losses, strict=True))
    for column, sql_type in types.items():
        if transform and (counts[column] or not sql_type):
            says = f"{counts[column]} values that {sql_type} cannot hold" if sql_type else "no table holds"
            raise TransformError(
                transform.name,
                f"column {column} is {given[column]}: {says}",
                hint=f"cast it in {transform.origin}, then redrive",
            )
    return types


def _stored(given: DuckDBPyType) -> str:
    """The SQL type that values of this type are stored with; empty if there is none."""
    if given.id in _NOT_STORED:
        return ""
    if given.id not in ("list", "array", "struct", "map"):
        return _STORED.get(given.id, str(given))
    parts = {name: _stored(part) for name, part in given.children if isinstance(part, DuckDBPyType)}
    if not all(parts.values()):
        return ""
    if given.id in ("list", "array"):
        text = f"{parts['child']}[]"
    elif given.id == "map":
        text = f"MAP({parts['key']}, {parts['value']})"
    else:
        text = f"STRUCT({', '.join(f'{quoted(name)} {part}' for name, part in parts.items())})"
    return str(DuckDBPyType(text))  # spelled as the catalog spells it
