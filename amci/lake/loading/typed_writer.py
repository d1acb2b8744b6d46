"""Casts the rows of a large object while they are read, and writes the files that its heavy run would write of them.

The first rows tell the types, as they will tell them to the heavy run, which asks again: it takes the files if it would
cast the same columns by the same SQL into the same table, and writes its own otherwise. So nothing depends on them.
They lie in pre-stage, beside the text:

    adtech/amc/reach/reach.7v1.parquet  all text
    adtech/amc/reach/reach.7v1.1.typed  typed, the rows of one partition of the table
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from amci.kernel import log
from amci.kernel.errors import AmciError
from amci.kernel.files import replacing
from amci.kernel.layout import TYPED
from amci.lake.catalog.arrow_casts import TextCaster
from amci.lake.catalog.catalog import Catalog
from amci.lake.catalog.checksums import sha256_of
from amci.lake.catalog.inference import infer
from amci.lake.catalog.kinds import ColumnKind, DecimalKind, Kind
from amci.lake.catalog.tables import TableHome
from amci.lake.loading.batch_writer import BatchWriter
from amci.lake.loading.loads import LoadItem, Places, StagedSource, TypedRows
from amci.lake.loading.pre_stage import ROW_GROUP, grouped, repeating
from amci.lake.loading.staged_object import StagedTable, TypedFile
from amci.lake.loading.type_inference import (
    OWN,
    SAMPLE,
    check_partition,
    clues_of,
    constants_sql,
    own_sql,
    renamed,
)

_log = log.get("typed writer")

#: Rows of more text than this, before there are enough to tell the types, are too wide to be held.
_MOST_HELD = 96 * 1024**2
#: Rows of a table that is partitioned by a column of the file are held until they are so many bytes.
_HELD = 64 * 1024**2
#: More partitions in one object than this are written by DuckLake: each has a file open.
_PARTITIONS = 200
#: What Arrow writes as DuckDB does.
_SIMPLE = frozenset(
    {Kind.VARCHAR, Kind.BOOLEAN, Kind.BIGINT, Kind.DOUBLE, Kind.DATE, Kind.TIMESTAMP, Kind.TIMESTAMPTZ}
)
#: Of those, what partitions are named by.
_NAMING = frozenset({Kind.VARCHAR, Kind.BOOLEAN, Kind.BIGINT, Kind.DATE})
_FIRST_ROWS = "amci_first_rows"


class _Unsuited(Exception):
    """The heavy run has to write these rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CastPlan:
    """How the text of a file becomes rows of its table."""

    home: TableHome
    casters: Mapping[str, tuple[str, TextCaster]]  #: by column of the file; the table's column, and its cast
    constants: Mapping[str, pa.Scalar]  #: what all rows have, but for what names the partition
    placed_in: Mapping[str, str]  #: the partition that all rows fall in, or what is the same in all of theirs
    split_by: tuple[str, ...]  #: columns whose values name the others
    cast_hash: str  #: see `StagedSource.cast_hash`

    def cast(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Typed rows. Raises duckdb.Error for a value that does not fit."""
        columns = {name: caster.cast(rows.column(own)) for own, (name, caster) in self.casters.items()}
        constants = {name: pa.repeat(value, rows.num_rows) for name, value in self.constants.items()}
        return pa.record_batch(columns | constants)


class TypedWriter(BatchWriter):
    """Takes an object's rows as they are read. A context manager: files take their names if it ends well."""

    def __init__(
        self, pre_stage: Path, folder: Path, stem: str, plan: Callable[[pa.Table], CastPlan]
    ) -> None:
        """`plan` says, after the first rows, how all are cast. What it raises ends the writing, not the reading."""
        self._pre_stage, self._folder, self._stem, self._plan = pre_stage, folder, stem, plan
        super().__init__("typed writer", self._cast)
        self.typed: TypedRows | None = None  #: all rows, if they could be cast; right at the end

    def ended(self, failure: BaseException | None) -> None:
        """Delete the files if something failed."""
        if failure and self.typed:
            self.typed.drop()

    def _cast(self, batches: Iterator[pa.RecordBatch]) -> None:
        try:
            self._write(batches)
        except (_Unsuited, AmciError, duckdb.Error, pa.ArrowException, OSError) as error:
            _log.debug("rows not cast while they were read", why=type(error).__name__)

    def _write(self, batches: Iterator[pa.RecordBatch]) -> None:
        head = _head(batches)
        plan = self._plan(pa.Table.from_batches(head).slice(0, SAMPLE))
        paths: dict[tuple[str, ...], Path] = {}
        writers: dict[tuple[str, ...], pq.ParquetWriter] = {}
        with ExitStack() as files:
            for held in _held(grouped(map(plan.cast, chain(head, batches))), plan.split_by):
                for values, rows in held.items():
                    if values not in writers:
                        if len(writers) == _PARTITIONS:
                            raise _Unsuited
                        path = paths[values] = self._folder / f"{self._stem}.{len(paths) + 1}{TYPED}"
                        beside = files.enter_context(replacing(path))
                        writers[values] = files.enter_context(_writer(beside, rows[0]))
                    writers[values].write_table(pa.concat_tables(rows), row_group_size=2 * ROW_GROUP)
        written = []
        for values, path in paths.items():
            placed = dict(plan.placed_in) | dict(zip(plan.split_by, values, strict=True))
            in_order = {column: placed[column] for column in plan.home.partition_by}
            file = str(path.relative_to(self._pre_stage))
            written.append(TypedFile(file=file, sha256=sha256_of(path), partition=in_order))
        self.typed = TypedRows(pre_stage=self._pre_stage, files=tuple(written), cast_hash=plan.cast_hash)


def plan_casts(catalog: Catalog, item: LoadItem, staged: StagedTable, first: pa.Table) -> CastPlan:
    """How the heavy run will cast the rows of which these are the first; `staged` has no files yet.

    Raises what `Catalog.plan` raises, and an error of its own for rows that the heavy run has to write.
    """
    name, con = item.name_of(staged), catalog.con
    if item.dataset.schema_mode != "evolve" or item.stands_alone:
        raise _Unsuited
    con.register(_FIRST_ROWS, first)
    try:
        file = staged.columns(first.column_names)
        placed = staged.placed(file, partial(Places(catalog).of, name, own=item.own_columns))
        clues = clues_of([(item, staged)], placed, file.renamed(placed))
        kinds = infer(con, renamed(_FIRST_ROWS, placed), list(placed.values()), clues)
    finally:
        con.unregister(_FIRST_ROWS)
    typed = item.constant_types | OWN
    check_partition(item, {*placed.values(), *typed})
    source = StagedSource(rows=_FIRST_ROWS, text=kinds, typed=typed, clues=clues, is_checked=True)
    with catalog.exclusive("plan a load"):
        changes = catalog.plan(name, source.want, may_evolve=True, max_columns=item.max_columns)
        home = catalog.foresee(name, changes, item.partition_by)
    targets = {column: Kind.of_sql(home.columns[column]) for column in kinds}
    split_by = tuple(column for column in home.partition_by if column not in typed)
    if not all(_is_simple(kind) for kind in targets.values()) or any(
        targets.get(column) not in _NAMING for column in split_by
    ):
        raise _Unsuited
    placed_in = {column: item.constants.get(column) for column in home.partition_by if column in typed}
    if None in placed_in.values():
        raise _Unsuited
    casts = source.casts(home.columns)
    constants = con.execute(
        f"SELECT {', '.join(casts[c] for c in typed)}"
        f" FROM (SELECT {', '.join([*constants_sql(item), *own_sql(item)])})"
    ).to_arrow_table()
    return CastPlan(
        home=home,
        casters={
            own: (
                column,
                TextCaster(con, column, casts[column], targets[column], is_plain=clues.how(column).is_plain),
            )
            for own, column in placed.items()
        },
        constants={
            c: values[0] for c, values in zip(typed, constants.columns, strict=True) if c not in placed_in
        },
        split_by=split_by,
        placed_in={c: str(value) for c, value in placed_in.items()},
        cast_hash=source.cast_hash(home),
    )


def _head(batches: Iterator[pa.RecordBatch]) -> list[pa.RecordBatch]:
    """The first batches, with rows enough to tell the types. Raises _Unsuited for too few rows, or too much text."""
    head: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        head.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
        if rows >= SAMPLE:
            return head
        if size > _MOST_HELD:
            break
    raise _Unsuited


def _held(
    groups: Iterable[pa.Table], by: Sequence[str]
) -> Iterator[Mapping[tuple[str, ...], Sequence[pa.Table]]]:
    """The rows by the values of their partition, as many at a time as are worth a row group in each."""
    held: dict[tuple[str, ...], list[pa.Table]] = {}
    size = 0
    for rows in groups:
        for values, part in _partitions(rows, by):
            held.setdefault(values, []).append(part)
        size += rows.nbytes
        if not by or size >= _HELD:
            yield held
            held, size = {}, 0
    if held:
        yield held


def _partitions(rows: pa.Table, by: Sequence[str]) -> Iterator[tuple[tuple[str, ...], pa.Table]]:
    """The rows of each partition, in their order, without its columns. Raises _Unsuited for one without a value."""
    if not by:
        yield (), rows
        return
    keys = [rows.column(column).combine_chunks().dictionary_encode() for column in by]
    names = [key.dictionary.cast(pa.string()) for key in keys]
    if any(key.null_count for key in keys) or any("" in each.to_pylist() for each in names):
        raise _Unsuited
    codes = np.zeros(rows.num_rows, np.int64)
    for key in keys:
        codes = codes * len(key.dictionary) + key.indices.to_numpy()
    if int(codes.max(initial=0)) < 2**15:
        codes = codes.astype(np.int16)  # sorted by radix
    order = np.argsort(codes, kind="stable")
    ends = np.flatnonzero(np.diff(codes[order], append=-1)) + 1
    in_order = rows.drop_columns([*by]).take(pa.array(order))
    begin = 0
    for end in ends.tolist():
        first = int(order[begin])
        values = tuple(
            str(names_of[key.indices[first].as_py()]) for key, names_of in zip(keys, names, strict=True)
        )
        yield values, in_order.slice(begin, end - begin)
        begin = end


def _writer(path: Path, rows: pa.Table) -> pq.ParquetWriter:
    # As DuckDB writes it; Arrow's own schema would be read by nobody.
    return pq.ParquetWriter(
        path, rows.schema, compression="snappy", store_schema=False, use_dictionary=repeating(rows)
    )


def _is_simple(kind: ColumnKind) -> bool:
    return isinstance(kind, DecimalKind) or kind in _SIMPLE
