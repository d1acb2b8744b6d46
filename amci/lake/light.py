"""The light run: reads one raw object version and writes its text rows to pre-stage."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from amci.clock import timestamp
from amci.errors import AmciError, DataError, MalformedFile
from amci.files import storage_errors
from amci.lake import transforming
from amci.lake.formats import FileFormat, Reading, format_of, open_reading
from amci.lake.landing import Root
from amci.lake.model import RESERVED, Placement, RawObject, Skip
from amci.lake.objects import ObjectStore, Quarantined
from amci.lake.pii import protect
from amci.lake.placement import placement
from amci.lake.prestage import Rows, Staged, StreamWriter, write_together
from amci.lake.rules import Rules, Work
from amci.layout import file_stem, hive_path
from amci.names import column_names, sanitized, table_name
from amci.plugins import Transform
from amci.runs import Done, Failed, NewRun, Outcome, Run, Skipped

#: An object whose text is larger than this in memory is streamed to a file of its own.
_SMALL = 8 * 1024**2
#: Small objects are kept until this much text has come together, then written.
_TOGETHER = 64 * 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """An object that was read: what its heavy run has to know."""

    run: Run
    work: Work
    place: Placement
    reading: Reading
    small: list[tuple[str, pa.Table]]  #: (part, rows) in memory
    staged: list[tuple[str, Staged]]  #: (part, file) written already


class LightHandler:
    """Reads raw objects; many small ones share files in pre-stage."""

    kind = "light"
    threads = 1

    def __init__(
        self,
        *,
        rules: Rules,
        objects: ObjectStore,
        roots: Mapping[str, Root],
        pre_stage: Path,
        spill: Path,
        batch: int,
    ) -> None:
        self._rules = rules
        self._objects = objects
        self._roots = roots
        self._pre_stage = pre_stage
        self._spill = spill
        self.batch = batch

    def handle(self, runs: Sequence[Run]) -> Mapping[int, Outcome]:
        """Read the objects of these runs; each stands for itself."""
        outcomes: dict[int, Outcome] = {}
        together: list[_Read] = []
        held = 0
        known = self._objects.for_versions([(r.payload["object_id"], r.payload["version"]) for r in runs])
        for run in runs:
            answer = self._one(run, known[run.payload["object_id"], run.payload["version"]])
            if isinstance(answer, _Read):
                together.append(answer)
                held += sum(rows.nbytes for _, rows in answer.small)
            else:
                outcomes[run.run_id] = answer
            if held > _TOGETHER:
                outcomes |= self._finish(together)
                together, held = [], 0
        return outcomes | self._finish(together)

    def _one(self, run: Run, row: Mapping[str, Any]) -> _Read | Outcome:
        try:
            return self._read(self._rules.work(run, row))
        except FileNotFoundError:
            self._objects.unsee(row["object_id"], row["version"])
            return Skipped("the file was gone before it was read")
        except DataError as error:
            self._objects.quarantine(
                [
                    Quarantined.of(
                        error,
                        object_id=row["object_id"],
                        version=row["version"],
                        stage="light",
                        run_id=run.run_id,
                    )
                ]
            )
            return Failed(error)
        except AmciError as error:
            return Failed(error)

    def _read(self, work: Work) -> _Read | Outcome:
        obj, light = work.obj, work.light
        place: Placement | Skip = placement(obj)
        if light and not light.takes_rows:
            place = transforming.place(light, obj)
            light = None
        if isinstance(place, Skip):
            return self._nothing(work, place.reason)
        path = self._roots[obj.root].path / obj.key
        with storage_errors(f"read {obj.key}"):
            before = os.stat(path)
        if (before.st_size, before.st_mtime_ns) != (work.size, work.mtime_ns):
            self._objects.unsee(work.object_id, obj.version)
            return Skipped("the file changed before it was read; its next version follows")
        with ExitStack() as streams:
            read = self._stage(work, place, light, path, streams)
            with storage_errors(f"read {obj.key}"):
                after = os.stat(path)
            if _identity(before) != _identity(after):
                if isinstance(read, _Read):
                    _drop(read.staged)
                self._objects.unsee(work.object_id, obj.version)
                return Skipped("the file changed while it was read; its next version follows")
        if not isinstance(read, _Read):
            return read
        if work.is_repeat(read.reading.sha256):
            _drop(read.staged)
            return Skipped("the lake has this content already, from an earlier version")
        if not read.small and not read.staged:
            return self._nothing(work, "no data rows")
        return read

    def _nothing(self, work: Work, reason: str) -> Outcome:
        """Nothing to load; but an older version's rows have to go."""
        if work.obj.version == 1 or work.obj.dataset.on_new_version == "append":
            return Skipped(reason)
        return Done({"reason": reason}, then=[heavy_run(work, {"tables": [], "reason": reason})])

    def _stage(
        self, work: Work, place: Placement, light: Transform | None, path: Path, streams: ExitStack
    ) -> _Read | Outcome:
        """Read all rows: small ones into memory, large ones into files that take their names with `streams`."""
        obj = work.obj
        sink = _Sink(self._pre_stage, work, place, streams)
        watch = _AllTrue(obj.dataset.skip_if_all)
        reserved = RESERVED | {name for name, _ in place.partition} | set(place.constants)
        if obj.dataset.timestamp_column:
            reserved |= {obj.dataset.timestamp_column}
        with open_reading(
            path,
            _format(obj),
            csv=obj.dataset.csv_options,
            json=obj.dataset.json_options,
            limits=obj.dataset.read_limits,
            reserved=frozenset(reserved),
        ) as reading:
            for batch in reading.batches():
                data = (
                    protect(batch.data, obj.dataset.pii, self._rules.pii_key)
                    if obj.dataset.pii
                    else batch.data
                )
                watch.see(data)
                sink.take(batch.part, data)
        if watch.holds:
            sink.abandon()
            return self._nothing(work, f"every row is {watch.column}")
        small, staged = sink.result()
        read = _Read(run=work.run, work=work, place=place, reading=reading, small=small, staged=staged)
        return read if light is None else self._transformed(read, light, streams)

    def _transformed(self, read: _Read, light: Transform, streams: ExitStack) -> _Read | Outcome:
        """The rows as the light transform wants them; text again, whatever types it made."""
        sink = _Sink(self._pre_stage, read.work, read.place, streams, again=True)
        place = read.place
        with self._rules.connection(self._spill) as con:
            for part in dict.fromkeys(name for name, _ in (*read.small, *read.staged)):
                _show(con, [t for n, t in read.small if n == part], [s for n, s in read.staged if n == part])
                answer = transforming.run(light, con, "landed", read.work.obj, into="changed")
                if isinstance(answer, Skip):
                    _drop(read.staged)
                    return self._nothing(read.work, answer.reason)
                if isinstance(answer, Placement):
                    place = answer
                    continue
                columns = [c for c in con.table("changed").columns if c not in RESERVED]
                names = column_names(columns, RESERVED | {n for n, _ in place.partition})
                select = ", ".join(
                    f'CAST("{old}" AS VARCHAR) AS "{new}"' for old, new in zip(columns, names, strict=True)
                )
                for batch in con.sql(f"SELECT {select} FROM changed").to_arrow_reader(100_000):
                    sink.take(part, batch)
        if place is not read.place:
            return _Read(
                run=read.run,
                work=read.work,
                place=place,
                reading=read.reading,
                small=read.small,
                staged=read.staged,
            )
        _drop(read.staged)
        small, staged = sink.result()
        return _Read(
            run=read.run, work=read.work, place=place, reading=read.reading, small=small, staged=staged
        )

    def _finish(self, reads: Sequence[_Read]) -> dict[int, Outcome]:
        """Write the small ones together, then say what each object's heavy run has to load."""
        self._objects.set_hashes([(r.work.object_id, r.work.obj.version, r.reading.sha256) for r in reads])
        small = [(read, part, rows) for read in reads for part, rows in read.small]
        written = write_together(
            [
                Rows(
                    object_id=read.work.object_id,
                    version=read.work.obj.version,
                    folder=_folder(self._pre_stage, read.work.obj, read.place, part),
                    stem=file_stem(read.place.stem),
                    data=rows,
                )
                for read, part, rows in small
            ]
        )
        staged = {id(read): list(read.staged) for read in reads}
        for (read, part, _), file in zip(small, written, strict=True):
            staged[id(read)].append((part, file))
        return {read.run.run_id: self._done(read, staged[id(read)]) for read in reads}

    def _done(self, read: _Read, staged: Sequence[tuple[str, Staged]]) -> Done:
        tables: dict[str, dict[str, Any]] = {}
        for part, file in staged:
            table = tables.setdefault(
                part, {"table": _table(read.place, part), "files": [], "rows": 0, "quoted": []}
            )
            table["files"].append(str(file.path.relative_to(self._pre_stage)))
            table["rows"] += file.rows
        for part, column in sorted(read.reading.quoted):
            if part in tables:
                tables[part]["quoted"].append(column)
        place = read.place
        payload = {
            "tables": list(tables.values()),
            "partition": dict(place.partition),
            "constants": dict(place.constants),
            "workflow_id": place.workflow_id,
            "schedule": place.schedule,
            "export_time": timestamp(place.export_time) if place.export_time else None,
            "sha256": read.reading.sha256,
        }
        rows = sum(t["rows"] for t in tables.values())
        return Done({"rows": rows, "bytes": read.reading.bytes}, then=[heavy_run(read.work, payload)])


