"""What DuckDB says of a query, in the words of Calcite, whose validator AMC's texts come from (amc-api 1.5)."""

from __future__ import annotations

import re

from sqlglot import exp

from amci.amcsql.findings import Finding, place_of
from amci.amcsql.functions.table import FUNCTIONS
from amci.amcsql.grammar.parsing import parsed

#: DuckDB's text, and Calcite's for the same; the first group is the name that is at fault.
_TEXTS = (
    (r'Referenced column "([^"]+)" (?:was )?not found', "Column '{}' not found in any table"),
    (
        r"No function matches the given name and argument types '(\w+)\(",
        "Cannot apply '{}' to arguments of these types",
    ),
    (r"Cannot compare values of type .* in '?(\w+)", "Cannot compare values of these types in '{}'"),
)


def in_calcites_words(said: str, sql: str) -> Finding:
    """What is wrong with `sql`, for an error about its translation."""
    tree = parsed(sql)
    for pattern, text in _TEXTS:
        if found := re.search(pattern, said):
            name = _amcs(found[1])
            return _finding(sql, _named(tree, name), text.format(name))
    first = re.sub(r"^[A-Za-z ]+ Error: ", "", said.splitlines()[0])
    return _finding(sql, None, re.sub(r'"amci [^"]*"', "a value", first))


def _finding(sql: str, node: exp.Expr | None, text: str) -> Finding:
    return Finding(
        severity="error", code="types", text=text, place=place_of(sql, node), hint="CAST one of the values"
    )


def _amcs(name: str) -> str:
    """AMC's name of a function that DuckDB calls otherwise."""
    return next((each.name for each in FUNCTIONS.values() if each.duckdb.lower() == name.lower()), name)


def _named(tree: exp.Expr, name: str) -> exp.Expr | None:
    """The first call or name that is meant."""
    wanted = name.lower()
    return next((node for node in tree.walk() if node.name.lower() == wanted or _call(node) == wanted), None)


def _call(node: exp.Expr) -> str:
    return node.sql_name().lower() if isinstance(node, exp.Func) else ""
