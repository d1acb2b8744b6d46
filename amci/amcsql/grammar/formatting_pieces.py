"""A text as tokens with their comments, for laying it out: what belongs together and how long it is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from sqlglot import Token, TokenType

from amci.amcsql.grammar.dialect import AmcTokenizer

_T = TokenType
_COMMENT = re.compile(r"--[^\n\r]*|/\*.*?\*/", re.DOTALL)
_TYPES = {
    _T.BOOLEAN, _T.TINYINT, _T.SMALLINT, _T.INT, _T.BIGINT, _T.DECIMAL, _T.FLOAT, _T.DOUBLE, _T.DATE, _T.TIMESTAMP,
    _T.CHAR, _T.VARCHAR, _T.BINARY, _T.VARBINARY, _T.STRUCT, _T.TEXT, _T.TIME, _T.JSON,
}  # fmt: skip
_LITERAL = {_T.VAR, _T.IDENTIFIER, _T.STRING, _T.NUMBER, _T.NATIONAL_STRING}
_OPENING = {_T.L_PAREN: _T.R_PAREN, _T.L_BRACKET: _T.R_BRACKET, _T.CASE: _T.END}
_CLOSING = set(_OPENING.values())


@dataclass(frozen=True, slots=True)
class Pieces:
    """The tokens of a text and what is known of each by its place."""

    tokens: Sequence[Token]
    texts: Sequence[str]  #: as they are to be written
    before: Sequence[Sequence[str]]  #: comments on lines of their own before each, and at the end
    after: Sequence[Sequence[str]]  #: comments behind each, on its line
    ends: Sequence[int]  #: the place of what closes a parenthesis, bracket or CASE; of others their own
    lengths: Sequence[int]  #: of all texts up to here on one line
    remarks: Sequence[int]  #: of all comments up to here

    def length(self, first: int, last: int) -> int:
        """From one token to another on one line."""
        return self.lengths[last + 1] - self.lengths[first]

    def has_comment(self, first: int, last: int) -> bool:
        """Whether there is a comment between the first token and the last."""
        return self.remarks[last] > self.remarks[first]

    def kind(self, place: int) -> TokenType:
        """The kind of the token at a place."""
        return self.tokens[place].token_type


def pieces(sql: str, tokens: Sequence[Token]) -> Pieces:
    """The pieces of a text that has tokens."""
    before: list[list[str]] = [[] for _ in range(len(tokens) + 1)]
    after: list[list[str]] = [[] for _ in tokens]
    gaps = pairwise([-1, *(end for token in tokens for end in (token.start, token.end)), len(sql)])
    for place, (first, last) in enumerate(list(gaps)[::2]):
        _comments(sql[first + 1 : last], before[place], after[place - 1] if place else None)
    ends, cast_types = _ends(tokens), _cast_types(tokens)
    texts = [_text(sql, tokens, place, cast_types, ends) for place in range(len(tokens))]
    remarks = [len(after[place]) + len(before[place + 1]) for place in range(len(tokens))]
    return Pieces(
        tokens=tokens,
        texts=texts,
        before=before,
        after=after,
        ends=ends,
        lengths=[0, *accumulate(len(text) + 1 for text in texts)],
        remarks=[0, *accumulate(remarks)],
    )


def _comments(gap: str, before: list[str], after: list[str] | None) -> None:
    """Sort the comments of a gap: those on the line of the token before it, and the others."""
    at, is_same_line = 0, after is not None
    for found in _COMMENT.finditer(gap):
        is_same_line = is_same_line and "\n" not in gap[at : found.start()]
        said = found[0].rstrip()
        if is_same_line and after is not None:
            after.append(said)
        else:
            before.append(said)
        at = found.end()


def _ends(tokens: Sequence[Token]) -> list[int]:
    ends = list(range(len(tokens)))
    stack: list[int] = []
    for place, token in enumerate(tokens):
        kind = token.token_type
        if kind in _OPENING:
            stack.append(place)
            ends[place] = len(tokens) - 1
        elif kind in _CLOSING and stack and _OPENING[tokens[stack[-1]].token_type] is kind:
            ends[stack.pop()] = place
    return ends


def _cast_types(tokens: Sequence[Token]) -> set[int]:
    """Places of the types in `CAST(x AS type)`."""
    found, stack = set(), []
    for place, token in enumerate(tokens):
        if token.token_type is _T.L_PAREN:
            stack.append(place > 0 and tokens[place - 1].text.upper() == "CAST")
        elif token.token_type is _T.R_PAREN and stack:
            stack.pop()
        elif token.token_type is _T.ALIAS and stack and stack[-1]:
            found.add(place + 1)
    return found


def _text(sql: str, tokens: Sequence[Token], place: int, cast_types: set[int], ends: Sequence[int]) -> str:
    """Keywords in upper case; names, and keywords that are names here, as they are."""
    token = tokens[place]
    written = sql[token.start : token.end + 1]
    words = " ".join(written.split()).upper()
    if token.token_type in _LITERAL or words not in AmcTokenizer.KEYWORDS:
        return written
    return words if not _is_name(tokens, place, cast_types, ends) else written


def _is_name(tokens: Sequence[Token], place: int, cast_types: set[int], ends: Sequence[int]) -> bool:
    kind = tokens[place].token_type
    before = tokens[place - 1].token_type if place else None
    after = tokens[place + 1].token_type if place + 1 < len(tokens) else None
    if _T.DOT in (before, after):
        return True
    if kind in _TYPES:
        return place not in cast_types and after is not _T.STRING
    if kind is _T.END and place not in ends[:place]:
        return True
    return before is _T.ALIAS and kind is not _T.VALUES and place not in cast_types
