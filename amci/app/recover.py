"""Brings a state file and a catalog together again after one of them was lost, or restored without the other.

What the catalog has and the state does not know is entered into the state, so that its files are not loaded twice and
its ids are not given again. What the state believes loaded and the catalog lacks is loaded again: from raw, from
pre-stage, or it is lost, which is said.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from amci.app.engine import Engine
from amci.kernel.clock import new_id, timestamp
from amci.kernel.names import quoted
from amci.lake.catalog.duck import LEDGER, METADATA
from amci.lake.catalog.pairing import CatalogSide, Identity, StateSide, join
from amci.lake.catalog.tables import TableName
from amci.lake.datasets.objects import OBJECT_ID

#: What became of an object version that only one side knew.
Fate = Literal["entered", "raw", "pre-stage", "lost"]

_ENTRIES = f"""
    SELECT object_id, version, root, key, any_value(dataset) AS dataset, any_value(tenant_id) AS tenant_id,
           max(run_id) AS run_id, sum(rows)::BIGINT AS rows, max(bytes) AS size, max(sha256) AS sha256,
           max(rules_hash) AS rules_hash, epoch_us(max(modified_at)) AS modified_us,
           strftime(max(loaded_at), '%Y-%m-%dT%H:%M:%S.%fZ') AS loaded_at
      FROM {LEDGER} GROUP BY object_id, version, root, key ORDER BY object_id, version"""

#: Versions that a run loaded, the newest such run of each, how many rows it loaded, and whether the state still
#: believes them loaded: not those that an earlier recovery has queued.
_BELIEVED = """
    SELECT o.*, v.version AS loaded, v.loaded_at IS NOT NULL AS is_believed, v.sha256, v.rules_hash,
           max(r.run_id) AS run_id,
           coalesce((SELECT sum(value) FROM json_each(r.result, '$.tables')), 0) AS rows
      FROM objects o JOIN versions v USING (object_id)
      JOIN runs r ON r.lock_key = 'object:' || o.object_id AND r.kind = 'heavy' AND r.status = 'SUCCEEDED'
                 AND r.payload ->> 'version' = v.version
     GROUP BY o.object_id, v.version ORDER BY o.object_id, v.version"""


@dataclass(frozen=True, slots=True)
class LedgerVersion:
    """An object version of the ledger, all its tables together."""

    object_id: int
    version: int
    root: str
    key: str
    dataset: str | None
    tenant_id: str | None
    run_id: int
    rows: int
    size: int  #: of the raw file, bytes
    sha256: str | None
    rules_hash: str | None
    modified_us: int  #: of the raw file, since 1970
    loaded_at: str


@dataclass(frozen=True, slots=True)
class Recovered:
    """An object version that only one side knew."""

    key: str
    version: int
    rows: int
    fate: Fate  #: entered in the state; queued to be loaded again, from raw or pre-stage; or lost


def recover(engine: Engine) -> list[Recovered]:
    """Make state and catalog agree, and give both a new epoch; what has to be loaded again is queued.

    It may be interrupted at any moment, and run again. Raises StorageError.
    """
    ours, theirs = StateSide.of(engine.state), CatalogSide.of(engine.catalog.con)
    with engine.catalog.exclusive("read the ledger"):
        rows = engine.catalog.con.execute(_ENTRIES).to_arrow_table().to_pylist()
    entries = _renumbered(engine, [LedgerVersion(**row) for row in rows])
    entered = _enter(engine, entries)
    if theirs.run_id > engine.runs.newest():
        _enter_run(engine, theirs.run_id)
    spelled = _spell_again(engine, ours) if ours.lake_id and theirs.run_id > ours.run_id else []
    reloaded = _load_again(engine, entries)
    known = theirs.identity or Identity(ours.lake_id or new_id(), 0)
    # An older state may have seen folders before a file in them was written over.
    engine.ingest.folders.forget()
    join(engine.state, engine.catalog.con, replace(known, epoch=max(ours.epoch, known.epoch) + 1))
    return entered + spelled + reloaded


def _renumbered(engine: Engine, entries: Sequence[LedgerVersion]) -> list[LedgerVersion]:
    """The entries with the state's numbers for their objects: where the two differ, the lake's rows get new ones."""
    named = {(r["root"], r["key"]): r["object_id"] for r in engine.state.read("SELECT * FROM objects")}
    taken = set(named.values())
    free = max([*taken, *(entry.object_id for entry in entries)], default=0) + 1
    numbers: dict[int, int] = {}
    for entry in entries:
        wanted = named.get((entry.root, entry.key))
        if wanted is None and entry.object_id in taken:
            wanted = numbers.get(entry.object_id, free)
            free = max(free, wanted + 1)
        if wanted is not None and wanted != entry.object_id:
            numbers[entry.object_id] = wanted
    if numbers:
        _renumber(engine, numbers)
    return [replace(entry, object_id=numbers.get(entry.object_id, entry.object_id)) for entry in entries]


def _renumber(engine: Engine, numbers: Mapping[int, int]) -> None:
    """Give objects other numbers (old → new) in the lake's tables and its ledger, in one commit."""
    catalog = engine.catalog
    cases = " ".join(f"WHEN {old} THEN {new}" for old, new in numbers.items())
    listed = ", ".join(map(str, numbers))
    with catalog.exclusive("number objects again"), catalog.transaction():
        tables = catalog.con.execute(
            f"SELECT DISTINCT schema_name, table_name FROM {LEDGER} WHERE object_id IN ({listed})"
        ).fetchall()
        for table in [*tables, ("amci", "objects")]:
            catalog.checksums.require(".".join(table))
        for name, column in [(TableName(*t).sql, quoted(OBJECT_ID)) for t in tables] + [
            (LEDGER, "object_id")
        ]:
            catalog.con.execute(
                f"UPDATE {name} SET {column} = CASE {column} {cases} END WHERE {column} IN ({listed})"
            )


