"""Files that bring the same rows: one counts, the others stand by until it does not any more.

    same execution of AMC's, or same content and same place of its rows → holder, or a duplicate of one
    the holder is replaced, forgotten or fails → its duplicates are read again, and the first of them holds

Two names may well have equal contents, as two days without sales have. So a content counts once only if the names say
the same too (a copy, a renamed file), or the dataset says `duplicates: once`; else it is loaded, and a doubt tells.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from amci.kernel.state import State
from amci.lake.formats import format_of

#: (object id, version)
Version = tuple[int, int]
#: What a dataset says of duplicates.
Duplicates = Literal["auto", "once", "allow"]

#: What people and programs add to the name of a copy: `report (1).csv`, `report - Copy.csv`, `Copy of report.csv`.
_COPY = re.compile(r"^copy of |(?:[ _-]+copy)?(?: ?\(\d{1,3}\))?$")
#: A month, a day or a moment in a name in small letters: 2026-11, 20261101, 2026-11-01t06:00.
_DATE = re.compile(
    r"(?<!\d)(?:19|20)\d\d[-_.]?(?:0[1-9]|1[0-2])(?:[-_.]?(?:0[1-9]|[12]\d|3[01]))?"
    r"(?:[t _-]?\d\d[:_.-]?\d\d(?:[:_.-]?\d\d(?:\.\d+)?)?)?(?!\d)"
)

#: Whether version `h` of object `ho` has its rows in the lake, or is about to bring them.
_HOLDS = """
    h.same_as IS NULL AND ho.forgotten_at IS NULL AND (
        h.loaded_at IS NOT NULL AND (
            ho.dataset IN (SELECT value FROM json_each(:appended)) OR NOT EXISTS (
                SELECT 1 FROM versions n
                 WHERE n.object_id = h.object_id AND n.version > h.version AND n.loaded_at IS NOT NULL))
        OR h.version = ho.version AND (
            EXISTS (SELECT 1 FROM runs WHERE lock_key = 'object:' || h.object_id AND status = 'RUNNING')
            OR EXISTS (SELECT 1 FROM runs WHERE lock_key = 'object:' || h.object_id AND status = 'PENDING')))"""

#: Versions with one of these contents, or of one of these executions.
_HOLDERS = f"""
    SELECT h.object_id, h.version, h.content, h.execution, h.mtime_ns, ho.root, ho.key, ho.removed_at
      FROM versions h JOIN objects ho USING (object_id)
     WHERE h.content IN (SELECT value FROM json_each(:contents)) AND {_HOLDS}
     UNION
    SELECT h.object_id, h.version, h.content, h.execution, h.mtime_ns, ho.root, ho.key, ho.removed_at
      FROM versions h JOIN objects ho USING (object_id)
     WHERE h.execution IN (SELECT value FROM json_each(:executions)) AND {_HOLDS}
     ORDER BY 1, 2"""

#: Versions with one of these hashes that an earlier amci loaded, which noted no more, and what it then loaded.
_UNPLACED = """
    SELECT v.object_id, v.version, v.sha256, o.key, (
           SELECT unpacked(payload) FROM runs WHERE idempotency_key >= 'heavy:' || o.root || '/' || o.key || '@'
              AND idempotency_key < 'heavy:' || o.root || '/' || o.key || '@' || char(0x10ffff)
              AND status = 'SUCCEEDED' AND payload ->> 'object_id' = v.object_id
              AND payload ->> 'version' <= v.version AND json_array_length(unpacked(payload), '$.tables') > 0
            ORDER BY run_id DESC LIMIT 1) AS payload
      FROM versions v JOIN objects o USING (object_id)
     WHERE v.sha256 IN (SELECT value FROM json_each(:hashes)) AND v.content IS NULL AND v.same_as IS NULL
       AND v.loaded_at IS NOT NULL AND v.object_id NOT IN (SELECT value FROM json_each(:but))"""

#: Whether the object that counts for duplicate `d` holds the same still, in another version than the one named.
_IS_HELD = f"""
    EXISTS (SELECT 1 FROM versions h JOIN objects ho USING (object_id)
             WHERE h.object_id = d.same_as AND (h.content = d.content OR h.execution = d.execution)
               AND h.version IS NOT (%(but)s) AND {_HOLDS})"""

#: Duplicates whose files are there, and whose rows are not there any more.
_ORPHANS = f"""
    SELECT d.object_id, d.version, o.root, o.key, o.size
      FROM versions d INDEXED BY versions_counted_elsewhere CROSS JOIN objects o USING (object_id, version)
     WHERE d.same_as IS NOT NULL AND o.removed_at IS NULL AND o.forgotten_at IS NULL
       AND (:holders IS NULL OR d.same_as IN (SELECT value FROM json_each(:holders)))
       AND NOT ({_IS_HELD % {"but": "NULL"}})
     ORDER BY d.object_id"""

#: Of these versions, those that a duplicate stands by for.
_STOOD_BY = f"""
    SELECT g.object_id, g.version FROM json_each(:gone) w
      JOIN versions g ON g.object_id = w.value ->> 0 AND g.version = w.value ->> 1
      JOIN versions d ON d.same_as = g.object_id AND (d.content = g.content OR d.execution = g.execution)
      JOIN objects o ON o.object_id = d.object_id AND o.version = d.version
     WHERE o.removed_at IS NULL AND o.forgotten_at IS NULL
       AND NOT ({_IS_HELD % {"but": "g.version"}})"""

#: Versions with the contents or of the executions of these ones, which hold them no longer.
_STAND_INS = f"""
    SELECT h.object_id, h.version, m.object_id AS by_object_id, m.version AS by_version
      FROM json_each(:pairs) w
      JOIN versions m ON m.object_id = w.value ->> 0 AND m.version = w.value ->> 1
      JOIN versions h ON %(link)s AND h.object_id <> m.object_id
      JOIN objects ho ON ho.object_id = h.object_id
     WHERE NOT ({_HOLDS})"""
_LINKS = ("h.content = m.content", "h.execution = m.execution")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadObject:
    """An object version that was read to its end, and what tells whether its rows are there already."""

    version: Version
    root: str
    key: str
    mtime_ns: int
    sha256: str  #: of the raw bytes, in hex
    probe: str | None
    content: str  #: see `content_of`; what counts is what is inside of a compressed file
    packed_content: str  #: the same of the compressed bytes, which an earlier amci noted
    execution: str  #: AMC's id of the execution whose result it is; empty if that is not known
    duplicates: Duplicates
    is_by_name: bool  #: whether a transform may make values of the key
    is_by_time: bool  #: whether a column has the time the file was modified
    was_duplicate: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """The object version whose rows count."""

    object_id: int
    root: str
    key: str
    mtime_ns: int
    is_removed: bool  #: whether its file is gone


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of an object that brings what another one has."""

    holder: Holder
    is_duplicate: bool  #: whether only the holder counts; else both do
    is_same_execution: bool

    @property
    def says(self) -> str:
        """In one sentence."""
        what = "execution" if self.is_same_execution else "content"
        counted = "counted once" if self.is_duplicate else "and both count"
        return f"same {what} as {self.holder.key}, {counted}"


