"""At most so many requests per second to one AMC instance: a bucket of tokens that fills steadily."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

from amci.kernel.clock import Clock

Pause = Callable[[timedelta], object]

#: So many seconds' worth of requests may go out at once after a rest.
_BURST_SECONDS = 2.0


class RateLimiter:
    """Makes each caller wait for its turn; shared by all threads that talk to one instance."""

    def __init__(self, per_second: float, clock: Clock, pause: Pause) -> None:
        """`per_second` 0 means no limit."""
        self._rate = per_second
        # Less than one token could never be spent.
        self._most = max(per_second * _BURST_SECONDS, 1.0)
        self._clock = clock
        self._pause = pause
        self._lock = threading.Lock()
        self._tokens = self._most
        self._filled_at = clock.now()

    def take(self) -> timedelta:
        """Wait until a request may go out; returns for how long."""
        wait = self._reserved()
        if wait:
            self._pause(wait)
        return wait

    def _reserved(self) -> timedelta:
        """Take a token, on credit if there is none, and say when it will have been there."""
        if self._rate <= 0:
            return timedelta()
        with self._lock:
            now = self._clock.now()
            # A clock that was set back fills nothing and takes nothing away.
            passed = max((now - self._filled_at).total_seconds(), 0.0)
            self._filled_at = now
            self._tokens = min(self._tokens + passed * self._rate, self._most) - 1.0
            return timedelta(seconds=max(-self._tokens, 0.0) / self._rate)
