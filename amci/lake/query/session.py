"""Read-only sessions over the lake: locked down, limited, each query on one snapshot of it."""

from __future__ import annotations

import random
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import duckdb

from amci.kernel.clock import moment, new_id, pause
from amci.kernel.duckdb_settings import locked
from amci.kernel.errors import NotFound, QueryError, StorageError, UsageError
from amci.kernel.names import literal, quoted
from amci.kernel.process_limits import bounded_memory
from amci.kernel.state import State
from amci.kernel.workspace import WorkspacePaths
from amci.lake.catalog import duck
from amci.lake.catalog.duck import LAKE, NoLake, is_busy, lake_tables
from amci.lake.catalog.pairing import unknown_lake
from amci.lake.datasets.objects import OBJECT_ID, VERSION
from amci.lake.query.result import QueryResult, TimeBudget
from amci.lake.query.statement import CatalogScope, UnknownTable, checked

Value = TypeVar("Value")

#: How often the catalog is tried while another process holds it, with this many seconds between.
_TRIES, _BETWEEN = 20, 0.1
#: DuckLake counts snapshots in 64 bits.
_LARGEST = 2**63 - 1
_ONE_TENANT = "one_tenant"
#: Bytes beyond `memory_limit` for what DuckDB does not count, and for what becomes of the rows in Python and Arrow.
ALLOWANCE = 512 * 1024**2


class QuerySession:
    """A connection that can read the lake and nothing else.

    Each query sees one committed state: the newest when it begins, or that of `as_of`. The session itself
    keeps none, so a second query may see what was loaded in between.

    A session for one tenant shows views of the tables the tenant had rows in when it was opened. It guards
    against mistakes, not against a determined reader: its user can read the workspace's files anyway,
    and whether an expression fails may depend on rows of others.
    """

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        tenant: str | None,
        timeout: timedelta,
        *,
        is_pinned: bool,
        post_stage: Path | None,
    ) -> None:
        self.con = con
        self._post_stage = (
            post_stage  #: whose files are compared with their checksums first; None if none are
        )
        #: Set it, and the running query ends with a KeyboardInterrupt. A signal handler that raises cannot
        #: do that: if DuckDB is in between, it takes the exception for its own and goes on.
        self.stop = threading.Event()
        self._tenant = tenant
        self._timeout = timeout
        self._is_in_transaction = False
        self._budget: TimeBudget | None = None
        self._is_pinned = is_pinned or tenant is not None
        self._catalog = _ONE_TENANT if tenant else LAKE
        self._scope = self._look_around()

    def run(self, sql: str) -> QueryResult:
        """Run one reading statement; the rows are fetched from what is returned, before the next `run`.

        Raises QueryError for a statement that is wrong, writes, or takes too long, StorageError if a writing process
        kept the catalog busy; in a session that verifies, DamagedFile if a file of the tables is not what was written.
        """
        if self.is_stuck:
            raise QueryError("the query before has not ended yet", hint="open another session")
        text = self._checked(sql)
        self._end_transaction()
        if self._post_stage:
            self._verify(text, self._post_stage)
        if len(self.con.extract_statements(text)) > 1:
            # A PIVOT collects its values first; both steps have to see one state.
            self.con.begin()
            self._is_in_transaction = True
        budget = TimeBudget(self.con, self._timeout, hide_values=self._tenant is not None, stop=self.stop)
        self._budget = budget
        budget.spend(lambda: _retried(lambda: self.con.execute(text)))
        description = self.con.description or []
        return QueryResult(
            tuple(c[0] for c in description), tuple(str(c[1]) for c in description), self.con, budget
        )

    @property
    def is_stuck(self) -> bool:
        """Whether DuckDB still works on a query whose time is over, and does not heed that."""
        return self._budget is not None and self._budget.is_stuck

    def renew(self) -> None:
        """Make it what it was when it was opened: for the next query in `kept_session`."""
        self._end_transaction()
        # Drops the rows that were not fetched as well. With its schema, as DuckDB looks into the lake first otherwise.
        self.con.execute(f"SELECT system.main.setseed({random.uniform(-1, 1)})")  # noqa: S311 - no secret
        self.stop = threading.Event()

    def _end_transaction(self) -> None:
        if self._is_in_transaction:
            self._is_in_transaction = False
            self.con.rollback()

    def _checked(self, sql: str) -> str:
        try:
            return checked(self.con, sql, self._scope)
        except UnknownTable:
            if self._is_pinned:
                raise
        # It may have been made since the session looked.
        self._scope = self._look_around()
        return checked(self.con, sql, self._scope)

    def _verify(self, text: str, post_stage: Path) -> None:
        """Raise DamagedFile unless the files of every table whose name is in the text are what was written."""
        # Here, because it loads Arrow, which queries do without.
        from amci.lake.catalog.checksums import lake_files, require_intact

        lowered = text.lower()
        for file in lake_files(self.con, post_stage):
            table = file.table.partition(".")[2].lower()
            if table in lowered and (file.is_current or self._is_pinned):
                require_intact(file.path, file.sha256)

    def tables(self) -> dict[tuple[str, str], list[tuple[str, str]]]:
        """Columns, each with its type, of the tables shown here, by schema and table."""
        found: dict[tuple[str, str], list[tuple[str, str]]] = {}
        rows = self.con.execute(
            "SELECT schema_name, table_name, column_name, data_type FROM duckdb_columns()"
            f" WHERE database_name = {literal(self._catalog)} ORDER BY schema_name, table_name, column_index"
        ).fetchall()
        for schema, table, column, kind in rows:
            found.setdefault((schema, table), []).append((column, kind))
        return found

    def headers(self) -> dict[tuple[str, str], dict[str, str]]:
        """What files call columns, if it is not the column's name, by schema and table."""
        # Here, because it loads Arrow, which queries do without.
        from amci.lake.catalog.tables import noted

        return {
            (schema, table): noted(comment, ())[1].shown()
            for schema, table, comment in lake_tables(self.con)
            if comment
        }

    def _look_around(self) -> CatalogScope:
        # Without their columns. What is shown of one tenant are views, which do not look into the lake.
        names = lake_tables if self._tenant is None else _views
        tables = _retried(lambda: names(self.con))
        built_in = "SELECT DISTINCT lower(schema_name), lower(view_name) FROM duckdb_views() WHERE internal"
        return CatalogScope(
            catalog=self._catalog,
            tables=frozenset((schema.lower(), table.lower()) for schema, table, _ in tables),
            built_in=frozenset(self.con.execute(built_in).fetchall()),
            tenant=self._tenant,
        )

    def rows(self, sql: str, parameters: Any = None) -> list[dict[str, Any]]:
        """The rows of amci's own query, as mappings."""
        result = self.con.execute(sql, parameters)
        names = [column[0] for column in result.description or []]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


