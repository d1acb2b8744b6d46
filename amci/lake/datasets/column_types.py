"""The types of columns that a dataset declares: `amount: DECIMAL(18,2)`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from amci.kernel.names import comparable

_NAMES = ("BOOLEAN", "BIGINT", "DOUBLE", "DATE", "TIME", "TIMESTAMP", "TIMESTAMPTZ", "UUID", "VARCHAR")
_SQL = {"TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE"}
_DECIMAL = re.compile(r"DECIMAL\s*\(\s*([0-9]{1,2})\s*,\s*([0-9]{1,2})\s*\)")
_MOST_DIGITS = 38
_SECOND_HALF = re.compile(r"[0-9]+\s*\)")


def sql_type(text: str) -> str:
    """The type as DuckDB itself writes it. Raises ValueError if there is no such type for a column of text."""
    name = " ".join(text.upper().split())
    if decimal := _DECIMAL.fullmatch(name):
        precision, scale = int(decimal[1]), int(decimal[2])
        if scale <= precision and 1 <= precision <= _MOST_DIGITS:
            return f"DECIMAL({precision},{scale})"
        raise ValueError(f"{text}: should have 1 to {_MOST_DIGITS} digits, and no more behind the point")
    if name in _NAMES:
        return _SQL.get(name, name)
    if name in _SQL.values():
        return name
    raise ValueError(f"{text}: should be DECIMAL(18,2) or the like, {', '.join(_NAMES[:-1])} or {_NAMES[-1]}")


def _joined(types: Any) -> Any:
    """`{amount: DECIMAL(18,2)}` on one line, which YAML takes for the keys `amount` and `2)`."""
    if not isinstance(types, dict):
        return types
    joined: dict[Any, Any] = {}
    for column, text in types.items():
        before = next(reversed(joined), None)
        if before is not None and text is None and _SECOND_HALF.fullmatch(str(column)):
            joined[before] = f"{joined[before]},{column}"
        else:
            joined[column] = text
    return joined


def _checked(text: str) -> str:
    sql_type(text)
    return text


def _distinct(types: Mapping[str, str]) -> Mapping[str, str]:
    columns: dict[str, str] = {}
    for column in types:
        if not (name := comparable(column)):
            raise ValueError(f"'{column}' has neither letters nor digits")
        if name in columns:
            raise ValueError(f"'{columns[name]}' and '{column}' are one column")
        columns[name] = column
    return types


#: Types by the names of columns, as people write both. Each is checked by itself, so that an error names its column.
ColumnTypes = Annotated[
    Mapping[str, Annotated[str, AfterValidator(_checked)]],
    BeforeValidator(_joined),
    AfterValidator(_distinct),
]
