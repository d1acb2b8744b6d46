"""A query whose names are known: what is read, how it is put together, and what is known of each column.

Expressions are trees of AMC SQL; each column in them names an item of FROM and a column of it, and carries its
type's family in `meta["family"]`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar, Literal

from sqlglot import exp

from amci.amcsql.binder.levels import ValueFacts
from amci.amcsql.sources import Source

JoinKind = Literal["", "CROSS", "INNER", "LEFT", "FULL"]


@dataclass(frozen=True, slots=True)
class OutputColumn:
    """A column that a query gives."""

    name: str
    facts: ValueFacts
    value: exp.Expr | None = None  #: what it is computed from; a set operation's has none


@dataclass(slots=True, kw_only=True)
class Scan:
    """One read of a table: a path."""

    path: int
    source: Source
    outputs: Sequence[OutputColumn]
    before: timedelta = timedelta(0)  #: how much longer than the window
    after: timedelta = timedelta(0)
    table: exp.Expr | None = None  #: where the query names it


@dataclass(slots=True, kw_only=True)
class ValuesRows:
    """VALUES."""

    tuples: Sequence[exp.Expr]
    outputs: Sequence[OutputColumn]
    is_unknown: bool = False  #: in place of an unknown table


@dataclass(slots=True, kw_only=True)
class Cte:
    """A query of WITH; `name` is its own in the whole query."""

    name: str
    query: QueryExpression
    uses: int = 0


@dataclass(slots=True, kw_only=True)
class CteRef:
    """A read of a query of WITH."""

    of: Cte
    outputs: Sequence[OutputColumn]
    #: its paths, and what they are called here: each use is a read of its own
    paths: Mapping[int, int]


@dataclass(slots=True, kw_only=True)
class FromItem:
    """Something in FROM, and how it is joined with those before it."""

    alias: str
    relation: Relation
    kind: JoinKind = ""
    on: exp.Expr | None = None


@dataclass(slots=True, kw_only=True)
class Select:
    """One SELECT."""

    outputs: Sequence[OutputColumn]
    items: Sequence[FromItem] = ()
    where: exp.Expr | None = None
    keys: Sequence[exp.Expr] = ()  #: of GROUP BY
    key_facts: Sequence[ValueFacts] = ()
    having: exp.Expr | None = None
    windows: Sequence[exp.Expr] = ()
    is_grouped: bool = False  #: has GROUP BY or an aggregate
    has_aggregate: bool = False
    is_distinct: bool = False
    #: paths that have the same user in every row, if both are present
    same: Sequence[frozenset[int]] = field(default_factory=list)
    node: exp.Expr | None = None


@dataclass(slots=True, kw_only=True)
class Union:
    """UNION of two queries."""

    left: QueryExpression
    right: QueryExpression
    is_all: bool
    outputs: Sequence[OutputColumn]


QueryExpression = Select | Union | ValuesRows
Relation = Scan | ValuesRows | CteRef | Select | Union


@dataclass(slots=True, kw_only=True)
class Bound:
    """A whole query."""

    query: QueryExpression
    named: Sequence[Cte]  #: of all WITH, in an order in which each may use those before it
    sources: Sequence[Source]  #: by path


class InnerQuery(exp.Expression):
    """A query within an expression: of IN and EXISTS."""

    arg_types: ClassVar[dict[str, bool]] = {"query": True}

    @property
    def query(self) -> QueryExpression:
        """The query."""
        query: Any = self.args["query"]
        return query  # type: ignore[no-any-return]


def blocks(query: QueryExpression) -> Iterator[Select]:
    """The SELECTs of a set operation, from left to right."""
    if isinstance(query, Union):
        yield from blocks(query.left)
        yield from blocks(query.right)
    elif isinstance(query, Select):
        yield query


def paths_of(relation: Relation) -> Iterator[int]:
    """The paths by which rows come into a relation, in the order of the query; filters do not count."""
    if isinstance(relation, Scan):
        yield relation.path
    elif isinstance(relation, CteRef):
        yield from relation.paths.values()
    elif isinstance(relation, Union):
        yield from paths_of(relation.left)
        yield from paths_of(relation.right)
    elif isinstance(relation, Select):
        for item in relation.items:
            yield from paths_of(item.relation)
