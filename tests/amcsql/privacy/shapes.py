"""Queries drawn at random, in the shapes people write: filters, sums by user or by dimension, joins, unions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import strategies as st

from .drawing import MEDIUM, TABLES, Drawing, Field, Rel, Scope
from .queries import (
    Agg,
    Bin,
    Body,
    Case,
    Coalesce,
    Expr,
    From,
    IsNull,
    Join,
    Lit,
    Named,
    Query,
    Rank,
    Select,
    Union,
)


class Maker(Drawing):
    """Draws one query."""

    def events(self) -> Rel:
        """A table, some rows of one, or a union of two."""
        kind = self.pick(["table", "table", "ranked", "some rows", "union"])
        if kind == "table":
            return self.table()
        if kind == "ranked":
            return self.ranked()
        arms = [self.mount(self.table()) for _ in range(2 if kind == "union" else 1)]
        sides: list[tuple[str, int]] = [("x", 0), ("y", 1)]
        names = ["user_id", "household", *self.some(["device", "site", "age", "postal"], 1, 2)]
        number = self.pick(["amount", "cost", "score"])
        selects = []
        for place, arm in enumerate(arms):
            by_name = {field.name: field.expr for field in arm.fields}
            items = [(by_name[name], name) for name in names]
            items += [
                (by_name[number] if side == place else Lit(self.pick([0, 0, 1])), name)
                for name, side in sides
            ]
            selects.append(Select(tuple(items), arm.source, where=self.where(arm)))
        kept = {field.name: field for field in arms[0].fields}
        fields = [
            *(kept[name] for name in names),
            *(Field(n, "number", kept[number].level) for n, _ in sides),
        ]
        return Rel(selects[0] if len(arms) == 1 else Union(tuple(selects)), tuple(fields), is_single=True)

    def ranked(self) -> Rel:
        """A table with the rank of each row among its user's."""
        scope = self.mount(self.table())
        by_name = {field.name: field for field in scope.fields}
        kept = [
            by_name[name] for name in ("user_id", "household", "device", "site", "postal", "amount", "cost")
        ]
        rank = Rank(by_name["user_id"].expr, by_name["amount"].expr)
        items = (*((field.expr, field.name) for field in kept), (rank, "place"))
        fields = (*kept, Field("place", "number", 0, is_positive=True))
        return Rel(Select(items, scope.source, where=self.where(scope)), fields, is_single=True)

    def by_user(self) -> Rel:
        scope = self.joined_events() if self.chance(2) else self.mount(self.events())
        users = scope.of("user")
        return self.aggregated(
            scope, [users[0], *self.some(scope.of("dimension"), 0, 1)], is_single=scope.is_single
        )

    def by_dimension(self, key: str | None = None) -> Rel:
        of = self.pick(
            ["events", "events", "user", "user", "dimension"] if key is None else ["events", "user"]
        )
        rel = self.by_user() if of == "user" else self.by_dimension() if of == "dimension" else self.events()
        scope = self.mount(rel)
        wanted = [field for field in scope.of("dimension") if field.name == key]
        others = [field for field in scope.of("dimension") if field not in wanted]
        return self.aggregated(scope, wanted or self.some(others, 1, 2), is_single=False)

    def joined_events(self) -> Scope:
        return self.joined(self.mount(self.events()), self.mount(self.by_user_simple()))

    def by_user_simple(self) -> Rel:
        scope = self.mount(self.table())
        return self.aggregated(scope, scope.of("user"), is_single=True)

    def joined(self, left: Scope, right: Scope) -> Scope:
        """Two scopes by their users."""
        kind = self.pick(["JOIN", "LEFT JOIN", "LEFT JOIN", "FULL JOIN"])
        a, b = left.of("user")[0], right.of("user")[0]
        user = replace(a, expr=Coalesce((a.expr, b.expr))) if kind == "FULL JOIN" else a
        rest = [field for field in left.fields + right.fields if field not in (a, b)]
        if kind != "JOIN":
            lone = ((IsNull(b.expr), Lit("left")), (IsNull(a.expr), Lit("right")))
            rest.append(Field("who", "dimension", 0, Case(lone, Lit("both"))))
        source = Join(kind, left.source, _named(right.source), ((a.expr, b.expr),))
        return Scope(source, (user, *rest), is_single=left.is_single and right.is_single)

    def beside(self, left: Scope) -> Scope:
        """A scope and sums by one of its dimensions, or the places of its postal codes."""
        if not left.of("dimension"):
            return left
        shared = self.pick(left.of("dimension"))
        if shared.name == "postal" and self.chance(5):
            right = self.mount(TABLES["places"])
            right = replace(right, fields=tuple(f for f in right.fields if f.name != "people"))
        else:
            right = self.mount(self.by_dimension(shared.name))
        other = next((field for field in right.fields if field.name == shared.name), None)
        if other is None:
            return left
        kind = self.pick(["JOIN", "LEFT JOIN", "FULL JOIN"])
        key = Coalesce((shared.expr, other.expr)) if kind == "FULL JOIN" else shared.expr
        source = Join(kind, left.source, _named(right.source), ((shared.expr, other.expr),))
        fields = [replace(field, expr=key) if field is shared else field for field in left.fields]
        rest = [field for field in right.fields if field is not other]
        return Scope(source, (*fields, *rest), is_single=left.is_single and right.is_single)

    def scope(self) -> Scope:
        kind = self.pick(["events", "by user", "by dimension", "joined", "joined users", "beside"])
        match kind:
            case "events":
                return self.mount(self.events())
            case "by user":
                return self.mount(self.by_user())
            case "by dimension":
                return self.mount(self.by_dimension())
            case "joined":
                return self.joined_events()
            case "joined users":
                again = self.chance(2) and [rel for rel in self.rels if rel.fields[0].kind == "user"]
                left = self.mount(self.by_user())
                return self.joined(left, self.mount(self.pick(again) if again else self.by_user()))
            case _:
                return self.beside(self.mount(self.events()))

    def key(self, scope: Scope) -> Expr:
        numbers = [field for field in scope.of("number", level=MEDIUM) if field.may_be_summed]
        dimensions = scope.of("dimension")
        if numbers and (not dimensions or self.chance(3)):
            number = self.pick(numbers).expr
            few = Bin("<=", number, Lit(self.pick([1, 2])))
            none = IsNull(number)
            bucket = Case(((none, Lit("none")), (few, Lit("few"))), Lit("many"))
            return bucket if self.chance(7) else number
        return self.pick(dimensions).expr

    def output(self, scope: Scope) -> Expr:
        expr, _, _ = self.aggregate(scope)
        numbers = [field for field in scope.of("number") if field.may_be_summed]
        if not numbers or self.chance(6):
            return expr
        summed = Agg("SUM", self.pick(numbers).expr)
        positive = [Agg("COUNT"), *(Agg("SUM", field.expr) for field in numbers if field.is_positive)]
        return self.pick([
            Bin("/", summed, Lit(100)),
            Bin("/", summed, self.pick(positive)),
            Bin("+", summed, Agg("COUNT")),
            Bin("-", summed, Agg("SUM", self.pick(numbers).expr)),
        ])  # fmt: skip

    def final(self, scope: Scope) -> Select:
        has_keys = bool(scope.of("dimension")) and self.chance(9)
        keys = tuple(dict.fromkeys(self.key(scope) for _ in range(self.pick([1, 2, 2]) if has_keys else 0)))
        shown = [key for key in keys if self.chance(8)]
        outputs = [*shown, *(self.output(scope) for _ in range(self.pick([1, 2, 3])))]
        return Select(
            tuple((expr, f"c{place}") for place, expr in enumerate(outputs)),
            scope.source,
            where=self.where(scope),
            keys=keys,
            is_aggregated=True,
            having=self.having(scope),
            has_ordinals=self.chance(5),
        )

    def plain(self) -> Select:
        """No aggregate of its own: it reads what CTEs have added up."""
        scope = self.mount(self.by_dimension())
        if self.chance(5):
            scope = self.beside(scope)
        dimensions = [field.expr for field in scope.of("dimension")]
        numbers = [field.expr for field in scope.of("number")]
        if dimensions and self.chance(2):
            items = self.some(dimensions, 1, 2)
            return Select(_items(items), scope.source, where=self.where(scope), is_distinct=True)
        if numbers and self.chance(3):
            numbers.append(Bin("/", numbers[0], Lit(100)))
            numbers.append(Bin("+", numbers[0], numbers[-2]))
        items = [*self.some(dimensions, 0, 2), *self.some(numbers, 1, 3)] or dimensions
        return Select(_items(items), scope.source, where=self.where(scope))

    def union(self) -> Union:
        """Arms that ask the same of two tables."""
        first = self.final(self.mount(self.table()))
        other = Named(self.table().what, _named(first.source).alias)
        return Union((first, replace(first, source=other)))

    def query(self) -> Query:
        kind = self.pick(["final", "final", "final", "final", "plain", "union"])
        body: Body = (
            self.plain() if kind == "plain" else self.union() if kind == "union" else self.final(self.scope())
        )
        return Query(tuple(self.ctes), body)


def _items(exprs: Sequence[Expr]) -> tuple[tuple[Expr, str], ...]:
    return tuple((expr, f"c{place}") for place, expr in enumerate(exprs))


def _named(source: From) -> Named:
    assert isinstance(source, Named)
    return source


queries = st.composite(lambda draw: Maker(draw).query())()
