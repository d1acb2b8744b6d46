"""The tables of a query: known ones are read within the time window, others are refused (amc-api 3.4, 3.5)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from sqlglot import exp

from amci.sandbox.errors import CompileError
from amci.sandbox.literals import moment
from amci.sandbox.parts import part_of
from amci.sandbox.positions import spot
from amci.amcsql.sources import Source, source
from amci.sandbox.windows import Window

_DURATION = re.compile(
    r"P(?:(?P<years>\d+)Y)?(?:(?P<months>\d+)M)?(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+)S)?)?"
)
_EXTEND_ARGUMENTS = 3


def with_windows(tree: exp.Query, sql: str, window: Window, instance_id: str = "") -> exp.Query:
    """The tree with each read of a fact table limited to the window and to the events of an instance.

    Without an instance it reads the events of all of them. Raises CompileError.
    """
    for table in list(tree.find_all(exp.Table)):
        _refuse_star_of(table)
        if isinstance(table.this, exp.Anonymous):
            table.replace(_extended(table, sql, window, instance_id))
        elif not isinstance(table.this, exp.Identifier):
            raise CompileError(f"SQL query was invalid: {table.sql()} is not a table")
        elif not _is_cte(table):
            table.replace(_scan(table, _known(table.this, sql), window, instance_id))
    return tree


def _known(name: exp.Expr, sql: str) -> Source:
    found = source(name.name)
    if found is None:
        raise CompileError(f"SQL query was invalid: {spot(sql, name)}Object '{name.name}' not found")
    return found


def _scan(table: exp.Table, found: Source, window: Window, instance_id: str) -> exp.Expr:
    """The table within the window, under the name the query knows it by."""
    rows = exp.select("*").from_(part_of(found, instance_id))
    if found.event_time:
        at = exp.column(found.event_time)
        rows = rows.where(
            exp.and_(
                exp.GTE(this=at, expression=moment(window.start)),
                exp.LT(this=at.copy(), expression=moment(window.end)),
            )
        )
    scan = rows.subquery(table.alias or table.name or found.name)
    scan.set("joins", table.args.get("joins"))
    return scan


def _extended(table: exp.Table, sql: str, window: Window, instance_id: str) -> exp.Expr:
    """TABLE(EXTEND_TIME_WINDOW('table', 'P14D', 'P1D')): the table over a longer window."""
    call = table.this
    inner = call.expressions[0] if call.name.upper() == "TABLE" and len(call.expressions) == 1 else call
    if not isinstance(inner, exp.Anonymous) or inner.name.upper() != "EXTEND_TIME_WINDOW":
        raise CompileError(f"SQL query was invalid: {call.name}(…) is not a table")
    arguments = inner.expressions
    if len(arguments) != _EXTEND_ARGUMENTS or not all(
        isinstance(a, exp.Literal) and a.is_string for a in arguments
    ):
        raise CompileError(
            "SQL query was invalid: EXTEND_TIME_WINDOW takes a table and two durations in quotes"
        )
    name, before, after = arguments
    longer = replace(
        window, start=window.start - _duration(before.name), end=window.end + _duration(after.name)
    )
    return _scan(table, _known(name, sql), longer, instance_id)


def _duration(text: str) -> timedelta:
    """An ISO 8601 duration; a month counts 30 days, a year 365."""
    found = _DURATION.fullmatch(text)
    if not found or not any(found.groupdict().values()):
        raise CompileError(f"SQL query was invalid: '{text}' is not an ISO 8601 duration such as 'P14D'")
    given = {unit: int(count or 0) for unit, count in found.groupdict().items()}
    days = given["years"] * 365 + given["months"] * 30 + given["weeks"] * 7 + given["days"]
    return timedelta(days=days, hours=given["hours"], minutes=given["minutes"], seconds=given["seconds"])


def _is_cte(table: exp.Table) -> bool:
    return not table.db and table.name.lower() in set(_visible(table))


def _visible(table: exp.Table) -> Iterator[str]:
    """Names of the CTEs that can be seen from here: those declared before, of this query and those around."""
    node: exp.Expr = table
    within: exp.Expr | None = None
    while node.parent is not None:
        if isinstance(node, exp.CTE):
            within = node
        node = node.parent
        if isinstance(node, exp.With):
            for cte in node.expressions:
                if cte is within:
                    break
                yield cte.alias.lower()
        elif (with_ := node.args.get("with_")) is not None and (within is None or within.parent is not with_):
            yield from (cte.alias.lower() for cte in with_.expressions)


def _refuse_star_of(table: exp.Table) -> None:
    """`t.*` is for derived tables only."""
    select = table.parent_select
    if select is None or _is_cte(table):
        return
    name = (table.alias or table.name).lower()
    for column in select.expressions:
        if (
            isinstance(column, exp.Column)
            and isinstance(column.this, exp.Star)
            and column.table.lower() == name
        ):
            raise CompileError(f"SQL query was invalid: {column.table}.* is not supported; name the columns")
