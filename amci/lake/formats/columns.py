"""Rows of JSON values gathered into batches of text columns, of which there are only ever more."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from amci.kernel.errors import MalformedFile
from amci.kernel.names import column_names
from amci.lake.formats.json_cursor import Number
from amci.lake.formats.model import TextBatch

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

_ROWS = 20_000
_CHARACTERS = 8 << 20
_CELLS = 4_000_000
_DIGIT = re.compile("[0-9]")
#: Words that are values in some column; `-` before the last two, too.
_VALUES = frozenset({"true", "false", "nan", "inf", "infinity"})
_VALUE = re.compile("|".join(_VALUES).encode())

#: Keys from the top down; a lone key stands for itself, because a text remembers its hash.
Path = str | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BlockColumn:
    """The values of a column in some rows."""

    values: pa.StringArray
    is_number: NDArray[np.bool_] | None  #: which of them are numbers, true or false; None if none is
    has_strings: bool


@dataclass(frozen=True, slots=True)
class Block:
    """Some rows that were read at once."""

    rows: int
    columns: Mapping[Path, BlockColumn]
    size: int = 0  #: in characters, from the beginning of the first row to the end of the last
    lines: int = 0  #: line breaks in them


@dataclass(frozen=True, slots=True)
class _Rows:
    """Some rows that were read one by one, and the lines they stand on."""

    rows: list[dict[Path, str | None]]
    lines: list[int]


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
        self._paths: dict[Path, None] = {}
        self._strings: set[Path] = set()  #: with a string
        self._quoted: set[Path] = set()  #: with a string that is more than a word
        self._numbers: set[Path] = set()  #: with a number, or true or false
        self._pieces: list[Block | _Rows] = []
        self._rows = 0
        self._characters = 0
        self.count = 0  #: rows that were in batches

    @property
    def is_full(self) -> bool:
        """Whether a batch is due."""
        cells = self._rows * len(self._paths)
        return self._rows >= _ROWS or self._characters >= _CHARACTERS or cells >= _CELLS

    @property
    def quoted(self) -> set[tuple[str, str]]:
        """(part, column) of every column with a JSON string that is more than a word; as of the last batch."""
        return self._named(self._quoted)

    @property
    def mixed(self) -> set[tuple[str, str]]:
        """Those of `quoted` that have numbers, too."""
        return self._named(self._quoted & self._numbers)

    def _named(self, paths: set[Path]) -> set[tuple[str, str]]:
        return {
            (self._part, name) for path, name in zip(self._paths, self._names, strict=False) if path in paths
        }

    def add(self, row: dict[str, Any], *, line: int, size: int) -> None:
        """Take a row of so many characters that stands on that line.

        Raises MalformedFile when there are too many columns.
        """
        flat: dict[Path, str | None] = {}
        self._flatten(row, (), flat)
        if not flat.keys() <= self._paths.keys():
            self._paths.update(dict.fromkeys(flat))
            if len(self._paths) > self._max_columns:
                raise MalformedFile(
                    f"it has more than {self._max_columns} columns",
                    line=line,
                    hint="If the file is sound, raise max_columns.",
                )
        if not (self._pieces and isinstance(rows := self._pieces[-1], _Rows)):
            rows = _Rows([], [])
            self._pieces.append(rows)
        rows.rows.append(flat)
        rows.lines.append(line)
        self._rows += 1
        self._characters += size

    def add_block(self, block: Block) -> bool:
        """Take rows that were read at once; False, and nothing is taken, if there are too many columns."""
        fresh = dict.fromkeys(path for path in block.columns if path not in self._paths)
        if len(self._paths) + len(fresh) > self._max_columns:
            return False
        self._paths.update(fresh)
        self._pieces.append(block)
        self._rows += block.rows
        self._characters += block.size
        return True

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
        blocks = [each if isinstance(each, Block) else self._block(each) for each in self._pieces]
        arrays = [self._column(path, blocks) for path in self._paths]
        self.count += self._rows
        self._pieces, self._rows, self._characters = [], 0, 0
        above = (self._part,) if self._part else ()
        paths = tuple((*above, path) if isinstance(path, str) else (*above, *path) for path in self._paths)
        return TextBatch(self._part, pa.RecordBatch.from_arrays(arrays, names=self._names), paths)

    def _column(self, path: Path, blocks: Sequence[Block]) -> pa.StringArray:
        """The values of a column, after a look at what they are."""
        import numpy as np
        import pyarrow as pa

        columns = [block.columns.get(path) or _missing(block.rows) for block in blocks]
        values = (
            pa.concat_arrays([each.values for each in columns]) if len(columns) > 1 else columns[0].values
        )
        has_numbers = any(each.is_number is not None for each in columns)
        if has_numbers:
            self._numbers.add(path)
        if any(each.has_strings for each in columns):
            self._strings.add(path)
        if path in self._strings and path not in self._quoted:
            words = values
            if has_numbers:
                flags = [
                    np.zeros(len(each.values), np.bool_) if each.is_number is None else each.is_number
                    for each in columns
                ]
                words = values.filter(pa.array(~np.concatenate(flags)))
            if _have_more_than_words(words):
                self._quoted.add(path)
        return values

    def _block(self, taken: _Rows) -> Block:
        import numpy as np
        import pyarrow as pa

        columns = {}
        try:
            for path in self._paths:
                values = [row.get(path) for row in taken.rows]
                texts = pa.array(values, pa.string())
                is_number = None
                if Number in map(type, values):
                    is_number = np.fromiter(
                        (type(value) is Number for value in values), np.bool_, len(values)
                    )
                columns[path] = BlockColumn(texts, is_number, path in self._strings)
        except UnicodeEncodeError:
            line = next(line for row, line in zip(taken.rows, taken.lines, strict=True) if not _is_text(row))
            raise MalformedFile(
                "a string is not Unicode text", line=line, hint="Check the file where it was made."
            ) from None
        return Block(len(taken.rows), columns)

    def _flatten(self, row: dict[str, Any], above: tuple[str, ...], into: dict[Path, str | None]) -> None:
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


def _missing(rows: int) -> BlockColumn:
    import pyarrow as pa

    return BlockColumn(pa.nulls(rows, pa.string()), None, has_strings=False)


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


def _have_more_than_words(texts: pa.StringArray) -> bool:
    """The same of an array; looks at all characters at once."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    _, places, data = texts.buffers()
    if data is None:
        return False
    offsets = np.frombuffer(places, np.int32)[texts.offset :]
    characters = np.frombuffer(data, np.uint8)[offsets[0] : offsets[len(texts)]]
    if (characters - ord("0") <= 9).any():  # noqa: PLR2004 - what is less than 0 is more than 9, too
        return True
    if not _VALUE.search(characters.tobytes().lower()):
        return False
    # No letter but those of ASCII has a small one in these words.
    lower = pc.replace_substring_regex(pc.ascii_lower(texts), "^-", "")
    return bool(pc.any(pc.is_in(lower, pa.array(_VALUES))).as_py())


def compact(value: Any) -> str:
    """JSON text without spaces, numbers as they were written."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{compact(key)}:{compact(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(compact, value)) + "]"
    if isinstance(value, Number):
        return value
    return json.dumps(value, ensure_ascii=False)


def _is_text(row: dict[Path, str | None]) -> bool:
    try:
        "".join(filter(None, row.values())).encode()
    except UnicodeEncodeError:
        return False
    return True
