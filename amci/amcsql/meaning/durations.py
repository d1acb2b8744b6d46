"""ISO 8601 durations, as EXTEND_TIME_WINDOW takes them (amc-api 3.2)."""

from __future__ import annotations

import re
from datetime import timedelta

_DURATION = re.compile(
    r"P(?:(?P<years>\d+)Y)?(?:(?P<months>\d+)M)?(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+)S)?)?"
)


def duration(text: str) -> timedelta | None:
    """The duration, or None where the text is none; a month counts 30 days, a year 365."""
    found = _DURATION.fullmatch(text)
    if not found or not any(found.groupdict().values()):
        return None
    given = {unit: int(count or 0) for unit, count in found.groupdict().items()}
    days = given["years"] * 365 + given["months"] * 30 + given["weeks"] * 7 + given["days"]
    return timedelta(days=days, hours=given["hours"], minutes=given["minutes"], seconds=given["seconds"])
