"""Which fires are due, and which of them get a run; pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self
from zoneinfo import ZoneInfo

from amci.kernel.dates import time_zone
from amci.scheduler.clock_changes import OddTimes, odd_times
from amci.scheduler.expression import Expression, parse
from amci.scheduler.model import CatchUp, Decision, Schedule

#: A fire seen later than this was missed: amci was not running when it came.
MISSED_AFTER = timedelta(minutes=2)
#: Fires of one schedule that one look decides on. With `catch_up: all` the rest follows at the next look;
#: else, of more missed fires than that, the newest are written down.
MOST = 1_000

_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, eq=False)
class Timetable:
    """When schedules fire, with their expression and time zone read; compared and hashed by identity."""

    expression: Expression
    zone: ZoneInfo
    start_at: datetime | None  #: aware; no fire before
    end_at: datetime | None  #: aware; no fire at or after
    catch_up: CatchUp
    is_enabled: bool

    @classmethod
    def of(cls, schedule: Schedule) -> Self:
        """Raises UsageError if the expression or the time zone cannot be read."""
        return cls(
            parse(schedule.expression, schedule.start_at),
            time_zone(schedule.time_zone),
            schedule.start_at,
            schedule.end_at,
            schedule.catch_up,
            schedule.is_enabled,
        )

    @classmethod
    def shared(cls, schedules: Mapping[str, Schedule]) -> dict[str, Self]:
        """The timetable of each schedule; those with the same settings share one. Raises what `of` does."""
        by_settings: dict[tuple[object, ...], Self] = {}
        timetables = {}
        for schedule_id, schedule in schedules.items():
            settings = (
                *(schedule.expression, schedule.time_zone, schedule.start_at, schedule.end_at),
                *(schedule.catch_up, schedule.is_enabled),
            )
            if settings not in by_settings:
                by_settings[settings] = cls.of(schedule)
            timetables[schedule_id] = by_settings[settings]
        return timetables

    def next_after(self, moment: datetime) -> datetime | None:
        """The first fire strictly later than `moment`, between start and end; None if none is left."""
        if not self.is_enabled:
            return None
        start = self.start_at
        since = max(moment, start.astimezone(UTC) - _INSTANT) if start else moment
        fire = self.expression.next_after(since, self.zone)
        return None if fire is None or (self.end_at and fire >= self.end_at) else fire

    def fires(self, since: datetime) -> Iterator[datetime]:
        """All fires later than `since`, between start and end, in order."""
        fire = self.next_after(since)
        while fire is not None:
            yield fire
            fire = self.next_after(fire)

    def skipped_times(self, since: datetime, until: datetime) -> Iterator[OddTimes]:
        """Local times that it means and that the clocks skipped, with since < change <= until."""
        start, end = self.start_at, self.end_at
        if not self.is_enabled:
            return
        for odd in odd_times(self.expression, since, until, self.zone):
            if odd.is_skipped and (not start or odd.moment >= start) and (not end or odd.moment < end):
                yield odd


@dataclass(frozen=True, slots=True)
class Due:
    """What one look at a schedule found."""

    fires: Sequence[tuple[datetime, Decision]]  #: in order; CREATED or MISSED
    cursor: datetime  #: every fire up to here is decided
    next_fire: datetime | None  #: the first one later than that; None if none is left


def due(timetable: Timetable, cursor: datetime, now: datetime, first: datetime | None = None) -> Due:
    """Decide on the fires with cursor < fire <= now; `first` is the first one, if that is known.

    A fire more than MISSED_AFTER old was missed; every other is on time and gets its run. Of the missed ones,
    `none` runs none, `last` the newest unless one is on time, `all` each, oldest first.
    If the clock was set back, so that the cursor lies ahead, nothing is due until it is reached again.
    """
    runs_all = timetable.catch_up is CatchUp.ALL
    fires: deque[datetime] = deque(maxlen=MOST)
    next_fire = first or timetable.next_after(cursor)
    while next_fire is not None and next_fire <= now and not (runs_all and len(fires) == MOST):
        fires.append(next_fire)
        next_fire = timetable.next_after(next_fire)
    if runs_all:
        has_more = next_fire is not None and next_fire <= now
        reached = fires[-1] if has_more else max(cursor, now)
        return Due([(fire, Decision.CREATED) for fire in fires], reached, next_fire)
    wanted = {fire for fire in fires if fire >= now - MISSED_AFTER}
    if timetable.catch_up is CatchUp.LAST and fires:
        wanted.add(fires[-1])
    decided = [(fire, Decision.CREATED if fire in wanted else Decision.MISSED) for fire in fires]
    return Due(decided, max(cursor, now), next_fire)
