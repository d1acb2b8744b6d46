"""What AMC takes, or has been seen to refuse, and a person should know before it runs (amc-api 3.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sqlglot import Token, TokenType, exp

from amci.amcsql.findings import Finding, Severity, place_of
from amci.amcsql.functions.calls import function_of
from amci.amcsql.grammar.refusals import RefusalRule, finding, order_finding, orders

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
    """Warnings about what is called and how."""
    for node in tree.walk():
        if check := _CHECKS.get(type(node)):
            yield from check(sql, node)


def _warning(sql: str, node: exp.Expr, code: str, text: str, hint: str) -> Finding:
    return Finding(severity="warning", code=code, text=text, place=place_of(sql, node), hint=hint)


def _window(sql: str, node: exp.Window) -> Iterator[Finding]:
    is_bare = not any(node.args.get(key) for key in ("partition_by", "order", "alias", "spec"))
    if isinstance(node.this, exp.Count) and isinstance(node.this.this, exp.Star) and is_bare:
        hint = "count in a sub-query and CROSS JOIN it"
        yield _warning(sql, node, "reported", _REPORTED.format("COUNT(*) OVER ()"), hint)


def _call(sql: str, node: exp.Anonymous) -> Iterator[Finding]:
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


def _similar(sql: str, node: exp.SimilarTo) -> Iterator[Finding]:
    yield from _never(sql, node.expression)


def _never(sql: str, pattern: exp.Expr) -> Iterator[Finding]:
    if pattern.is_string and _NEVER + ")" in pattern.name:
        text = "(?!) matches nothing: in Java it is a look-ahead that always fails"
        yield _warning(sql, pattern, "never-matches", text, "use (?i) to take upper and lower case alike")


def _cast(sql: str, node: exp.Cast) -> Iterator[Finding]:
    if node.to.this is exp.DType.TEXT:
        text = "STRING is not among the types of AMC's documentation"
        yield _warning(sql, node, "undocumented", text, "use VARCHAR")


def _having(sql: str, node: exp.Having) -> Iterator[Finding]:
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


_CHECKS: dict[type[exp.Expr], Callable[[str, Any], Iterator[Finding]]] = {
    exp.Anonymous: _call,
    exp.Cast: _cast,
    exp.Having: _having,
    exp.SimilarTo: _similar,
    exp.Window: _window,
}
