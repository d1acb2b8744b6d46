"""Lets time do its work on audiences: they are made, refreshed by and by, and end (amc-api 2.4)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from sqlite3 import Row
from threading import Lock
from typing import Any

from amci.amcsql.findings import CompileError
from amci.kernel.errors import AmciError
from amci.sandbox.audiences.lookalike import members
from amci.sandbox.audiences.request import LOOKALIKE
from amci.sandbox.audiences.times import Coming, Upkeep, coming
from amci.sandbox.backend import Backend
from amci.sandbox.errors import NoAudience, QueryFailed
from amci.sandbox.queries import Queries
from amci.sandbox.times import from_micros, micros, span
from amci.sandbox.windows import Window

_MOST_SEEDS = 500_000  #: of a lookalike audience (amc-api 2.4)
#: A lookalike audience needs a seed of 500 where others need 2,000 people, and all should aim for a quarter more.
_SEEDS, _MARGIN = 0.25, 1.25
#: What keeps an audience from being made, for its owner to read.
_SPOILED: tuple[type[AmciError], ...] = (NoAudience, CompileError, QueryFailed)

#: Columns that change.
Changes = Mapping[str, Any]


class AudienceLife:
    """Brings the audiences from the last look to now; threads may share it."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._turn = Lock()

    @property
    def _queries(self) -> Queries:
        return self._backend.queries

    def advance(self) -> None:
        """Do what is due; nothing where another thread is doing it."""
        if not self._turn.acquire(blocking=False):
            return
        try:
            while row := self._backend.store.row("due_audience", now=micros(self._backend.clock.now())):
                self._change(row, self._changes(row))
        finally:
            self._turn.release()

    def _change(self, row: Row, changes: Changes) -> None:
        """Unless the audience has been changed or deleted meanwhile."""
        now = {name: row[name] for name in _CHANGING} | dict(changes)
        self._backend.store.do("audience_moves", seq=row["seq"], was_at=row["next_at"], **now)

    def _changes(self, row: Row) -> Changes:
        """What becomes of an audience at the moment something is due."""
        if row["status"] == "PENDING":
            return self._started(row)
        if row["status"] == "RUNNING":
            return self._made(row)
        next_step = self._coming(row, row["tried_at"])
        if next_step.step == "deactivate":
            return {"status": "DEACTIVATED", "members": 0, "next_at": None}
        return self._refreshed(row, next_step)

    def _started(self, row: Row) -> Changes:
        from amci.sandbox.audiences.rules import check

        asked = json.loads(row["request"])
        try:
            check(row["query"])
            self._queries.check(
                row["instance_id"], row["query"], asked["inputParameters"], asked["parameterValues"]
            )
        except _SPOILED as error:
            return _failed(str(error))
        return {"status": "RUNNING", "next_at": row["next_at"] + span(self._backend.options.running)}

    def _made(self, row: Row) -> Changes:
        """`lastRefreshedTime` is at first the time of creation (amc-api 2.4)."""
        try:
            found = self._members(row, row["window_start"], row["window_end"])
        except _SPOILED as error:
            return _failed(str(error))
        return {
            "status": "SUCCEEDED",
            "members": found,
            "refreshed_at": row["asked_at"],
            "tried_at": row["asked_at"],
            "next_at": micros(self._coming(row, row["asked_at"]).at),
        }

    def _refreshed(self, row: Row, step: Coming) -> Changes:
        """The audience made anew; it keeps its members where that fails, and says why."""
        moved = span(timedelta(days=step.days)) if json.loads(row["request"])["timeWindowRelative"] else 0
        start, end = row["window_start"] + moved, row["window_end"] + moved
        changes = {
            "window_start": start,
            "window_end": end,
            "tried_at": row["next_at"],
            "next_at": micros(self._coming(row, row["next_at"]).at),
        }
        try:
            found = self._members(row, start, end)
        except _SPOILED as error:
            return {**changes, "reason": f"The latest refresh failed: {error}"}
        return {**changes, "refreshed_at": row["next_at"], "members": found, "reason": None}

    def _coming(self, row: Row, tried_at: int) -> Coming:
        asked = json.loads(row["request"])
        upkeep = Upkeep(
            refresh_days=asked["refreshRateDays"],
            made_at=from_micros(row["asked_at"]),
            is_window_moving=asked["timeWindowRelative"],
            query_takes=self._backend.options.running,
        )
        return coming(upkeep, from_micros(tried_at))

    def _members(self, row: Row, start: int, end: int) -> int:
        """How many people the audience has; raises NoAudience where they are too few or too many."""
        asked = json.loads(row["request"])
        count = partial(
            self._queries.users,
            row["instance_id"],
            declared=asked["inputParameters"],
            values=asked["parameterValues"],
            window=Window(start=from_micros(start), end=from_micros(end)),
            now=from_micros(row["next_at"]),
        )
        found = count(row["query"])
        least = self._backend.options.audience_minimum
        if row["kind"] != LOOKALIKE:
            _check_number("The audience", found, least)
            return found
        _check_number("The seed audience", found, round(least * _SEEDS), _MOST_SEEDS)
        alike = members(asked["lookalikeAudienceExpectedReach"], row["query"], count)
        if not alike:
            raise NoAudience(
                "Nobody in the time window shares a segment that is typical of the seed audience."
            )
        return alike


#: Columns that change as time goes by.
_CHANGING = (
    *("status", "reason", "next_at", "tried_at", "refreshed_at"),
    *("window_start", "window_end", "members"),
)


def _check_number(what: str, found: int, least: int, most: int | None = None) -> None:
    if found < least:
        raise NoAudience(
            f"{what} has {found} user_ids, and at least {least} are needed. Widen the query or the time window,"
            f" and aim for {round(least * _MARGIN)} or more."
        )
    if most is not None and found > most:
        raise NoAudience(f"{what} has {found} user_ids, and at most {most} are allowed. Narrow the query.")


def _failed(reason: str) -> Changes:
    return {"status": "FAILED", "reason": reason, "next_at": None}
