"""The lake for tools that know no DuckLake: a plain DuckDB file of views, or a copy as Parquet files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb

from amci.kernel.files import fsync, new_directory, replacing, storage_errors
from amci.kernel.names import literal, quoted
from amci.lake.catalog.catalog import Catalog
from amci.lake.catalog.duck import LAKE, LEDGER, METADATA, duck_errors
from amci.lake.catalog.tables import TableName
from amci.lake.query.inspect import all_tables, partition_by
from amci.lake.upkeep.check import files_below

#: The ledger of loads.
OBJECTS = TableName("amci", "objects")


def publish(catalog: Catalog, target: Path, tell: Callable[[str], None]) -> dict[str, Any]:
    """Write `target`, a plain DuckDB file: a view for each table, the ledger of loads as a table.

    The views name their Parquet files by absolute paths, since DuckDB resolves relative ones against the
    directory of the process that queries. Columns are matched by Parquet field ids, as DuckLake does, so files written
    before a column was added or widened read right.
    """
    names = [name for name in all_tables(catalog.con) if name != OBJECTS]
    # The ledger has rows that lie in the metadata alone, so it is copied.
    ledger = catalog.con.execute(f"SELECT * FROM {LEDGER} ORDER BY object_id, version").to_arrow_table()
    with replacing(target) as part, duckdb.connect(str(part)) as plain:
        plain.register("ledger", ledger)
        plain.execute("CREATE SCHEMA amci")
        plain.execute("CREATE TABLE amci.objects AS FROM ledger")
        plain.unregister("ledger")
        for name in names:
            tell(str(name))
            # What is rewritten gets a checksum of its own.
            catalog.checksums.require(str(name), smaller_than=0)
            with duck_errors(f"publish {name}"):
                rewrite(catalog.con, name)
                plain.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(name.schema)}")
                plain.execute(f"CREATE VIEW {quoted(name.schema, name.table)} AS {_select(catalog, name)}")
                for column, header in catalog.headers(name).shown().items():
                    at = quoted(name.schema, name.table, column)
                    plain.execute(f"COMMENT ON COLUMN {at} IS {literal(header)}")
        # Before the file takes its name, for what is in DuckDB's write-ahead log would stay behind.
        plain.close()
    return {"file": str(target), "tables": len(names)}


def _select(catalog: Catalog, name: TableName) -> str:
    """SQL without DuckLake that gives a table's rows, if none of its files carries deletes."""
    types = catalog.home(name).columns
    files = catalog.con.execute(
        f"SELECT data_file FROM ducklake_list_files('{LAKE}', ?, schema => ?)", [name.table, name.schema]
    ).fetchall()
    if not files:
        return f"SELECT {', '.join(f'NULL::{t} AS {quoted(c)}' for c, t in types.items())} WHERE false"
    ids = catalog.con.execute(
        f"SELECT c.column_id, c.column_name FROM {METADATA}.ducklake_column c"
        f" JOIN {METADATA}.ducklake_table t USING (table_id)"
        f" JOIN {METADATA}.ducklake_schema s USING (schema_id)"
        " WHERE c.end_snapshot IS NULL AND t.end_snapshot IS NULL AND s.end_snapshot IS NULL"
        "   AND c.parent_column IS NULL AND s.schema_name = ? AND t.table_name = ?"
        " ORDER BY c.column_order",
        [name.schema, name.table],
    ).fetchall()
    fields = ", ".join(
        f"{number}: {{'name': {literal(c)}, 'type': {literal(types[c])}, 'default_value': NULL}}"
        for number, c in ids
    )
    listed = ", ".join(literal(path) for (path,) in files)
    return f"SELECT * FROM read_parquet([{listed}], schema => MAP {{{fields}}}, hive_partitioning = false)"


def export_parquet(catalog: Catalog, folder: Path, tell: Callable[[str], None]) -> dict[str, Any]:
    """Copy every table into the new `folder` as schema/table/…, hive-partitioned as the table is.

    The folder appears when all of it is there. Raises UsageError if it exists and is not empty, DamagedFile if a file
    of the lake is not what was written.
    """
    target = new_directory(folder, is_made=False)
    part = target.with_name(f".{target.name[:120]}.{os.getpid()}-0.part")
    names = all_tables(catalog.con)
    with storage_errors(f"export to {folder}"):
        try:
            new_directory(part)
            for name in names:
                tell(str(name))
                _export(catalog, name, part / name.schema / name.table)
            files = list(files_below(part))
            for path in {
                *files,
                *(above for file in files for above in file.parents if part in above.parents),
            }:
                fsync(path)
            fsync(part)
            part.replace(target)
            fsync(target.parent)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return {"folder": str(folder), "tables": len(names), "files": len(files)}


def _export(catalog: Catalog, name: TableName, into: Path) -> None:
    into.mkdir(parents=True)
    catalog.checksums.require(str(name))
    by = ", ".join(map(quoted, partition_by(catalog.con, name)))
    # The columns stay in the files too, as in post-stage: a reader that guesses types from the names of
    # folders would take '09' for a number.
    how = f", PARTITION_BY ({by}), WRITE_PARTITION_COLUMNS true" if by else ""
    to = into if by else into / "data.parquet"
    with duck_errors(f"export {name}"):
        catalog.con.execute(f"COPY (FROM {name.sql}) TO {literal(str(to))} (FORMAT parquet{how})")


def rewrite(con: duckdb.DuckDBPyConnection, name: TableName) -> None:
    """Rewrite a table's files that carry deletes, without the deleted rows."""
    con.execute(
        f"CALL ducklake_rewrite_data_files('{LAKE}', ?, schema => ?, delete_threshold => 0)",
        [name.table, name.schema],
    )
