"""A tree of AMC SQL as one of DuckDB's SQL: functions, operators and casts (amc-api 3.2)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial

from sqlglot import exp

from amci.amcsql.duckdb_templates import call, filled, is_of_duckdb
from amci.amcsql.functions import casts
from amci.amcsql.functions.calls import arguments, family_of, function_of
from amci.amcsql.functions.duckdb_calls import CALLS
from amci.amcsql.functions.duckdb_nodes import NODES
from amci.amcsql.functions.model import Family, Function


class Families:
    """The families of expressions in a tree that is being changed: each is known from before its change."""

    def __init__(self, column_type: Callable[[exp.Column], Family]) -> None:
        self._column_type = column_type
        self._known: dict[int, Family] = {}
        # ids are of use only as long as what has them lives
        self._kept: list[exp.Expr] = []

    def __call__(self, node: exp.Expr) -> Family:
        """The family of a node."""
        family = self._known.get(id(node))
        if family is None:
            family = family_of(node, self._column_type, self)
            self._keep(node, family)
        return family

    def replaced(self, node: exp.Expr, new: exp.Expr) -> None:
        """What has taken a node's place is of its family."""
        self._keep(new, self(node))

    def _keep(self, node: exp.Expr, family: Family) -> None:
        self._known[id(node)] = family
        self._kept.append(node)


def to_duckdb(tree: exp.Expr, now: datetime, type_of_column: Callable[[exp.Column], Family]) -> exp.Expr:
    """The tree, changed in place, so that `sql(dialect="duckdb")` of it means in DuckDB what AMC means.

    `now` is what CURRENT_DATE and the like say. Patterns that DuckDB's own engine does not understand call the
    functions of `amci.sandbox.udfs`. What is no function of AMC's is left as it is, and so is what was changed before.
    """
    of = Families(type_of_column)
    # what is inside first: a call takes what has become of its arguments
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
