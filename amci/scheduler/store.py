"""The state of the scheduler: up to when each schedule is decided, pauses, and the history of fires."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cache, lru_cache
from typing import Self

from amci.kernel.clock import Clock, moment, timestamp
from amci.kernel.run import RunStatus
from amci.kernel.state import State, insert_many
from amci.kernel.text import plain
from amci.scheduler.model import Decision, Fire, Schedule

# A schedule that comes back, or is enabled again, begins now: what it would have done meanwhile is not invented.
# One whose definition changed keeps its cursor, so that nothing fires twice.
_SEE = """
    INSERT INTO schedules (schedule_id, definition, changed_at, cursor_at, is_active)
    VALUES (:schedule_id, :definition, :now, :now, 1)
    ON CONFLICT (schedule_id) DO UPDATE
       SET definition = excluded.definition, is_active = 1,
           changed_at = CASE WHEN definition = excluded.definition THEN changed_at ELSE excluded.changed_at END,
           cursor_at = CASE WHEN is_active THEN cursor_at ELSE excluded.cursor_at END
     WHERE definition <> excluded.definition OR NOT is_active"""

_PAUSE = """
    INSERT INTO schedules (schedule_id, definition, changed_at, cursor_at, is_active, paused_at)
    VALUES (:schedule_id, '', :now, :now, 0, :now)
    ON CONFLICT (schedule_id) DO UPDATE SET paused_at = excluded.paused_at WHERE paused_at IS NULL"""

_HISTORY = """
    SELECT fires.*, runs.run_id, runs.status
      FROM fires LEFT JOIN runs ON runs.idempotency_key = fires.idempotency_key
     WHERE schedule_id = :schedule_id
     ORDER BY fire_time DESC, at DESC, decision LIMIT :limit"""

_NEWEST = """
    SELECT fires.*, runs.run_id, runs.status
      FROM schedules
      JOIN fires ON fires.schedule_id = schedules.schedule_id
       AND fires.fire_time = (SELECT max(fire_time) FROM fires WHERE fires.schedule_id = schedules.schedule_id)
      LEFT JOIN runs ON runs.idempotency_key = fires.idempotency_key
     ORDER BY fires.at, fires.decision"""

_DONE = """
    SELECT schedule_id, fire_time FROM schedules JOIN fires USING (schedule_id)
     WHERE schedule_id IN (SELECT value FROM json_each(:schedule_ids))
       AND fire_time > cursor_at AND fire_time <= :until AND decision = 'created'"""

# Two conditions on the status, not one with IN: each has its own partial index.
_BUSY = """
    SELECT value AS lock_key FROM json_each(?) AS lock
     WHERE EXISTS (SELECT 1 FROM runs WHERE runs.lock_key = lock.value AND status = 'RUNNING')
        OR EXISTS (SELECT 1 FROM runs WHERE runs.lock_key = lock.value AND status = 'PENDING')"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleState:
    """The state of a schedule."""

    cursor_at: datetime  #: every fire up to here is decided
    changed_at: datetime  #: when amci first saw it as it is configured now
    is_active: bool  #: configured and enabled when amci last looked
    paused_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FireRecord:
    """A fire of the history, with the status of its run."""

    fire: Fire
    at: datetime  #: when it was decided
    run_id: int | None
    status: RunStatus | None

    @classmethod
    def of(cls, row: sqlite3.Row) -> Self:
        """A row of `fires` with its run."""
        fire = Fire(
            schedule_id=row["schedule_id"],
            fire_time=moment(row["fire_time"]),
            decision=Decision(row["decision"]),
            idempotency_key=row["idempotency_key"],
        )
        status = RunStatus(row["status"]) if row["status"] else None
        return cls(fire=fire, at=moment(row["at"]), run_id=row["run_id"], status=status)


