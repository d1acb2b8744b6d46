"""The only place that asks what time it is, makes ids, or waits; and how durations are written."""

from __future__ import annotations

import functools
import re
import threading
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Protocol

from amci.kernel.environment import environment
from amci.kernel.errors import UsageError

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?")
_UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Clock(Protocol):
    """Where moments come from; handed in, so that tests need not wait."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        ...

    def wait(self, event: threading.Event, pause: timedelta) -> bool:
        """Wait until `event` is set or `pause` has passed; True if it was set."""
        ...


@functools.cache
def _offset() -> timedelta:
    return clock_offset(environment())


class SystemClock:
    """The clock of this machine, shifted by AMCI_CLOCK_OFFSET if that is set."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC. Raises UsageError if AMCI_CLOCK_OFFSET is not a duration."""
        return datetime.now(UTC) + _offset()

    def wait(self, event: threading.Event, pause: timedelta) -> bool:
        """Wait until `event` is set or `pause` has passed; True if it was set."""
        return event.wait(pause.total_seconds())


def timestamp(moment: datetime) -> str:
    """ISO 8601 in UTC with microseconds and `Z`; sorts as text the way moments sort."""
    return f"{moment.astimezone(UTC).isoformat(timespec='microseconds')[:26]}Z"


def moment(text: str) -> datetime:
    """Inverse of `timestamp`; also takes any ISO 8601 text, UTC if it has no zone."""
    parsed = datetime.fromisoformat(text)
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def duration(text: str) -> timedelta:
    """A duration as people write it: `500ms`, `2s`, `5m`, `1h`, `30d`; a bare number is seconds. Raises UsageError."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"'{text}' is not a duration", hint="write 500ms, 2s, 5m, 1h or 30d")
    try:
        return timedelta(**{_UNITS[match[2] or "s"]: float(match[1])})
    except OverflowError:
        raise UsageError(f"'{text}' is too long a duration", hint="write 500ms, 2s, 5m, 1h or 30d") from None


def spelled(length: timedelta) -> str:
    """A duration for people: `25 s`, `90 min`, `2 h`, `3 d`; in the largest unit that needs no fraction."""
    seconds = length.total_seconds()
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size and not seconds % size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:g} s"


def clock_offset(environ: Mapping[str, str]) -> timedelta:
    """`AMCI_CLOCK_OFFSET`, such as `12h` or `-30d`; zero if it is not set. Raises UsageError."""
    text = environ.get("AMCI_CLOCK_OFFSET", "")
    return -duration(text[1:]) if text.startswith("-") else duration(text or "0s")


def stopwatch() -> float:
    """Seconds on a clock that never goes back; only differences mean anything."""
    return time.perf_counter()


def pause(seconds: float) -> None:
    """Do nothing for a moment."""
    time.sleep(seconds)


def new_id() -> str:
    """A fresh random id, 32 hex digits."""
    return uuid.uuid4().hex
