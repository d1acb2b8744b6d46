"""Schedule expressions: EventBridge's `cron(…)`, `rate(…)` and `at(…)`, Unix cron, and the older `custom(…)`."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from zoneinfo import ZoneInfo

from amci.kernel.errors import UsageError
from amci.scheduler.cron import FIRST_YEAR, LAST_YEAR, Cron, eventbridge, unix
from amci.scheduler.days import OfMonth, OfWeek


def first_moment(label: datetime, zone: ZoneInfo) -> datetime | None:
    """When the clocks of `zone` first show `label` (naive): aware, in UTC; None if they skip it in spring."""
    moment = label.replace(tzinfo=zone, fold=0).astimezone(UTC)
    return moment if moment.astimezone(zone).replace(tzinfo=None) == label else None


#: A day is to spare at both ends, since a zone may be ahead of UTC or behind it.
_EARLIEST = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC) - timedelta(days=2)
_LATEST = datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC) + timedelta(days=2)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = MappingProxyType(
    {"day": timedelta(days=1), "hour": timedelta(hours=1), "minute": timedelta(minutes=1)}
)
_LONGEST = timedelta(days=36_500)

_FORM = re.compile(r"(?P<form>\w+)\s*\((?P<inside>.*)\)", re.DOTALL)
_RATE = re.compile(r"(?P<n>[1-9][0-9]{0,8})\s+(?P<unit>minute|hour|day)(?P<plural>s?)")
_AT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}")

#: Of Vixie cron, see crontab(5).
_NICKNAMES = MappingProxyType(
    {
        "@hourly": "0 * * * *",
        "@daily": "0 0 * * *",
        "@midnight": "0 0 * * *",
        "@weekly": "0 0 * * 0",
        "@monthly": "0 0 1 * *",
        "@yearly": "0 0 1 1 *",
        "@annually": "0 0 1 1 *",
    }
)
_EVERY_HOUR = tuple(range(24))
_EVERY_DAY = OfMonth(tuple(range(1, 32)))


class Expression(ABC):
    """When a schedule fires. Equal expressions fire at the same moments, however they are written."""

    __slots__ = ()

    @abstractmethod
    def next_after(self, moment: datetime, zone: ZoneInfo) -> datetime | None:
        """The first fire strictly later than `moment`: aware, in UTC; None if none is left until 2199."""

    def labels(self, after: datetime) -> Iterator[datetime]:  # noqa: ARG002 - those that have some say which
        """The local times (naive) later than `after` at which it means to fire; none if it goes by elapsed time."""
        return iter(())

    def fires(self, since: datetime, until: datetime, zone: ZoneInfo) -> Iterator[datetime]:
        """All fires with since < fire <= until, in order."""
        fire = self.next_after(since, zone)
        while fire is not None and fire <= until:
            yield fire
            fire = self.next_after(fire, zone)


@dataclass(frozen=True, slots=True)
class Labels(Expression):
    """Fires when the clocks of the zone first show a label; those they skip in spring never come."""

    text: str = field(compare=False)
    cron: Cron

    def __str__(self) -> str:
        return self.text

    def labels(self, after: datetime) -> Iterator[datetime]:
        """See Expression."""
        return self.cron.labels(after)

    def next_after(self, moment: datetime, zone: ZoneInfo) -> datetime | None:
        """See Expression."""
        if moment >= _LATEST:
            return None
        label: datetime | None = max(moment, _EARLIEST).astimezone(zone).replace(tzinfo=None, fold=0)
        while label is not None and (label := self.cron.next_label(label)):
            fire = first_moment(label, zone)
            # In the repeated hour of autumn the label has been shown before, and so has fired.
            if fire is not None and fire > moment:
                return fire
        return None


@dataclass(frozen=True, slots=True)
class Rate(Expression):
    """Fires every so much elapsed time, whatever the clocks of a zone show."""

    every: timedelta
    anchor: datetime  #: the first fire; in UTC, since Python's local times do not add up

    def __str__(self) -> str:
        unit, length = next((u, length) for u, length in _UNITS.items() if not self.every % length)
        n = self.every // length
        return f"rate({n} {unit}{'' if n == 1 else 's'})"

    def next_after(self, moment: datetime, zone: ZoneInfo) -> datetime | None:  # noqa: ARG002 - time elapses alike in all zones
        """See Expression."""
        if moment >= _LATEST:
            return None
        rounds = (moment.astimezone(UTC) - self.anchor) // self.every + 1
        fire = self.anchor + max(rounds, 0) * self.every
        return fire if fire < _LATEST else None


@dataclass(frozen=True, slots=True)
class At(Expression):
    """Fires once, when the clocks of the zone first show the label; never if they skip it."""

    label: datetime  #: naive

    def __str__(self) -> str:
        return f"at({self.label:%Y-%m-%dT%H:%M:%S})"

    def labels(self, after: datetime) -> Iterator[datetime]:
        """See Expression."""
        return iter((self.label,) if self.label > after else ())

    def next_after(self, moment: datetime, zone: ZoneInfo) -> datetime | None:
        """See Expression."""
        fire = first_moment(self.label, zone)
        return fire if fire is not None and fire > moment else None


def parse(text: str, start_at: datetime | None = None) -> Expression:
    """The expression that `text` writes; `start_at` (aware) is the first fire of a rate, else 1970-01-01 UTC.

    Raises UsageError, which names the field at fault.
    """
    plain = " ".join(text.split())
    plain = _NICKNAMES.get(plain.lower(), plain)
    match = _FORM.fullmatch(plain)
    if match is None:
        return _unix(plain.upper())
    form, inside = match["form"].lower(), match["inside"].strip()
    if form == "rate":
        return _rate(inside, start_at)
    if form not in _FORMS:
        raise UsageError(
            f"there is no expression {form}(…)",
            hint="write cron(…), rate(…), at(…) or five fields of Unix cron",
        )
    return _FORMS[form](inside)


def _unix(text: str) -> Expression:
    """Five fields: our reader names the field at fault; what croniter refuses besides is not Unix cron."""
    from croniter import CroniterError, croniter

    expression = Labels(text, unix(text.split()))
    try:
        croniter.expand(text)
    except CroniterError as error:
        raise UsageError(
            f"'{text[:40]}' is not Unix cron",
            hint="EventBridge's own forms stand inside cron(…), with six fields",
        ) from error
    return expression


def _cron(inside: str) -> Expression:
    texts = inside.upper().split()
    return Labels(f"cron({' '.join(texts)})", eventbridge(texts))


def _rate(inside: str, start_at: datetime | None) -> Expression:
    hint = "write rate(1 minute), rate(5 minutes), rate(1 hour), rate(12 hours), rate(1 day) or rate(7 days)"
    match = _RATE.fullmatch(inside)
    if match is None:
        raise UsageError(
            "rate(…): should be a whole number of at least 1 and minutes, hours or days", hint=hint
        )
    if (match["n"] == "1") == bool(match["plural"]):
        raise UsageError(f"rate(…): unit: '{inside}' mixes singular and plural", hint=hint)
    every = int(match["n"]) * _UNITS[match["unit"]]
    if every > _LONGEST:
        raise UsageError("rate(…): value: should be a hundred years at most", hint=hint)
    return Rate(every, (start_at or _EPOCH).astimezone(UTC))


def _at(inside: str) -> Expression:
    try:
        label = datetime.fromisoformat(inside) if _AT.fullmatch(inside) else None
    except ValueError:
        label = None
    if label is None or not FIRST_YEAR <= label.year <= LAST_YEAR:
        raise UsageError(
            f"at(…): '{inside[:40]}' is not a date and time from {FIRST_YEAR} to {LAST_YEAR}",
            hint="write at(yyyy-mm-ddThh:mm:ss), such as at(2026-11-01T09:30:00), in the schedule's time zone",
        )
    return At(label)


def _custom(inside: str) -> Expression:
    """The forms of the older AWS solution, whose text had to match exactly (aws-solution 10)."""
    for pattern, cron in _CUSTOM.items():
        if match := re.fullmatch(pattern, inside):
            return Labels(f"custom({inside})", cron(*(int(n) for n in match.groups())))
    raise UsageError(
        f"custom(…): '{inside[:40]}' cannot be read",
        hint="write custom(H * *), custom(D * hour), custom(W weekday hour) with Monday as 0,"
        " or custom(M day hour); numbers without leading zeros",
    )


_HOUR = "(1?[0-9]|2[0-3])"
_CUSTOM: Mapping[str, Callable[..., Cron]] = MappingProxyType(
    {
        r"H \* \*": lambda: Cron((0,), _EVERY_HOUR, (_EVERY_DAY,)),
        rf"D \* {_HOUR}": lambda hour: Cron((0,), (hour,), (_EVERY_DAY,)),
        rf"W ([0-6]) {_HOUR}": lambda weekday, hour: Cron((0,), (hour,), (OfWeek((weekday,)),)),
        rf"M ([1-9]|[12][0-9]|3[01]) {_HOUR}": lambda day, hour: Cron((0,), (hour,), (OfMonth((day,)),)),
    }
)
_FORMS: Mapping[str, Callable[[str], Expression]] = MappingProxyType(
    {"cron": _cron, "at": _at, "custom": _custom}
)
