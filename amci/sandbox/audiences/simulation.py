"""Advances audiences to a given time: they are created, refreshed, and deactivated in the end (amc-api 2.4).

A lookalike audience holds the people who share most segments with its seed. AMC says how large such audiences become
in Europe and the Americas, from 0.5 to 1 million people for MOST_SIMILAR to 3 to 10 million for MOST_BROAD. The
sandbox takes its synthetic people for twenty million, so these are shares of all who are not in the seed. A segment is
typical of the seed if a larger share of the seed has it than of all people. Those who share most typical segments come
first: the number of segments is as large as the smallest size allows, and the largest size cuts what is left.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from sqlite3 import Row
from threading import Lock
from typing import Any, Final, Literal

from amci.amcsql.findings import CompileError
from amci.kernel.errors import AmciError
from amci.sandbox.audiences.request import LOOKALIKE
from amci.sandbox.backend import Backend
from amci.sandbox.errors import NoAudience, QueryFailed
from amci.sandbox.queries import Queries
from amci.sandbox.times import Window, from_micros, micros, span

_MOST_SEEDS = 500_000  #: of a lookalike audience (amc-api 2.4)
#: A seed needs a quarter of the people that an audience needs (500, not 2,000); all should aim for a quarter more.
_SEEDS, _MARGIN = 0.25, 1.25
#: Errors that fail an audience; their text is its `statusReason`.
_FAILURES: tuple[type[AmciError], ...] = (NoAudience, CompileError, QueryFailed)

#: Columns of an audience, with their new values.
Changes = Mapping[str, Any]


class AudienceSimulator:
    """Moves the audiences in the store along with the clock; threads may share it."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._turn = Lock()

    @property
    def _queries(self) -> Queries:
        return self._backend.queries

    def advance_to(self, now: int) -> None:
        """Do what is due by `now` (microseconds since 1970), unless another thread does. Raises StorageError."""
        if not self._turn.acquire(blocking=False):
            return
        try:
            while row := self._backend.store.row("due_audience", now=now):
                self._change(row, self._changes(row))
        finally:
            self._turn.release()

    def _change(self, row: Row, changes: Changes) -> None:
        """Store the changes, unless the audience was changed or deleted meanwhile."""
        values = {name: row[name] for name in _CHANGING} | dict(changes)
        self._backend.store.do("advance_audience", seq=row["seq"], was_at=row["next_at"], **values)

    def _changes(self, row: Row) -> Changes:
        """The changes of an audience whose `next_at` has come."""
        if row["status"] == "PENDING":
            return self._started(row)
        if row["status"] == "RUNNING":
            return self._created(row)
        step = self._next_step(row, row["tried_at"])
        if step.step == "deactivate":
            return {"status": "DEACTIVATED", "members": 0, "next_at": None}
        return self._refreshed(row, step)

    def _started(self, row: Row) -> Changes:
        from amci.sandbox.audiences.rules import check

        asked = json.loads(row["request"])
        try:
            check(row["query"])
            self._queries.audience(
                row["instance_id"], row["query"], asked["inputParameters"], asked["parameterValues"]
            )
        except _FAILURES as error:
            return _failed(str(error))
        return {"status": "RUNNING", "next_at": row["next_at"] + span(self._backend.options.running)}

    def _created(self, row: Row) -> Changes:
        """At first `lastRefreshedTime` is the time of creation (amc-api 2.4)."""
        try:
            members = self._members(row, row["window_start"], row["window_end"])
        except _FAILURES as error:
            return _failed(str(error))
        return {
            "status": "SUCCEEDED",
            "members": members,
            "refreshed_at": row["asked_at"],
            "tried_at": row["asked_at"],
            "next_at": micros(self._next_step(row, row["asked_at"]).at),
        }

    def _refreshed(self, row: Row, step: NextStep) -> Changes:
        """A refresh; if it fails, the audience keeps its members, and its `statusReason` says why."""
        moved = span(timedelta(days=step.days)) if json.loads(row["request"])["timeWindowRelative"] else 0
        start, end = row["window_start"] + moved, row["window_end"] + moved
        changes = {
            "window_start": start,
            "window_end": end,
            "tried_at": row["next_at"],
            "next_at": micros(self._next_step(row, row["next_at"]).at),
        }
        try:
            members = self._members(row, start, end)
        except _FAILURES as error:
            return {**changes, "reason": f"The latest refresh failed: {error}"}
        return {**changes, "refreshed_at": row["next_at"], "members": members, "reason": None}

    def _next_step(self, row: Row, tried_at: int) -> NextStep:
        asked = json.loads(row["request"])
        rule = RefreshRule(
            refresh_days=asked["refreshRateDays"],
            created_at=from_micros(row["asked_at"]),
            is_window_moving=asked["timeWindowRelative"],
            query_takes=self._backend.options.running,
        )
        return next_step(rule, from_micros(tried_at))

    def _members(self, row: Row, start: int, end: int) -> int:
        """Number of people in the audience; raises NoAudience if they are too few or too many."""
        asked = json.loads(row["request"])
        declared, values = asked["inputParameters"], asked["parameterValues"]
        window, now = Window(start=from_micros(start), end=from_micros(end)), from_micros(row["next_at"])

        def count(query: str) -> int:
            compiled = self._queries.audience(row["instance_id"], query, declared, values, window, now)
            return self._queries.users(compiled, now)

        size = count(row["query"])
        least = self._backend.options.audience_minimum
        if row["kind"] != LOOKALIKE:
            _check_number("The audience", size, least)
            return size
        _check_number("The seed audience", size, round(least * _SEEDS), _MOST_SEEDS)
        alike = lookalike_size(asked["lookalikeAudienceExpectedReach"], row["query"], count)
        if not alike:
            raise NoAudience(
                "Nobody in the time window shares a segment that is typical of the seed audience."
            )
        return alike


