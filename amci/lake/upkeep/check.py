"""Comparing the catalog with the disk: which files it knows, and which are missing, altered or extra."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from amci.kernel.clock import moment
from amci.kernel.errors import AmciError, NotFound
from amci.kernel.state import State
from amci.kernel.workspace import WorkspacePaths
from amci.lake.catalog.checksums import LakeFile, footer_of, lake_files, sha256_of
from amci.lake.catalog.duck import LEDGER, METADATA, first_line, lake_tables
from amci.lake.catalog.tables import TableName
from amci.lake.datasets.objects import OBJECT_ID, VERSION
from amci.lake.query.session import QuerySession, session
from amci.lake.upkeep.file_schema import Columns, columns_by_table, difference, staged_difference

#: Pre-stage files that may be read again: by runs that have not ended well, by `reprocess` (which takes the
#: newest heavy run of an object), and those the newest loaded version came from.
_STAGED = """
    WITH heavy AS (
        SELECT run_id, payload ->> 'object_id' AS object_id, payload ->> 'version' AS version
          FROM runs WHERE kind = 'heavy'),
    newest AS (
        SELECT max(run_id) FROM heavy GROUP BY object_id
         UNION ALL
        -- Version by version in their index: SQLite would compare each run with all objects of that version.
        SELECT max(run_id) FROM heavy CROSS JOIN versions v
            ON v.object_id = heavy.object_id AND v.version = heavy.version
         WHERE v.loaded_at IS NOT NULL AND NOT EXISTS (
               SELECT 1 FROM versions n
                WHERE n.object_id = v.object_id AND n.version > v.version AND n.loaded_at IS NOT NULL)
         GROUP BY heavy.object_id)
    SELECT file.value AS path, json_extract(listed.value, '$.sha256[' || file.key || ']') AS sha256, r.run_id,
           r.payload ->> 'object_id' AS object_id, r.payload ->> 'version' AS version,
           EXISTS (SELECT 1 FROM runs l WHERE l.lock_key = r.lock_key AND l.kind = 'light'
                    AND l.status IN ('PENDING', 'RUNNING')) AS is_rewritten
      FROM runs r, json_each(unpacked(r.payload), '$.tables') AS listed, json_each(listed.value, '$.files') AS file
     WHERE r.kind = 'heavy' AND (r.status IN ('PENDING', 'RUNNING', 'FAILED') OR r.run_id IN newest)
     ORDER BY r.run_id"""

#: What `amci lake check` says of a file, besides what is wrong with it.
NEEDED_NOW = "`amci lake check --repair` loads its rows again"
UNREADABLE = "check the disk; if it stays so, move the file away, then `amci lake check --repair`"
NEEDED_BEFORE = "only older states of the lake need it (`--as-of`); `amci lake expire` forgets them"

Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class Damage:
    """A file of the lake that is not what the catalog says."""

    file: LakeFile
    problem: str  #: missing, altered, schema (another type of a column) or unreadable
    says: str

    @property
    def remedy(self) -> str:
        """What to do about it."""
        if not self.file.is_current:
            return NEEDED_BEFORE
        return UNREADABLE if self.problem == "unreadable" else NEEDED_NOW


@dataclass(frozen=True, slots=True)
class StagedFile:
    """A file of pre-stage that may be read again."""

    path: Path  #: absolute
    sha256: str | None  #: None if an earlier release wrote it, or it is being written again
    versions: frozenset[tuple[int, int]]  #: object ids and versions that have rows in it


@dataclass(frozen=True, slots=True)
class StagedDamage:
    """A file of pre-stage that is not what was written."""

    file: StagedFile
    problem: str  #: missing, altered, schema (a column that is not text) or unreadable
    says: str


@dataclass(frozen=True, slots=True)
class Difference:
    """An object version of which a table has other rows than the ledger says."""

    object_id: int
    version: int
    have: int  #: rows in the table
    want: int  #: rows that the ledger says


def known_files(con: duckdb.DuckDBPyConnection, post_stage: Path) -> dict[Path, LakeFile]:
    """Every file some snapshot needs, by its absolute path."""
    return {file.path: file for file in lake_files(con, post_stage)}


def staged_files(state: State, pre_stage: Path) -> list[StagedFile]:
    """Files of pre-stage that a run may read again."""
    versions: dict[str, set[tuple[int, int]]] = {}
    sums: dict[str, str | None] = {}
    for row in state.read(_STAGED):
        path = row["path"]
        versions.setdefault(path, set()).add((int(row["object_id"]), int(row["version"])))
        # The newest run knows what was written last.
        sums[path] = None if row["is_rewritten"] else row["sha256"]
    return [StagedFile(pre_stage / path, sums[path], frozenset(pairs)) for path, pairs in versions.items()]


def staged_damages(state: State, pre_stage: Path, *, deep: bool) -> list[StagedDamage]:
    """Files of pre-stage that are missing or, with `deep`, not what was written; safe beside a writer."""
    suspects = [f for f in staged_files(state, pre_stage) if _staged_trouble(f, deep=deep)]
    if not suspects:
        return []
    # A run may have ended, or upkeep have come, between the list and the look.
    again = {file.path: file for file in staged_files(state, pre_stage)}
    files = [again[file.path] for file in suspects if file.path in again]
    troubles = ((file, _staged_trouble(file, deep=deep)) for file in files)
    return [StagedDamage(file, *trouble) for file, trouble in troubles if trouble]


def _staged_trouble(file: StagedFile, *, deep: bool) -> tuple[str, str] | None:
    try:
        if not deep:
            return None if file.path.exists() else ("missing", "runs may read it again")
        if file.sha256 is not None and sha256_of(file.path) != file.sha256:
            return "altered", "its checksum is not that of what was written"
        says = staged_difference(file.path)
    except FileNotFoundError:
        return "missing", "runs may read it again"
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            return "unreadable", f"the disk refuses to read it: {error.strerror}"
        return "altered", "it cannot be read as Parquet"
    return ("schema", says) if says else None


def examine_pre_stage(state: State, workspace: WorkspacePaths, *, deep: bool) -> list[Row]:
    """What is wrong with the files of pre-stage that may be read again, as `examine` says it."""
    return [
        {
            "problem": damage.problem,
            "file": workspace.relative(damage.file.path),
            "says": f"{damage.says}; `amci lake check --repair` reads the raw files again, if they are there",
        }
        for damage in staged_damages(state, workspace.pre_stage, deep=deep)
    ]


def scheduled_files(con: duckdb.DuckDBPyConnection, post_stage: Path) -> dict[Path, datetime]:
    """Files no snapshot needs any more, by absolute path, with the moment that was decided."""
    rows = con.execute(
        f"SELECT path, schedule_start::VARCHAR FROM {METADATA}.ducklake_files_scheduled_for_deletion"
    ).fetchall()
    return {post_stage / path: moment(at) for path, at in rows}


def files_below(folder: Path) -> Iterator[Path]:
    """Every file below `folder`; none if there is no such folder."""
    for base, _, names in os.walk(folder):
        for name in names:
            yield Path(base, name)


def examine(session: QuerySession, workspace: WorkspacePaths, *, deep: bool) -> list[Row]:
    """What is wrong with the lake's files, as rows of `problem`, `file` and `says`; safe beside a writer.

    `problem` is `missing`, `altered` (other size, footer or number of rows), `schema` (a column of another type than
    the catalog says), `unreadable` (the disk refuses), `extra` (nothing refers to it), or with `deep`, which compares
    every file with its checksum, or after a repair, `ledger` (a table and the ledger of loads disagree).
    """
    known = known_files(session.con, workspace.post_stage)
    columns = columns_by_table(session.con)
    suspects = {path for path, file in known.items() if _trouble(file, columns, deep=deep)}
    suspects |= {path for path in files_below(workspace.post_stage) if path not in known}
    found = _look_again(session, workspace, suspects, deep=deep) if suspects else []
    return found + (_against_ledger(session) if deep else missing_since_repair(session))


def missing_since_repair(session: QuerySession) -> list[Row]:
    """Where table and ledger disagree, if the lake was ever repaired: it may have died before it queued the loads.

    Only files that were taken out tell of a repair; without one, it is not worth a look at every table.
    """
    sql = f"SELECT 1 FROM {METADATA}.ducklake_snapshot_changes WHERE commit_message = 'repair' LIMIT 1"
    return _against_ledger(session) if session.con.execute(sql).fetchall() else []


def damages(
    files: Iterable[LakeFile], columns: Mapping[int, Columns] | None = None, *, deep: bool
) -> list[Damage]:
    """Those of `files` that are not what the catalog says; their types are compared with `columns`, by table."""
    troubles = ((file, _trouble(file, columns or {}, deep=deep)) for file in files)
    return [Damage(file, *trouble) for file, trouble in troubles if trouble]


def _look_again(
    session: QuerySession, workspace: WorkspacePaths, suspects: set[Path], *, deep: bool
) -> list[Row]:
    """What is still wrong now: a commit or a clean-up may have come between the first list and the look."""
    # Asked before the list is taken: a writer that is gone by now has committed what it wrote, or never will.
    since = _writing_since(workspace)
    known, columns = known_files(session.con, workspace.post_stage), columns_by_table(session.con)
    scheduled = scheduled_files(session.con, workspace.post_stage)
    found: list[Row] = []
    for path in sorted(suspects):
        shown = workspace.relative(path)
        if path in known:
            found += [
                {"problem": damage.problem, "file": shown, "says": f"{damage.says}; {damage.remedy}"}
                for damage in damages([known[path]], columns, deep=deep)
            ]
        elif path not in scheduled and _is_left_over(path, since):
            says = "no snapshot refers to it; `amci lake vacuum` deletes it when it is old enough"
            found.append({"problem": "extra", "file": shown, "says": says})
    return found


def _writing_since(workspace: WorkspacePaths) -> float | None:
    """When the process that writes now took the lock, in seconds since 1970; None if none does."""
    return workspace.lock.stat().st_mtime if workspace.writer() else None


def _is_left_over(path: Path, writing_since: float | None) -> bool:
    """Whether a file nothing refers to is there for good: not vanished, and not of a commit in the making."""
    try:
        modified = path.stat().st_mtime
    except FileNotFoundError:
        return False
    return writing_since is None or modified < writing_since


def _trouble(file: LakeFile, columns: Mapping[int, Columns], *, deep: bool) -> tuple[str, str] | None:
    """What is wrong with a file: the kind of problem, and words for it."""
    try:
        if says := _alteration(file, deep=deep):
            return "altered", says
        if file.rows is not None and file.table_id in columns:
            says = difference(file.path, columns[file.table_id])
    except FileNotFoundError:
        return "missing", "the catalog refers to it"
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            return "unreadable", f"the disk refuses to read it: {os.strerror(error.errno)}"
        return "altered", "it cannot be read as Parquet"
    return ("schema", f"table {file.table}: {says}") if says else None


def _alteration(file: LakeFile, *, deep: bool) -> str:
    """What tells a file from what was written, empty if nothing does. Raises OSError and ArrowException."""
    size = file.path.stat().st_size
    if size != file.size:
        return f"the catalog says {file.size:,} bytes, the disk has {size:,}"
    if file.sha256 and file.footer:
        is_same = sha256_of(file.path) == file.sha256 if deep else footer_of(file.path) == file.footer
        return "" if is_same else "its checksum is not that of what was written"
    rows = _rows_read(file.path) if deep else pq.read_metadata(file.path).num_rows
    if file.rows is not None and rows != file.rows:
        return f"the catalog says {file.rows:,} rows, the file has {rows:,}"
    return ""


def _rows_read(path: Path) -> int:
    """How many rows a file gives when every value of it is read."""
    with pq.ParquetFile(path) as file:
        return sum(batch.num_rows for batch in file.iter_batches())


def tables_with_rows(con: duckdb.DuckDBPyConnection) -> list[TableName]:
    """The tables that data are loaded into, and those that the ledger believes there are."""
    names = con.execute(f"SELECT DISTINCT schema_name, table_name FROM {LEDGER}").fetchall()
    names += [(schema, table) for schema, table, _ in lake_tables(con) if schema != "amci"]
    return [TableName(*name) for name in sorted(set(names))]


def _against_ledger(session: QuerySession) -> list[Row]:
    found: list[Row] = []
    try:
        tables = tables_with_rows(session.con)
    except duckdb.Error as error:
        says = f"cannot be read: {first_line(error)}; `amci lake check --repair` makes it again"
        return [{"problem": "ledger", "file": "amci.objects", "says": says}]
    for name in tables:
        says = ""
        try:
            if wrong := differences(session.con, name):
                says = (
                    f"{len(wrong)} object versions have other rows than the ledger says; the first is object"
                    f" {wrong[0].object_id} version {wrong[0].version}: {wrong[0].have:,} rows,"
                    f" {wrong[0].want:,} in the ledger; `amci lake check --repair` loads them again"
                )
        except duckdb.Error as error:
            if _is_entered(session, name):
                says = f"cannot be counted: {first_line(error)}; `amci lake check --repair` loads it again"
        if says:
            found.append({"problem": "ledger", "file": str(name), "says": says})
    return found


def differences(con: duckdb.DuckDBPyConnection, name: TableName) -> list[Difference]:
    """The object versions of which a table has other rows than the ledger says.

    One statement, hence one snapshot of table and ledger. Raises duckdb.Error if the table cannot be read.
    """
    rows = con.execute(
        "SELECT o, v, coalesce(have, 0), coalesce(want, 0) FROM"
        f" (SELECT {OBJECT_ID} AS o, {VERSION} AS v, count(*) AS have FROM {name.sql} GROUP BY ALL) FULL JOIN"
        f" (SELECT object_id AS o, version AS v, sum(rows)::BIGINT AS want FROM {LEDGER}"
        "   WHERE schema_name = ? AND table_name = ? GROUP BY ALL) USING (o, v)"
        " WHERE coalesce(have, 0) <> coalesce(want, 0) ORDER BY ALL",
        [name.schema, name.table],
    ).fetchall()
    return [Difference(*row) for row in rows]


def _is_entered(session: QuerySession, name: TableName) -> bool:
    """Whether the ledger still has rows in a table; it may have been replaced since the list was taken."""
    return bool(
        session.con.execute(
            f"SELECT 1 FROM {LEDGER} WHERE schema_name = ? AND table_name = ? AND rows > 0 LIMIT 1",
            [name.schema, name.table],
        ).fetchall()
    )


def what_keeps_it_closed(workspace: WorkspacePaths, *, memory_limit: int) -> str:
    """Why the catalog cannot be opened for reading; empty if it can, or is empty. `memory_limit` is in bytes."""
    try:
        with session(workspace, memory_limit=memory_limit, timeout=timedelta(minutes=1)) as opened:
            opened.con.execute(f"SELECT count(*) FROM {LEDGER}").fetchall()
    except NotFound:
        return ""
    except AmciError as error:
        return str(error)
    except duckdb.Error as error:
        return first_line(error)
    return ""
