"""Times as AMC writes them, and as the sandbox stores them: in microseconds since 1970."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from amci.kernel.errors import AmciError

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