@contextmanager
def session(
    workspace: WorkspacePaths,
    *,
    memory_limit: int,
    timeout: timedelta,
    threads: int | None = None,
    tenant: str | None = None,
    as_of: str | None = None,
    owns_process: bool = False,
    verifies: bool = False,
) -> Iterator[QuerySession]:
    """Open a read-only session; `as_of` is a snapshot's number or a moment, `tenant` shows only its rows.

    `memory_limit` is in bytes; what does not fit spills to a folder of its own in the workspace. DuckDB does not count
    a single value, however large. A process that does nothing else, `owns_process`, has at most 512 MiB more; in others
    a query can take what the machine has.
    With `verifies`, each query first compares the files of its tables with their checksums, which reads them whole.
    Raises NotFound if nothing was loaded yet or the snapshot does not exist, UsageError if `as_of` is
    neither number nor time, StorageError if a writing process kept the catalog busy or the disk refuses, also of what
    amci itself asks the session.
    """
    if not workspace.catalog.exists():
        raise _empty()
    at = _snapshot(as_of)
    spill = workspace.catalog.parent / f"spill-query-{new_id()}"
    con = duck.connect(memory_limit=memory_limit, threads=threads, temp=spill)
    opened: QuerySession | None = None
    try:
        with duck.duck_errors("ask the lake"):
            # Leaves a transaction open, so that DuckLake reads its tables once for all that follows.
            _attach(con, workspace, at, as_of)
            if tenant:
                _narrow(con, tenant)
            _search_everywhere(con, _ONE_TENANT if tenant else LAKE)
            # SQLite keeps its journal beside the metadata.
            catalog = [f"{workspace.catalog}{suffix}" for suffix in ("", "-wal", "-shm", "-journal")]
            con.execute(locked(folders=[f"{workspace.post_stage}/"], files=catalog))
            opened = QuerySession(
                con,
                tenant,
                timeout,
                is_pinned=as_of is not None,
                post_stage=workspace.post_stage if verifies else None,
            )
            con.commit()
            with bounded_memory(memory_limit + ALLOWANCE) if owns_process else nullcontext():
                yield opened
    finally:
        # Closing would wait for a query that does not end.
        if not (opened and opened.is_stuck):
            con.close()
        shutil.rmtree(spill, ignore_errors=True)


