"""The ledger `amci.objects`: which version of which object has how many rows in which table."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa

from amci.kernel.names import quoted
from amci.lake.catalog.duck import LAKE, LEDGER, METADATA, duck_errors, metadata_rows, showing
from amci.lake.catalog.tables import TableName

#: Finds the ledger with its option.
_IS_THERE = """
    SELECT 1 FROM ducklake_table t JOIN ducklake_schema s USING (schema_id)
      JOIN ducklake_metadata o ON o.scope_id = t.table_id
     WHERE s.schema_name = 'amci' AND t.table_name = 'objects' AND t.end_snapshot IS NULL AND s.end_snapshot IS NULL
       AND o.key = 'data_inlining_row_limit' AND o.scope = 'table'"""
#: Finds whether the ledger has its option: setting it again would be a commit of SQLite's each time.
_INLINING = (
    f"SELECT 1 FROM {METADATA}.ducklake_metadata WHERE key = 'data_inlining_row_limit' AND scope = 'table'"
)
#: The comprehensive catalogue: one row for each table an object version has rows in.
_COLUMNS = {
    "object_id": "BIGINT",
    "version": "INTEGER",
    "root": "VARCHAR",
    "key": "VARCHAR",
    "tenant_id": "VARCHAR",
    "dataset": "VARCHAR",
    "schema_name": "VARCHAR",
    "table_name": "VARCHAR",
    "run_id": "BIGINT",
    "rows": "BIGINT",
    "bytes": "BIGINT",
    "sha256": "VARCHAR",
    "modified_at": "TIMESTAMP",
    "loaded_at": "TIMESTAMP",
    "workflow_id": "VARCHAR",
    "schedule": "VARCHAR",
    "export_time": "TIMESTAMP",
    "workflow_execution_id": "VARCHAR",
    "time_window_start": "TIMESTAMP",
    "time_window_end": "TIMESTAMP",
    "sql_hash": "VARCHAR",
    "rules_hash": "VARCHAR",
}
_ARROW = {
    "BIGINT": pa.int64(),
    "INTEGER": pa.int32(),
    "VARCHAR": pa.string(),
    "TIMESTAMP": pa.timestamp("us"),
}
_SCHEMA = pa.schema([(name, _ARROW[kind]) for name, kind in _COLUMNS.items()])


_ENTRIES = f"SELECT object_id, version, run_id, schema_name, table_name, rows FROM {LEDGER}"


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """A row of the ledger, as far as loading asks for it."""

    object_id: int
    version: int
    run_id: int
    name: TableName
    rows: int


class Ledger:
    """The ledger of a lake that is open for writing; the lake is locked while it is asked or written."""

    def __init__(self, connection: Callable[[], duckdb.DuckDBPyConnection]) -> None:
        """`connection` gives that of the thread which asks."""
        self._connection = connection

    def prepare(self) -> None:
        """Make it in a lake that has none. Raises StorageError."""
        con = self._connection()
        with duck_errors("prepare the catalog"):
            # DuckLake would read the names and columns of all tables to say so.
            if metadata_rows(con, _IS_THERE):
                return
        columns = ", ".join(f"{quoted(name)} {kind}" for name, kind in _COLUMNS.items())
        with duck_errors("prepare the catalog"):
            # In one commit: a catalog that has the schema has its ledger.
            con.execute("BEGIN")
            try:
                con.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(LAKE, 'amci')}")
                con.execute(f"CREATE TABLE IF NOT EXISTS {LEDGER} ({columns})")
                con.execute("COMMIT")
            except BaseException:
                with suppress(duckdb.TransactionException):
                    con.execute("ROLLBACK")
                raise
            if not con.execute(_INLINING).fetchall():
                # A few ledger entries live in the metadata: a commit of one file then writes one Parquet, not two.
                # Many are quicker in a file of their own.
                con.execute(
                    f"CALL {LAKE}.set_option('data_inlining_row_limit', 100, schema => 'amci', table_name => 'objects')"
                )

    def loaded(self, object_ids: Collection[int]) -> list[LedgerEntry]:
        """The ledger's rows for these objects."""
        con = self._connection()
        with showing(con, "wanted", pa.table({"id": pa.array(object_ids, pa.int64())})):
            rows = con.execute(
                f"{_ENTRIES} WHERE object_id BETWEEN {min(object_ids)} AND {max(object_ids)}"
                " AND object_id IN (SELECT id FROM wanted)"
            ).fetchall()
        return [LedgerEntry(o, v, r, TableName(s, t), n) for o, v, r, s, t, n in rows]

    def loaded_into(self, name: TableName) -> list[LedgerEntry]:
        """The ledger's rows for one table."""
        con = self._connection()
        rows = con.execute(
            f"SELECT object_id, version, run_id, rows FROM {LEDGER} WHERE schema_name = ? AND table_name = ?",
            [name.schema, name.table],
        ).fetchall()
        return [LedgerEntry(o, v, r, name, n) for o, v, r, n in rows]

    def rules_of(self, name: TableName, but: Collection[int]) -> set[str]:
        """The hashes of the rules by which the other objects of a table were loaded."""
        con = self._connection()
        rows = con.execute(
            f"SELECT object_id, rules_hash FROM {LEDGER} WHERE schema_name = ? AND table_name = ?",
            [name.schema, name.table],
        ).fetchall()
        return {rules or "" for object_id, rules in rows if object_id not in but}

    def of_tenant(self, tenant_id: str) -> list[LedgerEntry]:
        """The ledger's rows for one tenant."""
        rows = self._connection().execute(f"{_ENTRIES} WHERE tenant_id = ?", [tenant_id]).fetchall()
        return [LedgerEntry(o, v, r, TableName(s, t), n) for o, v, r, s, t, n in rows]

    def enter(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write these rows into the ledger; missing fields are NULL."""
        if rows:
            con = self._connection()
            with showing(con, "entries", pa.Table.from_pylist([dict(row) for row in rows], schema=_SCHEMA)):
                con.execute(f"INSERT INTO {LEDGER} BY NAME SELECT * FROM entries")

    def has_ended_files(self) -> bool:
        """Whether a file of the ledger was taken out, which may have been all that was known of a load."""
        con = self._connection()
        rows = con.execute(
            f"SELECT count(*) FROM {METADATA}.ducklake_snapshot_changes c, {METADATA}.ducklake_table t"
            f" JOIN {METADATA}.ducklake_schema s USING (schema_id)"
            " WHERE c.commit_message = 'repair' AND s.schema_name = 'amci' AND t.table_name = 'objects'"
            " AND ',' || c.changes_made || ',' LIKE '%,deleted_from_table:' || t.table_id || ',%'"
        ).fetchall()
        return bool(rows[0][0])
