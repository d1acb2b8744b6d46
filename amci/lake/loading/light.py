"""The light run: reads one raw object version and writes its text rows to pre-stage."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from amci.kernel.errors import AmciError, DataError, MalformedFile
from amci.kernel.files import json_of, storage_errors
from amci.kernel.layout import file_stem
from amci.kernel.names import column_names, quoted
from amci.kernel.plugins import Transform
from amci.kernel.run import Done, Outcome, Run, Skipped
from amci.lake.catalog.catalog import TableName
from amci.lake.catalog.columns import ALL
from amci.lake.catalog.headers import FileColumns, file_columns
from amci.lake.datasets.dataset import Dataset
from amci.lake.datasets.objects import RESERVED, Placement, RawObject, Skip
from amci.lake.datasets.pii import Protection
from amci.lake.formats import Doubt, FileFormat, Reading, format_of
from amci.lake.landing.content import SMALL, content_hash, probe
from amci.lake.landing.duplicates import ReadObject, Verdict, content_of, place_of
from amci.lake.landing.ingest import object_version
from amci.lake.landing.object_store import ObjectStore
from amci.lake.landing.roots import Root
from amci.lake.landing.sidecar import METADATA, delivered_origin, origin, types
from amci.lake.loading import transform_call
from amci.lake.loading.doubting import note, told
from amci.lake.loading.forgetting import FORGOTTEN
from amci.lake.loading.pre_stage import StagedFile, StagedRows, write_together
from amci.lake.loading.resemblance import Resemblance, TableShape, TableShapes
from amci.lake.loading.row_buffer import AllTrue, BufferedRows, RowBuffer, folder_of, table_of
from amci.lake.loading.rules import RoutedObject, Rules, placement
from amci.lake.loading.spelling_hints import OddColumns
from amci.lake.loading.staged_object import StagedObject, StagedTable, heavy_run

Look = Callable[[str, pa.RecordBatch, FileColumns], None]
ShapeOf = Callable[[TableName], TableShape | None]

#: Small objects are kept until this much text has come together, then written.
_TOGETHER = 64 * 1024**2
#: Files of pre-stage whose columns say which names the lake has already.
_REMEMBERED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """An object that was read: what its heavy run has to know."""

    routed: RoutedObject
    place: Placement
    reading: Reading
    probe: str | None  #: of a large file
    rows: BufferedRows
    origin: Mapping[str, str]  #: what its sidecar says
    types: Mapping[str, str]  #: AMC's, of its columns
    notes: Sequence[Mapping[str, Any]]  #: personal values in columns without a rule
    doubts: Sequence[Doubt]
    odd: OddColumns


@dataclass(frozen=True, slots=True, kw_only=True)
class LightHandler:
    """Reads raw objects; many small ones share files in pre-stage."""

    kind = "light"
    #: Reading a small file is half waiting and half Python; two threads keep both cores busy beside loading.
    threads = 2

    rules: Rules
    objects: ObjectStore
    shapes: TableShapes
    roots: Mapping[str, Root]
    pre_stage: Path
    spill: Path
    batch: int

    def handle(self, runs: Sequence[Run]) -> Mapping[int, Outcome]:
        """Read the objects of these runs; each stands for itself."""
        outcomes: dict[int, Outcome] = {}
        together: list[_Read] = []
        held = 0
        applied: list[tuple[int, int, str | None]] = []
        rows = self.objects.for_versions([object_version(run) for run in runs])
        shape_of = functools.cache(self.shapes.of)
        is_delivered_by_amc = functools.cache(_has_metadata)
        for run in runs:
            version = object_version(run)
            if rows[version]["forgotten_at"] is not None:
                outcomes[run.run_id] = Skipped(FORGOTTEN)
                continue
            try:
                routed = self.rules.routed(run, rows[version])
            except AmciError as error:
                applied.append((*version, None))
                outcomes[run.run_id] = self.objects.refused(run, error)
                continue
            applied.append((*version, routed.rules_hash))
            answer = self._one(routed, shape_of, is_delivered_by_amc)
            if isinstance(answer, _Read):
                together.append(answer)
                held += answer.rows.size
            else:
                outcomes[run.run_id] = answer
            if held > _TOGETHER:
                outcomes |= self._finish(together)
                together, held = [], 0
        outcomes |= self._finish(together)
        self.objects.set_rules(applied)
        return outcomes

    def _one(
        self, routed: RoutedObject, shape_of: ShapeOf, has_metadata: Callable[[Path], bool]
    ) -> _Read | Outcome:
        try:
            return self._read(routed, shape_of, has_metadata)
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

    def _read(
        self, routed: RoutedObject, shape_of: ShapeOf, has_metadata: Callable[[Path], bool]
    ) -> _Read | Outcome:
        obj, light = routed.obj, routed.light
        place: Placement | Skip = placement(obj)
        if light and not light.takes_rows:
            place, light = transform_call.place(light, obj), None
        if isinstance(place, Skip):
            return self._nothing(routed, place.reason)
        path = self.roots[obj.root].path_of(obj.key)
        with storage_errors(f"read {obj.key}"):
            if not path.is_file():  # a link that leads nowhere, or something that is no file at all
                raise FileNotFoundError
            before = path.stat()
        if (before.st_size, before.st_mtime_ns) != (routed.size, routed.mtime_ns):
            return self._overtaken(routed, "the file changed before it was read; its next version follows")
        protection = Protection(obj.dataset.pii, self.rules.pii_key) if obj.dataset.pii else None
        likeness = _likeness(obj, place, shape_of)
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
        if _identity(before) != _identity(after):
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
        doubts = [*reading.doubts, *repeats, *(() if buffered.skip else likeness.doubts())]
        self._note(routed, doubts, buffered)
        if buffered.is_empty:
            self.objects.set_hashes([(routed.object_id, obj.version, reading.sha256, ends)])
            return self._nothing(routed, buffered.skip or "no data rows", doubts)
        return _Read(
            routed=routed,
            place=place,
            reading=reading,
            probe=ends,
            rows=buffered,
            origin=_origin(path, place, has_metadata),
            types=types(path),
            notes=protection.notes if protection else (),
            doubts=doubts,
            odd=odd,
        )

    def _note(self, routed: RoutedObject, doubts: Sequence[Doubt], buffered: BufferedRows) -> None:
        try:
            note(self.objects.doubts, self.kind, routed, doubts)
        except MalformedFile:
            buffered.drop()
            raise

    def _overtaken(self, routed: RoutedObject, reason: str) -> Skipped:
        """The file is not what was seen any more: let the next look see it as new."""
        self.objects.mark_unseen(routed.object_id, routed.obj.version)
        return Skipped(reason)

    def _nothing(
        self, routed: RoutedObject, reason: str, doubts: Sequence[Doubt] = (), *, may_be_there: bool = False
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

    def _opened(self, obj: RawObject, path: Path, place: Placement) -> Reading:
        return Reading(
            path,
            _format(obj),
            is_guess=obj.dataset.format == "auto",
            csv=obj.dataset.csv_options,
            json=obj.dataset.json_options,
            excel=obj.dataset.excel_options,
            limits=obj.dataset.read_limits,
            reserved=self._reserved(obj, place),
            kept=self.rules.names_used(obj.dataset),
        )

    @staticmethod
    def _reserved(obj: RawObject, place: Placement) -> frozenset[str]:
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
        reserved = self._reserved(routed.obj, place)
        columns: dict[str, FileColumns] = {}
        rows, entry = 0, ""
        with RowBuffer(self.pre_stage, routed, place) as buffer:
            for batch in reading.batches():
                data = batch.data
                these = file_columns(tuple(data.schema.names), batch.own_paths, reserved)
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
                values |= {(part, names[c]) for c, t in types if c in names and t.id != "varchar"}
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
            return replace(buffer.buffered(columns), values=frozenset(values))

    def _finish(self, reads: Sequence[_Read]) -> dict[int, Outcome]:
        """Write the small ones together, then say what each object's heavy run has to load."""
        outcomes, reads = self._without_duplicates(reads)
        small = [(read, part, rows) for read in reads for part, rows in read.rows.small]
        written = write_together(
            [
                StagedRows(
                    object_id=read.routed.object_id,
                    version=read.routed.obj.version,
                    folder=folder_of(self.pre_stage, read.routed, read.place, part),
                    stem=file_stem(read.place.stem),
                    data=rows,
                )
                for read, part, rows in small
            ]
        )
        staged = {read.routed.run.run_id: list(read.rows.staged) for read in reads}
        for (read, part, _), file in zip(small, written, strict=True):
            staged[read.routed.run.run_id].append((part, file))
        return outcomes | {r.routed.run.run_id: self._done(r, staged[r.routed.run.run_id]) for r in reads}

    def _without_duplicates(self, reads: Sequence[_Read]) -> tuple[dict[int, Outcome], list[_Read]]:
        """Claim what was read: the outcomes of what other objects bring already, and the rest, doubted or not."""
        self._place_older(reads)
        verdicts = self.objects.duplicates.claim(map(_as_read, reads), self.rules.router.appended)
        outcomes: dict[int, Outcome] = {}
        kept: list[_Read] = []
        for read in reads:
            routed, version = read.routed, (read.routed.object_id, read.routed.obj.version)
            verdict = verdicts.get(version)
            if verdict and verdict.is_duplicate:
                read.rows.drop()
                if read.doubts:
                    self.objects.doubts.put(self.kind, {version: []})
                again = bool(routed.again)
                outcomes[routed.run.run_id] = self._nothing(routed, verdict.says, may_be_there=again)
                continue
            if verdict:
                read = replace(read, doubts=[*read.doubts, _doubt(verdict)])  # noqa: PLW2901
                try:
                    self._note(routed, read.doubts, read.rows)
                except MalformedFile as error:
                    self.objects.duplicates.withdraw(version)
                    outcomes[routed.run.run_id] = self.objects.refused(routed.run, error)
                    continue
            kept.append(read)
        return outcomes, kept

    def _place_older(self, reads: Sequence[_Read]) -> None:
        """Note of files with the same content that an earlier amci loaded what duplicates are told by."""
        duplicates = self.objects.duplicates
        placed = []
        for row in duplicates.unplaced(
            [read.reading.sha256 for read in reads], [read.routed.object_id for read in reads]
        ):
            staged = StagedObject.from_payload(json_of(row["payload"]))
            with suppress(AmciError):  # no dataset takes it any more
                route = self.rules.router.route(row["key"])
                if not route.dataset.json_layout.explode:
                    place = _place(
                        *(route.dataset, route.tenant_id, route.fields, staged.tables[0].table),
                        *(staged.export_time, staged.partition, staged.constants),
                    )
                    execution = staged.origin.get("workflow_execution_id")
                    content = content_of(row["sha256"], place)
                    placed.append((row["object_id"], row["version"], content, execution))
        if placed:
            duplicates.place(placed)

    def _done(self, read: _Read, staged: Sequence[tuple[str, StagedFile]]) -> Done:
        files: dict[str, list[StagedFile]] = {}
        for part, file in staged:
            files.setdefault(part, []).append(file)
        place, routed = read.place, read.routed
        columns = read.rows.columns
        tables = tuple(
            StagedTable(
                table=table_of(place, part),
                files=tuple(str(file.path.relative_to(self.pre_stage)) for file in written),
                rows=sum(file.rows for file in written),
                quoted=frozenset(column for of, column in read.reading.quoted if of == part),
                types={column: t for (of, column), t in read.reading.types.items() if of == part},
                values=_values(read, part),
                odd=_odd(read, part),
                sha256=tuple(file.sha256 for file in written),
                headers=columns[part].spelled,
                earlier=columns[part].earlier,
            )
            for part, written in files.items()
        )
        loadable = StagedObject(
            object_id=routed.object_id,
            version=routed.obj.version,
            again=routed.again,
            tables=tables,
            partition=dict(place.partition),
            constants=place.constants,
            workflow_id=place.workflow_id,
            schedule=place.schedule,
            export_time=place.export_time,
            sha256=read.reading.sha256,
            origin=read.origin,
            types=read.types,
            notes=tuple(read.notes),
        )
        rows = sum(table.rows for table in tables)
        result = {"rows": rows, "bytes": read.reading.bytes, **read.reading.guessed, **told(read.doubts)}
        return Done(result, then=[heavy_run(routed.obj.root, routed.obj.key, routed.run, loadable)])


