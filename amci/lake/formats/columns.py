"""Rows of JSON values gathered into batches of text columns, of which there are only ever more."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from amci.kernel.errors import MalformedFile
from amci.kernel.names import column_names
from amci.lake.formats.json_cursor import Number
from amci.lake.formats.model import TextBatch

_ROWS = 20_000
_CHARACTERS = 8 << 20
_CELLS = 4_000_000
_DIGIT = re.compile("[0-9]")
#: Words that are values in some column; `-` before the last two, too.
_VALUES = frozenset({"true", "false", "nan", "inf", "infinity"})

# Keys from the top down; a lone key stands for itself, because a text remembers its hash.
_Path = str | tuple[str, ...]


class Columns:
    """The table that one part of a JSON file makes.

    Columns stand in order of first appearance. Nested objects become `parent_child`, however deep, and lists
    become compact JSON. A column that is missing in a row is NULL there.
    """

    def __init__(
        self,
        part: str,
        reserved: frozenset[str],
        *,
        max_columns: int,
        kept: frozenset[str] = frozenset(),
    ) -> None:
        self._part = part
        self._reserved, self._kept = reserved, kept
        self._max_columns = max_columns
        self._names: list[str] = []
        self._paths: dict[_Path, None] = {}
        self._strings: set[_Path] = set()  #: with a string
        self._quoted: set[_Path] = set()  #: with a string that is more than a word
        self._numbers: set[_Path] = set()  #: with a number, or true or false
        self._rows: list[dict[_Path, str | None]] = []
        self._lines: list[int] = []
        self._characters = 0
        self.count = 0  #: rows that were in batches

    @property
    def is_full(self) -> bool:
        """Whether a batch is due."""
        rows = len(self._rows)
        return rows >= _ROWS or self._characters >= _CHARACTERS or rows * len(self._paths) >= _CELLS

    @property
    def quoted(self) -> set[tuple[str, str]]:
        """(part, column) of every column with a JSON string that is more than a word; as of the last batch."""
        return self._named(self._quoted)

    @property
    def mixed(self) -> set[tuple[str, str]]:
        """Those of `quoted` that have numbers, too."""
        return self._named(self._quoted & self._numbers)

    def _named(self, paths: set[_Path]) -> set[tuple[str, str]]:
        return {
            (self._part, name) for path, name in zip(self._paths, self._names, strict=False) if path in paths
        }

    def add(self, row: dict[str, Any], *, line: int, size: int) -> None:
        """Take a row of so many characters that stands on that line.

        Raises MalformedFile when there are too many columns.
        """
        flat: dict[_Path, str | None] = {}
        self._flatten(row, (), flat)
        if not flat.keys() <= self._paths.keys():
            self._paths.update(dict.fromkeys(flat))
            if len(self._paths) > self._max_columns:
                raise MalformedFile(
                    f"it has more than {self._max_columns} columns",
                    line=line,
                    hint="If the file is sound, raise max_columns.",
                )
        self._rows.append(flat)
        self._lines.append(line)
        self._characters += size

    def batch(self) -> TextBatch | None:
        """The rows taken since the last batch; None if there are none, or none with a field.

        Raises MalformedFile for a string that is not Unicode text (half of a surrogate pair).
        """
        if not self._rows or not self._paths:
            return None
        import pyarrow as pa

        if len(self._names) < len(self._paths):
            # A column that rows were given of keeps its name.
            self._names = column_names(self._paths, self._reserved, before=self._names, kept=self._kept)
        try:
            arrays = [pa.array(self._values(path), pa.string()) for path in self._paths]
        except UnicodeEncodeError:
            line = next(line for row, line in zip(self._rows, self._lines, strict=True) if not _is_text(row))
            raise MalformedFile(
                "a string is not Unicode text", line=line, hint="Check the file where it was made."
            ) from None
        self.count += len(self._rows)
        self._rows, self._lines, self._characters = [], [], 0
        above = (self._part,) if self._part else ()
        paths = tuple((*above, path) if isinstance(path, str) else (*above, *path) for path in self._paths)
        return TextBatch(self._part, pa.RecordBatch.from_arrays(arrays, names=self._names), paths)

    def _values(self, path: _Path) -> list[str | None]:
        """The values of a column in the rows taken, after a look at what they are."""
        values = [row.get(path) for row in self._rows]
        has_numbers = path in self._numbers
        if not has_numbers and Number in map(type, values):
            has_numbers = True
            self._numbers.add(path)
        if path in self._strings and path not in self._quoted:
            strings = [v for v in values if type(v) is str] if has_numbers else list(filter(None, values))
            if are_more_than_words(strings):
                self._quoted.add(path)
        return values

    def _flatten(self, row: dict[str, Any], above: tuple[str, ...], into: dict[_Path, str | None]) -> None:
        for key, value in row.items():
            path = (*above, key) if above else key
            kind = type(value)
            if kind is str:
                into[path] = value
                self._strings.add(path)
            elif value is None or kind is Number:
                into[path] = value
            elif kind is dict:
                self._flatten(value, (*above, key), into)
            elif kind is bool:
                into[path] = Number(compact(value))
            else:
                into[path] = compact(value)


def are_more_than_words(texts: Sequence[str]) -> bool:
    """Whether one of them could be a number, a date or the like, which makes its column one of text.

    Words such as `n/a`, and blanks, are none; a column that has numbers beside them is not one of text for that.
    """
    joined = "\n".join(texts)
    if _DIGIT.search(joined):
        return True
    joined = joined.lower()
    if not any(value in joined for value in _VALUES):
        return False
    return any(text.lower().removeprefix("-") in _VALUES for text in texts)


def compact(value: Any) -> str:
    """JSON text without spaces, numbers as they were written."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{compact(key)}:{compact(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(compact, value)) + "]"
    if isinstance(value, Number):
        return value
    return json.dumps(value, ensure_ascii=False)


def _is_text(row: dict[_Path, str | None]) -> bool:
    try:
        "".join(filter(None, row.values())).encode()
    except UnicodeEncodeError:
        return False
    return True
