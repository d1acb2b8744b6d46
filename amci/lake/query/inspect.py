"""Looking at the lake: its tables, partitions, snapshots, and the history of an object."""

from __future__ import annotations

import difflib
import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb

from amci.kernel.errors import NotFound
from amci.kernel.files import json_of
from amci.kernel.names import quoted
from amci.kernel.state import State
from amci.lake.catalog.duck import LAKE, LEDGER, METADATA, lake_tables
from amci.lake.catalog.tables import TableName
from amci.lake.datasets.objects import OBJECT_ID
from amci.lake.landing.object_store import ObjectStore
from amci.lake.query.session import QuerySession

Row = dict[str, Any]

#: A change that touches more tables than this is shown by their number.
_NAMED = 2
#: Objects shown with a table.
_NEWEST = 20

_DOUBT = 'd.version, d.kind, d.column_name AS "column", d.says, d.hint, d.line, d.at'

_TABLES = f"""
    WITH loads AS (
        SELECT schema_name, table_name, sum(rows)::BIGINT AS rows, count(DISTINCT object_id) AS objects,
               count(DISTINCT tenant_id) AS tenants, max(loaded_at) AS loaded_at
          FROM {LEDGER} WHERE $tenant IS NULL OR tenant_id = $tenant GROUP BY ALL)
    SELECT s.schema_name || '.' || i.table_name AS table, coalesce(rows, 0) AS rows,
           coalesce(objects, 0) AS objects, coalesce(tenants, 0) AS tenants,
           i.file_count AS files, i.file_size_bytes AS bytes, loaded_at
      FROM ducklake_table_info('{LAKE}') i
      JOIN {METADATA}.ducklake_schema s ON s.schema_id = i.schema_id AND s.end_snapshot IS NULL
      LEFT JOIN loads l ON l.schema_name = s.schema_name AND l.table_name = i.table_name
     WHERE s.schema_name <> 'amci' AND ($tenant IS NULL OR objects > 0)
     ORDER BY ALL"""

#: What DuckLake calls a change, and how we say it; in the order in which people want to read it.
_CHANGES = {
    "schemas_created": "created schema",
    "tables_created": "created",
    "tables_altered": "altered",
    "tables_dropped": "dropped",
    "tables_inserted_into": "inserted into",
    "inlined_insert": "inserted into",
    "tables_deleted_from": "deleted from",
    "inlined_delete": "deleted from",
    "merge_adjacent": "merged files of",
    "rewrite_delete": "rewrote files of",
    "inline_flush": "wrote out",
}


#: When an object's raw file went, and which files have the same rows and are not counted.
_BESIDE = """
    SELECT object_id, removed_at, (
           SELECT json_group_array(d.key) FROM versions v JOIN objects d USING (object_id, version)
            WHERE v.same_as = o.object_id) AS also
      FROM objects o WHERE object_id IN (SELECT value FROM json_each(?))"""


_HEIRS = """
    SELECT v.same_as AS object_id, json_group_array(o.key) AS also
      FROM versions v JOIN objects o USING (object_id, version)
     WHERE v.same_as IN (SELECT value FROM json_each(?)) AND o.removed_at IS NULL AND o.forgotten_at IS NULL
     GROUP BY 1"""


def tables(session: QuerySession, tenant: str | None = None) -> list[Row]:
    """Every table with its rows, objects, tenants, files, bytes and newest load.

    With `tenant`: only tables that hold rows of it, counting its rows and objects; files and bytes are always
    the whole table's. Rows and objects come from the ledger, so no data file is opened.
    """
    return session.rows(_TABLES, {"tenant": tenant})


