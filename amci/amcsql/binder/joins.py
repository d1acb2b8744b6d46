"""Puts the items of FROM together, and learns from equalities which users are the same (amc-api 3.1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from sqlglot import exp

from amci.amcsql.binder.bound import FromItem
from amci.amcsql.binder.expressions import COMPARISON, Reader
from amci.amcsql.binder.levels import NOBODY, ValueFacts
from amci.amcsql.binder.scopes import FindingReport, NameScope, Seen
from amci.amcsql.binder.user_identity import Class, classes_of


class Joined:
    """FROM as far as it has been read."""

    def __init__(self, scope: NameScope, report: FindingReport) -> None:
        self._scope, self._report = scope, report
        self.items: list[FromItem] = []
        self.same: list[Class] = []

    def add(self, item: FromItem, join: exp.Expr | None, reader: Reader) -> None:
        """Join one more item."""
        if any(seen.alias == item.alias.lower() for seen in self._scope.items):
            text = f"Duplicate relation name '{item.alias}' in FROM clause"
            self._report.error(join, "duplicate-name", text, "give one of them another name")
        seen = self._scope.add(item)
        self.items.append(item)
        self.same += classes_of(item.relation)
        if join is None:
            return
        if using := join.args.get("using"):
            item.on = exp.and_(*(self._using(column, seen) for column in using))
        elif join.args.get("on") is not None:
            reader.read(join.args["on"])
            item.on = join.args["on"]
            if reader.has_aggregate:
                self._report.error(item.on, "aggregate-in-on", "Aggregate expression is illegal in ON clause")
                reader.has_aggregate = False
        elif item.kind in ("LEFT", "FULL"):
            self._report.error(
                join, "join-condition", f"{item.kind} JOIN requires a condition in ON or USING"
            )
        for left, right in _equalities(item.on):
            self._learn(left, right, item)

    def filtered(self, condition: exp.Expr) -> None:
        """WHERE keeps only rows in which its equalities hold."""
        for left, right in _equalities(condition):
            self._learn(left, right, None)

    def _using(self, name: exp.Expr, right: Seen) -> exp.Expr:
        key = name.name.lower()
        left = next((seen for seen in self._scope.items if seen is not right and key in seen.columns), None)
        if left is None or key not in right.columns:
            text = f"Column '{name.name}' not found in any table"
            self._report.error(name, "unknown-column", text, "USING takes columns that both sides have")
            return exp.true()
        places = self._scope.shared.setdefault(key, [(left, key)])
        # of an outer join the side that is always there comes first
        places.append((right, key))
        sides = []
        for seen in (left, right):
            column = exp.column(exp.to_identifier(name.name))
            column.set("table", exp.to_identifier(seen.item.alias, quoted=True))
            column.this.meta.update(name.meta)
            self._scope.resolve(column, self._report)
            sides.append(column)
        condition = exp.EQ(this=sides[0], expression=sides[1])
        facts = [self._facts(side) for side in sides]
        if any(each.is_barred for each in facts) and any(each.is_literal for each in facts):
            text = (
                f"Column '{name.name}' has a high aggregation threshold and may not be joined with a literal,"
                " a parameter or what comes from them"
            )
            self._report.error(name, COMPARISON, text)
        return condition

    def _learn(self, left: exp.Column, right: exp.Column, outer: FromItem | None) -> None:
        """Record that both sides of an equality tell the same user."""
        one, other = self._facts(left), self._facts(right)
        if not (one.identifies and other.identifies):
            return
        first, second = self._class(one), self._class(other)
        if first is None or second is None:
            return
        if first != second:
            self.same = [each for each in self.same if each not in (first, second)] + [first | second]
        if outer is None or outer.kind in ("INNER", "CROSS"):
            both = one.covers | other.covers
            self._cover(left, both)
            self._cover(right, both)
        elif outer.kind == "LEFT":
            # what is not matched is not there
            inner, away, there = (left, first, right) if self._is_of(left, outer) else (right, second, left)
            if self._is_of(inner, outer) and not self._is_of(there, outer):
                self._cover(there, self._facts(there).covers | (away & _paths(outer)))

    def _class(self, facts: ValueFacts) -> Class | None:
        return next((each for each in self.same if facts.identifies <= each), None)

    def _facts(self, node: exp.Column) -> ValueFacts:
        seen = self._scope.by_alias(node.table)
        output = seen.columns.get(node.name.lower()) if seen else None
        return output.facts if output else ValueFacts()

    def _cover(self, node: exp.Column, covers: frozenset[int]) -> None:
        seen = next((each for each in self._scope.items if each.alias == node.table.lower()), None)
        if seen is not None:
            self._scope.learn(seen, node.name.lower(), replace(self._facts(node), covers=covers))

    def _is_of(self, node: exp.Column, item: FromItem) -> bool:
        return node.table.lower() == item.alias.lower()


def _paths(item: FromItem) -> frozenset[int]:
    return NOBODY.union(*classes_of(item.relation))


def _equalities(condition: exp.Expr | None) -> Iterator[tuple[exp.Column, exp.Column]]:
    """The pairs of columns that are equal wherever the condition holds."""
    if condition is None:
        return
    node = condition.unnest()
    if isinstance(node, exp.And):
        yield from _equalities(node.this)
        yield from _equalities(node.expression)
    elif isinstance(node, exp.EQ):
        left, right = node.this.unnest(), node.expression.unnest()
        if isinstance(left, exp.Column) and isinstance(right, exp.Column):
            yield left, right
