"""Reading one raw object: its rows, protected and as its light transform wants them, and what is doubtful."""

from __future__ import annotations

import functools
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from amci.kernel.errors import AmciError, DataError, MalformedFile
from amci.kernel.files import storage_errors
from amci.kernel.names import column_names, quoted
from amci.kernel.plugins import Transform
from amci.kernel.run import Done, Outcome, Skipped
from amci.lake.catalog.catalog import Catalog
from amci.lake.catalog.headers import FileColumns, file_columns
from amci.lake.catalog.tables import TableName
from amci.lake.datasets.objects import RESERVED, Placement, RawObject, Skip
from amci.lake.datasets.pii import Protection
from amci.lake.formats import Doubt, FileFormat, ReadFacts, Reading, format_of
from amci.lake.landing.content import SMALL, content_hash, probe
from amci.lake.landing.object_store import ObjectStore
from amci.lake.landing.roots import Root
from amci.lake.landing.sidecar import METADATA, Sidecar, delivered_origin, has_sidecar
from amci.lake.loading import transform_call
from amci.lake.loading.doubting import note, told
from amci.lake.loading.loads import LoadItem
from amci.lake.loading.resemblance import Resemblance, TableShape, TableShapes, shrunk
from amci.lake.loading.row_buffer import AllTrue, BufferedRows, RowBuffer, table_of
from amci.lake.loading.rules import RoutedObject, Rules, placement
from amci.lake.loading.spelling_hints import OddColumns
from amci.lake.loading.staged_object import StagedObject, StagedTable, heavy_run
from amci.lake.loading.typed_writer import CastPlan, plan_casts

#: The kind of runs that read.
LIGHT = "light"

Look = Callable[[str, pa.RecordBatch, FileColumns], None]
ShapeOf = Callable[[TableName], TableShape | None]

