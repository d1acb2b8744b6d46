"""Uploaded data sets as tables for queries, beside Amazon's (amc-api 2.5, 3.3, 3.5)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from sqlite3 import Row

from amci.amcsql.sources import Column as SourceColumn, Source
from amci.kernel.names import literal, quoted
from amci.sandbox.backend import Backend
from amci.sandbox.uploads.columns import Column, flagged, identifier
from amci.sandbox.uploads.datasets import columns_of, is_fact
from amci.sandbox.uploads.versions import files_of

CATEGORY = "ADVERTISER"
#: Columns that queries cannot name: the user of a row, and that user's part of the people (see `amcsql`).
_HIDDEN = {"amci user": "BIGINT", "amci part": "INTEGER"}


def uploaded_sources(backend: Backend, instance_id: str) -> Mapping[str, Source]:
    """The data sets of an instance by name; they hide Amazon tables of the same name.

    Their SELECTs name the files of the current version, so a query over another version has another result id.
    """
    rows = backend.store.rows("data_sets", instance_id=instance_id, after="", limit=-1)
    return {row["data_set_id"]: _source(backend, row) for row in rows}


def _source(backend: Backend, row: Row) -> Source:
    event_time = flagged(columns_of(row), "isMainEventTime")
    return Source(
        name=row["data_set_id"],
        category=CATEGORY,
        kind="FACT" if is_fact(row) else "DIMENSION",
        event_time=event_time["name"] if event_time else None,
        columns=tuple(_column(column) for column in _visible(row)),
        is_uploaded=True,
        reads=_select(backend, row),
    )


def _column(column: Column) -> SourceColumn:
    """All uploaded columns have the threshold HIGH, metrics as well: a result row needs 100 users (amc-api 3.3)."""
    threshold = "VERY_HIGH" if column.get("isMainUserId") else "HIGH"
    return SourceColumn(column["name"], column["dataType"], column["columnType"], threshold)


def _visible(row: Row) -> list[Column]:
    """All columns but identifiers, which are dropped once they are resolved."""
    return [column for column in columns_of(row) if not identifier(column)]


def _select(backend: Backend, row: Row) -> str:
    files, stored = files_of(backend.directory, row), set(json.loads(row["stored"]))
    columns = [
        f"{_value(column, stored, has_rows=bool(files))} AS {quoted(column['name'])}"
        for column in _visible(row)
    ]
    if flagged(columns_of(row), "isMainUserId"):
        columns += [
            quoted(name) if files else f"CAST(0 AS {kind}) AS {quoted(name)}"
            for name, kind in _HIDDEN.items()
        ]
    if not files:
        return f"SELECT {', '.join(columns)} WHERE false"
    listed = ", ".join(literal(str(file)) for file in files)
    return (
        f"SELECT {', '.join(columns)}"
        f" FROM read_parquet([{listed}], union_by_name = true, hive_partitioning = false)"
    )


def _value(column: Column, stored: set[str], *, has_rows: bool) -> str:
    sql_type = SourceColumn("", column["dataType"], "", "").sql_type
    if has_rows and column.get("isMainUserId"):
        return "user_id"
    if has_rows and column.get("isMainUserIdType"):
        return "user_id_type"
    return column["key"] if has_rows and column["key"] in stored else f"CAST(NULL AS {sql_type})"
