"""Times and time windows as AMC writes them, and as the sandbox stores them: in microseconds since 1970."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from amci.kernel.errors import AmciError
from amci.sandbox.errors import bad

#: Later than any stored time.
NEVER = 2**62
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WRITTEN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z?")
_MICROSECOND = timedelta(microseconds=1)


class BadMoment(AmciError):
    """Text that AMC does not accept as a time."""


def micros(moment: datetime) -> int:
    """An aware time as it is stored, in microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def span(duration: timedelta) -> int:
    """A duration in microseconds."""
    return duration // _MICROSECOND


def from_micros(stored: int) -> datetime:
    """Inverse of `micros`, aware, UTC."""
    return _EPOCH + timedelta(microseconds=stored)


def wire(stored: int | None) -> str | None:
    """`yyyy-MM-ddTHH:mm:ssZ`."""
    return None if stored is None else f"{from_micros(stored):%Y-%m-%dT%H:%M:%SZ}"


def local(stored: int, time_zone: str) -> str:
    """`yyyy-MM-ddTHH:mm:ss`, local to `time_zone`. Raises BadMoment."""
    return f"{from_micros(stored).astimezone(zone(time_zone)):%Y-%m-%dT%H:%M:%S}"


def zone(name: str) -> ZoneInfo:
    """The time zone of a name such as `America/New_York`. Raises BadMoment."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, IsADirectoryError) as error:
        raise BadMoment(f"'{name}' is not a time zone") from error


def read(text: str, time_zone: ZoneInfo) -> datetime:
    """The time, aware and in UTC, of `yyyy-MM-ddTHH:mm:ss` local to `time_zone`. Raises BadMoment.

    A trailing `Z` is ignored: AMC's own notebook sends it with local times (amc-api 2.2).
    """
    if not _WRITTEN.fullmatch(text):
        raise BadMoment(f"'{text}' is not yyyy-MM-ddTHH:mm:ss")
    try:
        return datetime.fromisoformat(text[:19]).replace(tzinfo=time_zone).astimezone(UTC)
    except ValueError as error:
        raise BadMoment(f"'{text}' is not a moment") from error


#: How long AMC takes until the events of a time are complete (amc-api 1.6).
_LATENESS = timedelta(hours=48)
#: How long AMC keeps events: 13 months.
_RETENTION = timedelta(days=395)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A resolved time window; the end is exclusive."""

    start: datetime  #: aware, UTC
    end: datetime
    time_zone: str = "UTC"
    is_relative: bool = False


def window_of(request: Mapping[str, Any], now: datetime) -> Window:
    """The window of a CreateWorkflowExecution request; raises Refusal."""
    kind = str(request.get("timeWindowType") or "MOST_RECENT_DAY")
    name = str(request.get("timeWindowTimeZone") or "UTC")
    try:
        time_zone = zone(name)
        start, end = _explicit(request, time_zone) if kind == "EXPLICIT" else _relative(kind, time_zone, now)
    except BadMoment as error:
        raise bad(f"Invalid time window: {error}.") from error
    if start >= end:
        raise bad("Invalid time window: timeWindowStart must be before timeWindowEnd.")
    return Window(start=start, end=end, time_zone=name, is_relative=kind != "EXPLICIT")


def _explicit(request: Mapping[str, Any], time_zone: ZoneInfo) -> tuple[datetime, datetime]:
    texts = [request.get(field) for field in ("timeWindowStart", "timeWindowEnd")]
    if not all(texts):
        raise bad("timeWindowStart and timeWindowEnd are required when timeWindowType is EXPLICIT.")
    return read(str(texts[0]), time_zone), read(str(texts[1]), time_zone)


def _relative(kind: str, time_zone: ZoneInfo, now: datetime) -> tuple[datetime, datetime]:
    """Windows on day boundaries, up to the latest day whose events are likely complete."""
    latest = _midnight(now - _LATENESS, time_zone)
    month = latest.replace(day=1)
    windows = {
        "MOST_RECENT_DAY": (_days_before(latest, 1), latest),
        "MOST_RECENT_WEEK": (_days_before(latest, 7), latest),
        "CURRENT_MONTH": (month if month < latest else _days_before(month, 1).replace(day=1), latest),
        "PREVIOUS_MONTH": (_days_before(month, 1).replace(day=1), month),
        "ALL": (_midnight(now - _RETENTION, time_zone), latest),
    }
    if kind not in windows:
        raise bad(f"Invalid timeWindowType {kind}: must be one of {', '.join(['EXPLICIT', *windows])}.")
    start, end = windows[kind]
    return start.astimezone(UTC), end.astimezone(UTC)


def _midnight(moment: datetime, time_zone: ZoneInfo) -> datetime:
    return datetime.combine(moment.astimezone(time_zone).date(), time(), time_zone)


def _days_before(midnight: datetime, days: int) -> datetime:
    """Calendar days, so that a day of 23 or 25 hours counts as one."""
    return midnight - timedelta(days=days)
