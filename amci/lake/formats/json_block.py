"""Many rows of JSON text at once: numpy finds where the values are, and Arrow takes them out as they were written.

Three steps, each over the whole text instead of over one value:

1. `_marks` finds the characters that structure the text: those outside strings and lists.
2. `_entries` looks at what lies between two of them: a key, a value, a list or only space. Else it is not sound.
3. `_columns` makes a column of the values below the same keys.

Text that is not sound, or merely unusual, gives nothing: the cursor then reads it row by row, and says what is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from amci.lake.formats.columns import Block, BlockColumn, Path, compact
from amci.lake.formats.json_cursor import keys_in_list

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from amci.lake.formats.json_cursor import JsonDecoder

    _Bytes = NDArray[np.uint8]
    _Flags = NDArray[np.bool_]
    _Places = NDArray[np.intp]
    _Counts = NDArray[np.int32]

#: Kinds of marks. The outermost objects are rows, and a comma between rows separates them.
_QUOTE, _COMMA, _COLON, _OPEN, _CLOSE, _LIST, _LIST_END, _CONTROL, _ROW, _ROW_END, _SEPARATOR = range(1, 12)
_KINDS = 12
#: What may lie between two marks.
_SPACE, _KEY, _VALUE, _IN_LIST = range(1, 5)
#: What a value is.
_STRING, _OBJECT, _A_LIST, _NULL, _OTHER = range(5)

_MOST_SPACE = 1000  #: characters between two tokens
_TWO = 2  #: quotes of a string
_DEEPEST = 30  #: objects inside each other
_MOST_CELLS = 4_000_000
_QUOTE_CODE, _COLON_CODE, _BACKSLASH, _MINUS, _LINE_BREAK = map(ord, '":\\-\n')
#: Numbers and words; with NaN and Infinity.
_PLAIN = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null"
_STRICT, _LENIENT = f"^(?:{_PLAIN})$", f"^(?:{_PLAIN}|NaN|-?Infinity)$"


def _table(values: Mapping[bytes, int]) -> bytes:
    """For each character its value, 0 for others."""
    return bytes(next((v for many, v in values.items() if code in many), 0) for code in range(256))


_KIND_OF = _table(
    {
        b'"': _QUOTE,
        b",": _COMMA,
        b":": _COLON,
        b"{": _OPEN,
        b"}": _CLOSE,
        b"[": _LIST,
        b"]": _LIST_END,
        bytes(range(32)): _CONTROL,
    }
)
_IS_SPACE = np.frombuffer(_table({b" \t\n\r": 1}), np.bool_)
#: null and, if they may be there, NaN, Infinity and -Infinity begin with one of these, or with - and one of these.
_IS_NULL = np.frombuffer(_table({b"nNI": 1}), np.bool_)
#: How much deeper the text is behind a mark of each kind.
_DEEPER = np.zeros(_KINDS, np.int8)
_DEEPER[[_OPEN, _LIST]], _DEEPER[[_CLOSE, _LIST_END]] = 1, -1


def _between(*, in_list: bool) -> _Bytes:
    """What has to lie between a mark of one kind and the next of another; 0 if the second may not follow."""
    found = np.zeros((_KINDS, _KINDS), np.uint8)
    after_value = [_COMMA, _CLOSE, _ROW_END]
    found[[_ROW, _OPEN, _COMMA], _COLON] = _KEY
    found[_COLON, after_value] = _VALUE
    found[_LIST, _LIST_END] = _IN_LIST
    found[_COLON, [_OPEN, _LIST]] = _SPACE
    found[_LIST_END, after_value] = found[_CLOSE, after_value] = _SPACE
    found[_ROW, _ROW_END] = found[_OPEN, _CLOSE] = _SPACE
    if in_list:
        found[_ROW_END, _SEPARATOR] = found[_SEPARATOR, _ROW] = _SPACE
    else:
        found[_ROW_END, _ROW] = _SPACE
    return found.ravel()


_BETWEEN = {in_list: _between(in_list=in_list) for in_list in (False, True)}


class _Unusual(Exception):
    """The text has to be read row by row."""


def rows_at_once(text: str, decoder: JsonDecoder, *, in_list: bool, longest: int) -> Block | None:
    """The rows that are whole in a text that begins with one; None if they have to be read row by row.

    Rows are separated by commas if they are `in_list`, else by space. One of more than `longest` bytes is unusual.
    """
    try:
        return _block(text, decoder, in_list=in_list, longest=longest)
    except (_Unusual, ValueError, RecursionError):
        return None


def _block(text: str, decoder: JsonDecoder, *, in_list: bool, longest: int) -> Block:
    data = text.encode()
    codes = np.frombuffer(data, np.uint8)
    marks = _marks(data, codes)
    begins, ends = marks.at[marks.kinds == _ROW], marks.at[marks.kinds == _ROW_END] + 1
    entries = _entries(marks, codes, in_list=in_list)
    if (ends - begins).max() > longest:
        raise _Unusual
    end = int(ends[-1])
    size = end if text.isascii() else len(data[:end].decode())
    columns = _columns(entries, data, codes, decoder, len(begins)) if entries.kinds.size else {}
    lines = int(np.count_nonzero(codes[:end] == _LINE_BREAK))
    return Block(len(begins), columns, size, lines)


@dataclass(frozen=True, slots=True)
class _Marks:
    """The characters that structure the text, up to the end of its last whole row."""

    at: _Places
    kinds: _Bytes
    depths: _Counts  #: how many objects are open behind it
    quotes: _Counts  #: how many quotes there are before it


def _marks(data: bytes, codes: _Bytes) -> _Marks:
    """Raises _Unusual if there is no whole row, or a control character in a string."""
    every = np.frombuffer(data.translate(_KIND_OF), np.uint8)
    if b"\\" in data:
        every = every.copy()
        every[_escaped(codes)] = 0
    at = np.flatnonzero(every.astype(np.bool_))
    kinds = every[at]
    is_quote = kinds == _QUOTE
    quotes = np.cumsum(is_quote, dtype=np.int32)
    is_inside = (quotes & 1).astype(np.bool_)
    is_control = kinds == _CONTROL
    if (is_control & is_inside).any():
        raise _Unusual
    kept = np.flatnonzero(~(is_inside | is_quote | is_control))  # quicker than to index by flags
    at, kinds, quotes = at.take(kept), kinds.take(kept), quotes.take(kept)
    depths = np.cumsum(_DEEPER[kinds], dtype=np.int32)
    if (shallow := np.flatnonzero(depths < 0)).size:
        depths = depths[: shallow[0]]
    row_ends = np.flatnonzero((kinds[: len(depths)] == _CLOSE) & (depths == 0))
    if not row_ends.size:
        raise _Unusual
    end = row_ends[-1] + 1
    at, kinds, quotes, depths = at[:end], kinds[:end], quotes[:end], depths[:end]
    is_list = kinds == _LIST
    if is_list.any():
        lists = np.cumsum(is_list.astype(np.int8) - (kinds == _LIST_END), dtype=np.int32)
        kept = np.flatnonzero((lists == 0) | (is_list & (lists == 1)))
        at, kinds, quotes = at.take(kept), kinds.take(kept), quotes.take(kept)
        depths = np.cumsum(_DEEPER[kinds], dtype=np.int32)
    kinds[(kinds == _OPEN) & (depths == 1)] = _ROW
    kinds[(depths == 0) & (kinds == _CLOSE)] = _ROW_END
    kinds[(depths == 0) & (kinds == _COMMA)] = _SEPARATOR
    return _Marks(at, kinds, depths, quotes)


def _escaped(codes: _Bytes) -> _Places:
    """Where the characters are that stand behind a backslash that counts: the first, third … of those in a row."""
    at = np.flatnonzero(codes[:-1] == _BACKSLASH)
    numbers = np.arange(len(at))
    first = np.maximum.accumulate(np.where(np.diff(at, prepend=-2) > 1, numbers, 0))
    counting: _Places = at[(numbers - first) % 2 == 0]
    return counting + 1


@dataclass(frozen=True, slots=True)
class _Entries:
    """The keys of all objects outside lists, with what follows each: a value, a list or an object."""

    key_begins: _Places
    key_ends: _Places
    begins: _Places  #: of the value, without its quotes
    ends: _Places
    kinds: _Bytes  #: of the value
    rows: _Places
    depths: _Counts  #: 1 for keys of a row, 2 for those of an object in it, …


def _entries(marks: _Marks, codes: _Bytes, *, in_list: bool) -> _Entries:
    """Raises _Unusual if anything stands where it may not."""
    at, kinds, quotes = marks.at, marks.kinds, marks.quotes
    between = _BETWEEN[in_list].take(kinds[:-1].astype(np.intp) * _KINDS + kinds[1:])
    if at[0] or kinds[-1] != _ROW_END or not between.all():
        raise _Unusual
    begins = _trimmed(codes, at[:-1] + 1, 0, 1)
    _require((begins == at[1:]) | (between != _SPACE))

    keys = np.flatnonzero(between == _KEY)
    key_begins, key_ends = begins.take(keys), _trimmed(codes, at.take(keys + 1), -1, -1)
    # A quote at the end is not that at the beginning if there are two.
    key_quotes = quotes.take(keys + 1) - quotes.take(keys)
    _require((codes[key_begins] == _QUOTE_CODE) & (codes[key_ends - 1] == _QUOTE_CODE) & (key_quotes == _TWO))

    # Behind each key stands a colon, behind that the end of a value, or the beginning of a list or an object.
    following = kinds.take(keys + 2)
    value_begins = begins.take(keys + 1)
    value_ends = _trimmed(codes, at.take(keys + 2), -1, -1)
    value_quotes = quotes.take(keys + 2) - quotes.take(keys + 1)
    first = codes[value_begins]
    is_list, is_object = following == _LIST, following == _OPEN
    is_string = first == _QUOTE_CODE
    _require(~is_string | (value_quotes == _TWO) & (codes[value_ends - 1] == _QUOTE_CODE))
    value_begins = value_begins + is_string
    value_ends = value_ends - is_string
    if is_list.any():
        value_ends[is_list] = at[keys[is_list] + 3] + 1
    if is_object.any():
        value_ends[is_object] = value_begins[is_object]
    _require(value_ends >= value_begins)

    is_null = ~is_string & (_IS_NULL[first] | ((first == _MINUS) & _IS_NULL[codes[value_begins + 1]]))
    value_kinds = np.full(len(keys), _OTHER, np.uint8)
    value_kinds[is_null], value_kinds[is_string] = _NULL, _STRING
    value_kinds[is_object], value_kinds[is_list] = _OBJECT, _A_LIST
    return _Entries(
        key_begins=key_begins + 1,
        key_ends=key_ends - 1,
        begins=value_begins,
        ends=value_ends,
        kinds=value_kinds,
        rows=np.cumsum(kinds == _ROW)[keys] - 1,
        depths=marks.depths[keys],
    )


def _trimmed(codes: _Bytes, places: _Places, look: int, step: int) -> _Places:
    """The places moved by steps over space; `look` is how far from a place the character is that is looked at."""
    is_space = _IS_SPACE[codes[places + look]]
    places = places + step * is_space
    behind = np.flatnonzero(is_space)
    for _ in range(_MOST_SPACE):
        behind = behind[_IS_SPACE[codes[places[behind] + look]]]
        if not behind.size:
            return places
        places[behind] += step
    raise _Unusual


def _require(flags: _Flags) -> None:
    if not flags.all():
        raise _Unusual


def _slices(data: bytes, begins: _Places, ends: _Places) -> pa.StringArray:
    """The parts of a text, each at twice its number, with what lies between them; nothing is copied."""
    offsets = np.empty(2 * len(begins), np.int32)
    offsets[::2], offsets[1::2] = begins, ends
    return pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(data))


def _texts(
    entries: _Entries, data: bytes, codes: _Bytes, decoder: JsonDecoder
) -> tuple[pa.StringArray, _Places]:
    """The values as text, and at which number of it each is. Raises _Unusual or ValueError if one is not sound."""
    texts = _slices(data, entries.begins, entries.ends)
    places = 2 * np.arange(len(entries.begins))
    plain = texts.take(pa.array(places[entries.kinds >= _NULL]))
    is_sound = pc.match_substring_regex(plain, _LENIENT if decoder.not_finite else _STRICT)
    if not pc.all(is_sound, min_count=0).as_py():
        raise _Unusual
    for kind, decoded in ((_STRING, _unescaped), (_A_LIST, _compacted)):
        numbers = np.flatnonzero(entries.kinds == kind)
        if kind == _STRING:
            numbers = numbers[_have_backslash(entries, numbers, data, codes)]
        if numbers.size:
            found = decoded(texts.take(pa.array(places[numbers])).to_pylist(), decoder)
            places[numbers] = len(texts) + np.arange(len(numbers))
            texts = pa.concat_arrays([texts, pa.array(found, pa.string())])
    return texts, places


def _have_backslash(entries: _Entries, numbers: _Places, data: bytes, codes: _Bytes) -> _Flags:
    """Which of the values have a backslash in them."""
    flags = np.zeros(len(numbers), np.bool_)
    if numbers.size and b"\\" in data:
        at = np.flatnonzero(codes == _BACKSLASH)
        holders = np.searchsorted(entries.begins[numbers], at, "right") - 1
        flags[holders[(holders >= 0) & (at < entries.ends[numbers][holders])]] = True
    return flags


def _unescaped(texts: list[str], decoder: JsonDecoder) -> list[str]:
    """Strings, given without their quotes."""
    found: list[str] = decoder.whole('["' + '","'.join(texts) + '"]')
    return found


def _compacted(texts: list[str], decoder: JsonDecoder) -> list[str]:
    """Lists as JSON without spaces. Raises _Unusual or ValueError if one is not sound."""
    joined = "[" + ",".join(texts) + "]"
    if not _is_as_written(joined, decoder):
        plain = iter(_without_space([text for text in texts if _is_as_written(text, decoder)], decoder))
        odd = [text for text in texts if not _is_as_written(text, decoder)]
        values = iter(decoder.whole("[" + ",".join(odd) + "]"))
        return [next(plain) if _is_as_written(text, decoder) else compact(next(values)) for text in texts]
    return _without_space(texts, decoder)


def _is_as_written(text: str, decoder: JsonDecoder) -> bool:
    return "\\" not in text and not decoder.may_change(text)


def _without_space(texts: list[str], decoder: JsonDecoder) -> list[str]:
    joined = "[" + ",".join(texts) + "]"
    values = decoder.sound(joined)
    codes = np.frombuffer("\0".join(texts).encode(), np.uint8)
    is_inside = (np.cumsum(codes == _QUOTE_CODE, dtype=np.int32) & 1).astype(np.bool_)
    if "{" in joined and np.count_nonzero((codes == _COLON_CODE) & ~is_inside) > keys_in_list(values):
        raise _Unusual
    return codes[is_inside | ~_IS_SPACE[codes]].tobytes().decode().split("\0")


def _paths(entries: _Entries, data: bytes, decoder: JsonDecoder) -> tuple[_Places, list[tuple[str, ...]]]:
    """For each entry the number of its path, and the paths.

    Raises _Unusual for objects too deep inside others.
    """
    spelt = _slices(data, entries.key_begins, entries.key_ends)[::2].dictionary_encode()
    keys = [_unescaped([key], decoder)[0] if "\\" in key else key for key in spelt.dictionary.to_pylist()]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    ids = np.array([numbers[key] for key in keys])[spelt.indices.to_numpy()]
    paths: list[tuple[str, ...]] = [(key,) for key in numbers]
    deepest = entries.depths.max()
    if deepest > _DEEPEST:
        raise _Unusual
    for depth in range(2, deepest + 1):
        here = np.flatnonzero(entries.depths == depth)
        # The last entry of the depth above has the object that a deeper one is in.
        above = np.where(entries.depths == depth - 1, np.arange(len(ids)), 0)
        both = ids[np.maximum.accumulate(above)[here]] * len(keys) + ids[here]
        if len(paths) * len(keys) > _MOST_CELLS:
            raise _Unusual
        is_there = np.zeros(len(paths) * len(keys), np.bool_)
        is_there[both] = True
        pairs = np.flatnonzero(is_there)
        ids[here] = len(paths) + (np.cumsum(is_there) - 1)[both]
        paths += [(*paths[pair // len(keys)], paths[pair % len(keys)][0]) for pair in pairs.tolist()]
    return ids, paths


def _columns(
    entries: _Entries, data: bytes, codes: _Bytes, decoder: JsonDecoder, rows: int
) -> dict[Path, BlockColumn]:
    """The columns in order of their first values; all are taken out together, and are slices of one array.

    Raises _Unusual if a key stands twice in an object, or if there are very many columns.
    """
    ids, paths = _paths(entries, data, decoder)
    if len(paths) * rows > _MOST_CELLS:
        raise _Unusual
    is_taken = np.zeros(len(paths) * rows, np.bool_)
    is_taken[ids * rows + entries.rows] = True
    if np.count_nonzero(is_taken) < len(ids):
        raise _Unusual

    texts, places = _texts(entries, data, codes, decoder)
    values = np.flatnonzero(entries.kinds != _OBJECT)
    first = np.full(len(paths), len(ids))
    first[ids[values[::-1]]] = values[::-1]
    order = np.argsort(first)[: np.count_nonzero(first < len(ids))]
    numbers = np.zeros(len(paths), np.intp)
    numbers[order] = np.arange(len(order))
    cells = numbers[ids[values]] * rows + entries.rows[values]
    kinds = np.full(len(order) * rows, _NULL, np.uint8)
    kinds[cells] = entries.kinds[values]
    indices = np.zeros(len(kinds), np.intp)
    indices[cells] = places[values]
    taken = texts.take(pa.array(indices, mask=kinds == _NULL))

    by_column = kinds.reshape(len(order), rows)
    has_strings, has_numbers = ((by_column == kind).any(axis=1).tolist() for kind in (_STRING, _OTHER))
    columns: dict[Path, BlockColumn] = {}
    for number, path in enumerate(paths[place] for place in order.tolist()):
        columns[path if len(path) > 1 else path[0]] = BlockColumn(
            values=taken.slice(number * rows, rows),
            is_number=by_column[number] == _OTHER if has_numbers[number] else None,
            has_strings=has_strings[number],
        )
    return columns
