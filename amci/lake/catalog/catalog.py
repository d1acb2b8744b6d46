"""The lake's tables: DuckLake behind the few verbs that loading needs, each load one transaction."""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb
import pyarrow as pa

from amci.kernel import log
from amci.kernel.clock import new_id
from amci.kernel.errors import AmciError, MalformedFile
from amci.kernel.files import fault_point, json_of, moved, replacing
from amci.kernel.layout import hive_path
from amci.kernel.names import literal, quoted
from amci.kernel.workspace import WorkspacePaths
from amci.lake.catalog import duck
from amci.lake.catalog.casts import widened, widening_check_sql
from amci.lake.catalog.checksums import Checksums
from amci.lake.catalog.commit_guard import CommitGuard
from amci.lake.catalog.duck import LAKE, LEDGER, METADATA
from amci.lake.catalog.headers import TableHeaders
from amci.lake.catalog.inference import NO_CLUES, Clues
from amci.lake.catalog.kinds import Kind
from amci.lake.catalog.ledger import Ledger
from amci.lake.catalog.schema import SchemaPlan, plan
from amci.lake.catalog.tables import (
    NO_VALUE,
    TableHome,
    TableName,
    WrittenFile,
    comment_of,
    empty_columns,
    noted,
    stored,
)
from amci.lake.datasets.objects import OBJECT_ID, VERSION

_log = log.get("catalog")

#: Changing so many columns one by one costs more than to rewrite a table of so many values.
_MANY_COLUMNS, _FEW_VALUES = 100, 50_000_000
#: After so many commits, or rows, memory is given back; for fewer it costs more than it brings.
_COMMITS, _ROWS = 200, 200_000

#: The comment of a table, and the columns that have had no value yet by comments of their own, which are of an earlier
#: release. No row if there is no such table.
_NOTES = f"""
    SELECT (SELECT value FROM ducklake_tag
             WHERE object_id = t.table_id AND key = 'comment' AND end_snapshot IS NULL),
           (SELECT json_group_array(column_name) FROM ducklake_column_tag g
              JOIN ducklake_column c USING (table_id, column_id)
             WHERE g.table_id = t.table_id AND key = 'comment' AND value = {literal(NO_VALUE)}
               AND g.end_snapshot IS NULL AND c.end_snapshot IS NULL)
      FROM ducklake_table t JOIN ducklake_schema s USING (schema_id)"""


