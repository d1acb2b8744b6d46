"""AMC's tables: their columns, types, thresholds, units and event times (amc-api 4)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib import resources
from typing import Any, Literal

#: What a query is for: a report, or an audience, which reads tables of its own (amc-api 2.4).
Kind = Literal["workflow", "audience"]

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
#: Columns that the tables for audiences do not have (amc-api 2.4).
_NOT_FOR_AUDIENCES = {"dsp_impressions": {"user_behavior_segment_ids", "matched_behavior_segment_ids"}}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of an AMC table."""

    name: str
    type: str  #: AMC's
    kind: str  #: DIMENSION or METRIC
    threshold: str  #: NONE, LOW, MEDIUM, HIGH, VERY_HIGH, INTERNAL
    unit: str = ""  #: microcents or millicents
    values: tuple[str, ...] = ()  #: all that it may have, if known
    examples: tuple[str, ...] = ()

    @property
    def sql_type(self) -> str:
        """DuckDB's."""
        if self.type.startswith("ARRAY["):
            return f"{_TYPES[self.type[6:-1]]}[]"
        return _TYPES[self.type.partition("(")[0]] if "(" not in self.type else self.type


@dataclass(frozen=True, kw_only=True)
class Source:
    """A table that queries read: AMC's own, its twin for audiences, or one an advertiser uploaded."""

    name: str
    category: str
    kind: str  #: FACT or DIMENSION
    event_time: str | None  #: the column a time window limits; dimensions have none
    columns: tuple[Column, ...]
    is_in_sandbox: bool = False  #: whether Amazon's own sandbox instances have it
    audience_table: str | None = None  #: its twin for audiences
    is_for_audiences: bool = False
    is_uploaded: bool = False
    reads: str = ""  #: DuckDB's SELECT for its rows; empty if the sandbox has it under its name

    @cached_property
    def by_name(self) -> Mapping[str, Column]:
        """Its columns by name, in lower case."""
        return {column.name.lower(): column for column in self.columns}

    @property
    def has_users(self) -> bool:
        """Whether its rows belong to users."""
        return "user_id" in self.by_name

    @property
    def is_paid(self) -> bool:
        """Whether an instance has it only with a subscription."""
        return self.category == "PAID"


@cache
def _document() -> dict[str, dict[str, Any]]:
    text = (resources.files("amci.amcsql") / "sources.json").read_text(encoding="utf-8")
    document: dict[str, dict[str, Any]] = json.loads(text)
    return document


@cache
def sources() -> Mapping[str, Source]:
    """All of AMC's tables by name, without those for audiences."""
    return {name: _source(name, about) for name, about in _document()["tables"].items()}


@cache
def audience_sources() -> Mapping[str, Source]:
    """The `_for_audiences` twins by name."""
    twins = (_twin(source) for source in sources().values() if source.audience_table)
    return {twin.name: twin for twin in twins}


def tables_for(kind: Kind, uploaded: Mapping[str, Source] | None = None) -> Mapping[str, Source]:
    """What a query may read by name in lower case: AMC's tables, and the data sets that were `uploaded`."""
    amcs = audience_sources() if kind == "audience" else sources()
    return {**amcs, **{name.lower(): source for name, source in (uploaded or {}).items()}}


def aliases() -> Mapping[str, str]:
    """Old names that queries still use, and the tables they mean (amc-api 3.5)."""
    return _document()["aliases"]


def source(name: str) -> Source | None:
    """The table of AMC's that a query means by `name`, old names included; None if there is none."""
    key = name.lower()
    return sources().get(aliases().get(key, key))


def _source(name: str, about: Mapping[str, Any]) -> Source:
    return Source(
        name=name,
        category=about["category"],
        kind=about["kind"],
        event_time=about["event_time_column"],
        columns=tuple(_column(*column) for column in about["columns"]),
        is_in_sandbox=about["in_sandbox"],
        audience_table=about["audience_table"],
    )


def _column(
    name: str, data_type: str, kind: str, threshold: str, more: Mapping[str, Any] | None = None
) -> Column:
    more = more or {}
    return Column(
        name,
        data_type,
        kind,
        threshold,
        unit=more.get("unit", ""),
        values=tuple(map(str, more.get("values", ()))),
        examples=tuple(map(str, more.get("examples", ()))),
    )


def _twin(source: Source) -> Source:
    left_out = _NOT_FOR_AUDIENCES.get(source.name, set())
    return replace(
        source,
        name=str(source.audience_table),
        columns=tuple(column for column in source.columns if column.name not in left_out),
        audience_table=None,
        is_for_audiences=True,
    )
