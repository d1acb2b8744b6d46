"""Moments as AMC writes them, and as the sandbox stores them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from amci.kernel.errors import AmciError

#: Later than all moments, as they are stored.
NEVER = 2**62
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WRITTEN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z?")
_MICROSECOND = timedelta(microseconds=1)


class BadMoment(AmciError):
    """Text that is no moment AMC takes."""


def micros(moment: datetime) -> int:
    """Microseconds since 1970."""
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
    """`yyyy-MM-ddTHH:mm:ss` as clocks in `time_zone` show it."""
    return f"{from_micros(stored).astimezone(zone(time_zone)):%Y-%m-%dT%H:%M:%S}"


def zone(name: str) -> ZoneInfo:
    """The time zone; raises BadMoment for one that is not known."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, IsADirectoryError) as error:
        raise BadMoment(f"'{name}' is not a time zone") from error


def read(text: str, time_zone: ZoneInfo) -> datetime:
    """A moment from `yyyy-MM-ddTHH:mm:ss`, local to `time_zone`; a trailing `Z` changes nothing.

    AMC's own notebook sends the `Z` with local times (amc-api 2.2). Raises BadMoment.
    """
    if not _WRITTEN.fullmatch(text):
        raise BadMoment(f"'{text}' is not yyyy-MM-ddTHH:mm:ss")
    try:
        return datetime.fromisoformat(text[:19]).replace(tzinfo=time_zone).astimezone(UTC)
    except ValueError as error:
        raise BadMoment(f"'{text}' is not a moment") from error
