"""Whether a file is like those that its table has so far: a wrong export, a cut-off one or another report is not.

For a table that has had five files of about 300 rows with the columns `day, units`:

    date;units → "none of its columns is one of the table"         (a wrong delimiter, another report)
    12 rows    → "it has 12 rows, and files of the table have about 300"
    units n/a in every row → "no number where the table has numbers: units"
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from amci.kernel.files import json_of
from amci.kernel.state import State
from amci.lake.catalog.headers import FileColumns
from amci.lake.catalog.tables import TableName
from amci.lake.formats import Doubt
from amci.lake.formats.joined_csv import JoinedRows

#: Fewer than one row in so many is doubtful, in a table whose files usually have so many rows.
_FEWER, _ENOUGH_ROWS = 10, 20
#: Of the version before, in which fewer rows are nothing doubtful, and how many times as many are.
_ENOUGH_BEFORE, _SHRUNK = 10, 2
#: A table with fewer files is not used to anything.
_ENOUGH_OBJECTS = 3
#: How much the newest file counts for what is usual.
_WEIGHT = 0.2
#: Rows that are looked at for numbers.
_SAMPLE = 200
#: Columns named in a sentence.
_NAMED = 5
_NUMBERS = ("BIGINT", "DOUBLE", "DECIMAL", "HUGEINT", "UBIGINT")
_DIGIT = r"^[-+(]?[^\p{L}\d]{0,3}[.,]?\d"


@dataclass(frozen=True, slots=True)
class TableShape:
    """What the files of a table are used to be like."""

    columns: Mapping[str, str]  #: that files bring, with their SQL types
    objects: int  #: that were loaded
    usual_rows: float  #: of an object

    def after(self, columns: Mapping[str, str], rows: Iterable[int]) -> TableShape:
        """The shape once objects of so many rows were loaded, and the table has these columns."""
        objects, usual = self.objects, self.usual_rows
        for count in rows:
            objects += 1
            usual += (count - usual) * max(_WEIGHT, 1 / objects)
        return TableShape(columns, objects, usual)


class TableShapes:
    """The shapes of the lake's tables, in the state file."""

    def __init__(self, state: State) -> None:
        self._state = state

    def of(self, name: TableName) -> TableShape | None:
        """The shape of a table; None if nothing was loaded into it."""
        rows = self._state.read(
            "SELECT columns, objects, usual_rows FROM table_shapes WHERE schema_name = ? AND table_name = ?",
            (name.schema, name.table),
        )
        return TableShape(json_of(rows[0][0]), rows[0][1], rows[0][2]) if rows else None

    def loaded(self, loads: Mapping[TableName, tuple[Mapping[str, str], Iterable[int]]]) -> None:
        """Note the columns that tables have now, and the rows of each object that was loaded into them."""
        shapes = {
            name: (self.of(name) or TableShape({}, 0, 0.0)).after(columns, rows)
            for name, (columns, rows) in loads.items()
        }
        self._state.write_many(
            "INSERT OR REPLACE INTO table_shapes (schema_name, table_name, columns, objects, usual_rows)"
            " VALUES (?, ?, ?, ?, ?)",
            [
                (name.schema, name.table, json.dumps(dict(shape.columns)), shape.objects, shape.usual_rows)
                for name, shape in shapes.items()
            ],
        )


class Resemblance:
    """Holds the rows of one file, as they are read, against what its tables have so far."""

    def __init__(self, shape_of: Callable[[str], TableShape | None]) -> None:
        """`shape_of` gives the shape of the table for a part of the file, None if there is no such table."""
        self._shape_of = shape_of
        self._seen: dict[str, _Seen] = {}

    def see(self, part: str, data: pa.RecordBatch, columns: FileColumns) -> None:
        """Look at further rows of a part, which has these columns."""
        if part not in self._seen:
            self._seen[part] = _Seen(self._shape_of(part))
        seen = self._seen[part]
        if seen.shape is None:
            return
        if len(data.schema) > len(seen.columns):
            seen.columns.update(data.schema.names, columns.earlier.values())
            seen.is_new = any(
                not {name, columns.earlier.get(name)} & seen.shape.columns.keys()
                for name in data.schema.names
            )
        if seen.rows < _SAMPLE:
            seen.look_for_numbers(seen.shape, data.slice(0, _SAMPLE))
        seen.rows += data.num_rows

    @property
    def has_known_columns(self) -> bool:
        """Whether the tables have had all columns of the file before."""
        return bool(self._seen) and all(seen.columns and not seen.is_new for seen in self._seen.values())

    def doubts(self) -> Iterator[Doubt]:
        """In what the file differs from those before it."""
        for part, seen in (self._seen or {"": _Seen(self._shape_of(""))}).items():
            yield from seen.doubts(f"table {part}" if part else "the table")