#: Files of pre-stage whose columns say which names the lake has already.
_REMEMBERED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRows:
    """An object that was read: what its heavy run has to know."""

    routed: RoutedObject
    place: Placement
    facts: ReadFacts
    probe: str | None  #: of a large file
    rows: BufferedRows
    origin: Mapping[str, str]  #: what its sidecar says
    types: Mapping[str, str]  #: AMC's, of its columns
    notes: Sequence[Mapping[str, Any]]  #: personal values in columns without a rule
    doubts: Sequence[Doubt]
    odd: OddColumns


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectReader:
    """Reads raw objects, each for itself."""

    rules: Rules
    objects: ObjectStore
    shapes: TableShapes
    roots: Mapping[str, Root]
    catalog: Catalog
    pre_stage: Path
    spill: Path

    shape_of: ShapeOf | None = None  #: remembers shapes for a batch
    has_metadata: Callable[[str], bool] | None = (
        None  #: remembers in which folders AMC says what it delivered
    )

    def of_one_batch(self) -> ObjectReader:
        """A reader that asks for each table and each folder once."""
        return replace(
            self, shape_of=functools.cache(self.shapes.of), has_metadata=functools.cache(_has_metadata)
        )

    def read(self, routed: RoutedObject) -> ReadRows | Outcome:
        """The rows of an object, or the outcome of its run if there are none or it is refused."""
        try:
            return self._read(routed)
        except FileNotFoundError:
            return self._overtaken(routed, "the file was gone before it was read")
        except AmciError as error:
            if isinstance(error, DataError):
                self._note_refused(routed)
            return self.objects.refused(routed.run, error)

    def _note_refused(self, routed: RoutedObject) -> None:
        """What the file holds that was refused, so that it is only tried again when it holds something else."""
        path, size = self.roots[routed.obj.root].path_of(routed.obj.key), routed.size
        with suppress(OSError):
            known = (None, probe(path)) if size > SMALL else (content_hash(path), None)
            self.objects.set_hashes([(routed.object_id, routed.obj.version, *known)])

    def _read(self, routed: RoutedObject) -> ReadRows | Outcome:
        obj, light = routed.obj, routed.light
        place: Placement | Skip = placement(obj)
        if light and not light.takes_rows:
            place, light = transform_call.place(light, obj), None
        if isinstance(place, Skip):
            return nothing(routed, place.reason)
        path = self.roots[obj.root].path_of(obj.key)
        with storage_errors(f"read {obj.key}"):
            before = path.stat()
            if not stat.S_ISREG(before.st_mode):  # something that is no file at all
                raise FileNotFoundError
        if (before.st_size, before.st_mtime_ns) != (routed.size, routed.mtime_ns):
            return self._overtaken(routed, "the file changed before it was read; its next version follows")
        rules, nulls = obj.dataset.pii, obj.dataset.nulls
        protection = Protection(rules, self.rules.pii_key, nulls) if rules else None
        likeness = _likeness(obj, place, self.table_shape)
        odd = OddColumns()
        look = _both(likeness, odd)
        with self._opened(obj, path, place) as reading:
            buffered = self._buffered(routed, place, reading, protection, None if light else look)
        repeats = [_repeat(name) for columns in buffered.columns.values() for name in columns.repeated]
        if reading.is_blank and obj.version > 1 and obj.dataset.on_new_version == "replace":
            raise MalformedFile(
                "there is nothing in it, not even a header",
                hint="The rows of the version before stay. A header without rows takes them out.",
            )
        with storage_errors(f"read {obj.key}"):
            ends = probe(path) if before.st_size > SMALL else None
            after = path.stat()
        if identity(before) != identity(after):
            buffered.drop()
            return self._overtaken(routed, "the file changed while it was read; its next version follows")
        if routed.is_repeat(reading.sha256):
            buffered.drop()
            self.objects.set_hashes([(routed.object_id, obj.version, reading.sha256, ends)])
            self.objects.duplicates.repeat((routed.object_id, obj.version))
            self.objects.set_loaded([(routed.object_id, obj.version)])
            return Skipped("the lake has this content already, from an earlier version")
        if light and not buffered.is_empty:
            landed = buffered
            try:
                buffered = self._transformed(routed, place, light, landed, protection, look)
            finally:
                landed.drop()
        has_known_columns = not light and likeness.has_known_columns
        doubts = self._of_reader(routed, reading, has_known_columns=has_known_columns) + repeats
        doubts += [] if buffered.skip else _looked(reading, likeness, odd)
        doubts += self._shrunk(routed, buffered, doubts)
        note_doubts(self.objects, routed, doubts, buffered)
        if buffered.is_empty:
            self.objects.set_hashes([(routed.object_id, obj.version, reading.sha256, ends)])
            return nothing(routed, buffered.skip or "no data rows", doubts)
        origin, types = self.origin_and_types(str(path), place)
        return ReadRows(
            routed=routed,
            place=place,
            facts=reading.facts,
            probe=ends,
            rows=buffered,
            origin=origin,
            types=types,
            notes=protection.notes if protection else (),
            doubts=doubts,
            odd=odd,
        )

    def _of_reader(self, routed: RoutedObject, reading: Reading, *, has_known_columns: bool) -> list[Doubt]:
        """What the reader doubts. Names such as 2025 are not a row of values if other files had them before.

        Nor is it certain that a total or a header is one of the rows if a transform sees them.
        """
        light = routed.light is not None and routed.light.takes_rows
        is_changed = light or routed.heavy is not None
        doubts = [doubt for doubt in reading.doubts if not (is_changed and doubt.is_of_raw_rows)]
        idle = [doubt for doubt in doubts if has_known_columns and doubt.is_of_new_columns]
        if not idle or any(self.objects.doubts.was_doubted(routed.object_id, doubt.kind) for doubt in idle):
            return doubts
        return [doubt for doubt in doubts if doubt not in idle]

    def _shrunk(self, routed: RoutedObject, buffered: BufferedRows, doubts: Sequence[Doubt]) -> list[Doubt]:
        """The doubt about a version that replaces one with far more rows, unless `doubts` tell of its rows already."""
        replaces = routed.obj.version > 1 and routed.obj.dataset.on_new_version == "replace"
        if not replaces or buffered.skip or any(doubt.kind == "rows" for doubt in doubts):
            return []
        before = self.objects.rows_before(routed.object_id, routed.obj.version)
        doubt = shrunk(buffered.rows, before) if before else None
        return [doubt] if doubt else []

    def table_shape(self, name: TableName) -> TableShape | None:
        """What files of a table are like; None if nothing was loaded into it."""
        return (self.shape_of or self.shapes.of)(name)

    def origin_and_types(self, path: str, place: Placement) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """What is known of the execution whose result a file is, and AMC's types of its columns.

        By amci's own note beside it; without one, by what AMC says of what it delivers.
        Raises StorageError if the disk refuses to read either for now.
        """
        origin, types = {}, {}
        if has_sidecar(path):
            sidecar = Sidecar(Path(path))
            origin, types = sidecar.origin(), sidecar.types()
        has_metadata = self.has_metadata or _has_metadata
        if origin or place.workflow_id is None or not has_metadata(path.rpartition("/")[0]):
            return origin, types
        return delivered_origin(Path(path)), types

    def _overtaken(self, routed: RoutedObject, reason: str) -> Skipped:
        """The file is not what was seen any more: let the next look see it as new."""
        self.objects.mark_unseen(routed.object_id, routed.obj.version)
        return Skipped(reason)

    def _opened(self, obj: RawObject, path: Path, place: Placement) -> Reading:
        return Reading(
            path,
            _format(obj),
            is_guess=obj.dataset.format == "auto",
            csv=obj.dataset.csv_options,
            json=obj.dataset.json_options,
            excel=obj.dataset.excel_options,
            limits=obj.dataset.read_limits,
            reserved=self.reserved(obj, place),
            kept=self.rules.names_used(obj.dataset),
        )

    @staticmethod
    def reserved(obj: RawObject, place: Placement) -> frozenset[str]:
        """Names that no column of the file may have."""
        added = {obj.dataset.timestamp_column} if obj.dataset.timestamp_column else set()
        return RESERVED | {name for name, _ in place.partition} | set(place.constants) | added

    def _buffered(
        self,
        routed: RoutedObject,
        place: Placement,
        reading: Reading,
        protection: Protection | None,
        look: Look | None,
    ) -> BufferedRows:
        """All rows, protected: few in memory, many in files; `look` sees them on the way."""
        dataset = routed.obj.dataset
        watch = AllTrue(dataset.skip_if_all)
        reserved = self.reserved(routed.obj, place)
        columns: dict[str, FileColumns] = {}
        rows, entry = 0, ""
        plan = partial(self._plan, routed, place, columns) if _may_be_cast(routed, reading) else None
        with RowBuffer(self.pre_stage, routed, place, plan=plan) as buffer:
            for batch in reading.batches():
                data = batch.data
                names = tuple(data.schema.names)
                these = file_columns(names, batch.own_paths, reserved, is_nested=reading.is_nested)
                # Each file in an archive may have others.
                columns[batch.part] = columns.get(batch.part, these).and_of(these) if batch.entry else these
                if protection:
                    if batch.entry != entry:
                        if rows:
                            protection.require(lambda: self._known_columns(routed))
                        protection.next_file()
                        entry, rows = batch.entry, 0
                    data = protection.apply(data, batch.paths, batch.inner)
                    # Rows of JSON may bring further columns. Others have shown all, and nothing is written yet.
                    if data.num_rows and not reading.may_add_columns:
                        protection.require(lambda: self._known_columns(routed))
                    if not (routed.light and routed.light.takes_rows):
                        protection.look(data)
                rows += data.num_rows
                watch.see(data, these)
                if look:
                    look(batch.part, data, columns[batch.part])
                buffer.take(batch.part, data)
            if protection and rows:
                protection.require(lambda: self._known_columns(routed))
            buffered = buffer.buffered(columns)
        if watch.holds:
            buffered.drop()
            return BufferedRows([], [], skip=f"every row is {watch.column}")
        return buffered

    def _plan(
        self,
        routed: RoutedObject,
        place: Placement,
        columns: Mapping[str, FileColumns],
        part: str,
        first: pa.Table,
    ) -> CastPlan:
        """How rows of CSV are cast while they are read, of which these are the first; see `plan_casts`."""
        staged = StagedTable(
            table=table_of(place, part),
            files=(),
            rows=0,
            values=frozenset(),
            headers=columns[part].spelled,
            earlier=columns[part].earlier,
        )
        item = StagedObject(
            object_id=routed.object_id,
            version=routed.obj.version,
            partition=dict(place.partition),
            constants=place.constants,
            types=Sidecar(self.roots[routed.obj.root].path_of(routed.obj.key)).types(),
        )
        with self.catalog.working():
            return plan_casts(
                self.catalog, LoadItem(routed=routed, staged=item, pre_stage=self.pre_stage), staged, first
            )

    def _known_columns(self, routed: RoutedObject) -> set[str]:
        """Names of columns that the dataset has in pre-stage."""
        folder = self.pre_stage / routed.obj.dataset.team / routed.obj.dataset.dataset
        names: set[str] = set()
        for file in islice(folder.rglob("*.parquet"), _REMEMBERED):
            # It only makes an error more helpful; upkeep may have taken the file.
            with suppress(OSError, pa.ArrowException):
                names.update(pq.read_schema(file).names)
        return names

    def _transformed(
        self,
        routed: RoutedObject,
        place: Placement,
        light: Transform,
        landed: BufferedRows,
        protection: Protection | None,
        look: Look,
    ) -> BufferedRows:
        """The rows as the light transform wants them; text again, whatever types it made.

        Rows are protected before they get here. What the transform calls a personal column is protected again:
        a hash stays the hash it is.
        """
        taken = RESERVED | {name for name, _ in place.partition}
        values: set[tuple[str, str]] = set()
        made: set[tuple[str, str]] = set()
        kept = self.rules.names_used(routed.obj.dataset)
        columns: dict[str, FileColumns] = {}
        with (
            self.rules.connection(self.spill) as con,
            RowBuffer(self.pre_stage, routed, place, suffix=".light") as buffer,
        ):
            for part in landed.parts:
                _show(con, landed, part)
                answer = transform_call.run(
                    light, con, "landed", routed.obj, into="changed", columns=landed.columns[part], kept=kept
                )
                if isinstance(answer, Skip):
                    return BufferedRows([], [], skip=answer.reason)
                given = [c for c in answer.headers if c not in RESERVED]
                names = dict(zip(given, column_names(given, taken), strict=True))
                columns[part] = answer.renamed(names)
                changed = con.table("changed")
                types = zip(changed.columns, changed.types, strict=True)
                is_text = {names[c]: t.id == "varchar" for c, t in types if c in names}
                values |= {(part, c) for c in is_text if not is_text[c]}
                made |= {(part, c) for c in is_text if is_text[c] and c not in landed.columns[part].headers}
                cast = ", ".join(
                    f"CAST({quoted(old)} AS VARCHAR) AS {quoted(new)}" for old, new in names.items()
                )
                for batch in con.sql(f"SELECT {cast} FROM changed").to_arrow_reader(100_000):
                    data = batch
                    if protection:
                        data = protection.apply(batch, columns[part].paths(batch.schema.names))
                        protection.look(data)
                    look(part, data, columns[part])
                    buffer.take(part, data)
            return replace(buffer.buffered(columns), values=frozenset(values), made=frozenset(made))


