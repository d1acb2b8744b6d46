"""Which fires are due, and which of them get a run; pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
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
_FOR_EVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Timetable:
    """A schedule with its expression and time zone read."""

    schedule: Schedule
    expression: Expression
    zone: ZoneInfo

    @classmethod
    def of(cls, schedule: Schedule) -> Self:
        """Raises UsageError if the expression or the time zone cannot be read."""
        return cls(schedule, parse(schedule.expression, schedule.start_at), time_zone(schedule.time_zone))

    def next_after(self, moment: datetime) -> datetime | None:
        """The first fire strictly later than `moment`, between start and end; None if none is left."""
        return next(self.fires(moment, _FOR_EVER), None)

    def fires(self, since: datetime, until: datetime) -> Iterator[datetime]:
        """All fires with since < fire <= until, between start and end, in order."""
        start, end = self.schedule.start_at, self.schedule.end_at
        since = max(since, start.astimezone(UTC) - _INSTANT) if start else since
        until = min(until, end.astimezone(UTC) - _INSTANT) if end else until
        return self.expression.fires(since, until, self.zone) if self.schedule.is_enabled else iter(())

    def skipped_times(self, since: datetime, until: datetime) -> Iterator[OddTimes]:
        """Local times that it means and that the clocks skipped, with since < change <= until."""
        start, end = self.schedule.start_at, self.schedule.end_at
        if not self.schedule.is_enabled:
            return
        for odd in odd_times(self.expression, since, until, self.zone):
            if odd.is_skipped and (not start or odd.moment >= start) and (not end or odd.moment < end):
                yield odd


@dataclass(frozen=True, slots=True)
class Due:
    """What one look at a schedule found."""

    fires: Sequence[tuple[datetime, Decision]]  #: in order; CREATED or MISSED
    cursor: datetime  #: every fire up to here is decided


def due(timetable: Timetable, cursor: datetime, now: datetime) -> Due:
    """Decide on the fires with cursor < fire <= now.

    A fire more than MISSED_AFTER old was missed; every other is on time and gets its run. Of the missed ones,
    `none` runs none, `last` the newest unless one is on time, `all` each, oldest first.
    If the clock was set back, so that the cursor lies ahead, nothing is due until it is reached again.
    """
    if timetable.schedule.catch_up is CatchUp.ALL:
        found = list(islice(timetable.fires(cursor, now), MOST + 1))
        reached = max(cursor, now) if len(found) <= MOST else found[MOST - 1]
        return Due([(fire, Decision.CREATED) for fire in found[:MOST]], reached)
    fires = deque(timetable.fires(cursor, now), maxlen=MOST)
    wanted = {fire for fire in fires if fire >= now - MISSED_AFTER}
    if timetable.schedule.catch_up is CatchUp.LAST and fires:
        wanted.add(fires[-1])
    decided = [(fire, Decision.CREATED if fire in wanted else Decision.MISSED) for fire in fires]
    return Due(decided, max(cursor, now))
