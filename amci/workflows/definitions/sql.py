"""AMC SQL as far as its tokens go: comments removed for AMC, a hash that layout does not change, plain faults.

AMC's strings and names are standard SQL: a quote is doubled, a backslash is an ordinary character (amc-api 3.1).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from amci.kernel.errors import UsageError
from amci.kernel.text import utf8

if TYPE_CHECKING:
    from sqlglot import Token, Tokenizer

_COMMENT = re.compile(r"(/\*.*?\*/)|--[^\n]*|;", re.DOTALL)


@lru_cache(maxsize=256)
def tokens(sql: str) -> Sequence[Token]:
    """The tokens of a text in order; raises UsageError if a string or comment does not end."""
    from sqlglot.errors import TokenError

    try:
        return _tokenizer_class()().tokenize(sql)
    except TokenError:
        raise UsageError("the SQL has a string or a comment that does not end", hint="close it") from None


def as_sent(sql: str) -> str:
    """The SQL without `--` comments and without `;` at its end, every line where it was; raises UsageError.

    AMC may join the lines, and a comment would then swallow what follows it (amc-api 3.1).
    """
    found = statements(sql)
    if len(found) != 1:
        raise UsageError(f"the SQL is {len(found)} statements", hint="AMC takes one SELECT")
    parts, at = [], 0
    for token in found[0]:
        # Between tokens there are blanks, comments and stray `;` only: no string can be mistaken for one.
        parts += [_COMMENT.sub(r"\1", sql[at : token.start]), _source(sql, token)]
        at = token.end + 1
    return "".join(parts)


def sql_hash(sql: str) -> str:
    """SHA-256 of the tokens: the same however the text is laid out and commented; raises UsageError."""
    found = [token for statement in statements(sql) for token in statement]
    return hashlib.sha256(utf8(" ".join(_source(sql, token) for token in found))).hexdigest()


def loose_hash(sql: str) -> str:
    """The hash of a text that AMC may hold though amci would refuse it: then the text itself."""
    try:
        return sql_hash(sql)
    except UsageError:
        return sql


def statements(sql: str) -> list[list[Token]]:
    """The tokens of each statement that is not empty; raises UsageError."""
    from sqlglot import TokenType

    found: list[list[Token]] = [[]]
    for token in tokens(sql):
        if token.token_type is TokenType.SEMICOLON:
            found.append([])
        else:
            found[-1].append(token)
    return [statement for statement in found if statement]


def fault(sql: str) -> str:
    """What is wrong with a text that should be one SELECT, as far as tokens tell; empty if nothing is."""
    try:
        found = statements(sql)
    except UsageError as error:
        return str(error)
    if len(found) != 1:
        return f"should be one statement, and is {len(found)}" if found else "has no statement"
    first = next((token.text for token in found[0] if token.text != "("), "")
    if first.upper() not in ("SELECT", "WITH"):
        return f"should begin with SELECT or WITH, not with {first[:20]}"
    return "" if _is_balanced(found[0]) else "has a parenthesis that is not closed or not opened"


def _is_balanced(statement: list[Token]) -> bool:
    from sqlglot import TokenType

    depth = 0
    for token in statement:
        depth += (token.token_type is TokenType.L_PAREN) - (token.token_type is TokenType.R_PAREN)
        if depth < 0:
            return False
    return depth == 0


def _source(sql: str, token: Token) -> str:
    return sql[token.start : token.end + 1]


@cache
def _tokenizer_class() -> type[Tokenizer]:
    """The class, not an object: a tokenizer keeps its place in the text, so threads must not share one."""
    from sqlglot import Tokenizer

    class AmcTokenizer(Tokenizer):
        NESTED_COMMENTS = False

    return AmcTokenizer
