"""Read-only sessions over the lake: locked down, limited, each query on one snapshot of it."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import pyarrow as pa

from amci.clock import moment, new_id, pause, stopwatch
from amci.errors import NotFound, QueryError, StorageError, UsageError
from amci.lake import duck
from amci.lake.catalog import LAKE
from amci.lake.model import OBJECT_ID, VERSION
from amci.lake.statement import Scope, UnknownTable, checked, said
from amci.names import literal, quoted
from amci.workspace import Workspace

Value = TypeVar("Value")

#: The catalog is tried so many times while another process holds it, with this many seconds between.
_TRIES, _BETWEEN = 20, 0.1
_ONE_TENANT = "one_tenant"


class Budget:
    """How long DuckDB may work on one query; the time a reader takes between two fetches does not count."""

    def __init__(self, con: duckdb.DuckDBPyConnection, timeout: timedelta, *, hide_values: bool) -> None:
        self._con = con
        self._timeout = timeout
        self._left = timeout.total_seconds()
        self._is_over = threading.Event()
        self._hide_values = hide_values

    def spend(self, work: Callable[[], Value]) -> Value:
        """What `work` gives; QueryError where DuckDB fails or the time is over."""
        timer = threading.Timer(max(self._left, 0), self._stop)
        timer.daemon = True
        began = stopwatch()
        timer.start()
        try:
            return work()
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            raise self._translated(error) from None
        finally:
            timer.cancel()
            self._left -= stopwatch() - began

    def _stop(self) -> None:
        self._is_over.set()
        self._con.interrupt()

    def _translated(self, error: Exception) -> QueryError | StorageError:
        text = str(error)
        if self._is_over.is_set():
            return QueryError(
                f"the query ran longer than {self._timeout.total_seconds():g} s",
                hint="narrow it, or raise query_timeout in amci.yaml",
            )
        if isinstance(error, duckdb.OutOfMemoryException) or "Out of Memory Error" in text:
            return QueryError(
                "the query needs more memory than query_memory_limit allows",
                hint="narrow it, or raise it in amci.yaml",
            )
        if _is_busy(error):
            return StorageError("the catalog is busy", hint="run the query again")
        if isinstance(error, duckdb.PermissionException):
            return QueryError(said(error), hint="a session reads the lake and nothing else")
        told = (duckdb.CatalogException, duckdb.BinderException, duckdb.ParserException)
        if self._hide_values and not isinstance(error, told):
            # DuckDB may try an expression on rows before the view has left out those of others.
            return QueryError(
                "a value does not fit the expression it is used in",
                hint="TRY_CAST gives NULL where CAST fails",
            )
        return QueryError(
            said(error), hint="`amci lake tables` lists tables, `amci lake show TABLE` their columns"
        )


@dataclass(frozen=True, slots=True)
class Result:
    """What a query answers, fetched piece by piece; DuckDB makes the rows while they are asked for."""

    columns: tuple[str, ...]
    _con: duckdb.DuckDBPyConnection
    _budget: Budget

    @property
    def description(self) -> list[tuple[str]]:
        """The columns as a DB-API cursor names them."""
        return [(name,) for name in self.columns]

    def batches(self, size: int = 10_000) -> Iterator[list[tuple[Any, ...]]]:
        """The rows in lists of at most `size`."""
        while rows := self._budget.spend(lambda: self._con.fetchmany(size)):
            yield rows

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows."""
        return self._budget.spend(self._con.fetchall)

    def arrow(self, size: int = 50_000) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        """The schema, and the rows in record batches of about `size`."""
        reader = self._budget.spend(lambda: self._con.to_arrow_reader(size))

        def read() -> Iterator[pa.RecordBatch]:
            while (batch := self._budget.spend(lambda: next(reader, None))) is not None:
                yield batch

        return reader.schema, read()


