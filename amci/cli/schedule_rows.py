"""Schedules and fires as people see them: rows for lists, records for one."""

from __future__ import annotations

import difflib
import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from amci.kernel.clock import moment
from amci.kernel.dates import time_zone
from amci.kernel.errors import NotFound, UsageError
from amci.kernel.run import Run
from amci.scheduler.due import Timetable
from amci.scheduler.expression import parse
from amci.scheduler.model import Schedule
from amci.scheduler.store import FireRecord, ScheduleState, ScheduleStore

_COMING = 3
_FOR_EVER = datetime.max.replace(tzinfo=UTC)


def chosen(schedules: Mapping[str, Schedule], name: str) -> list[Schedule]:
    """The schedule of this id, or all that a template of this name was spread out to; raises NotFound."""
    found = [
        s for schedule_id, s in schedules.items() if schedule_id == name or schedule_id.startswith(f"{name}/")
    ]
    if not found:
        near = difflib.get_close_matches(name, {*schedules, *(s.partition("/")[0] for s in schedules)}, n=1)
        hint = f"did you mean '{near[0]}'?" if near else "`amci schedule list` shows them"
        raise NotFound(f"there is no schedule '{name}'", hint=hint)
    return found


def overview(schedules: Mapping[str, Schedule], store: ScheduleStore, now: datetime) -> list[dict[str, Any]]:
    """A row for each schedule: when it fires next, whether it is paused, what it did last."""
    standings, newest = store.standings(schedules.keys()), store.newest()
    return [
        _row(schedule, standings.get(name), newest.get(name), now)
        for name, schedule in sorted(schedules.items())
    ]


def _row(
    schedule: Schedule, standing: ScheduleState | None, last: FireRecord | None, now: datetime
) -> dict[str, Any]:
    coming = next(_coming(Timetable.of(schedule), standing, now), None)
    return {
        "schedule": schedule.schedule_id,
        "expression": schedule.expression,
        "time_zone": schedule.time_zone,
        "kind": schedule.run.kind,
        "tenant": schedule.run.tenant_id,
        "state": _state(schedule, standing),
        "next_fire": coming,
        "last_fire": last.fire.fire_time if last else None,
        "last_decision": last.fire.decision if last else None,
        "last_status": last.status if last else None,
    }


def detail(schedule: Schedule, store: ScheduleStore, now: datetime) -> dict[str, Any]:
    """Everything about one schedule."""
    standing = store.standings([schedule.schedule_id]).get(schedule.schedule_id)
    last = next(iter(store.history(schedule.schedule_id, 1)), None)
    run = {name: value for name, value in asdict(schedule.run).items() if value not in (None, "")}
    return _row(schedule, standing, last, now) | {
        "description": schedule.description,
        "coming": list(islice(_coming(Timetable.of(schedule), standing, now), _COMING)),
        "catch_up": schedule.catch_up,
        "overlap": schedule.overlap,
        "start_at": schedule.start_at,
        "end_at": schedule.end_at,
        "jitter": schedule.jitter,
        "run": run,
        "changed_at": standing.changed_at if standing else None,
        "decided_up_to": standing.cursor_at if standing else None,
        "paused_at": standing.paused_at if standing else None,
    }


def coming(
    schedules: Iterable[Schedule], store: ScheduleStore, now: datetime, count: int
) -> list[dict[str, Any]]:
    """The next `count` fires over all these schedules; paused and disabled ones have none."""
    by_id = {schedule.schedule_id: Timetable.of(schedule) for schedule in schedules}
    standings = store.standings(by_id.keys())
    fires = heapq.merge(
        *(_named(name, _coming(timetable, standings.get(name), now)) for name, timetable in by_id.items())
    )
    return [_fire(fire, by_id[name]) | {"schedule": name} for fire, name in islice(fires, count)]


def coming_of(expression: str, zone: str, now: datetime, count: int) -> list[dict[str, Any]]:
    """The next `count` fires of an expression; raises UsageError."""
    fires = parse(expression).fires(now, _FOR_EVER, time_zone(zone))
    return [{"fire_time": fire, "local": _local(fire, zone)} for fire in islice(fires, count)]


def past(fires: Sequence[FireRecord]) -> list[dict[str, Any]]:
    """Rows of a history."""
    return [
        {
            "schedule": entry.fire.schedule_id,
            "fire_time": entry.fire.fire_time,
            "decision": entry.fire.decision,
            "at": entry.at,
            "run_id": entry.run_id,
            "status": entry.status,
            "idempotency_key": entry.fire.idempotency_key,
        }
        for entry in fires
    ]


def run_row(run: Run) -> dict[str, Any]:
    """How a run that was fired by hand stands."""
    return {"run_id": run.run_id, "status": run.status, "reason": run.reason}


def moment_of(text: str) -> datetime:
    """A moment as people write it; raises UsageError."""
    try:
        return moment(text)
    except ValueError:
        raise UsageError(f"'{text}' is not a moment", hint="write 2026-11-02T06:00:00Z") from None


def _state(schedule: Schedule, standing: ScheduleState | None) -> str:
    if not schedule.is_enabled:
        return "disabled"
    return "paused" if standing and standing.paused_at else "active"


def _coming(timetable: Timetable, standing: ScheduleState | None, now: datetime) -> Iterator[datetime]:
    """Fires to come; what lies before the cursor is decided already, even where the clock was set back."""
    if standing and standing.paused_at:
        return iter(())
    since = max(now, standing.cursor_at) if standing else now
    return timetable.fires(since, _FOR_EVER)


def _named(name: str, fires: Iterator[datetime]) -> Iterator[tuple[datetime, str]]:
    return ((fire, name) for fire in fires)


def _fire(fire: datetime, timetable: Timetable) -> dict[str, Any]:
    return {"fire_time": fire, "local": _local(fire, timetable.schedule.time_zone)}


def _local(fire: datetime, zone: str) -> str:
    return f"{fire.astimezone(time_zone(zone)):%a %Y-%m-%d %H:%M:%S %z}"