@dataclass(slots=True)
class _Holders:
    """Who has one content, to be found by what the names say."""

    first: Holder
    by_name: dict[str, Holder] = field(default_factory=dict)
    by_dates: dict[tuple[str, ...], Holder] = field(default_factory=dict)
    removed: dict[tuple[str, ...], Holder] = field(
        default_factory=dict
    )  #: by dates, those whose file is gone
    _unnamed: list[Holder] = field(default_factory=list)  #: whose names nobody has asked about yet

    def add(self, holder: Holder) -> None:
        self._unnamed.append(holder)

    def verdict(self, read: ReadObject) -> Verdict | None:
        """Whether one of them counts for `read`, or may be meant to."""
        if read.duplicates == "once":
            return Verdict(holder=self.first, is_duplicate=True, is_same_execution=False)
        self._look_at_names()
        dates = dates_in(read.key)
        sure = self.by_name.get(plain_name(read.key)) or (
            self.removed.get(dates) if not read.is_by_name else None
        )
        if read.duplicates == "auto" and sure and not (read.is_by_time and sure.mtime_ns != read.mtime_ns):
            return Verdict(holder=sure, is_duplicate=True, is_same_execution=False)
        alike = sure or self.by_dates.get(dates)
        return Verdict(holder=alike, is_duplicate=False, is_same_execution=False) if alike else None

    def _look_at_names(self) -> None:
        for holder in self._unnamed:
            dates = dates_in(holder.key)
            self.by_name.setdefault(plain_name(holder.key), holder)
            self.by_dates.setdefault(dates, holder)
            if holder.is_removed:
                self.removed.setdefault(dates, holder)
        self._unnamed.clear()


