"""Which folders of a root have changed since they were listed: their own times tell, so most need not be listed again.

A file that comes, goes or gets another name changes the time of its folder; one that is written over in place does
not. So every look compares the newest files one by one as well, and once a day one compares all, as does
`amci drain --full`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from amci.kernel import log
from amci.kernel.clock import Clock, moment, timestamp
from amci.kernel.state import State
from amci.lake.landing.object_store import UNSIGNED
from amci.lake.landing.roots import Listing, Root, Stamp

#: So many files that came last, to all roots, are compared at each look.
_NEWEST = 10_000
#: After so long all files are.
_DAILY = timedelta(days=1)
#: A folder that changed less than this before it was listed may change again without showing it: the times of some
#: file systems are whole seconds, or every other one.
_TICK = timedelta(seconds=5)

_log = log.get("lookout")


class FolderTimes:
    """The folders of all roots as they were when they were listed, in the state file."""

    def __init__(self, state: State, clock: Clock) -> None:
        self._state = state
        self._clock = clock

    def is_due(self, root: Root) -> bool:
        """Whether all files have to be compared: the last time is long ago, or the times of folders do not tell.

        As those of network mounts, and of a root that is at another place than it was.
        """
        now = self._clock.now()
        return root.watch == "polling" or not any(
            row["is_telling"] and row["path"] == str(root.path) and now - _DAILY < moment(row["at"]) <= now
            for row in self._state.read(
                "SELECT path, at, is_telling FROM full_looks WHERE root = ?", (root.name,)
            )
        )

    def known(self, root: Root, under: str) -> dict[str, Stamp | None]:
        """The folders that were listed, of a root and below one of its folders, each with its stamp then.

        None if it has to be listed again whatever its stamp is now.
        """
        rows = self._state.read(
            "SELECT folder, mtime_ns, ctime_ns, inode FROM folders WHERE root = :root"
            " AND (folder = :under OR folder >= :under || '/' AND folder < :under || '0' OR :under = '')",
            {"root": root.name, "under": under},
        )
        return {row[0]: None if row[1] is None else Stamp(*row[1:]) for row in rows}

    def changed(self, root: Root, known: dict[str, Stamp | None]) -> list[str]:
        """Those of the known folders that are not as they were; what is gone is taken out of `known`, and forgotten."""
        changed, gone = [], []
        # One text for each path: this is done for each folder of each look.
        base, cut = str(root.path), len(root.prefix)
        for folder, stamp in known.items():
            path = f"{base}/{folder[cut:]}" if len(folder) > cut else base
            try:
                if stamp is None or Stamp.of(os.stat(path)) != stamp:  # noqa: PTH116
                    changed.append(folder)
            except (FileNotFoundError, NotADirectoryError):
                gone.append(folder)
            except OSError:
                changed.append(folder)
        for folder in gone:
            del known[folder]
        self._state.write_many(
            "DELETE FROM folders WHERE root = ? AND folder = ?", [(root.name, folder) for folder in gone]
        )
        return changed

    def with_other_files(self, root: Root) -> set[str]:
        """The folders of those of the newest files that were changed where they are, or are gone."""
        rows = self._state.read(
            "SELECT key, size, mtime_ns, ctime_ns, inode FROM objects WHERE +root = ? AND removed_at IS NULL"
            " AND object_id > (SELECT max(object_id) FROM objects) - ?",
            (root.name, _NEWEST),
        )
        found = set()
        base, cut = str(root.path), len(root.prefix)
        for key, *noted in rows:
            try:
                seen = os.stat(f"{base}/{key[cut:]}")  # noqa: PTH116
                now = [seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino & UNSIGNED]
            except OSError:
                now = []
            if now != noted:
                found.add(key.rpartition("/")[0] if "/" in key[cut:] else root.key(""))
        return found

    def note(self, root: Root, listings: Iterable[Listing], unsettled: set[str]) -> None:
        """These folders were listed; those with files that are not dealt with yet are listed again at the next look."""
        now = int((self._clock.now() - _TICK).timestamp() * 1e9)
        rows = []
        for listing in listings:
            stamp = listing.stamp
            if stamp and (listing.key in unsettled or max(stamp.ctime_ns, stamp.mtime_ns) > now):
                stamp = None
            told = (stamp.mtime_ns, stamp.ctime_ns, stamp.inode) if stamp else (None, None, None)
            if not listing.has_odd_name:
                rows.append((root.name, listing.key, *told))
        self._state.write_many("INSERT OR REPLACE INTO folders VALUES (?, ?, ?, ?, ?)", rows)

    def noted_all(
        self, root: Root, began: datetime, known: Mapping[str, Stamp | None], *, is_telling: bool
    ) -> None:
        """All folders of a root were listed, in a look that began then; `known` are those of before that are gone."""
        if not is_telling:
            says = "files came without changing the time of their folder: each look compares all"
            _log.warning(says, root=root.name)
        with self._state.transaction() as db:
            db.executemany(
                "DELETE FROM folders WHERE root = ? AND folder = ?", [(root.name, folder) for folder in known]
            )
            db.execute(
                "INSERT OR REPLACE INTO full_looks VALUES (?, ?, ?, ?)",
                (root.name, str(root.path), timestamp(began), is_telling),
            )

    def forget(self) -> None:
        """Have the next look compare all."""
        with self._state.transaction() as db:
            db.execute("DELETE FROM folders")
            db.execute("DELETE FROM full_looks")
