"""Time windows: dates made concrete, checked, turned into UTC, and cut into pieces for a backfill."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from typing import NamedTuple
from zoneinfo import ZoneInfo

from amci.kernel import dates
from amci.kernel.errors import UsageError
from amci.workflows.amc.model import TimeWindow, WindowType

#: AMC's data are complete two days after the event; relative windows end there (amc-api 2.2).
FRESHNESS = timedelta(hours=48)

#: AMC keeps events for so many months; only a few tables go further back (amc-api 1.6).
KEPT_MONTHS = 13

_LOCAL = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}:\d{2}(?:\.0+)?(?P<utc>Z)?)?", re.ASCII)
_STEP = re.compile(r"([1-9][0-9]{0,3})(mo|w|d)")
_FORMS = "write yyyy-MM-ddTHH:mm:ss, yyyy-MM-dd, or a dynamic date such as TODAY(-7)"


def resolve(window: TimeWindow, at: datetime) -> TimeWindow:
    """The window with its dynamic dates as of `at` and its texts as AMC wants them: `yyyy-MM-ddTHH:mm:ss`, local.

    A date alone is its midnight; a trailing `Z` says UTC and is converted. A relative window stays relative: AMC
    resolves it. Raises UsageError for a window that makes no sense, a date or a time zone that does not exist.
    """
    zone = _checked_zone(window)
    if not window.start or not window.end:
        return replace(window, start=None, end=None)
    start, end = (_concrete(dates.resolved(text, at, zone), zone) for text in (window.start, window.end))
    _check_order(start, end)
    return replace(window, start=_text(start), end=_text(end))


def check(window: TimeWindow) -> None:
    """Raise UsageError for what is wrong with a window at any time: what its dynamic dates will be is left open."""
    zone = _checked_zone(window)
    texts = [text for text in (window.start, window.end) if text and not dates.is_dynamic(text)]
    concrete = [_concrete(text, zone) for text in texts]
    if len(concrete) == 2:  # noqa: PLR2004 - start and end
        _check_order(*concrete)


def _checked_zone(window: TimeWindow) -> ZoneInfo:
    zone = dates.time_zone(window.time_zone)
    if window.type is WindowType.EXPLICIT and not (window.start and window.end):
        raise UsageError("a time window EXPLICIT needs a start and an end", hint=_FORMS)
    if window.type is not WindowType.EXPLICIT and (window.start or window.end):
        raise UsageError(
            f"a time window {window.type} has no start and no end", hint="leave them out, or use EXPLICIT"
        )
    return zone


def _check_order(start: datetime, end: datetime) -> None:
    if start >= end:
        raise UsageError(
            f"the time window starts at {start.isoformat()} and ends at {end.isoformat()}",
            hint="the end is exclusive and has to come after the start",
        )


def sliding(
    start: str, end: str, length: str, step: str, zone: str, *, is_partial_kept: bool = False
) -> Iterator[TimeWindow]:
    """Windows of `length` that begin every `step` from `start` to `end`: `1d`, `2w`, `1mo`.

    If both are the same, the windows follow one another; else they may overlap or leave gaps. `start` and `end`
    are concrete texts, local to `zone`. Months are counted from `start`, so the 31st comes back after February.
    `is_partial_kept`: also the last one if less than a length is left, cut at `end`. Raises UsageError.
    """
    zone_info = dates.time_zone(zone)
    first, last = _concrete(start, zone_info), _concrete(end, zone_info)
    _check_order(first, last)
    return _cut(first, last, _step(length), _step(step), zone, is_partial_kept=is_partial_kept)


def cut_off(start: str, end: str, length: str, step: str, zone: str) -> TimeWindow | None:
    """What `sliding` leaves out at the end because less than a length is left of it; None if nothing is.

    Not what an earlier window covers, and not the gaps between windows that are shorter than a step.
    """
    zone_info = dates.time_zone(zone)
    first, last = _concrete(start, zone_info), _concrete(end, zone_info)
    windows = list(sliding(start, end, length, step, zone))
    begins = _step(step).after(first, len(windows))
    if windows and windows[-1].end:
        begins = max(begins, datetime.fromisoformat(windows[-1].end))
    if begins >= last:
        return None
    return TimeWindow(type=WindowType.EXPLICIT, start=_text(begins), end=_text(last), time_zone=zone)


def beyond_history(windows: Iterable[TimeWindow], at: datetime) -> list[TimeWindow]:
    """Those that begin earlier than most of AMC's tables go back (amc-api 1.6)."""
    earliest = datetime.combine(dates.later_by_months(at.date(), -KEPT_MONTHS), at.time())
    return [window for window in windows if datetime.fromisoformat(window.start or _text(at)) < earliest]


def _cut(
    first: datetime, last: datetime, length: _Step, step: _Step, zone: str, *, is_partial_kept: bool
) -> Iterator[TimeWindow]:
    for n in count():
        start = step.after(first, n)
        # Counted from the first start where windows tumble, so that each ends where the next begins.
        end = step.after(first, n + 1) if length == step else length.after(start, 1)
        if start >= last or (end > last and not is_partial_kept):
            return
        yield TimeWindow(
            type=WindowType.EXPLICIT, start=_text(start), end=_text(min(end, last)), time_zone=zone
        )


class _Step(NamedTuple):
    months: int
    days: int

    def after(self, start: datetime, times: int) -> datetime:
        """`start`, so many steps later; far behind every calendar it is the end of the calendar."""
        try:
            day = dates.later_by_months(start.date(), self.months * times)
            return datetime.combine(day, start.time()) + timedelta(days=self.days * times)
        except (OverflowError, ValueError):
            return datetime.max  # noqa: DTZ901 - clocks of a zone that the window names


def _step(text: str) -> _Step:
    match = _STEP.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"'{text}' is not a length of windows", hint="write 1d, 7d, 2w or 1mo")
    number = int(match[1])
    return {"mo": _Step(number, 0), "w": _Step(0, 7 * number), "d": _Step(0, number)}[match[2]]


def nearest_hour(moment: datetime) -> datetime:
    """The hour nearest to `moment`; half an hour goes up."""
    return (moment + timedelta(minutes=30)).replace(minute=0, second=0, microsecond=0)


def _concrete(text: str, zone: ZoneInfo) -> datetime:
    """A text as a moment on the clocks of `zone`, without a zone; raises UsageError."""
    written = text.strip()
    match = _LOCAL.fullmatch(written)
    if match is None:
        raise UsageError(f"'{text}' is not a date a time window can have", hint=_FORMS)
    try:
        moment = datetime.fromisoformat(written)
        return moment.astimezone(zone).replace(tzinfo=None) if match["utc"] else moment
    except (OverflowError, ValueError):
        raise UsageError(f"'{text}' is a date that does not exist", hint=_FORMS) from None


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
