"""The light run: reads one raw object version and writes its text rows to pre-stage."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import pyarrow as pa

from amci.kernel.errors import AmciError, MalformedFile
from amci.kernel.files import json_of
from amci.kernel.layout import file_stem
from amci.kernel.run import Done, Outcome, Run, Skipped
from amci.lake.catalog.inference import ALL
from amci.lake.datasets.dataset import Dataset
from amci.lake.formats import Doubt
from amci.lake.landing.duplicates import ReadObject, Verdict, content_of, place_of
from amci.lake.landing.ingest import object_version
from amci.lake.landing.object_store import ObjectStore
from amci.lake.loading.doubting import told
from amci.lake.loading.forgetting import FORGOTTEN
from amci.lake.loading.joint_reader import joint_batches, read_jointly
from amci.lake.loading.object_reader import LIGHT, ObjectReader, ReadRows, note_doubts, nothing
from amci.lake.loading.pre_stage import StagedFile, StagedRows, write_together
from amci.lake.loading.row_buffer import folder_of, table_of
from amci.lake.loading.rules import RoutedObject, Rules
from amci.lake.loading.staged_object import StagedObject, StagedTable, heavy_run

#: Small objects are kept until this much text has come together, then written.
_TOGETHER = 32 * 1024**2
#: After so many bytes of raw files in one burst, memory is given back to the system.
_MUCH = 16 * 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class LightHandler:
    """Reads raw objects; many small ones share files in pre-stage."""

    kind = LIGHT
    #: Reading a small file is half waiting and half Python; two threads keep both cores busy beside loading.
    threads = 2

    rules: Rules
    objects: ObjectStore
    reader: ObjectReader
    pre_stage: Path
    batch: int

    def handle(self, runs: Sequence[Run]) -> Mapping[int, Outcome]:
        """Read the objects of these runs; each stands for itself."""
        outcomes: dict[int, Outcome] = {}
        applied: list[tuple[int, int, str | None]] = []
        rows = self.objects.for_versions([object_version(run) for run in runs])
        routed_objects: list[RoutedObject] = []
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
            routed_objects.append(routed)
        outcomes |= self._read(routed_objects)
        if sum(routed.size for routed in routed_objects) > _MUCH:
            # Or the heavy run would need its memory beside what Arrow keeps for the next burst.
            pa.default_memory_pool().release_unused()
        self.objects.set_rules(applied)
        return outcomes

    def _read(self, objects: Sequence[RoutedObject]) -> dict[int, Outcome]:
        """Read objects, small ones together, and write what they give as it has come together."""
        outcomes: dict[int, Outcome] = {}
        together: list[ReadRows] = []
        held = 0
        reading = self.reader.of_one_batch()
        for batch in joint_batches(objects):
            joined = read_jointly(reading, batch)
            for routed in batch:
                answer = joined.get(routed.run.run_id) or reading.read(routed)
                if isinstance(answer, ReadRows):
                    together.append(answer)
                    held += answer.rows.size
                else:
                    outcomes[routed.run.run_id] = answer
            if held > _TOGETHER:
                outcomes |= self._finish(together)
                together, held = [], 0
        return outcomes | self._finish(together)

    def _finish(self, reads: Sequence[ReadRows]) -> dict[int, Outcome]:
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
        # Objects share files.
        within = functools.cache(lambda path: str(path.relative_to(self.pre_stage)))
        return outcomes | {r.routed.run.run_id: _done(r, staged[r.routed.run.run_id], within) for r in reads}

    def _without_duplicates(self, reads: Sequence[ReadRows]) -> tuple[dict[int, Outcome], list[ReadRows]]:
        """Claim what was read: the outcomes of what other objects bring already, and the rest, doubted or not."""
        self._place_older(reads)
        verdicts = self.objects.duplicates.claim(map(_as_read, reads), self.rules.router.appended)
        outcomes: dict[int, Outcome] = {}
        kept: list[ReadRows] = []
        for read in reads:
            routed, version = read.routed, (read.routed.object_id, read.routed.obj.version)
            verdict = verdicts.get(version)
            if verdict and verdict.is_duplicate:
                read.rows.drop()
                if read.doubts:
                    self.objects.doubts.put(self.kind, {version: []})
                again = bool(routed.again)
                outcomes[routed.run.run_id] = nothing(routed, verdict.says, may_be_there=again)
                continue
            if verdict:
                read = replace(read, doubts=[*read.doubts, _doubt(verdict)])  # noqa: PLW2901
                try:
                    note_doubts(self.objects, routed, read.doubts, read.rows)
                except MalformedFile as error:
                    self.objects.duplicates.withdraw(version)
                    outcomes[routed.run.run_id] = self.objects.refused(routed.run, error)
                    continue
            kept.append(read)
        return outcomes, kept

    def _place_older(self, reads: Sequence[ReadRows]) -> None:
        """Note of files with the same content that an earlier amci loaded what duplicates are told by."""
        duplicates = self.objects.duplicates
        placed = []
        hashes = {h for read in reads for h in (read.facts.sha256, read.facts.content_sha256)}
        for row in duplicates.unplaced(hashes, [read.routed.object_id for read in reads]):
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


def _done(read: ReadRows, staged: Sequence[tuple[str, StagedFile]], within: Callable[[Path], str]) -> Done:
    """What became of an object, and the run that loads it; `within` gives the path of a file within pre-stage."""
    files: dict[str, list[StagedFile]] = {}
    for part, file in staged:
        files.setdefault(part, []).append(file)
    place, routed = read.place, read.routed
    columns = read.rows.columns
    made = read.rows.made if read.facts.has_values else frozenset()
    tables = tuple(
        StagedTable(
            table=table_of(place, part),
            files=tuple(within(file.path) for file in written),
            rows=sum(file.rows for file in written),
            quoted=frozenset(column for of, column in read.facts.quoted if of == part),
            # What a transform made under a new name may have been either.
            mixed=frozenset(column for of, column in read.facts.mixed | made if of == part),
            types={column: t for (of, column), t in read.facts.types.items() if of == part},
            values=_values(read, part),
            odd=_odd(read, part),
            sha256=tuple(file.sha256 for file in written),
            headers=columns[part].spelled,
            earlier=columns[part].earlier,
            typed=read.rows.typed[part].files if part in read.rows.typed else (),
            cast_hash=read.rows.typed[part].cast_hash if part in read.rows.typed else "",
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
        sha256=read.facts.sha256,
        origin=read.origin,
        types=read.types,
        notes=tuple(read.notes),
        read_by=routed.reading_hash,
    )
    rows = sum(table.rows for table in tables)
    result = {"rows": rows, "bytes": read.facts.bytes, **read.facts.guessed, **told(read.doubts)}
    return Done(result, then=[heavy_run(routed.obj.root, routed.obj.key, routed.run, loadable)])


def _values(read: ReadRows, part: str) -> frozenset[str]:
    """The columns that were values: in the file, or of a transform."""
    made = {column for of, column in read.rows.values if of == part}
    return frozenset({ALL} if read.facts.has_values else ()) | made


def _odd(read: ReadRows, part: str) -> frozenset[str]:
    """The columns of text that look odd; of numbers, if the dataset does not say what points and commas mean."""
    dataset, odd = read.routed.obj.dataset, read.odd.of(part)
    if read.facts.has_values:
        return odd & {column for of, column in read.facts.quoted if of == part} if odd else odd
    if dataset.says_points:
        return odd
    delimiter = read.facts.guessed.get("delimiter", dataset.csv_options.delimiter)
    return odd | read.odd.pointed(part, has_semicolons=delimiter == ";")


def _as_read(read: ReadRows) -> ReadObject:
    """What tells whether others bring the same rows."""
    routed, facts, place, obj = read.routed, read.facts, read.place, read.routed.obj
    tenant = obj.tenant.tenant if obj.tenant else None
    where = _place(
        *(obj.dataset, tenant, obj.fields, place.table),
        *(place.export_time, dict(place.partition), place.constants),
    )
    return ReadObject(
        version=(routed.object_id, obj.version),
        root=obj.root,
        key=obj.key,
        mtime_ns=routed.mtime_ns,
        sha256=facts.sha256,
        probe=read.probe,
        content=content_of(facts.content_sha256, where),
        packed_content=content_of(facts.sha256, where),
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
