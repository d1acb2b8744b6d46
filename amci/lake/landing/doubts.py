"""What may be wrong with files that were read: a sentence each, until somebody accepts it or a newer version comes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

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
        found = [
            (*version, stage, doubt.kind, doubt.column, doubt.says, doubt.hint, doubt.line)
            for version, several in doubts.items()
            for doubt in _together(several)
        ]
        with self._state.transaction():
            if not adds:
                kept = [
                    (*version, [[doubt.kind, doubt.column] for doubt in several])
                    for version, several in doubts.items()
                ]
                self._state.write_set(
                    "DELETE FROM doubts WHERE doubt_id IN (SELECT d.doubt_id FROM json_each(:rows) w"
                    " JOIN doubts d ON d.object_id = w.value ->> 0 AND d.version = w.value ->> 1"
                    " WHERE d.stage = :stage AND NOT EXISTS (SELECT 1 FROM json_each(w.value, '$[2]') k"
                    "  WHERE k.value ->> 0 = d.kind AND k.value ->> 1 = d.column_name))",
                    kept,
                    stage=stage,
                )
            self._state.write_set(
                "INSERT INTO doubts (object_id, version, stage, kind, column_name, says, hint, line, at)"
                " SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6,"
                "  value ->> 7, :now FROM json_each(:rows) WHERE TRUE"
                " ON CONFLICT (object_id, version, stage, kind, column_name) DO UPDATE SET says = excluded.says,"
                "  hint = excluded.hint, line = excluded.line",
                found,
                now=timestamp(self._clock.now()),
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
