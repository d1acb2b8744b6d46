"""Formats AMC SQL: the same tokens and comments in the same order, one clause per line (amc-api 3.1)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

from sqlglot import Token, TokenType

from amci.amcsql.grammar.dialect import AmcTokenizer
from amci.amcsql.grammar.parsing import tokens_of

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
    """The tokens of a text, with comments and lengths by position."""

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


#: Characters; longer clauses are broken at commas, AND and OR.
WIDTH = 100

_CLAUSES = {
    _T.SELECT, _T.FROM, _T.WHERE, _T.GROUP_BY, _T.HAVING, _T.WINDOW, _T.ORDER_BY, _T.LIMIT, _T.UNION, _T.INTERSECT,
    _T.EXCEPT, _T.VALUES, _T.WITH, _T.OFFSET, _T.FETCH, _T.QUALIFY,
}  # fmt: skip
_JOINS = {_T.JOIN, _T.INNER, _T.LEFT, _T.RIGHT, _T.FULL, _T.CROSS, _T.NATURAL, _T.OUTER}
_QUERIES = {_T.SELECT, _T.WITH, _T.VALUES}
_SETS = {_T.UNION, _T.INTERSECT, _T.EXCEPT}
_CONNECTORS = {_T.AND, _T.OR}
_NAMES = {_T.VAR, _T.IDENTIFIER}
#: Called with no space before the parenthesis.
_CALLED = {
    *_NAMES, _T.LEFT, _T.RIGHT, _T.TABLE, _T.DECIMAL, _T.CHAR, _T.VARCHAR, _T.BINARY, _T.VARBINARY, _T.ARRAY,
    _T.STRUCT,
}  # fmt: skip
#: By opening bracket, the tokens that it follows with no space.
_NOT_BEFORE = {_T.L_PAREN: _CALLED, _T.L_BRACKET: {_T.ARRAY, _T.R_PAREN, _T.R_BRACKET, *_NAMES}}
_TIGHT_BEFORE = {_T.COMMA, _T.R_PAREN, _T.R_BRACKET, _T.SEMICOLON}
_TIGHT_AFTER = {_T.L_PAREN, _T.L_BRACKET}
_VALUES = {*_NAMES, _T.STRING, _T.NUMBER, _T.R_PAREN, _T.R_BRACKET, _T.END, _T.NULL, _T.TRUE, _T.FALSE}


def formatted(sql: str) -> str:
    """The text with keywords in upper case, one clause per line, and two spaces per level.

    Names and comments stay as they are. Raises CompileError if a string or comment is not closed.
    """
    return _Writer(pieces(sql, tokens_of(sql))).written()


@dataclass(slots=True)
class _Level:
    """An open nesting level: a query, a list in parentheses, or a CASE."""

    kind: str  #: query, list, case
    end: int  #: place of what closes it
    indent: int  #: of its lines
    is_broken: bool  #: a line for each part
    is_clause_broken: bool = False  #: in a query: whether the clause that is being written is
    clause: TokenType = _T.SELECT
    is_between: bool = False  #: whether the next AND is that of BETWEEN


@dataclass(slots=True)
class _Writer:
    """Writes one token after another, and tracks open levels and the current indent."""

    all: Pieces
    lines: list[str] = field(default_factory=lambda: [""])
    levels: list[_Level] = field(default_factory=list)
    indent: int = 0  #: of the line that is being written
    is_held: bool = False  #: a `--` comment ends the line

    def written(self) -> str:
        """The whole text, which ends with a line break."""
        count = len(self.all.tokens)
        self.levels.append(_Level("query", count, 0, is_broken=True))
        for place in range(count):
            self._piece(place)
        for comment in self.all.before[count]:
            self._line(0)
            self._put(comment)
        return "\n".join(line.rstrip() for line in self.lines).strip("\n") + "\n"

    def _piece(self, place: int) -> None:
        while len(self.levels) > 1 and place > self.levels[-1].end:
            self.levels.pop()
        indent = self._break(place)
        level = self.levels[-1]
        comments = self.all.before[place]
        if comments and indent is None:
            indent = level.indent + (2 if level.kind == "query" else 0)
        for comment in comments:
            self._line(indent or 0)
            self._put(comment)
        if indent is not None or self.is_held:
            self._line(level.indent + 2 if indent is None else indent)
        elif self.lines[-1].strip() and _has_space(self.all, place):
            self.lines[-1] += " "
        self._put(self.all.texts[place])
        for comment in self.all.after[place]:
            self.lines[-1] += " "
            self._put(comment)
            self.is_held = comment.startswith("--")
        self._open(place)

    def _put(self, text: str) -> None:
        first, *rest = text.split("\n")
        self.lines[-1] += first
        self.lines += rest

    def _line(self, indent: int) -> None:
        """A new line, if this one is begun."""
        if self.lines[-1].strip():
            self.lines.append("")
        self.lines[-1] = " " * indent
        self.indent = indent
        self.is_held = False

    def _break(self, place: int) -> int | None:
        """The indent of the line that a piece begins; None if it continues the line."""
        level, kind = self.levels[-1], self.all.kind(place)
        if place == level.end:
            return level.indent - 2 if level.is_broken else None
        if not level.is_broken:
            return None
        if level.kind == "case":
            return level.indent if kind in (_T.WHEN, _T.ELSE) else None
        before = self.all.kind(place - 1) if place else _T.L_PAREN
        is_first = not place or (before is _T.L_PAREN and self.all.ends[place - 1] == level.end)
        if level.kind == "list":
            is_part = (
                before is _T.COMMA or kind in (_T.PARTITION_BY, _T.ORDER_BY) or self._connects(level, kind)
            )
            return level.indent if is_first or is_part else None
        return self._break_in_query(level, place, kind, before, is_first=is_first)

    def _break_in_query(
        self, level: _Level, place: int, kind: TokenType, before: TokenType, *, is_first: bool
    ) -> int | None:
        if is_first or self._begins_clause(place):
            self._clause(level, place)
            return level.indent
        is_of_all = before in (_T.ALL, _T.DISTINCT) and place > 1 and self.all.kind(place - 2) in _SETS
        is_arm = is_of_all or (before in _SETS and kind not in (_T.ALL, _T.DISTINCT))
        if is_arm or (before is _T.COMMA and level.clause is _T.WITH):
            return level.indent
        is_part = level.is_clause_broken and self._begins_part(level, kind, before)
        return level.indent + 2 if is_part else None

    def _begins_part(self, level: _Level, kind: TokenType, before: TokenType) -> bool:
        """Whether a part of a broken clause begins here."""
        if level.clause is _T.SELECT and before in (_T.SELECT, _T.DISTINCT, _T.ALL):
            return kind not in (_T.DISTINCT, _T.ALL)
        return before is _T.COMMA or kind is _T.ON or self._connects(level, kind)

    def _connects(self, level: _Level, kind: TokenType) -> bool:
        """Whether this is an AND or OR between conditions, and not that of BETWEEN."""
        if kind is _T.BETWEEN:
            level.is_between = True
        elif kind is _T.AND and level.is_between:
            level.is_between = False
        else:
            return kind in _CONNECTORS
        return False

    def _begins_clause(self, place: int) -> bool:
        kind = self.all.kind(place)
        before = self.all.kind(place - 1) if place else None
        after = self.all.kind(place + 1) if place + 1 < len(self.all.tokens) else None
        if _T.DOT in (before, after) or before is _T.ALIAS:
            return False
        if kind in _CLAUSES:
            return True
        return kind in _JOINS and before not in _JOINS and after is not _T.L_PAREN

    def _clause(self, level: _Level, place: int) -> None:
        """Begin a clause: it is broken if it does not fit into a line, or has a comment."""
        level.clause, level.is_between = self.all.kind(place), False
        last = place
        while last + 1 < level.end and not self._begins_clause(last + 1):
            last = self.all.ends[last + 1]
        last = min(last, len(self.all.tokens) - 1)
        is_long = level.indent + self.all.length(place, last) > WIDTH
        level.is_clause_broken = is_long or self.all.has_comment(place, last)

    def _open(self, place: int) -> None:
        """Enter what the piece opens."""
        kind, end = self.all.kind(place), self.all.ends[place]
        if end == place:
            return
        is_inline = self._fits(place, end) and not self.all.has_comment(place, end)
        inside = self.all.kind(place + 1)
        if kind is _T.CASE:
            is_inline = is_inline and sum(self.all.kind(each) is _T.WHEN for each in range(place, end)) == 1
            self.levels.append(_Level("case", end, self.indent + 2, is_broken=not is_inline))
        elif kind is _T.L_PAREN and (inside in _QUERIES or self._holds_query(place)):
            is_body = place > 0 and self.all.kind(place - 1) is _T.ALIAS
            self.levels.append(_Level("query", end, self.indent + 2, is_broken=is_body or not is_inline))
        else:
            self.levels.append(_Level("list", end, self.indent + 2, is_broken=not is_inline))

    def _holds_query(self, place: int) -> bool:
        while place + 1 < len(self.all.tokens) and self.all.kind(place) is _T.L_PAREN:
            place += 1
        return self.all.kind(place) in _QUERIES

    def _fits(self, first: int, last: int) -> bool:
        return len(self.lines[-1]) + self.all.length(first + 1, last) <= WIDTH


def _has_space(pieces: Pieces, place: int) -> bool:
    """Whether a space stands before the token at a place, on one line."""
    if not place or pieces.after[place - 1]:
        return bool(place)
    before, kind = pieces.kind(place - 1), pieces.kind(place)
    if kind in _TIGHT_BEFORE or before in _TIGHT_AFTER:
        return False
    if _T.DOT in (before, kind):
        # `1 .5` and `SELECT .5` must not become `1.5` and `SELECT.5`
        return (
            kind is _T.DOT
            and (before is _T.NUMBER or before not in _NAMES)
            and not _is_dotted_name(pieces, place - 1)
        )
    if kind in _NOT_BEFORE:
        return before not in _NOT_BEFORE[kind]
    # two signs in a row would begin a comment
    return not (_is_sign(pieces, place - 1) and kind is not _T.DASH)


def _is_dotted_name(pieces: Pieces, place: int) -> bool:
    """Whether a keyword is a name, as in `date.x`."""
    return (
        pieces.texts[place][:1].isalpha() and place > 0 and pieces.kind(place) not in (_T.NUMBER, _T.SELECT)
    )


def _is_sign(pieces: Pieces, place: int) -> bool:
    """Whether + or - belongs to what follows it."""
    if pieces.kind(place) not in (_T.DASH, _T.PLUS):
        return False
    return not place or pieces.kind(place - 1) not in _VALUES
