"""AMC SQL to DuckDB SQL: parsed, checked and changed as a tree, never as text (amc-api 3)."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, SqlglotError

from amci.sandbox.errors import CompileError
from amci.sandbox.functions import CLOCKS, translated_functions
from amci.sandbox.parameters import with_parameters
from amci.sandbox.scans import with_windows
from amci.sandbox.windows import Window

# What sqlglot warns of on the console (statements it only half knows) is refused here anyway.
logging.getLogger("sqlglot").setLevel(logging.ERROR)

#: Two moments for a query that is compiled and not run.
ANY_WINDOW = Window(start=datetime(2020, 1, 1, tzinfo=UTC), end=datetime(2020, 1, 2, tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class Translated:
    """A query for DuckDB."""

    sql: str
    kinds: Sequence[str]  #: DIMENSION or METRIC, a column each


def translate(
    sql: str,
    declared: Sequence[Mapping[str, Any]] = (),
    values: Mapping[str, Any] | None = None,
    window: Window = ANY_WINDOW,
    now: datetime = ANY_WINDOW.end,
    instance_id: str = "",
) -> Translated:
    """The query with its window, parameter values and `now` in place; raises CompileError.

    `declared` are the workflow's `inputParameters`. Without an instance it reads the events of all of them.
    """
    tree = parsed(sql).copy()
    kinds = tuple(map(_kind, _named(tree)))
    tree = with_parameters(tree, declared, values or {}, window)
    tree = with_windows(tree, sql, window, instance_id)
    tree = translated_functions(tree, now)
    return Translated(sql=tree.sql(dialect="duckdb"), kinds=kinds)


@lru_cache(maxsize=256)
def parsed(sql: str) -> exp.Query:
    """The tree of one SELECT that AMC would take; raises CompileError. Not to be changed."""
    try:
        found = sqlglot.parse(sql)
    except ParseError as error:
        raise CompileError(_encountered(error)) from error
    except SqlglotError as error:
        raise CompileError(f"SQL query was invalid: {str(error).splitlines()[0]}") from error
    except RecursionError as error:
        raise CompileError("SQL query was invalid: it is nested too deeply") from error
    statements = [each for each in found if each is not None and not isinstance(each, exp.Semicolon)]
    if len(statements) != 1:
        raise CompileError("SQL query was invalid: exactly one SELECT statement is required")
    (tree,) = statements
    if not isinstance(tree, exp.Query):
        raise CompileError("SQL query was invalid: only SELECT statements are supported")
    for refused in _refused(tree):
        raise CompileError(f"SQL query was invalid: {refused}")
    return tree


def asks_the_time(sql: str) -> bool:
    """Whether the query depends on when it is run; raises CompileError."""
    tree = parsed(sql)
    words = {literal.name.lower() for literal in tree.find_all(exp.Literal)}
    return bool(words & {"now", "today"}) or tree.find(*CLOCKS) is not None


def _refused(tree: exp.Query) -> Iterator[str]:
    """What AMC SQL does not have."""
    if tree.find(exp.DML, exp.DDL, exp.Command, exp.Into):
        yield "only SELECT statements are supported"
    if tree.find(exp.Limit, exp.Offset, exp.Fetch):
        yield "LIMIT is not supported"
    for join in tree.find_all(exp.Join):
        if join.side == "RIGHT":
            yield "RIGHT JOIN is not supported"
    for select in tree.find_all(exp.Select):
        if not select.expressions:
            yield 'Encountered "FROM"; a SELECT needs columns'
        if any(map(_is_star, select.expressions)) and not _is_over_values(select):
            yield "SELECT * is not supported; name the columns"
    if any(with_.recursive for with_ in tree.find_all(exp.With)):
        yield "recursive queries are not supported"


def _is_star(expression: exp.Expr) -> bool:
    return isinstance(expression, exp.Star)


def _is_over_values(select: exp.Select) -> bool:
    from_ = select.args.get("from_")
    return from_ is not None and isinstance(from_.this, exp.Values) and not select.args.get("joins")


def _named(tree: exp.Query) -> Sequence[exp.Expr]:
    """The output columns; those without a name get the one Calcite gives them."""
    first = tree
    while isinstance(first, exp.SetOperation | exp.Subquery):
        first = first.this
    if not isinstance(first, exp.Select):
        return ()
    for place, column in enumerate(first.expressions):
        if not isinstance(column, exp.Alias | exp.Column):
            column.replace(exp.alias_(column.copy(), f"EXPR${place}", quoted=True))
    return first.expressions


def _kind(column: exp.Expr) -> str:
    """Sums and counts are metrics; a count of distinct values is a dimension (amc-api 2.2)."""
    counts = [count for count in column.find_all(exp.Count) if not isinstance(count.this, exp.Distinct)]
    return "METRIC" if column.find(exp.Sum) or counts else "DIMENSION"


def _encountered(error: ParseError) -> str:
    """A parse error in Calcite's words."""
    if not error.errors:
        return "SQL query was invalid: it cannot be parsed"
    first = error.errors[0]
    word = str(first.get("highlight") or "<EOF>")
    column = max(1, int(first.get("col") or 1) - len(word) + 1)
    return f'SQL query was invalid: Encountered "{word}" at line {first.get("line") or 1}, column {column}.'