def _enter(engine: Engine, entries: Sequence[LedgerVersion]) -> list[Recovered]:
    """Enter the objects, versions and loads that the state does not know, in one transaction; what was new."""
    new = []
    with engine.state.transaction() as db:
        for entry in entries:
            has_run = db.execute("SELECT 1 FROM runs WHERE run_id = ?", (entry.run_id,)).fetchone()
            added = db.execute(
                "INSERT INTO objects (object_id, root, key, dataset, tenant_id, version, size, mtime_ns, seen_at)"
                " VALUES (:object_id, :root, :key, :dataset, :tenant_id, :version, :size, :mtime_ns, :loaded_at)"
                " ON CONFLICT (object_id) DO UPDATE SET version = excluded.version, size = excluded.size,"
                "  mtime_ns = excluded.mtime_ns WHERE objects.version < excluded.version",
                values := _values(entry),
            ).rowcount
            added += db.execute(
                "INSERT INTO versions (object_id, version, size, mtime_ns, seen_at, sha256, rules_hash, loaded_at)"
                " VALUES (:object_id, :version, :size, :mtime_ns, :loaded_at, :sha256, :rules_hash, :loaded_at)"
                " ON CONFLICT (object_id, version) DO UPDATE SET loaded_at = excluded.loaded_at"
                " WHERE versions.loaded_at IS NULL",
                values,
            ).rowcount
            if not has_run:
                added += db.execute(_RUN, values).rowcount
            if added:
                new.append(Recovered(entry.key, entry.version, entry.rows, "entered"))
    return new


#: A run that the catalog knows of, so that its id is not given again.
_RUN = """
    INSERT INTO runs (run_id, idempotency_key, kind, status, priority, rank, is_ready, pool, tenant_id, lock_key,
                      batch_key, payload, result, reason, correlation_id, run_after, created_at, changed_at)
    VALUES (:run_id, :run_key, :kind, 'SUCCEEDED', 0, 0, 1, '', :tenant_id, :lock_key,
            '', :payload, :result, 'known from the catalog', :correlation_id, :loaded_at, :loaded_at, :loaded_at)"""


def _enter_run(engine: Engine, run_id: int) -> None:
    """Enter the newest run that the catalog has heard of, which loaded nothing."""
    values = {
        "run_id": run_id,
        "run_key": f"recover:{run_id}",
        "kind": "recover",
        "tenant_id": None,
        "lock_key": None,
        "payload": "{}",
        "result": "{}",
        "correlation_id": new_id(),
        "loaded_at": timestamp(engine.clock.now()),
    }
    engine.state.write(_RUN, values)


