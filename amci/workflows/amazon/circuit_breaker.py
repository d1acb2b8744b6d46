"""A circuit per AMC instance: after failures in a row it rests, instead of asking what does not answer.

| from      | to        | when                                                           |
|-----------|-----------|----------------------------------------------------------------|
| CLOSED    | OPEN      | so many requests in a row had no answer, or an answer of 5xx   |
| OPEN      | HALF_OPEN | the pause is over: one request tries                           |
| HALF_OPEN | CLOSED    | it was answered                                                |
| HALF_OPEN | OPEN      | it was not                                                     |

A request that says nothing about the instance, as one that could not log in, changes nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from amci.kernel import log
from amci.kernel.clock import Clock, moment, timestamp
from amci.kernel.errors import StorageError, Unavailable
from amci.kernel.state import State


class CircuitState(StrEnum):
    """Where a circuit stands."""

    CLOSED = "CLOSED"
    OPEN = "OPEN"
    HALF_OPEN = "HALF_OPEN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Circuit:
    """One instance's circuit."""

    instance_id: str
    state: CircuitState = CircuitState.CLOSED
    failures: int = 0  #: in a row
    opened_at: datetime | None = None
    retry_at: datetime | None = None  #: when one request may try again
    reason: str = ""  #: of the last failure
    changed_at: datetime | None = None  #: when `state` did


class CircuitOpen(Unavailable):
    """The instance is given a rest; nothing was sent."""

    def __init__(self, circuit: Circuit, retry_at: datetime, retry_after: timedelta) -> None:
        super().__init__(
            f"AMC's instance {circuit.instance_id} did not answer {circuit.failures} times in a row;"
            f" next try at {retry_at:%Y-%m-%d %H:%M:%S} UTC ({circuit.reason})",
            hint="amci tries again by itself",
        )
        self.retry_at = retry_at
        self.retry_after = retry_after  #: the same as a pause, which no clock makes longer


def admitted(circuit: Circuit, now: datetime) -> Circuit:
    """The circuit as it is for a request that wants to go out; one that is still OPEN lets none pass."""
    # One that opened in the future was written by a clock that has been set back since.
    is_ahead = circuit.changed_at is not None and circuit.changed_at > now
    is_due = circuit.retry_at is None or now >= circuit.retry_at or is_ahead
    if circuit.state is CircuitState.OPEN and is_due:
        return replace(circuit, state=CircuitState.HALF_OPEN, changed_at=now)
    return circuit


def answered(circuit: Circuit, now: datetime) -> Circuit:
    """After a request that was answered."""
    if circuit.state is CircuitState.CLOSED:
        return replace(circuit, failures=0) if circuit.failures else circuit
    return Circuit(instance_id=circuit.instance_id, changed_at=now)


def failed(circuit: Circuit, now: datetime, reason: str, *, limit: int, pause: timedelta) -> Circuit:
    """After a request that was not answered; `limit` of them in a row open it for `pause`."""
    counted = replace(circuit, failures=circuit.failures + 1, reason=reason)
    if circuit.state is CircuitState.CLOSED and counted.failures < limit:
        return counted
    return replace(
        counted,
        state=CircuitState.OPEN,
        opened_at=circuit.opened_at or now,
        retry_at=now + pause,
        changed_at=now,
    )


def write_circuit(state: State, circuit: Circuit) -> None:
    """Note a circuit for `amci status` and the next process; an older change never replaces a newer one."""
    moments = (circuit.opened_at, circuit.retry_at, circuit.changed_at)
    opened_at, retry_at, changed_at = (timestamp(at) if at else None for at in moments)
    with state.transaction() as db:
        db.execute(
            "INSERT INTO circuits VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (instance_id) DO UPDATE SET state = excluded.state, failures = excluded.failures,"
            " opened_at = excluded.opened_at, retry_at = excluded.retry_at, reason = excluded.reason,"
            " changed_at = excluded.changed_at WHERE excluded.changed_at >= circuits.changed_at",
            (
                circuit.instance_id,
                circuit.state.value,
                circuit.failures,
                opened_at,
                retry_at,
                circuit.reason,
                changed_at,
            ),
        )


def read_circuits(state: State) -> list[Circuit]:
    """The circuits as written last, by instance."""
    return [
        Circuit(
            instance_id=row["instance_id"],
            state=CircuitState(row["state"]),
            failures=row["failures"],
            opened_at=moment(row["opened_at"]) if row["opened_at"] else None,
            retry_at=moment(row["retry_at"]) if row["retry_at"] else None,
            reason=row["reason"],
            changed_at=moment(row["changed_at"]),
        )
        for row in state.read("SELECT * FROM circuits ORDER BY instance_id")
    ]


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


@dataclass(slots=True)
class CircuitBreaker:
    """The circuit of one instance, shared by all threads that talk to it."""

    circuit: Circuit  #: as it stands
    clock: Clock
    limit: int
    pause: timedelta
    on_change: Callable[[Circuit], None]  #: told of every change of state; it may raise StorageError
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _is_trying: bool = field(default=False, init=False)

    @contextmanager
    def turn(self) -> Iterator[Turn]:
        """Let one request pass; raises CircuitOpen if none may."""
        is_trial = self._enter()
        turn = Turn()
        try:
            yield turn
        finally:
            self._leave(turn, is_trial=is_trial)

    def _enter(self) -> bool:
        """Whether this request is the trial of a half-open circuit."""
        with self._lock:
            before, now = self.circuit, self.clock.now()
            after = self.circuit = admitted(before, now)
            if after.state is CircuitState.CLOSED:
                return False
            if after.state is CircuitState.OPEN or self._is_trying:
                # While one request tries, its outcome is what the others wait for.
                wanted = after.retry_at or now
                pause = min(wanted - now, self.pause) if wanted > now else self.pause
                raise CircuitOpen(after, now + pause, pause)
            self._is_trying = True
        self._tell(before, after)
        return True

    def _leave(self, turn: Turn, *, is_trial: bool) -> None:
        with self._lock:
            before, now = self.circuit, self.clock.now()
            if is_trial:
                self._is_trying = False
            # What was sent before the circuit opened says nothing new about the instance.
            if turn.has_answer is None or (before.state is not CircuitState.CLOSED and not is_trial):
                return
            if turn.has_answer:
                after = answered(before, now)
            else:
                after = failed(before, now, turn.reason, limit=self.limit, pause=self.pause)
            self.circuit = after
        self._tell(before, after)

    def _tell(self, before: Circuit, after: Circuit) -> None:
        """Outside the lock: whoever is told may have to wait for a lock of its own."""
        if before.state is after.state:
            return
        _log.warning("circuit changed", instance_id=after.instance_id, state=after.state, reason=after.reason)
        try:
            self.on_change(after)
        except StorageError as error:
            _log.warning("circuit not written", exc_info=error)