def nothing(
    routed: RoutedObject, reason: str, doubts: Sequence[Doubt] = (), *, may_be_there: bool = False
) -> Outcome:
    """Nothing to load; but an older version's rows have to go, or its own if they may be in the lake."""
    is_first = routed.obj.version == 1 or routed.obj.dataset.on_new_version == "append"
    if is_first and not may_be_there:
        return Skipped("; ".join([reason, *(doubt.says for doubt in doubts)]))
    staged = StagedObject(
        object_id=routed.object_id, version=routed.obj.version, again=routed.again, reason=reason
    )
    run = heavy_run(routed.obj.root, routed.obj.key, routed.run, staged)
    return Done({"reason": reason, **told(doubts)}, then=[run])


def note_doubts(
    objects: ObjectStore, routed: RoutedObject, doubts: Sequence[Doubt], buffered: BufferedRows
) -> None:
    """Note what is doubtful about an object. Raises MalformedFile, its rows dropped, if its dataset refuses that."""
    try:
        note(objects.doubts, LIGHT, [(routed, doubts)])
    except MalformedFile:
        buffered.drop()
        raise


def _may_be_cast(routed: RoutedObject, reading: Reading) -> bool:
    """Whether the text of a file, as it is read, is all that its columns' types depend on."""
    sees_rows = (routed.light and routed.light.takes_rows) or routed.heavy or routed.obj.dataset.quality
    return not (reading.has_values or sees_rows)


