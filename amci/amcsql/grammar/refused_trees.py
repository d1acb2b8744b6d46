"""What the grammar accepts and AMC refuses (`refused_trees`), or may refuse, which gets a warning (amc-api 3.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sqlglot import Token, TokenType, exp

from amci.amcsql.findings import Finding, Severity, between, place_of
from amci.amcsql.functions.calls import function_of
from amci.amcsql.grammar.refusals import RefusalRule, finding, order_finding, orders
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
    """All that is refused because of its structure."""
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


_REPORTED = "{} is reported to fail in AMC"
_JOINED = RefusalRule("concatenation", "|| is not in AMC's documentation", "use CONCAT(a, b)")
_INTERVAL = RefusalRule(
    "interval",
    "Interval data types are not enabled in audience queries, and no published AMC query uses them",
    "compare with SECONDS_BETWEEN(start, end)",
)
_SEMICOLON = RefusalRule(
    "semicolon", "AMC does not require ; at the end", "leave it out: audience queries refuse it"
)
_NEVER = "(?!"


def token_notices(sql: str, tokens: Sequence[Token], *, is_strict: bool) -> Iterator[Finding]:
    """Warnings and notes about words."""
    for token in tokens:
        if token.token_type is TokenType.DPIPE:
            yield finding(sql, token, token, _JOINED, "warning")
    yield from (each for each in interval_findings(sql, tokens, "warning") if each.code == "interval")
    if tokens and tokens[-1].token_type is TokenType.SEMICOLON:
        yield finding(sql, tokens[-1], tokens[-1], _SEMICOLON, "note")
    if not is_strict:
        yield from (
            order_finding(sql, token, "warning", is_final=True)
            for token, is_final in orders(tokens)
            if is_final
        )


def interval_findings(sql: str, tokens: Sequence[Token], severity: Severity) -> Iterator[Finding]:
    """INTERVAL, and `;` at the end: what audience queries refuse."""
    for token in tokens:
        if token.token_type is TokenType.INTERVAL:
            yield finding(sql, token, token, _INTERVAL, severity)
    if tokens and tokens[-1].token_type is TokenType.SEMICOLON:
        yield finding(sql, tokens[-1], tokens[-1], _SEMICOLON, severity)


def tree_notices(sql: str, tree: exp.Query) -> Iterator[Finding]:
    """Warnings about functions and how they are called."""
    for node in tree.walk():
        if check := _NOTICES.get(type(node)):
            yield from check(sql, node)


def _warning(sql: str, node: exp.Expr, code: str, text: str, hint: str) -> Finding:
    return Finding(severity="warning", code=code, text=text, place=place_of(sql, node), hint=hint)


def _window_notice(sql: str, node: exp.Window) -> Iterator[Finding]:
    is_bare = not any(node.args.get(key) for key in ("partition_by", "order", "alias", "spec"))
    if isinstance(node.this, exp.Count) and isinstance(node.this.this, exp.Star) and is_bare:
        hint = "count in a sub-query and CROSS JOIN it"
        yield _warning(sql, node, "reported", _REPORTED.format("COUNT(*) OVER ()"), hint)


def _call_notice(sql: str, node: exp.Anonymous) -> Iterator[Finding]:
    name = node.name.upper()
    function = function_of(node)
    if name == "NTILE":
        hint = "compute it with ROW_NUMBER() and COUNT(*) OVER (PARTITION BY …)"
        yield _warning(sql, node, "reported", _REPORTED.format("NTILE"), hint)
    elif function is not None and not function.is_documented:
        hint = "try it in AMC before you rely on it"
        yield _warning(sql, node, "undocumented", f"{name} is not in AMC's documentation", hint)
    elif name == "COLLECT" and node.expressions and not _is_plain(node.expressions[0]):
        hint = "compute the value in a sub-query and collect its column"
        yield _warning(sql, node, "reported", _REPORTED.format("A computed expression within COLLECT"), hint)
    elif name.startswith("REGEXP_") and len(node.expressions) > 1:
        yield from _never(sql, node.expressions[1])


def _is_plain(node: exp.Expr) -> bool:
    inner = node.expressions[0] if isinstance(node, exp.Distinct) and node.expressions else node
    return isinstance(inner, exp.Column)


def _similar_notice(sql: str, node: exp.SimilarTo) -> Iterator[Finding]:
    yield from _never(sql, node.expression)


def _never(sql: str, pattern: exp.Expr) -> Iterator[Finding]:
    if pattern.is_string and _NEVER + ")" in pattern.name:
        text = "(?!) matches nothing: in Java it is a look-ahead that always fails"
        yield _warning(sql, pattern, "never-matches", text, "use (?i) to take upper and lower case alike")


def _cast_notice(sql: str, node: exp.Cast) -> Iterator[Finding]:
    if node.to.this is exp.DType.TEXT:
        text = "STRING is not among the types of AMC's documentation"
        yield _warning(sql, node, "undocumented", text, "use VARCHAR")


def _having_notice(sql: str, node: exp.Having) -> Iterator[Finding]:
    select = node.parent
    ranks = {
        each.alias.lower()
        for each in (select.selects if isinstance(select, exp.Select) else ())
        if isinstance(each, exp.Alias) and (rank := each.find(exp.Window)) and _is_rank(rank.this)
    }
    for column in node.find_all(exp.Column):
        if not column.table and column.name.lower() in ranks:
            text = f"HAVING on the rank {column.name} does not operate correctly in AMC"
            yield _warning(
                sql, column, "rank-in-having", text, "rank in a sub-query and filter outside with WHERE"
            )


def _is_rank(node: exp.Expr) -> bool:
    function = function_of(node)
    return function is not None and function.role == "rank"


_NOTICES: dict[type[exp.Expr], Callable[[str, Any], Iterator[Finding]]] = {
    exp.Anonymous: _call_notice,
    exp.Cast: _cast_notice,
    exp.Having: _having_notice,
    exp.SimilarTo: _similar_notice,
    exp.Window: _window_notice,
}
