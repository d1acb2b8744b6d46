"""The parts of queries drawn at random: what may be read, filters, aggregates, groups."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from hypothesis import strategies as st

from .data import COLUMNS, LEVELS
from .oracle import about_of
from .queries import (
    Agg,
    All,
    Bin,
    Body,
    Case,
    Coalesce,
    Col,
    Expr,
    From,
    InList,
    InQuery,
    IsNull,
    Lit,
    Named,
    Select,
)
from .relations import About

VALUES = {"device": ("tv", "pc"), "site": ("s1", "s2"), "age": ("young", "old"), "region": ("north",)}
#: The highest level that may meet literals.
MEDIUM = LEVELS.index("MEDIUM")


_NOWHERE = Lit(None)


@dataclass(frozen=True, slots=True)
class Field:
    """A column as queries may use it."""

    name: str
    kind: Literal["user", "id", "dimension", "number"]
    level: int
    expr: Expr = _NOWHERE
    is_positive: bool = False  #: never zero, so that one may divide by it
    may_be_summed: bool = True


@dataclass(frozen=True, slots=True)
class Rel:
    """A table's name or a query, and its columns."""

    what: str | Body
    fields: tuple[Field, ...]
    is_single: bool  #: each row is one person's


@dataclass(frozen=True, slots=True)
class Scope:
    """What a FROM offers."""

    source: From
    fields: tuple[Field, ...]
    is_single: bool

    def of(self, *kinds: str, level: int = len(LEVELS)) -> list[Field]:
        return [field for field in self.fields if field.kind in kinds and field.level <= level]

    @property
    def about(self) -> dict[Expr, About]:
        return {field.expr: About(field.level) for field in self.fields}


def _field(name: str, kind: str, level: str) -> Field:
    if name in {"user_id", "household"}:
        return Field(name, "user" if name == "user_id" else "id", LEVELS.index(level))
    is_number = kind == "LONG"
    return Field(
        name, "number" if is_number else "dimension", LEVELS.index(level), is_positive=name == "amount"
    )


TABLES = {
    name: Rel(name, tuple(_field(*column) for column in columns), is_single=True)
    for name, columns in COLUMNS.items()
}