class Session:
    """A connection that can read the lake and nothing else.

    Each query sees one committed state: the newest when it begins, or that of `as_of`. The session itself keeps
    none, so a second query may see what was loaded in between.

    A session for one tenant shows views of the tables the tenant had rows in when it was opened. It is a guard
    against mistakes, not against a determined reader: whoever runs it can read the workspace's files anyway, and
    whether an expression fails may depend on rows of others.
    """

    def __init__(
        self, con: duckdb.DuckDBPyConnection, tenant: str | None, timeout: timedelta, *, is_pinned: bool
    ) -> None:
        self.con = con
        self._tenant = tenant
        self._timeout = timeout
        self._is_pinned = is_pinned or tenant is not None
        self._catalog = _ONE_TENANT if tenant else LAKE
        self._scope = self._look_around()

    def run(self, sql: str) -> Result:
        """Run one reading statement; the rows are fetched from what is returned, before the next `run`.

        Raises QueryError for a statement that is wrong, writes, or takes too long, StorageError where a writing
        process kept the catalog busy.
        """
        text = self._checked(sql)
        budget = Budget(self.con, self._timeout, hide_values=self._tenant is not None)
        budget.spend(lambda: _patiently(lambda: self.con.execute(text)))
        return Result(tuple(column[0] for column in self.con.description or []), self.con, budget)

    def _checked(self, sql: str) -> str:
        try:
            return checked(self.con, sql, self._scope)
        except UnknownTable:
            if self._is_pinned:
                raise
        # It may have been made since the session looked.
        self._scope = self._look_around()
        return checked(self.con, sql, self._scope)

    def tables(self) -> dict[tuple[str, str], list[tuple[str, str]]]:
        """Columns, each with its type, of the tables shown here, by schema and table."""
        found: dict[tuple[str, str], list[tuple[str, str]]] = {}
        rows = self.con.execute(
            "SELECT schema_name, table_name, column_name, data_type FROM duckdb_columns()"
            " WHERE database_name = ? ORDER BY schema_name, table_name, column_index",
            [self._catalog],
        ).fetchall()
        for schema, table, column, kind in rows:
            found.setdefault((schema, table), []).append((column, kind))
        return found

    def _look_around(self) -> Scope:
        views = self.con.execute(
            "SELECT DISTINCT lower(schema_name), lower(view_name) FROM duckdb_views() WHERE internal"
        ).fetchall()
        tables = _patiently(self.tables)
        return Scope(
            catalog=self._catalog,
            tables=frozenset((schema.lower(), table.lower()) for schema, table in tables),
            built_in=frozenset(views),
            tenant=self._tenant,
        )

    def rows(self, sql: str, parameters: Any = None) -> list[dict[str, Any]]:
        """The rows of amci's own query, as mappings."""
        result = self.con.execute(sql, parameters or [])
        names = [column[0] for column in result.description or []]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


@contextmanager
def session(
    workspace: Workspace,
    *,
    memory_limit: int,
    timeout: timedelta,
    threads: int | None = None,
    tenant: str | None = None,
    as_of: str | None = None,
) -> Iterator[Session]:
    """Open a read-only session; `as_of` is a snapshot's number or a moment, `tenant` narrows every table to its rows.

    `memory_limit` is in bytes; what does not fit spills to a folder of its own in the workspace.
    Raises NotFound where nothing was loaded yet or the snapshot does not exist, UsageError where `as_of` is
    neither number nor time, StorageError where a writing process kept the catalog busy.
    """
    if not workspace.catalog.exists():
        raise NotFound(
            "the lake is empty: nothing was loaded yet", hint="put files into raw/, then run `amci drain`"
        )
    at = _snapshot(as_of)
    spill = workspace.catalog.parent / f"spill-query-{new_id()}"
    con = duck.connect(memory_limit=memory_limit, threads=threads, temp=spill)
    try:
        _attach(con, workspace, at, as_of)
        if tenant:
            _narrow(con, tenant)
        _search_everywhere(con, _ONE_TENANT if tenant else LAKE)
        _lock(con, workspace)
        yield Session(con, tenant, timeout, is_pinned=as_of is not None)
    finally:
        con.close()
        shutil.rmtree(spill, ignore_errors=True)