def _both(likeness: Resemblance, odd: OddColumns) -> Look:
    def look(part: str, data: pa.RecordBatch, columns: FileColumns) -> None:
        likeness.see(part, data, columns)
        odd.see(part, data)

    return look


def _looked(reading: Reading, likeness: Resemblance, odd: OddColumns) -> Iterator[Doubt]:
    """What looking at the rows found."""
    yield from likeness.doubts()
    if not reading.has_values:
        yield from odd.marked()


def _format(obj: RawObject) -> FileFormat | None:
    is_named = obj.dataset.format != "auto"
    return FileFormat(obj.dataset.format) if is_named else format_of(obj.key.rsplit("/", 1)[-1])


def _likeness(obj: RawObject, place: Placement, shape_of: ShapeOf) -> Resemblance:
    schema = obj.dataset.schema_name
    return Resemblance(lambda part: shape_of(TableName(schema, table_of(place, part))))


def _repeat(column: str) -> Doubt:
    return Doubt(
        kind="header",
        says=f"column {column} has a header that stands in the file before: only their order tells them apart",
        hint="name the columns apart where the file is made",
        column=column,
    )


def _has_metadata(folder: str) -> bool:
    return Path(folder, METADATA).is_dir()


def identity(found: os.stat_result) -> tuple[int, ...]:
    """What shows, before and after a file is read, that it is the same and did not change."""
    return found.st_size, found.st_mtime_ns, found.st_ino, found.st_ctime_ns


def _show(con: duckdb.DuckDBPyConnection, landed: BufferedRows, part: str) -> None:
    """The rows of one part as view `landed`."""
    files = [str(file.path) for name, file in landed.staged if name == part]
    if files:
        con.read_parquet(files, union_by_name=True).create_view("landed", replace=True)
    else:
        tables = [rows for name, rows in landed.small if name == part]
        con.from_arrow(pa.concat_tables(tables, promote_options="default")).create_view(
            "landed", replace=True
        )
