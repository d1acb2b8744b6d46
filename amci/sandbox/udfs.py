"""Java's regular expressions as DuckDB functions, for what DuckDB's own engine lacks (amc-api 3.2)."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

import duckdb
import pyarrow as pa
import regex
from duckdb.func import FunctionNullHandling, PythonUDFType

from amci.amcsql.patterns.java_regex import InvalidPattern, compiled, java_pattern
from amci.amcsql.patterns.regexes import FIND, REPLACE, SPLIT, SUBSTR, replacement_parts

#: Longer than a sensible pattern takes; without a limit, catastrophic backtracking would never end.
_PATIENCE_SECONDS = 5.0
_REMEMBERED = 65_536
T = TypeVar("T")


def register(con: duckdb.DuckDBPyConnection) -> None:
    """Add the functions that `to_duckdb` writes to a connection, unless it has them."""
    has = "SELECT 1 FROM duckdb_functions() WHERE function_name = ?"
    if con.execute(has, [FIND]).fetchone():
        return
    text = duckdb.sqltypes.VARCHAR
    _add(con, FIND, _found, (duckdb.sqltypes.BOOLEAN, pa.bool_()))
    _add(con, SUBSTR, _first_match, (text, pa.string()))
    _add(con, REPLACE, _replaced, (text, pa.string()))
    _add(con, SPLIT, _split, (duckdb.list_type(text), pa.list_(pa.string())))


def _add(
    con: duckdb.DuckDBPyConnection, name: str, one: Callable[..., object], results: tuple[Any, pa.DataType]
) -> None:
    """Add a function over whole columns; `results` is the type of its result, as DuckDB's and as Arrow's."""
    result, arrow_type = results

    def many(*columns: pa.ChunkedArray) -> pa.Array:
        rows = zip(*(column.to_pylist() for column in columns), strict=True)
        return pa.array([None if None in row else one(*row) for row in rows], type=arrow_type)

    # DuckDB counts the parameters of a function
    def of_two(texts: pa.ChunkedArray, patterns: pa.ChunkedArray) -> pa.Array:
        return many(texts, patterns)

    def of_three(texts: pa.ChunkedArray, patterns: pa.ChunkedArray, new: pa.ChunkedArray) -> pa.Array:
        return many(texts, patterns, new)

    asked = of_three if name == REPLACE else of_two
    con.create_function(
        name,
        asked,
        [duckdb.sqltypes.VARCHAR] * asked.__code__.co_argcount,
        result,
        type=PythonUDFType.ARROW,
        null_handling=FunctionNullHandling.SPECIAL,
    )


@lru_cache(maxsize=_REMEMBERED)
def _found(text: str, pattern: str) -> bool:
    """Whether the pattern is anywhere in the text; each pair is matched once."""
    return _search(text, pattern) is not None


@lru_cache(maxsize=_REMEMBERED)
def _first_match(text: str, pattern: str) -> str | None:
    match = _search(text, pattern)
    return None if match is None else str(match[0])


@lru_cache(maxsize=_REMEMBERED)
def _replaced(text: str, pattern: str, replacement: str) -> str:
    parts = replacement_parts(replacement, java_pattern(pattern))

    def new(match: regex.Match[str]) -> str:
        return "".join(_part(part, match) for part in parts)

    return _patiently(lambda: _compiled(pattern).sub(new, text, timeout=_PATIENCE_SECONDS), pattern)


@lru_cache(maxsize=_REMEMBERED)
def _split(text: str, pattern: str) -> list[str]:
    """The parts between matches; an empty match at the beginning does not split."""
    return _patiently(lambda: _parts(text, pattern), pattern)


def _parts(text: str, pattern: str) -> list[str]:
    parts, at = [], 0
    for match in _compiled(pattern).finditer(text, timeout=_PATIENCE_SECONDS):
        if match.end() > match.start() or 0 < match.start() < len(text):
            parts.append(text[at : match.start()])
            at = match.end()
    return [*parts, text[at:]]


def _part(part: str | int, match: regex.Match[str]) -> str:
    return part if isinstance(part, str) else match[part] or ""


def _search(text: str, pattern: str) -> regex.Match[str] | None:
    return _patiently(lambda: _compiled(pattern).search(text, timeout=_PATIENCE_SECONDS), pattern)


def _compiled(pattern: str) -> regex.Pattern[str]:
    return compiled(java_pattern(pattern).python)


def _patiently(work: Callable[[], T], pattern: str) -> T:
    try:
        return work()
    except TimeoutError:
        raise InvalidPattern(f"'{pattern}' takes too long to match") from None