def table(session: QuerySession, state: State, name: str) -> Row:
    """A table's rows, `partition_by`, columns, newest objects, and doubts about them.

    A column has `column`, `type`, `nulls`, and, if files call it otherwise, `header`.

    Raises NotFound with near matches.
    """
    found = table_named(name, all_tables(session.con))
    columns = session.rows(
        "SELECT column_name, data_type FROM duckdb_columns()"
        " WHERE database_name = ? AND schema_name = ? AND table_name = ? ORDER BY column_index",
        [LAKE, found.schema, found.table],
    )
    counts = "".join(f", count({quoted(c['column_name'])})" for c in columns)
    rows, *filled = session.con.execute(f"SELECT count(*){counts} FROM {found.sql}").fetchall()[0]
    objects = session.rows(
        f"SELECT object_id, version, rows, key, tenant_id, run_id, loaded_at FROM {LEDGER}"
        " WHERE schema_name = ? AND table_name = ?"
        f" ORDER BY loaded_at DESC, object_id DESC LIMIT {_NEWEST}",
        [found.schema, found.table],
    )
    headers = session.headers().get((found.schema, found.table), {})
    ids = json.dumps([row["object_id"] for row in objects])
    told = {
        row["object_id"]: {"removed_at": row["removed_at"], "also": json.loads(row["also"])}
        for row in state.read(_BESIDE, (ids,))
    }
    return {
        "table": str(found),
        "rows": rows,
        "partition_by": partition_by(session.con, found),
        "columns": [
            {
                "column": c["column_name"],
                "type": c["data_type"],
                "nulls": rows - n,
                **({"header": headers[c["column_name"]]} if c["column_name"] in headers else {}),
            }
            for c, n in zip(columns, filled, strict=True)
        ],
        "objects": [row | told.get(row["object_id"], {"removed_at": None, "also": []}) for row in objects],
        "doubts": [
            dict(doubt)
            for doubt in state.read(
                f"SELECT o.key, {_DOUBT} FROM doubts d JOIN objects o USING (object_id)"
                " WHERE d.resolved_at IS NULL AND object_id IN (SELECT value FROM json_each(?)) ORDER BY doubt_id",
                (ids,),
            )
        ],
    }


def renamed_columns(state: State, after: int) -> dict[str, dict[str, str]]:
    """By table, the new columns that runs after that one gave another name than their header's, each with it."""
    found: dict[str, dict[str, str]] = {}
    for row in state.read(
        "SELECT result ->> 'columns' AS columns FROM runs"
        " WHERE run_id > ? AND +kind = 'heavy' AND result ->> 'columns' IS NOT NULL ORDER BY run_id",
        (after,),
    ):
        for table, columns in json_of(row["columns"]).items():
            found.setdefault(table, {}).update(columns)
    return found


def rows_of(session: QuerySession, state: State, object_ids: Sequence[int]) -> list[Row]:
    """What objects have in the lake, and the file that takes over with the same rows, if there is one, of each."""
    heirs = {
        row["object_id"]: json.loads(row["also"]) for row in state.read(_HEIRS, (json.dumps(object_ids),))
    }
    rows = session.rows(
        f"SELECT object_id, key, version, schema_name || '.' || table_name AS table, rows FROM {LEDGER}"
        " WHERE list_contains(?, object_id) ORDER BY key, version, table_name",
        [list(object_ids)],
    )
    return [row | {"taken_over_by": next(iter(heirs.get(row["object_id"], [])), "")} for row in rows]


def partitions(session: QuerySession, name: str) -> tuple[list[str], list[Row]]:
    """A table's partition columns, and one row for each partition with its `rows` and `objects`.

    Both are empty if the table is not partitioned. Raises NotFound with near matches.
    """
    found = table_named(name, all_tables(session.con))
    columns = partition_by(session.con, found)
    if not columns:
        return [], []
    by = ", ".join(map(quoted, columns))
    return columns, session.rows(
        f"SELECT {by}, count(*) AS rows, count(DISTINCT {OBJECT_ID}) AS objects FROM {found.sql}"
        f" GROUP BY {by} ORDER BY {by}"
    )


def snapshots(session: QuerySession, limit: int) -> list[Row]:
    """Snapshots, newest first: number, time, and what changed in words."""
    names = {
        str(row["table_id"]): row["name"]
        for row in session.rows(
            "SELECT t.table_id, arg_max(s.schema_name || '.' || t.table_name, t.begin_snapshot) AS name"
            f" FROM {METADATA}.ducklake_table t JOIN {METADATA}.ducklake_schema s USING (schema_id)"
            " GROUP BY ALL"
        )
    }
    rows = session.rows(
        "SELECT snapshot_id AS snapshot, snapshot_time AS at, changes"
        f" FROM ducklake_snapshots('{LAKE}') ORDER BY snapshot_id DESC LIMIT ?",
        [limit],
    )
    return [row | {"changes": _in_words(row["changes"] or {}, names)} for row in rows]


