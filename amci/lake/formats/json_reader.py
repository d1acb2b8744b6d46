"""JSON as batches of text: an array of objects, objects one after another, or arrays inside one object."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from amci.lake.formats.columns import Columns, compact
from amci.lake.formats.header import is_value
from amci.lake.formats.json_cursor import Cursor, JsonDecoder
from amci.lake.formats.model import Doubt
from amci.lake.formats.text import decoded

if TYPE_CHECKING:
    from amci.lake.formats.model import JsonOptions, Limits, TextBatch
    from amci.lake.formats.source import ByteSource


#: Characters that are read at once: fewer are not worth it, and more do not fit into the processor's cache. It begins
#: with fewer than that, because a file of many short lists would be looked at over and over.
LEAST, FIRST, MOST = 2 << 10, 64 << 10, 1 << 20
#: Fields named in a hint.
_NAMED = 8
_LONGEST = 80  #: characters of such a name
_KINDS = {"]": "list", "}": "object"}


def json_batches(
    source: ByteSource,
    options: JsonOptions,
    limits: Limits,
    reserved: frozenset[str],
    quoted: set[tuple[str, str]],
    mixed: set[tuple[str, str]],
    doubts: list[Doubt],
    *,
    kept: frozenset[str] = frozenset(),
) -> Iterator[TextBatch]:
    """The rows of a JSON file, every value as it was written; none for an empty file, `[]` and `{}`.

    With `options.explode` the top is one object and each of its arrays is a part; they are read in turn, and
    only a row at a time is held. A batch has all columns its part has shown so far. The (part, column) pairs
    that held strings other than words go into `quoted`, and into `mixed` if they held numbers, too. One object around a
    list of objects, such as the answer of an API, is doubtful.
    Raises MalformedFile with the physical line, StorageError.
    """
    decoder = JsonDecoder(not_finite=options.not_finite, may_repeat=options.repeated_key)
    cursor = Cursor(decoded(source.expanded(limits), "auto"), limit=limits.max_line_bytes, decoder=decoder)
    top = cursor.peek()
    if not top:
        return
    for part, rows in _parts(cursor, options):
        columns = Columns(part, reserved, max_columns=limits.max_columns, kept=kept)
        at_once = _AtOnce(
            cursor, columns, decoder, in_list=options.explode or top == "[", longest=limits.max_line_bytes
        )
        for _ in rows:
            if not at_once.take():
                line = cursor.line
                row, size = cursor.value()
                columns.add(row, line=line, size=size)
            if columns.is_full and (batch := columns.batch()):
                yield batch
        if batch := columns.batch():
            yield batch
        quoted |= columns.quoted
        mixed |= columns.mixed
        if top == "{" and columns.count == 1 and not options.explode:
            doubts += _around_list(row)
    if cursor.peek():
        cursor.refuse("there is text after the end of the JSON")


class _AtOnce:
    """Takes many rows at once, if there are many ahead and they can be read that way."""

    def __init__(
        self, cursor: Cursor, columns: Columns, decoder: JsonDecoder, *, in_list: bool, longest: int
    ) -> None:
        self._cursor, self._columns = cursor, columns
        self._decoder, self._in_list, self._longest = decoder, in_list, longest
        self._size = FIRST
        self._row_by_row_until = 0

    def take(self) -> bool:
        """Whether rows from here on were taken; else the next has to be read by itself."""
        if self._cursor.place < self._row_by_row_until:
            return False
        text = self._cursor.ahead(self._size)
        if len(text) < LEAST:
            return False
        from amci.lake.formats.json_block import rows_at_once

        self._size = min(2 * self._size, MOST)
        block = rows_at_once(text, self._decoder, in_list=self._in_list, longest=self._longest)
        if block is None or block.rows == 1 or not self._columns.add_block(block):
            self._row_by_row_until = self._cursor.place + len(text)
            return False
        self._cursor.skip(block.size, block.lines)
        return True


def _around_list(row: dict[str, Any]) -> Iterator[Doubt]:
    """The doubt about an object that is little more than one list of objects."""
    lists = [
        key for key, value in row.items() if isinstance(value, list) and value and isinstance(value[0], dict)
    ]
    if len(lists) != 1 or any(map(is_value, row)) or 2 * len(compact(row[lists[0]])) < len(compact(row)):
        return
    (name,) = lists
    others = [key for key in row if key != name]
    drop = f", drop: [{', '.join(map(_in_yaml, others))}]" if len(others) <= _NAMED else ", drop: […]"
    yield Doubt(
        kind="rows",
        says=f"it is one object around a list of {len(row[name])} objects, {name}: it was loaded as one row",
        hint=f"if they are the rows, set `json: {{explode: true{drop if others else ''}}}` in the dataset: the list"
        f" becomes a table of its own, with `_{name}` behind its name",
    )


def _in_yaml(key: str) -> str:
    return key if key.isidentifier() else json.dumps(key)


def _parts(cursor: Cursor, options: JsonOptions) -> Iterator[tuple[str, Iterator[None]]]:
    """Each part's name with the rows in it; at each row the cursor stands before its object."""
    if options.explode:
        yield from _exploded(cursor, options.drop)
    elif cursor.peek() == "[":
        yield "", _objects_in_list(cursor)
    else:
        yield "", _objects(cursor)


def _exploded(cursor: Cursor, drop: frozenset[str]) -> Iterator[tuple[str, Iterator[None]]]:
    seen = set()
    for _ in _items(cursor, "{", "}"):
        if cursor.peek() != '"':
            cursor.refuse("it is not valid JSON")
        key, _size = cursor.value()
        cursor.take(":")
        if key in drop:
            cursor.value()
        elif cursor.peek() == "n":
            cursor.value()  # null is no row
        elif cursor.peek() != "[":
            cursor.refuse(
                f"the field {_in_yaml(key[:_LONGEST])} of the object is not an array",
                hint=f"Leave it out by `json: {{drop: [{_in_yaml(key[:_LONGEST])}]}}` in the dataset, or do not explode"
                " its files.",
            )
        elif key in seen:
            cursor.refuse(f"the field {_in_yaml(key[:_LONGEST])} of the object comes twice")
        else:
            seen.add(key)
            yield key, _objects_in_list(cursor)


def _objects_in_list(cursor: Cursor) -> Iterator[None]:
    for _ in _items(cursor, "[", "]"):
        _check_object(cursor)
        yield


def _objects(cursor: Cursor) -> Iterator[None]:
    while cursor.peek():
        _check_object(cursor)
        yield


def _items(cursor: Cursor, opening: str, closing: str) -> Iterator[None]:
    """Stop before each item of a list or object; the caller takes the item."""
    cursor.take(opening)
    if cursor.peek() == closing:
        cursor.take(closing)
        return
    while True:
        yield
        if cursor.take("," + closing) == closing:
            return
        if cursor.peek() == closing:
            cursor.refuse(f"there is a comma before the end of the {_KINDS[closing]}", hint="Leave it out.")


def _check_object(cursor: Cursor) -> None:
    if cursor.peek() not in {"{", ""}:
        cursor.refuse("a row is not an object", hint="Each row must be a JSON object with named fields.")
