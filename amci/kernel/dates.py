"""Dynamic dates: `TODAY(-1)` and its kin, turned into the text of a local date when their moment has come."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo, available_timezones

from amci.kernel.errors import UsageError
from amci.kernel.names import suggestion

Form = Literal["datetime", "date"]

_CALL = re.compile(
    r"(TODAY|FIRSTDAYOFOFFSETMONTH|LASTDAYOFOFFSETMONTH|FIFTEENTHDAYOFOFFSETMONTH)\(([^()]*)\)",
    re.IGNORECASE | re.ASCII,
)
_OFFSET = re.compile(r"\s*([+-]?[0-9]{1,9})\s*")
_NOW = "NOW()"
_HINT = "write NOW(), TODAY(), TODAY(-7) or FIRSTDAYOFOFFSETMONTH(-1), with a whole number in the parentheses"


def is_dynamic(text: str) -> bool:
    """Whether the whole of `text`, apart from blanks around it, is a dynamic date.

    Raises UsageError if its offset is not a whole number.
    """
    return _call(text) is not None


def resolved(text: str, at: datetime, zone: ZoneInfo, form: Form = "datetime") -> str:
    """A dynamic date as it stands at `at` (aware) in the calendar of `zone`; any other text as it is.

    `NOW()` is `yyyy-MM-ddTHH:mm:ss`; the others are midnight, `yyyy-MM-ddT00:00:00`, or, with the form `date`,
    `yyyy-MM-dd`. Raises UsageError for an offset that is not a whole number or leads out of the years 1 to 9999.
    """
    call = _call(text)
    if call is None:
        return text
    name, offset = call
    try:
        now = at.astimezone(zone)
        if name == _NOW:
            return now.replace(tzinfo=None).isoformat(timespec="seconds")
        day = _RULES[name](now.date(), offset)
    except (OverflowError, ValueError):
        raise UsageError(f"'{text.strip()}' leads out of the calendar", hint="use a smaller offset") from None
    return day.isoformat() if form == "date" else f"{day.isoformat()}T00:00:00"


def _call(text: str) -> tuple[str, int] | None:
    """Name and offset of a dynamic date; None for any other text."""
    trimmed = text.strip()
    if trimmed.upper() == _NOW:
        return _NOW, 0
    match = _CALL.fullmatch(trimmed)
    if match is None:
        return None
    name, written = match[1].upper(), match[2]
    if name == "TODAY" and not written:
        return name, 0
    offset = _OFFSET.fullmatch(written)
    if offset is None:
        raise UsageError(f"'{trimmed}' has no whole number as its offset", hint=_HINT)
    return name, int(offset[1])


def first_of_month(day: date, months: int = 0) -> date:
    """The first day of the month `months` after that of `day`; ValueError outside the years 1 to 9999."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, 1)


def later_by_months(day: date, months: int) -> date:
    """The same day of another month, or the last one that month has."""
    first = first_of_month(day, months)
    return first.replace(day=min(day.day, _last(first).day))


def _last(day: date) -> date:
    return day.replace(day=monthrange(day.year, day.month)[1])


_RULES: Mapping[str, Callable[[date, int], date]] = {
    "TODAY": lambda day, n: day + timedelta(days=n),
    "FIRSTDAYOFOFFSETMONTH": first_of_month,
    "LASTDAYOFOFFSETMONTH": lambda day, n: _last(first_of_month(day, n)),
    "FIFTEENTHDAYOFOFFSETMONTH": lambda day, n: first_of_month(day, n).replace(day=15),
}


@lru_cache(maxsize=1000)
def time_zone(name: str) -> ZoneInfo:
    """The IANA time zone of this name; raises UsageError with a near match."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise UsageError(f"there is no time zone '{name}'", hint=_zone_hint(name)) from None


#: Cities of abbreviations that people write; the clocks of a city change, those of an abbreviation do not.
_CITIES = {
    **dict.fromkeys(("PDT", "PST", "PT"), "America/Los_Angeles"),
    **dict.fromkeys(("MDT", "MST", "MT"), "America/Denver"),
    **dict.fromkeys(("CDT", "CST", "CT"), "America/Chicago"),
    **dict.fromkeys(("EDT", "EST", "ET"), "America/New_York"),
    **dict.fromkeys(("BST",), "Europe/London"),
    **dict.fromkeys(("CEST", "MESZ", "MEZ"), "Europe/Berlin"),
    **dict.fromkeys(("JST",), "Asia/Tokyo"),
    **dict.fromkeys(("IST",), "Asia/Kolkata"),
    **dict.fromkeys(("AEST", "AEDT"), "Australia/Sydney"),
}
_HOURS_FROM_UTC = re.compile(r"(?:GMT|UTC)?([+-])0?([0-9]|1[0-4])(?::?00)?", re.IGNORECASE | re.ASCII)


def _zone_hint(name: str) -> str:
    if city := _CITIES.get(name.strip().upper()):
        return f"write a city, such as '{city}'"
    if hours := _HOURS_FROM_UTC.fullmatch(name.strip()):
        sign = "-" if hours[1] == "+" else "+"
        return f"write a city, or 'Etc/GMT{sign}{hours[2]}': IANA counts those hours the other way around"
    near = None if re.search("[0-9]", name) else suggestion(name, available_timezones())
    return f"did you mean '{near}'?" if near else "write an IANA name such as 'UTC' or 'Europe/Berlin'"
