"""Makes a commit that failed stay undone.

SQLite writes a commit to its write-ahead log and then brings the log to the disk. If the disk refuses that, the commit
has failed, and DuckLake deletes the Parquet files it was about; but the log still has it, and whoever next opens the
catalog would redo it: a table whose files are gone. Another commit written over it in the log settles that.

    with guard.watching("compact the lake"):
        con.execute("CALL ducklake_merge_adjacent_files('lake')")
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import duckdb

from amci.kernel.errors import StorageError
from amci.lake.catalog.duck import METADATA, duck_errors

#: One row beside DuckLake's own tables. `settled` is a number that changes, so that SQLite has something to write.
LAKE_ROW = f"{METADATA}.amci_lake"


class CommitGuard:
    """Guards the commits of one connection to the lake; one thread at a time."""

    def __init__(self, con: duckdb.DuckDBPyConnection, *, on_committed: Callable[[], None]) -> None:
        self._con = con
        self._on_committed = on_committed
        # A reader keeps SQLite's index of the log alive, and with it the knowledge that the failed commit is not valid.
        self._reader = con.cursor()
        self._is_unsure = False
        self._before = 0
        with duck_errors("prepare the catalog"):
            con.execute(
                f"CREATE TABLE IF NOT EXISTS {LAKE_ROW} (lake_id VARCHAR, epoch BIGINT, settled BIGINT)"
            )
            if con.execute(f"SELECT count(*) FROM {LAKE_ROW}").fetchall() == [(0,)]:
                con.execute(f"INSERT INTO {LAKE_ROW} VALUES (NULL, 0, 0)")

    @property
    def is_unsure(self) -> bool:
        """Whether a commit failed that is not known to be undone; the connection has to stay until it is."""
        return self._is_unsure

    def close(self) -> None:
        """Let go of the connection."""
        self._reader.close()

    @contextmanager
    def watching(self, doing: str) -> Iterator[None]:
        """Translate errors of the block, as `duck_errors` does, and undo for good what it could not commit.

        Raises StorageError, and goes on raising it, while the disk refuses even that.
        """
        if self._is_unsure and not self.undo():
            raise StorageError(
                f"{doing}: it is not known whether the last change was committed",
                hint="check the disk; nothing is written or deleted until the catalog can be written again",
            )
        with duck_errors(doing):
            self._begin_reading()
            try:
                yield
            except BaseException:
                self.undo()
                raise
            finally:
                if not self._is_unsure:
                    self._reader.execute("ROLLBACK")
            self._on_committed()

    def undo(self) -> bool:
        """Whether it is certain that nothing was committed since the block began; makes it so if it can.

        False also if the commit had succeeded, whatever was raised after it.
        """
        try:
            self._con.execute(f"UPDATE {LAKE_ROW} SET settled = settled + 1")
            now = self.newest()
        except duckdb.Error:
            self._is_unsure = True
            return False
        if self._is_unsure:
            self._reader.execute("ROLLBACK")
            self._is_unsure = False
        return now == self._before

    def _begin_reading(self) -> None:
        self._reader.execute("BEGIN")
        try:
            self._before = _newest(self._reader)
        except duckdb.Error:
            self._reader.execute("ROLLBACK")
            raise

    def newest(self) -> int:
        """The number of the newest snapshot."""
        return _newest(self._con)


def _newest(con: duckdb.DuckDBPyConnection) -> int:
    return int(con.execute(f"SELECT max(snapshot_id) FROM {METADATA}.ducklake_snapshot").fetchall()[0][0])
