"""Whether a state file and a catalog belong together: one that was restored, lost or replaced alone does not.

Both carry the lake's id and an epoch. The state knows the newest commit of the catalog, by number and time, and the
catalog's ledger names objects and runs that the state has to know; the ledger is asked only if there is a newer commit.
What does not match is refused; `amci recover` brings it together.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb

from amci.kernel.clock import new_id
from amci.kernel.errors import DamagedFile, LakeMismatch
from amci.kernel.names import literal
from amci.kernel.state import State
from amci.lake.catalog.commit_guard import LAKE_ROW
from amci.lake.catalog.duck import LEDGER, METADATA, duck_errors, metadata_rows

HINT = "restore both from one backup, or `amci recover`, which says what it could bring back"


@dataclass(frozen=True, slots=True)
class Identity:
    """What tells a lake, and its state at different times, from others."""

    lake_id: str
    epoch: int  #: grows whenever state and catalog are brought together again


#: What `Catalog.note_run` wrote last.
_NEWEST_NOTE = f"""
    SELECT commit_extra_info FROM {METADATA}.ducklake_snapshot_changes
     WHERE author = 'amci' AND commit_extra_info IS NOT NULL ORDER BY snapshot_id DESC LIMIT 1"""


@dataclass(frozen=True, slots=True)
class CatalogSide:
    """What a catalog says of itself."""

    identity: Identity | None  #: None until a state was opened beside it
    snapshot: int  #: the newest commit
    object_id: int  #: the highest in the ledger, 0 if that is empty
    loaded_by: int  #: the newest run in the ledger, 0 if that is empty
    run_key: str  #: how the idempotency key of that run begins
    run_id: int  #: the newest run that the state had when it last loaded something

    @classmethod
    def of(cls, con: duckdb.DuckDBPyConnection) -> CatalogSide:
        """Read it through a connection to the lake; raises StorageError."""
        identity, (snapshot, _) = _identity(con), _newest_commit(con)
        object_id, loaded_by, run_key = _newest_of_ledger(con)
        with duck_errors("look at the catalog"):
            notes = con.execute(_NEWEST_NOTE).fetchall()
        return cls(
            identity=identity,
            snapshot=snapshot,
            object_id=object_id,
            loaded_by=loaded_by,
            run_key=run_key,
            run_id=max(loaded_by, int(notes[0][0]) if notes else 0),
        )


def _identity(con: duckdb.DuckDBPyConnection) -> Identity | None:
    try:
        with duck_errors("look at the catalog"):
            rows = con.execute(f"SELECT lake_id, epoch FROM {LAKE_ROW} WHERE lake_id IS NOT NULL").fetchall()
    except duckdb.CatalogException:
        return None  # made before there were identities
    return Identity(*rows[0]) if rows else None


def _newest_commit(con: duckdb.DuckDBPyConnection) -> tuple[int, str]:
    """Number and time of the newest snapshot."""
    with duck_errors("look at the catalog"):
        ((number, at),) = metadata_rows(
            con,
            "SELECT snapshot_id, snapshot_time FROM ducklake_snapshot ORDER BY snapshot_id DESC LIMIT 1",
        )
    return int(number), str(at)


def _newest_of_ledger(con: duckdb.DuckDBPyConnection) -> tuple[int, int, str]:
    """Highest object, newest run and how its key begins; as of an empty ledger if its file is damaged.

    What would load or repair then still asks for identity, epoch and newest commit.
    """
    try:
        with duck_errors("look at the catalog"):
            rows: list[tuple[int, int, str]] = con.execute(
                "SELECT coalesce(max(object_id), 0), coalesce(max(run_id), 0),"
                f" coalesce(arg_max('heavy:' || root || '/' || key || '@' || version, run_id), '') FROM {LEDGER}"
            ).fetchall()
    except (DamagedFile, duckdb.InvalidInputException):
        return 0, 0, ""
    return rows[0]


@dataclass(frozen=True, slots=True)
class StateSide:
    """What a state file knows of its catalog."""

    lake_id: str | None  #: None until a catalog was opened
    epoch: int
    snapshot: int  #: the newest commit that it has noted
    object_id: int  #: the newest object, 0 if there is none
    run_id: int  #: the newest run, 0 if there is none

    @classmethod
    def of(cls, state: State) -> StateSide:
        """Read it."""
        rows = state.read(
            "SELECT lake_id, epoch, snapshot, (SELECT coalesce(max(object_id), 0) FROM objects) AS object_id,"
            " (SELECT coalesce(max(run_id), 0) FROM runs) AS run_id FROM lake"
        )
        return cls(**dict(rows[0]))


def lost_catalog(state: State, path: Path) -> str:
    """What is wrong if the state has a catalog and there is none at `path`; else empty.

    To be asked before it is opened for writing, which would make an empty one.
    """
    # Only its size is looked at: closing the file would drop the locks that DuckDB's SQLite has on it in this process.
    return "" if path.exists() and path.stat().st_size else unknown_lake(state, path)


def unknown_lake(state: State, path: Path) -> str:
    """What is wrong if the state has a catalog and the one at `path` has no lake in it; else empty."""
    known = StateSide.of(state).lake_id
    return f"{path.name} is lost or empty, and the state file knows of a lake" if known else ""


def mismatch(state: State, con: duckdb.DuckDBPyConnection) -> str:
    """What is wrong if the state and the catalog of a connection do not belong together; else empty."""
    if _is_as_noted(state, con):
        return ""
    ours, theirs = StateSide.of(state), CatalogSide.of(con)
    is_behind = theirs.object_id > ours.object_id or theirs.run_id > ours.run_id
    if ours.lake_id is None:
        return "the state file is lost or older than the catalog" if is_behind else ""
    identity = theirs.identity or Identity(ours.lake_id, ours.epoch - 1)
    older = "state file" if ours.epoch < identity.epoch else "catalog"
    wrong = (
        (ours.lake_id != identity.lake_id, "the state file and the catalog are of different lakes"),
        (ours.epoch != identity.epoch, f"the {older} is of the time before a restore or `amci recover`"),
        (ours.snapshot > theirs.snapshot, "the catalog is older than the state file"),
        (is_behind, "the state file is older than the catalog"),
        (not _knows(state, theirs), "the state file and the catalog have gone different ways"),
    )
    return next((says for is_so, says in wrong if is_so), "")


def _is_as_noted(state: State, con: duckdb.DuckDBPyConnection) -> bool:
    """Whether the newest commit is the one that the state noted last: then it knows all that is in the ledger."""
    rows = state.read("SELECT lake_id, epoch, snapshot, snapshot_at FROM lake WHERE snapshot_at IS NOT NULL")
    if not rows or (identity := _identity(con)) is None:
        return False
    return tuple(rows[0]) == (identity.lake_id, identity.epoch, *_newest_commit(con))


def _knows(state: State, theirs: CatalogSide) -> bool:
    """Whether the newest run of the ledger is the state's run of that number."""
    rows = state.read("SELECT idempotency_key FROM runs WHERE run_id = ?", (theirs.loaded_by,))
    return not theirs.loaded_by or (bool(rows) and rows[0]["idempotency_key"].startswith(theirs.run_key))


