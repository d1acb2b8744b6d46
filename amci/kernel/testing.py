"""Helpers for tests, ours and those of people who write transforms: a clock to turn, and fault points to hit."""

from __future__ import annotations

import os
import signal
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

from amci.kernel.clock import SystemClock
from amci.kernel.files import on_fault_point


class FakeClock:
    """A clock that stands still until it is turned; waiting turns it."""

    def __init__(self, start: datetime = datetime(2026, 11, 1, 6, tzinfo=UTC)) -> None:
        self._now = start
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """The moment it shows, aware, in UTC."""
        return self._now

    def turn(self, by: timedelta) -> None:
        """Let time pass."""
        with self._lock:
            self._now += by

    def wait(self, event: threading.Event, pause: timedelta) -> bool:
        """Let `pause` pass at once, unless `event` is set already."""
        if event.is_set():
            return True
        self.turn(pause)
        return event.is_set()


class TurnableClock(SystemClock):
    """The clock of this machine, until it is turned forward."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def now(self) -> datetime:
        """The moment it shows, aware, in UTC."""
        return super().now() + self._ahead

    def turn(self, by: timedelta) -> None:
        """Let so much time have passed."""
        self._ahead += by


def arm(plan: str) -> None:
    """Switch fault points on, as `plan` says.

    `count:FILE` appends their names to a file; `kill:N` kills this process at the Nth, `kill:NAME` at the first of
    that name: SIGKILL, as a power cut or the kernel's memory killer would: nothing is cleaned up.
    """
    verb, _, argument = plan.partition(":")
    lock = threading.Lock()
    seen = 0

    def count(name: str) -> None:
        with lock, Path(argument).open("a", encoding="utf-8") as out:
            out.write(f"{name}\n")

    def kill(name: str) -> None:
        nonlocal seen
        with lock:
            seen += 1
            if argument in (name, str(seen)):
                os.kill(os.getpid(), signal.SIGKILL)

    on_fault_point({"count": count, "kill": kill}[verb])
