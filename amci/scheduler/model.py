"""Schedules and fires: when something is done, what is done, and what became of each moment that came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any


class CatchUp(StrEnum):
    """What happens to fires that came due while amci was not running."""

    NONE = "none"
    LAST = "last"
    ALL = "all"


class Overlap(StrEnum):
    """What a fire does while an earlier one's run has not ended."""

    QUEUE = "queue"
    SKIP = "skip"
    ALLOW = "allow"


class Decision(StrEnum):
    """What became of a fire."""

    CREATED = "created"  #: its run was created
    SKIPPED_OVERLAP = "skipped_overlap"  #: an earlier run of the schedule had not ended
    MISSED = "missed"  #: amci was not running, and `catch_up` asks for no run
    BY_HAND = "by_hand"  #: a person asked for it
    NO_SUCH_TIME = "no_such_time"  #: the clocks of its zone skipped it; `fire_time` is when they did


@dataclass(frozen=True, slots=True, kw_only=True)
class FireRun:
    """The run a fire creates, apart from its key, its moment and its lock."""

    kind: str
    payload: Mapping[str, Any] = field(
        default_factory=dict
    )  #: JSON values; dates in it stay text until the run
    tenant_id: str | None = None
    pool: str = ""
    batch_key: str = ""
    priority: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A schedule of one tenant, or of none; templates are spread out before."""

    schedule_id: str  #: unique; a template's is `<schedule>/<tenant>`
    expression: str  #: as written
    time_zone: str = "UTC"
    run: FireRun
    catch_up: CatchUp = CatchUp.LAST
    overlap: Overlap = Overlap.QUEUE
    start_at: datetime | None = None  #: aware; no fire before
    end_at: datetime | None = None  #: aware; no fire at or after
    jitter: timedelta = timedelta(0)  #: each fire's run waits for up to so long, by a hash of its key
    is_enabled: bool = True
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fire:
    """A moment of a schedule that came, and what became of it."""

    schedule_id: str
    fire_time: datetime  #: aware, UTC
    decision: Decision
    idempotency_key: str | None  #: of its run; None if it got none
