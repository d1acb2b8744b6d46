"""Taking files out of the lake on request: their rows go, and they are not loaded again by themselves."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from amci.kernel.clock import Clock, new_id, timestamp
from amci.kernel.errors import UsageError
from amci.kernel.run import NewRun
from amci.kernel.runs import RunStore
from amci.kernel.state import State
from amci.lake.landing.ingest import Lane
from amci.lake.landing.object_store import ObjectStore
from amci.lake.loading.staged_object import StagedObject

#: What runs of such a file say, until it changes or is asked for.
FORGOTTEN = "it was forgotten; `amci lake reprocess` with its key loads it again"


def named(objects: ObjectStore, names: Sequence[str]) -> list[sqlite3.Row]:
    """The objects meant by ids, keys, or ends of keys.

    Raises NotFound for a name that means none, UsageError for one that means several.
    """
    found: dict[int, sqlite3.Row] = {}
    for name in names:
        rows = objects.find(name)
        if len(rows) > 1:
            several = ", ".join(f"{row['object_id']} ({row['root']}/{row['key']})" for row in rows[:5])
            raise UsageError(f"'{name}' means {len(rows)} files", hint=f"say one by its id: {several}")
        found[rows[0]["object_id"]] = rows[0]
    return list(found.values())


def forget(state: State, runs: RunStore, clock: Clock, rows: Sequence[sqlite3.Row]) -> list[str]:
    """Queue runs that take the rows of these objects out of the lake, all or none of them; their keys.

    From now on, nothing loads them but a new version, or `reprocess` with their keys, and nobody has to see to what was
    wrong with them.
    """
    now = timestamp(clock.now())
    new = [_run(row, f"~forget-{now}") for row in rows]
    with state.transaction() as db:
        db.executemany(
            "UPDATE objects SET forgotten_at = ? WHERE object_id = ?",
            [(now, row["object_id"]) for row in rows],
        )
        for table in ("quarantine", "doubts"):
            db.executemany(
                f"UPDATE {table} SET resolved_at = ? WHERE object_id = ? AND resolved_at IS NULL",
                [(now, row["object_id"]) for row in rows],
            )
        runs.create(new)
    return [run.idempotency_key for run in new]


def _run(row: sqlite3.Row, again: str) -> NewRun:
    staged = StagedObject(
        object_id=row["object_id"], version=row["version"], again=again, reason="forgotten", forgets=True
    )
    return NewRun(
        idempotency_key=f"heavy:{row['root']}/{row['key']}@{row['version']}{again}",
        kind="heavy",
        tenant_id=row["tenant_id"],
        lock_key=f"object:{row['object_id']}",
        batch_key=Lane.of("heavy", row["dataset"] or "", is_large=False).batch_key,
        correlation_id=new_id(),
        payload=staged.to_payload(),
    )
