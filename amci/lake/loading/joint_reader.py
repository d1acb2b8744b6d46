"""Reading many small objects at once: CSV files of one header and table are parsed and looked at together.

What comes out is what `object_reader` reads of each alone, and what is not as plain as can be is left to it: a file
that is doubtful or refused, a version that replaces another, personal data, a transform that sees rows.
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from amci.kernel.errors import AmciError
from amci.kernel.files import bounded_bytes
from amci.lake.catalog.headers import FileColumns, file_columns
from amci.lake.catalog.tables import TableName
from amci.lake.datasets.dataset import Dataset
from amci.lake.datasets.objects import Placement, Skip
from amci.lake.formats.joined_csv import (
    SMALL_BYTES,
    JoinedRows,
    PlainHeader,
    joined_rows,
    may_be_joined,
    plain_header,
)
from amci.lake.formats.model import ReadFacts
from amci.lake.loading import transform_call
from amci.lake.loading.object_reader import ObjectReader, ReadRows, identity
from amci.lake.loading.resemblance import unlike
from amci.lake.loading.row_buffer import AllTrue, BufferedRows, table_of
from amci.lake.loading.rules import RoutedObject, placement
from amci.lake.loading.spelling_hints import OddColumns, odd_columns

#: Text that is parsed at once: enough for what a parser costs to start, little enough to stay in the cache.
JOINED_BYTES = 2 * 2**20


@dataclass(frozen=True, slots=True)
class _Content:
    """A small file that was read to its end."""

    routed: RoutedObject
    place: Placement
    path: Path
    content: bytes


def joint_batches(routed: Sequence[RoutedObject]) -> Iterator[Sequence[RoutedObject]]:
    """The objects in order, by so many as are read at once."""
    batch: list[RoutedObject] = []
    size = 0
    for each in routed:
        batch.append(each)
        size += each.size
        if size > JOINED_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def read_jointly(reader: ObjectReader, routed: Sequence[RoutedObject]) -> Mapping[int, ReadRows]:
    """The rows of those of these objects that can be read together, by their run; the others are to be read alone."""
    joined: dict[int, ReadRows] = {}
    by_dataset = {each.obj.dataset.dataset: each for each in routed}
    taken = {name for name, each in by_dataset.items() if _takes(each)}
    candidates = [each for each in routed if each.obj.dataset.dataset in taken and _is_candidate(each)]
    if len(candidates) == 1:
        return joined
    groups: dict[tuple[str, str, frozenset[str], PlainHeader], list[_Content]] = {}
    for each in candidates:
        if found := _content(reader, each):
            obj, reserved = each.obj, reader.reserved(each.obj, found.place)
            header = plain_header(
                found.content,
                obj.dataset.csv_options,
                obj.dataset.read_limits,
                reserved,
                reader.rules.names_used(obj.dataset),
            )
            if header:
                groups.setdefault((obj.dataset.dataset, found.place.table, reserved, header), []).append(
                    found
                )
    for (_, _, reserved, header), files in groups.items():
        if len(files) == 1:
            continue
        columns = file_columns(header.names, header.paths, reserved)
        if not columns.repeated:
            for rows in joined_rows([file.content for file in files], header):
                for read in _read(reader, files, rows, columns):
                    joined[read.routed.run.run_id] = read
    return joined


def _takes(routed: RoutedObject) -> bool:
    """Whether files of the dataset may be read together."""
    dataset: Dataset = routed.obj.dataset
    is_csv = dataset.format in ("auto", "csv") and may_be_joined(dataset.csv_options)
    return is_csv and not dataset.pii and not (routed.light and routed.light.takes_rows)


def _is_candidate(routed: RoutedObject) -> bool:
    """Whether an object may be read with others: a small file of which nothing is known yet."""
    is_first = routed.obj.version == 1 and routed.loaded_sha256 is None and not routed.is_doubted
    return is_first and 0 < routed.size <= SMALL_BYTES and routed.obj.key.lower().endswith(".csv")


def _content(reader: ObjectReader, routed: RoutedObject) -> _Content | None:
    """The file, if it is what was seen, and did not change while it was read."""
    obj = routed.obj
    path = reader.roots[obj.root].path_of(obj.key)
    with suppress(AmciError, OSError):
        place: Placement | Skip = transform_call.place(routed.light, obj) if routed.light else placement(obj)
        before = path.stat()
        is_seen = (before.st_size, before.st_mtime_ns) == (routed.size, routed.mtime_ns)
        if isinstance(place, Placement) and is_seen and stat.S_ISREG(before.st_mode):
            content = bounded_bytes(path, SMALL_BYTES)
            if len(content) == routed.size and identity(path.stat()) == identity(before):
                return _Content(routed, place, path, content)
    return None


def _read(
    reader: ObjectReader, files: Sequence[_Content], rows: JoinedRows, columns: FileColumns
) -> Iterator[ReadRows]:
    """What was read of each file, but for those about which there is something to tell."""
    first = files[rows.members[0][0]] if rows.members else files[0]
    dataset = first.routed.obj.dataset
    shape = reader.table_shape(TableName(dataset.schema_name, table_of(first.place, "")))
    doubtful = unlike(shape, rows, columns) if shape else frozenset()
    odd = odd_columns(rows)
    filtered = columns.named(dataset.skip_if_all) if dataset.skip_if_all else None
    for file, start, count in rows.members:
        if file in doubtful or any(odd[file].marked()):
            continue
        data = rows.data.slice(start, count)
        skip = AllTrue(filtered)
        skip.see(data, columns)
        if not skip.holds:
            yield _as_read(reader, files[file], data, columns, odd[file])


def _as_read(
    reader: ObjectReader, file: _Content, data: pa.RecordBatch, columns: FileColumns, odd: OddColumns
) -> ReadRows:
    sha256 = hashlib.sha256(file.content).hexdigest()
    origin, types = reader.origin_and_types(str(file.path), file.place)
    return ReadRows(
        routed=file.routed,
        place=file.place,
        facts=ReadFacts(sha256=sha256, content_sha256=sha256, bytes=len(file.content)),
        probe=None,
        rows=BufferedRows([("", pa.Table.from_batches([data]))], [], data.nbytes, columns={"": columns}),
        origin=origin,
        types=types,
        notes=(),
        doubts=[],
        odd=odd,
    )
