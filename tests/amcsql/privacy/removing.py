"""What AMC would take out of a result, by brute force (amc-api 3.3)."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, trunc
from typing import Any, Literal

from .data import LEVELS
from .relations import About, Result, Row

#: Users that a row needs to show a column of a level.
NEEDED = {"NONE": 1, "LOW": 2, "MEDIUM": 100, "HIGH": 100}
KINDS = ("", "effective ", "equivalent ")
REASON = re.compile(
    r"(\d+) '([^']+)' (?:\(path (\d+) of (\d+)\) )?(effective |equivalent )?users < (\d+) required"
)

Behavior = Literal["REMOVE_ROWS", "REMOVE_VALUES"]
Values = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Checks:
    """Which of the checks of metrics are made."""

    has_effective: bool = True
    has_equivalent: bool = True


@dataclass(frozen=True, slots=True)
class Cause:
    """Too few users of some kind, in one of some tables."""

    kind: int  #: place in KINDS; the first is the most standard
    users: int
    tables: frozenset[str]
    needed: int


@dataclass(frozen=True, slots=True)
class Judged:
    """A row of the whole result, the users it needs and has, and what it lacks."""

    row: Row
    required: int
    actual: float
    causes: tuple[Cause, ...]

    @property
    def values(self) -> Values:
        return tuple(cell.value for cell in self.row.cells)


@dataclass(frozen=True, slots=True)
class Shown:
    """A row of the filtered result and the rows it is made of."""

    values: Values
    of: tuple[Judged, ...]

    @property
    def is_touched(self) -> bool:
        return bool(self.of[0].causes)


def needed(about: About) -> int:
    return NEEDED[LEVELS[about.level]]


def judged(result: Result, checks: Checks) -> list[Judged]:
    return [_judged(row, result, checks) for row in result.rows]


def _judged(row: Row, result: Result, checks: Checks) -> Judged:
    shown = [about for cell, about in zip(row.cells, result.about, strict=True) if cell.value is not None]
    required = max(map(needed, shown), default=1)
    found = [(0, len(row.known([path])), frozenset([path]), required) for path in row.users]
    # Where no row of a path is behind a row, nothing in it is anybody's.
    metrics = [(metric, cell) for cell in row.cells for metric in cell.metrics if metric.total and row.users]
    for metric, cell in metrics:
        # Of `SUM(a) / SUM(b)` any table may be named, whichever of the two lacks users.
        paths = frozenset[int]().union(*(each.paths for each in cell.metrics))
        parts = [abs(part) for part in metric.shares.values() if part]
        if checks.has_effective:
            found.append((1, len(parts), paths, required))
        if checks.has_equivalent and parts:
            found.append((2, trunc(abs(metric.total) / max(parts)), paths, min(required, 2)))
    causes = tuple(
        Cause(kind, users, frozenset(result.paths[path] for path in paths), floor)
        for kind, users, paths, floor in found
        if users < floor
    )
    # Two equivalent users are as good as a hundred: more say nothing about a column that needs a hundred.
    actual = min((users for kind, users, _, _ in found if kind < 2 or users < 2), default=inf)
    return Judged(row, required, actual, causes)


def filtered(result: Result, behavior: Behavior, checks: Checks) -> list[Shown]:
    rows = judged(result, checks)
    whole = [Shown(row.values, (row,)) for row in rows if not row.causes]
    if behavior == "REMOVE_ROWS":
        return whole
    groups: dict[Values, list[tuple[Judged, Values]]] = defaultdict(list)
    for row in (row for row in rows if row.causes):
        values = _emptied(row, result.about)
        dimensions = tuple(
            value for value, about in zip(values, result.about, strict=True) if not about.is_metric
        )
        groups[dimensions].append((row, values))
    return whole + [
        Shown(_added([values for _, values in group], result.about), tuple(row for row, _ in group))
        for group in groups.values()
    ]


def _emptied(row: Judged, about: Sequence[About]) -> Values:
    pairs = zip(row.values, about, strict=True)
    return tuple(value if needed(each) <= row.actual else None for value, each in pairs)


def _added(rows: list[Values], about: Sequence[About]) -> Values:
    """The metrics of rows whose dimensions are equal, added up."""
    columns = zip(*rows, strict=True)
    return tuple(
        total(column) if each.is_metric else column[0] for column, each in zip(columns, about, strict=True)
    )


def total(values: Sequence[Any]) -> Any:
    """SQL's SUM."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def cap(result: Result) -> int:
    """The highest that the column of user counts says."""
    return max(map(needed, result.about))


def is_reason(text: str, shown: Shown, result: Result) -> bool:
    """Whether a text names one of the most standard causes of one of the rows."""
    found = REASON.fullmatch(text)
    if not found:
        return False
    users, table, path, paths, kind, floor = found.groups()
    known = result.paths.count(table)
    if (paths is None) != (known == 1) or (paths and not 1 <= int(path) <= int(paths) == known):
        return False
    return any(
        cause.kind == min(each.kind for each in row.causes) == KINDS.index(kind or "")
        and (cause.users, cause.needed) == (int(users), int(floor))
        and table in cause.tables
        for row in shown.of
        for cause in row.causes
    )


def plain(value: Any) -> Any:
    """A value as results are compared: numbers alike whatever their type, without the last digits."""
    if value is None or isinstance(value, bool | str):
        return value
    return float(f"{float(value):.9g}") + 0.0
