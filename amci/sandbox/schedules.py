"""AMC's own schedules, daily and weekly (amc-api 2.2): an execution over the day or week that has just ended."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from sqlite3 import Row
from typing import Any

from amci.sandbox.backend import Backend
from amci.sandbox.definitions import definition_of
from amci.sandbox.errors import bad
from amci.sandbox.executions import add
from amci.sandbox.http import Request, Response, is_true
from amci.sandbox.resources import Resource
from amci.sandbox.times import Window, from_micros, micros

_LAST_HOUR = 23
_SCHEDULES = Resource(name="schedule", title="Schedule", part="scheduleId", items="schedules")


def schedules(backend: Backend, request: Request) -> Response:
    """GET /schedules."""
    return _SCHEDULES.page(backend, request, _document)


def schedule(backend: Backend, request: Request) -> Response:
    """GET /schedules/{scheduleId}."""
    return Response(document=_document(_SCHEDULES.row(backend, request)))


def create(backend: Backend, request: Request) -> Response:
    """POST /schedules: its workflow has to exist."""
    document = _checked(backend, request, request.document("schedule"))
    schedule_id = str(document.get("scheduleId") or "")
    if not schedule_id:
        raise bad("scheduleId is required.")
    _SCHEDULES.insert(backend, **_row(request, schedule_id, document))
    return Response(document={})


def change(backend: Backend, request: Request) -> Response:
    """PUT /schedules/{scheduleId}: fields that are not sent are unchanged."""
    before = _document(_SCHEDULES.row(backend, request))
    document = _checked(backend, request, before | request.document("schedule"))
    schedule_id = request.parts["scheduleId"]
    backend.store.do("change_schedule", **_row(request, schedule_id, document | {"scheduleId": schedule_id}))
    return Response(document={})


def delete(backend: Backend, request: Request) -> Response:
    """DELETE /schedules/{scheduleId}."""
    _SCHEDULES.delete(backend, request)
    return Response(document={})


def _document(row: Row) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(row["document"])
    return document


def _checked(backend: Backend, request: Request, document: dict[str, Any]) -> dict[str, Any]:
    """The schedule with AMC's defaults filled in; raises Refusal."""
    definition_of(backend, request.instance.instance_id, str(document.get("workflowId") or ""))
    hour = str(document.get("aggregationHourUtc", 0))
    if not hour.isdecimal() or int(hour) > _LAST_HOUR:
        raise bad("aggregationHourUtc must be between 0 and 23.")
    period = document.get("aggregationPeriod", "Daily")
    if period not in ("Daily", "Weekly"):
        raise bad("aggregationPeriod must be Daily or Weekly.")
    day = document.get("aggregationStartDay") or DAYS[request.now.weekday()]
    if day not in DAYS:
        raise bad(f"aggregationStartDay must be one of {', '.join(DAYS)}.")
    return document | {
        "aggregationHourUtc": int(hour),
        "aggregationPeriod": period,
        "aggregationStartDay": day,
        "scheduleEnabled": is_true(document.get("scheduleEnabled", True)),
    }


def _row(request: Request, schedule_id: str, document: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "instance_id": request.instance.instance_id,
        "schedule_id": schedule_id,
        "workflow_id": document["workflowId"],
        "document": json.dumps(document),
        "next_at": micros(next_fire(document, request.now)) if document["scheduleEnabled"] else None,
    }


DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_FORMAT = "%Y-%m-%dT%H:%M:%S"
_PASSED_ON = ("disableAggregationControls", "requireSyntheticData")


def next_fire(schedule: Mapping[str, Any], since: datetime) -> datetime:
    """The first time after `since` at which a schedule fires; both aware, UTC."""
    fire = since.replace(hour=schedule["aggregationHourUtc"], minute=0, second=0, microsecond=0)
    if _is_weekly(schedule):
        fire += timedelta(days=(DAYS.index(schedule["aggregationStartDay"]) - fire.weekday()) % 7)
    return fire if fire > since else fire + _period(schedule)


def fire_due(backend: Backend, now: int) -> None:
    """Queue an execution for each fire due by `now`, as created when it was due. Raises StorageError."""
    while backend.store.row("due_schedule", now=now) is not None:
        with backend.store.transaction():
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
