"""Workspaces as they are after years: one execution and its file, done for real, then multiplied by set-based SQL."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from amci.kernel.clock import SystemClock
from amci.kernel.state import State
from bench.execution_plan import aim, template

#: Numbers of what was made for real end before this one.
_BASE = 1000
_SCHEMA, _DATASET = "adtech_amc", "amc"
#: Data files of a table: upkeep merges them now and then.
_FILES = 4
_SHELL = "schedule=daily"


@dataclass(frozen=True, slots=True)
class Scale:
    """How much there is."""

    tenants: int
    tables: int  #: each of one workflow and one tenant
    objects: int  #: raw files, all loaded, in a folder for each table
    executions: int  #: that brought one of the objects each
    runs: int  #: at least those of objects and executions
    snapshots: int

    def tenant(self, table: int) -> str:
        """The tenant that has a table."""
        return f"t{table % self.tenants:04}"

    def table(self, number: str) -> str:
        """SQL of the name of table `number`, which is SQL."""
        return f"(printf('t%04d_w', {number} % {self.tenants}) || {number} || '_daily')"


SMALL = Scale(tenants=10, tables=10, objects=100, executions=25, runs=500, snapshots=40)
LARGE = Scale(tenants=100, tables=1000, objects=100_000, executions=25_000, runs=500_000, snapshots=2_000)
#: As many executions as objects, to see what one takes.
EXECUTED = Scale(tenants=10, tables=100, objects=20_000, executions=20_000, runs=60_000, snapshots=100)
FULL = Scale(
    tenants=1000, tables=5000, objects=1_000_000, executions=250_000, runs=5_000_000, snapshots=20_000
)


def build(home: Path, seed: Path, scale: Scale) -> Path:
    """A workspace of this scale at `home`, from one execution at `seed`, which is made if it is not there."""
    if not seed.exists():
        template(seed, tenants=1, each=1)
        subprocess.run([sys.executable, "-m", "bench.our_client", str(aim(seed))], check=True)
    shutil.rmtree(home, ignore_errors=True)
    shutil.copytree(seed, home, ignore=shutil.ignore_patterns("events", "results"))
    tenant = json.loads((home / "config/tenants/t01.yaml").read_text())
    for number in range(scale.tenants):
        name = scale.tenant(number)
        own = {"tenant": name, "instance_id": f"amc{name}", "shared_workflows": []}
        (home / f"config/tenants/{name}.yaml").write_text(json.dumps(tenant | own))
    # Each in a process of its own: DuckDB brings its own SQLite, which must not meet Python's at one file.
    for step in ("state", "ledger", "catalog"):
        command = [sys.executable, "-m", "bench.states", step, str(home), json.dumps(_fields(scale))]
        subprocess.run(command, check=True)
    home.chmod(0o700)
    return home


def _fields(scale: Scale) -> dict[str, int]:
    return {name: getattr(scale, name) for name in Scale.__slots__}


def _raw(home: Path, scale: Scale) -> Iterator[tuple[int, int, str, int, int, int, int]]:
    """Make the raw files: number, table, key, size, mtime, inode and ctime of each."""
    for number in range(scale.objects):
        table, day = number % scale.tables, number // scale.tables
        folder = f"{scale.tenant(table)}/workflow=w{table}/{_SHELL}"
        if not day:
            (home / "raw" / folder).mkdir(parents=True)
        date = f"{2000 + day // 360}-{day // 30 % 12 + 1:02}-{day % 30 + 1:02}"
        key = f"{folder}/{date}T06:00:00.000Z-w{table}-{number:08x}.csv"
        file = os.open(home / "raw" / key, os.O_CREAT | os.O_WRONLY)
        found = os.fstat(file)
        os.close(file)
        yield number, table, key, 0, found.st_mtime_ns, found.st_ino, found.st_ctime_ns


@contextmanager
def _bare(db: sqlite3.Connection) -> Iterator[None]:
    """Without indexes and triggers meanwhile: they are made once for all rows."""
    found = db.execute(
        "SELECT type, name, sql FROM sqlite_schema WHERE type IN ('index', 'trigger') AND sql IS NOT NULL"
    ).fetchall()
    for kind, name, _ in found:
        db.execute(f"DROP {kind} {name}")
    yield
    for *_, sql in sorted(found):
        db.execute(sql)


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -2000000"):
            db.execute(f"PRAGMA {pragma}")
        db.execute("BEGIN")
        yield db
        db.execute("COMMIT")
        db.execute("PRAGMA journal_mode = WAL")


def _multiplied(db: sqlite3.Connection, table: str, where: str, source: str, changed: dict[str, str]) -> None:
    """Insert the row of `table` that fits `where` once for each row of `source`, with these columns `changed`."""
    columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
    values = ", ".join(changed.get(column, f"s.{column}") for column in columns)
    db.execute(
        f"INSERT INTO {table} SELECT {values} FROM {source}, (SELECT * FROM {table} WHERE {where} LIMIT 1) s"
    )


def state(home: Path, scale: Scale) -> None:
    """Objects, versions, runs, their history and executions."""
    State.open(home / "state/amci.db", SystemClock()).close()  # what was kept may be of an older amci
    with _opened(home / "state/amci.db") as db:
        db.execute("CREATE TEMP TABLE f (i INTEGER PRIMARY KEY, t, key, size, mtime, inode, ctime)")
        db.executemany("INSERT INTO f VALUES (?, ?, ?, ?, ?, ?, ?)", _raw(home, scale))
        db.execute(
            "CREATE TEMP TABLE more AS WITH RECURSIVE n (i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM n"
            f" WHERE i + 1 < {scale.runs - 2 * scale.objects - scale.executions}) SELECT i FROM n"
        )
        old = {"changed_at": "'2026-01-01T00:00:00.000000Z'"}
        tenant, newest = f"printf('t%04d', t % {scale.tenants})", f"{_BASE} + 3 * i"
        asked = f"(SELECT * FROM f WHERE i < {scale.executions}) f"
        execution = "printf('%08x-0000-4000-8000-%012x', i, t)"
        with _bare(db):
            common = {"object_id": f"{_BASE} + i", "tenant_id": tenant}
            of_file = {"size": "f.size", "mtime_ns": "mtime", "inode": "f.inode", "ctime_ns": "ctime"}
            _multiplied(db, "objects", "TRUE", "f", common | of_file | {"key": "f.key"})
            content = {"sha256": "printf('%064x', i)", "content": "printf('%032x', i)", "execution": "NULL"}
            _multiplied(db, "versions", "TRUE", "f", common | of_file | content)
            payload = (
                f"replace(replace(s.payload, '\"amc_reach0_adhoc\"', '\"' || {scale.table('f.t')} || '\"'),"
                f" '\"object_id\":1,', '\"object_id\":' || ({_BASE} + i) || ',')"
            )
            for number, kind in enumerate(("light", "heavy")):
                run = {
                    **old,
                    "run_id": f"{newest} + {number}",
                    "idempotency_key": f"'{kind}:raw/' || f.key || '@1'",
                    "lock_key": f"'object:' || ({_BASE} + i)",
                    "tenant_id": tenant,
                    "correlation_id": "printf('%032x', i)",
                    "payload": payload,
                    "parent_run_id": f"{newest}" if number else "NULL",
                }
                _multiplied(db, "runs", f"kind = '{kind}'", "f", run)
            run = old | {"run_id": f"{newest} + 2", "idempotency_key": "'daily:' || i", "tenant_id": tenant}
            run |= {"correlation_id": "'daily:' || i", "pool": f"'amc:amc' || {tenant}"}
            _multiplied(db, "runs", "kind = 'execute'", asked, run)
            request = old | {"execution_id": f"{_BASE} + i", "run_id": f"{newest} + 2", "tenant_id": tenant}
            request |= {"workflow_execution_id": execution, "key": "f.key", "name": "'w' || t"}
            _multiplied(db, "executions", "TRUE", asked, request)
            run = old | {"run_id": f"{_BASE + 3 * scale.objects} + i", "kind": "'notify'", "payload": "'{}'"}
            run |= {"idempotency_key": "'notify:' || i", "correlation_id": "'notify:' || i"}
            _multiplied(db, "runs", "kind = 'execute'", "more", run | {"result": "NULL"})
            db.execute(
                "INSERT INTO run_events SELECT r.run_id, e.seq, e.event, e.reason, e.worker, e.at FROM runs r"
                " JOIN runs s ON s.kind = iif(r.kind = 'notify', 'light', r.kind) AND s.run_id < 1000"
                f" JOIN run_events e ON e.run_id = s.run_id WHERE r.run_id >= {_BASE}"
            )
        for number in (
            "run_counts SELECT kind, status, count(*) FROM runs GROUP BY 1, 2",
            "object_counts SELECT 1, count(*), count(removed_at) FROM objects",
        ):
            db.execute(f"INSERT OR REPLACE INTO {number}")


def ledger(home: Path, scale: Scale) -> None:
    """The rows of the ledger, by DuckLake itself."""
    from amci.kernel.workspace import WorkspacePaths
    from amci.lake.catalog.catalog import Catalog
    from amci.lake.catalog.duck import LEDGER

    catalog = Catalog(WorkspacePaths(home), memory_limit=2 * 2**30, threads=2)
    folder = f"printf('t%04d/workflow=w%d/{_SHELL}/', t % {scale.tenants}, t)"
    day = "printf('%d-%02d-%02dT06:00:00.000Z', 2000 + d // 360, d // 30 % 12 + 1, d % 30 + 1)"
    rows = (
        f"SELECT o.* REPLACE ({_BASE} + n.i AS object_id, {folder} || {day} || printf('-w%d-%08x.csv', t, n.i) AS key,"
        f" printf('t%04d', t % {scale.tenants}) AS tenant_id, {scale.table('t')} AS table_name,"
        f" {_BASE} + 3 * n.i + 1 AS run_id) FROM (SELECT * FROM {LEDGER} LIMIT 1) o,"
        f" (SELECT range AS i, range // {scale.tables} AS d, range % {scale.tables} AS t"
        f" FROM range({scale.objects}) r(range)) n"
    )
    with catalog.transaction():
        catalog.con.execute(f"INSERT INTO {LEDGER} {rows}")
    catalog.close()


def catalog(home: Path, scale: Scale) -> None:
    """Tables, files and snapshots in DuckLake's own tables; all files are the one that was made for real."""
    with _opened(home / "state/catalog.db") as db:
        ((snapshot, number, file),) = db.execute(
            "SELECT snapshot_id, next_catalog_id, next_file_id FROM ducklake_snapshot ORDER BY 1 DESC LIMIT 1"
        )
        ((seed,),) = db.execute("SELECT table_id FROM ducklake_table WHERE table_name LIKE 'amc_reach0%'")
        path = next((home / "stage/post-stage" / _SCHEMA).rglob("*.parquet"))
        each = f"{snapshot} + 1 + t * {scale.snapshots} / {scale.tables}"
        db.execute(
            "CREATE TEMP TABLE n AS WITH RECURSIVE n (t) AS (VALUES (0) UNION ALL SELECT t + 1 FROM n"
            f" WHERE t + 1 < {max(scale.tables, scale.snapshots)}) SELECT t FROM n"
        )
        tables = (
            f"(SELECT t, {number} + 2 * t AS id, {number} + 2 * t + 1 AS part, {each} AS born FROM n"
            f" WHERE t < {scale.tables})"
        )
        files = (
            f"(SELECT n.*, {file} + {_FILES} * n.t + k.t AS file FROM {tables} n, n k WHERE k.t < {_FILES})"
        )
        table = scale.table("t")
        own = {"table_id": "id", "object_id": "id", "begin_snapshot": "born", "partition_id": "part"}
        own |= {"table_name": table, "path": f"{table} || '/'"}
        own |= {"table_uuid": "printf('%08x-0000-4000-8000-000000000000', t)"}
        for kind in ("table", "column", "table_stats", "table_column_stats"):
            _all(db, kind, f"table_id = {seed}", f"{tables} n", own)
        for kind in ("partition_info", "partition_column"):
            _all(db, kind, f"table_id = {seed}", f"{tables} n", own)
        _all(db, "tag", f"object_id = {seed}", f"{tables} n", own)
        own |= {"data_file_id": "file", "path": _text(str(path)), "path_is_relative": "0"}
        first = f"(SELECT min(data_file_id) FROM ducklake_data_file WHERE table_id = {seed})"
        db.execute(
            f"INSERT INTO amci_file SELECT file, sha256, footer FROM {files},"
            f" (SELECT * FROM amci_file WHERE file_id = {first})"
        )
        for kind in ("data_file", "file_column_stats", "file_partition_value"):
            _all(db, kind, f"data_file_id = {first}", f"{files} n", own)
        db.execute(f"INSERT INTO ducklake_schema_versions SELECT born, born, id FROM {tables}")
        db.execute(
            f"INSERT INTO ducklake_snapshot SELECT {snapshot} + 1 + t, s.snapshot_time, {snapshot} + 1 + t,"
            f" {number} + 2 * {scale.tables}, {file} + {_FILES} * {scale.tables} FROM n,"
            f" (SELECT * FROM ducklake_snapshot WHERE snapshot_id = {snapshot}) s WHERE t < {scale.snapshots}"
        )
        db.execute(
            f"INSERT INTO ducklake_snapshot_changes SELECT {snapshot} + 1 + t, 'inserted_into_table:{seed}', 'amci',"
            f" 'load', NULL FROM n WHERE t < {scale.snapshots}"
        )


def _all(db: sqlite3.Connection, table: str, where: str, source: str, changed: dict[str, str]) -> None:
    """Insert the rows of one of DuckLake's tables that fit `where` once for each row of `source`."""
    columns = [row[1] for row in db.execute(f"PRAGMA table_info(ducklake_{table})")]
    values = ", ".join(changed.get(column, f's."{column}"') for column in columns)
    rows = f"(SELECT * FROM ducklake_{table} WHERE {where}) s"
    db.execute(f"INSERT INTO ducklake_{table} SELECT {values} FROM {source}, {rows}")


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


if __name__ == "__main__":
    step, place, numbers = sys.argv[1:]
    {"state": state, "ledger": ledger, "catalog": catalog}[step](Path(place), Scale(**json.loads(numbers)))
