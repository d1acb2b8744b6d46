"""Which days of a month a cron expression means."""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass

_SATURDAY, _SUNDAY = 5, 6  # Monday is 0, as in Python


@dataclass(frozen=True, slots=True)
class OfMonth:
    """Days by their number; a month without that day has none."""

    days: tuple[int, ...]

    def days_in(self, year: int, month: int) -> set[int]:
        """The days meant in this month."""
        _, length = monthrange(year, month)
        return {day for day in self.days if day <= length}


@dataclass(frozen=True, slots=True)
class OfWeek:
    """Days by their weekday."""

    weekdays: tuple[int, ...]  #: Monday is 0

    def days_in(self, year: int, month: int) -> set[int]:
        """The days meant in this month."""
        first, length = monthrange(year, month)
        return {day for on in self.weekdays for day in range(1 + (on - first) % 7, length + 1, 7)}


@dataclass(frozen=True, slots=True)
class Last:
    """The last day of the month (`L`), or its last Monday to Friday (`LW`)."""

    is_weekday: bool = False

    def days_in(self, year: int, month: int) -> set[int]:
        """The day meant in this month."""
        first, length = monthrange(year, month)
        weekday = (first + length - 1) % 7
        return {length - max(weekday - _SATURDAY + 1, 0) if self.is_weekday else length}


@dataclass(frozen=True, slots=True)
class Nearest:
    """The Monday to Friday nearest to a day, in the same month (`15W`); a month without that day has none."""

    day: int

    def days_in(self, year: int, month: int) -> set[int]:
        """The day meant in this month, if any."""
        first, length = monthrange(year, month)
        if self.day > length:
            return set()
        weekday = (first + self.day - 1) % 7
        if weekday == _SATURDAY:
            return {self.day - 1 if self.day > 1 else self.day + 2}
        if weekday == _SUNDAY:
            return {self.day + 1 if self.day < length else self.day - 2}
        return {self.day}


@dataclass(frozen=True, slots=True)
class Nth:
    """The nth of a weekday in the month (`5#2`), or the last one (`5L`)."""

    weekday: int  #: Monday is 0
    n: int  #: 1 to 5, or -1 for the last; a month without a fifth one has none

    def days_in(self, year: int, month: int) -> set[int]:
        """The day meant in this month, if any."""
        found = sorted(OfWeek((self.weekday,)).days_in(year, month))
        return {found[-1]} if self.n < 0 else set(found[self.n - 1 : self.n])


DayRule = OfMonth | OfWeek | Last | Nearest | Nth