class _AllTrue:
    """Whether a column is true in every row of a file, as AMC's `filtered` may be."""

    def __init__(self, column: str | None) -> None:
        self.column = column
        self._rows = 0
        self._so_far = column is not None

    def see(self, data: pa.RecordBatch) -> None:
        if not self._so_far or self.column is None:
            return
        position = data.schema.get_field_index(sanitized(self.column))
        if position < 0:
            self._so_far = False
            return
        is_true = pc.fill_null(pc.equal(pc.utf8_lower(data.column(position)), "true"), fill_value=False)
        self._rows += data.num_rows
        self._so_far = bool(pc.all(is_true, min_count=0).as_py())

    @property
    def holds(self) -> bool:
        return self._so_far and self._rows > 0


class _Sink:
    """Takes an object's rows: in memory while they are few, then into files."""

    def __init__(
        self, pre_stage: Path, work: Work, place: Placement, streams: ExitStack, *, again: bool = False
    ) -> None:
        self._pre_stage = pre_stage
        self._work = work
        self._place = place
        self._outer = streams
        self._streams = ExitStack()
        self._held: dict[str, list[pa.RecordBatch]] = {}
        self._writers: dict[str, StreamWriter] = {}
        self._size = 0
        self._suffix = ".light" if again else ""
        streams.push(self._streams)

    def take(self, part: str, data: pa.RecordBatch) -> None:
        if self._writers:
            self._writer(part).write(data)
            return
        self._held.setdefault(part, []).append(data)
        self._size += data.nbytes
        if self._size > _SMALL:
            for name, batches in self._held.items():
                for batch in batches:
                    self._writer(name).write(batch)
            self._held = {}

    def _writer(self, part: str) -> StreamWriter:
        if part not in self._writers:
            folder = _folder(self._pre_stage, self._work.obj, self._place, part)
            stem = file_stem(self._place.stem) + self._suffix
            writer = StreamWriter(folder, stem, self._work.object_id, self._work.obj.version)
            self._writers[part] = self._streams.enter_context(writer)
        return self._writers[part]

    def abandon(self) -> None:
        """Let nothing that was streamed take its name."""
        error = MalformedFile("abandoned")
        self._streams.__exit__(type(error), error, None)

    def result(self) -> tuple[list[tuple[str, pa.Table]], list[tuple[str, Staged]]]:
        """What is in memory, and what is in files; closes the files."""
        self._streams.close()
        tables = [
            (part, pa.concat_tables([pa.Table.from_batches([b]) for b in batches], promote_options="default"))
            for part, batches in self._held.items()
        ]
        small = [(part, rows) for part, rows in tables if rows.num_rows]
        return small, [(part, s) for part, writer in self._writers.items() for s in writer.staged]


