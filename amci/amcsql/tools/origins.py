"""Which columns of tables a column of the result is computed from, and which it passes on unchanged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlglot import exp

from amci.amcsql.binder.bound import (
    CteRef,
    OutputColumn,
    QueryExpression,
    Relation,
    Scan,
    Select,
    Union,
    ValuesRows,
)
from amci.amcsql.binder.expressions import aggregates
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
