"""The sandbox's SQLite file, which outlives the process, and its named statements."""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path
from sqlite3 import Row
from typing import Any, Self

from amci.kernel.clock import Clock
from amci.kernel.files import storage_errors
from amci.kernel.state import State, named_queries


class Store(State):
    """The statements of `store.sql` on one connection, shared by the threads of this process."""

    name = "sandbox"
    package = "amci.sandbox"
    busy_seconds = 90.0  #: longer than a query may run: another process may be running one
    synchronous = "OFF"  #: synthetic results can be generated again; a power cut may cost the last few
    damage_hint = "check the disk, or delete the sandbox's directory to start over"

    @classmethod
    def open(cls, path: Path, clock: Clock) -> Self:
        """Open the file at `path`, which is created with its directory if it is missing.

        Raises StorageError, StateError, WorkspaceTooNew.
        """
        with storage_errors("open the sandbox"):
            path.parent.mkdir(parents=True, exist_ok=True)
        return super().open(path, clock)

    def do(self, query: str, /, **values: Any) -> int:
        """Run a statement that changes rows: the number of them. Raises StorageError."""
        return self.write(statements()[query], values)

    def rows(self, query: str, /, **values: Any) -> list[Row]:
        """All rows of a query. Raises StorageError."""
        return self.read(statements()[query], values)

    def row(self, query: str, /, **values: Any) -> Row | None:
        """The first row of a query. Raises StorageError."""
        return next(iter(self.rows(query, **values)), None)

    def noted(self, name: str, value: str) -> str:
        """The note of this name; it is set to `value` if there is none. Raises StorageError."""
        self.do("note", name=name, value=value)
        return str(self.rows("noted", name=name)[0]["value"])


@cache
def statements() -> dict[str, str]:
    """The statements of `store.sql` by name."""
    return named_queries((resources.files("amci.sandbox") / "store.sql").read_text(encoding="utf-8"))