def history(objects: ObjectStore, state: State, name: str) -> list[Row]:
    """Objects meant by an id, a key or the end of a key, each with its versions, runs, doubts and quarantine entries.

    Raises NotFound if there is none.
    """
    return [
        {
            **{
                field: row[field]
                for field in (
                    *("object_id", "root", "key", "dataset", "tenant_id"),
                    *("removed_at", "forgotten_at"),
                )
            },
            "versions": [dict(version) for version in objects.versions(row["object_id"])],
            "runs": _runs(state, row["object_id"], f"{row['root']}/{row['key']}"),
            "doubts": [
                dict(doubt)
                for doubt in state.read(
                    f"SELECT {_DOUBT}, d.resolved_at FROM doubts d WHERE object_id = ? ORDER BY doubt_id",
                    (row["object_id"],),
                )
            ],
            "quarantine": [
                dict(entry)
                for entry in state.read(
                    "SELECT version, stage, part, reason, hint, line, rows, path, run_id, at, resolved_at"
                    " FROM quarantine WHERE object_id = ? ORDER BY quarantine_id",
                    (row["object_id"],),
                )
            ],
        }
        for row in objects.find(name)
    ]


#: What the newest run of a version says of a file that is neither in the lake nor in quarantine. Rows that a run
#: brought in and that are there no longer were purged.
_OUTCOMES = {"SKIPPED": "skipped", "FAILED": "failed", "CANCELLED": "cancelled", "SUCCEEDED": "purged"}

#: With the newest run of the newest version, found by its key, which is indexed (as in `_runs`).
_FILES = """
    SELECT o.*, r.status, r.reason, r.result ->> 'quality' AS quality,
           (SELECT h.key FROM versions v JOIN objects h ON h.object_id = v.same_as
             WHERE v.object_id = o.object_id AND v.version = o.version) AS same_as,
           EXISTS (SELECT 1 FROM versions v WHERE v.object_id = o.object_id AND v.version < o.version
                      AND v.loaded_at IS NOT NULL) AS is_newer,
           (SELECT json_group_array(json_array(q.rows, q.reason)) FROM quarantine q
             WHERE q.object_id = o.object_id AND q.version = o.version AND q.resolved_at IS NULL) AS findings
      FROM (SELECT * FROM objects WHERE :tenant IS NULL OR tenant_id = :tenant
             ORDER BY seen_at DESC, object_id DESC LIMIT :limit) o
      LEFT JOIN runs r ON r.run_id = (
           SELECT max(run_id) FROM runs, (SELECT 'light:' AS kind UNION ALL SELECT 'heavy:') k
            WHERE idempotency_key >= k.kind || o.root || '/' || o.key || '@' || o.version
              AND idempotency_key < k.kind || o.root || '/' || o.key || '@' || o.version || char(0x10ffff)
              AND payload ->> 'object_id' = o.object_id AND payload ->> 'version' = o.version)
     ORDER BY o.seen_at DESC, o.object_id DESC"""


def files(session: QuerySession, state: State, *, tenant: str | None = None, limit: int = -1) -> list[Row]:
    """What became of each raw file's newest version, newest first: `outcome`, `rows`, `reason`, `key` and more.

    The outcome is `loaded`, `replaced` (an earlier version's rows), `duplicate` (another file's rows count), `skipped`,
    `quarantined`, `failed`, `cancelled`, `forgotten`, `purged` or `waiting`; the reason says why, which rows were kept
    out of the lake, or what a rule warns of.
    """
    found = state.read(_FILES, {"tenant": tenant, "limit": limit})
    loaded = {
        (entry["object_id"], entry["version"]): entry["rows"]
        for entry in session.rows(
            f"SELECT object_id, version, sum(rows)::BIGINT AS rows FROM {LEDGER}"
            " WHERE list_contains(?, object_id) GROUP BY ALL",
            [[row["object_id"] for row in found]],
        )
    }
    return [_file(row, loaded.get((row["object_id"], row["version"]))) for row in found]


