"""SQLite files, amci's state file first of all: opening, migrating, transactions, reading."""

from __future__ import annotations

import functools
import json
import re
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import resources
from itertools import chain, islice
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

from amci.kernel.clock import Clock, timestamp
from amci.kernel.errors import AmciError, StateError, StorageError, WorkspaceTooNew
from amci.kernel.files import fault_point, fsync, storage_errors
from amci.kernel.packing import unpacked_text
from amci.kernel.text import encodable

Params = Sequence[Any] | Mapping[str, Any]

#: SQLite's words if a file has tables, but not those that amci made.
_FOREIGN = re.compile(
    r"no such (table|column|index)|(table|index|view|trigger) \S+ already exists|duplicate column"
)
_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_ROW = re.compile(r"VALUES (\([^()]*\))")
_ROWS_AT_ONCE = 500

#: Names of SQLite's result codes, by their beginning (sqlite.org/rescode.html), with what to do about each.
_STORAGE_HINTS = {
    "SQLITE_FULL": "free some space, then run the same command again: work goes on where it stopped",
    "SQLITE_READONLY": "give this user write permission there, or move the workspace to a writable disk",
    "SQLITE_CANTOPEN": "check that the directory exists and that this user may write there",
    "SQLITE_PERM": "give this user read and write permission there",
    "SQLITE_BUSY": "another process is using it; try again when that has finished",
    "SQLITE_LOCKED": "another process is using it; try again when that has finished",
    "SQLITE_PROTOCOL": "another process is using it; try again when that has finished",
    "SQLITE_IOERR": "check the disk; the run is tried again",
}


def named_queries(text: str) -> dict[str, str]:
    """Split a .sql file at its `-- name:` lines: name → statement."""
    parts = _NAME.split(text)[1:]
    return dict(zip(parts[::2], map(str.strip, parts[1::2]), strict=True))


def insert_many(db: sqlite3.Connection, sql: str, rows: Iterable[Sequence[Any]]) -> int:
    """Insert `rows` by an INSERT with `VALUES (…)` for one of them, in order: the number of rows it changed.

    Some hundreds go with each statement. If a table has triggers, SQLite keeps an undo journal for each statement,
    and inside a savepoint each takes longer than the one before.
    """
    changed, rows = 0, iter(rows)
    before, row, after = _ROW.split(sql, maxsplit=1)
    while chunk := list(islice(rows, _ROWS_AT_ONCE)):
        many = f"{before}VALUES {', '.join([row] * len(chunk))}{after}"
        changed += db.execute(many, list(chain.from_iterable(chunk))).rowcount
    return changed


