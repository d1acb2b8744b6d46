"""Cron fields: EventBridge's six and Unix's five, read into the labels (local minutes) they match."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from amci.kernel.errors import UsageError
from amci.scheduler.days import DayRule, Last, Nearest, Nth, OfMonth, OfWeek

FIRST_YEAR, LAST_YEAR = 1970, 2199  # EventBridge's years

_MINUTE = timedelta(minutes=1)
_MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
_WEEKDAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
_ITEM = re.compile(r"(?P<first>\*|\w+)(?:-(?P<last>\w+))?(?:/(?P<step>[0-9]+))?", re.ASCII)
_NTH = re.compile(r"(?P<day>\w+)#(?P<n>[0-9]+)", re.ASCII)

_HINTS = {
    6: "EventBridge writes cron(minute hour day-of-month month day-of-week year),"
    " such as cron(0 9 ? * MON-FRI *)",
    5: "Unix cron writes: minute hour day-of-month month day-of-week, such as 0 9 * * 1-5; ? L W # belong into cron(…)",
}


@dataclass(frozen=True, slots=True)
class Cron:
    """The labels an expression matches: every combination of these minutes, hours, days, months and years."""

    minutes: tuple[int, ...]  #: ascending, as all of these
    hours: tuple[int, ...]
    days: tuple[DayRule, ...]  #: a day counts if one of them means it
    months: tuple[int, ...] = tuple(range(1, 13))
    years: tuple[int, ...] = tuple(range(FIRST_YEAR, LAST_YEAR + 1))

    def labels(self, after: datetime) -> Iterator[datetime]:
        """The matching minutes later than `after` (all naive), in order, up to the last year."""
        label = self.next_label(after)
        while label is not None:
            yield label
            label = self.next_label(label)

    def next_label(self, after: datetime) -> datetime | None:
        """The first matching minute later than `after` (naive); None if none is left."""
        since = after.replace(second=0, microsecond=0) + _MINUTE
        for day in self._dates(since.year, since.month, since.day):
            is_first = day.day == since.day and day.month == since.month and day.year == since.year
            if not is_first:
                return day.replace(hour=self.hours[0], minute=self.minutes[0])
            hour = bisect_left(self.hours, since.hour)
            if hour < len(self.hours) and self.hours[hour] == since.hour:
                minute = bisect_left(self.minutes, since.minute)
                if minute < len(self.minutes):
                    return since.replace(minute=self.minutes[minute])
                hour += 1
            if hour < len(self.hours):
                return since.replace(hour=self.hours[hour], minute=self.minutes[0])
        return None

    def _dates(self, first_year: int, first_month: int, first_day: int) -> Iterator[datetime]:
        """Matching dates from this one on, at midnight."""
        for position in range(bisect_left(self.years, first_year), len(self.years)):
            year = self.years[position]
            months = (
                self.months[bisect_left(self.months, first_month) :] if year == first_year else self.months
            )
            for month in months:
                is_first = month == first_month and year == first_year
                days = _days(self.days, year, month)
                for day in days[bisect_left(days, first_day) :] if is_first else days:
                    yield datetime(year, month, day)  # noqa: DTZ001 - a label has no zone


@lru_cache(maxsize=256)  # the next fire is mostly in the month of the one before
def _days(rules: tuple[DayRule, ...], year: int, month: int) -> Sequence[int]:
    """The days of a month that one of the rules means, ascending."""
    return sorted({day for rule in rules for day in rule.days_in(year, month)})


@dataclass(frozen=True, slots=True)
class _Field:
    """What may stand in one place of a cron expression."""

    name: str
    low: int
    high: int
    size: int  #: how many different values there are; Unix has two numbers for Sunday
    names: Mapping[str, int]
    hint: str

    def values(self, text: str) -> tuple[int, ...]:
        """The numbers that a comma-separated list of values, ranges and steps means."""
        return tuple(sorted({value for item in text.split(",") for value in self._item(item)}))

    def _item(self, item: str) -> Sequence[int]:
        match = _ITEM.fullmatch(item)
        if match is None or (match["first"] == "*" and match["last"]):
            raise self.mistake(item, "cannot be read")
        step = int(match["step"] or 1)
        if not 1 <= step <= self.high:
            raise self.mistake(item, f"should have a step from 1 to {self.high}")
        stop = self.low + self.size
        if match["first"] == "*":
            return range(self.low, stop, step)
        first = self.value(match["first"], item)
        if match["last"] is None:
            return range(first, max(stop, first + 1), step) if match["step"] else (first,)
        last = self.value(match["last"], item)
        if last >= first:
            return range(first, last + 1, step)
        if self.low >= FIRST_YEAR:
            raise self.mistake(item, "ends before it begins")
        # FRI-MON and 22-2 go round the end of the week or the day.
        return [self.low + (n - self.low) % self.size for n in range(first, last + self.size + 1, step)]

    def value(self, text: str, item: str) -> int:
        """One number or name."""
        if text in self.names:
            return self.names[text]
        if not text.isdecimal() or not text.isascii():
            raise self.mistake(item, "cannot be read")
        if not self.low <= int(text) <= self.high:
            raise self.mistake(item, f"should be from {self.low} to {self.high}")
        return int(text)

    def mistake(self, item: str, says: str) -> UsageError:
        """What is wrong with one item of this field."""
        shown = f"'{item[:40]}' " if item else "an empty value "
        return UsageError(f"{self.name}: {shown}{says}", hint=self.hint)


def _fields(count: int) -> list[_Field]:
    """The places of an expression of six (EventBridge) or five (Unix) fields."""
    is_eventbridge = count == 6  # noqa: PLR2004 - the two forms have six and five
    sunday, hint = (1 if is_eventbridge else 0), _HINTS[count]
    years = _Field("year", FIRST_YEAR, LAST_YEAR, LAST_YEAR - FIRST_YEAR + 1, {}, hint)
    return [
        _Field("minute", 0, 59, 60, {}, hint),
        _Field("hour", 0, 23, 24, {}, hint),
        _Field("day-of-month", 1, 31, 31, {}, hint),
        _Field("month", 1, 12, 12, {name: n for n, name in enumerate(_MONTHS, 1)}, hint),
        _Field("day-of-week", sunday, 7, 7, {name: n for n, name in enumerate(_WEEKDAYS, sunday)}, hint),
        *([years] if is_eventbridge else []),
    ]


_EVENTBRIDGE, _UNIX = _fields(6), _fields(5)


def eventbridge(texts: Sequence[str]) -> Cron:
    """The six fields of `cron(…)`, in upper case, as EventBridge reads them: 1 is Sunday, one `?` is a must.

    Raises UsageError that names the field at fault.
    """
    if len(texts) != len(_EVENTBRIDGE):
        raise UsageError(
            f"cron(…) has {len(texts)} fields instead of six",
            hint=_HINTS[6] + "; Unix cron, with five fields, stands without cron(…)",
        )
    minute, hour, of_month, month, of_week, year = texts
    if (of_month == "?") == (of_week == "?"):
        raise UsageError(
            "day-of-month and day-of-week: exactly one of the two should be ?",
            hint="write ? for the one that does not matter, such as cron(0 9 * * ? *) or cron(0 9 ? * MON *)",
        )
    return Cron(
        _EVENTBRIDGE[0].values(minute),
        _EVENTBRIDGE[1].values(hour),
        tuple(
            _month_days(_EVENTBRIDGE[2], of_month) if of_week == "?" else _week_days(_EVENTBRIDGE[4], of_week)
        ),
        _EVENTBRIDGE[3].values(month),
        _EVENTBRIDGE[5].values(year),
    )


def unix(texts: Sequence[str]) -> Cron:
    """Five fields, in upper case, as Unix cron reads them: 0 and 7 are Sunday; a day of both kinds may be either.

    Raises UsageError that names the field at fault.
    """
    if len(texts) != len(_UNIX):
        raise UsageError(
            f"a schedule expression cannot have {len(texts)} fields",
            hint="write five fields (Unix cron), cron(…) with six (EventBridge), rate(…) or at(…)",
        )
    minute, hour, month_days, month, week_days = (
        field.values(text) for field, text in zip(_UNIX, texts, strict=True)
    )
    of_month, of_week = OfMonth(month_days), OfWeek(tuple(sorted({(day - 1) % 7 for day in week_days})))
    given = [rule for rule, text in ((of_month, texts[2]), (of_week, texts[4])) if text not in ("*", "*/1")]
    return Cron(minute, hour, tuple(given or [of_month]), month)


def _month_days(field: _Field, text: str) -> Iterator[DayRule]:
    """Rules for a day-of-month of EventBridge: numbers, `L`, `LW`, `15W`."""
    for item in text.split(","):
        if item in ("L", "LW"):
            yield Last(is_weekday=item == "LW")
        elif item.endswith("W"):
            yield Nearest(field.value(item.removesuffix("W"), item))
        else:
            yield OfMonth(field.values(item))


def _week_days(field: _Field, text: str) -> Iterator[DayRule]:
    """Rules for a day-of-week of EventBridge: numbers, names, `L` (Saturday), `5L`, and `5#2` alone."""
    for item in text.split(","):
        if match := _NTH.fullmatch(item):
            if item != text:
                raise field.mistake(text, "should have nothing beside the #")
            yield Nth(_weekday(field.value(match["day"], item)), _nth(field, match["n"], item))
        elif item.endswith("L") and item != "L":
            yield Nth(_weekday(field.value(item.removesuffix("L"), item)), -1)
        else:
            days = (field.high,) if item == "L" else field.values(item)
            yield OfWeek(tuple(sorted(map(_weekday, days))))


def _weekday(day: int) -> int:
    """EventBridge's 1 is Sunday; Python's 0 is Monday."""
    return (day - 2) % 7


def _nth(field: _Field, text: str, item: str) -> int:
    n = int(text)
    if not 1 <= n <= 5:  # noqa: PLR2004 - no month has a sixth
        raise field.mistake(item, "should have 1 to 5 after the #")
    return n
