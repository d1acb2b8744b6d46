"""Buffers an object's text rows while it is read: in memory while few, then in pre-stage files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc

from amci.kernel.layout import file_stem, hive_path
from amci.kernel.names import table_name
from amci.lake.catalog.headers import FileColumns
from amci.lake.datasets.objects import Placement
from amci.lake.loading.loads import TypedRows
from amci.lake.loading.pre_stage import StagedFile, StreamWriter
from amci.lake.loading.rules import RoutedObject
from amci.lake.loading.typed_writer import CastPlan, TypedWriter

#: An object whose text is larger than this in memory is streamed to files of its own.
_SMALL = 8 * 1024**2


@dataclass(frozen=True, slots=True)
class BufferedRows:
    """The rows of one object: each part (an array of a report, or '') is in memory or in files."""

    small: list[tuple[str, pa.Table]]
    staged: list[tuple[str, StagedFile]]
    size: int = 0  #: bytes held in memory
    skip: str = ""  #: why none of them are wanted
    values: frozenset[tuple[str, str]] = frozenset()  #: (part, column) to which a transform gave a type
    made: frozenset[tuple[str, str]] = (
        frozenset()
    )  #: (part, column) of text that a transform made under a new name
    columns: Mapping[str, FileColumns] = field(default_factory=dict)  #: of each part; some may be left out
    typed: Mapping[str, TypedRows] = field(
        default_factory=dict
    )  #: of parts whose rows were cast while they were read

    @property
    def is_empty(self) -> bool:
        """Whether there are no rows at all."""
        return not self.small and not self.staged

    @property
    def rows(self) -> int:
        """How many rows there are."""
        in_files = sum(file.rows for _, file in self.staged)
        return in_files + sum(int(rows.num_rows) for _, rows in self.small)

    @property
    def parts(self) -> list[str]:
        """The parts that have rows, in order."""
        return list(dict.fromkeys(part for part, _ in (*self.small, *self.staged)))

    def drop(self) -> None:
        """Delete what was written; nothing will refer to it."""
        for _, file in self.staged:
            file.path.unlink(missing_ok=True)
        for typed in self.typed.values():
            typed.drop()


class AllTrue:
    """Whether a column is true in every row of a file, as AMC's `filtered` may be."""

    def __init__(self, column: str | None) -> None:
        self.column = column
        self._rows = 0
        self._so_far = column is not None

    def see(self, data: pa.RecordBatch, columns: FileColumns) -> None:
        """Look at further rows; `columns` are the file's."""
        if not self._so_far or self.column is None:
            return
        position = data.schema.get_field_index(columns.named(self.column) or self.column)
        if position < 0:
            self._so_far = False
            return
        is_true = pc.fill_null(pc.equal(pc.utf8_lower(data.column(position)), "true"), fill_value=False)
        self._rows += data.num_rows
        self._so_far = bool(pc.all(is_true, min_count=0).as_py())

    @property
    def holds(self) -> bool:
        """Whether there were rows, and it was true in all of them."""
        return self._so_far and self._rows > 0


class RowBuffer:
    """Takes an object's rows as they are read. A context manager: files take their names if it ends well."""

    def __init__(
        self,
        pre_stage: Path,
        routed: RoutedObject,
        place: Placement,
        *,
        suffix: str = "",
        plan: Callable[[str, pa.Table], CastPlan] | None = None,
    ) -> None:
        """`plan` says how rows are cast while they are read, after the first ones of a part; None: they are not."""
        self._plan = plan
        self._typed: dict[str, TypedWriter] = {}
        self._pre_stage = pre_stage
        self._routed = routed
        self._place = place
        self._suffix = suffix
        self._streams = ExitStack()
        self._held: dict[str, list[pa.RecordBatch]] = {}
        self._writers: dict[str, StreamWriter] = {}
        self._size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        # With the exception, so that what was written of a refused file goes.
        self._streams.__exit__(kind, value, trace)

    def take(self, part: str, data: pa.RecordBatch) -> None:
        """Take further rows of one part."""
        if self._writers:
            self._write(part, data)
            return
        self._held.setdefault(part, []).append(data)
        self._size += data.nbytes
        if self._size > _SMALL:
            for name, batches in self._held.items():
                for batch in batches:
                    self._write(name, batch)
            self._held = {}

    def _write(self, part: str, data: pa.RecordBatch) -> None:
        self._writer(part).write(data)
        if part in self._typed:
            self._typed[part].write(data)

    def _writer(self, part: str) -> StreamWriter:
        if part not in self._writers:
            folder = folder_of(self._pre_stage, self._routed, self._place, part)
            stem = file_stem(self._place.stem) + self._suffix
            writer = StreamWriter(folder, stem, self._routed.object_id, self._routed.obj.version)
            self._writers[part] = self._streams.enter_context(writer)
            if self._plan:
                typed = TypedWriter(self._pre_stage, folder, writer.name, partial(self._plan, part))
                self._typed[part] = self._streams.enter_context(typed)
        return self._writers[part]

    def buffered(self, columns: Mapping[str, FileColumns]) -> BufferedRows:
        """All that was taken, with the columns of each part; closes the files."""
        self._streams.close()
        tables = [
            (part, pa.concat_tables([pa.Table.from_batches([b]) for b in batches], promote_options="default"))
            for part, batches in self._held.items()
        ]
        staged = [(part, file) for part, writer in self._writers.items() for file in writer.staged]
        size = 0 if self._writers else self._size
        typed = {part: writer.typed for part, writer in self._typed.items() if writer.typed}
        return BufferedRows(
            [(part, rows) for part, rows in tables if rows.num_rows],
            staged,
            size,
            columns=columns,
            typed=typed,
        )


def table_of(place: Placement, part: str) -> str:
    """The table that takes one part of an object."""
    return table_name(place.table, part) if part else place.table


def folder_of(pre_stage: Path, routed: RoutedObject, place: Placement, part: str) -> Path:
    """The folder of pre-stage for one part of an object."""
    dataset = routed.obj.dataset
    partition = (*place.partition, *place.pre_stage_partition)
    return _folder(pre_stage, f"{dataset.team}/{dataset.dataset}/{table_of(place, part)}", partition)


@lru_cache(maxsize=1024)
def _folder(pre_stage: Path, table: str, partition: tuple[tuple[str, str | None], ...]) -> Path:
    """One path for all files of a folder: making, hashing and comparing paths is a part of what a small file costs."""
    return pre_stage / f"{table}/{hive_path(partition)}"
