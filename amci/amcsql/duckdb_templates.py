"""DuckDB expressions with $1, $2 … in them, filled with parts of a tree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import ClassVar

import sqlglot
from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB

#: What needs parentheses inside another expression.
_LOOSE = (exp.Binary, exp.Not, exp.Neg, exp.Between, exp.In, exp.Interval)

_OF_DUCKDB = "amci is of duckdb"


class _AsWritten(DuckDB):
    """DuckDB's SQL whose calls stay the calls that are written, whatever else sqlglot knows them as."""

    class Parser(DuckDB.Parser):  # type: ignore[misc, valid-type, unused-ignore]
        """No function has a class of its own but CAST."""

        FUNCTIONS: ClassVar[dict[str, Callable[..., exp.Expr]]] = {}
        FUNCTION_PARSERS: ClassVar = {"CAST": DuckDB.Parser.FUNCTION_PARSERS["CAST"]}


def filled(template: str, arguments: Sequence[exp.Expr]) -> exp.Expr:
    """The expression of a template; an argument it names twice is copied."""
    made = _parsed(template).copy()
    used: set[int] = set()
    for slot in list(made.find_all(exp.Placeholder)):
        number = int(slot.name)
        argument = arguments[number - 1]
        part = argument.copy() if number in used else argument
        used.add(number)
        slot.replace(exp.Paren(this=part) if isinstance(part, _LOOSE) else part)
    # a template that is computed, such as `dayofweek($1) + 1`, goes into any place
    return exp.Paren(this=made) if isinstance(made, _LOOSE) else made


def call(name: str, *arguments: exp.Expr) -> exp.Anonymous:
    """A call of a function of DuckDB's."""
    made = exp.Anonymous(this=name, expressions=list(arguments))
    made.meta[_OF_DUCKDB] = True
    return made


def is_of_duckdb(node: exp.Expr) -> bool:
    """Whether a call was made here: AMC may have another function of the same name."""
    return _OF_DUCKDB in node.meta


@cache
def _parsed(template: str) -> exp.Expr:
    tree = sqlglot.parse_one(template, dialect=_AsWritten)
    for made in tree.find_all(exp.Anonymous):
        made.meta[_OF_DUCKDB] = True
    return tree
