"""A text as the tree of one SELECT that AMC would take, or all that is wrong with it (amc-api 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from sqlglot import Token, TokenType, exp
from sqlglot.errors import ParseError, TokenError

from amci.amcsql.findings import CompileError, Finding, between
from amci.amcsql.grammar.dialect import Amc, AmcParser, Encountered, tokenized
from amci.amcsql.grammar.refusals import refused_tokens
from amci.amcsql.grammar.refused_trees import (
    TYPE_NAMES,
    interval_findings,
    refused_trees,
    token_notices,
    tree_notices,
)

Mode = Literal["strict", "lenient"]

_PAIRS = {
    ("GROUP", "BY"): TokenType.GROUP_BY,
    ("ORDER", "BY"): TokenType.ORDER_BY,
    ("PARTITION", "BY"): TokenType.PARTITION_BY,
    ("SIMILAR", "TO"): TokenType.SIMILAR_TO,
}
_FIRST_OF_PAIRS = {first for first, _ in _PAIRS}
#: Refusals that leave a query behind.
_AT_THE_END = {"limit", "order-by"}
#: Of a number. AMC has none of more than 38, and Python reads none of more than 4300.
_MOST_DIGITS = 1_000
#: Chains of more conditions than this are balanced.
_MANY = 50


@lru_cache(maxsize=256)
def parsed(sql: str, mode: Mode = "lenient") -> exp.Query:
    """The tree of a query. It is shared: copy it before you change it. Raises CompileError with all that is wrong."""
    tree, refused = read(sql, mode)
    if refused or tree is None:
        raise CompileError(*refused)
    return tree


def read(sql: str, mode: Mode = "lenient") -> tuple[exp.Query | None, list[Finding]]:
    """The tree of a query, if it has one, and what AMC refuses in it.

    Raises CompileError if the text cannot be parsed. There is a tree if only the end of the query is refused.
    """
    tokens = tokens_of(sql)
    refused = list(refused_tokens(sql, tokens, is_strict=mode == "strict"))
    if any(finding.code not in _AT_THE_END for finding in refused):
        return None, refused
    try:
        tree = _tree(sql, [token for token in tokens if token.token_type is not TokenType.SEMICOLON])
    except CompileError:
        if refused:
            # the parser fails on what is refused
            return None, refused
        raise
    if sum(token.token_type in (TokenType.AND, TokenType.OR) for token in tokens) > _MANY:
        _flatten(tree)
    return tree, [*refused, *refused_trees(sql, tree)]


def notices(tree: exp.Query, sql: str, mode: Mode) -> list[Finding]:
    """What AMC takes or may take and a person should know; `tree` is what `parsed` made of `sql`."""
    return [*token_notices(sql, tokens_of(sql), is_strict=mode == "strict"), *tree_notices(sql, tree)]


def refused_for_audiences(sql: str) -> list[Finding]:
    """What reporting accepts and the audience API refuses: intervals, and `;` at the end (amc-api 3.1)."""
    return list(interval_findings(sql, tokens_of(sql), "error"))


def too_deep(sql: str) -> Finding:
    """The finding about a query that is too deep for Python's stack."""
    return Finding(
        severity="error",
        code="too-deep",
        text="The query is nested too deeply",
        place=between(sql, 0, len(sql.rstrip()) - 1),
        hint="split it into several WITH queries",
    )


@lru_cache(maxsize=256)
def tokens_of(sql: str) -> Sequence[Token]:
    """The tokens without comments; raises CompileError."""
    try:
        sql.encode()
    except UnicodeEncodeError as error:
        raise _unreadable(
            sql, error.start, error.start, "half a character: the query is not UTF-8 text"
        ) from None
    try:
        tokens = tokenized(sql)
    except TokenError as error:
        place = between(sql, len(sql.rstrip()) - 1, len(sql.rstrip()) - 1)
        text = f'Lexical error at line {place.line}, column {place.column}. Encountered: "<EOF>"'
        hint = "a string, a quoted name or a comment is not closed"
        raise CompileError(
            Finding(severity="error", code="syntax", text=text, place=place, hint=hint)
        ) from error
    for token in tokens:
        token.comments = []
        if token.token_type is TokenType.NUMBER and len(token.text) > _MOST_DIGITS:
            raise _unreadable(sql, token.start, token.end, f"a number of more than {_MOST_DIGITS} digits")
    return _paired(tokens)


def _unreadable(sql: str, start: int, end: int, what: str) -> CompileError:
    place = between(sql, start, end)
    text = f"Lexical error at line {place.line}, column {place.column}. Encountered: {what}"
    return CompileError(Finding(severity="error", code="syntax", text=text, place=place))


def _paired(tokens: Sequence[Token]) -> Sequence[Token]:
    """Join GROUP BY and the like to one token each, even with a comment between the words."""
    if not any(token.text.upper() in _FIRST_OF_PAIRS for token in tokens):
        return tokens
    found: list[Token] = []
    for token in tokens:
        last = found[-1] if found else None
        kind = _PAIRS.get((last.text.upper(), token.text.upper())) if last else None
        if last and kind and TokenType.VAR in (last.token_type, token.token_type):
            text = f"{last.text} {token.text}"
            found[-1] = Token(kind, text, last.line, last.col, last.start, token.end)
        else:
            found.append(token)
    return found


def _tree(sql: str, tokens: list[Token]) -> exp.Query:
    try:
        (tree,) = AmcParser(dialect=Amc).parse(tokens, sql)
    except Encountered as error:
        raise CompileError(_encountered(sql, error.token, str(error))) from error
    except ParseError as error:
        raise CompileError(_encountered(sql, None, str(error))) from error
    except RecursionError as error:
        raise CompileError(too_deep(sql)) from error
    if not isinstance(tree, exp.Query):
        raise CompileError(_encountered(sql, tokens[0], "Expecting SELECT"))
    return tree


def _flatten(tree: exp.Query) -> None:
    """Balance long chains of AND or OR, so that the tree is no deeper than necessary."""
    for node in list(tree.find_all(exp.And, exp.Or)):
        if type(node.parent) is not type(node):
            parts = list(node.flatten(unnest=False))
            if len(parts) > _MANY:
                node.replace(_halves(type(node), parts))


def _halves(kind: type[exp.Expr], parts: Sequence[exp.Expr]) -> exp.Expr:
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    return kind(this=_halves(kind, parts[:middle]), expression=_halves(kind, parts[middle:]))


def _encountered(sql: str, token: Token | None, why: str) -> Finding:
    """The finding about an unexpected token, in Calcite's words."""
    end = len(sql.rstrip()) - 1
    place = between(sql, token.start, token.end) if token else between(sql, end, end)
    word = sql[token.start : token.end + 1] if token else "<EOF>"
    return Finding(
        severity="error",
        code="syntax",
        text=f'Encountered "{word}" at line {place.line}, column {place.column}.',
        place=place,
        hint=_hint(why),
    )


def _hint(why: str) -> str:
    """What the parser expected, if it can be said plainly."""
    if "TYPE" in why:
        return f"the types are {TYPE_NAMES}"
    if why.startswith("Expecting") and "<class" not in why:
        return f"here amci expects {why.removeprefix('Expecting ').strip()}"
    return "look for a missing comma, parenthesis, quote or keyword before this"