def plain_name(key: str) -> str:
    """The name of a file without its ending and without the marks of a copy."""
    stem = _stem(key)
    return _COPY.sub("", stem) or stem


def _stem(key: str) -> str:
    name = key.rpartition("/")[2].lower()
    for ending in (".gz", ".zst"):
        name = name.removesuffix(ending)
    if name.endswith(".zip") and format_of(name.removesuffix(".zip")):
        name = name.removesuffix(".zip")
    return name.rpartition(".")[0] or name


def dates_in(key: str) -> tuple[str, ...]:
    """The dates and moments that the name of a file has, digits only."""
    return tuple(re.sub(r"\D", "", found[0]) for found in _DATE.finditer(_stem(key)))


def content_of(sha256: str, place: str) -> str:
    """What objects with this content have in common if their rows belong in this place, see `place_of`."""
    return hashlib.sha256(f"{sha256}\n{place}".encode()).hexdigest()[:32]


def place_of(parts: Sequence[object]) -> str:
    """What decides, beside its content, what the rows of an object are, as one text."""
    return json.dumps(parts, sort_keys=True, default=str, ensure_ascii=False)


class DuplicateStore:
    """Which versions bring the same rows, in the state file."""

    def __init__(self, state: State) -> None:
        self._state = state

    def claim(self, reads: Iterable[ReadObject], appended: Collection[str]) -> dict[Version, Verdict]:
        """Note what was read, and which of it other objects bring already: by version, if any does.

        `appended` are datasets that keep the rows of older versions. Who comes first, holds; of those that are read
        again, who held.
        """
        ordered = sorted(reads, key=lambda read: read.was_duplicate)
        verdicts: dict[Version, Verdict] = {}
        with self._state.transaction() as db:
            self._state.write_set(
                "UPDATE versions SET content = value ->> 0 FROM json_each(:rows) WHERE content = value ->> 1",
                [
                    (read.content, read.packed_content)
                    for read in ordered
                    if read.content != read.packed_content
                ],
            )
            contents: dict[str, _Holders] = {}
            executions: dict[str, Holder] = {}
            asked = {
                "contents": json.dumps([read.content for read in ordered]),
                "executions": json.dumps([read.execution for read in ordered if read.execution]),
                "appended": json.dumps(sorted(appended)),
            }
            versions = {read.version[0]: read.version for read in ordered}
            for row in db.execute(_HOLDERS, asked).fetchall():
                if row["object_id"] in versions:  # it is looked at in its turn
                    continue
                holder = Holder(
                    **{name: row[name] for name in ("object_id", "root", "key", "mtime_ns")},
                    is_removed=row["removed_at"] is not None,
                )
                contents.setdefault(row["content"], _Holders(holder)).add(holder)
                executions.setdefault(row["execution"], holder)
            for read in ordered:
                same = executions.get(read.execution) if read.execution else None
                verdict: Verdict | None
                if same:
                    is_once = read.duplicates != "allow"
                    verdict = Verdict(holder=same, is_duplicate=is_once, is_same_execution=True)
                else:
                    verdict = contents[read.content].verdict(read) if read.content in contents else None
                if verdict:
                    verdicts[read.version] = verdict
                if not verdict or not verdict.is_duplicate:
                    own = Holder(
                        object_id=read.version[0], root=read.root, key=read.key, mtime_ns=read.mtime_ns,
                        is_removed=False,
                    )  # fmt: skip
                    contents.setdefault(read.content, _Holders(own)).add(own)
                    if read.execution:
                        executions.setdefault(read.execution, own)
            self._state.write_set(
                "UPDATE versions SET sha256 = value ->> 2, probe = value ->> 3, content = value ->> 4,"
                " execution = value ->> 5, same_as = value ->> 6 FROM json_each(:rows)"
                " WHERE object_id = value ->> 0 AND version = value ->> 1",
                [_noted(read, verdicts.get(read.version)) for read in ordered],
            )
        return verdicts

    def unplaced(self, hashes: Collection[str], but: Collection[int]) -> list[sqlite3.Row]:
        """Versions with this content that an earlier amci loaded, of other objects than `but`: to be given a place."""
        rows = self._state.read(_UNPLACED, {"hashes": json.dumps(list(hashes)), "but": json.dumps(list(but))})
        return [row for row in rows if row["payload"]]

    def place(self, placed: Iterable[tuple[int, int, str, str | None]]) -> None:
        """Note what such versions hold: (object id, version, content, execution)."""
        self._state.write_many(
            "UPDATE versions SET content = ?3, execution = ?4 WHERE object_id = ?1 AND version = ?2",
            list(placed),
        )

    def withdraw(self, version: Version) -> None:
        """A version that was read is refused after all: it holds nothing."""
        self._state.write(
            "UPDATE versions SET content = NULL, execution = NULL, same_as = NULL WHERE object_id = ? AND version = ?",
            version,
        )

    def repeat(self, version: Version) -> None:
        """A version has what the newest loaded one before it had."""
        self._state.write(
            "UPDATE versions SET (content, execution, same_as) = (SELECT content, execution, same_as FROM versions p"
            "  WHERE p.object_id = ?1 AND p.version < ?2 AND p.loaded_at IS NOT NULL ORDER BY p.version DESC LIMIT 1)"
            " WHERE object_id = ?1 AND version = ?2",
            version,
        )

    def stood_by(self, gone: Collection[Version], appended: Collection[str]) -> set[Version]:
        """Of versions whose rows are to go, those whose rows stay, for a duplicate of them is to bring its own."""
        if not gone:
            return set()
        values = {"gone": json.dumps(list(gone)), "appended": json.dumps(sorted(appended))}
        return {(row["object_id"], row["version"]) for row in self._state.read(_STOOD_BY, values)}

    def stand_ins(self, pairs: Collection[Version], appended: Collection[str]) -> dict[Version, Version]:
        """Versions whose rows may be in the lake for those of `pairs`, which were read again: by which of `pairs`.

        These bring the rows now, or are duplicates of others that have.
        """
        values = {"pairs": json.dumps(list(pairs)), "appended": json.dumps(sorted(appended))}
        rows = [row for link in _LINKS for row in self._state.read(_STAND_INS % {"link": link}, values)]
        return {(r["object_id"], r["version"]): (r["by_object_id"], r["by_version"]) for r in rows}

    def orphans(self, appended: Collection[str], holders: Collection[int] | None = None) -> list[sqlite3.Row]:
        """Duplicates that have to bring their rows themselves now; of these holders, or of all."""
        values = {
            "holders": None if holders is None else json.dumps(list(holders)),
            "appended": json.dumps(sorted(appended)),
        }
        return self._state.read(_ORPHANS, values)

    def release(self, versions: Iterable[Version]) -> None:
        """These are duplicates no longer."""
        self._state.write_many(
            "UPDATE versions SET same_as = NULL, content = NULL, execution = NULL WHERE object_id = ? AND version = ?",
            list(versions),
        )


def _noted(read: ReadObject, verdict: Verdict | None) -> tuple[Any, ...]:
    same_as = verdict.holder.object_id if verdict and verdict.is_duplicate else None
    return (*read.version, read.sha256, read.probe, read.content, read.execution or None, same_as)
