"""Forgetting what is old in the state file and beside it: ended runs, executions, fires, versions, quarantine, logs.

Nothing is forgotten unless `keep:` in amci.yaml says after which time, and never what is still needed: keys of runs
(which are kept apart, for ever), what reprocessing, repair and recovery read, what AMC may still be compared with.

    old rows, in groups → keys set apart, files of resolved quarantine deleted → rows deleted → the file is shrunk

Each group is one transaction, so that it can be killed at any moment, and run again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from amci.kernel.clock import Clock, timestamp
from amci.kernel.config import KeepSettings
from amci.kernel.errors import StorageError
from amci.kernel.files import fault_point, json_of, storage_errors
from amci.kernel.packing import packed
from amci.kernel.runs import RunStore
from amci.kernel.state import State
from amci.kernel.workspace import WorkspacePaths
from amci.lake.catalog.catalog import Catalog
from amci.lake.catalog.duck import LEDGER

#: Rows that are forgotten in one transaction.
_GROUP = 1000
#: The state file is rewritten if so much of it is free.
_FREE = 0.1
#: What ended longer ago is seldom asked for, and is written smaller.
_SETTLED = timedelta(days=7)

#: Runs that are needed whatever their age: of each object the newest run, the newest heavy one, and the newest that
#: loaded each version which the state knows (reprocessing, repair, recovery and upkeep of pre-stage read their
#: payloads); what tells a tenant's standing; what has an execution or open quarantine; and the newest run, whose number
#: must not be given again.
_NEEDED = """
    SELECT max(run_id) AS run_id FROM runs
     UNION SELECT max(run_id) FROM runs WHERE kind = 'heavy' GROUP BY payload ->> 'object_id'
     UNION SELECT max(run_id) FROM runs WHERE kind IN ('light', 'heavy') GROUP BY lock_key
     UNION SELECT max(r.run_id) FROM runs r JOIN versions v
              ON v.object_id = r.payload ->> 'object_id' AND v.version = r.payload ->> 'version'
            WHERE r.kind = 'heavy' AND r.status = 'SUCCEEDED' AND v.loaded_at IS NOT NULL
            GROUP BY v.object_id, v.version
     UNION SELECT max(run_id) FROM runs WHERE kind = 'provision' AND status NOT IN ('CANCELLED', 'SKIPPED')
            GROUP BY tenant_id
     UNION SELECT run_id FROM quarantine WHERE resolved_at IS NULL AND run_id IS NOT NULL
     UNION SELECT run_id FROM executions WHERE run_id IS NOT NULL"""
_OLD_RUNS = f"""
    SELECT run_id FROM runs
     WHERE status IN ('SUCCEEDED', 'SKIPPED', 'CANCELLED') AND changed_at < :before AND kind <> 'workflow'
       AND run_id NOT IN ({_NEEDED})"""
#: Runs that failed and need nobody any more. An object was loaded since, in this version or one that replaces it, or
#: was forgotten, and nothing of it is open or has failed again; what is done over and over has succeeded since.
_SETTLED_FAILURES = f"""
      WITH newest AS (
            SELECT lock_key, max(run_id) AS run_id FROM runs WHERE kind IN ('light', 'heavy') GROUP BY lock_key)
    SELECT r.run_id FROM runs r JOIN newest n USING (lock_key)
      JOIN runs l ON l.run_id = n.run_id AND l.status IN ('SUCCEEDED', 'SKIPPED')
      JOIN objects o ON o.object_id = r.payload ->> 'object_id'
     WHERE r.kind IN ('light', 'heavy') AND r.status = 'FAILED' AND r.changed_at < :before
       AND (o.forgotten_at > r.changed_at OR EXISTS (
            SELECT 1 FROM versions v
             WHERE v.object_id = o.object_id AND v.loaded_at > r.changed_at
               AND (v.version = r.payload ->> 'version'
                    OR v.version > r.payload ->> 'version'
                   AND o.dataset NOT IN (SELECT value FROM json_each(:appended)))))
       AND r.run_id NOT IN ({_NEEDED})
     UNION
    SELECT r.run_id FROM runs r
     WHERE r.kind IN ('upkeep', 'reconcile', 'provision') AND r.status = 'FAILED' AND r.changed_at < :before
       AND EXISTS (SELECT 1 FROM runs n
                    WHERE n.kind = r.kind AND n.status = 'SUCCEEDED' AND n.run_id > r.run_id
                      AND n.tenant_id IS r.tenant_id AND n.payload = r.payload)
       AND r.run_id NOT IN ({_NEEDED})"""
#: Executions that have ended, here and in AMC; none that was made twice, nor what its run may be redriven for.
_OLD_EXECUTIONS = """
    SELECT e.execution_id FROM executions e LEFT JOIN runs r USING (run_id)
     WHERE e.changed_at < :before AND e.second_of IS NULL
       AND e.execution_id NOT IN (SELECT second_of FROM executions WHERE second_of IS NOT NULL)
       AND (r.run_id IS NULL OR r.status IN ('SUCCEEDED', 'SKIPPED', 'CANCELLED') AND r.changed_at < :before)
       AND (e.status IN ('SUCCEEDED', 'FAILED', 'REJECTED', 'CANCELLED', 'DELETED')
            OR e.workflow_execution_id IS NULL AND e.submitting_at IS NULL)"""
#: Fires that are decided; of each schedule the newest stays.
_OLD_FIRES = """
    SELECT f.schedule_id, f.fire_time, f.decision FROM fires f LEFT JOIN schedules s USING (schedule_id)
     WHERE f.fire_time < :before AND f.at < :before AND f.fire_time < coalesce(s.cursor_at, :before)
       AND f.fire_time < (SELECT max(fire_time) FROM fires n WHERE n.schedule_id = f.schedule_id)"""
#: Versions that a newer one replaced, of which the lake has no rows (`in_lake` has those it has).
_OLD_VERSIONS = """
    SELECT v.object_id, v.version FROM versions v JOIN objects o USING (object_id)
     WHERE v.version < o.version AND v.seen_at < :before AND v.same_as IS NULL AND o.forgotten_at IS NULL
       AND v.version < (SELECT max(n.version) FROM versions n
                         WHERE n.object_id = v.object_id AND n.loaded_at IS NOT NULL)
       AND NOT EXISTS (SELECT 1 FROM temp.in_lake l WHERE l.object_id = v.object_id AND l.version = v.version)
       AND NOT EXISTS (SELECT 1 FROM quarantine q WHERE q.object_id = v.object_id AND q.version = v.version
                        AND q.resolved_at IS NULL)
       AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.lock_key = 'object:' || v.object_id
                        AND r.status IN ('PENDING', 'RUNNING'))"""
#: What is written smaller: what heavy runs loaded, and what AMC said of executions that have ended. See `packing`.
_UNPACKED_RUNS = """
    SELECT run_id, payload FROM runs
     WHERE kind = 'heavy' AND status = 'SUCCEEDED' AND changed_at < :before AND payload NOT LIKE '{"packed":%'
       AND payload ->> 'forgets' IS NULL AND payload ->> 'recovered' IS NULL
       AND run_id > :after ORDER BY run_id LIMIT :limit"""
_UNPACKED_EXECUTIONS = """
    SELECT execution_id, document, submitted, answered FROM executions
     WHERE status IN ('SUCCEEDED', 'FAILED', 'REJECTED', 'CANCELLED', 'DELETED') AND changed_at < :before
       AND document NOT LIKE '{"packed":%' AND execution_id > :after ORDER BY execution_id LIMIT :limit"""
_OLD_QUARANTINE = "SELECT quarantine_id, path FROM quarantine WHERE resolved_at < :before"
_OLD_DOUBTS = "SELECT doubt_id FROM doubts WHERE resolved_at < :before"


class _Undone(Exception):
    """What was only tried is taken back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Forgets what `keep:` says, in one workspace, by the one process that writes to it."""

    workspace: WorkspacePaths
    state: State
    catalog: Catalog
    runs: RunStore
    keep: KeepSettings
    appended: Collection[str]  #: datasets that keep the rows of older versions
    look_back: timedelta  #: how far executions are compared with AMC's
    clock: Clock
    tell: Callable[[str], None] = lambda _: None

    def run(self, *, dry_run: bool) -> dict[str, Any]:
        """Forget, or say what would be forgotten: counts by what, and bytes. Raises StorageError."""
        before = self._size()
        report = self._tried() if dry_run else self._forgotten(deletes_files=True)
        report["state_bytes_before"] = before
        if not dry_run:
            report["is_shrunk"] = self._shrink(report["packed_bytes"])
            report["state_bytes_after"] = self._size()
        return report | {"dry_run": dry_run}

    def _tried(self) -> dict[str, Any]:
        """What would be forgotten: it is, and that is taken back, since what goes may depend on what went before."""
        report: dict[str, Any] = {}
        with suppress(_Undone), self.state.transaction():
            report |= self._forgotten(deletes_files=False)
            raise _Undone
        return report

    def _forgotten(self, *, deletes_files: bool) -> dict[str, Any]:
        versions, executions = self._forget_versions(), self._forget_executions()
        return {
            "executions": executions,
            "runs": self._forget_runs(),
            "fires": self._forget_fires(),
            "versions": versions,
            **self._forget_quarantine(deletes_files=deletes_files),
            "logs": self._forget_logs(deletes_files=deletes_files),
            **self._pack(),
        }

    def _before(self, age: timedelta | None) -> str | None:
        return None if age is None else timestamp(self.clock.now() - age)

    def _forget_runs(self) -> int:
        """Runs that ended long ago; their keys stay."""
        before = self._before(self.keep.runs)
        if before is None:
            return 0
        values = {"before": before, "appended": json.dumps(sorted(self.appended))}
        ids = [
            row["run_id"]
            for query in (_OLD_RUNS, _SETTLED_FAILURES)
            for row in self.state.read(query, values)
        ]
        with self._children_indexed():
            for group in self._groups("runs", ids):
                self.runs.forget(group)
        return len(ids)

    def _forget_executions(self) -> int:
        """Executions that ended long ago, with their runs."""
        age = self.keep.executions
        before = self._before(None if age is None else max(age, 2 * self.look_back))
        if before is None:
            return 0
        ids = [row["execution_id"] for row in self.state.read(_OLD_EXECUTIONS, {"before": before})]
        with self._children_indexed():
            for group in self._groups("executions", ids):
                self._delete_executions(group)
        return len(ids)

    def _delete_executions(self, ids: list[int]) -> None:
        listed = json.dumps(ids)
        with self.state.transaction() as db:
            rows = db.execute(
                "DELETE FROM executions WHERE execution_id IN (SELECT value FROM json_each(?)) RETURNING run_id",
                (listed,),
            ).fetchall()
            run_ids = {row["run_id"] for row in rows if row["run_id"] is not None}
            left = db.execute(
                "SELECT run_id FROM executions WHERE run_id IN (SELECT value FROM json_each(:ids))"
                " UNION SELECT max(run_id) FROM runs",
                {"ids": json.dumps(sorted(run_ids))},
            ).fetchall()
            self.runs.forget(run_ids - {row["run_id"] for row in left})

    def _forget_fires(self) -> int:
        before = self._before(self.keep.fires)
        if before is None:
            return 0
        rows = [tuple(row) for row in self.state.read(_OLD_FIRES, {"before": before})]
        for group in self._groups("fires", rows):
            self.state.write_many(
                "DELETE FROM fires WHERE schedule_id = ? AND fire_time = ? AND decision = ?", group
            )
        return len(rows)

    def _forget_versions(self) -> int:
        before = self._before(self.keep.versions)
        if before is None:
            return 0
        with self.catalog.exclusive("read the ledger"):
            in_lake = self.catalog.con.execute(f"SELECT DISTINCT object_id, version FROM {LEDGER}").fetchall()
        self.state.write(
            "CREATE TEMP TABLE IF NOT EXISTS in_lake (object_id, version, PRIMARY KEY (object_id, version))"
        )
        try:
            self.state.write_many("INSERT OR IGNORE INTO temp.in_lake VALUES (?, ?)", in_lake)
            pairs = [tuple(row) for row in self.state.read(_OLD_VERSIONS, {"before": before})]
            for group in self._groups("versions", pairs):
                self.state.write_many("DELETE FROM versions WHERE object_id = ? AND version = ?", group)
        finally:
            self.state.write("DROP TABLE temp.in_lake")
        return len(pairs)

    def _forget_quarantine(self, *, deletes_files: bool) -> dict[str, int]:
        """Entries that were resolved long ago with the rows that were set aside, and doubts likewise."""
        before = self._before(self.keep.quarantine)
        if before is None:
            return {"quarantine": 0, "quarantine_files": 0, "quarantine_bytes": 0, "doubts": 0}
        entries = self.state.read(_OLD_QUARANTINE, {"before": before})
        doubts = [row["doubt_id"] for row in self.state.read(_OLD_DOUBTS, {"before": before})]
        needed = {
            row["path"] for row in self.state.read("SELECT path FROM quarantine WHERE resolved_at IS NULL")
        }
        files = {row["path"] for row in entries if row["path"]} - needed
        paths = [self.workspace.home / path for path in sorted(files)]
        paths = [path for path in paths if path.is_relative_to(self.workspace.quarantine) and path.is_file()]
        size = sum(path.stat().st_size for path in paths)
        if deletes_files:
            # The files first: what is killed in between finds the entries again.
            with storage_errors("delete rows that were set aside"):
                for path in paths:
                    path.unlink(missing_ok=True)
                    with suppress(OSError):
                        path.parent.rmdir()
            fault_point("retention.files")
        for group in self._groups("quarantine", [(row["quarantine_id"],) for row in entries]):
            self.state.write_many("DELETE FROM quarantine WHERE quarantine_id = ?", group)
        self.state.write_many("DELETE FROM doubts WHERE doubt_id = ?", [(doubt,) for doubt in doubts])
        return {
            "quarantine": len(entries),
            "quarantine_files": len(paths),
            "quarantine_bytes": size,
            "doubts": len(doubts),
        }

    def _forget_logs(self, *, deletes_files: bool) -> int:
        """Rotated log files; the newest is written to."""
        if self.keep.logs is None:
            return 0
        cutoff = (self.clock.now() - self.keep.logs).timestamp()
        log = self.workspace.log
        old = [path for path in log.parent.glob(f"{log.name}.[0-9]*") if path.lstat().st_mtime < cutoff]
        if deletes_files:
            with storage_errors("delete old logs"):
                for path in old:
                    path.unlink(missing_ok=True)
        return len(old)

    def _pack(self) -> dict[str, int]:
        """Write what ended smaller, without losing any of it; how many runs and executions, and the bytes saved."""
        values = {"before": timestamp(self.clock.now() - _SETTLED), "limit": _GROUP}
        number = saved = 0
        for query, update, clear in (
            # In clear is what SQL finds runs by.
            (_UNPACKED_RUNS, "UPDATE runs SET payload = ? WHERE run_id = ?", ("object_id", "version")),
            (
                _UNPACKED_EXECUTIONS,
                "UPDATE executions SET document = ?, submitted = ?, answered = ? WHERE execution_id = ?",
                (),
            ),
        ):
            after = 0
            while rows := self.state.read(query, values | {"after": after}):
                self.tell(f"{number:,} runs and executions written smaller")
                small = [
                    tuple(text and json.dumps(packed(json_of(text), clear=clear)) for text in row[1:])
                    for row in rows
                ]
                self.state.write_many(
                    update, [(*texts, row[0]) for row, texts in zip(rows, small, strict=True)]
                )
                fault_point("retention.packed")
                number, after = number + len(rows), rows[-1][0]
                saved += sum(len(text or "") for row in rows for text in row[1:])
                saved -= sum(len(text or "") for texts in small for text in texts)
        return {"packed": number, "packed_bytes": saved}

    def _groups(self, what: str, rows: list[Any]) -> Iterator[list[Any]]:
        for first in range(0, len(rows), _GROUP):
            self.tell(f"{first:,} of {len(rows):,} {what}")
            yield rows[first : first + _GROUP]
            fault_point(f"retention.{what}")

    @contextmanager
    def _children_indexed(self) -> Iterator[None]:
        """Let SQLite find the runs that follow from a run; not an index for ever, which each new run would pay for."""
        self.state.write("CREATE INDEX IF NOT EXISTS runs_by_parent ON runs (parent_run_id)")
        try:
            yield
        finally:
            with suppress(StorageError):
                self.state.write("DROP INDEX IF EXISTS runs_by_parent")

    def _shrink(self, saved: int) -> bool:
        """Give back what is free in the state file, with so many bytes inside of its pages, if that is worth it."""
        pages, free = (self.state.read(f"PRAGMA {name}")[0][0] for name in ("page_count", "freelist_count"))
        if free + saved / self.state.read("PRAGMA page_size")[0][0] < pages * _FREE:
            return False
        self.tell("shrinking the state file")
        self.state.write("VACUUM")
        self.state.read("PRAGMA wal_checkpoint(TRUNCATE)")
        return True

    def _size(self) -> int:
        """Bytes of the state file and of its log."""
        return sum(
            _bytes_of(self.workspace.state.with_name(self.workspace.state.name + end)) for end in ("", "-wal")
        )


def _bytes_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def told(report: Mapping[str, Any]) -> list[str]:
    """A report in lines for people."""
    is_dry = report["dry_run"]
    counts = ", ".join(
        f"{report[name]:,} {name.replace('_', ' ')}"
        for name in (
            "runs",
            "executions",
            "fires",
            "versions",
            "quarantine",
            "quarantine_files",
            "doubts",
            "logs",
        )
    )
    lines = [f"{'to be forgotten' if is_dry else 'forgotten'}: {counts}"]
    if report["packed"]:
        lines.append(f"{'to be ' if is_dry else ''}written smaller: {report['packed']:,} runs and executions")
    if is_dry:
        return [*lines, f"the state file has {report['state_bytes_before']:,} bytes"]
    return [
        *lines,
        f"the state file had {report['state_bytes_before']:,} bytes, it has {report['state_bytes_after']:,}",
    ]
