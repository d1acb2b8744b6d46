"""Casts columns of text in Arrow's memory as the SQL of `casts` does: common spellings at once, others by that SQL.

For a column of whole numbers of which one batch has `7`, NULL and `12`, and the next one `12.0`:

    caster = TextCaster(con, "n", checked_cast_sql(Kind.BIGINT, '"n"', "n"), Kind.BIGINT, is_plain=True)
    caster.cast(pa.array(["7", None, "12"]))   # [7, null, 12], by Arrow
    caster.cast(pa.array(["12.0"]))            # [12], by DuckDB
    caster.cast(pa.array(["x"]))               # raises duckdb.InvalidInputException
"""

from __future__ import annotations

from collections.abc import Callable

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from amci.kernel.names import quoted
from amci.lake.catalog.kinds import ColumnKind, Kind

#: A column with at most this share of different values is cast value by value, not row by row.
_REPEATING = 0.1
#: So many values of a column are remembered.
_REMEMBERED = 100_000
#: Numbers of at most 17 digits, without zeros in front or an exponent: some of those that fit a DOUBLE.
_DOUBLES = r"^-?(?:(?:0|[1-9][0-9]{0,8})(?:[.][0-9]{1,8})?|0[.][0-9]{1,16})$"
_TEXTS = "amci_texts"


class TextCaster:
    """Casts one column, batch by batch."""

    def __init__(
        self, con: duckdb.DuckDBPyConnection, column: str, sql: str, kind: ColumnKind, *, is_plain: bool
    ) -> None:
        """`sql` casts `column`, by that name, to `kind`; `is_plain` if values are written as JSON writes them."""
        self._con = con
        self._column, self._sql = column, sql
        self._is_text = sql == quoted(column)
        self._fast = _FAST.get(kind) if is_plain else None
        self._repeats = True  #: whether it has had few values so far
        self._texts = pa.array([], pa.string())
        self._values: pa.Array | None = None  #: what those are cast to

    def cast(self, text: pa.Array) -> pa.Array:
        """The values of a batch. Raises what DuckDB raises for a value that does not fit."""
        if self._is_text:
            return text
        if self._repeats:
            found = text.dictionary_encode()
            self._repeats = len(found.dictionary) <= len(text) * _REPEATING
            if self._repeats:
                return self._known(found.dictionary).take(found.indices)
        fast = self._fast(text) if self._fast else None
        return self._by_sql(text) if fast is None else fast

    def _known(self, texts: pa.Array) -> pa.Array:
        """What texts are cast to, each asked once. NULL is none of them."""
        if len(self._texts) > _REMEMBERED:
            self._texts, self._values = self._texts.slice(0, 0), None
        places = pc.index_in(texts, value_set=self._texts)
        new = texts.filter(pc.is_null(places))
        if len(new) or self._values is None:
            values = self._by_sql(new)
            self._texts = pa.concat_arrays([self._texts, new])
            self._values = pa.concat_arrays([self._values, values]) if self._values is not None else values
            places = pc.index_in(texts, value_set=self._texts)
        return self._values.take(places)

    def _by_sql(self, text: pa.Array) -> pa.Array:
        self._con.register(_TEXTS, pa.table({self._column: text}))
        try:
            found = self._con.execute(f"SELECT {self._sql} AS value FROM {_TEXTS}").to_arrow_table()
        finally:
            self._con.unregister(_TEXTS)
        values = found.column("value")
        return pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], values.type)


def _whole(text: pa.Array) -> pa.Array | None:
    """The whole numbers of 64 bits that these texts are; None if one is written otherwise."""
    try:
        values = text.cast(pa.int64())
    except pa.ArrowInvalid:
        return None
    # Arrow takes 007 and 0x10, too.
    return values if values.cast(pa.string()).equals(text) else None


def _double(text: pa.Array) -> pa.Array | None:
    """The numbers that these texts are; None if one is written in a less common way, or is none."""
    if not pc.all(pc.match_substring_regex(text, _DOUBLES), min_count=0).as_py():
        return None
    return text.cast(pa.float64())


_FAST: dict[ColumnKind, Callable[[pa.Array], pa.Array | None]] = {Kind.BIGINT: _whole, Kind.DOUBLE: _double}
