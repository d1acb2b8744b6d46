"""The circuit of one instance at work: lets requests pass, counts what came of them, for all threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from amci.kernel import log
from amci.kernel.clock import Clock
from amci.kernel.errors import StorageError
from amci.workflows.circuit import Circuit, CircuitOpen, CircuitState, admitted, answered, failed

_log = log.get("circuit")


class Turn:
    """One request's passage; says nothing until it is told what came of it."""

    def __init__(self) -> None:
        self.has_answer: bool | None = None
        self.reason = ""

    def answered(self) -> None:
        """AMC answered, whatever it said."""
        self.has_answer = True

    def failed(self, reason: str) -> None:
        """AMC did not answer, or only that it cannot."""
        self.has_answer, self.reason = False, reason


class Breaker:
    """The circuit of one instance, shared by all threads that talk to it."""

    def __init__(
        self,
        circuit: Circuit,
        clock: Clock,
        *,
        limit: int,
        pause: timedelta,
        on_change: Callable[[Circuit], None],
    ) -> None:
        """`on_change` is told of every change of state; it may raise StorageError."""
        self._circuit = circuit
        self._clock = clock
        self._limit = limit
        self._pause = pause
        self._on_change = on_change
        self._lock = threading.Lock()
        self._is_trying = False

    @property
    def circuit(self) -> Circuit:
        """As it stands."""
        return self._circuit

    @contextmanager
    def turn(self) -> Iterator[Turn]:
        """Let one request pass; raises CircuitOpen where none may."""
        is_trial = self._enter()
        turn = Turn()
        try:
            yield turn
        finally:
            self._leave(turn, is_trial=is_trial)

    def _enter(self) -> bool:
        """Whether this request is the trial of a half-open circuit."""
        with self._lock:
            before, now = self._circuit, self._clock.now()
            after = self._circuit = admitted(before, now)
            if after.state is CircuitState.CLOSED:
                return False
            if after.state is CircuitState.OPEN or self._is_trying:
                # While one request tries, its outcome is what the others wait for.
                wanted = after.retry_at or now
                raise CircuitOpen(after, wanted if wanted > now else now + self._pause)
            self._is_trying = True
        self._tell(before, after)
        return True

    def _leave(self, turn: Turn, *, is_trial: bool) -> None:
        with self._lock:
            before, now = self._circuit, self._clock.now()
            if is_trial:
                self._is_trying = False
            # What was sent before the circuit opened says nothing new about the instance.
            if turn.has_answer is None or (before.state is not CircuitState.CLOSED and not is_trial):
                return
            if turn.has_answer:
                after = answered(before, now)
            else:
                after = failed(before, now, turn.reason, limit=self._limit, pause=self._pause)
            self._circuit = after
        self._tell(before, after)

    def _tell(self, before: Circuit, after: Circuit) -> None:
        """Outside the lock: whoever is told may have to wait for a lock of its own."""
        if before.state is after.state:
            return
        _log.warning("circuit changed", instance_id=after.instance_id, state=after.state, reason=after.reason)
        try:
            self._on_change(after)
        except StorageError as error:
            _log.warning("circuit not written", exc_info=error)
