"""DuckDB connections: the DuckLake extensions, limits, and errors in amci's words."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from amci.kernel.duckdb_settings import limits, no_extensions
from amci.kernel.errors import (
    DamagedFile,
    MalformedFile,
    MemoryLimit,
    StateError,
    StorageError,
    WorkspaceTooNew,
)
from amci.kernel.names import literal, quoted
from amci.lake.catalog import extensions

if TYPE_CHECKING:
    import pyarrow as pa

#: The name under which the lake is attached.
LAKE = "lake"
#: Where DuckLake keeps its own tables; their columns are those of its specification, version 1.0.
METADATA = f"__ducklake_metadata_{LAKE}"
#: The comprehensive catalogue: one row for each table an object version has rows in.
LEDGER = quoted(LAKE, "amci", "objects")
#: Errors in which DuckDB names tables, columns and syntax; the text of all others may hold values of rows.
NAMING_ERRORS = (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException)
#: Fewer columns cost less than to switch the search off and on.
_MANY_COLUMNS = 100


def connect(*, memory_limit: int, threads: int | None, temp: Path | None = None) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB with the extensions loaded; `memory_limit` in bytes, `temp` is where it may spill.

    Raises AmciError if an extension cannot be loaded.
    """
    names = extensions.checked()
    con = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    # Rows carry their place in the file (_row), so DuckDB need not hold them back to keep an order.
    con.execute("SET preserve_insertion_order = false")
    con.execute(no_extensions() + limits(memory_limit, threads=threads, temp=temp))
    for name in names:
        con.execute(f"LOAD {name}")
    # It cannot be switched on again.
    con.execute("SET allow_unsigned_extensions = false")
    return con


@contextmanager
def for_columns(con: duckdb.DuckDBPyConnection, number: int) -> Iterator[None]:
    """Plan statements with an expression for each of so many columns, if they are many, in time that grows with them.

    The search for common subexpressions compares each with all others: two seconds for 3,000 casts (DuckDB 1.5).
    """
    if number < _MANY_COLUMNS:
        yield
        return
    con.execute("SET disabled_optimizers = 'common_subexpressions'")
    try:
        yield
    finally:
        con.execute("RESET disabled_optimizers")


_RESTORE = "restore state/catalog.db from a backup, or move it away and run `amci recover`"
#: SQLite's and DuckLake's words for a file that is not what it was, and ours.
_DAMAGED_CATALOG = {
    "malformed": "the database disk image is malformed",
    "not a database": "the file is not a database",
}
_NO_LAKE = "creating a new ducklake is explicitly disabled"


class NoLake(StateError):
    """The catalog's file has no lake in it: what was making it died, or it is not what it was."""

    def __init__(self) -> None:
        super().__init__("the catalog is damaged: there is no lake in it", hint=_RESTORE)


def attach(
    con: duckdb.DuckDBPyConnection, metadata: Path, data: Path, *, read_only: bool = False, as_of: str = ""
) -> None:
    """Attach the lake as database `lake`; `as_of` is a DuckLake snapshot option, or empty for the newest."""
    if metadata.exists() and not metadata.is_file():
        # SQLite would wait for the other end of a pipe, without end.
        raise StateError(f"the catalog: {metadata.name} is not a file", hint=_RESTORE)
    not_opened = StorageError(
        f"the catalog: {metadata.name} cannot be opened",
        hint="give this user read and write permission there",
    )
    # SQLite would say so at the first commit only.
    if not read_only and metadata.exists() and not os.access(metadata, os.W_OK):
        raise not_opened
    options = [f"DATA_PATH {literal(f'{data}/')}", "OVERRIDE_DATA_PATH true", "META_BUSY_TIMEOUT 10000"]
    options += ["READ_ONLY"] if read_only else ["DATA_INLINING_ROW_LIMIT 0", "META_JOURNAL_MODE 'WAL'"]
    options += [as_of] if as_of else []
    with duck_errors("open the catalog"):
        try:
            con.execute(f"ATTACH {literal(f'ducklake:sqlite:{metadata}')} AS {LAKE} ({', '.join(options)})")
        except duckdb.Error as error:
            lowered = str(error).lower()
            if "version mismatch" in lowered:
                raise WorkspaceTooNew(
                    "the catalog was written by another version of DuckLake",
                    hint="install the version of amci that wrote it",
                ) from error
            if "unable to open database" in lowered:
                raise not_opened from error
            if _NO_LAKE in lowered:
                raise NoLake from error
            if says := next((words for words in _DAMAGED_CATALOG if words in lowered), ""):
                raise StateError(
                    f"the catalog is damaged: {_DAMAGED_CATALOG[says]}", hint=_RESTORE
                ) from error
            raise


