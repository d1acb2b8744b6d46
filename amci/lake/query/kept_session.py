"""Keeps a query's session open for the next query, which finds it as it would find a new one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any, Self

import duckdb

from amci.kernel.errors import AmciError
from amci.kernel.process_limits import bounded_memory
from amci.kernel.workspace import WorkspacePaths
from amci.lake.catalog.duck import metadata_rows
from amci.lake.query.session import ALLOWANCE, QuerySession, session

_NEWEST = "SELECT schema_version, snapshot_id FROM ducklake_snapshot ORDER BY snapshot_id DESC LIMIT 1"


class SessionKeeper:
    """Opens sessions in a process that does nothing else, and keeps the last one; a context manager that closes it.

    What a session looks up when it is opened are the lake's schemas and tables, or those with rows of its tenant. It is
    opened again if that may have changed.
    """

    def __init__(self) -> None:
        self._closing = ExitStack()
        self._kept: QuerySession | None = None
        self._key: tuple[Any, ...] = ()
        self._seen: tuple[Any, ...] = ()  #: what `_newest` said before it was opened

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    @contextmanager
    def session(
        self,
        workspace: WorkspacePaths,
        *,
        memory_limit: int,
        timeout: timedelta,
        threads: int | None,
        tenant: str | None,
        as_of: str | None,
        verifies: bool,
    ) -> Iterator[QuerySession]:
        """As `amci.lake.query.session.session` in a process of its own."""
        options: dict[str, Any] = {
            "memory_limit": memory_limit,
            "timeout": timeout,
            "threads": threads,
            "tenant": tenant,
            "as_of": as_of,
            "verifies": verifies,
        }
        if as_of or verifies or not workspace.catalog.exists():
            with session(workspace, owns_process=True, **options) as opened:
                yield opened
            return
        kept = self._opened(workspace, options)
        try:
            with bounded_memory(memory_limit + ALLOWANCE):
                yield kept
            kept.renew()
        except AmciError:
            if kept.is_stuck:
                self._close()
            else:
                kept.renew()
            raise
        except BaseException:
            self._close()
            raise

    def _opened(self, workspace: WorkspacePaths, options: dict[str, Any]) -> QuerySession:
        """The session that is kept, if a new one would be the same, or a new one."""
        status = workspace.catalog.stat()
        key = (workspace, status.st_dev, status.st_ino, *options.values())
        newest = self._newest() if key[:3] == self._key[:3] else ()
        # For one tenant, each commit may bring another table; otherwise tables are new with the schema.
        sees = slice(None) if options["tenant"] else slice(1)
        if self._kept is None or key != self._key or not newest or newest[sees] != self._seen[sees]:
            self._close()
            self._kept = self._closing.enter_context(session(workspace, **options))
            self._key, self._seen = key, newest
        return self._kept

    def _newest(self) -> tuple[Any, ...]:
        """The lake's schema and snapshot as they are now; empty if nothing is open to ask."""
        if self._kept is None:
            return ()
        try:
            (found,) = metadata_rows(self._kept.con, _NEWEST)
        except (duckdb.Error, ValueError):
            return ()
        return tuple(found)

    def _close(self) -> None:
        self._kept, self._key, self._seen = None, (), ()
        self._closing.close()
