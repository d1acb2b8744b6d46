"""Waits are no longer than was asked for, whatever the clock does.

A time in the future stands in the state file beside the time at which it was asked for. If that one lies in the future
too, a clock that was ahead wrote both, and has been set back since: both are moved, so that the wait begins now.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from amci.kernel.clock import moment, timestamp
from amci.kernel.state import State

#: A thread may have written a little after another one asked for the time.
_TOLERANCE = timedelta(seconds=30)
#: So far back is looked for what a request made whose time of sending is in doubt.
_SEARCHED = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Wait:
    """A kind of wait: columns of a table."""

    table: str
    key: str  #: its primary key
    begins: str  #: column: when it was asked for
    ends: str = ""  #: column: when it is over; empty if a setting says how long it is
    where: str = "TRUE"  #: rows that wait
    searches: bool = False  #: whether an execution is looked for that was created since it began
    back: timedelta = timedelta()  #: so long before now it is moved


#: All times in the state file that something waits for.
WAITS = (
    Wait("runs", "run_id", "changed_at", "run_after", "status = 'PENDING' AND is_ready = 0"),
    Wait("runs", "run_id", "created_at", where="status = 'PENDING' AND is_ready = 0"),
    Wait("runs", "run_id", "leased_at", "lease_until", "status = 'RUNNING'"),
    Wait("circuits", "instance_id", "opened_at"),
    Wait("circuits", "instance_id", "changed_at", "retry_at"),
    Wait(
        "executions",
        "execution_id",
        "submitting_at",
        where="submitting_at IS NOT NULL AND workflow_execution_id IS NULL",
        searches=True,
    ),
    Wait("executions", "execution_id", "first_sent_at", back=_SEARCHED),
    Wait("executions", "execution_id", "deadline_from", "deadline_at"),
    Wait("executions", "execution_id", "changed_at"),
    Wait("schedules", "schedule_id", "cursor_at"),
    Wait("schedules", "schedule_id", "changed_at"),
    Wait("schedules", "schedule_id", "paused_at"),
)


@dataclass(frozen=True, slots=True)
class ClockStep:
    """What was corrected after the clock was set back."""

    at: datetime  #: by the clock as it was put right
    ahead: timedelta  #: how far in the future the furthest wait began
    waits: int


def ahead(state: State, now: datetime) -> int:
    """How many waits began in the future, and are not corrected yet."""
    return sum(len(_rows(state, wait, now)) for wait in WAITS)


def correct(state: State, now: datetime) -> ClockStep | None:
    """Let waits that began in the future begin now; what was done, None if nothing was. Raises StorageError."""
    if not ahead(state, now):
        return None
    corrected, furthest = 0, timedelta()
    with state.transaction() as db:
        for wait in WAITS:
            for row in _rows(state, wait, now):
                step = moment(row["begins"]) - now
                ends = timestamp(moment(row["ends"]) - step) if row["ends"] else None
                values = {"key": row["key"], "begins": timestamp(now - wait.back), "ends": ends}
                values["search_from"] = timestamp(now - _SEARCHED)
                changes = f"{wait.begins} = :begins" + (f", {wait.ends} = :ends" if wait.ends else "")
                changes += ", search_from = :search_from" if wait.searches else ""
                db.execute(f"UPDATE {wait.table} SET {changes} WHERE {wait.key} = :key", values)
                corrected, furthest = corrected + 1, max(furthest, step)
        db.execute(
            "INSERT INTO clock_steps (at, ahead, waits) VALUES (?, ?, ?)",
            (timestamp(now), furthest.total_seconds(), corrected),
        )
    return ClockStep(now, furthest, corrected)


def newest_step(state: State) -> ClockStep | None:
    """The newest correction; None if there was none."""
    for row in state.read("SELECT * FROM clock_steps ORDER BY step_id DESC LIMIT 1"):
        return ClockStep(moment(row["at"]), timedelta(seconds=row["ahead"]), row["waits"])
    return None


def told(step: ClockStep) -> str:
    """A correction in words."""
    return f"{step.at:%Y-%m-%d %H:%M:%S} UTC: {step.waits} waits began up to {step.ahead} in the future"


def _rows(state: State, wait: Wait, now: datetime) -> list[Mapping[str, Any]]:
    ends = wait.ends or "NULL"
    return [
        {"key": row["key"], "begins": row["begins"], "ends": row["ends"]}
        for row in state.read(
            f"SELECT {wait.key} AS key, {wait.begins} AS begins, {ends} AS ends FROM {wait.table}"
            f" WHERE {wait.begins} > ? AND {wait.where}",
            (timestamp(now + _TOLERANCE),),
        )
    ]