def require_catalog(state: State, path: Path) -> None:
    """Raise LakeMismatch if the catalog at `path` is lost."""
    if says := lost_catalog(state, path):
        raise LakeMismatch(says, hint=HINT)


def require_match(state: State, con: duckdb.DuckDBPyConnection) -> None:
    """Raise LakeMismatch unless the two belong together; two that had no identity yet are joined."""
    if says := mismatch(state, con):
        raise LakeMismatch(says, hint=HINT)
    if StateSide.of(state).lake_id is None:
        join(state, con, _identity(con) or Identity(new_id(), 0))
    elif not _is_as_noted(state, con):
        note_commit(state, con)


def join(state: State, con: duckdb.DuckDBPyConnection, identity: Identity) -> None:
    """Give both the same identity; the catalog first, so that a state with an id always has a catalog with one."""
    with duck_errors("identify the catalog"):
        con.execute(f"UPDATE {LAKE_ROW} SET lake_id = {literal(identity.lake_id)}, epoch = {identity.epoch}")
    state.write(
        "UPDATE lake SET lake_id = ?, epoch = ?, snapshot = ?, snapshot_at = ?",
        (identity.lake_id, identity.epoch, *_newest_commit(con)),
    )


def note_commit(state: State, con: duckdb.DuckDBPyConnection) -> None:
    """Remember in the state how far the catalog has come; after the state has noted what was committed."""
    number, at = _newest_commit(con)
    state.write("UPDATE lake SET snapshot = ?1, snapshot_at = ?2 WHERE snapshot <= ?1", (number, at))
