"""Local times that the clocks of a zone skip or show twice, as far as a schedule means them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import takewhile
from zoneinfo import ZoneInfo

from amci.scheduler.expression import Expression

#: As far as people are told beforehand.
A_YEAR = timedelta(days=366)
_MINUTE, _DAY = timedelta(minutes=1), timedelta(days=1)


@dataclass(frozen=True, slots=True)
class OddTimes:
    """The labels of an expression around one change of the clocks."""

    moment: datetime  #: of the change, in UTC
    first: datetime  #: naive
    count: int
    is_skipped: bool  #: they do not exist; else they come twice, and fire the first time
    zone: str

    def says(self) -> str:
        """In one sentence."""
        which = f"{self.first:%Y-%m-%d %H:%M}" + (f" and {self.count - 1} more" if self.count > 1 else "")
        if self.is_skipped:
            return f"{which} {'do' if self.count > 1 else 'does'} not exist in {self.zone}: no fire"
        come, fire = ("come", "they fire") if self.count > 1 else ("comes", "it fires")
        return f"{which} {come} twice in {self.zone}: {fire} the first time"


def odd_times(expression: Expression, since: datetime, until: datetime, zone: ZoneInfo) -> Iterator[OddTimes]:
    """Those around the changes of the clocks between two moments (aware), in order."""
    for moment in _changes(since, until, zone):
        before = (moment - _MINUTE).astimezone(zone).replace(tzinfo=None) + _MINUTE
        after = moment.astimezone(zone).replace(tzinfo=None)
        first, end = sorted((before, after))
        labels = list(takewhile(lambda label: label < end, expression.labels(first - _MINUTE)))  # noqa: B023 - used up here
        if labels:
            yield OddTimes(moment, labels[0], len(labels), is_skipped=before < after, zone=zone.key)


def has_changes(since: datetime, until: datetime, zone: ZoneInfo) -> bool:
    """Whether the clocks are set otherwise between two moments (aware)."""
    return any(True for _ in _changes(since, until, zone))


def _changes(since: datetime, until: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    """The moments, to the minute and in UTC, from which the clocks are set otherwise."""
    first = since.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    found = _changes_from(first, (until - first) // _DAY + 1, zone)
    return (moment for moment in found if since < moment <= until)


@lru_cache(maxsize=64)  # many schedules are of one zone
def _changes_from(first: datetime, days: int, zone: ZoneInfo) -> tuple[datetime, ...]:
    found = []
    for number in range(days):
        before, after = first + number * _DAY, first + (number + 1) * _DAY
        if _offset(before, zone) != _offset(after, zone):
            while after - before > _MINUTE:
                middle = before + (after - before) // 2 // _MINUTE * _MINUTE
                before, after = (
                    (middle, after) if _offset(middle, zone) == _offset(before, zone) else (before, middle)
                )
            found.append(after)
    return tuple(found)


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta | None:
    return moment.astimezone(zone).utcoffset()
