"""What a run is: its values, the outcomes a handler may give it, and when it is retried."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Self

from amci.kernel.clock import moment
from amci.kernel.errors import AmciError
from amci.kernel.packing import unpacked


class RunStatus(StrEnum):
    """The status of a run. Never mixed with AMC's word for an execution."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    SKIPPED = "SKIPPED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def is_final(self) -> bool:
        """Whether only a person moves it on from here."""
        return self not in _MOVING


_MOVING = {RunStatus.PENDING, RunStatus.RUNNING}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """A run to be created; a successor inherits tenant and correlation id if it has none of its own."""

    idempotency_key: str  #: unique for good; a second run with the same key is not created
    kind: str
    payload: Mapping[str, Any] = field(default_factory=dict)  #: JSON values only
    tenant_id: str | None = None
    priority: int = 0  #: higher goes first
    pool: str = ""  #: whose slots it takes from its claim on; empty means unbounded
    lock_key: str | None = None  #: runs with the same one go one after another, in order of creation
    batch_key: str = ""  #: runs of one kind and batch_key may be claimed together
    correlation_id: str | None = None  #: of the fire or file it all began with; its own key if empty
    run_after: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run as it stands in the store."""

    run_id: int
    idempotency_key: str
    kind: str
    status: RunStatus
    payload: Mapping[str, Any]
    result: Mapping[str, Any] | None
    reason: str | None
    tenant_id: str | None
    priority: int
    pool: str
    lock_key: str | None
    batch_key: str
    correlation_id: str
    parent_run_id: int | None
    attempts: int  #: tries that failed; a snooze is none
    claims: int  #: the fence: a worker may finish only its own claim
    expiries: int  #: leases that ran out
    worker: str | None
    lease_until: datetime | None
    run_after: datetime
    created_at: datetime
    changed_at: datetime

    @classmethod
    def of(cls, row: sqlite3.Row) -> Self:
        """A row of `runs`."""
        values: dict[str, Any] = {name: row[name] for name in cls.__slots__}
        values["status"] = RunStatus(values["status"])
        values["payload"] = unpacked(json.loads(values["payload"]))
        values["result"] = json.loads(values["result"]) if values["result"] else None
        values["lease_until"] = moment(values["lease_until"]) if values["lease_until"] else None
        for name in ("run_after", "created_at", "changed_at"):
            values[name] = moment(values[name])
        return cls(**values)


Runs = list[Run]


@dataclass(frozen=True, slots=True)
class Done:
    """It worked; `then` are the runs that follow from it."""

    result: Mapping[str, Any] = field(default_factory=dict)  #: JSON values only
    then: Sequence[NewRun] = ()


@dataclass(frozen=True, slots=True)
class Skipped:
    """There was nothing to do."""

    reason: str


@dataclass(frozen=True, slots=True)
class Snooze:
    """Look again later; this does not count as a failure."""

    until: datetime
    reason: str
    keeps_slot: bool = False  #: of its pool, as while an execution runs in AMC
    asked_at: datetime | None = (
        None  #: what `until` was counted from; a clock set back since makes it no longer
    )


@dataclass(frozen=True, slots=True)
class Failed:
    """It did not work; retried if the error is retryable, and until then it keeps its slot."""

    error: Exception
    result: Mapping[str, Any] | None = None  #: what is known all the same; JSON values only


Outcome = Done | Skipped | Snooze | Failed


@dataclass(frozen=True, slots=True)
class Finished:
    """What `finish` did."""

    runs: Runs  #: as they stand now
    lost: Runs  #: as claimed; another worker or a person has taken them over, and nothing was changed


@dataclass(frozen=True, slots=True)
class Event:
    """One move of a run."""

    event: str
    reason: str | None
    worker: str | None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When to retry, in the words of Step Functions, with full jitter."""

    interval: timedelta = timedelta(seconds=5)
    backoff_rate: float = 2.0
    max_delay: timedelta = timedelta(minutes=15)
    max_attempts: int = 5  #: tries in all

    def delay(self, attempts: int, chance: Callable[[], float]) -> timedelta:
        """How long to wait after `attempts` failed tries; `chance` gives numbers from 0 to 1."""
        longest = self.max_delay.total_seconds()
        # Beyond 2**32 intervals the longest delay has long been reached, and floats would overflow.
        wished = self.interval.total_seconds() * self.backoff_rate ** min(attempts - 1, 32)
        return timedelta(seconds=chance() * min(wished, longest))


def reason_for(error: Exception) -> str:
    """One line for people. The text of a foreign error may hold row values, so only its class is named."""
    if isinstance(error, AmciError):
        return " ".join(f"{error} ({error.hint})".split() if error.hint else str(error).split())
    return f"unexpected {type(error).__name__}; the log says where"
