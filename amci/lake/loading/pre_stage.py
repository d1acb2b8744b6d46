"""Pre-stage: Parquet in which every column is text, exactly what landed plus where it came from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain, groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from amci.kernel.files import replacing, storage_errors
from amci.lake.catalog.checksums import sha256_of
from amci.lake.datasets.objects import OBJECT_ID, RESERVED, ROW, VERSION
from amci.lake.loading.batch_writer import BatchWriter

#: Rows of one row group; DuckDB's own size, so that its threads share a file evenly.
ROW_GROUP = 122_880
#: With more different values than this share of its rows, a column is written plain.
_REPEATING = 0.4
#: Rows that are looked at to tell.
_SAMPLE = 20_000


@dataclass(frozen=True, slots=True)
class StagedFile:
    """A pre-stage file and how many rows of one object version it holds."""

    path: Path
    rows: int
    sha256: str  #: hexadecimal


@dataclass(frozen=True, slots=True)
class StagedRows:
    """The text rows of one object version for one table, in memory."""

    object_id: int
    version: int
    folder: Path
    stem: str
    data: pa.Table


def with_origin(data: pa.Table, object_id: int, version: int, first_row: int) -> pa.Table:
    """The rows with its object, version and row numbers (counted from 1 within the file)."""
    n = data.num_rows
    rows = pc.cumulative_sum(pa.repeat(pa.scalar(1, pa.int64()), n), start=first_row - 1)
    return (
        data.append_column(OBJECT_ID, pa.repeat(pa.scalar(object_id, pa.int64()), n))
        .append_column(VERSION, pa.repeat(pa.scalar(version, pa.int32()), n))
        .append_column(ROW, rows)
    )


def write_together(parts: Sequence[StagedRows]) -> list[StagedFile]:
    """Write the rows of many small objects, one file for each folder and set of columns.

    Returns one entry for each of `parts`, in order.
    """
    groups: dict[tuple[Path, tuple[str, ...]], list[int]] = {}
    for position, part in enumerate(parts):
        groups.setdefault((part.folder, tuple(part.data.column_names)), []).append(position)
    staged: dict[int, StagedFile] = {}
    for (folder, _), positions in groups.items():
        members = [parts[i] for i in positions]
        path = folder / f"{_name(members)}.parquet"
        rows = _with_origins(members)
        with replacing(path) as beside:
            pq.write_table(rows, beside, row_group_size=ROW_GROUP, **_encoding(rows))
            sha256 = sha256_of(beside)
        staged |= {i: StagedFile(path, parts[i].data.num_rows, sha256) for i in positions}
    return [staged[i] for i in range(len(parts))]


def _with_origins(members: Sequence[StagedRows]) -> pa.Table:
    """The rows of several objects in one piece, with their objects, versions and row numbers."""
    counts = np.array([member.data.num_rows for member in members])
    begins = np.cumsum(counts) - counts
    numbers = np.arange(counts.sum(), dtype=np.int64) - np.repeat(begins, counts) + 1
    objects = np.repeat(np.array([member.object_id for member in members], np.int64), counts)
    versions = np.repeat(np.array([member.version for member in members], np.int32), counts)
    return (
        pa.concat_tables([member.data for member in members])
        .append_column(OBJECT_ID, pa.array(objects))
        .append_column(VERSION, pa.array(versions))
        .append_column(ROW, pa.array(numbers))
    )


def changed_copy(
    source: Path, to: Path, object_id: int, version: int, change: Callable[[pa.RecordBatch], pa.RecordBatch]
) -> bool:
    """Write the rows that one object version has in a staged file to another one, as `change` leaves their columns.

    The columns that amci adds stay. False, and no file, if there are no rows or no other columns left.
    """
    with storage_errors("read pre-stage"), pq.ParquetFile(source) as file:
        changed = _changed(file, object_id, version, change)
        first = next(changed, None)
        if first is None or len(first.column_names) == len(RESERVED):
            return False
        with replacing(to) as part, pq.ParquetWriter(part, first.schema, **_encoding(first)) as writer:
            for rows in chain([first], changed):
                writer.write_table(rows)
    return True


def _changed(
    file: pq.ParquetFile, object_id: int, version: int, change: Callable[[pa.RecordBatch], pa.RecordBatch]
) -> Iterator[pa.Table]:
    own = (pc.field(OBJECT_ID) == object_id) & (pc.field(VERSION) == version)
    for batch in file.iter_batches():
        rows = batch.filter(own)
        if rows.num_rows:
            changed = change(rows.select([name for name in rows.schema.names if name not in RESERVED]))
            added = {name: rows.column(name) for name in (OBJECT_ID, VERSION, ROW)}
            yield pa.table(dict(zip(changed.schema.names, changed.columns, strict=True)) | added)


def _encoding(data: pa.Table) -> dict[str, Any]:
    """How pre-stage is encoded: it is never pruned by statistics, and row numbers only ever count up.

    A column whose rows hardly repeat is not worth a dictionary: building one costs a third of the writing.
    """
    return {
        "compression": "lz4",
        "write_statistics": False,
        "use_dictionary": [name for name in repeating(data) if name != ROW],
        "column_encoding": {ROW: "DELTA_BINARY_PACKED"},
    }


def repeating(data: pa.Table) -> list[str]:
    """The columns that are worth a dictionary."""
    return [name for name in data.column_names if _repeats(data.column(name))]


def _repeats(column: pa.ChunkedArray) -> bool:
    sample = column.slice(0, _SAMPLE)
    return bool(pc.count_distinct(sample).as_py() <= len(sample) * _REPEATING)


def _name(members: Sequence[StagedRows]) -> str:
    """One object: its own name. Several: a name made of who they are, so that a repeat replaces itself."""
    first = members[0]
    if len(members) == 1:
        return f"{first.stem}.{first.object_id}v{first.version}"
    identity = ",".join(f"{m.object_id}v{m.version}" for m in members)
    return f"{len(members)}-objects.{hashlib.sha256(identity.encode()).hexdigest()[:16]}"


class StreamWriter(BatchWriter):
    """Writes the rows of one large object as they are read; encoding runs in a thread of its own.

    Columns may be added on the way (JSON): each set of columns gets a file. Used as a context manager; the files
    take their names only when the block ends well.
    """

    def __init__(self, folder: Path, stem: str, object_id: int, version: int) -> None:
        self._folder = folder
        self.name = f"{stem}.{object_id}v{version}"  #: of its files
        self._object_id = object_id
        self._version = version
        super().__init__("pre-stage writer", self._write)
        self._files = ExitStack()
        self.staged: list[StagedFile] = []
        self.rows = 0

    def ended(self, failure: BaseException | None) -> None:
        """Give the files their names, unless something failed."""
        # ExitStack decides by the exception it is given whether the files take their names.
        self._files.__exit__(
            type(failure) if failure else None, failure, failure.__traceback__ if failure else None
        )

    def _write(self, batches: Iterator[pa.RecordBatch]) -> None:
        for _, same in groupby(batches, key=lambda batch: batch.schema):
            self._write_group(same)

    def _write_group(self, batches: Iterator[pa.RecordBatch]) -> None:
        suffix = f".{len(self.staged) + 1}" if self.staged else ""
        path = self._folder / f"{self.name}{suffix}.parquet"
        part = self._files.enter_context(replacing(path))
        before = self.rows
        groups = self._row_groups(batches)
        first = next(groups)
        with pq.ParquetWriter(part, first.schema, **_encoding(first)) as writer:
            for rows in chain([first], groups):
                writer.write_table(rows, row_group_size=2 * ROW_GROUP)
        self.staged.append(StagedFile(path, self.rows - before, sha256_of(part)))

    def _row_groups(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
        """The batches put together to row groups, with their origin."""
        for group in grouped(batches):
            yield with_origin(group, self._object_id, self._version, self.rows + 1)
            self.rows += group.num_rows


def grouped(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Batches of the same columns put together to row groups."""
    pending: list[pa.RecordBatch] = []
    waiting = 0
    for batch in batches:
        pending.append(batch)
        waiting += batch.num_rows
        if waiting >= ROW_GROUP:
            yield pa.Table.from_batches(pending)
            pending, waiting = [], 0
    if pending:
        yield pa.Table.from_batches(pending)
