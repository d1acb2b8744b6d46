"""Writes a query's answer as JSON as its rows come: Arrow spells whole columns, and puts them together to rows."""

from __future__ import annotations

import codecs
import io
import json
from collections.abc import Callable, Iterable, Iterator
from typing import IO, TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from amci.lake.query.result import QueryResult
from amci.lake.query.result_files import as_json, texts, unique

if TYPE_CHECKING:
    from numpy.typing import NDArray

    _Characters = NDArray[np.uint8]  # in UTF-8

#: Bytes of values that are spelled at once, unless a row has more.
_MOST = 32 << 20
#: Python and Arrow write fractions of this size alike, but for whole ones, and others differently.
_SMALLEST, _TOO_LARGE = 1e-4, 1e9
_QUOTE, _BACKSLASH, _SPACE = map(ord, '"\\ ')
_TEXT = pa.large_string()  # of which more than 2 GiB may come together


def write_json(result: QueryResult, target: IO[str]) -> None:
    """All rows as an array of objects, one object a line."""
    _, batches = result.arrow()
    names = [json.dumps(name, ensure_ascii=False) for name in unique(result.columns)]
    write = _writer(target)
    between = "[\n"
    for batch in batches:
        for piece in _pieces(batch):
            target.write(between)
            write(_characters(_rows(piece, names))[: -len(",\n")])
            between = ",\n"
    target.write("\n]\n" if between == ",\n" else "[]\n")


def _writer(target: IO[str]) -> Callable[[_Characters], object]:
    """What writes UTF-8 to a file of text; past its encoder, if that would only make the same of it."""
    if not isinstance(target, io.TextIOWrapper) or codecs.lookup(target.encoding).name != "utf-8":
        return lambda characters: target.write(characters.tobytes().decode())

    def write(characters: _Characters) -> None:
        target.flush()
        target.buffer.write(characters)

    return write


def _pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The batch, or parts of it if it is large."""
    rows = max(1, batch.num_rows * _MOST // max(batch.nbytes, _MOST))
    return (batch.slice(start, rows) for start in range(0, batch.num_rows, rows))


def _rows(batch: pa.RecordBatch, names: list[str]) -> pa.Array:
    """The rows as objects, each with a comma and a line break behind it."""
    return _objects(zip(names, batch.columns, strict=True), ",\n")


def _objects(fields: Iterable[tuple[str, pa.Array]], end: str = "") -> pa.Array:
    """Objects of columns; the names are JSON."""
    parts: list[pa.Array | str] = []
    before = "{"
    for name, column in fields:
        values, mark = _spelt(column)
        parts += [f"{before}{name}: {mark}", values]
        before = f"{mark}, "
    return _joined(*parts, f"{before.removesuffix(', ')}}}{end}")


def _spelt(column: pa.Array) -> tuple[pa.Array, str]:
    """The values of a column as JSON, as `as_json` gives them, and the quotation mark that is missing around each.

    Raises QueryError as `texts` does.
    """
    kind, types = column.type, pa.types
    if types.is_boolean(kind) or types.is_integer(kind):
        spelt = column.cast(_TEXT)
    elif types.is_floating(kind):
        spelt = _fractions(column.cast(pa.float64()))
    elif types.is_decimal(kind):
        spelt = _decimals(column)
    elif types.is_struct(kind) and _is_plain(kind):
        names = [json.dumps(field.name, ensure_ascii=False) for field in kind]
        spelt = _but_null(column, _objects(zip(names, column.flatten(), strict=True)))
    elif types.is_list(kind) and _is_plain(kind):
        spelt = _but_null(column, _lists(column))
    elif types.is_nested(kind):
        spelt = texts(column).cast(_TEXT)
    else:
        spelt = texts(column)
        if not (types.is_string(spelt.type) or types.is_large_string(spelt.type)):
            spelt = pa.array(map(as_json, spelt.to_pylist()), _TEXT)
        elif not (spelt := _escaped(spelt.cast(_TEXT))).null_count:
            return spelt, '"'
        else:
            spelt = _joined('"', spelt, '"')
    return pc.fill_null(spelt, pa.scalar(as_json(None), _TEXT)), ""


def _is_plain(kind: pa.DataType) -> bool:
    """Whether it is made of what Arrow can spell; inside others, Python's times differ from ours."""
    types = pa.types
    if types.is_struct(kind):
        return all(_is_plain(field.type) for field in kind)
    if types.is_list(kind):
        return _is_plain(kind.value_type)
    is_number = types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
    return bool(is_number or types.is_boolean(kind) or types.is_string(kind))


def _lists(column: pa.Array) -> pa.Array:
    values, mark = _spelt(column.flatten())
    sizes = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
    places = np.concatenate([np.zeros(1, np.int32), np.cumsum(sizes, dtype=np.int32)])
    lists = pa.ListArray.from_arrays(places, _joined(mark, values, mark))
    return _joined("[", pc.binary_join(lists, pa.scalar(", ", _TEXT)), "]")


def _but_null(column: pa.Array, spelt: pa.Array) -> pa.Array:
    """The texts, but NULL for NULL."""
    return pc.if_else(column.is_valid(), spelt, pa.scalar(None, _TEXT)) if column.null_count else spelt


def _fractions(column: pa.Array) -> pa.Array:
    size = pc.abs(column)
    is_usual = pc.or_(
        pc.and_(pc.greater_equal(size, _SMALLEST), pc.less(size, _TOO_LARGE)), pc.equal(size, 0)
    )
    spelt = column.cast(_TEXT)
    is_whole = pc.equal(pc.trunc(column), column)
    if pc.any(is_whole).as_py():
        spelt = pc.if_else(is_whole, _joined(spelt, ".0"), spelt)
    return _but_for(column, pc.invert(is_usual), spelt)


def _decimals(column: pa.Array) -> pa.Array:
    spelt = column.cast(_TEXT)
    # Arrow writes those with an exponent that have many zeros behind the point.
    return _but_for(column, pc.match_substring(spelt, "E"), spelt)


def _but_for(column: pa.Array, flags: pa.BooleanArray, spelt: pa.Array) -> pa.Array:
    """The values as Arrow spelled them, but for those that Python has to spell."""
    if not pc.any(flags).as_py():
        return spelt
    flags = pc.fill_null(flags, False)
    others = [as_json(value) for value in column.filter(flags).to_pylist()]
    return pc.replace_with_mask(spelt, flags, pa.array(others, _TEXT))


def _escaped(column: pa.Array) -> pa.Array:
    """Texts as they are written between quotation marks."""
    characters = _characters(column)
    if ((characters >= _SPACE) & (characters != _QUOTE) & (characters != _BACKSLASH)).all():
        return column
    present = np.flatnonzero(np.bincount(characters))
    # The backslash first, because the others come to be written with one.
    for code in sorted(present.tolist(), key=_BACKSLASH.__ne__):
        if code < _SPACE or code in (_QUOTE, _BACKSLASH):
            column = pc.replace_substring(column, chr(code), json.dumps(chr(code))[1:-1])
    return column


def _joined(*parts: pa.Array | str) -> pa.Array:
    """Texts side by side, NULL if one is."""
    texts = [pa.scalar(part, _TEXT) if isinstance(part, str) else part for part in (*parts, "")]
    return pc.binary_join_element_wise(*texts)


def _characters(column: pa.Array) -> _Characters:
    """The UTF-8 of all values one after another."""
    _, places, data = column.buffers()
    offsets = np.frombuffer(places, np.int64)[column.offset :]
    return np.frombuffer(data or b"", np.uint8)[offsets[0] : offsets[len(column)]]
