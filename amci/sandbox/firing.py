"""AMC's own schedules fire by the clock: an execution over the day or week that has just ended."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from amci.sandbox.backend import Backend
from amci.sandbox.executions import add
from amci.sandbox.times import from_micros, micros
from amci.sandbox.windows import Window

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_FORMAT = "%Y-%m-%dT%H:%M:%S"
_PASSED_ON = ("disableAggregationControls", "requireSyntheticData")


def next_fire(schedule: Mapping[str, Any], since: datetime) -> datetime:
    """The first fire after `since`; both UTC."""
    fire = since.replace(hour=schedule["aggregationHourUtc"], minute=0, second=0, microsecond=0)
    if _is_weekly(schedule):
        fire += timedelta(days=(DAYS.index(schedule["aggregationStartDay"]) - fire.weekday()) % 7)
    return fire if fire > since else fire + _period(schedule)


def fire_due(backend: Backend, now: int) -> None:
    """Put an execution into the queue for each fire that is due, as of the moment it was due."""
    while backend.store.row("due_schedule", now=now) is not None:
        with backend.store.changing():
            row = backend.store.row("due_schedule", now=now)
            if row is None:
                return
            schedule, at = json.loads(row["document"]), from_micros(row["next_at"])
            backend.store.do(
                "schedule_fired",
                instance_id=row["instance_id"],
                schedule_id=row["schedule_id"],
                next_at=micros(at + _period(schedule)),
            )
            _fire(backend, row["instance_id"], schedule, at)


def _fire(backend: Backend, instance_id: str, schedule: Mapping[str, Any], at: datetime) -> None:
    saved = backend.store.row("workflow", instance_id=instance_id, workflow_id=schedule["workflowId"])
    if saved is None:
        return
    window = Window(start=at - _period(schedule), end=at)
    asked = {
        "workflowId": schedule["workflowId"],
        "timeWindowType": "EXPLICIT",
        "timeWindowStart": f"{window.start:{_FORMAT}}",
        "timeWindowEnd": f"{window.end:{_FORMAT}}",
        **{name: schedule[name] for name in _PASSED_ON if name in schedule},
    }
    add(
        backend,
        instance_id,
        json.loads(saved["definition"]),
        asked,
        window,
        created_at=at,
        schedule=str(schedule["aggregationPeriod"]).lower(),
    )


def _is_weekly(schedule: Mapping[str, Any]) -> bool:
    return str(schedule["aggregationPeriod"]) == "Weekly"


def _period(schedule: Mapping[str, Any]) -> timedelta:
    return timedelta(days=7 if _is_weekly(schedule) else 1)