#: Columns that change over time.
_CHANGING = (
    *("status", "reason", "next_at", "tried_at", "refreshed_at"),
    *("window_start", "window_end", "members"),
)


def _check_number(what: str, size: int, least: int, most: int | None = None) -> None:
    if size < least:
        raise NoAudience(
            f"{what} has {size} user_ids, and at least {least} are needed. Widen the query or the time window,"
            f" and aim for {round(least * _MARGIN)} or more."
        )
    if most is not None and size > most:
        raise NoAudience(f"{what} has {size} user_ids, and at most {most} are allowed. Narrow the query.")


def _failed(reason: str) -> Changes:
    return {"status": "FAILED", "reason": reason, "next_at": None}


#: Without further refreshes an audience is deactivated this long after the last one.
_LASTS = timedelta(days=30)
#: Of an audience that is not in use: age → fewest days between its refreshes from then on.
_UNATTACHED = ((timedelta(days=14), 2), (timedelta(days=30), 7))
_UNUSED_LASTS = timedelta(days=100)  #: age at which its refreshes end
_STATIC = (timedelta(days=30), 7)  #: the same, if its time window does not move
_SLOW = (timedelta(hours=4), 2)  #: running time of its query → fewest days between refreshes


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshRule:
    """What determines how often an audience is refreshed."""

    refresh_days: int  #: `refreshRateDays`; 0 is never
    created_at: datetime
    is_window_moving: bool
    query_takes: timedelta = timedelta(0)
    is_attached: bool = False  #: to a line item of the DSP


@dataclass(frozen=True, slots=True)
class NextStep:
    """What happens to an audience next, and when."""

    step: Literal["refresh", "deactivate"]
    at: datetime
    days: int = 0  #: since the previous refresh; a relative window moves as far


