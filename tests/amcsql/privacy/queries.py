"""Queries as values, which print themselves as AMC SQL."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

JoinKind = Literal["JOIN", "LEFT JOIN", "FULL JOIN", "CROSS JOIN"]


@dataclass(frozen=True, slots=True)
class Col:
    """A column of a source, by the source's alias."""

    source: str
    name: str

    def sql(self) -> str:
        return f"{self.source}.{self.name}"


@dataclass(frozen=True, slots=True)
class Lit:
    """Text, a number or NULL."""

    value: Any

    def sql(self) -> str:
        return "NULL" if self.value is None else repr(self.value)


@dataclass(frozen=True, slots=True)
class Bin:
    """Arithmetic or a comparison."""

    op: str
    left: Expr
    right: Expr

    def sql(self) -> str:
        return f"({self.left.sql()} {self.op} {self.right.sql()})"


@dataclass(frozen=True, slots=True)
class All:
    """Conditions that hold together."""

    conditions: tuple[Expr, ...]

    def sql(self) -> str:
        return " AND ".join(each.sql() for each in self.conditions)


@dataclass(frozen=True, slots=True)
class IsNull:
    """IS [NOT] NULL."""

    of: Expr
    is_negated: bool = False

    def sql(self) -> str:
        return f"{self.of.sql()} IS {'NOT ' if self.is_negated else ''}NULL"


@dataclass(frozen=True, slots=True)
class InList:
    """IN (…) of values."""

    of: Expr
    values: tuple[Any, ...]

    def sql(self) -> str:
        return f"{self.of.sql()} IN ({', '.join(Lit(value).sql() for value in self.values)})"


@dataclass(frozen=True, slots=True)
class InQuery:
    """IN (SELECT …): a filter that brings no data."""

    of: Expr
    query: Select
    is_exists: bool = False  #: said with EXISTS

    def sql(self) -> str:
        if not self.is_exists:
            return f"{self.of.sql()} IN ({self.query.sql()})"
        same = Bin("=", self.query.items[0][0], self.of)
        where = same if self.query.where is None else All((self.query.where, same))
        return f"EXISTS ({replace(self.query, where=where).sql()})"


@dataclass(frozen=True, slots=True)
class Case:
    """CASE WHEN … THEN … ELSE … END."""

    branches: tuple[tuple[Expr, Expr], ...]
    otherwise: Expr

    def sql(self) -> str:
        whens = " ".join(f"WHEN {test.sql()} THEN {value.sql()}" for test, value in self.branches)
        return f"CASE {whens} ELSE {self.otherwise.sql()} END"


@dataclass(frozen=True, slots=True)
class Coalesce:
    """The first that is not NULL."""

    parts: tuple[Expr, ...]

    def sql(self) -> str:
        return f"COALESCE({', '.join(part.sql() for part in self.parts)})"


@dataclass(frozen=True, slots=True)
class Agg:
    """An aggregate; `COUNT` of nothing is COUNT(*)."""

    function: Literal["SUM", "COUNT", "COUNT DISTINCT", "MIN", "MAX", "AVG"]
    of: Expr | None = None

    def sql(self) -> str:
        if self.of is None:
            return "COUNT(*)"
        if self.function == "COUNT DISTINCT":
            return f"COUNT(DISTINCT {self.of.sql()})"
        return f"{self.function}({self.of.sql()})"


@dataclass(frozen=True, slots=True)
class Rank:
    """The rank of a row among those of the same user, by a number from high to low."""

    of: Expr
    order: Expr

    def sql(self) -> str:
        return f"RANK() OVER (PARTITION BY {self.of.sql()} ORDER BY {self.order.sql()} DESC)"


Expr = Col | Lit | Bin | All | IsNull | InList | InQuery | Case | Coalesce | Agg | Rank


@dataclass(frozen=True, slots=True)
class Named:
    """A table, a CTE or a sub-query under an alias."""

    what: str | Body
    alias: str

    def sql(self) -> str:
        what = self.what if isinstance(self.what, str) else f"({self.what.sql()})"
        return f"{what} {self.alias}"


@dataclass(frozen=True, slots=True)
class Join:
    """Two sources side by side, where columns are equal."""

    kind: JoinKind
    left: From
    right: Named
    on: tuple[tuple[Expr, Expr], ...] = ()

    def sql(self) -> str:
        equal = " AND ".join(f"{left.sql()} = {right.sql()}" for left, right in self.on)
        return f"{self.left.sql()} {self.kind} {self.right.sql()}" + (f" ON {equal}" if equal else "")


From = Named | Join


@dataclass(frozen=True, slots=True)
class Select:
    """One SELECT. It aggregates where it has keys or says so."""

    items: tuple[tuple[Expr, str], ...]
    source: From
    where: Expr | None = None
    keys: tuple[Expr, ...] = ()
    is_aggregated: bool = False
    having: Expr | None = None
    is_distinct: bool = False
    has_ordinals: bool = False  #: GROUP BY 1, 2 where the keys are selected

    def sql(self) -> str:
        items = ", ".join(f"{item.sql()} AS {name}" for item, name in self.items)
        said = [f"SELECT {'DISTINCT ' if self.is_distinct else ''}{items} FROM {self.source.sql()}"]
        if self.where is not None:
            said.append(f"WHERE {self.where.sql()}")
        if self.keys:
            said.append(f"GROUP BY {', '.join(self._key(key) for key in self.keys)}")
        if self.having is not None:
            # as people write it: without parentheses around all of it
            said.append(f"HAVING {self.having.sql().removeprefix('(').removesuffix(')')}")
        return " ".join(said)

    def _key(self, key: Expr) -> str:
        selected = [item for item, _ in self.items]
        return str(selected.index(key) + 1) if self.has_ordinals and key in selected else key.sql()


@dataclass(frozen=True, slots=True)
class Union:
    """Arms under each other."""

    arms: tuple[Select, ...]
    is_all: bool = True

    def sql(self) -> str:
        return (" UNION ALL " if self.is_all else " UNION ").join(arm.sql() for arm in self.arms)


Body = Select | Union


@dataclass(frozen=True, slots=True, repr=False)
class Query:
    """A whole query."""

    ctes: tuple[tuple[str, Body], ...]
    body: Body

    def sql(self) -> str:
        ctes = ", ".join(f"{name} AS ({body.sql()})" for name, body in self.ctes)
        return (f"WITH {ctes} " if ctes else "") + self.body.sql()

    def __repr__(self) -> str:
        return self.sql()
