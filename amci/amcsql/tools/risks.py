"""Where columns of a result come from, and which rows AMC's privacy rules may hide because of them (amc-api 3.3)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlglot import exp

from amci.amcsql.binder.bound import (
    Bound,
    CteRef,
    OutputColumn,
    QueryExpression,
    Relation,
    Scan,
    Select,
    Union,
    ValuesRows,
    paths_of,
)
from amci.amcsql.binder.expressions import aggregates
from amci.amcsql.binder.levels import Level
from amci.amcsql.privacy.thresholds import most_required
from amci.amcsql.sources import Column, Source

_WRAPPERS = (exp.Paren, exp.Cast, exp.TryCast)


@dataclass(frozen=True, slots=True)
class Origin:
    """A column of a table."""

    source: Source
    column: Column

    def __str__(self) -> str:
        return f"{self.source.name}.{self.column.name}"


def origins(query: Relation, place: int, *, is_plain: bool = False) -> list[Origin]:
    """What the column at a place (from 0) was made from.

    `is_plain`: only where each of its values is one of the table's column, not something computed from it.
    """
    return list(dict.fromkeys(_Tracer(is_plain=is_plain).of(query, place)))


def keys(query: QueryExpression) -> list[int]:
    """The places of the columns that tell the rows of the result apart: those without an aggregate."""
    if isinstance(query, Union):
        right = set(keys(query.right))
        return [place for place in keys(query.left) if place in right]
    if isinstance(query, ValuesRows):
        return list(range(len(query.outputs)))
    return [place for place, output in enumerate(query.outputs) if _is_key(output)]


def _is_key(output: OutputColumn) -> bool:
    return output.value is not None and not output.value.find(exp.Window) and not aggregates(output.value)


class _Tracer:
    """Looks at each column of each part of a query once."""

    def __init__(self, *, is_plain: bool) -> None:
        self._is_plain = is_plain
        self._seen: set[tuple[int, int]] = set()

    def of(self, relation: Relation, place: int) -> Iterator[Origin]:
        if (id(relation), place) in self._seen:
            return
        self._seen.add((id(relation), place))
        if isinstance(relation, Scan):
            yield Origin(relation.source, relation.source.columns[place])
        elif isinstance(relation, CteRef):
            yield from self.of(relation.of.query, place)
        elif isinstance(relation, Union):
            yield from self.of(relation.left, place)
            yield from self.of(relation.right, place)
        elif isinstance(relation, Select):
            yield from self._of_block(relation, place)

    def _of_block(self, block: Select, place: int) -> Iterator[Origin]:
        value = block.outputs[place].value if place < len(block.outputs) else None
        if value is None:
            return
        for column in _plain(value) if self._is_plain else value.find_all(exp.Column):
            for item in block.items:
                if item.alias == column.table and (at := _place(item.relation, column.name)) is not None:
                    yield from self.of(item.relation, at)


def _plain(value: exp.Expr) -> Sequence[exp.Column]:
    """The columns whose values it passes on unchanged; none if it computes something."""
    while isinstance(value, _WRAPPERS):
        value = value.this
    if isinstance(value, exp.Column):
        return [value]
    if isinstance(value, exp.Coalesce):
        parts = [value.this, *value.expressions]
        return [column for part in parts for column in _plain(part)]
    return []


def _place(relation: Relation, name: str) -> int | None:
    names = [output.name.lower() for output in relation.outputs]
    return names.index(name.lower()) if name.lower() in names else None


#: Columns of tables that have very many values, where type and known values do not say so.
_MANY = re.compile(
    r"postal_code|city|search_term|keyword|asin|tracked_item|creative|url|title|segment|placement_id"
    r"|segment_id|event_id|request_tag|_gti|model|dealership"
)
#: Metrics that few of those who see an ad contribute to.
_FEW = re.compile(r"purchase|sales|click|conver|unit|order|cart|new_to_brand|subscri|combined|detail_page")
_MANY_TYPES = ("TIMESTAMP", "DECIMAL", "DOUBLE", "ARRAY")
_MANY_KEYS = 4
_EMPTIED = "or name a filtered_metrics_discriminator_column: such rows are then added up instead of dropped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Risk:
    """A reason for which rows may be hidden."""

    code: str  #: stable: threshold, many-values, many-columns, few-contributors, paths
    text: str
    hint: str
    columns: Sequence[str]  #: of the result


def risks(bound: Bound, *, removes_values: bool = False) -> list[Risk]:
    """Those of a query whose rows are made from users; the plainest goes first."""
    outputs = bound.query.outputs
    if any(output.facts.level.is_hidden for output in outputs):
        return []
    needed = most_required(outputs)
    if needed == 1:
        return []
    return [
        *_threshold(bound, needed, removes_values=removes_values),
        *_many_values(bound, needed),
        *_few_contributors(bound, needed),
        *_paths(bound, needed),
    ]


def _threshold(bound: Bound, needed: int, *, removes_values: bool) -> Iterator[Risk]:
    """Columns without which fewer users would be enough."""
    outputs = bound.query.outputs
    those = [place for place, output in enumerate(outputs) if output.facts.level.users == needed]
    rest = max((o.facts.level.users for p, o in enumerate(outputs) if p not in those), default=1)
    if needed <= Level.LOW.users:
        return
    why = [
        f"{outputs[place].name} (threshold {outputs[place].facts.level.name}, from {_listed(found)})"
        if (found := _barring(bound, place))
        else outputs[place].name
        for place in those
    ]
    hint = (
        f"without {'it' if len(those) == 1 else 'them'}, {rest} user{'s are' if rest > 1 else ' is'} enough"
    )
    yield Risk(
        code="threshold",
        text=f"A row needs {needed} users, because it shows {_listed(why)}.",
        hint=hint if removes_values else f"{hint}; {_EMPTIED}",
        columns=[outputs[place].name for place in those],
    )


def _barring(bound: Bound, place: int) -> list[str]:
    """The columns of tables that make one of the result so sensitive."""
    level = bound.query.outputs[place].facts.level
    found = origins(bound.query, place)
    return [str(origin) for origin in found if origin.column.threshold == level.name]


def _many_values(bound: Bound, needed: int) -> Iterator[Risk]:
    """Columns that cut the users into many small groups."""
    outputs = bound.query.outputs
    dimensions = [place for place in keys(bound.query) if not outputs[place].facts.is_metric]
    many = [place for place in dimensions if _has_many(bound, place)]
    if many:
        names = _names(bound, many)
        yield Risk(
            code="many-values",
            text=f"There is a row for each value of {names}, and most values are shared by few users:"
            f" rows of fewer than {needed} users are hidden.",
            hint="group by something wider (the state, the week, the campaign), or look at a longer window",
            columns=[outputs[place].name for place in many],
        )
    split = [place for place in dimensions if not outputs[place].facts.is_literal]
    if len(split) >= _MANY_KEYS:
        yield Risk(
            code="many-columns",
            text=f"Rows are split by {len(split)} columns at once; each combination needs {needed} users of its own.",
            hint="leave out the columns that you do not need",
            columns=[outputs[place].name for place in split],
        )


def _has_many(bound: Bound, place: int) -> bool:
    family = bound.query.outputs[place].facts.family
    if family in ("ARRAY", "ROW") and origins(bound.query, place):
        return True
    return any(_is_wide(origin) for origin in origins(bound.query, place, is_plain=True))


def _is_wide(origin: Origin) -> bool:
    column = origin.column
    if column.values or not origin.source.has_users:
        return False
    if column.type.startswith(_MANY_TYPES) or column.kind == "METRIC":
        return True
    return bool(_MANY.search(column.name))


def _few_contributors(bound: Bound, needed: int) -> Iterator[Risk]:
    """Metrics whose contributors are counted (effective users), and may not be too unequal (equivalent users)."""
    outputs = bound.query.outputs
    few = [
        place
        for place, output in enumerate(outputs)
        if output.facts.is_metric
        and any(_FEW.search(o.column.name) for o in origins(bound.query, place) if o.source.has_users)
    ]
    if not few:
        return
    names = _names(bound, few)
    yield Risk(
        code="few-contributors",
        text=f"For {names}, only the users who contribute to the sum are counted: a row in which it is not 0 needs"
        f" {needed} of them, and no single one may make up more than half of it.",
        hint="fewer or wider groups, or a longer window; or ask for reach in a query of its own",
        columns=[outputs[place].name for place in few],
    )


def _paths(bound: Bound, needed: int) -> Iterator[Risk]:
    """Several reads of tables, each of which has to bring enough users."""
    paths = dict.fromkeys(paths_of(bound.query))
    names = [bound.sources[path].name for path in paths if bound.sources[path].has_users]
    if len(names) < 2:  # noqa: PLR2004 - several
        return
    counted = [
        f"{name} ({names.count(name)} times)" if names.count(name) > 1 else name
        for name in dict.fromkeys(names)
    ]
    are_same = len(set(names)) == 1
    yield Risk(
        code="paths",
        text=f"The users of a row are counted for each read of a table: {_listed(counted)}."
        f" The smallest of these numbers has to be {needed} or more.",
        hint="leave out a join or sub-query that you do not need"
        if are_same
        else "those who click or buy are far fewer than those who see an ad",
        columns=[],
    )


def _names(bound: Bound, places: Sequence[int]) -> str:
    return _listed([bound.query.outputs[place].name for place in places])


def _listed(names: Sequence[str]) -> str:
    """As people list things."""
    *first, last = dict.fromkeys(names) or [""]
    return f"{', '.join(first)} and {last}" if first else last
