"""Checksums of the lake's files, so that damage is found before it is read as data or copied into another file.

DuckDB 1.5 neither writes nor verifies the checksums of Parquet pages. So each file gets a SHA-256 right after the
commit that made it, while the system still has it in memory, in a table beside DuckLake's own. Files are known by their
number, which DuckLake gives once. What a process had not noted when it died is noted when the catalog is next opened.
"""

from __future__ import annotations

import hashlib
import os
import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from amci.kernel import log
from amci.kernel.errors import DamagedFile
from amci.kernel.files import fault_point, plain_file, storage_errors
from amci.kernel.names import literal
from amci.lake.catalog.duck import METADATA, REMEDY, duck_errors, metadata_rows

#: The checksums. `footer` is that of the end of the file, which is quick to read and differs between any two files.
_TABLE = f"{METADATA}.amci_file"
_SCHEMA = pa.schema([("file_id", pa.int64()), ("sha256", pa.string()), ("footer", pa.string())])
#: A Parquet file ends with the length of its footer (4 bytes, little endian) and a magic number.
_END = 8
#: Bytes that are read at once.
_CHUNK = 2**20
#: So much of a footer is looked at, bytes.
_LONGEST = 16 * 1024**2

_log = log.get("checksums")


@dataclass(frozen=True, slots=True)
class LakeFile:
    """A file of post-stage, as the catalog knows it."""

    file_id: int  #: data files and delete files are counted together
    path: Path  #: absolute
    table_id: int
    table: str  #: schema.table
    rows: int | None  #: None for a file that lists deleted rows
    size: int  #: bytes
    data_file_id: int  #: itself, or, of a file that lists deleted rows, the file they are in
    is_current: bool  #: whether the newest snapshot needs it; if not, only older ones do
    sha256: str | None  #: None if there is none: it was written by an earlier release
    footer: str | None


#: In SQLite's words: its indexes make it quick, however many files there are.
_FILES = """
    WITH homes AS (
        -- Of the names a table has had, the newest: SQLite takes the other columns from the row with the maximum.
        SELECT t.table_id, max(coalesce(t.end_snapshot, 9e18)), s.schema_name || '.' || t.table_name AS name,
               CASE WHEN t.path_is_relative THEN s.path || t.path ELSE t.path END AS home
          FROM ducklake_table t JOIN ducklake_schema s USING (schema_id) GROUP BY t.table_id),
    files AS (
        SELECT data_file_id AS file_id, table_id, path, path_is_relative, record_count AS rows, file_size_bytes,
               data_file_id, end_snapshot FROM ducklake_data_file WHERE data_file_id >= {least}
         UNION ALL
        SELECT delete_file_id, table_id, path, path_is_relative, NULL, file_size_bytes, data_file_id, end_snapshot
          FROM ducklake_delete_file WHERE delete_file_id >= {least})
    SELECT f.file_id, CASE WHEN f.path_is_relative THEN home || f.path ELSE f.path END AS path, f.table_id, name,
           f.rows, f.file_size_bytes, f.data_file_id, f.end_snapshot IS NULL AS is_current, {checksums}
      FROM files f JOIN homes USING (table_id) {join} {of} ORDER BY f.file_id"""
_WITH = {"checksums": "c.sha256, c.footer", "join": "LEFT JOIN amci_file c USING (file_id)"}
_WITHOUT = {"checksums": "NULL AS sha256, NULL AS footer", "join": ""}


def lake_files(
    con: duckdb.DuckDBPyConnection, post_stage: Path, *, least: int = 0, table: str = ""
) -> list[LakeFile]:
    """Every file some snapshot needs, of those with at least the number `least`; if `table` is named, only its own."""
    of = f"WHERE name = {literal(table)}" if table else ""
    try:
        rows = metadata_rows(con, _FILES.format(least=least, of=of, **_WITH))
    except duckdb.Error as error:
        if "no such table: amci_file" not in str(error):
            raise
        rows = metadata_rows(
            con, _FILES.format(least=least, of=of, **_WITHOUT)
        )  # only an earlier release wrote to it
    return [
        LakeFile(
            file_id=int(file_id),
            path=post_stage / path,
            table_id=int(table_id),
            table=name,
            rows=None if count is None else int(count),
            size=int(size),
            data_file_id=int(data_file_id),
            is_current=bool(int(is_current)),
            sha256=sha256,
            footer=footer,
        )
        for file_id, path, table_id, name, count, size, data_file_id, is_current, sha256, footer in rows
    ]


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, hexadecimal. Raises OSError."""
    digest = hashlib.sha256()
    with plain_file(path) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def footer_of(path: Path) -> str:
    """The SHA-256 of a Parquet file's footer, hexadecimal; of as much as fits if it has none. Raises OSError."""
    with plain_file(path) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - _END, 0))
        end = file.read(_END)
        length = struct.unpack("<I", end[:4])[0] if len(end) == _END else 0
        file.seek(max(size - _END - length, 0))
        return hashlib.sha256(file.read(_LONGEST)).hexdigest()


