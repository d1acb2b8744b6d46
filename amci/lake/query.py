"""Read-only sessions over the lake: locked down, limited, each on one snapshot of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import duckdb

from amci.clock import moment
from amci.errors import NotFound, QueryError, UsageError
from amci.lake import duck
from amci.lake.catalog import LAKE
from amci.lake.statement import checked, said
from amci.names import literal, quoted
from amci.workspace import Workspace


class Session:
    """A connection that can read the lake and nothing else."""

    def __init__(self, con: duckdb.DuckDBPyConnection, tenant: str | None, timeout: timedelta) -> None:
        self.con = con
        self._tenant = tenant
        self._timeout = timeout

    def run(self, sql: str) -> duckdb.DuckDBPyConnection:
        """Run one reading statement; the result is fetched from what is returned.

        Raises QueryError for a statement that is wrong, writes, or takes too long.
        """
        text = checked(self.con, sql, tenant=self._tenant)
        with self._limited():
            return self.con.execute(text)

    @contextmanager
    def _limited(self) -> Iterator[None]:
        timer = threading.Timer(self._timeout.total_seconds(), self.con.interrupt)
        timer.daemon = True
        timer.start()
        try:
            yield
        except duckdb.InterruptException:
            raise QueryError(
                f"the query ran longer than {self._timeout.total_seconds():g} s",
                hint="narrow it, or raise query_timeout in amci.yaml",
            ) from None
        except duckdb.OutOfMemoryException:
            raise QueryError(
                "the query needs more memory than query_memory_limit allows",
                hint="narrow it, or raise it in amci.yaml",
            ) from None
        except duckdb.PermissionException as error:
            raise QueryError(said(error), hint="a session reads the lake and nothing else") from None
        except duckdb.Error as error:
            raise QueryError(
                said(error), hint="`amci lake tables` lists tables, `amci lake show TABLE` their columns"
            ) from None
        finally:
            timer.cancel()

    def rows(self, sql: str, parameters: list[Any] | None = None) -> list[dict[str, Any]]:
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

    Raises NotFound where nothing was loaded yet or the snapshot does not exist.
    """
    if not workspace.catalog.exists():
        raise NotFound(
            "the lake is empty: nothing was loaded yet", hint="put files into raw/, then run `amci drain`"
        )
    con = duck.connect(memory_limit=memory_limit, threads=threads)
    try:
        _attach(con, workspace, as_of)
        con.execute(f"USE {LAKE}")
        if tenant:
            _narrow(con, tenant)
        _lock(con, workspace)
        yield Session(con, tenant, timeout)
    finally:
        con.close()


def _attach(con: duckdb.DuckDBPyConnection, workspace: Workspace, as_of: str | None) -> None:
    try:
        duck.attach(con, workspace.catalog, workspace.post_stage, read_only=True, as_of=_snapshot(as_of))
        con.execute(f"SELECT 1 FROM duckdb_tables() WHERE database_name = '{LAKE}' LIMIT 1")
    except duckdb.Error as error:
        if as_of is None:
            raise
        raise NotFound(f"no snapshot {as_of}", hint="`amci lake snapshots` lists them") from error


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
    """Views that show one tenant's rows, under the names of the tables; the lake itself is out of reach by name."""
    own = f"SELECT object_id FROM {quoted(LAKE, 'amci', 'objects')} WHERE tenant_id = {literal(tenant)}"
    if not con.execute(f"{own} LIMIT 1").fetchall():
        raise NotFound(
            f"nothing of tenant '{tenant}' was loaded yet",
            hint='`amci query "SELECT DISTINCT tenant_id FROM amci.objects"`',
        )
    tables = con.execute(
        "SELECT DISTINCT schema_name, table_name FROM duckdb_columns()"
        f" WHERE database_name = '{LAKE}' AND (column_name = '_object_id' OR schema_name = 'amci')"
    ).fetchall()
    con.execute("ATTACH ':memory:' AS one_tenant")
    for schema, table in tables:
        column = "object_id" if schema == "amci" else "_object_id"
        con.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted('one_tenant', schema)}")
        con.execute(
            f"CREATE VIEW {quoted('one_tenant', schema, table)} AS SELECT * FROM {quoted(LAKE, schema, table)}"
            f" WHERE {column} IN ({own})"
        )
    con.execute("USE one_tenant")


def _lock(con: duckdb.DuckDBPyConnection, workspace: Workspace) -> None:
    """No files but the lake's, no settings, no extensions."""
    allowed = [f"{workspace.post_stage}/", f"{workspace.catalog}"]
    con.execute(f"SET allowed_directories = [{', '.join(map(literal, allowed[:1]))}]")
    # SQLite keeps its journal beside the metadata.
    con.execute(
        f"SET allowed_paths = [{', '.join(literal(f'{workspace.catalog}{suffix}') for suffix in ('', '-wal', '-shm', '-journal'))}]"
    )
    con.execute("SET enable_external_access = false")
    con.execute("SET lock_configuration = true")
