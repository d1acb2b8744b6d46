"""Two versions of a query on the same data: how their results differ, column by column and row by row."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from amci.amcsql.tools.redaction import RedactionReport

_SAME = 1e-9  #: numbers closer than this, relative to their size, are the same: sums depend on their order
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """The result of one version; names of columns are in lower case."""

    columns: Sequence[str]
    keys: Sequence[str]  #: columns that tell rows apart
    sums: Sequence[str]  #: columns that can be added up
    rows: Sequence[Sequence[Any]]
    report: RedactionReport | None = None  #: what the privacy rules took away


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A value that differs."""

    key: Row
    column: str
    a: Any
    b: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """A column added up in both."""

    column: str
    a: Any
    b: Any
    change: float | None  #: of b against a, 0.1 is a tenth more; None if a is 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultDiff:
    """How two results differ."""

    rows: tuple[int, int]
    hidden: tuple[int, int]  #: rows the privacy rules took away
    hidden_by: Mapping[str, tuple[int, int]]  #: the same, by what AMC would say of them
    columns_only_in_a: Sequence[str]
    columns_only_in_b: Sequence[str]
    key: Sequence[str]  #: columns by which rows were matched
    is_matched: bool  #: whether the key tells rows apart; else they are compared as they are
    rows_only_in_a: Sequence[Row]
    rows_only_in_b: Sequence[Row]
    changed: Sequence[Cell]
    totals: Sequence[Total]

    @property
    def is_same(self) -> bool:
        """Whether both have the same rows, in any order."""
        return not (
            self.columns_only_in_a
            or self.columns_only_in_b
            or self.rows_only_in_a
            or self.rows_only_in_b
            or self.changed
        )

    def document(self) -> dict[str, Any]:
        """For programs."""
        return {"is_same": self.is_same, **asdict(self)}


def difference(a: Version, b: Version) -> ResultDiff:
    """The differences between two versions."""
    key = [name for name in a.keys if name in b.keys]
    common = [name for name in a.columns if name in b.columns]
    ours, theirs = _by_key(a, key), _by_key(b, key)
    is_matched = len(ours) == len(a.rows) and len(theirs) == len(b.rows)
    changed: list[Cell] = []
    only_a: Sequence[Row]
    only_b: Sequence[Row]
    if is_matched:
        only_a = [row for name, row in ours.items() if name not in theirs]
        only_b = [row for name, row in theirs.items() if name not in ours]
        changed = list(_changed(ours, theirs, key, common))
    else:
        only_a, only_b = _surplus(a, b, common), _surplus(b, a, common)
    return ResultDiff(
        rows=(len(a.rows), len(b.rows)),
        hidden=(_hidden(a), _hidden(b)),
        hidden_by=_hidden_by(a, b),
        columns_only_in_a=[name for name in a.columns if name not in b.columns],
        columns_only_in_b=[name for name in b.columns if name not in a.columns],
        key=key,
        is_matched=is_matched,
        rows_only_in_a=only_a,
        rows_only_in_b=only_b,
        changed=changed,
        totals=[_total(a, b, name) for name in a.sums if name in b.sums],
    )


def _by_key(version: Version, key: Sequence[str]) -> dict[Any, dict[str, Any]]:
    rows = (dict(zip(version.columns, row, strict=False)) for row in version.rows)
    return {tuple(_frozen(row[name]) for name in key): row for row in rows}


def _changed(
    ours: Mapping[Any, Row], theirs: Mapping[Any, Row], key: Sequence[str], common: Sequence[str]
) -> Iterator[Cell]:
    for name, row in ours.items():
        other = theirs.get(name)
        if other is None:
            continue
        for column in common:
            if column not in key and not _is_same(row[column], other[column]):
                yield Cell(
                    key={part: row[part] for part in key}, column=column, a=row[column], b=other[column]
                )


def _surplus(one: Version, other: Version, common: Sequence[str]) -> list[Row]:
    """The rows of one that the other has not, or not as often; only columns that both have are compared."""
    have = Counter(_row_of(other, row, common) for row in other.rows)
    surplus: list[Row] = []
    for row in one.rows:
        frozen = _row_of(one, row, common)
        if have[frozen]:
            have[frozen] -= 1
        else:
            surplus.append(dict(zip(one.columns, row, strict=False)))
    return surplus


def _row_of(version: Version, row: Sequence[Any], common: Sequence[str]) -> Any:
    by_name = dict(zip(version.columns, row, strict=False))
    return tuple(_frozen(by_name[name]) for name in common)


def _frozen(value: Any) -> Any:
    """A value that can be a key; numbers are the same whatever their type."""
    if isinstance(value, Mapping):
        return tuple(_frozen(each) for each in value.values())
    if isinstance(value, list | tuple):
        return tuple(map(_frozen, value))
    if isinstance(value, float | Decimal):
        return float(f"{float(value):.9g}") if math.isfinite(value) else str(value)
    return value


def _is_same(a: Any, b: Any) -> bool:
    if isinstance(a, int | float | Decimal) and isinstance(b, int | float | Decimal):
        return math.isclose(float(a), float(b), rel_tol=_SAME, abs_tol=_SAME)
    return bool(_frozen(a) == _frozen(b))


def _total(a: Version, b: Version, name: str) -> Total:
    ours, theirs = (_sum(version, name) for version in (a, b))
    change = float(theirs) / float(ours) - 1 if ours else None
    return Total(column=name, a=ours, b=theirs, change=change)


def _sum(version: Version, name: str) -> Any:
    place = list(version.columns).index(name)
    return sum(row[place] for row in version.rows if row[place] is not None)


def _hidden(version: Version) -> int:
    return version.report.hidden if version.report else 0


def _hidden_by(a: Version, b: Version) -> dict[str, tuple[int, int]]:
    """How many rows of each each rule took, by its words."""
    counts: list[dict[str, int]] = [{}, {}]
    for version, found in zip((a, b), counts, strict=True):
        for cause in version.report.causes if version.report else ():
            kind = "" if cause.rule == "distinct" else f"{cause.rule} "
            said = f"'{cause.table}' {kind}users < {cause.needs} required"
            found[said] = found.get(said, 0) + cause.rows
    return {said: (counts[0].get(said, 0), counts[1].get(said, 0)) for said in {**counts[0], **counts[1]}}
