"""Where a blank stands between two tokens of AMC SQL that are on one line."""

from __future__ import annotations

from sqlglot import TokenType

from amci.amcsql.grammar.formatting_pieces import Pieces

_T = TokenType
_NAMES = {_T.VAR, _T.IDENTIFIER}
_OPERATORS = {
    _T.PLUS, _T.DASH, _T.STAR, _T.SLASH, _T.MOD, _T.EQ, _T.NEQ, _T.LT, _T.LTE, _T.GT, _T.GTE, _T.DPIPE,
}  # fmt: skip
#: What is called without a blank before its parenthesis.
_CALLED = {
    *_NAMES, _T.LEFT, _T.RIGHT, _T.TABLE, _T.DECIMAL, _T.CHAR, _T.VARCHAR, _T.BINARY, _T.VARBINARY, _T.ARRAY,
    _T.STRUCT,
}  # fmt: skip
#: What stands without a blank before a parenthesis or bracket.
_NOT_BEFORE = {
    _T.L_PAREN: _CALLED,
    _T.L_BRACKET: {_T.ARRAY, _T.R_PAREN, _T.R_BRACKET, *_NAMES},
}
_TIGHT_BEFORE = {_T.COMMA, _T.R_PAREN, _T.R_BRACKET, _T.SEMICOLON}
_TIGHT_AFTER = {_T.L_PAREN, _T.L_BRACKET}
_VALUES = {*_NAMES, _T.STRING, _T.NUMBER, _T.R_PAREN, _T.R_BRACKET, _T.END, _T.NULL, _T.TRUE, _T.FALSE}


def has_space(pieces: Pieces, place: int) -> bool:
    """Whether a blank stands before the token at a place."""
    if not place or pieces.after[place - 1]:
        return bool(place)
    before, kind = pieces.kind(place - 1), pieces.kind(place)
    if kind in _TIGHT_BEFORE or before in _TIGHT_AFTER:
        return False
    if _T.DOT in (before, kind):
        # `1 .5` and `SELECT .5` are no `1.5` and no `SELECT.5`
        return (
            kind is _T.DOT
            and (before is _T.NUMBER or before not in _NAMES)
            and not _is_name(pieces, place - 1)
        )
    if kind in _NOT_BEFORE:
        return before not in _NOT_BEFORE[kind]
    # two signs in a row would begin a comment
    return not (_is_sign(pieces, place - 1) and kind is not _T.DASH)


def _is_name(pieces: Pieces, place: int) -> bool:
    """Whether a keyword is a name, as in `date.x`."""
    return (
        pieces.texts[place][:1].isalpha() and place > 0 and pieces.kind(place) not in (_T.NUMBER, _T.SELECT)
    )


def _is_sign(pieces: Pieces, place: int) -> bool:
    """Whether + or - belongs to what follows it."""
    if pieces.kind(place) not in (_T.DASH, _T.PLUS):
        return False
    return not place or pieces.kind(place - 1) not in _VALUES
