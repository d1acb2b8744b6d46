"""Loading objects again: after the configuration or a transform changed, or on request."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from amci.kernel.clock import Clock, timestamp
from amci.kernel.errors import AmciError, DataError, StorageError
from amci.kernel.run import NewRun
from amci.kernel.runs import RunStore
from amci.kernel.state import State
from amci.lake.catalog.checksums import is_intact, sha256_of
from amci.lake.datasets.dataset import Dataset
from amci.lake.datasets.pii import Protection
from amci.lake.datasets.router import Route
from amci.lake.landing.ingest import light_run
from amci.lake.landing.object_store import ObjectStore
from amci.lake.landing.roots import Root
from amci.lake.loading.pre_stage import changed_copy
from amci.lake.loading.rules import Rules
from amci.lake.loading.staged_object import StagedObject, StagedTable, heavy_run

Source = Literal["raw", "pre-stage"]
#: Of the table `objects`, with the `rules_hash` of the version.
ObjectRow = sqlite3.Row | Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Again:
    """What `reprocess` queued."""

    from_raw: int
    from_pre_stage: int  #: the raw file is gone; its pre-stage rows are taken
    impossible: tuple[
        str, ...
    ]  #: keys whose raw file and pre-stage are gone, or that no pattern takes any more


@dataclass(frozen=True, slots=True, kw_only=True)
class Reprocess:
    """Queues objects again."""

    state: State
    objects: ObjectStore
    runs: RunStore
    rules: Rules
    roots: Mapping[str, Root]  #: by name
    pre_stage: Path
    clock: Clock

    def select(
        self,
        *,
        dataset: str | None,
        since: datetime | None,
        changed_only: bool,
        object_ids: Collection[int] | None = None,
    ) -> list[sqlite3.Row]:
        """Objects to load again; with `changed_only` those that other rules than today's were applied to.

        What was forgotten only if it is among `object_ids`.
        """
        rows = self.objects.select(dataset=dataset, since=since, object_ids=object_ids)
        if not changed_only:
            return rows
        current = {name: self.rules.rules_hash(d) for name, d in self.rules.datasets.items()}
        return [r for r in rows if r["rules_hash"] != current.get(r["dataset"])]

    def queue(self, rows: Sequence[sqlite3.Row]) -> Again:
        """Create a run for each object: all of them or, if this process dies, none. What was forgotten is no longer."""
        with self.state.transaction():
            self.objects.remembered([row["object_id"] for row in rows if row["forgotten_at"] is not None])
            sources = self.queue_each(rows)
        return Again(
            sources.count("raw"),
            sources.count("pre-stage"),
            tuple(row["key"] for row, source in zip(rows, sources, strict=True) if source is None),
        )

    def queue_each(
        self, rows: Sequence[ObjectRow], *, older: bool = False, staged_first: bool = False
    ) -> list[Source | None]:
        """Create a run for each object, all or none: what each reads, None if there is nothing to read.

        `rows` are objects; if `older`, with a version before the newest, of which only pre-stage has rows. With
        `staged_first`, pre-stage is preferred to raw if it is sure to be what today's rules make of the raw file.
        """
        again = f"~{timestamp(self.clock.now())}"
        queued = [self._run(row, again, older=older, staged_first=staged_first) for row in rows]
        self.runs.create(run for _, run in filter(None, queued))
        return [each and each[0] for each in queued]

    def _run(
        self, row: ObjectRow, again: str, *, older: bool, staged_first: bool
    ) -> tuple[Source, NewRun] | None:
        try:
            route = self.rules.router.route(row["key"])
        except AmciError:
            return None
        if staged_first and row["rules_hash"] == self.rules.rules_hash(route.dataset):
            staged = self._heavy(row, route, again, row["version"], is_sure=True)
            if staged:
                return "pre-stage", staged
        if not older and self._is_there(row):
            return "raw", light_run(
                *(row["root"], row["key"], row["object_id"], row["version"], route),
                size=row["size"],
                again=again,
            )
        run = self._heavy(row, route, again, row["version"] if older else None)
        return ("pre-stage", run) if run else None

    def _is_there(self, row: ObjectRow) -> bool:
        root = self.roots.get(row["root"])
        if root is None or row["removed_at"] is not None:
            return False
        return os.path.isfile(root.path_of(row["key"]))  # noqa: PTH113 - False as well if the disk refuses to look

    def _heavy(
        self, row: ObjectRow, route: Route, again: str, version: int | None, *, is_sure: bool = False
    ) -> NewRun | None:
        """A run that loads the pre-stage rows of a version, or the newest there are of the object; None if none are.

        If it has to be sure that they are what was written, also None if they have no checksums.
        """
        runs = self.state.read(
            "SELECT run_id FROM runs WHERE idempotency_key >= :key AND idempotency_key < :key || char(0x10ffff)"
            " AND payload ->> 'object_id' = :object_id AND payload ->> 'recovered' IS NULL"
            " AND payload ->> 'forgets' IS NULL"
            " AND (:version IS NULL OR payload ->> 'version' = :version) ORDER BY run_id DESC LIMIT 1",
            {"key": f"heavy:{row['root']}/{row['key']}@", "object_id": row["object_id"], "version": version},
        )
        if not runs:
            return None
        first = self.runs.get(runs[0]["run_id"])
        staged = StagedObject.from_payload(first.payload)
        files = [file for table in staged.tables for file in table.checked_files]
        if is_sure and not (files and all(sha256 for _, sha256 in files)):
            return None
        try:
            is_whole = all(is_intact(self.pre_stage / file, sha256) for file, sha256 in files)
        except StorageError:  # one file that cannot be read must not keep other objects from being loaded
            return None
        if not is_whole:
            return None
        if not is_sure:
            # Its raw file is not there, so that this is all that today's rules can make of it.
            if route.dataset.pii and row["rules_hash"] != self.rules.rules_hash(route.dataset):
                try:
                    staged = self._protected(staged, route.dataset)
                except DataError:  # names of columns that are values
                    return None
            staged = replace(staged, read_by=self.rules.reading_hash(route.dataset))
        return heavy_run(row["root"], row["key"], first, replace(staged, again=again))

    def _protected(self, staged: StagedObject, dataset: Dataset) -> StagedObject:
        """The object in new files, with today's rules of `pii:` applied: older ones may have protected less.

        What is a hash already stays as it is. Upkeep deletes the older files, which no run needs any more.
        """
        protection = Protection(dataset.pii, self.rules.pii_key, dataset.nulls)
        tables = []
        for table in staged.tables:
            files, sums = [], []

            def change(rows: pa.RecordBatch, table: StagedTable = table) -> pa.RecordBatch:
                names = rows.schema.names
                return protection.apply(rows, table.columns(names).paths(names))

            for number, file in enumerate(table.files, start=1):
                old = self.pre_stage / file
                name = (
                    f"{staged.object_id}v{staged.version}.{self.rules.rules_hash(dataset)}.{number}.parquet"
                )
                new = old.with_name(f"{old.name.partition('.')[0]}.{name}")
                if changed_copy(old, new, staged.object_id, staged.version, change):
                    files.append(str(new.relative_to(self.pre_stage)))
                    sums.append(sha256_of(new))
            if files:
                tables.append(replace(table, files=tuple(files), sha256=tuple(sums)))
        notes = (*staged.notes, *protection.notes)
        return replace(staged, tables=tuple(tables), reason=staged.reason or "no data rows", notes=notes)