def _attach(con: duckdb.DuckDBPyConnection, workspace: Workspace, at: str, as_of: str | None) -> None:
    def attempt() -> None:
        try:
            duck.attach(con, workspace.catalog, workspace.post_stage, read_only=True, as_of=at)
            # DuckLake looks for the snapshot when it is first asked something.
            con.execute(f"SELECT 1 FROM duckdb_schemas() WHERE database_name = '{LAKE}'")
        except Exception:
            con.execute(f"DETACH DATABASE IF EXISTS {LAKE}")
            raise

    try:
        _patiently(attempt)
    except duckdb.Error as error:
        if as_of is None or "snapshot" not in str(error).lower():
            raise
        raise NotFound(f"no snapshot {as_of}", hint="`amci lake snapshots` lists them") from None


def _patiently(work: Callable[[], Value]) -> Value:
    """What `work` gives, tried again while a writing process has the catalog."""
    for _ in range(_TRIES - 1):
        try:
            return work()
        except (duckdb.Error, StorageError) as error:
            if not _is_busy(error):
                raise
            pause(_BETWEEN)
    return work()


def _is_busy(error: Exception) -> bool:
    return any(said in str(error).lower() for said in ("database is locked", "catalog is busy"))


def _snapshot(as_of: str | None) -> str:
    if as_of is None:
        return ""
    if as_of.isdecimal():
        return f"SNAPSHOT_VERSION {int(as_of)}"
    try:
        at = moment(as_of)
    except ValueError:
        raise UsageError(
            f"'{as_of}' is neither a snapshot's number nor a time",
            hint="say --as-of 12 or --as-of 2026-11-01T06:00:00Z",
        ) from None
    return f"SNAPSHOT_TIME {literal(at.isoformat())}"


def _narrow(con: duckdb.DuckDBPyConnection, tenant: str) -> None:
    """Views that show one tenant's rows, under the names of the tables that have some."""
    ledger = f"{quoted(LAKE, 'amci', 'objects')} WHERE tenant_id = {literal(tenant)}"
    own = f"SELECT object_id, version FROM {ledger}"
    tables = con.execute(f"SELECT DISTINCT schema_name, table_name FROM {ledger}").fetchall()
    if not tables:
        raise NotFound(
            f"nothing of tenant '{tenant}' was loaded yet",
            hint='`amci query "SELECT DISTINCT tenant_id FROM amci.objects"`',
        )
    con.execute(f"ATTACH ':memory:' AS {_ONE_TENANT}")
    con.execute(f"CREATE SCHEMA {quoted(_ONE_TENANT, 'amci')}")
    con.execute(f"CREATE VIEW {quoted(_ONE_TENANT, 'amci', 'objects')} AS SELECT * FROM {ledger}")
    for schema, table in tables:
        con.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(_ONE_TENANT, schema)}")
        con.execute(
            f"CREATE VIEW {quoted(_ONE_TENANT, schema, table)} AS SELECT * FROM {quoted(LAKE, schema, table)}"
            f" WHERE ({quoted(OBJECT_ID)}, {quoted(VERSION)}) IN ({own})"
        )


def _search_everywhere(con: duckdb.DuckDBPyConnection, catalog: str) -> None:
    """SHOW TABLES lists all tables, and a table is found without its schema; the first schema by name wins."""
    schemas = con.execute(
        "SELECT schema_name FROM duckdb_schemas() WHERE database_name = ? ORDER BY schema_name <> 'main', schema_name",
        [catalog],
    ).fetchall()
    # The setting is read as SQL identifiers, so each is quoted inside the literal.
    path = ",".join(quoted(catalog, schema) for (schema,) in schemas)
    con.execute(f"SET search_path = {literal(path)}")


def _lock(con: duckdb.DuckDBPyConnection, workspace: Workspace) -> None:
    """No files but the lake's, no settings, no extensions, no variables of this program."""
    # SQLite keeps its journal beside the metadata.
    catalog: list[Path | str] = [
        f"{workspace.catalog}{suffix}" for suffix in ("", "-wal", "-shm", "-journal")
    ]
    con.execute(f"SET allowed_directories = [{literal(f'{workspace.post_stage}/')}]")
    con.execute(f"SET allowed_paths = [{', '.join(literal(str(path)) for path in catalog)}]")
    con.execute("SET python_enable_replacements = false")
    con.execute("SET enable_external_access = false")
    con.execute("SET lock_configuration = true")