class ScheduleStore:
    """The tables `schedules` and `fires`. All methods raise StorageError if the disk refuses."""

    def __init__(self, state: State, clock: Clock) -> None:
        self._state = state
        self._clock = clock

    def sync(self, schedules: Iterable[Schedule]) -> None:
        """Take note of what is configured: new ones begin now, those that are gone or disabled rest."""
        enabled = _enabled(schedules)
        now = timestamp(self._clock.now())
        with self._state.transaction() as db:
            db.executemany(
                _SEE,
                [{"schedule_id": name, "definition": text, "now": now} for name, text in enabled.items()],
            )
            db.execute(
                "UPDATE schedules SET is_active = 0"
                " WHERE is_active AND schedule_id NOT IN (SELECT value FROM json_each(?))",
                (json.dumps(list(enabled)),),
            )

    def compared(self, schedules: Iterable[Schedule]) -> tuple[Sequence[str], Sequence[str], Sequence[str]]:
        """What is configured beside what `sync` saw last: schedules that are new, changed, and gone or disabled."""
        enabled = _enabled(schedules)
        rows = self._state.read("SELECT schedule_id, definition FROM schedules WHERE is_active")
        seen = {row["schedule_id"]: row["definition"] for row in rows}
        changed = [name for name in enabled.keys() & seen.keys() if enabled[name] != seen[name]]
        return sorted(enabled.keys() - seen.keys()), sorted(changed), sorted(seen.keys() - enabled.keys())

    def states(self, schedule_ids: Collection[str]) -> Mapping[str, ScheduleState]:
        """The states of these schedules; one that was never seen is left out."""
        rows = self._state.read(
            "SELECT schedule_id, cursor_at, changed_at, is_active, paused_at FROM schedules"
            " WHERE schedule_id IN (SELECT value FROM json_each(?))",
            (json.dumps(list(schedule_ids)),),
        )
        read = cache(moment)  # most cursors are the same
        return {
            schedule_id: ScheduleState(
                cursor_at=read(cursor_at),
                changed_at=read(changed_at),
                is_active=bool(is_active),
                paused_at=read(paused_at) if paused_at else None,
            )
            for schedule_id, cursor_at, changed_at, is_active, paused_at in rows
        }

    def move(self, cursors: Mapping[str, datetime]) -> None:
        """Note up to when these schedules are decided."""
        together: defaultdict[datetime, list[str]] = defaultdict(list)
        for schedule_id, cursor in cursors.items():
            together[cursor].append(schedule_id)
        self._state.write_many(
            "UPDATE schedules SET cursor_at = ? WHERE schedule_id IN (SELECT value FROM json_each(?))",
            [(timestamp(cursor), json.dumps(schedule_ids)) for cursor, schedule_ids in together.items()],
        )

    def advance(self, now: datetime, *, but: Collection[str]) -> None:
        """Note that every active schedule is decided up to `now`, except those in `but`; none goes back."""
        with self._state.transaction() as db:
            db.execute(
                "UPDATE schedules SET cursor_at = :now WHERE is_active AND cursor_at < :now"
                " AND schedule_id NOT IN (SELECT value FROM json_each(:but))",
                {"now": timestamp(now), "but": json.dumps(list(but))},
            )

    def take_back(self, now: datetime) -> None:
        """Bring cursors that lie ahead back to `now`: a clock that was ahead has left them there."""
        with self._state.transaction() as db:
            db.execute(
                "UPDATE schedules SET cursor_at = :now WHERE cursor_at > :now", {"now": timestamp(now)}
            )

    def done(self, schedule_ids: Collection[str], until: datetime) -> set[tuple[str, datetime]]:
        """Which fires of these schedules, from their cursors until then, have had their run: schedule and moment."""
        asked = {"schedule_ids": json.dumps(list(schedule_ids)), "until": timestamp(until)}
        rows = self._state.read(_DONE, asked)
        return {(row["schedule_id"], moment(row["fire_time"])) for row in rows}

    def record(self, fires: Iterable[Fire]) -> None:
        """Write fires into the history; what stands there already stays."""
        now = timestamp(self._clock.now())
        with self._state.transaction() as db:
            insert_many(
                db,
                "INSERT INTO fires VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (
                    (f.schedule_id, fire_text(f.fire_time), f.decision.value, f.idempotency_key, now)
                    for f in fires
                ),
            )

    def busy(self, lock_keys: Collection[str]) -> set[str]:
        """Those of these locks whose runs have not all ended."""
        return {row["lock_key"] for row in self._state.read(_BUSY, (json.dumps(list(lock_keys)),))}

    def pause(self, schedule_id: str) -> None:
        """Let it fire no more until `resume`, whatever restarts."""
        with self._state.transaction() as db:
            db.execute(_PAUSE, {"schedule_id": schedule_id, "now": timestamp(self._clock.now())})

    def resume(self, schedule_id: str) -> None:
        """Let a paused schedule fire again from now on; what it missed stays undone."""
        with self._state.transaction() as db:
            db.execute(
                "UPDATE schedules SET paused_at = NULL, cursor_at = :now"
                " WHERE schedule_id = :schedule_id AND paused_at IS NOT NULL",
                {"schedule_id": schedule_id, "now": timestamp(self._clock.now())},
            )

    def history(self, schedule_id: str, limit: int = 100) -> Sequence[FireRecord]:
        """Its fires, newest first."""
        return [
            FireRecord.of(row)
            for row in self._state.read(_HISTORY, {"schedule_id": schedule_id, "limit": limit})
        ]

    def newest(self) -> Mapping[str, FireRecord]:
        """The newest fire of every schedule that has one."""
        return {row["schedule_id"]: FireRecord.of(row) for row in self._state.read(_NEWEST)}


@lru_cache(maxsize=1024)
def fire_text(fire_time: datetime) -> str:
    """The timestamp of a fire (UTC), which many schedules have in common."""
    return timestamp(fire_time)


def _enabled(schedules: Iterable[Schedule]) -> dict[str, str]:
    """The enabled schedules, each with a hash of its definition."""
    return {schedule.schedule_id: _hash(schedule) for schedule in schedules if schedule.is_enabled}


def _hash(schedule: Schedule) -> str:
    text = json.dumps(asdict(schedule), default=plain, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
