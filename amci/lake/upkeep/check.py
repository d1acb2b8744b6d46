"""Comparing the catalog with the disk: which files it knows, and which are missing, altered or extra."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from amci.kernel.clock import moment
from amci.kernel.errors import AmciError
from amci.kernel.workspace import WorkspacePaths
from amci.lake.catalog.catalog import TableName
from amci.lake.catalog.duck import LAKE, LEDGER, METADATA, first_line
from amci.lake.datasets.objects import OBJECT_ID, VERSION
from amci.lake.query.session import QuerySession, session

_FILES = f"""
    WITH homes AS (
        SELECT DISTINCT t.table_id,
               CASE WHEN t.path_is_relative::BOOLEAN THEN s.path || t.path ELSE t.path END AS home
          FROM {METADATA}.ducklake_table t JOIN {METADATA}.ducklake_schema s USING (schema_id)),
    files AS (
        SELECT table_id, path, path_is_relative, record_count AS rows, file_size_bytes
          FROM {METADATA}.ducklake_data_file
         UNION ALL
        SELECT table_id, path, path_is_relative, NULL, file_size_bytes FROM {METADATA}.ducklake_delete_file)
    SELECT CASE WHEN path_is_relative::BOOLEAN THEN home || path ELSE path END, rows, file_size_bytes
      FROM files JOIN homes USING (table_id)"""


@dataclass(frozen=True, slots=True)
class CatalogFile:
    """A file of the lake, as the catalog knows it."""

    rows: int | None  #: None for a file that lists deleted rows
    size: int  #: bytes


Row = dict[str, str]


def known_files(con: duckdb.DuckDBPyConnection, post_stage: Path) -> dict[Path, CatalogFile]:
    """Every file some snapshot needs, by its absolute path."""
    rows = con.execute(_FILES).fetchall()
    return {post_stage / path: CatalogFile(count, size) for path, count, size in rows}


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

    `problem` is `missing`, `altered` (other size or number of rows), `extra` (nothing refers to it), or with
    `deep`, which reads every file, `ledger` (a table and the ledger of loads disagree).
    """
    known = known_files(session.con, workspace.post_stage)
    suspects = {path for path, file in known.items() if _trouble(path, file, deep=deep)}
    suspects |= {path for path in files_below(workspace.post_stage) if path not in known}
    found = _look_again(session, workspace, suspects, deep=deep) if suspects else []
    return found + (_against_ledger(session) if deep else [])


def _look_again(
    session: QuerySession, workspace: WorkspacePaths, suspects: set[Path], *, deep: bool
) -> list[Row]:
    """What is still wrong now: a commit or a clean-up may have come between the first list and the look."""
    # Asked before the list is taken: a writer that is gone by now has committed what it wrote, or never will.
    since = _writing_since(workspace)
    known = known_files(session.con, workspace.post_stage)
    scheduled = scheduled_files(session.con, workspace.post_stage)
    found: list[Row] = []
    for path in sorted(suspects):
        shown = workspace.relative(path)
        if path in known:
            if trouble := _trouble(path, known[path], deep=deep):
                found.append({"problem": trouble[0], "file": shown, "says": trouble[1]})
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


def _trouble(path: Path, file: CatalogFile, *, deep: bool) -> tuple[str, str] | None:
    try:
        size = path.stat().st_size
        if size != file.size:
            return "altered", f"the catalog says {file.size:,} bytes, the disk has {size:,}"
        rows = _rows_read(path) if deep else pq.read_metadata(path).num_rows
    except FileNotFoundError:
        return "missing", "the catalog refers to it; restore it from a backup, or `amci lake reprocess`"
    except (pa.ArrowException, OSError):
        return "altered", "it cannot be read as Parquet"
    if file.rows is not None and rows != file.rows:
        return "altered", f"the catalog says {file.rows:,} rows, the file has {rows:,}"
    return None


def _rows_read(path: Path) -> int:
    """How many rows a file gives when every value of it is read."""
    with pq.ParquetFile(path) as file:
        return sum(batch.num_rows for batch in file.iter_batches())


def _against_ledger(session: QuerySession) -> list[Row]:
    tables = session.con.execute(
        "SELECT schema_name, table_name FROM duckdb_tables()"
        f" WHERE database_name = '{LAKE}' AND schema_name <> 'amci'"
        f" UNION SELECT schema_name, table_name FROM {LEDGER} ORDER BY ALL"
    ).fetchall()
    found: list[Row] = []
    for name in (TableName(*row) for row in tables):
        try:
            if says := _differences(session, name):
                found.append({"problem": "ledger", "file": str(name), "says": says})
        except duckdb.Error as error:
            if _is_entered(session, name):
                found.append(
                    {
                        "problem": "ledger",
                        "file": str(name),
                        "says": f"cannot be counted: {first_line(error)}",
                    }
                )
    return found


def _differences(session: QuerySession, name: TableName) -> str:
    """One statement, hence one snapshot of table and ledger."""
    rows = session.con.execute(
        "SELECT o, v, coalesce(have, 0), coalesce(want, 0) FROM"
        f" (SELECT {OBJECT_ID} AS o, {VERSION} AS v, count(*) AS have FROM {name.sql} GROUP BY ALL) FULL JOIN"
        f" (SELECT object_id AS o, version AS v, sum(rows) AS want FROM {LEDGER}"
        "   WHERE schema_name = ? AND table_name = ? GROUP BY ALL) USING (o, v)"
        " WHERE coalesce(have, 0) <> coalesce(want, 0) ORDER BY ALL",
        [name.schema, name.table],
    ).fetchall()
    if not rows:
        return ""
    object_id, version, have, want = rows[0]
    return (
        f"{len(rows)} object versions have other rows than the ledger says; the first is object {object_id}"
        f" version {version}: {have:,} rows, {want:,} in the ledger"
    )


def _is_entered(session: QuerySession, name: TableName) -> bool:
    """Whether the ledger still has rows in a table; it may have been replaced since the list was taken."""
    return bool(
        session.con.execute(
            f"SELECT 1 FROM {LEDGER} WHERE schema_name = ? AND table_name = ? AND rows > 0 LIMIT 1",
            [name.schema, name.table],
        ).fetchall()
    )


def what_keeps_it_closed(workspace: WorkspacePaths, *, memory_limit: int) -> str:
    """Why the catalog cannot be opened for reading, empty if it can; `memory_limit` is in bytes."""
    try:
        with session(workspace, memory_limit=memory_limit, timeout=timedelta(minutes=1)) as opened:
            opened.con.execute(f"SELECT count(*) FROM {LEDGER}").fetchall()
    except AmciError as error:
        return str(error)
    except duckdb.Error as error:
        return first_line(error)
    return ""