class State:
    """One connection to the state file, shared by all threads of this process.

    A subclass keeps another file the same way, under another name and with migrations of its own.
    """

    name: ClassVar[str] = "state"  #: in errors ("the state file") and of fault points
    package: ClassVar[str] = "amci.kernel"  #: has the folder `migrations`
    busy_seconds: ClassVar[float] = 10.0  #: how long a statement waits for another process
    synchronous: ClassVar[str] = "NORMAL"  #: SQLite's pragma
    damage_hint: ClassVar[str] = "restore the file from a backup; nothing was changed"

    def __init__(self, db: sqlite3.Connection) -> None:
        db.row_factory = sqlite3.Row
        self._db = db
        self._translated = _Translated(type(self))
        self._lock = threading.RLock()
        self._depth = 0
        self._seen = 0

    @classmethod
    def open(cls, path: Path, clock: Clock) -> Self:
        """Open the state file; create and migrate it if needed.

        Raises WorkspaceTooNew if a newer amci wrote it, StorageError if the disk refuses, StateError if
        the file is not a state file.
        """
        cls._require_file(path)
        with _Translated(cls):
            state = cls(cls._connect(str(path)))
            try:
                state._db.execute("PRAGMA journal_mode = WAL")
                state._db.execute(f"PRAGMA synchronous = {cls.synchronous}")
                # Statements that fire triggers keep an undo journal, which is twice as fast in memory.
                state._db.execute("PRAGMA temp_store = MEMORY")
                state._migrate(clock)
            except (sqlite3.Error, AmciError):
                state.close()
                raise
            return state

    @classmethod
    def read_only(cls, path: Path) -> Self:
        """Open the state file only to look, also while another process writes.

        Raises WorkspaceTooNew or StateError if another version of amci wrote it, StorageError if there is no
        file.
        """
        cls._require_file(path)
        with _Translated(cls):
            state = cls(cls._connect(f"{path.resolve().as_uri()}?mode=ro", uri=True))
            try:
                behind = cls._migrations().keys() - state._applied()
            except (sqlite3.Error, AmciError):
                state.close()
                raise
            if behind:
                state.close()
                raise StateError(
                    f"the {cls.name} file was written by an older amci",
                    hint="run `amci up` or `amci drain` once",
                )
            return state

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the state cannot be used afterwards."""
        with self._lock:
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of the block or nothing; inside another transaction it joins that one by a savepoint.

        Other threads wait. Raises StorageError if the disk refuses.
        """
        with self._lock, self._translated:
            depth, done = self._depth, False
            self._db.execute(f"SAVEPOINT level_{depth}" if depth else "BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield self._db
                if depth:
                    self._db.execute(f"RELEASE level_{depth}")
                else:
                    fault_point(f"{self.name}.before_commit")
                    self._db.execute("COMMIT")
                done = True
            finally:
                self._depth -= 1
                # SQLite may have rolled back by itself, for instance on a full disk.
                if not done and self._db.in_transaction:
                    self._undo(depth)
            if not depth:
                fault_point(f"{self.name}.after_commit")

    def _undo(self, depth: int) -> None:
        if depth:
            self._db.execute(f"ROLLBACK TO level_{depth}")
            self._db.execute(f"RELEASE level_{depth}")
        else:
            self._db.execute("ROLLBACK")

    def read(self, sql: str, params: Params = ()) -> list[sqlite3.Row]:
        """All rows of a query. Raises StorageError if the disk refuses."""
        with self._lock, self._translated:
            # What is looked for is not written out: nothing that was stored is like it.
            return sqlite3.Connection.execute(self._db, sql, params).fetchall()

    def write(self, sql: str, params: Params = ()) -> int:
        """Run one statement, whole or not at all: the number of rows it changed. Raises StorageError."""
        with self._lock, self._translated:
            return self._db.execute(sql, params).rowcount

    def write_many(self, sql: str, rows: Iterable[Params]) -> None:
        """Run one statement for each of `rows`, all or none of them. Raises StorageError."""
        with self.transaction() as db:
            db.executemany(sql, rows)

    def write_set(self, sql: str, rows: Iterable[Sequence[Any]], **more: Any) -> int:
        """Run one statement for all of `rows`, which `json_each(:rows)` gives: the number of rows it changed.

        For many rows this is quicker than a statement for each. Raises StorageError.
        """
        given = list(rows)
        text = json.dumps(given)
        if "\\ud" in text:  # perhaps halves of UTF-16
            text = json.dumps([list(_encodable(row)) for row in given])
        return self.write(sql, {**more, "rows": text}) if given else 0

    def sync(self) -> None:
        """Bring to the disk what is committed; `synchronous = NORMAL` leaves that to the operating system.

        Raises StorageError if the disk refuses.
        """
        name = self.read("PRAGMA database_list")[0]["file"]
        with storage_errors(f"write the {self.name} file"), suppress(FileNotFoundError):
            fsync(Path(f"{name}-wal"))

    def has_foreign_changes(self) -> bool:
        """Whether another process has written since this was asked last."""
        with self._lock:
            seen = self.read("PRAGMA data_version")[0][0]
            seen, self._seen = self._seen, seen
            return bool(seen != self._seen)

    def _migrate(self, clock: Clock) -> None:
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations"
            " (number INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at TEXT NOT NULL) STRICT"
        )
        applied = self._applied()
        for number, (name, script) in self._migrations().items():
            if number in applied:
                continue
            with self.transaction() as db:
                if number in self._applied():  # another process was quicker
                    continue
                for statement in _statements(script):
                    db.execute(statement)
                db.execute(
                    "INSERT INTO schema_migrations VALUES (?, ?, ?)", (number, name, timestamp(clock.now()))
                )

    def _applied(self) -> set[int]:
        """Numbers of the migrations this file has had; raises WorkspaceTooNew for an unknown one."""
        found = self._db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'schema_migrations'").fetchone()
        rows = self._db.execute("SELECT number, name FROM schema_migrations").fetchall() if found else []
        if unknown := sorted(row["name"] for row in rows if row["number"] not in self._migrations()):
            raise WorkspaceTooNew(
                f"this workspace was written by a newer amci (it has {unknown[-1]})",
                hint="install that version of amci, or a newer one",
            )
        return {row["number"] for row in rows}

    @classmethod
    def _require_file(cls, path: Path) -> None:
        """Raise StateError for what is no file: SQLite would wait for the other end of a pipe, without end."""
        if path.exists() and not path.is_file():
            raise StateError(f"the {cls.name} file: {path.name} is not a file", hint=cls.damage_hint)

    @classmethod
    def _connect(cls, database: str, *, uri: bool = False) -> sqlite3.Connection:
        db = sqlite3.connect(
            database,
            uri=uri,
            isolation_level=None,
            check_same_thread=False,
            timeout=cls.busy_seconds,
            factory=_Connection,
        )
        db.execute("PRAGMA foreign_keys = ON")
        db.create_function("unpacked", 1, unpacked_text, deterministic=True)
        return db

    @classmethod
    @functools.cache
    def _migrations(cls) -> dict[int, tuple[str, str]]:
        """The files `NNNN_name.sql` that come with amci, in order: number → (name, script)."""
        folder = resources.files(cls.package) / "migrations"
        files = sorted(
            (file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name
        )
        return {
            int(file.name[:4]): (file.name.removesuffix(".sql"), file.read_text(encoding="utf-8"))
            for file in files
        }


class _Connection(sqlite3.Connection):
    """Writes halves of UTF-16, as in odd file names and JSON, out: SQLite's text is UTF-8, which has none."""

    def execute(self, sql: str, params: Params = ()) -> sqlite3.Cursor:  # type: ignore[override]
        try:
            return super().execute(sql, params)
        except UnicodeEncodeError:
            return super().execute(encodable(sql), _encodable(params))

    def executemany(self, sql: str, rows: Iterable[Params]) -> sqlite3.Cursor:  # type: ignore[override]
        return super().executemany(sql, map(_encodable, rows))


def _encodable(params: Params) -> Params:
    if isinstance(params, Mapping):
        return {key: encodable(value) if isinstance(value, str) else value for key, value in params.items()}
    return [encodable(value) if isinstance(value, str) else value for value in params]


def _statements(script: str) -> Iterator[str]:
    """The statements of a script one by one; `executescript` would commit before it begins."""
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""
    if pending.strip():
        yield pending


class _Translated:
    """SQLite's errors in our words; a broken constraint stays what it is, since it is a bug.

    Not a generator, as every statement goes through it.
    """

    def __init__(self, file: type[State]) -> None:
        self._file = file

    def __enter__(self) -> None:
        """Nothing to do."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, sqlite3.DatabaseError):
            return
        code = getattr(error, "sqlite_errorname", "")
        for beginning, hint in _STORAGE_HINTS.items():
            if code.startswith(beginning):
                raise StorageError(f"the {self._file.name} file: {error}", hint=hint) from error
        if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            raise StateError(f"the {self._file.name} file: {error}", hint=self._file.damage_hint) from error
        if code == "SQLITE_ERROR" and _FOREIGN.match(str(error)):
            says = f"the {self._file.name} file is not as amci made it: {error}"
            raise StateError(says, hint=self._file.damage_hint) from error
        if code == "SQLITE_CONSTRAINT_TRIGGER":
            raise StateError(str(error)) from error
