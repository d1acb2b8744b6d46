"""Repairs the lake: takes out files that are missing or damaged, and loads their rows again.

    missing file → no longer part of the newest snapshot → objects with fewer rows than the ledger says → runs

Each step can be repeated: what a process that died had not queued differs from the ledger still. The file itself stays
where it is until no older snapshot needs it, and `vacuum` deletes it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from amci.kernel.clock import Clock
from amci.kernel.errors import AmciError
from amci.kernel.files import fault_point
from amci.kernel.runs import RunStore
from amci.kernel.state import State
from amci.kernel.workspace import WorkspacePaths
from amci.lake.catalog.catalog import Catalog
from amci.lake.catalog.checksums import LakeFile, lake_files
from amci.lake.catalog.duck import LEDGER
from amci.lake.catalog.tables import TableName
from amci.lake.landing.object_store import ObjectStore
from amci.lake.loading.commit import ledger_entry
from amci.lake.loading.loads import LoadItem
from amci.lake.loading.reprocess import Reprocess
from amci.lake.loading.rules import Rules
from amci.lake.loading.staged_object import StagedObject
from amci.lake.upkeep.check import Damage, damages, differences, staged_damages, tables_with_rows
from amci.lake.upkeep.file_schema import columns_by_table
from amci.lake.upkeep.publish import OBJECTS

#: What becomes of an object version: it is loaded again from raw or pre-stage, or is about to be already; or what is
#: missing of it can be had from nowhere. Of one that lacks nothing but its pre-stage file, the lake keeps its rows.
Fate = Literal["raw", "pre-stage", "queued", "lost", "kept"]
Pair = tuple[int, int]  # object id and version


@dataclass(frozen=True, slots=True)
class RepairedFile:
    """A file that was not what amci wrote."""

    file: str  #: relative to the workspace
    problem: str  #: missing, altered, schema or unreadable
    done: str  #: what was done about it, or is to be done


@dataclass(frozen=True, slots=True)
class RepairedObject:
    """An object version that lacks rows in the lake, or its file in pre-stage."""

    key: str
    version: int
    rows: int  #: how many are missing in the lake; 0 if it is only pre-stage that lacks them
    fate: Fate


@dataclass(frozen=True, slots=True)
class Repaired:
    """What a repair found and did; the runs it queued are still to be done."""

    files: tuple[RepairedFile, ...]
    objects: tuple[RepairedObject, ...]

    @property
    def has_losses(self) -> bool:
        """Whether rows can be had from nowhere, or a file could not be looked at."""
        return any(o.fate == "lost" for o in self.objects) or any(
            f.problem == "unreadable" for f in self.files
        )

    def as_report(self) -> dict[str, Any]:
        """As JSON values."""
        return {"files": [asdict(f) for f in self.files], "objects": [asdict(o) for o in self.objects]}


#: Objects with one of their versions, which are asked for as [object id, version] in JSON.
_OBJECTS = """
    SELECT o.*, v.version AS loaded, v.rules_hash,
           EXISTS (SELECT 1 FROM runs WHERE lock_key = 'object:' || o.object_id AND kind IN ('light', 'heavy')
                    AND status IN ('PENDING', 'RUNNING')) AS is_queued
      FROM json_each(?) AS wanted
      JOIN versions v ON v.object_id = wanted.value ->> 0 AND v.version = wanted.value ->> 1
      JOIN objects o ON o.object_id = v.object_id ORDER BY o.object_id, v.version"""

#: Versions that the state believes loaded, and how many rows the newest such run of each loaded.
_BELIEVED = """
    SELECT o.object_id, o.dataset, v.version, max(r.run_id) AS run_id,
           coalesce((SELECT sum(value) FROM json_each(r.result, '$.tables')), 0) AS rows
      FROM objects o JOIN versions v USING (object_id)
      JOIN runs r ON r.lock_key = 'object:' || o.object_id AND r.kind = 'heavy' AND r.status = 'SUCCEEDED'
                 AND r.payload ->> 'version' = v.version
     WHERE v.loaded_at IS NOT NULL GROUP BY o.object_id, v.version"""

#: The newest run that loaded each of these object versions.
_LOADED_BY = """
    SELECT max(r.run_id) AS run_id, r.payload ->> 'object_id' AS object_id, r.payload ->> 'version' AS version
      FROM runs r WHERE r.kind = 'heavy' AND r.status = 'SUCCEEDED' GROUP BY 2, 3"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """Repairs the lake of one workspace, by the one process that writes to it."""

    workspace: WorkspacePaths
    catalog: Catalog
    state: State
    runs: RunStore
    objects: ObjectStore
    rules: Rules
    reprocess: Reprocess
    clock: Clock

    def run(self) -> Repaired:
        """Read every file, end what is damaged, and queue its objects; to be followed by the work itself.

        It may be interrupted at any moment, and run again. Raises StorageError.
        """
        with self.catalog.exclusive("repair the lake"):
            files = lake_files(self.catalog.con, self.workspace.post_stage)
            damaged = damages(files, columns_by_table(self.catalog.con), deep=True)
            self._end([d.file for d in damaged if d.file.is_current and d.problem != "unreadable"], files)
            fault_point("repair.ended")
            wrong = {damage.file.file_id for damage in damaged}
            self.catalog.checksums.seal([f for f in files if f.sha256 is None and f.file_id not in wrong])
            unreadable = {d.file.table for d in damaged if d.file.is_current and d.problem == "unreadable"}
            missing: dict[Pair, int] = {}
            for name in tables_with_rows(self.catalog.con):
                if str(name) not in unreadable and str(OBJECTS) not in unreadable:
                    for pair, rows in self._compare(name).items():
                        missing[pair] = missing.get(pair, 0) + rows
            if self.catalog.ledger.has_ended_files():
                missing |= self._forgotten(missing)
        staged = staged_damages(self.state, self.workspace.pre_stage, deep=True)
        unstaged = {pair for damage in staged for pair in damage.file.versions}
        objects = self._queue(missing, unstaged - missing.keys())
        again = "its objects are told below"
        return Repaired(
            files=(
                *(RepairedFile(self.workspace.relative(d.file.path), d.problem, _done(d)) for d in damaged),
                *(RepairedFile(self.workspace.relative(d.file.path), d.problem, again) for d in staged),
            ),
            objects=tuple(objects),
        )

    def _end(self, damaged: Sequence[LakeFile], files: Sequence[LakeFile]) -> None:
        """Let the newest snapshot go without these files, and without the file that one lists deleted rows of."""
        ids = {file.data_file_id for file in damaged}
        if ids:
            self.catalog.end_files(
                {f.file_id: f.table_id for f in files if f.is_current and f.data_file_id in ids}
            )

    def _compare(self, name: TableName) -> dict[Pair, int]:
        """How many rows a table lacks of which object versions; what the ledger has forgotten is entered again."""
        if not self.catalog.columns(name):
            return {(e.object_id, e.version): e.rows for e in self.catalog.ledger.loaded_into(name) if e.rows}
        wrong = differences(self.catalog.con, name)
        entries = self._entries(name, {(d.object_id, d.version): d.have for d in wrong if not d.want})
        if entries:
            with self.catalog.transaction():
                self.catalog.ledger.enter(entries)
            wrong = differences(self.catalog.con, name)
        # Rows of which neither ledger nor state know are left: to load them again would double them.
        return {(d.object_id, d.version): max(d.want - d.have, 0) for d in wrong if d.want}

    def _entries(self, name: TableName, unknown: Mapping[Pair, int]) -> list[dict[str, Any]]:
        """Rows of the ledger for object versions that a table has and the ledger does not, as the state knows them."""
        if not unknown:
            return []
        loaded_by = {(r["object_id"], r["version"]): r["run_id"] for r in self.state.read(_LOADED_BY)}
        known = self.objects.for_versions([pair for pair in unknown if pair in loaded_by])
        entries = []
        for pair, row in known.items():
            run = self.runs.get(loaded_by[pair])
            try:
                routed = self.rules.routed(run, row)
            except AmciError:
                continue  # no dataset takes it any more
            staged = StagedObject.from_payload(run.payload)
            item = LoadItem(routed=routed, staged=staged, pre_stage=self.workspace.pre_stage)
            rows = (run.result or {}).get("tables", {}).get(str(name), unknown[pair])
            entries.append(ledger_entry(item, name, rows, self.clock.now()))
        return entries

    def _forgotten(self, missing: Mapping[Pair, int]) -> dict[Pair, int]:
        """What the state believes loaded, and neither the ledger nor a table has."""
        known = set(self.catalog.con.execute(f"SELECT DISTINCT object_id, version FROM {LEDGER}").fetchall())
        appended = {name for name, d in self.rules.datasets.items() if d.on_new_version == "append"}
        believed = {(r["object_id"], r["version"]): r for r in self.state.read(_BELIEVED)}
        newest = dict(sorted(believed))
        return {
            pair: row["rows"]
            for pair, row in believed.items()
            if pair not in known and pair not in missing
            if row["rows"] and (newest[pair[0]] == pair[1] or row["dataset"] in appended)
        }

    def _queue(self, missing: Mapping[Pair, int], unstaged: Collection[Pair]) -> list[RepairedObject]:
        """Queue what lacks rows, from pre-stage or raw; and what lacks its pre-stage file, from raw."""
        pairs = list({*missing, *unstaged})
        rows = [dict(row) for row in self.state.read(_OBJECTS, (json.dumps(pairs),))]
        fates: dict[Pair, Fate] = {}
        idle = [row for row in rows if not row["is_queued"]]
        current = [row for row in idle if row["loaded"] == row["version"]]
        older = [row | {"version": row["loaded"]} for row in idle if row["loaded"] != row["version"]]
        sources = self.reprocess.queue_each(current, staged_first=True)
        sources += self.reprocess.queue_each(older, older=True)
        for row, source in zip([*current, *older], sources, strict=True):
            pair = row["object_id"], row["loaded"]
            fates[pair] = source or ("lost" if missing.get(pair) else "kept")
        fault_point("repair.queued")
        # A raw file that comes back is no repetition of what the lake has, for it has it no longer.
        lost = [pair for pair, fate in fates.items() if fate == "lost"]
        self.state.write_many(
            "UPDATE versions SET loaded_at = NULL WHERE object_id = ? AND version = ?", lost
        )
        named = [(row["key"], (row["object_id"], row["loaded"])) for row in rows]
        return [
            RepairedObject(key, pair[1], missing.get(pair, 0), fates.get(pair, "queued"))
            for key, pair in named
        ]


def _done(damage: Damage) -> str:
    if damage.file.is_current and damage.problem == "missing":
        return "taken out of the lake; older states still need it (`--as-of`)"
    if damage.file.is_current and damage.problem != "unreadable":
        return "taken out of the lake; it stays on the disk until `amci lake expire` and `amci lake vacuum`"
    return damage.remedy
