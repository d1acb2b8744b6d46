"""What may be wrong with files that were read: a sentence each, until somebody accepts it or a newer version comes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace

from amci.kernel.clock import Clock, timestamp
from amci.kernel.state import State
from amci.lake.formats import Doubt

#: (object id, version)
Version = tuple[int, int]


class DoubtStore:
    """The doubts about object versions, in the state file."""

    def __init__(self, state: State, clock: Clock) -> None:
        self._state = state
        self._clock = clock

    def put(self, stage: str, doubts: Mapping[Version, Sequence[Doubt]], *, adds: bool = False) -> None:
        """Note what `stage` (`light` or `heavy`) found in these versions now, in place of what it found before.

        What was accepted stays so, for as long as the same is found. With `adds`, all that was found before stays.
        """
        now = timestamp(self._clock.now())
        found = [
            {"object_id": object_id, "version": version, "stage": stage, "now": now, **asdict(doubt)}
            for (object_id, version), several in doubts.items()
            for doubt in _together(several)
        ]
        with self._state.transaction() as db:
            for (object_id, version), several in () if adds else doubts.items():
                kept = json.dumps([[doubt.kind, doubt.column] for doubt in several])
                db.execute(
                    "DELETE FROM doubts WHERE object_id = ? AND version = ? AND stage = ? AND NOT EXISTS"
                    " (SELECT 1 FROM json_each(?) k WHERE k.value ->> 0 = kind AND k.value ->> 1 = column_name)",
                    (object_id, version, stage, kept),
                )
            db.executemany(
                "INSERT INTO doubts (object_id, version, stage, kind, column_name, says, hint, line, at)"
                " VALUES (:object_id, :version, :stage, :kind, :column, :says, :hint, :line, :now)"
                " ON CONFLICT (object_id, version, stage, kind, column_name) DO UPDATE SET says = excluded.says,"
                "  hint = excluded.hint, line = excluded.line",
                found,
            )

    def are_accepted(self, version: Version, doubts: Iterable[Doubt]) -> bool:
        """Whether somebody has accepted all of these about the version."""
        rows = self._state.read(
            "SELECT kind, column_name FROM doubts WHERE object_id = ? AND version = ? AND resolved_at IS NOT NULL",
            version,
        )
        accepted = {(row["kind"], row["column_name"]) for row in rows}
        return {(doubt.kind, doubt.column) for doubt in doubts} <= accepted

    def was_doubted(self, object_id: int, kind: str) -> bool:
        """Whether a version of this object was doubted as a whole in this way, and nobody took the newest for right."""
        rows = self._state.read(
            "SELECT resolved_at IS NULL OR resolved_at = ("  # then the next version ended it
            "  SELECT seen_at FROM versions v WHERE v.object_id = d.object_id AND v.version = d.version + 1)"
            " FROM doubts d WHERE object_id = ? AND kind = ? AND column_name = '' ORDER BY version DESC LIMIT 1",
            (object_id, kind),
        )
        return bool(rows and rows[0][0])

    def accept(self, object_ids: Iterable[int]) -> int:
        """Take what is doubtful about these objects for right; returns how many doubts that were."""
        now = timestamp(self._clock.now())
        with self._state.transaction() as db:
            return sum(
                db.execute(
                    "UPDATE doubts SET resolved_at = ? WHERE object_id = ? AND resolved_at IS NULL",
                    (now, object_id),
                ).rowcount
                for object_id in object_ids
            )

    def doubtful(self) -> int:
        """How many objects have a doubt that nobody has accepted."""
        rows = self._state.read("SELECT count(DISTINCT object_id) FROM doubts WHERE resolved_at IS NULL")
        return int(rows[0][0])

    def list(self, *, is_open: bool = True) -> list[sqlite3.Row]:
        """Doubts with the key of their object, newest first; only open ones unless told otherwise."""
        return self._state.read(
            "SELECT d.*, o.root, o.key, o.dataset, o.tenant_id FROM doubts d JOIN objects o USING (object_id)"
            + (" WHERE d.resolved_at IS NULL" if is_open else "")
            + " ORDER BY d.doubt_id DESC"
        )


def _together(doubts: Iterable[Doubt]) -> Iterable[Doubt]:
    """The doubts, with those of one kind about the same column, or all about the file, put into one."""
    together: dict[tuple[str, str], Doubt] = {}
    for doubt in doubts:
        has = together.setdefault((doubt.kind, doubt.column), doubt)
        if has != doubt:
            together[doubt.kind, doubt.column] = replace(
                has, says=f"{has.says}; {doubt.says}", hint="; ".join(filter(None, (has.hint, doubt.hint)))
            )
    return together.values()
