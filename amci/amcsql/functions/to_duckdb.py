"""A tree of AMC SQL as one of DuckDB's SQL: functions, operators and casts (amc-api 3.2)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from sqlglot import exp

from amci.amcsql.duckdb_templates import call, filled, is_of_duckdb
from amci.amcsql.functions import casts
from amci.amcsql.functions.calls import arguments, family_of, function_of
from amci.amcsql.functions.casts import FamilyOf
from amci.amcsql.functions.duckdb_calls import CALLS
from amci.amcsql.functions.table import Family, Function
from amci.amcsql.patterns import regexes

Change = Callable[[Any, FamilyOf, datetime], exp.Expr]

_COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ)
_TRIMS = {"BOTH": "trim", "LEADING": "ltrim", "TRAILING": "rtrim"}


def _compared(node: exp.Binary, of: FamilyOf, _: datetime) -> exp.Expr:
    casts.aligned([node.this, node.expression], of)
    return node


def _between(node: exp.Between, of: FamilyOf, _: datetime) -> exp.Expr:
    casts.aligned([node.this, node.args["low"], node.args["high"]], of)
    return node


def _in(node: exp.In, of: FamilyOf, _: datetime) -> exp.Expr:
    query = node.args.get("query")
    if query is None:
        casts.aligned([node.this, *node.expressions], of)
        return node
    left, right = of(node.this), of(query)
    if left == "STRING" and right in (*casts.NUMBERS, "DATE", "TIMESTAMP"):
        casts.wrap(node.this, lambda each: casts.tried(each, right))
    elif right == "STRING" and left in (*casts.NUMBERS, "DATE", "TIMESTAMP"):
        node.set("query", _tried_rows(query, left))
    return node


def _tried_rows(query: exp.Expr, family: str) -> exp.Subquery:
    """The rows of a sub-query of one column, which is text, as another family."""
    inner = query.this if isinstance(query, exp.Subquery) and not query.alias else query
    name = exp.TableAlias(this=exp.to_identifier("rows"), columns=[exp.to_identifier("value")])
    rows = exp.Subquery(this=inner, alias=name)
    value = casts.tried(exp.column("value", table="rows"), family)
    return exp.Subquery(this=exp.Select(expressions=[value], from_=exp.From(this=rows)))


def _computed(node: exp.Binary, of: FamilyOf, _: datetime) -> exp.Expr:
    """Text counts as a number."""
    sides = (node.this, node.expression)
    if all(of(side) in (*casts.NUMBERS, "STRING", "NULL") for side in sides):
        for side in sides:
            if of(side) == "STRING":
                casts.wrap(side, lambda each: casts.tried(each, "DOUBLE"))
    return node


def _divided(node: exp.Div, of: FamilyOf, now: datetime) -> exp.Expr:
    """Always a fraction, and NULL for division by zero."""
    _computed(node, of, now)
    divisor = node.expression
    if not (isinstance(divisor, exp.Literal) and divisor.is_number and float(divisor.name)):
        node.set("expression", exp.Nullif(this=_bare(divisor), expression=exp.Literal.number(0)))
    # sqlglot would otherwise see to the division itself
    node.set("typed", False)
    node.set("safe", False)
    return node


def _bare(node: exp.Expr) -> exp.Expr:
    while isinstance(node, exp.Paren):
        node = node.this
    return node


def _case(node: exp.Case, of: FamilyOf, _: datetime) -> exp.Expr:
    casts.as_texts(arguments(node), of)
    if node.this is not None:
        casts.aligned([node.this, *(branch.this for branch in node.args["ifs"])], of)
    return node


def _if(node: exp.If, of: FamilyOf, _: datetime) -> exp.Expr:
    if not isinstance(node.parent, exp.Case):
        false = node.args.get("false")
        casts.as_texts([node.args["true"], *([false] if false else [])], of)
    return node


def _coalesce(node: exp.Coalesce, of: FamilyOf, _: datetime) -> exp.Expr:
    casts.as_texts([node.this, *node.expressions], of)
    return node


def _nullif(node: exp.Nullif, of: FamilyOf, _: datetime) -> exp.Expr:
    first, second = of(node.this), of(node.expression)
    if second == "STRING" and first in (*casts.NUMBERS, "DATE", "TIMESTAMP"):
        casts.wrap(node.expression, lambda each: casts.tried(each, first))
    elif first == "STRING":
        casts.as_texts([node.this, node.expression], of)
    return node


def _extract(node: exp.Extract, of: FamilyOf, _: datetime) -> exp.Expr:
    if of(node.expression) == "STRING":
        casts.wrap(node.expression, lambda each: casts.tried(each, "TIMESTAMP"))
    if node.this.name.upper() == "DOW":
        return filled("dayofweek($1) + 1", [node.expression])
    return node


def _similar(node: exp.SimilarTo, of: FamilyOf, _: datetime) -> exp.Expr:
    return regexes.found(_text(node.this, of), node.expression)


def _with_texts(*names: str) -> Change:
    """A change that casts these parts of a node to text."""

    def change(node: exp.Expr, of: FamilyOf, _: datetime) -> exp.Expr:
        for name in names:
            node.set(name, _text(node.args[name], of))
        return node

    return change


def _trim(node: exp.Trim, of: FamilyOf, _: datetime) -> exp.Expr:
    name = _TRIMS[node.args.get("position") or "BOTH"]
    given = node.args.get("expression")
    return call(name, _text(node.this, of), *([given] if given else []))


def _text(node: exp.Expr, of: FamilyOf) -> exp.Expr:
    return node if of(node) in ("STRING", "NULL", "UNKNOWN") else casts.text(node)


NODES: dict[type[exp.Expr], Change] = {
    **dict.fromkeys(_COMPARISONS, _compared),
    **dict.fromkeys((exp.Add, exp.Sub, exp.Mul, exp.Mod), _computed),
    exp.Between: _between,
    exp.Case: _case,
    exp.Cast: casts.explicit,
    exp.Coalesce: _coalesce,
    exp.CurrentDate: lambda _, __, now: casts.day(now.astimezone(UTC).date()),
    exp.CurrentTimestamp: lambda _, __, now: casts.moment(now),
    exp.Div: _divided,
    exp.DPipe: _with_texts("this", "expression"),
    exp.Extract: _extract,
    exp.If: _if,
    exp.In: _in,
    exp.Like: _with_texts("this"),
    exp.Nullif: _nullif,
    exp.SimilarTo: _similar,
    exp.Substring: _with_texts("this"),
    exp.Trim: _trim,
}


class Families:
    """The families of expressions in a tree that is being changed: each is known from before its change."""

    def __init__(self, column_type: Callable[[exp.Column], Family]) -> None:
        self._column_type = column_type
        self._known: dict[int, Family] = {}
        # an id may be reused once its node is gone
        self._kept: list[exp.Expr] = []

    def __call__(self, node: exp.Expr) -> Family:
        """The family of a node."""
        family = self._known.get(id(node))
        if family is None:
            family = family_of(node, self._column_type, self)
            self._keep(node, family)
        return family

    def replaced(self, node: exp.Expr, new: exp.Expr) -> None:
        """Record that the new node has the family of the one it replaced."""
        self._keep(new, self(node))

    def _keep(self, node: exp.Expr, family: Family) -> None:
        self._known[id(node)] = family
        self._kept.append(node)


def to_duckdb(tree: exp.Expr, now: datetime, type_of_column: Callable[[exp.Column], Family]) -> exp.Expr:
    """The tree, changed in place, so that `sql(dialect="duckdb")` of it means in DuckDB what AMC means.

    `now` is what CURRENT_DATE and the like say. Patterns that DuckDB's own engine does not understand call the
    functions of `amci.sandbox.udfs`. Functions that AMC lacks, and what was changed before, stay as they are.
    """
    of = Families(type_of_column)
    # inner nodes first: a call takes its arguments as they are after their change
    for node in reversed(list(tree.walk())):
        if type(node) not in _CHANGING or is_of_duckdb(node):
            continue
        of(node)
        new = _changed(node, of, now)
        if new is not node:
            of.replaced(node, new)
            tree = new if node is tree else tree
            node.replace(new)
    return tree


def _changed(node: exp.Expr, of: Families, now: datetime) -> exp.Expr:
    if change := NODES.get(type(node)):
        return change(node, of, now)
    function = function_of(node)
    if function is None:
        return node
    _suited(function, arguments(node), of)
    given = arguments(node)
    if build := CALLS.get(function.name):
        return build(given, of)
    if not isinstance(node, exp.Anonymous) or not function.duckdb:
        return node
    if "(" in function.duckdb or "$" in function.duckdb:
        return filled(function.duckdb, given)
    return call(function.duckdb, *given)


def _suited(function: Function, given: list[exp.Expr], of: Families) -> None:
    """Cast arguments to what the function wants."""
    for want, argument in zip(function.wants, given, strict=False):
        node = argument.expressions[0] if isinstance(argument, exp.Distinct) else argument
        family, wanted = of(node), _WANTED.get(want)
        if wanted == "STRING" and family not in ("STRING", "BINARY", "UNKNOWN"):
            casts.wrap(node, casts.text)
        elif wanted in ("TIMESTAMP", "DOUBLE") and family in ("STRING", "NULL"):
            # of a bare NULL, DuckDB would not know which of its functions of this name is meant
            casts.wrap(node, partial(casts.tried, family=wanted))


_WANTED = {"S": "STRING", "T": "TIMESTAMP", "D": "DOUBLE"}
_CHANGING = {exp.Anonymous, exp.Avg, exp.Sum, exp.Concat, exp.StrPosition, *NODES}
