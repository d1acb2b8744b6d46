"""The heavy run: gives staged text its types and puts it into the lake's tables, each object exactly once."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from amci.kernel.clock import Clock
from amci.kernel.errors import AmciError, DataError, MalformedFile
from amci.kernel.files import storage_errors
from amci.kernel.run import Done, Outcome, Run, Skipped
from amci.kernel.runs import RunStore
from amci.lake.catalog.casts import UNFIT
from amci.lake.catalog.catalog import Catalog
from amci.lake.catalog.checksums import is_intact
from amci.lake.catalog.duck import duck_errors
from amci.lake.catalog.ledger import LedgerEntry
from amci.lake.catalog.pairing import note_commit
from amci.lake.datasets.objects import RESERVED, Skip
from amci.lake.landing.ingest import object_version
from amci.lake.landing.object_store import ObjectStore
from amci.lake.loading.commit import Commit
from amci.lake.loading.doubting import note, told
from amci.lake.loading.forgetting import FORGOTTEN
from amci.lake.loading.loads import LoadItem, Places, TableLoads
from amci.lake.loading.resemblance import TableShapes
from amci.lake.loading.rules import Rules
from amci.lake.loading.staged_object import StagedObject
from amci.lake.loading.type_inference import ColumnTyper


@dataclass(frozen=True, slots=True, kw_only=True)
class HeavyHandler:
    """Loads staged objects; a batch is one commit, whatever tables it touches."""

    kind = "heavy"
    #: One for a large object, one for small ones: what takes long is done beside the lake, and committed at the end.
    threads = 2

    rules: Rules
    objects: ObjectStore
    shapes: TableShapes
    runs: RunStore
    catalog: Catalog
    committing: Commit
    pre_stage: Path
    quarantine: Path
    clock: Clock
    batch: int
    #: has duplicates of these objects read again whose rows no one has in the lake any more
    take_over: Callable[[Collection[int]], int]

    def handle(self, runs: Sequence[Run]) -> Mapping[int, Outcome]:
        """Load the objects of these runs in one commit.

        An object that cannot be loaded fails alone if that shows beforehand; if it only shows in loading,
        the whole batch raises, and the worker halves it until the object stands alone.
        """
        rows = sum(table["rows"] for run in runs for table in run.payload["tables"])
        with (
            storage_errors("read pre-stage"),
            duck_errors("load into the lake"),
            self.catalog.working(rows=rows),
        ):
            forgetting = [run for run in runs if run.payload.get("forgets")]
            loading = [run for run in runs if not run.payload.get("forgets")]
            return self._forget(forgetting) | (self._handle(loading) if loading else {})

    def _handle(self, runs: Sequence[Run]) -> dict[int, Outcome]:
        outcomes: dict[int, Outcome] = {}
        items: list[LoadItem] = []
        known = self.objects.for_versions([object_version(run) for run in runs])
        again = [object_version(run) for run in runs if run.payload.get("again")]
        stand_ins = self.objects.duplicates.stand_ins(again, self.rules.router.appended) if again else {}
        with self.catalog.exclusive("read the ledger"):
            ids = {object_id for object_id, _ in (*known, *stand_ins)}
            ledger = _by_object(self.catalog.ledger.loaded(ids), stand_ins)
        # Objects share files.
        is_whole = functools.cache(lambda file, sha256: is_intact(self.pre_stage / file, sha256))
        for run in runs:
            row = known[object_version(run)]
            try:
                staged = StagedObject.from_payload(run.payload)
                item = LoadItem(
                    routed=self.rules.routed(run, row),
                    staged=staged,
                    pre_stage=self.pre_stage,
                    notes=list(map(dict, staged.notes)),
                )
                answer = self._already(item, ledger.get(item.object_id, []), row)
                if answer is None:
                    for table in staged.tables:
                        for file, sha256 in table.checked_files:
                            if not is_whole(file, sha256):
                                raise _damaged(file)
                    items.append(item)
                else:
                    outcomes[run.run_id] = answer
            except AmciError as error:
                outcomes[run.run_id] = self.objects.refused(run, error)
        try:
            outcomes |= self._load(items, ledger)
        except DataError as error:
            if len(runs) > 1:
                raise
            outcomes[runs[0].run_id] = self.objects.refused(runs[0], error)
        return outcomes

    def _forget(self, runs: Sequence[Run]) -> dict[int, Outcome]:
        """Take all versions of these runs' objects out, in one commit; what duplicates will bring leaves with that."""
        if not runs:
            return {}
        with self.catalog.exclusive("read the ledger"):
            ledger = _by_object(self.catalog.ledger.loaded({object_version(run)[0] for run in runs}), {})
        gone = {run.run_id: ledger.get(object_version(run)[0], []) for run in runs}
        versions = {(entry.object_id, entry.version) for entries in gone.values() for entry in entries}
        stay = self.objects.duplicates.stood_by(versions, self.rules.router.appended)
        out = [e for entries in gone.values() for e in entries if (e.object_id, e.version) not in stay]
        if out:
            with self.catalog.exclusive("forget files"), self.catalog.transaction():
                self.committing.take_out(out)
                self.runs.state.sync()
                self.catalog.note_run(self.runs.newest())
        ids = [object_version(run)[0] for run in runs]
        self.objects.unloaded(ids)
        with self.catalog.exclusive("note what was committed"):
            note_commit(self.runs.state, self.catalog.con)
        self.take_over(ids)
        return {
            run_id: Done({"forgotten": {str(entry.name): entry.rows for entry in entries}})
            for run_id, entries in gone.items()
        }

    def _already(
        self, item: LoadItem, ledger: Sequence[LedgerEntry], row: Mapping[str, Any]
    ) -> Outcome | None:
        """What is known already: this run has committed before, its file was forgotten, or a newer version is there."""
        mine = [entry for entry in ledger if entry.run_id == item.run.run_id]
        if mine:
            self._settle([item])
            return Done({"tables": {str(e.name): e.rows for e in mine}})
        if row["forgotten_at"] is not None:
            return Skipped(FORGOTTEN)
        newest = row["newest_loaded"]
        is_loaded = any((e.object_id, e.version) == (item.object_id, item.version) for e in ledger)
        if item.dataset.on_new_version == "replace" and not is_loaded and (newest or 0) > item.version:
            return Skipped(f"version {newest} of this object is in the lake already")
        return None

    def _load(
        self, items: Sequence[LoadItem], ledger: Mapping[int, Sequence[LedgerEntry]]
    ) -> dict[int, Outcome]:
        """Type everything, then commit once."""
        outcomes: dict[int, Outcome] = {}
        loads = TableLoads()
        ready: list[LoadItem] = []
        places = Places(self.catalog)
        typer = ColumnTyper(self.catalog.con, self.quarantine, places, self.rules.names_used)
        try:
            for item in items:
                try:
                    own = typer.alone(item) if item.stands_alone else []
                except AmciError as error:
                    outcomes[item.run.run_id] = self.objects.refused(item.run, error)
                    continue
                if isinstance(own, Skip):
                    # Its older version's rows have to go all the same.
                    item.skipped = own.reason
                    own = []
                loads.add(own)
                ready.append(item)
            # Before the commit: a process that dies right after it must not forget which rows were kept out.
            self.objects.quarantine([entry for item in ready for entry in item.findings])
            loads = self._commit_guessing(ready, loads, typer, places, ledger)
        finally:
            typer.clean_up()
        self._settle(ready)
        self._note_shapes(ready, loads)
        return outcomes | {item.run.run_id: _outcome(item, loads) for item in ready}

    def _commit_guessing(
        self,
        items: Sequence[LoadItem],
        own: TableLoads,
        typer: ColumnTyper,
        places: Places,
        ledger: Mapping[int, Sequence[LedgerEntry]],
    ) -> TableLoads:
        """Commit with types guessed from the first rows, or from types; if a row does not fit, with exact ones."""
        plain = [item for item in items if not item.stands_alone]
        try:
            loads = own.and_also(typer.together(plain, may_guess=True))
            self._note_doubts(items)
            return self.committing.commit(items, loads, places, ledger)
        except duckdb.InvalidInputException as error:
            if UNFIT not in str(error):
                raise
            loads = own.and_also(typer.together(plain, may_guess=False))
            self._note_doubts(items)
            return self.committing.commit(items, loads, places, ledger, is_certain=True)

    def _note_doubts(self, items: Sequence[LoadItem]) -> None:
        """Before the commit, so that a process that dies right after it has told. Raises MalformedFile, see `note`."""
        doubts = [(item.routed, list(item.doubts.values())) for item in items]
        note(self.objects.doubts, self.kind, doubts)

    def _settle(self, items: Sequence[LoadItem]) -> None:
        """Note in the state what the ledger has; safe to repeat."""
        if not items:
            return
        self.objects.set_loaded([(item.object_id, item.version) for item in items])
        for item in items:
            for table in item.staged.tables:
                if left := item.typed_rows(table):
                    left.drop()
        self.objects.set_rules([(item.object_id, item.version, item.rules_hash) for item in items])
        self.objects.resolve_loaded([(item.object_id, item.run.run_id) for item in items])
        with self.catalog.exclusive("note what was committed"):
            note_commit(self.runs.state, self.catalog.con)

    def _note_shapes(self, items: Sequence[LoadItem], loads: TableLoads) -> None:
        """Remember what files of these tables are like; a process that dies before it loses nothing but that."""
        # What a heavy transform makes of a file says nothing of the next file.
        made = {item.name_of(staged) for item in items if item.routed.heavy for staged in item.staged.tables}
        shapes = {}
        with self.catalog.exclusive("look at a table"):
            for name in loads.tables.keys() - made:
                columns = {c: t for c, t in self.catalog.columns(name).items() if c not in RESERVED}
                parts = loads.tables[name]
                shapes[name] = (columns, [rows for part in parts for rows in part.members.values()])
        if shapes:
            self.shapes.loaded(shapes)


def _by_object(
    entries: Sequence[LedgerEntry], stand_ins: Mapping[tuple[int, int], tuple[int, int]]
) -> dict[int, list[LedgerEntry]]:
    """The entries by their objects; those of versions that stand in for others also by the object that brings these."""
    found: dict[int, list[LedgerEntry]] = {}
    for entry in entries:
        found.setdefault(entry.object_id, []).append(entry)
        if by := stand_ins.get((entry.object_id, entry.version)):
            found.setdefault(by[0], []).append(entry)
    return found


def _damaged(file: str) -> MalformedFile:
    return MalformedFile(
        f"pre-stage file {file} is missing, or is not what was written",
        hint="`amci lake check --repair` reads the raw file again",
    )


def _outcome(item: LoadItem, loads: TableLoads) -> Outcome:
    if item.skipped:
        return Skipped(item.skipped)
    renamed = loads.renamed.get(item.object_id)
    tables = {str(name): rows for name, rows in loads.of(item)}
    result = {"tables": tables, "quality": item.notes, **told(item.doubts.values())}
    return Done(result | ({"columns": renamed} if renamed else {}))
