"""What the grammar takes and AMC does not: types, units, patterns, table functions, joins without a condition."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sqlglot import exp

from amci.amcsql.findings import Finding, between, place_of
from amci.amcsql.patterns import regexes

#: Of EXTRACT and DATE_TRUNC (amc-api 3.2).
EXTRACT_UNITS = ("SECOND", "MINUTE", "HOUR", "DAY", "DOW", "WEEK", "MONTH", "YEAR")
TRUNC_UNITS = ("SECOND", "MINUTE", "HOUR", "DAY", "WEEK", "MONTH", "QUARTER", "YEAR")
_TYPE = exp.DType
_TYPES = {
    _TYPE.BOOLEAN, _TYPE.TINYINT, _TYPE.SMALLINT, _TYPE.INT, _TYPE.BIGINT, _TYPE.DECIMAL, _TYPE.FLOAT, _TYPE.DOUBLE,
    _TYPE.DATE, _TYPE.TIMESTAMP, _TYPE.CHAR, _TYPE.VARCHAR, _TYPE.BINARY, _TYPE.VARBINARY, _TYPE.ARRAY, _TYPE.STRUCT,
    _TYPE.TEXT,
}  # fmt: skip
TYPE_NAMES = (
    "BOOLEAN, TINYINT, SMALLINT, INTEGER, BIGINT, DECIMAL(p, s), REAL, DOUBLE, DATE, TIMESTAMP, CHAR, "
    "VARCHAR, BINARY, ARRAY, STRUCT"
)
_EXTEND = "EXTEND_TIME_WINDOW"
_EXTEND_SHAPE = "TABLE(EXTEND_TIME_WINDOW('table', 'P14D', 'P1D'))"


def refused_trees(sql: str, tree: exp.Query) -> Iterator[Finding]:
    """All that is refused for what it means."""
    for node in tree.walk():
        if check := _CHECKS.get(type(node)):
            yield from check(sql, node)


def _error(sql: str, node: exp.Expr, code: str, text: str, hint: str) -> Finding:
    return Finding(severity="error", code=code, text=text, place=place_of(sql, node), hint=hint)


def _cast(sql: str, node: exp.Cast) -> Iterator[Finding]:
    if node.to.this not in _TYPES:
        yield _error(
            sql, node, "unknown-type", f"Unknown datatype name '{node.to.sql()}'", f"use {TYPE_NAMES}"
        )


def _extract(sql: str, node: exp.Extract) -> Iterator[Finding]:
    yield from _unit(sql, node, node.this.name.upper(), EXTRACT_UNITS)


def _unit(sql: str, node: exp.Expr, unit: str, units: tuple[str, ...]) -> Iterator[Finding]:
    if unit not in units:
        yield _error(
            sql, node, "unknown-unit", f"'{unit}' is not a valid time frame", f"use {', '.join(units)}"
        )


def _pattern(sql: str, pattern: exp.Expr, replacement: exp.Expr | None = None) -> Iterator[Finding]:
    if not pattern.is_string:
        return
    fault, at = regexes.fault(pattern.name), pattern
    if not fault and replacement is not None and replacement.is_string:
        fault, at = regexes.replacement_fault(pattern.name, replacement.name), replacement
    if fault:
        hint = "AMC's patterns are Java regular expressions; write \\ before a sign that is meant as it is"
        yield _error(sql, at, "bad-pattern", fault, hint)


def _similar(sql: str, node: exp.SimilarTo) -> Iterator[Finding]:
    yield from _pattern(sql, node.expression)


def _escape(sql: str, node: exp.Escape) -> Iterator[Finding]:
    if isinstance(node.this, exp.SimilarTo):
        yield _error(
            sql, node, "syntax", 'Encountered "ESCAPE"', "SIMILAR TO takes a Java pattern, whose escape is \\"
        )


def _call(sql: str, node: exp.Anonymous) -> Iterator[Finding]:
    name, given = node.name.upper(), node.expressions
    if name.startswith("REGEXP_") and len(given) > 1:
        yield from _pattern(sql, *given[1:3])
    elif name == "DATE_TRUNC" and given and given[0].is_string:
        yield from _unit(sql, node, given[0].name.upper(), TRUNC_UNITS)
    elif name == _EXTEND and not isinstance(node.parent, exp.Table):
        yield _error(sql, node, "table-function", f"{_EXTEND} is a table", f"write FROM {_EXTEND_SHAPE}")
    elif any(isinstance(argument, exp.Order) for argument in given):
        yield _error(
            sql, node, "order-by", f"ORDER BY in {name} is not supported", "use ARRAY_SORT around COLLECT"
        )


def _table(sql: str, node: exp.Table) -> Iterator[Finding]:
    call = node.this
    if not isinstance(call, exp.Func):
        return
    name = call.name.upper()
    if name != _EXTEND or not node.meta.get("is_call"):
        text = (
            f"No match found for function signature {name}"
            if name != _EXTEND
            else f"{_EXTEND} is a table function"
        )
        yield _error(sql, node, "table-function", text, f"write FROM {_EXTEND_SHAPE}")
    elif len(call.expressions) != 3 or not all(argument.is_string for argument in call.expressions):  # noqa: PLR2004 - its arguments
        text = f"{_EXTEND} takes a table and two durations, each in single quotes"
        yield _error(sql, node, "table-function", text, f"write {_EXTEND_SHAPE}")


def _join(sql: str, node: exp.Join) -> Iterator[Finding]:
    if "keywords" not in node.meta:
        return
    has_condition = bool(node.args.get("on") or node.args.get("using"))
    if node.kind == "CROSS" and has_condition:
        text, hint = "Cannot specify condition (ON or USING clause) following CROSS JOIN", "use JOIN … ON"
    elif node.kind != "CROSS" and not has_condition:
        text = "INNER, LEFT or FULL join requires a condition (ON or USING clause)"
        hint = "add ON a.user_id = b.user_id, or use CROSS JOIN"
    else:
        return
    place = between(sql, *node.meta["keywords"])
    yield Finding(severity="error", code="join-condition", text=text, place=place, hint=hint)


def _in(sql: str, node: exp.In) -> Iterator[Finding]:
    if not node.expressions and not node.args.get("query"):
        yield _error(sql, node, "syntax", "IN needs values", "write IN ('a', 'b'), or IN (SELECT …)")


_CHECKS: dict[type[exp.Expr], Callable[[str, Any], Iterator[Finding]]] = {
    exp.Anonymous: _call,
    exp.Cast: _cast,
    exp.Escape: _escape,
    exp.Extract: _extract,
    exp.In: _in,
    exp.Join: _join,
    exp.SimilarTo: _similar,
    exp.Table: _table,
}