class Drawing:
    """Draws the parts of one query; the CTEs it makes on the way are its own."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.ctes: list[tuple[str, Body]] = []
        self.rels: list[Rel] = []
        self.aliases = (
            f"{letter}{turn or ''}" for turn in itertools.count() for letter in "abcdefghjkmnpqrsuvwxyz"
        )
        self.names = (f"n{place}" for place in itertools.count())

    def pick(self, options: Sequence[Any]) -> Any:
        return self.draw(st.sampled_from(list(options)))

    def chance(self, of_ten: int) -> bool:
        return bool(self.pick([False] * (10 - of_ten) + [True] * of_ten))

    def some(self, options: Sequence[Any], least: int, most: int) -> list[Any]:
        most = min(most, len(options))
        if not most:
            return []
        chosen = st.lists(
            st.sampled_from(range(len(options))), min_size=min(least, most), max_size=most, unique=True
        )
        return [options[place] for place in self.draw(chosen)]

    def mount(self, rel: Rel) -> Scope:
        """A relation in a FROM: a table, a CTE, or a sub-query on the spot."""
        alias = next(self.aliases)
        what = rel.what
        if not isinstance(what, str) and self.chance(7):
            name = f"t{len(self.ctes)}"
            self.ctes.append((name, what))
            self.rels.append(replace(rel, what=name))
            what = name
        fields = tuple(replace(field, expr=Col(alias, field.name)) for field in rel.fields)
        return Scope(Named(what, alias), fields, rel.is_single)

    def table(self) -> Rel:
        return TABLES[self.pick(["views", "clicks"])]

    def condition(self, scope: Scope) -> Expr:
        kind = self.pick(["user", "dimension", "dimension", "number", "list", "query"])
        dimensions = [f for f in scope.of("dimension", level=MEDIUM) if f.name in VALUES]
        numbers = scope.of("number", level=MEDIUM)
        users = scope.of("user")
        if kind == "query" and users:
            other = self.mount(self.table())
            inner = Select(((other.of("user")[0].expr, "u"),), other.source, where=self.condition_of(other))
            return InQuery(users[0].expr, inner, is_exists=self.chance(3))
        if kind in {"dimension", "list"} and dimensions:
            field = self.pick(dimensions)
            if kind == "list":
                return InList(field.expr, VALUES[field.name][:1])
            return Bin(self.pick(["=", "<>"]), field.expr, Lit(self.pick(VALUES[field.name])))
        if kind == "number" and numbers:
            return Bin(self.pick([">", "<=", "<>"]), self.pick(numbers).expr, Lit(self.pick([0, 1, 2])))
        return IsNull((users or list(scope.fields))[0].expr, is_negated=True)

    def condition_of(self, scope: Scope) -> Expr:
        return Bin("=", next(f.expr for f in scope.fields if f.name == "device"), Lit("tv"))

    def where(self, scope: Scope) -> Expr | None:
        conditions = [self.condition(scope) for _ in range(self.pick([0, 0, 0, 0, 0, 0, 1, 1, 2]))]
        return All(tuple(conditions)) if conditions else None

    def summed(self, scope: Scope, numbers: list[Field]) -> Expr:
        field = self.pick(numbers)
        if not scope.is_single or field.level > MEDIUM or self.chance(6):
            return Agg("SUM", field.expr)
        dimensions = [f for f in scope.of("dimension", level=MEDIUM) if f.name in VALUES]
        if dimensions and self.chance(5):
            which = self.pick(dimensions)
            test = Bin("=", which.expr, Lit(VALUES[which.name][0]))
            return Agg("SUM", Case(((test, field.expr),), Lit(0)))
        return Agg("SUM", self.pick([Bin("*", field.expr, Lit(2)), Coalesce((field.expr, Lit(0)))]))

    def aggregate(  # noqa: PLR0911 - one for each kind
        self, scope: Scope
    ) -> tuple[Expr, bool, bool]:
        """An aggregate, whether it is never zero, and whether its parts are clear to add up."""
        numbers = [field for field in scope.of("number") if field.may_be_summed]
        everything = scope.of("dimension", "number")
        distinct = scope.of("user", "id", "dimension")
        kind = self.pick(["sum", "sum", "sum", "positive", "rows", "count", "distinct", "least", "mean"])
        if kind == "sum" and numbers:
            return self.summed(scope, numbers), False, True
        positive = [field for field in numbers if field.is_positive]
        if kind == "positive" and positive:
            return Agg("SUM", self.pick(positive).expr), True, True
        if kind == "count" and everything:
            return Agg("COUNT", self.pick(everything).expr), False, True
        if kind == "distinct" and distinct:
            return Agg("COUNT DISTINCT", self.pick(distinct).expr), False, scope.is_single
        if kind == "least" and everything:
            return Agg(self.pick(["MIN", "MAX"]), self.pick(everything).expr), False, True
        if kind == "mean" and numbers:
            return Agg("AVG", self.pick(numbers).expr), False, True
        return Agg("COUNT"), True, True

    def having(self, scope: Scope) -> Expr | None:
        if not self.chance(3):
            return None
        numbers = [field for field in scope.of("number", level=MEDIUM) if field.may_be_summed]
        of = Agg("SUM", self.pick(numbers).expr) if numbers and self.chance(5) else Agg("COUNT")
        # few rows pass some of these, and most pass others
        return Bin(self.pick([">", "<="]), of, Lit(self.pick([0, 1, 3, 10, 40, 150])))

    def aggregated(self, scope: Scope, keys: list[Field], *, is_single: bool) -> Rel:
        """A sub-query that groups by some fields."""
        fields = list({key.name: key for key in keys}.values())
        items = [(field.expr, field.name) for field in fields]
        for name in itertools.islice(self.names, self.pick([1, 2, 3])):
            expr, is_positive, is_clear = self.aggregate(scope)
            is_text = isinstance(expr, Agg) and expr.function in {"MIN", "MAX"} and expr.of in {
                field.expr for field in scope.of("dimension")
            }  # fmt: skip
            level = about_of(expr, scope.about).level
            items.append((expr, name))
            fields.append(
                Field(
                    name,
                    "dimension" if is_text else "number",
                    level,
                    is_positive=is_positive,
                    may_be_summed=is_single or is_clear,
                )
            )
        select = Select(
            tuple(items),
            scope.source,
            where=self.where(scope),
            keys=tuple(expr for expr, _ in items[: len({key.name for key in keys})]),
            is_aggregated=True,
            having=self.having(scope),
            has_ordinals=self.chance(5),
        )
        return Rel(select, tuple(fields), is_single)
