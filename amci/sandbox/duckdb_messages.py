"""What the sandbox and its DuckDB processes send each other, pickled; this imports no DuckDB."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

Rows = list[tuple[Any, ...]]


class Open(NamedTuple):
    """Open a session in place of the one before."""

    statements: Sequence[str]
    memory_limit: int  #: bytes
    scratch: str  #: folder that the session spills to, removed if the process that asks dies; may be empty


class Run(NamedTuple):
    """Execute statements in the open session."""

    before: Sequence[str] = ()
    reads: Sequence[str] = ()  #: the answer has their rows
    after: str = ""  #: executed after them, also if one of them fails
    needs_functions: bool = False  #: those of `udfs`


class Columns(NamedTuple):
    """The columns of one result; lists of its rows follow."""

    names: Sequence[str]
    types: Sequence[str]  #: DuckDB's


class Piece(NamedTuple):
    """Some rows, column by column."""

    codes: Sequence[str]  #: of each column: how its values are written, a key of _CODES; empty if as they are
    values: Sequence[Sequence[Any]]


class End(NamedTuple):
    """The last part of an answer."""

    error: str | None = None  #: DuckDB's text
    is_out_of_memory: bool = False
    #: whether the process keeps so much memory that the next statement may not get enough
    is_large: bool = False


Part = Columns | Piece | End

#: Types whose objects take ten times as long to pickle as what they are written as here, and read from.
_CODES: Mapping[str, tuple[type, Callable[[Any], Any], Callable[[Any], Any]]] = {
    "DATE": (date, date.toordinal, date.fromordinal),
    "TIMESTAMP": (datetime, datetime.isoformat, datetime.fromisoformat),
    "DECIMAL": (Decimal, str, Decimal),
}


def packed(rows: Rows, types: Iterable[str]) -> Piece:
    """At least one row, of columns of these types of DuckDB's."""
    codes, values = [], []
    for column, kind in zip(zip(*rows, strict=True), types, strict=True):
        name = kind.partition("(")[0]
        code = name if name in _CODES and {*map(type, column)} <= {_CODES[name][0], type(None)} else ""
        codes.append(code)
        values.append(_mapped(column, _CODES[code][1]) if code else column)
    return Piece(codes, values)


def unpacked(piece: Piece) -> Rows:
    """The rows of a piece."""
    columns = [
        _mapped(column, _CODES[code][2]) if code else column
        for code, column in zip(piece.codes, piece.values, strict=True)
    ]
    return list(zip(*columns, strict=True))


def _mapped(column: Sequence[Any], function: Callable[[Any], Any]) -> list[Any]:
    if None in column:
        return [None if value is None else function(value) for value in column]
    return list(map(function, column))