def next_step(rule: RefreshRule, refreshed_at: datetime) -> NextStep:
    """The step after the refresh at `refreshed_at`; creation counts as the first refresh."""
    days = refresh_interval(rule, refreshed_at - rule.created_at)
    if days:
        return NextStep("refresh", refreshed_at + timedelta(days=days), days)
    return NextStep("deactivate", refreshed_at + _LASTS)


def refresh_interval(rule: RefreshRule, age: timedelta) -> int:
    """Days from one refresh to the next at this age; 0 is never again.

    AMC refreshes less often what is not used, what always finds the same people, and what takes long.
    """
    if not rule.refresh_days or (age >= _UNUSED_LASTS and not rule.is_attached):
        return 0
    slower = [days for since, days in _UNATTACHED if age >= since and not rule.is_attached]
    if age >= _STATIC[0] and not rule.is_window_moving:
        slower.append(_STATIC[1])
    if rule.query_takes > _SLOW[0]:
        slower.append(_SLOW[1])
    return max(rule.refresh_days, *slower) if slower else rule.refresh_days


#: Smallest and largest size in millions of people (Amazon's guide to lookalike audiences).
_SIZES: Final = {
    "MOST_SIMILAR": (0.5, 1.0),
    "SIMILAR": (1.5, 3.0),
    "BALANCED": (2.0, 5.5),
    "BROAD": (2.5, 7.5),
    "MOST_BROAD": (3.0, 10.0),
}
_PEOPLE = 20.0  #: millions
_SEGMENTS = "dsp_impressions_by_user_segments_for_audiences"


def lookalike_size(reach: str, seed: str, users: Callable[[str], int]) -> int:
    """Number of people in a lookalike audience; `users` counts the people that an AMC query finds."""
    smallest, largest = sizes(reach, users(_others(seed)))
    size = users(_alike(seed, 1))
    for segments in count(2):
        if (fewer := users(_alike(seed, segments))) < max(smallest, 1):
            break
        size = fewer
    return min(size, largest)


def sizes(reach: str, others: int) -> tuple[int, int]:
    """Smallest and largest size if `others` people are not in the seed."""
    smallest, largest = _SIZES[reach]
    return round(others * smallest / _PEOPLE), round(others * largest / _PEOPLE)


def _others(seed: str) -> str:
    return (
        f"WITH {_held_and_seed(seed)}\n"
        "SELECT h.user_id FROM held h LEFT JOIN seed s ON h.user_id = s.user_id WHERE s.user_id IS NULL"
    )


def _alike(seed: str, segments: int) -> str:
    """A query for those outside the seed who have at least `segments` of its typical segments."""
    return f"""WITH {_held_and_seed(seed)},
sizes AS (
  SELECT COUNT(DISTINCT h.user_id) AS people, COUNT(DISTINCT s.user_id) AS seeds
  FROM held h LEFT JOIN seed s ON h.user_id = s.user_id
),
typical AS (
  SELECT h.behavior_segment_id
  FROM held h LEFT JOIN seed s ON h.user_id = s.user_id CROSS JOIN sizes z
  GROUP BY h.behavior_segment_id, z.people, z.seeds
  HAVING COUNT(s.user_id) * z.people > COUNT(h.user_id) * z.seeds
)
SELECT h.user_id
FROM held h
INNER JOIN typical t ON h.behavior_segment_id = t.behavior_segment_id
LEFT JOIN seed s ON h.user_id = s.user_id
WHERE s.user_id IS NULL
GROUP BY h.user_id
HAVING COUNT(DISTINCT h.behavior_segment_id) >= {segments}"""


def _held_and_seed(seed: str) -> str:
    """CTEs. The seed's query is on lines of its own, as it may end with a comment."""
    return f"""seed AS (
  SELECT DISTINCT q.user_id FROM (
{seed}
  ) AS q WHERE q.user_id IS NOT NULL
),
held AS (
  SELECT DISTINCT user_id, behavior_segment_id FROM {_SEGMENTS}
  WHERE user_id IS NOT NULL AND behavior_segment_id IS NOT NULL
)"""