def _values(entry: LedgerVersion) -> dict[str, Any]:
    """What the state has of an entry, by the names that the statements above use."""
    return {
        "object_id": entry.object_id,
        "root": entry.root,
        "key": entry.key,
        "dataset": entry.dataset,
        "tenant_id": entry.tenant_id,
        "version": entry.version,
        "size": entry.size,
        # To the second. The file is read again then, and is seen to be the same: safer than to believe it.
        "mtime_ns": entry.modified_us * 1000,
        "sha256": entry.sha256,
        "rules_hash": entry.rules_hash,
        "loaded_at": entry.loaded_at,
        "run_id": entry.run_id,
        "kind": "heavy",
        "run_key": f"heavy:{entry.root}/{entry.key}@{entry.version}~recovered-{entry.run_id}",
        "lock_key": f"object:{entry.object_id}",
        "payload": json.dumps(
            {"object_id": entry.object_id, "version": entry.version, "tables": [], "recovered": True}
        ),
        "result": json.dumps({"tables": {"all tables": entry.rows}}),
        "correlation_id": new_id(),
    }


#: Objects that have rows in a table of which a column became text after a commit.
_MADE_TEXT = f"""
    SELECT DISTINCT l.object_id FROM {METADATA}.ducklake_column c
      JOIN {METADATA}.ducklake_table t USING (table_id) JOIN {METADATA}.ducklake_schema s USING (schema_id)
      JOIN {LEDGER} l ON l.schema_name = s.schema_name AND l.table_name = t.table_name
     WHERE c.end_snapshot IS NULL AND t.end_snapshot IS NULL AND s.end_snapshot IS NULL
       AND lower(c.column_type) = 'varchar' AND c.begin_snapshot > ?"""


def _spell_again(engine: Engine, ours: StateSide) -> list[Recovered]:
    """Queue the objects of tables of which a column became text meanwhile.

    That was queued then, so that values are spelled as in their files; an older state has forgotten it.
    """
    with engine.catalog.exclusive("look for columns that became text"):
        ids = {
            object_id for (object_id,) in engine.catalog.con.execute(_MADE_TEXT, [ours.snapshot]).fetchall()
        }
    rows = [row for row in engine.objects.select() if row["object_id"] in ids]
    fates = engine.reprocess.queue_each(rows)
    return [
        Recovered(row["key"], row["version"], 0, fate) for row, fate in zip(rows, fates, strict=True) if fate
    ]


def _load_again(engine: Engine, entries: Sequence[LedgerVersion]) -> list[Recovered]:
    """Queue what the state believes loaded and the lake lacks."""
    in_lake = {(entry.object_id, entry.version): entry for entry in entries}
    objects = {entry.object_id for entry in entries}
    believed = [dict(row) for row in engine.state.read(_BELIEVED)]
    newest = {row["object_id"]: row["loaded"] for row in believed}
    appended = {
        name for name, dataset in engine.project.datasets.items() if dataset.on_new_version == "append"
    }

    def is_missing(row: dict[str, Any]) -> bool:
        if row["loaded"] != newest[row["object_id"]] and row["dataset"] not in appended:
            return False
        if not row["rows"]:
            # It is in no ledger; but rows of an older version have to go.
            return row["object_id"] in objects
        entry = in_lake.get((row["object_id"], row["loaded"]))
        return entry is None or entry.run_id < row["run_id"] or entry.sha256 != row["sha256"]

    missing = [row for row in believed if row["is_believed"] and is_missing(row)]
    current = [row for row in missing if row["loaded"] == row["version"]]
    older = [row | {"version": row["loaded"]} for row in missing if row["loaded"] != row["version"]]
    fates = engine.reprocess.queue_each(current) + engine.reprocess.queue_each(older, older=True)
    # Only now: a process that dies before this finds them missing again.
    engine.state.write_many(
        "UPDATE versions SET loaded_at = NULL WHERE object_id = ? AND version = ?",
        [(row["object_id"], row["loaded"]) for row in missing],
    )
    return [
        Recovered(row["key"], row["loaded"], row["rows"], fate or "lost")
        for row, fate in zip(current + older, fates, strict=True)
    ]
