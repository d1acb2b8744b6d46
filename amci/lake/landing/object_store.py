"""What the lake knows of raw files: objects, versions and quarantine, in the state file."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Self

from amci.kernel.clock import Clock, timestamp
from amci.kernel.errors import AmciError, DataError, MalformedFile, NotFound
from amci.kernel.run import Failed, Run
from amci.kernel.state import State
from amci.kernel.text import encodable
from amci.lake.landing.doubts import DoubtStore
from amci.lake.landing.duplicates import DuplicateStore, Version

#: SQLite's integers have a sign.
UNSIGNED = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Landed:
    """A file that lies under a root, complete: its identity and its quick fingerprint."""

    root: str
    key: str
    size: int
    mtime_ns: int
    inode: int | None = None  #: of the file system, 63 bits of it; None if it was not asked for
    ctime_ns: int | None = None  #: when the file system last noted a change of the file
    has_odd_name: bool = False  #: the key shows a name that cannot be stored as it is

    @classmethod
    def of(cls, root: str, key: str, found: os.stat_result, *, has_odd_name: bool = False) -> Self:
        """The file at `key` as the file system shows it."""
        identity = found.st_ino & UNSIGNED, found.st_ctime_ns
        return cls(root, key, found.st_size, found.st_mtime_ns, *identity, has_odd_name)


@dataclass(frozen=True, slots=True)
class Known:
    """The newest version of an object, as recorded."""

    object_id: int
    version: int
    size: int
    mtime_ns: int
    inode: int | None  #: None if an older amci noted it
    ctime_ns: int | None
    is_removed: bool

    def may_be(self, file: Landed, *, trusts_inodes: bool) -> bool:
        """Whether nothing but its content could tell `file` from what was noted, since size and mtime do not."""
        return self.ctime_ns == file.ctime_ns and (not trusts_inodes or self.inode == file.inode)


@dataclass(frozen=True, slots=True)
class ReadContent:
    """What is known of the content of a version."""

    sha256: str | None  #: in hex; None if it was not read, or not to its end
    probe: str | None  #: see `content.probe`; None for a small file, or if it was not read
    has_failed: bool  #: whether its newest run has


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """Why an object, a part of it, or some of its rows are not in the lake."""

    object_id: int
    version: int
    stage: str
    part: str = ""
    reason: str
    hint: str = ""
    line: int | None = None
    rows: int | None = None
    path: str | None = None
    run_id: int | None = None

    @classmethod
    def of(
        cls, error: DataError, *, object_id: int, version: int, stage: str, run_id: int | None
    ) -> Quarantined:
        """The quarantine entry for a whole object that `error` was raised about."""
        line = error.line if isinstance(error, MalformedFile) else None
        return cls(
            object_id=object_id,
            version=version,
            stage=stage,
            reason=str(error),
            hint=error.hint,
            line=line,
            run_id=run_id,
        )


class ObjectStore:
    """Objects and their versions; every change is one transaction."""

    def __init__(self, state: State, clock: Clock) -> None:
        self._state = state
        self._clock = clock
        self.doubts = DoubtStore(state, clock)
        self.duplicates = DuplicateStore(state)

    def known(self, root: str, between: Iterable[tuple[str, str]]) -> dict[str, Known]:
        """By key, the newest version of every object whose key is between two of these, the first included."""
        rows = self._state.read(
            "SELECT o.key, object_id, version, size, mtime_ns, inode, ctime_ns, removed_at"
            " FROM json_each(:between) AS gap CROSS JOIN objects AS o"
            " WHERE o.root = :root AND o.key >= gap.value ->> 0 AND o.key < gap.value ->> 1",
            {"root": root, "between": json.dumps(list(between))},
        )
        return {
            r["key"]: Known(
                *(r["object_id"], r["version"], r["size"], r["mtime_ns"]),
                *(r["inode"], r["ctime_ns"], r["removed_at"] is not None),
            )
            for r in rows
        }

    def unseen(self, files: Iterable[Landed]) -> list[Landed]:
        """Those of these files that are not the newest version of an object, as recorded; each key once."""
        by_key = {(file.root, file.key): file for file in files}
        seen = self._state.read(
            "SELECT o.root, o.key, o.size, o.mtime_ns FROM json_each(:keys) w"
            " JOIN objects o ON o.root = w.value ->> 0 AND o.key = w.value ->> 1 WHERE o.removed_at IS NULL",
            {"keys": json.dumps([[root, encodable(key)] for root, key in by_key])},
        )
        known = {tuple(row) for row in seen}
        return [f for f in by_key.values() if (f.root, encodable(f.key), f.size, f.mtime_ns) not in known]

    def record(self, landed: Sequence[tuple[Landed, str | None, str | None]]) -> list[Version]:
        """New objects, or new versions of known ones, each with its dataset and tenant; their ids and versions.

        No two have the same key.
        """
        now = timestamp(self._clock.now())
        given = [
            [
                *(file.root, encodable(file.key), dataset, tenant_id, file.size, file.mtime_ns, file.inode),
                file.ctime_ns,
            ]
            for file, dataset, tenant_id in landed
        ]
        values = {"files": json.dumps(given), "now": now}
        with self._state.transaction() as db:
            rows = db.execute(
                "INSERT INTO objects (root, key, dataset, tenant_id, version, size, mtime_ns, inode, ctime_ns, seen_at)"
                " SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, 1, value ->> 4, value ->> 5, value ->> 6,"
                "  value ->> 7, :now FROM json_each(:files) WHERE TRUE"
                " ON CONFLICT (root, key) DO UPDATE SET dataset = excluded.dataset, tenant_id = excluded.tenant_id,"
                "  version = version + 1, size = excluded.size, mtime_ns = excluded.mtime_ns,"
                "  inode = excluded.inode, ctime_ns = excluded.ctime_ns, seen_at = excluded.seen_at,"
                "  removed_at = NULL, checked_at = NULL, is_suspect = 0, forgotten_at = NULL"
                " RETURNING root, key, object_id, version",
                values,
            ).fetchall()
            by_key = {(row["root"], row["key"]): (row["object_id"], row["version"]) for row in rows}
            versions = [by_key[root, key] for root, key, *_ in given]
            noted = [[*version, each[4], each[5]] for version, each in zip(versions, given, strict=True)]
            self._state.write_set(
                "INSERT INTO versions (object_id, version, size, mtime_ns, seen_at)"
                " SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, :now FROM json_each(:rows)",
                noted,
                now=now,
            )
            for table in ("quarantine", "doubts"):
                self._state.write_set(
                    f"UPDATE {table} SET resolved_at = :now WHERE resolved_at IS NULL"
                    " AND object_id IN (SELECT value ->> 0 FROM json_each(:rows))",
                    [[object_id] for object_id, version in versions if version > 1],
                    now=now,
                )
        return versions

    def set_route(self, object_id: int, dataset: str | None, tenant_id: str | None) -> None:
        """Where an object belongs, after the configuration changed."""
        with self._state.transaction() as db:
            db.execute(
                "UPDATE objects SET dataset = ?, tenant_id = ? WHERE object_id = ?",
                (dataset, tenant_id, object_id),
            )

    def removed(self, object_ids: Iterable[int]) -> None:
        """The raw files of these objects are gone; one that no dataset took need not be looked after any more."""
        now = timestamp(self._clock.now())
        gone = list(object_ids)
        with self._state.transaction() as db:
            db.executemany(
                "UPDATE quarantine SET resolved_at = ?"
                " WHERE object_id = ? AND stage = 'route' AND resolved_at IS NULL",
                [(now, i) for i in gone],
            )
            db.executemany("UPDATE objects SET removed_at = ? WHERE object_id = ?", [(now, i) for i in gone])

    def returned(self, object_ids: Iterable[int]) -> None:
        """The raw files of these objects are back, unchanged."""
        back = [(i,) for i in object_ids]
        with self._state.transaction() as db:
            db.executemany("UPDATE objects SET removed_at = NULL WHERE object_id = ?", back)
            db.executemany(
                "UPDATE quarantine SET resolved_at = NULL WHERE object_id = ? AND stage = 'route'"
                " AND object_id IN (SELECT object_id FROM objects WHERE dataset IS NULL)",
                back,
            )

    def set_hashes(self, hashes: Iterable[tuple[int, int, str | None, str | None]]) -> None:
        """Content of versions that were read: (object id, version, hex SHA-256, probe)."""
        self._state.write_many(
            "UPDATE versions SET sha256 = ?3, probe = ?4 WHERE object_id = ?1 AND version = ?2", list(hashes)
        )

    def content(self, object_id: int, version: int) -> ReadContent:
        """What is known of the content of a version."""
        (row,) = self._state.read(
            "SELECT sha256, probe, (SELECT status = 'FAILED' FROM runs WHERE run_id = (SELECT max(run_id) FROM runs"
            "   WHERE idempotency_key >= 'light:' || o.root || '/' || o.key || '@' || version"
            "     AND idempotency_key < 'light:' || o.root || '/' || o.key || '@' || version || char(0x10ffff)"
            "     AND payload ->> 'object_id' = object_id AND payload ->> 'version' = version)) AS has_failed"
            " FROM versions JOIN objects o USING (object_id, version) WHERE object_id = ? AND version = ?",
            (object_id, version),
        )
        return ReadContent(row["sha256"], row["probe"], bool(row["has_failed"]))

    def seen(self, files: Iterable[tuple[int, Landed, bool]]) -> None:
        """Note (object id, file, whether it is a suspect) of files whose content is as noted, or to be compared."""
        self._state.write_many(
            "UPDATE objects SET inode = ?2, ctime_ns = ?3, is_suspect = ?4 WHERE object_id = ?1",
            [(object_id, file.inode, file.ctime_ns, is_suspect) for object_id, file, is_suspect in files],
        )

    def unchecked(self, before: str, limit: int) -> list[sqlite3.Row]:
        """Objects of which the content should be compared: suspects, then those not compared since `before`.

        Only suspects if `before` is empty.
        """
        # What was compared by a clock that was ahead is compared again.
        due = (
            "(o.is_suspect = 1 OR coalesce(o.checked_at, o.seen_at) < :before OR o.checked_at > :now)"
            if before
            else "o.is_suspect = 1"
        )
        return self._state.read(
            "SELECT o.object_id, o.root, o.key, o.version, o.size, o.mtime_ns, v.sha256"
            f" FROM objects o JOIN versions v USING (object_id, version) WHERE {due}"
            " AND o.removed_at IS NULL AND v.sha256 IS NOT NULL"
            " ORDER BY o.is_suspect DESC, coalesce(o.checked_at, o.seen_at) LIMIT :limit",
            {"before": before, "limit": limit, "now": timestamp(self._clock.now())},
        )

    def checked(self, object_ids: Iterable[int]) -> None:
        """The contents of these objects were compared, as far as they could be."""
        now = timestamp(self._clock.now())
        self._state.write_many(
            "UPDATE objects SET checked_at = ?, is_suspect = 0 WHERE object_id = ?",
            [(now, object_id) for object_id in object_ids],
        )

    def mark_unseen(self, object_id: int, version: int) -> None:
        """Forget the fingerprint of this version, which was not read: the file is new when it is seen again."""
        with self._state.transaction() as db:
            db.execute(
                "UPDATE objects SET size = -1, mtime_ns = -1 WHERE object_id = ? AND version = ?",
                (object_id, version),
            )
            # Its folder, that is the key up to its last slash, may be as it was when it was listed.
            db.execute(
                "UPDATE folders SET mtime_ns = NULL WHERE (root, folder) = (SELECT root,"
                " rtrim(rtrim(key, replace(key, '/', '')), '/') FROM objects WHERE object_id = ?)",
                (object_id,),
            )

    def for_versions(self, pairs: Collection[tuple[int, int]]) -> dict[tuple[int, int], dict[str, Any]]:
        """Object and version of each (object id, version), and what of the object is in the lake.

        `newest_loaded` is the newest version whose content is there. `loaded_sha256` is NULL if no earlier
        version was loaded, or one is still on its way. `is_doubted` says whether the version has doubts, open or not.
        """
        rows = self._state.read(
            "SELECT v.object_id, v.version, v.size, v.mtime_ns, v.same_as, v.rules_hash,"
            "  o.root, o.key, o.forgotten_at,"
            "  (SELECT max(n.version) FROM versions n"
            "    WHERE n.object_id = v.object_id AND n.loaded_at IS NOT NULL) AS newest_loaded,"
            "  (SELECT p.sha256 FROM versions p WHERE p.object_id = v.object_id AND p.version < v.version"
            "    AND p.loaded_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM runs"
            "     WHERE lock_key = 'object:' || v.object_id AND status = 'PENDING' AND kind = 'heavy')"
            "   ORDER BY p.version DESC LIMIT 1) AS loaded_sha256,"
            "  EXISTS (SELECT 1 FROM doubts d WHERE d.object_id = v.object_id AND d.version = v.version) AS is_doubted"
            " FROM json_each(:pairs) AS wanted"
            " JOIN versions v ON v.object_id = wanted.value ->> 0 AND v.version = wanted.value ->> 1"
            " JOIN objects o ON o.object_id = v.object_id",
            {"pairs": json.dumps(list(pairs))},
        )
        return {(r["object_id"], r["version"]): dict(r) for r in rows}

    def rows_before(self, object_id: int, version: int) -> int | None:
        """Rows of the version that was loaded before this one; None if none was, or it was forgotten."""
        rows = self._state.read(
            "SELECT (SELECT sum(value ->> 'rows') FROM json_each(unpacked(r.payload), '$.tables'))"
            " FROM objects o JOIN versions v USING (object_id)"
            " JOIN runs r ON r.idempotency_key >= 'heavy:' || o.root || '/' || o.key || '@'"
            "  AND r.idempotency_key < 'heavy:' || o.root || '/' || o.key || '@' || char(0x10ffff)"
            "  AND r.payload ->> 'object_id' = o.object_id AND r.payload ->> 'version' = v.version"
            " WHERE o.object_id = ? AND v.version < ? AND v.loaded_at IS NOT NULL AND o.forgotten_at IS NULL"
            " ORDER BY r.run_id DESC LIMIT 1",
            (object_id, version),
        )
        return rows[0][0] if rows else None

    def set_rules(self, applied: Iterable[tuple[int, int, str | None]]) -> None:
        """By which rules versions were read: (object id, version, rules hash)."""
        self._state.write_set(
            "UPDATE versions SET rules_hash = value ->> 2 FROM json_each(:rows)"
            " WHERE object_id = value ->> 0 AND version = value ->> 1",
            applied,
        )

    def set_loaded(self, versions: Iterable[tuple[int, int]]) -> None:
        """The content of these (object id, version) pairs is in the lake."""
        self._state.write_set(
            "UPDATE versions SET loaded_at = :now FROM json_each(:rows)"
            " WHERE object_id = value ->> 0 AND version = value ->> 1",
            versions,
            now=timestamp(self._clock.now()),
        )

    def versions(self, object_id: int) -> list[sqlite3.Row]:
        """All versions of an object, oldest first; `same_as` is the key of the object whose rows count instead."""
        return self._state.read(
            "SELECT v.object_id, v.version, v.size, v.mtime_ns, v.seen_at, v.sha256, v.rules_hash, v.loaded_at,"
            " h.key AS same_as FROM versions v LEFT JOIN objects h ON h.object_id = v.same_as"
            " WHERE v.object_id = ? ORDER BY v.version",
            (object_id,),
        )

    def find(self, name: str) -> list[sqlite3.Row]:
        """Objects by id, by key, or by the end of a key. Raises NotFound if there is none."""
        rows = self._state.read(
            "SELECT * FROM objects WHERE key = :name OR CAST(object_id AS TEXT) = :name ORDER BY root, key",
            {"name": name},
        ) or self._state.read(
            "SELECT * FROM objects WHERE substr(key, -length(:name)) = :name ORDER BY root, key LIMIT 100",
            {"name": name},
        )
        if not rows:
            raise NotFound(
                f"no object '{name}'", hint='`amci query "SELECT key FROM amci.objects"` lists what is loaded'
            )
        return rows

    def select(
        self,
        *,
        dataset: str | None = None,
        since: datetime | None = None,
        object_ids: Collection[int] | None = None,
    ) -> list[sqlite3.Row]:
        """Routed objects, of one dataset or all, last seen at or after `since`; oldest first.

        Those that were forgotten only if they are among `object_ids`; all others then are left out.
        """
        return self._state.read(
            "SELECT o.*, v.rules_hash FROM objects o JOIN versions v USING (object_id, version)"
            " WHERE o.dataset IS NOT NULL AND o.dataset = coalesce(:dataset, o.dataset) AND o.seen_at >= :since"
            "   AND CASE WHEN :ids IS NULL THEN o.forgotten_at IS NULL"
            "            ELSE o.object_id IN (SELECT value FROM json_each(:ids)) END ORDER BY object_id",
            {
                "dataset": dataset,
                "since": timestamp(since) if since else "",
                "ids": None if object_ids is None else json.dumps(list(object_ids)),
            },
        )

    def gone(self, dataset: str | None = None) -> list[sqlite3.Row]:
        """Objects, of one dataset or all, whose raw file is gone and that were loaded; oldest first."""
        return self._state.read(
            "SELECT * FROM objects o WHERE removed_at IS NOT NULL AND forgotten_at IS NULL"
            " AND (:dataset IS NULL OR dataset = :dataset) AND EXISTS (SELECT 1 FROM versions v"
            "  WHERE v.object_id = o.object_id AND v.loaded_at IS NOT NULL) ORDER BY object_id",
            {"dataset": dataset},
        )

    def unloaded(self, object_ids: Iterable[int]) -> None:
        """Nothing of these objects is in the lake any more."""
        self._state.write_many(
            "UPDATE versions SET loaded_at = NULL WHERE object_id = ?", [(each,) for each in object_ids]
        )

    def of_tenant(self, tenant_id: str) -> list[int]:
        """The ids of a tenant's objects."""
        rows = self._state.read("SELECT object_id FROM objects WHERE tenant_id = ?", (tenant_id,))
        return [row["object_id"] for row in rows]

    def remembered(self, object_ids: Iterable[int]) -> None:
        """These objects were forgotten, and are wanted again."""
        self._state.write_many(
            "UPDATE objects SET forgotten_at = NULL WHERE object_id = ?", [(each,) for each in object_ids]
        )

    def unrouted(self) -> list[sqlite3.Row]:
        """Objects no dataset takes, oldest first."""
        return self._state.read("SELECT * FROM objects WHERE dataset IS NULL ORDER BY object_id")

    def quarantine(self, entries: Sequence[Quarantined]) -> None:
        """Note what could not be used; the same entry again replaces the earlier one."""
        now = timestamp(self._clock.now())
        self._state.write_many(
            "INSERT INTO quarantine (object_id, version, stage, part, reason, hint, line, rows, path, run_id, at)"
            " VALUES (:object_id, :version, :stage, :part, :reason, :hint, :line, :rows, :path, :run_id, :now)"
            " ON CONFLICT (object_id, version, stage, part) DO UPDATE SET reason = excluded.reason,"
            "  hint = excluded.hint, line = excluded.line, rows = excluded.rows, path = excluded.path,"
            "  run_id = excluded.run_id, at = excluded.at, resolved_at = NULL",
            [asdict(entry) | {"now": now} for entry in entries],
        )

    def refused(self, run: Run, error: AmciError) -> Failed:
        """The outcome of a run whose object cannot be used; quarantines the object if its data is at fault."""
        if isinstance(error, DataError):
            of = {"object_id": run.payload["object_id"], "version": run.payload["version"]}
            self.quarantine([Quarantined.of(error, **of, stage=run.kind, run_id=run.run_id)])
        return Failed(error)

    def is_quarantined(self, object_id: int, version: int) -> bool:
        """Whether an open entry says why this version is not in the lake."""
        return bool(
            self._state.read(
                "SELECT 1 FROM quarantine WHERE object_id = ? AND version = ? AND resolved_at IS NULL AND rows IS NULL",
                (object_id, version),
            )
        )

    def resolve_routed(self, object_id: int) -> None:
        """A dataset takes this object now."""
        with self._state.transaction() as db:
            db.execute(
                "UPDATE quarantine SET resolved_at = ? WHERE object_id = ? AND stage = 'route' AND resolved_at IS NULL",
                (timestamp(self._clock.now()), object_id),
            )

    def resolve_loaded(self, loaded: Iterable[tuple[int, int]]) -> None:
        """These objects are in the lake: close their entries, except for rows that the loading run itself kept out.

        `loaded` are pairs of object id and run id.
        """
        self._state.write_set(
            "UPDATE quarantine SET resolved_at = :now FROM json_each(:rows)"
            " WHERE object_id = value ->> 0 AND resolved_at IS NULL"
            " AND NOT (stage = 'quality' AND run_id = value ->> 1)",
            loaded,
            now=timestamp(self._clock.now()),
        )

    def quarantined(self, *, is_open: bool = True) -> list[sqlite3.Row]:
        """Quarantine entries with the key of their object, newest first; only open ones unless told otherwise."""
        return self._state.read(
            "SELECT q.*, o.root, o.key, o.dataset, o.tenant_id FROM quarantine q JOIN objects o USING (object_id)"
            + (" WHERE q.resolved_at IS NULL" if is_open else "")
            + " ORDER BY q.quarantine_id DESC"
        )

    def counts(self) -> dict[str, int]:
        """How many objects there are, how many without their raw file, in quarantine, and with open doubts."""
        row = self._state.read(
            "SELECT (SELECT objects FROM object_counts) objects, (SELECT removed FROM object_counts) removed,"
            " (SELECT count(DISTINCT object_id) FROM quarantine WHERE resolved_at IS NULL) quarantined,"
            " (SELECT count(DISTINCT object_id) FROM doubts WHERE resolved_at IS NULL) doubtful"
        )[0]
        return dict(row)
