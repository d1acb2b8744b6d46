"""Retry policy of requests: how many attempts, and how long to wait between them."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from amci.kernel import log
from amci.kernel.errors import RemoteError, Throttled, Unavailable
from amci.workflows.amazon.answers import NotNow
from amci.workflows.amazon.circuit_breaker import CircuitOpen
from amci.workflows.amazon.rate_limiter import Pause

Value = TypeVar("Value")

_FIRST_PAUSE = timedelta(milliseconds=500)
_LONGEST_PAUSE = timedelta(seconds=10)

_log = log.get("amc")


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRetry:
    """How often a request is repeated, and for how long in all: a worker holds a run meanwhile."""

    attempts: int  #: the first one included
    pauses: timedelta  #: all pauses together; if Amazon asks for more, the caller gets the error at once
    pause: Pause
    chance: Callable[[], float] = random.random  #: the jitter, from 0 to 1

    def call(self, once: Callable[[], Value]) -> Value:
        """What `once` returns the first time it does; its last Throttled or Unavailable if it never does.

        CircuitOpen is not worth a second try: it says itself when the next one is.
        """
        waited, attempt = timedelta(), 1
        while True:
            try:
                return once()
            except CircuitOpen:
                raise
            except (Throttled, Unavailable) as error:
                pause = self._before_next(attempt, error)
                if attempt >= self.attempts or waited + pause > self.pauses:
                    raise
                _log.info("request repeated", attempt=attempt, says=str(error))
            self.pause(pause)
            waited, attempt = waited + pause, attempt + 1

    def _before_next(self, attempt: int, error: RemoteError) -> timedelta:
        """As Amazon asked, else growing, with full jitter."""
        if isinstance(error, Throttled | NotNow) and error.retry_after is not None:
            return error.retry_after
        grown: timedelta = _FIRST_PAUSE * 2 ** (attempt - 1)
        return min(grown, _LONGEST_PAUSE) * self.chance()