def heavy_run(work: Work, payload: Mapping[str, Any]) -> NewRun:
    """The run that loads what a light run staged."""
    obj = work.obj
    return NewRun(
        idempotency_key=f"heavy:{obj.root}/{obj.key}@{obj.version}{work.run.payload.get('again', '')}",
        kind="heavy",
        lock_key=f"object:{work.object_id}",
        batch_key=obj.dataset.dataset,
        tenant_id=work.run.tenant_id,
        correlation_id=work.run.correlation_id,
        payload={
            "object_id": work.object_id,
            "version": obj.version,
            "again": work.run.payload.get("again", ""),
            **payload,
        },
    )


def _format(obj: RawObject) -> FileFormat:
    if obj.dataset.format != "auto":
        return FileFormat(obj.dataset.format)
    found = format_of(obj.key.rsplit("/", 1)[-1])
    if found is None:
        raise MalformedFile(
            "the file's ending names no format",
            hint="set `format: csv`, `json` or `parquet` in the dataset's configuration",
        )
    return found


def _table(place: Placement, part: str) -> str:
    return table_name(place.table, part) if part else place.table


def _folder(pre_stage: Path, obj: RawObject, place: Placement, part: str) -> Path:
    folder = pre_stage / obj.dataset.team / obj.dataset.dataset / _table(place, part)
    partition = (*place.partition, *place.pre_stage_partition)
    return folder / hive_path(partition) if partition else folder


def _identity(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_size, found.st_mtime_ns, found.st_ino


def _drop(staged: Sequence[tuple[str, Staged]]) -> None:
    for _, file in staged:
        file.path.unlink(missing_ok=True)


def _show(con: Any, tables: Sequence[pa.Table], staged: Sequence[Staged]) -> None:
    """The rows of one part as view `landed`."""
    if staged:
        files = [str(s.path) for s in staged]
        con.read_parquet(files, union_by_name=True).create_view("landed", replace=True)
    else:
        con.from_arrow(pa.concat_tables(tables, promote_options="default")).create_view(
            "landed", replace=True
        )
