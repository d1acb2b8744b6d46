"""AMC's tables: their columns, types, thresholds and event times (amc-api 4)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

_TYPES = {
    "STRING": "VARCHAR",
    "LONG": "BIGINT",
    "INTEGER": "INTEGER",
    "DATE": "DATE",
    "TIMESTAMP": "TIMESTAMP",
    "BOOLEAN": "BOOLEAN",
    "DOUBLE": "DOUBLE",
    "DECIMAL": "DECIMAL(38,4)",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of an AMC table."""

    name: str
    type: str  #: AMC's
    kind: str  #: DIMENSION or METRIC
    threshold: str  #: NONE, LOW, MEDIUM, HIGH, VERY_HIGH, INTERNAL

    @property
    def sql_type(self) -> str:
        """DuckDB's."""
        if self.type.startswith("ARRAY["):
            return f"{_TYPES[self.type[6:-1]]}[]"
        return _TYPES[self.type.partition("(")[0]] if "(" not in self.type else self.type


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An AMC table."""

    name: str
    category: str
    kind: str  #: FACT or DIMENSION
    event_time: str | None  #: the column a time window limits; dimensions have none
    columns: tuple[Column, ...]


@cache
def _document() -> dict[str, dict[str, dict[str, object]]]:
    text = (resources.files("amci.sandbox") / "sources.json").read_text(encoding="utf-8")
    document: dict[str, dict[str, dict[str, object]]] = json.loads(text)
    return document


@cache
def sources() -> Mapping[str, Source]:
    """All tables by name."""
    return {
        name: Source(
            name=name,
            category=str(about["category"]),
            kind=str(about["kind"]),
            event_time=str(about["event_time_column"]) if about["event_time_column"] else None,
            columns=tuple(Column(*column) for column in about["columns"]),  # type: ignore[attr-defined]
        )
        for name, about in _document()["tables"].items()
    }


def source(name: str) -> Source | None:
    """The table that a query means by `name`, old names included; None where there is none."""
    key = name.lower()
    return sources().get(str(_document()["aliases"].get(key, key)))
