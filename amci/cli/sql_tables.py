"""Showing AMC's tables and their columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from amci.amcsql.sources import Source
from amci.amcsql.tools import catalog

if TYPE_CHECKING:
    from amci.cli.output import Output

_TABLES = ("table", "category", "kind", "columns", "event_time", "access")
_COLUMNS = ("column", "type", "kind", "threshold", "users", "about")
_ACCESS = {
    "included": "every instance has it",
    "paid": "an instance has it only where somebody subscribed to it",
    "uploaded": "uploaded by the advertiser",
    "audiences": "for audiences only: no workflow reads it",
}


def show_tables(out: Output, tables: Sequence[Source]) -> None:
    """A line for each."""
    out.rows([catalog.table_row(each) for each in tables], _TABLES, empty="no such table")


def show_table(out: Output, source: Source) -> None:
    """One table with all its columns."""
    record = catalog.table_record(source)
    if out.as_json:
        out.record(record)
        return
    out.text(f"{source.name}: {source.category}, {source.kind}; {_ACCESS[record['access']]}")
    out.text(
        f"a time window limits {source.event_time}" if source.event_time else "time windows do not limit it"
    )
    if source.audience_table:
        out.text(f"its twin for audiences is {source.audience_table}")
    out.text("")
    out.rows([_said(row) for row in record["columns"]], _COLUMNS)


def show_columns(out: Output, pattern: str, tables: Sequence[Source]) -> None:
    """The columns of some tables whose names fit a pattern."""
    rows = catalog.column_rows(pattern, tables)
    if out.as_json:
        out.rows(rows, [])
        return
    out.rows([_said(row) for row in rows], ("table", *_COLUMNS), empty=f"no column fits '{pattern}'")


def _said(row: dict[str, object]) -> dict[str, object]:
    """A column as people read it."""
    users = "never shown" if row["users"] is None else row["users"]
    return {**row, "users": users, "about": catalog.about(row)}