def metadata_rows(con: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[Any, ...]]:
    """The rows of a query of DuckLake's tables that SQLite runs, in a fifth of DuckDB's time; of what is committed.

    Columns of a UNION come as text.
    """
    # With its schema: a session that searches the lake would look for the function there first.
    return con.execute(f"SELECT * FROM system.main.sqlite_query('{METADATA}', {literal(sql)})").fetchall()


def lake_tables(con: duckdb.DuckDBPyConnection) -> list[tuple[str, str, str | None]]:
    """Schema, name and comment of each table that is committed at the snapshot of the connection, by schema and name.

    `duckdb_tables()` asks DuckLake for the statistics of every table, each time in the whole catalog.
    """
    # In its own statement: DuckLake asks the same tables to answer it.
    ((newest,),) = con.execute(f"SELECT id FROM {LAKE}.current_snapshot()").fetchall()

    def there(row: str) -> str:
        return f"{row}.begin_snapshot <= {newest} AND coalesce({row}.end_snapshot > {newest}, TRUE)"

    return con.execute(
        f"SELECT s.schema_name, t.table_name, g.value FROM {METADATA}.ducklake_table t"
        f" JOIN {METADATA}.ducklake_schema s ON s.schema_id = t.schema_id AND {there('s')}"
        f" LEFT JOIN {METADATA}.ducklake_tag g ON g.object_id = t.table_id AND g.key = 'comment' AND {there('g')}"
        f" WHERE {there('t')} ORDER BY 1, 2"
    ).fetchall()


#: Of SQLite, of the operating system, and of DuckLake, which tells no more if it cannot make or look at a catalog.
#: SQLite calls a file malformed also if the disk refused to read a page of it.
_IO_ERRORS = (
    "disk i/o error",
    "database disk image is malformed",
    "input/output error",
    "failed to initialize ducklake: current transaction is aborted",
    "failed to probe ducklake metadata: current transaction is aborted",
)


#: What to do about a damaged file.
REMEDY = "`amci lake check --repair` loads its rows again"
#: How DuckDB says that a Parquet file is not what it was when it was written. The names of files stand in some of them.
_DAMAGE = (
    "no such file or directory",
    "no magic bytes",
    "magic bytes",
    "footer length",
    "too small to be a parquet file",
    "protocolexception",
    "decompress",
    "corrupt",
)


@contextmanager
def duck_errors(doing: str) -> Iterator[None]:
    """Raise DuckDB's errors about locks, disk and memory as StorageError (retried) or MemoryLimit.

    Raises DamagedFile if a file of post-stage is missing or damaged; MalformedFile if a value is too long to name
    a folder of a partition.
    """
    try:
        yield
    except duckdb.Error as error:
        lowered = str(error).lower()
        if is_busy(error):
            raise StorageError(f"{doing}: the catalog is busy", hint="it is tried again") from error
        if "no space left" in lowered or "disk full" in lowered or "database or disk is full" in lowered:
            raise StorageError(
                f"{doing}: no space left on the disk",
                hint="free some space, then run the same command again: work goes on where it stopped",
            ) from error
        if "file name too long" in lowered:
            raise MalformedFile(
                f"{doing}: a value is too long for the name of a partition's folder",
                hint="partition_by names a column of long values: take another column, or shorten them",
            ) from None  # it says the value
        if any(each in lowered for each in _IO_ERRORS):
            raise StorageError(
                f"{doing}: the disk refused to read or write",
                hint="check the disk; the run is tried again. If it stays so, see `amci doctor`",
            ) from error
        if is_damage(error):
            raise DamagedFile(f"{doing}: {first_line(error)}", hint=REMEDY) from error
        if "permission denied" in lowered or "read-only" in lowered or "readonly" in lowered:
            raise StorageError(
                f"{doing}: the disk refused to write", hint="give this user read and write permission there"
            ) from error
        if isinstance(error, duckdb.OutOfMemoryException):
            raise MemoryLimit(
                f"{doing}: more memory was needed than memory_limit allows",
                hint="raise memory_limit in amci.yaml, or lower threads",
            ) from error
        raise


def is_busy(error: Exception) -> bool:
    """Whether a writing process has the catalog at this moment."""
    words = ("database is locked", "database is busy", "catalog is busy")
    return any(phrase in str(error).lower() for phrase in words)


def is_damage(error: Exception) -> bool:
    """Whether a file of the lake is missing, or not what it was when it was written."""
    lowered = str(error).lower()
    return "post-stage/" in lowered and any(each in lowered for each in _DAMAGE)


def first_line(error: Exception) -> str:
    """What DuckDB said, without its class, its position drawing and its links."""
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)


@contextmanager
def showing(con: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> Iterator[None]:
    """Have `table` under `name` in SQL meanwhile."""
    con.register(name, table)
    try:
        yield
    finally:
        con.unregister(name)