class Catalog:
    """The lake, opened for writing by the one process that may; threads may share it.

    What takes long is done outside of the lock:

        with catalog.working():
            ...                                  # with catalog.con, beside other threads
            with catalog.exclusive("load"):      # the lake itself is for one thread at a time
                with catalog.transaction():
                    catalog.insert(name, "SELECT 1 AS n")
    """

    def __init__(self, workspace: WorkspacePaths, *, memory_limit: int, threads: int | None) -> None:
        workspace.post_stage.mkdir(parents=True, exist_ok=True)
        workspace.catalog.parent.mkdir(parents=True, exist_ok=True)
        self._workspace, self._memory_limit, self._threads = workspace, memory_limit, threads
        self._post_stage = workspace.post_stage
        self._lock = threading.RLock()
        self._columns: dict[TableName, dict[str, str]] = {}
        self._headers: dict[TableName, TableHeaders] = {}
        self._partitions: dict[TableName, tuple[str, ...]] = {}
        self._remarked: dict[TableName, set[str]] = {}  #: columns with a comment of an earlier release
        self._written: list[Path] = []  #: files of the running transaction that no commit covers yet
        self._working = 0  #: threads between whose statements the connection has to stay
        #: which objects have rows in which table
        self.ledger = Ledger(lambda: self.con)
        self._open()
        self.ledger.prepare()
        # What a process that died had committed and not come to.
        self.checksums.record()

    def _open(self) -> None:
        database = duck.connect(
            memory_limit=self._memory_limit, threads=self._threads, temp=self._workspace.spill
        )
        # The system keeps files in memory as long as there is room; DuckDB would keep them up to its memory_limit.
        database.execute("SET enable_external_file_cache = false")
        duck.attach(database, self._workspace.catalog, self._post_stage)
        self._database = database
        self._cursors: dict[int, duckdb.DuckDBPyConnection] = {}  #: by thread
        self._commits = self._rows = 0  #: loaded since then
        self.checksums = Checksums(database, self._post_stage)
        #: Every commit is made under the eyes of the guard.
        self.guard = CommitGuard(database, on_committed=self.checksums.record)

    @property
    def con(self) -> duckdb.DuckDBPyConnection:
        """The connection of this thread; those of all threads share one DuckDB, its memory and its view of the lake."""
        me = threading.get_ident()
        if me not in self._cursors:
            self._cursors[me] = self._database.cursor()
        return self._cursors[me]

    def close(self) -> None:
        """Let go of the catalog. No other thread may be using it."""
        self.guard.close()
        for cursor in self._cursors.values():
            cursor.close()
        self._database.close()

    @contextmanager
    def working(self, *, rows: int = 0) -> Iterator[None]:
        """Keep this thread's connection, and what is temporary in it, for the block.

        After many commits or many rows, and when no thread is in such a block, memory is given back to the system.
        """
        with self._lock:
            self._working += 1
        try:
            yield
        finally:
            with self._lock:
                self._working -= 1
                self._rows += rows
                is_due = self._commits >= _COMMITS or self._rows >= _ROWS
                if is_due and not self._working and not self.guard.is_unsure:
                    self._open_again()

    def _open_again(self) -> None:
        """Return to the system what DuckDB, Arrow and the C library keep for the next time.

        DuckDB keeps its caches, and some 20 KB of each commit to the lake, for as long as it is open.
        """
        guard, database, cursors = self.guard, self._database, self._cursors
        try:
            self._open()
        except (AmciError, duckdb.Error) as error:
            # What is open goes on working, and this is tried again after as many commits.
            self._commits = self._rows = 0
            _log.warning("catalog not opened again", exc_info=error)
            return
        guard.close()
        for cursor in cursors.values():
            cursor.close()
        database.close()
        pa.default_memory_pool().release_unused()
        if sys.platform == "linux":
            # musl has no such function; it keeps less.
            with suppress(AttributeError):
                ctypes.CDLL(None).malloc_trim(0)

    def reattach(self) -> None:
        """Attach the lake again, outside of any transaction, and so forget the older schemas that DuckLake has cached.

        DuckLake caches them by schema version alone, but rows of the ledger that are inlined are read with the
        tables of the snapshot that made it. Later tables of the same version are then missing for whatever looks
        at files by their schema version, as compaction does (duckdb/ducklake issue 955).
        """
        self.con.execute(f"DETACH {LAKE}")
        duck.attach(self.con, self._workspace.catalog, self._post_stage)
        self._columns.clear()

    @contextmanager
    def exclusive(self, doing: str) -> Iterator[None]:
        """Work on the lake alone: one thread has a transaction at a time. Errors are those of `duck_errors`."""
        with self._lock, duck.duck_errors(doing):
            yield

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """One DuckLake commit: all of it or nothing."""
        with self.guard.watching("load into the lake"):
            self.con.execute("BEGIN")
            try:
                yield
                fault_point("catalog.before_commit")
                self.con.execute("COMMIT")
            except BaseException:
                self._columns.clear()
                self._headers.clear()
                self._partitions.clear()
                # A COMMIT that failed has ended the transaction already.
                with suppress(duckdb.TransactionException):
                    self.con.execute("ROLLBACK")
                if self.guard.undo():
                    for path in self._written:
                        path.unlink(missing_ok=True)
                raise
            finally:
                self._written = []
            self._commits += 1
            fault_point("catalog.after_commit")

    def note_run(self, run_id: int) -> None:
        """Write with the commit which run was the newest then; see `pairing`."""
        self.con.execute(f"CALL {LAKE}.set_commit_message('amci', 'load', extra_info => '{run_id}')")

    def columns(self, name: TableName) -> dict[str, str]:
        """Column names and SQL types of a table in their order; empty if there is no such table.

        A column that has had no value yet is `NOTHING`; it is text until its first value gives it a type.
        """
        if name not in self._columns:
            # What a look at all tables and columns says costs twenty times as much the first time.
            notes = duck.metadata_rows(self.con, f"{_NOTES} WHERE {_is_table(name)}")
            columns = self.con.execute(f"DESCRIBE {name.sql}").fetchall() if notes else []
            comment, remarked = notes[0] if notes else (None, "[]")
            self._remarked[name] = set(json_of(remarked))
            empty, self._headers[name] = noted(comment, [column for column, *_ in columns])
            empty |= self._remarked[name]
            self._columns[name] = {c: Kind.NOTHING.value if c in empty else kind for c, kind, *_ in columns}
        return self._columns[name]

    def headers(self, name: TableName) -> TableHeaders:
        """What the columns of a table are called in the files that its rows are from."""
        self.columns(name)
        return self._headers[name]

    def plan(
        self, name: TableName, want: Mapping[str, str], *, may_evolve: bool, max_columns: int
    ) -> SchemaPlan:
        """What has to change in table `name` before rows with columns `want` go in.

        Raises SchemaConflict if it may not be changed so, MalformedFile if it would have too many columns.
        """
        have = self.columns(name)
        if (count := len(have.keys() | want.keys())) > max_columns:
            raise MalformedFile(
                f"table {name} would have {count} columns, more than {max_columns}",
                hint="Check the names of the file's columns. If they are sound, raise max_columns.",
            )
        if not have:
            return SchemaPlan(add=dict(want))

        checks = {
            column: check
            for column, sql_type in want.items()
            if (check := widening_check_sql(Kind.of_sql(have.get(column, "")), Kind.of_sql(sql_type), column))
        }
        lost: set[str] = set()
        if checks:
            # One scan for all columns, not one for each.
            counts = self.con.execute(f"SELECT {', '.join(checks.values())} FROM {name.sql}").fetchall()[0]
            lost = {column for column, count in zip(checks, counts, strict=True) if count}
        return plan(have, want, may_evolve=may_evolve, survives=lambda column, _old, _new: column not in lost)

    def apply(
        self,
        name: TableName,
        changes: SchemaPlan,
        partition_by: Sequence[str],
        headers: TableHeaders | None = None,
    ) -> None:
        """Carry out `changes` inside the running transaction; `headers` are the columns' from now on, if new."""
        have = self.columns(name)
        after = changes.applied(have)
        had = self._headers[name]
        self._headers[name] = headers = headers or had
        if not have:
            self._create(name, after, partition_by, headers)
        elif changes.rewrite or (
            len(changes.add) + len(changes.widen) > _MANY_COLUMNS and self._has_few_values(name, len(have))
        ):
            self._rewrite(name, have, after, partition_by, headers, changes.clues)
        else:
            for column, sql_type in changes.widen.items():
                self.con.execute(f"ALTER TABLE {name.sql} ALTER {quoted(column)} SET DATA TYPE {sql_type}")
            for column, sql_type in changes.add.items():
                self.con.execute(f"ALTER TABLE {name.sql} ADD COLUMN {quoted(column)} {stored(sql_type)}")
            for column in self._remarked[name].intersection(changes.settle):
                self.con.execute(f"COMMENT ON COLUMN {name.sql}.{quoted(column)} IS NULL")
            if empty_columns(have) != empty_columns(after) or headers != had:
                self._remark(name, after, headers)
            wanted = _wanted(partition_by, after)
            # To none at all only by a rewrite: DuckLake 1.5.5 fails if rows come in the same commit.
            if wanted and wanted != self.partitioned_by(name):
                self._partition(name, wanted)
        self._columns[name] = after

    def _has_few_values(self, name: TableName, columns: int) -> bool:
        rows: int = self.con.execute(f"SELECT count(*) FROM {name.sql}").fetchall()[0][0]
        return rows * columns <= _FEW_VALUES

    def _remark(self, name: TableName, columns: Mapping[str, str], headers: TableHeaders) -> None:
        """Note in the catalog which columns have had no value yet, and what files call the columns."""
        self.con.execute(f"COMMENT ON TABLE {name.sql} IS {literal(comment_of(columns, headers))}")

    def _create(
        self, name: TableName, columns: Mapping[str, str], partition_by: Sequence[str], headers: TableHeaders
    ) -> None:
        self.con.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(LAKE, name.schema)}")
        body = ", ".join(f"{quoted(column)} {stored(sql_type)}" for column, sql_type in columns.items())
        self.con.execute(f"CREATE TABLE {name.sql} ({body})")
        self._remark(name, columns, headers)
        self._partitions[name] = ()
        if known := [column for column in partition_by if column in columns]:
            self._partition(name, known)

    def _partition(self, name: TableName, columns: Sequence[str]) -> None:
        """Partition by these columns what comes from now on; the files that are there stay as they are."""
        self.con.execute(f"ALTER TABLE {name.sql} SET PARTITIONED BY ({', '.join(map(quoted, columns))})")
        self._partitions[name] = tuple(columns)

    def partitioned_by(self, name: TableName) -> tuple[str, ...]:
        """The columns by which new files of a table are partitioned."""
        if name not in self._partitions:
            rows = duck.metadata_rows(
                self.con,
                "SELECT c.column_name FROM ducklake_table t JOIN ducklake_schema s USING (schema_id)"
                " JOIN ducklake_partition_info p ON p.table_id = t.table_id"
                " JOIN ducklake_partition_column k"
                " ON k.table_id = p.table_id AND k.partition_id = p.partition_id"
                " JOIN ducklake_column c ON c.table_id = t.table_id AND c.column_id = k.column_id"
                f" WHERE {_is_table(name)} AND p.end_snapshot IS NULL AND c.end_snapshot IS NULL"
                " ORDER BY k.partition_key_index",
            )
            self._partitions[name] = tuple(column for (column,) in rows)
        return self._partitions[name]

    def drop(self, name: TableName) -> None:
        """Take a table out in one commit, and its schema if that has no other; readers keep their snapshot."""
        with self.transaction():
            self.con.execute(f"DROP TABLE {name.sql}")
            others = "SELECT 1 FROM duckdb_columns() WHERE database_name = ? AND schema_name = ? LIMIT 1"
            if not self.con.execute(others, [LAKE, name.schema]).fetchall():
                self.con.execute(f"DROP SCHEMA {quoted(LAKE, name.schema)}")
        for cache in (self._columns, self._headers, self._partitions, self._remarked):
            cache.pop(name, None)

    def repartition(self, name: TableName, columns: Sequence[str]) -> None:
        """Rewrite a table to files partitioned by these columns, in one commit; readers keep their snapshot."""
        with self.transaction():
            have = self.columns(name)
            self._rewrite(name, have, have, columns, self.headers(name))

    def _rewrite(
        self,
        name: TableName,
        have: Mapping[str, str],
        after: Mapping[str, str],
        partition_by: Sequence[str],
        headers: TableHeaders,
        clues: Clues = NO_CLUES,
    ) -> None:
        """Rewrite the table with wider types beside itself, then rename it; readers keep their snapshot."""
        self.checksums.require(str(name))
        # No table can have this name: `table_name` leaves no hyphen.
        fresh = TableName(name.schema, f"{name.table}-rewritten")
        self._create(fresh, after, partition_by, headers)
        values = ", ".join(
            f"{widened(c, have[c], stored(after[c]), how=clues.how(c))} AS {quoted(c)}" for c in have
        )
        with duck.for_columns(self.con, len(have)):
            self.con.execute(f"INSERT INTO {fresh.sql} BY NAME SELECT {values} FROM {name.sql}")
        self.con.execute(f"DROP TABLE {name.sql}")
        self.con.execute(f"ALTER TABLE {fresh.sql} RENAME TO {quoted(name.table)}")
        self._partitions[name] = self._partitions.pop(fresh)

    def insert(self, name: TableName, select: str) -> None:
        """Add the rows of `select`, matched to columns by name."""
        with duck.for_columns(self.con, len(self.columns(name))):
            self.con.execute(f"INSERT INTO {name.sql} BY NAME {select}")

    def home(self, name: TableName) -> TableHome:
        """What rows of the table are written as, and where, at this moment of the transaction."""
        return self._home(name, self.columns(name), self.partitioned_by(name))

    def foresee(self, name: TableName, changes: SchemaPlan, partition_by: Sequence[str]) -> TableHome:
        """The same after `apply`, for rows that are written before the transaction; unless it rewrites the table."""
        after = changes.applied(self.columns(name))
        return self._home(name, after, _wanted(partition_by, after) or self.partitioned_by(name))

    def _home(self, name: TableName, columns: Mapping[str, str], partition_by: tuple[str, ...]) -> TableHome:
        types = {column: stored(sql_type) for column, sql_type in columns.items()}
        return TableHome(types, self._post_stage / name.schema / self._folder(name), partition_by)

    def write_file(self, select: str, home: TableHome, partition: Mapping[str, str]) -> WrittenFile:
        """Write very many rows of one partition to a file that `add_file` then gives to the table.

        DuckLake's own insert would sort every row into its partition, at twice the cost (bench, one_partition).
        A file that is left behind by a crash belongs to no table; `vacuum` removes it.
        """
        path = _new_path(home, partition)
        kept = (
            f"SELECT * EXCLUDE ({', '.join(map(quoted, partition))}) FROM ({select})" if partition else select
        )
        with replacing(path) as beside, duck.for_columns(self.con, len(home.columns)):
            self.con.execute(
                f"COPY ({kept}) TO {literal(str(beside))} (FORMAT parquet, WRITE_BLOOM_FILTER false)"
            )
        return WrittenFile(path, home)

    @staticmethod
    def take_file(source: Path, home: TableHome, partition: Mapping[str, str]) -> WrittenFile:
        """The same for a file that has been written elsewhere, which goes to its place."""
        path = _new_path(home, partition)
        moved(source, path)
        return WrittenFile(path, home)

    def add_file(self, name: TableName, file: WrittenFile) -> None:
        """Have the table take over a file with rows of one partition; deleted if the transaction fails."""
        self._written.append(file.path)
        self.con.execute(
            f"CALL ducklake_add_data_files({literal(LAKE)}, {literal(name.table)}, {literal(str(file.path))},"
            f" schema => {literal(name.schema)}, hive_partitioning => {bool(file.home.partition_by)},"
            f" allow_missing => true)"
        )

    def _folder(self, name: TableName) -> str:
        """The folder of a table inside its schema's: its name, or, once rewritten, the one it was rewritten in."""
        rows = self.con.execute(
            f"SELECT t.path FROM {METADATA}.ducklake_table t"
            f" JOIN {METADATA}.ducklake_schema s USING (schema_id) WHERE {_is_table(name)}"
        ).fetchall()
        return str(rows[0][0]) if rows else name.table

    def delete(self, name: TableName, versions: Collection[tuple[int, int]]) -> None:
        """Take the rows of these (object id, version) pairs out of a table."""
        self._delete(
            f"DELETE FROM {name.sql} AS rows USING to_delete"
            f" WHERE rows.{quoted(OBJECT_ID)} = to_delete.o AND rows.{quoted(VERSION)} = to_delete.v",
            versions,
        )

    def forget(self, versions: Collection[tuple[int, int]]) -> None:
        """Take these (object id, version) pairs out of the ledger."""
        self._delete(f"DELETE FROM {LEDGER} USING to_delete WHERE object_id = o AND version = v", versions)

    def _delete(self, statement: str, versions: Collection[tuple[int, int]]) -> None:
        ids = pa.array([o for o, _ in versions], pa.int64())
        numbers = pa.array([v for _, v in versions], pa.int32())
        with duck.showing(self.con, "to_delete", pa.table({"o": ids, "v": numbers})):
            self.con.execute(statement)

    def purge(self, tenant_id: str, *, dry_run: bool) -> dict[str, int]:
        """Take a tenant's rows and ledger entries out in one transaction, or only count them.

        Returns the numbers of `objects`, `rows` and `tables`. Older snapshots keep the rows until they are expired,
        and pre-stage files stay until `vacuum`, as after any other deletion.
        """
        with self.exclusive("purge a tenant"):
            entries = self.ledger.of_tenant(tenant_id)
            versions: dict[TableName, set[tuple[int, int]]] = {}
            for entry in entries:
                versions.setdefault(entry.name, set()).add((entry.object_id, entry.version))
            if entries and not dry_run:
                with self.transaction():
                    for name, to_delete in versions.items():
                        self.delete(name, to_delete)
                    self.forget(set().union(*versions.values()))
        objects = {entry.object_id for entry in entries}
        return {
            "objects": len(objects),
            "rows": sum(entry.rows for entry in entries),
            "tables": len(versions),
        }

    def end_files(self, tables: Mapping[int, int]) -> None:
        """Let the newest snapshot go without these files (number to the number of their table), in a commit of its own.

        As DuckLake does when all rows of a file are deleted, but without reading it. Older snapshots keep them.
        """
        ids = ", ".join(map(str, tables))
        changes = ",".join(f"deleted_from_table:{number}" for number in sorted(set(tables.values())))
        with self.guard.watching("take damaged files out of the lake"):
            self.con.execute("BEGIN")
            try:
                new = self.guard.newest() + 1
                self.con.execute(
                    f"INSERT INTO {METADATA}.ducklake_snapshot"
                    " SELECT snapshot_id + 1, strftime(now() AT TIME ZONE 'UTC', '%Y-%m-%d %H:%M:%S.%f+00'),"
                    f" schema_version, next_catalog_id, next_file_id FROM {METADATA}.ducklake_snapshot"
                    f" WHERE snapshot_id = {new - 1}"
                )
                self.con.execute(
                    f"INSERT INTO {METADATA}.ducklake_snapshot_changes"
                    " (snapshot_id, changes_made, author, commit_message) VALUES (?, ?, 'amci', 'repair')",
                    [new, changes],
                )
                for kind in ("data", "delete"):
                    self.con.execute(
                        f"UPDATE {METADATA}.ducklake_{kind}_file SET end_snapshot = {new}"
                        f" WHERE {kind}_file_id IN ({ids}) AND end_snapshot IS NULL"
                    )
                fault_point("catalog.before_commit")
                self.con.execute("COMMIT")
            except BaseException:
                with suppress(duckdb.TransactionException):
                    self.con.execute("ROLLBACK")
                raise


def _new_path(home: TableHome, partition: Mapping[str, str]) -> Path:
    return home.folder / hive_path(tuple(partition.items())) / f"amci-{new_id()}.parquet"


def _is_table(name: TableName) -> str:
    """SQL that is true of the row of a table, `t`, and that of its schema, `s`, in DuckLake's metadata."""
    is_it = f"s.schema_name = {literal(name.schema)} AND t.table_name = {literal(name.table)}"
    return f"{is_it} AND t.end_snapshot IS NULL AND s.end_snapshot IS NULL"


def _wanted(partition_by: Sequence[str], columns: Mapping[str, str]) -> tuple[str, ...]:
    """The columns to partition by that there are."""
    return tuple(column for column in partition_by if column in columns)