def _file(row: sqlite3.Row, rows: int | None) -> Row:
    findings = json.loads(row["findings"])
    refused = [reason for kept_out, reason in findings if kept_out is None]
    if rows is not None:
        outcome = "replaced" if row["is_newer"] else "loaded"
        warned = [note for note in json.loads(row["quality"] or "[]") if note["on_fail"] == "warn"]
        told = [f"{n} in quarantine: {why}" for n, why in findings if n is not None]
        told += [f"{note['rows']} with a warning: {note['rule']}" for note in warned]
        told += ["its raw file is gone"] if row["removed_at"] else []
        reason = "; ".join(sorted(told))
    elif row["forgotten_at"]:
        outcome, reason = "forgotten", "`amci lake reprocess` with its key loads it again"
    elif row["same_as"]:
        outcome, reason = "duplicate", f"same rows as {row['same_as']}, counted once"
    elif refused:
        outcome, reason = "quarantined", refused[-1]
    else:
        outcome, reason = _OUTCOMES.get(row["status"], "waiting"), row["reason"] or ""
    identity = {
        name: row[name] for name in ("key", "object_id", "version", "dataset", "tenant_id", "seen_at")
    }
    return {"outcome": outcome, "rows": rows or 0, "reason": reason, **identity}


def _runs(state: State, object_id: int, path: str) -> list[Row]:
    """The runs of an object: found by their keys, which are indexed; its id tells them from longer keys."""
    rows = state.read(
        "SELECT run_id, kind, status, created_at, changed_at, reason FROM runs"
        " WHERE ((idempotency_key >= :light AND idempotency_key < :light || char(0x10ffff))"
        "     OR (idempotency_key >= :heavy AND idempotency_key < :heavy || char(0x10ffff)))"
        "   AND payload ->> 'object_id' = :object_id ORDER BY run_id",
        {"light": f"light:{path}@", "heavy": f"heavy:{path}@", "object_id": object_id},
    )
    return [dict(row) for row in rows]


def table_named(name: str, there: Sequence[TableName]) -> TableName:
    """The table meant by `schema.table` or a bare name. Raises NotFound, with near matches, unless it is just one."""
    meant = [t for t in there if name in (str(t), t.table)]
    if len(meant) == 1:
        return meant[0]
    if meant:
        raise NotFound(
            f"several tables are called '{name}'", hint=f"say one of {', '.join(sorted(map(str, meant)))}"
        )
    known = {t.table: str(t) for t in there} | {str(t): str(t) for t in there}
    close = [known[n] for n in difflib.get_close_matches(name, known, n=5)]
    near = list(dict.fromkeys([*close, *(str(t) for t in there if name in str(t))]))[:3]
    hint = f"did you mean {' or '.join(near)}?" if near else "`amci lake tables` lists the tables"
    raise NotFound(f"no table '{name}'", hint=hint)


def all_tables(con: duckdb.DuckDBPyConnection) -> list[TableName]:
    """The lake's tables, the ledger among them."""
    return [TableName(schema, table) for schema, table, _ in lake_tables(con)]


def partition_by(con: duckdb.DuckDBPyConnection, name: TableName) -> list[str]:
    """The columns a table is partitioned by, in their order."""
    rows = con.execute(
        f"SELECT c.column_name FROM {METADATA}.ducklake_partition_info i"
        f" JOIN {METADATA}.ducklake_partition_column p USING (partition_id)"
        f" JOIN {METADATA}.ducklake_column c ON c.table_id = p.table_id AND c.column_id = p.column_id"
        f" JOIN {METADATA}.ducklake_table t ON t.table_id = i.table_id"
        f" JOIN {METADATA}.ducklake_schema s ON s.schema_id = t.schema_id"
        " WHERE i.end_snapshot IS NULL AND c.end_snapshot IS NULL AND t.end_snapshot IS NULL"
        "   AND s.end_snapshot IS NULL AND s.schema_name = ? AND t.table_name = ?"
        " ORDER BY p.partition_key_index",
        [name.schema, name.table],
    ).fetchall()
    return [column for (column,) in rows]


def _in_words(changes: Mapping[str, Sequence[str]], names: Mapping[str, str]) -> str:
    """`created a.b; inserted into a.b, a.c`; the ledger, which every load touches, only if alone."""
    said: dict[str, list[str]] = {}
    for change in [*_CHANGES, *(c for c in changes if c not in _CHANGES)]:
        if change in changes:
            verb = _CHANGES.get(change, change.replace("_", " "))
            said.setdefault(verb, []).extend(names.get(thing, thing) for thing in changes[change])
    ledger = "amci.objects"
    without = {verb: [t for t in things if t != ledger] for verb, things in said.items()}
    shown = {verb: things for verb, things in without.items() if things} or said
    return "; ".join(f"{verb} {_listed(things)}" for verb, things in shown.items())


def _listed(things: Sequence[str]) -> str:
    return f"{len(things)} tables" if len(things) > _NAMED else ", ".join(sorted(things))