def unlike(shape: TableShape, rows: JoinedRows, columns: FileColumns) -> frozenset[int]:
    """Which of some small files differ from those before them in a table of this shape."""
    # A number in the first row of any of these columns is all that is asked of most files.
    pending = list(rows.members)
    for name in rows.data.schema.names:
        if pending and shape.columns.get(name, "").startswith(_NUMBERS):
            firsts = rows.data.column(name).take(pa.array([start for _, start, _ in pending], pa.int64()))
            are = pc.match_substring_regex(firsts, _DIGIT).to_pylist()
            pending = [member for member, is_number in zip(pending, are, strict=True) if not is_number]
    usual = shape.usual_rows if shape.objects >= _ENOUGH_OBJECTS else 0
    has_known = any(n in shape.columns for n in (*rows.data.schema.names, *columns.earlier.values()))
    asked = {m for m in rows.members if not has_known or m[2] * _FEWER < usual} | {*pending}
    doubtful = set()
    for file, start, count in asked:
        alone = Resemblance(lambda _: shape)
        alone.see("", rows.data.slice(start, count), columns)
        if any(alone.doubts()):
            doubtful.add(file)
    return frozenset(doubtful)


@dataclass(slots=True)
class _Seen:
    """What a file has for one table."""

    shape: TableShape | None
    rows: int = 0
    columns: set[str] = field(default_factory=set)
    is_new: bool = False  #: whether the table lacks one of them
    wordy: set[str] = field(
        default_factory=set
    )  #: columns with values, and no number among them, where numbers were
    has_numbers: bool = False  #: whether there is one in any such column

    def look_for_numbers(self, shape: TableShape, data: pa.RecordBatch) -> None:
        for name, values in zip(data.schema.names, data.columns, strict=True):
            if self.has_numbers:
                return
            if shape.columns.get(name, "").startswith(_NUMBERS) and values.null_count < len(values):
                self.has_numbers = pc.any(pc.match_substring_regex(values, _DIGIT)).as_py()
                self.wordy.add(name)

    def doubts(self, table: str) -> Iterator[Doubt]:
        if self.shape is None:
            return
        if self.columns and not self.columns & self.shape.columns.keys():
            yield Doubt(
                kind="columns",
                says=f"none of its columns is one of {table}, which has {_listed(self.shape.columns)}",
                hint="check the delimiter, the header, and whether the file belongs to another dataset",
            )
        elif self.wordy and not self.has_numbers:
            yield Doubt(
                kind="numbers",
                says=f"no number where {table} has numbers: {_listed(sorted(self.wordy))}",
                hint="check whether the columns of the file are shifted",
            )
        usual = self.shape.usual_rows
        if self.shape.objects >= _ENOUGH_OBJECTS and usual >= _ENOUGH_ROWS and self.rows * _FEWER < usual:
            yield Doubt(
                kind="rows",
                says=f"it has {self.rows} rows, and files of {table} have about {usual:.0f}",
                hint="check whether the file was cut off, or made before its data was there",
            )


def shrunk(rows: int, before: int) -> Doubt | None:
    """The doubt about a version with far fewer rows than the one that it replaces."""
    if not (rows * _SHRUNK < before and (before >= _ENOUGH_BEFORE or not rows)):
        return None
    return Doubt(
        kind="rows",
        says=f"it has {rows} rows, and the version before it has {before}",
        hint="check whether the file was cut off, or made before its data was there",
    )


def _listed(columns: Iterable[str]) -> str:
    names = list(columns)
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