def _values(read: _Read, part: str) -> frozenset[str]:
    """The columns that were values: in the file, or of a transform."""
    made = {column for of, column in read.rows.values if of == part}
    return frozenset({ALL} if read.reading.has_values else ()) | made


def _odd(read: _Read, part: str) -> frozenset[str]:
    """The columns that look odd, if the file is text and the dataset does not say how people write numbers."""
    is_known = read.reading.has_values or read.routed.obj.dataset.spelling.is_of_people
    return frozenset() if is_known else read.odd.of(part)


def _both(likeness: Resemblance, odd: OddColumns) -> Look:
    def look(part: str, data: pa.RecordBatch, columns: FileColumns) -> None:
        likeness.see(part, data, columns)
        odd.see(part, data)

    return look


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


def _as_read(read: _Read) -> ReadObject:
    """What tells whether others bring the same rows."""
    routed, place, obj = read.routed, read.place, read.routed.obj
    tenant = obj.tenant.tenant if obj.tenant else None
    return ReadObject(
        version=(routed.object_id, obj.version),
        root=obj.root,
        key=obj.key,
        mtime_ns=routed.mtime_ns,
        sha256=read.reading.sha256,
        probe=read.probe,
        place=_place(
            *(obj.dataset, tenant, obj.fields, place.table),
            *(place.export_time, dict(place.partition), place.constants),
        ),
        execution=read.origin.get("workflow_execution_id", ""),
        duplicates=obj.dataset.duplicates,
        is_by_name=routed.heavy is not None or (routed.light is not None and routed.light.takes_rows),
        is_by_time=obj.dataset.timestamp_column is not None,
        was_duplicate=routed.was_duplicate,
    )


def _place(
    dataset: Dataset,
    tenant: str | None,
    fields: Mapping[str, str],
    table: str,
    export_time: datetime | None,
    partition: Mapping[str, str | None],
    constants: Mapping[str, str],
) -> str:
    """What decides, beside the content, what the rows of an object are."""
    named = {name: value for name, value in fields.items() if name != "file"}
    return place_of([dataset.dataset, tenant, table, export_time, dict(partition), dict(constants), named])


def _doubt(verdict: Verdict) -> Doubt:
    hint = "count such files once by `duplicates: once` in the dataset, or take this one out by `amci lake forget`"
    return Doubt(kind="duplicate", says=verdict.says, hint=hint)


def _origin(path: Path, place: Placement, has_metadata: Callable[[Path], bool]) -> Mapping[str, str]:
    """What is known of the execution whose result it is: by amci's own note, else by AMC's."""
    if (found := origin(path)) or place.workflow_id is None or not has_metadata(path.parent):
        return found
    return delivered_origin(path)


def _has_metadata(folder: Path) -> bool:
    return (folder / METADATA).is_dir()


def _identity(found: os.stat_result) -> tuple[int, ...]:
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