class Checksums:
    """Keeps the checksums of the files of one connection that writes."""

    def __init__(self, con: duckdb.DuckDBPyConnection, post_stage: Path) -> None:
        self._con = con
        self._post_stage = post_stage
        with duck_errors("prepare the catalog"):
            con.execute(
                f"CREATE TABLE IF NOT EXISTS {_TABLE} (file_id BIGINT PRIMARY KEY, sha256 VARCHAR, footer VARCHAR)"
            )
            if metadata_rows(con, "SELECT 1 FROM amci_file LIMIT 1") == []:
                # Files of an earlier release get none here: to read them all would take too long.
                con.execute(
                    f"INSERT INTO {_TABLE} SELECT coalesce(max(next_file_id), 0) - 1, NULL, NULL"
                    f" FROM {METADATA}.ducklake_snapshot"
                )
            ((newest,),) = metadata_rows(con, "SELECT max(file_id) FROM amci_file")
        self._next = int(newest) + 1  #: files with lower numbers have been looked at

    def record(self) -> None:
        """Note the checksums of the files that were committed since; what the disk refuses is tried next time."""
        try:
            new = lake_files(self._con, self._post_stage, least=self._next)
            if new:
                fault_point("checksums.before_commit")
                # An earlier try may have been committed after all.
                self._write([(f.file_id, *_sums(f.path)) for f in new if f.sha256 is None])
                self._next = new[-1].file_id + 1
        except (duckdb.Error, OSError) as error:
            _log.warning("checksums not noted yet", exc_info=error)

    def seal(self, files: list[LakeFile]) -> None:
        """Note the checksums of files of an earlier release that were found sound. Raises StorageError."""
        if not files:
            return
        with storage_errors("note checksums"), duck_errors("note checksums"):
            listed = ", ".join(str(file.file_id) for file in files)
            self._con.execute("BEGIN")
            try:
                self._con.execute(f"DELETE FROM {_TABLE} WHERE file_id IN ({listed})")
                self._write([(f.file_id, *_sums(f.path)) for f in files])
                self._con.execute("COMMIT")
            except BaseException:
                with suppress(duckdb.TransactionException):
                    self._con.execute("ROLLBACK")
                raise

    def _write(self, rows: list[tuple[int, str | None, str | None]]) -> None:
        sums = pa.Table.from_pylist([dict(zip(_SCHEMA.names, row, strict=True)) for row in rows], _SCHEMA)
        self._con.register("sums", sums)
        try:
            self._con.execute(f"INSERT INTO {_TABLE} SELECT * FROM sums")
        finally:
            self._con.unregister("sums")

    def forget(self) -> None:
        """Let go of the checksums of files that no snapshot needs any more."""
        self._con.execute(
            f"DELETE FROM {_TABLE} WHERE file_id < {self._next - 1}"
            f" AND file_id NOT IN (SELECT data_file_id FROM {METADATA}.ducklake_data_file)"
            f" AND file_id NOT IN (SELECT delete_file_id FROM {METADATA}.ducklake_delete_file)"
        )

    def require(self, table: str, *, smaller_than: int | None = None) -> None:
        """Raise DamagedFile unless the files that the newest snapshot has of a table are what was written.

        With `smaller_than`, only those of fewer bytes and those with deleted rows: what compaction reads. To be asked
        before rows are copied from file to file: damage would get a good checksum.
        """
        files = [f for f in lake_files(self._con, self._post_stage, table=table) if f.is_current]
        with_deletes = {f.data_file_id for f in files if f.rows is None}
        for file in files:
            if smaller_than is None or file.size < smaller_than or file.data_file_id in with_deletes:
                require_intact(file.path, file.sha256)


def _sums(path: Path) -> tuple[str | None, str | None]:
    """Both checksums of a file; none if it is not there, which a check tells of."""
    try:
        return sha256_of(path), footer_of(path)
    except FileNotFoundError:
        return None, None


def is_intact(path: Path, sha256: str | None) -> bool:
    """Whether a file is there and, if its checksum is known, what was written. Raises StorageError."""
    with storage_errors(f"read {path.name}"):
        try:
            return path.exists() if sha256 is None else sha256_of(path) == sha256
        except FileNotFoundError:
            return False


def require_intact(path: Path, sha256: str | None) -> None:
    """Raise DamagedFile unless a file is what was written; StorageError if the disk does not let it be read."""
    if not is_intact(path, sha256):
        is_there = "is not what amci wrote" if path.exists() else "is missing"
        raise DamagedFile(f"{path} {is_there}", hint=REMEDY)
