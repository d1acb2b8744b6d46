"""What the sandbox remembers: one SQLite file under its directory, so it outlives the process."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import Any

from amci.kernel.errors import StorageError
from amci.kernel.files import storage_errors
from amci.kernel.state import named_queries

#: Longer than a query may run: another process may be running one.
_BUSY_SECONDS = 90.0


class Store:
    """Named statements of `store.sql` on one connection, shared by the threads of this process."""

    def __init__(self, path: Path) -> None:
        """Open the file at `path`, made where it is missing; raises StorageError."""
        with storage_errors("open the sandbox"):
            path.parent.mkdir(parents=True, exist_ok=True)
        package = resources.files("amci.sandbox")
        self._queries = named_queries((package / "store.sql").read_text(encoding="utf-8"))
        self._lock = threading.RLock()
        self._depth = 0
        with _TRANSLATED:
            self._db = sqlite3.connect(
                path,
                timeout=_BUSY_SECONDS,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=256,
            )
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA journal_mode = WAL")
            # Synthetic results can be had again; a power cut may cost the last few.
            self._db.execute("PRAGMA synchronous = OFF")
            self._db.executescript((package / "schema.sql").read_text(encoding="utf-8"))

    def do(self, query: str, /, **values: Any) -> int:
        """Run a statement that changes something; how many rows it changed."""
        with self._lock, _TRANSLATED:
            return self._db.execute(self._queries[query], values).rowcount

    def rows(self, query: str, /, **values: Any) -> list[sqlite3.Row]:
        """All rows of a query."""
        with self._lock, _TRANSLATED:
            return self._db.execute(self._queries[query], values).fetchall()

    def row(self, query: str, /, **values: Any) -> sqlite3.Row | None:
        """The first row of a query."""
        with self._lock, _TRANSLATED:
            found: sqlite3.Row | None = self._db.execute(self._queries[query], values).fetchone()
            return found

    @property
    def version(self) -> int:
        """Another one than before where another process has changed something meanwhile."""
        with self._lock, _TRANSLATED:
            return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    def noted(self, name: str, value: str) -> str:
        """What is noted under `name`; `value`, where nothing was."""
        self.do("note", name=name, value=value)
        row = self.row("noted", name=name)
        return str(row["value"]) if row else value

    @contextmanager
    def changing(self) -> Iterator[None]:
        """All or nothing, alone among all processes; may be nested."""
        with self._lock:
            if self._depth:
                yield
                return
            with _TRANSLATED:
                self._db.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            else:
                self._db.execute("COMMIT")
            finally:
                self._depth -= 1

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._db.close()


class _Translated:
    """SQLite's errors as ours; no generator, as every statement goes through it."""

    def __enter__(self) -> None:
        """Nothing to do."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, sqlite3.Error):
            raise StorageError(
                f"the sandbox's file: {error}",
                hint="check the disk, or delete the sandbox's directory and start anew",
            ) from error


_TRANSLATED = _Translated()