def _attach(con: duckdb.DuckDBPyConnection, workspace: WorkspacePaths, at: str, as_of: str | None) -> None:
    def attempt() -> bool:
        try:
            duck.attach(con, workspace.catalog, workspace.post_stage, read_only=True, as_of=at)
            con.begin()
            # DuckLake looks for the snapshot when it is first asked something.
            found = con.execute(
                f"SELECT 1 FROM duckdb_schemas() WHERE database_name = '{LAKE}' AND schema_name = 'amci'"
            ).fetchall()
        except Exception:
            with suppress(duckdb.Error):  # there is none if it could not be attached
                con.rollback()
            con.execute(f"DETACH DATABASE IF EXISTS {LAKE}")
            raise
        return bool(found)

    try:
        has_ledger = _retried(attempt)
    except NoLake:
        if as_of is not None:
            raise _no_snapshot(as_of) from None
        has_ledger = False
    except duckdb.Error as error:
        if as_of is None or "snapshot" not in str(error).lower():
            raise
        raise _no_snapshot(as_of) from None
    # A snapshot may be older than the ledger. Otherwise, what made the catalog died before it wrote one.
    if not has_ledger and as_of is None:
        raise NoLake if _is_known(workspace) else _empty()


def _is_known(workspace: WorkspacePaths) -> bool:
    """Whether the state file knows of a lake."""
    if not workspace.state.exists():
        return False
    with State.read_only(workspace.state) as state:
        return bool(unknown_lake(state, workspace.catalog))


def _views(con: duckdb.DuckDBPyConnection) -> list[tuple[str, str, str | None]]:
    """Schema, name and comment of each view of one tenant's rows."""
    return con.execute(
        f"SELECT schema_name, view_name, comment FROM duckdb_views() WHERE database_name = '{_ONE_TENANT}'"
    ).fetchall()


def _empty() -> NotFound:
    return NotFound(
        "the lake is empty: nothing was loaded yet", hint="put files into raw/, then run `amci drain`"
    )


def _no_snapshot(as_of: str) -> NotFound:
    return NotFound(f"no snapshot {as_of}", hint="`amci lake snapshots` lists them")


def _retried(work: Callable[[], Value]) -> Value:
    """What `work` returns, retried while a writing process has the catalog."""
    for _ in range(_TRIES - 1):
        try:
            return work()
        except (duckdb.Error, StorageError) as error:
            if not is_busy(error):
                raise
            pause(_BETWEEN)
    return work()


def _snapshot(as_of: str | None) -> str:
    if as_of is None:
        return ""
    if as_of.isdecimal():
        if int(as_of) > _LARGEST:
            raise _no_snapshot(as_of)
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
    try:
        tables = con.execute(f"SELECT DISTINCT schema_name, table_name FROM {ledger}").fetchall()
    except duckdb.CatalogException:
        # The snapshot is older than the ledger.
        tables = []
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
    """SHOW TABLES lists all tables; a table is found without its schema, in the first schema by name."""
    schemas = con.execute(
        f"SELECT schema_name FROM duckdb_schemas() WHERE database_name = {literal(catalog)}"
        " ORDER BY schema_name <> 'main', schema_name"
    ).fetchall()
    # The setting is read as SQL identifiers, so each is quoted inside the literal.
    path = ",".join(quoted(catalog, schema) for (schema,) in schemas)
    con.execute(f"SET search_path = {literal(path)}")
