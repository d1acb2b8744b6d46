"""When audiences are refreshed, and when they end, as pure rules (amc-api 2.4)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

#: An audience that is refreshed no more is deactivated so long after its last refresh.
_LASTS = timedelta(days=30)
#: How old an audience is that nobody uses, and no sooner than how many days later it is refreshed from then on.
_UNATTACHED = ((timedelta(days=14), 2), (timedelta(days=30), 7))
_FORGOTTEN = timedelta(days=100)  #: then it is refreshed no more
_STATIC = (timedelta(days=30), 7)  #: the same, of one whose time window stays where it is
_SLOW = (timedelta(hours=4), 2)  #: the same, of one whose query runs longer than this


@dataclass(frozen=True, slots=True, kw_only=True)
class Upkeep:
    """What the pace of an audience's refreshes depends on."""

    refresh_days: int  #: as asked for; 0 is never
    made_at: datetime
    is_window_moving: bool
    query_takes: timedelta = timedelta(0)
    is_attached: bool = False  #: to a line item of the DSP


@dataclass(frozen=True, slots=True)
class Coming:
    """What happens to an audience next."""

    step: Literal["refresh", "deactivate"]
    at: datetime
    days: int = 0  #: since the refresh before: so far the window moves


def coming(upkeep: Upkeep, refreshed_at: datetime) -> Coming:
    """What comes after the refresh at `refreshed_at`; the first one is the making itself."""
    days = pace(upkeep, refreshed_at - upkeep.made_at)
    if days:
        return Coming("refresh", refreshed_at + timedelta(days=days), days)
    return Coming("deactivate", refreshed_at + _LASTS)


def pace(upkeep: Upkeep, age: timedelta) -> int:
    """Days from one refresh to the next at this age; 0 is never again.

    AMC slows down what is not used, what always finds the same, and what takes long.
    """
    if not upkeep.refresh_days or (age >= _FORGOTTEN and not upkeep.is_attached):
        return 0
    slower = [days for since, days in _UNATTACHED if age >= since and not upkeep.is_attached]
    if age >= _STATIC[0] and not upkeep.is_window_moving:
        slower.append(_STATIC[1])
    if upkeep.query_takes > _SLOW[0]:
        slower.append(_SLOW[1])
    return max(upkeep.refresh_days, *slower) if slower else upkeep.refresh_days
