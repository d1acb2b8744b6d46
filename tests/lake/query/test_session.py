from __future__ import annotations

import json
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from amci.kernel.errors import NotFound, QueryError, UsageError
from amci.kernel.workspace import WorkspacePaths
from amci.lake.catalog.catalog import Catalog
from amci.lake.catalog.duck import LAKE
from amci.lake.catalog.tables import TableName
from amci.lake.query.session import QuerySession, session

Open = Callable[..., AbstractContextManager[QuerySession]]

REACH, SHARED = TableName("adtech_amc", "Acme reach"), TableName("adtech_ads", "shared.parquet")
LIMIT = 60  # rounds until a test that waits for another process gives up
MIB = 1024 * 1024


def load(catalog: Catalog, name: TableName, object_id: int, tenant: str, values: list[int]) -> None:
    with catalog.transaction():
        catalog.con.execute(f'CREATE SCHEMA IF NOT EXISTS {LAKE}."{name.schema}"')
        catalog.con.execute(
            f"CREATE TABLE IF NOT EXISTS {name.sql}"
            ' ("The value" BIGINT, secret VARCHAR, _object_id BIGINT, _version INTEGER)'
        )
        for value in values:
            catalog.con.execute(
                f"INSERT INTO {name.sql} VALUES (?, ?, ?, 1)", [value, f"{tenant}-secret", object_id]
            )
        catalog.ledger.enter(
            [
                {
                    "object_id": object_id,
                    "version": 1,
                    "tenant_id": tenant,
                    "schema_name": name.schema,
                    "table_name": name.table,
                    "rows": len(values),
                }
            ]
        )


def write_many(home: Path, ready: Any, stop: Any) -> None:
    """The process beside which sessions are opened: each commit adds one row worth 1 and its ledger row."""
    catalog = Catalog(WorkspacePaths(home), memory_limit=256 * MIB, threads=1)
    object_id = 100
    while not stop.is_set():
        load(catalog, SHARED, object_id, "acme", [1])
        object_id += 1
        ready.set()
    catalog.close()


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> WorkspacePaths:
    workspace = WorkspacePaths(tmp_path_factory.mktemp("lake"))
    catalog = Catalog(workspace, memory_limit=256 * MIB, threads=1)
    load(catalog, REACH, 1, "acme", [1, 2, 3])
    load(catalog, SHARED, 2, "acme", [10])
    load(catalog, SHARED, 3, "bolt", [20, 21])
    load(catalog, TableName("adtech_amc", "bolt_reach"), 4, "bolt", [7])
    catalog.close()
    workspace.state.write_bytes(b"not for queries")
    return workspace


@pytest.fixture(scope="module")
def whole(lake: WorkspacePaths) -> Iterator[QuerySession]:
    with opened(lake) as found:
        yield found


@pytest.fixture(scope="module")
def acme(lake: WorkspacePaths) -> Iterator[QuerySession]:
    with opened(lake, tenant="acme") as found:
        yield found


def opened(workspace: WorkspacePaths, **options: Any) -> AbstractContextManager[QuerySession]:
    defaults = {"memory_limit": 256 * MIB, "timeout": timedelta(seconds=60), "threads": 1}
    return session(workspace, **(defaults | options))


def values(lake: QuerySession, sql: str) -> list[Any]:
    return [row[0] for row in lake.run(sql).fetchall()]


def everything(workspace: WorkspacePaths) -> dict[str, int]:
    return {
        str(path): path.stat().st_size
        for folder in (workspace.home, Path.cwd())
        for path in folder.iterdir()
        if path.is_file()
    } | {str(path): path.stat().st_size for path in workspace.post_stage.rglob("*") if path.is_file()}


WRITES = [
    "INSERT INTO amci.objects (object_id) VALUES (9)",
    "UPDATE amci.objects SET rows = 0",
    "DELETE FROM amci.objects",
    "TRUNCATE amci.objects",
    "MERGE INTO amci.objects o USING (SELECT 1 AS i) s ON o.object_id = s.i WHEN MATCHED THEN DELETE",
    "CREATE TABLE lake.main.x AS SELECT 1",
    "CREATE TEMP TABLE x AS SELECT 1",
    "CREATE VIEW v AS SELECT 1",
    "CREATE MACRO m(a) AS a",
    "DROP TABLE amci.objects",
    "ALTER TABLE amci.objects ADD COLUMN x INTEGER",
    "COPY (SELECT 1) TO 'out.csv'",
    "COPY (SELECT 1) TO '{post_stage}/out.parquet'",
    "COPY amci.objects FROM '{post_stage}/x.csv'",
    "EXPORT DATABASE '{post_stage}/out'",
    "IMPORT DATABASE '{post_stage}/out'",
    "ATTACH '{state}' AS x (TYPE sqlite)",
    "DETACH lake",
    "USE amci",
    "SET threads = 4",
    "RESET threads",
    "SET VARIABLE x = 1",
    "PRAGMA threads = 4",
    "PRAGMA database_list",
    "CALL lake.set_option('data_inlining_row_limit', 1)",
    "CALL ducklake_expire_snapshots('lake', versions => [1])",
    "INSTALL httpfs",
    "LOAD httpfs",
    "VACUUM",
    "CHECKPOINT",
    "BEGIN",
    "PREPARE p AS SELECT 1",
    "WITH a AS (COPY (SELECT 1) TO '{post_stage}/out.csv') SELECT 1",
    "WITH a AS (DELETE FROM amci.objects RETURNING *) SELECT * FROM a",
    "EXPLAIN ANALYZE INSERT INTO amci.objects (object_id) VALUES (9)",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{post_stage}/out.csv'",
    "CREATE TABLE lake.main.p AS PIVOT amci.objects ON tenant_id USING count(*)",
    "SELECT 1; DELETE FROM amci.objects",
    "FROM ducklake_cleanup_old_files('lake', cleanup_all => true)",
    "FROM ducklake_delete_orphaned_files('lake', cleanup_all => true)",
    "FROM ducklake_merge_adjacent_files('lake')",
    "FROM ducklake_flush_inlined_data('lake')",
    "FROM lake.set_option('data_inlining_row_limit', '1')",
    "FROM checkpoint('lake')",
    "FROM enable_logging()",
    "SELECT write_log('x')",
]


@pytest.mark.parametrize("sql", WRITES)
def test_a_query_that_does_more_than_read_is_refused_and_writes_nothing(
    lake: WorkspacePaths, whole: QuerySession, sql: str
) -> None:
    before = everything(lake), values(whole, "SELECT count(*) FROM amci.objects")
    with pytest.raises(QueryError) as refused:
        whole.run(sql.format(post_stage=lake.post_stage, state=lake.state)).fetchall()
    assert refused.value.exit_code == 2
    assert (everything(lake), values(whole, "SELECT count(*) FROM amci.objects")) == before


OUTSIDE = [
    "FROM read_csv('/etc/passwd')",
    "FROM read_text('/etc/passwd')",
    "FROM read_text('{post_stage}/../../state/amci.db')",
    "FROM read_blob('{catalog}')",
    "FROM read_parquet('{post_stage}/**/*.parquet')",
    "FROM parquet_metadata('{post_stage}/**/*.parquet')",
    "FROM glob('/etc/*')",
    "FROM '/etc/passwd'",
    "FROM 'file.csv'",
    "FROM file.csv",
    "FROM '{post_stage}/**/*.parquet'",
    "WITH \"{post_stage}/**/*.parquet\" AS (SELECT 1) FROM '{post_stage}/**/*.parquet'",
    "FROM 'https://example.com/a.csv'",
    "FROM read_json('https://example.com/a.json')",
    "FROM sqlite_scan('{state}', 'runs')",
    "FROM sqlite_attach('{state}')",
    "FROM sqlite_query('__ducklake_metadata_lake', 'SELECT * FROM ducklake_table')",
    "FROM __ducklake_metadata_lake.ducklake_table",
    'FROM "__DuckLake_Metadata_lake".ducklake_table',
    "FROM query('FROM __ducklake_' || 'metadata_lake.ducklake_table')",
    "FROM query_table('/etc/passwd.csv')",
    "FROM histogram('__ducklake_metadata_lake.ducklake_table', table_id)",
    "FROM json_execute_serialized_sql(json_serialize_sql('FROM read_text(''/etc/passwd'')'))",
    "SELECT (SELECT content FROM read_text('/etc/passwd'))",
    "EXPLAIN ANALYZE FROM read_text('/etc/passwd')",
    "DESCRIBE FROM read_text('/etc/passwd')",
    "PIVOT (FROM read_text('/etc/passwd')) ON filename USING count(*)",
    "PIVOT '{post_stage}/**/*.parquet' ON secret USING count(*)",
    "PIVOT __ducklake_metadata_lake.ducklake_table ON table_id USING count(*)",
    "SELECT getenv('HOME')",
    "FROM which_secret('s3://x', 's3')",
]


@pytest.mark.parametrize("sql", OUTSIDE)
def test_nothing_outside_the_lake_can_be_read(lake: WorkspacePaths, whole: QuerySession, sql: str) -> None:
    with pytest.raises(QueryError):
        whole.run(sql.format(post_stage=lake.post_stage, state=lake.state, catalog=lake.catalog)).fetchall()


def test_variables_of_the_program_are_not_tables(whole: QuerySession) -> None:
    import pyarrow as pa

    rows = pa.table({"a": [1]})
    with pytest.raises(QueryError, match="rows"):
        whole.run("FROM rows")
    assert rows.num_rows == 1


READS = [
    'FROM adtech_amc."Acme reach"',
    'SELECT r."The value" FROM "Acme reach" r',
    'SELECT * FROM lake.adtech_ads."shared.parquet"',
    'FROM "shared.parquet"',
    "TABLE amci.objects",
    "DESCRIBE amci.objects",
    "SUMMARIZE amci.objects",
    "SHOW TABLES",
    "SHOW ALL TABLES",
    "EXPLAIN SELECT 1",
    "EXPLAIN ANALYZE SELECT count(*) FROM amci.objects",
    "EXPLAIN (FORMAT JSON) SELECT 1",
    "-- a remark\n/* ; */ SELECT ';' ; -- done",
    "VALUES (1), (2)",
    "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 3) FROM n",
    "PIVOT amci.objects ON tenant_id USING sum(rows) GROUP BY dataset",
    "PIVOT amci.objects ON tenant_id IN ('acme') USING sum(rows) GROUP BY dataset",
    "FROM (PIVOT amci.objects ON tenant_id USING sum(rows) GROUP BY dataset)",
    "UNPIVOT (SELECT 1 AS a, 2 AS b) ON a, b",
    "SELECT list_transform([1, 2], lambda x: x + 1)",
    "SELECT COLUMNS('.*id') FROM amci.objects",
    "SELECT unnest([1, 2]), 'ä' AS \"Größe\"",
    "FROM range(3) SELECT * WHERE range > 1",
    "SELECT sum(rows) OVER (ORDER BY object_id) FROM amci.objects QUALIFY row_number() OVER () = 1",
    "FROM duckdb_tables() SELECT table_name",
    "FROM information_schema.columns LIMIT 1",
    "FROM lake.snapshots()",
    "FROM amci.objects AT (VERSION => 5)",
    "SELECT '2026-10-25 01:30:00+00'::TIMESTAMPTZ AT TIME ZONE 'Europe/Berlin'",
]


@pytest.mark.parametrize("sql", READS)
def test_what_only_reads_works(whole: QuerySession, sql: str) -> None:
    result = whole.run(sql)
    assert result.columns
    assert result.fetchall()


def test_all_tables_are_shown_and_found_without_their_schema(whole: QuerySession) -> None:
    assert values(whole, "SHOW TABLES") == ["Acme reach", "bolt_reach", "objects", "shared.parquet"]
    assert values(whole, 'SELECT sum("The value") FROM "Acme reach"') == [6]


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("", "no statement"),
        ("-- nothing", "no statement"),
        ("SELEC 1", "syntax error"),
        ("SELECT 1; SELECT 2", "2 statements"),
        ("FROM nowhere", "nowhere"),
        ("FROM adtech_amc.nothing", "no table adtech_amc.nothing"),
        ("SELECT nope FROM amci.objects", "nope"),
        ("SELECT " + "-(" * 20_000 + "1" + ")" * 20_000, r"(?i)nested|depth|memory exhausted"),
    ],
)
def test_a_mistake_is_said_in_one_line(whole: QuerySession, sql: str, says: str) -> None:
    with pytest.raises(QueryError, match=says) as wrong:
        whole.run(sql)
    assert "\n" not in str(wrong.value)


def test_a_query_is_stopped_when_its_time_is_over_while_it_runs(lake: WorkspacePaths) -> None:
    with (
        opened(lake, timeout=timedelta(seconds=0.2)) as one,
        pytest.raises(QueryError, match=r"longer than 0\.2 s"),
    ):
        one.run("SELECT count(*) FROM range(100000000000) a WHERE hash(a.range) % 7 = 9").fetchall()


@pytest.mark.parametrize("fetch", ["rows", "arrow"])
def test_a_query_is_stopped_when_its_time_is_over_while_rows_are_fetched(
    lake: WorkspacePaths, fetch: str
) -> None:
    with opened(lake, timeout=timedelta(seconds=0.3)) as one:
        result = one.run("SELECT range FROM range(100000000000)")
        with pytest.raises(QueryError, match="longer than"):
            _ = result.fetchall() if fetch == "rows" else list(result.arrow()[1])
        assert values(one, "SELECT 1") == [1]


def test_a_query_gets_no_more_memory_than_it_may_and_leaves_no_spill(lake: WorkspacePaths) -> None:
    with opened(lake, memory_limit=40 * MIB) as one:
        with pytest.raises(QueryError, match="query_memory_limit"):
            one.run("SELECT list(range::VARCHAR || repeat('x', 100)) FROM range(2000000)").fetchall()
        assert values(one, "SELECT count(*) FROM amci.objects") == [4]
    assert [path.name for path in lake.catalog.parent.iterdir() if "spill" in path.name] == []


def test_a_query_that_needs_more_memory_spills(lake: WorkspacePaths) -> None:
    with opened(lake, memory_limit=60 * MIB) as one:
        sorted_rows = one.run(
            "SELECT hash(range)::VARCHAR || repeat('x', 100) AS h FROM range(800000) ORDER BY h"
        ).arrow()[1]
        assert sum(batch.num_rows for batch in sorted_rows) == 800_000


def test_an_earlier_state_is_seen_by_number_and_by_time(lake: WorkspacePaths, whole: QuerySession) -> None:
    snapshots = whole.run("SELECT snapshot_id, snapshot_time FROM lake.snapshots() ORDER BY 1").fetchall()
    counts = {}
    for number, at in snapshots:
        naive = at.replace(tzinfo=None).isoformat()
        zoned = at.astimezone(__import__("zoneinfo").ZoneInfo("Asia/Tokyo")).isoformat()
        for as_of in (str(number), naive, zoned) if number == len(snapshots) // 2 else (str(number),):
            with opened(lake, as_of=as_of) as then:
                found = len(values(then, "SHOW TABLES"))
                assert counts.setdefault(number, found) == found, as_of
    assert sorted(set(counts.values())) == [0, 1, 2, 3, 4]


def test_before_the_first_table_the_lake_is_empty(lake: WorkspacePaths) -> None:
    with opened(lake, as_of="0") as then:
        assert values(then, "SHOW TABLES") == []
        with pytest.raises(QueryError, match=r"amci\.objects"):
            then.run("FROM amci.objects")
    with pytest.raises(NotFound, match="acme"), opened(lake, as_of="0", tenant="acme"):
        pass


@pytest.mark.parametrize(
    "as_of", ["999", "99999999999999999999999", "1999-01-01", "2001-01-01T00:00:00+09:00"]
)
def test_a_snapshot_that_is_not_there_is_not_found(lake: WorkspacePaths, as_of: str) -> None:
    with pytest.raises(NotFound, match=f"no snapshot {as_of[:4]}"), opened(lake, as_of=as_of):
        pass


def test_an_expired_snapshot_is_not_found(tmp_path: Path) -> None:
    workspace = WorkspacePaths(tmp_path)
    catalog = Catalog(workspace, memory_limit=256 * MIB, threads=1)
    load(catalog, REACH, 1, "acme", [1])
    load(catalog, REACH, 2, "acme", [2])
    catalog.con.execute("CALL ducklake_expire_snapshots('lake', versions => [2])")
    catalog.close()
    with pytest.raises(NotFound, match="no snapshot 2"), opened(workspace, as_of="2"):
        pass


def test_what_is_no_moment_is_a_usage_error(lake: WorkspacePaths) -> None:
    with pytest.raises(UsageError, match="yesterday"), opened(lake, as_of="yesterday"):
        pass


def test_an_empty_workspace_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nothing was loaded"), opened(WorkspacePaths(tmp_path)):
        pass


def test_a_tenant_sees_its_own_rows_and_tables_only(acme: QuerySession) -> None:
    assert values(acme, "SHOW TABLES") == ["Acme reach", "objects", "shared.parquet"]
    assert values(acme, 'SELECT "The value" FROM adtech_ads."shared.parquet"') == [10]
    assert values(acme, 'SELECT DISTINCT secret FROM "Acme reach"') == ["acme-secret"]
    assert values(acme, "SELECT DISTINCT tenant_id FROM amci.objects") == ["acme"]
    assert values(acme, 'SELECT count(*) FROM one_tenant.adtech_ads."shared.parquet"') == [1]
    assert acme.run('PIVOT "shared.parquet" ON secret USING count(*)').columns[-1] == "acme-secret"


ROUND = [
    'FROM lake.adtech_ads."shared.parquet"',
    'FROM LAKE.adtech_ads."shared.parquet"',
    'FROM "lake"."amci"."objects"',
    "FROM lake.objects",
    "FROM adtech_amc.bolt_reach",
    "SELECT (SELECT count(*) FROM lake.amci.objects)",
    "WITH lake AS (SELECT 1) FROM lake.amci.objects",
    "PIVOT lake.amci.objects ON tenant_id USING count(*)",
    'PIVOT "lake".amci.objects ON tenant_id USING count(*)',
    "PIVOT amci.objects ON tenant_id USING max((SELECT max(tenant_id) FROM lake.amci.objects))",
    "FROM read_parquet('{post_stage}/**/*.parquet')",
    "FROM '{post_stage}/**/*.parquet'",
    "FROM ducklake_table_insertions('lake', 'adtech_ads', 'shared.parquet', 0, 9)",
    "FROM lake.table_insertions('adtech_ads', 'shared.parquet', 0, 9)",
    "FROM ducklake_list_files('lake', 'objects')",
    "FROM ducklake_snapshots('lake')",
    "FROM query_table('lake.amci.objects')",
    "FROM histogram_values('lake.amci.objects', tenant_id)",
    "FROM duckdb_tables()",
    "FROM duckdb_tables",
    "FROM duckdb_views()",
    "FROM pragma_table_info('lake.amci.objects')",
    "FROM information_schema.tables",
    "FROM sqlite_master",
    "SHOW ALL TABLES",
    "SHOW TABLES FROM lake",
    "SHOW TABLES FROM lake.adtech_amc",
    "DESCRIBE lake.amci.objects",
    'SUMMARIZE lake.adtech_ads."shared.parquet"',
    'SELECT stats("The value") FROM "shared.parquet"',
    'EXPLAIN ANALYZE FROM lake.adtech_ads."shared.parquet"',
    'EXPLAIN FROM "shared.parquet" AT (VERSION => 3)',
]


@pytest.mark.parametrize("sql", ROUND)
def test_a_tenant_has_no_way_round_its_views(lake: WorkspacePaths, acme: QuerySession, sql: str) -> None:
    with pytest.raises(QueryError):
        acme.run(sql.format(post_stage=lake.post_stage)).fetchall()


def test_an_error_tells_a_tenant_no_value_of_another(acme: QuerySession) -> None:
    with pytest.raises(QueryError) as refused:
        acme.run('SELECT * FROM "shared.parquet" WHERE secret::INTEGER = 1').fetchall()
    assert "secret" not in str(refused.value)


def test_a_tenant_without_rows_is_not_found(lake: WorkspacePaths) -> None:
    with pytest.raises(NotFound, match="it's nobody"), opened(lake, tenant="it's nobody"):
        pass


def test_a_query_sees_one_state_and_the_next_may_see_a_newer_one(tmp_path: Path) -> None:
    workspace = WorkspacePaths(tmp_path)
    catalog = Catalog(workspace, memory_limit=256 * MIB, threads=1)
    load(catalog, REACH, 1, "acme", list(range(3)))
    count = "SELECT count(*) FROM amci.objects"
    with opened(workspace) as newest, opened(workspace, as_of="2") as pinned:
        running = newest.run("SELECT object_id FROM amci.objects, range(200000)").arrow()[1]
        first = next(running).num_rows
        load(catalog, SHARED, 2, "bolt", [1])
        assert first + sum(batch.num_rows for batch in running) == 200_000
        assert values(newest, count) == [2]
        assert values(newest, 'SELECT count(*) FROM adtech_ads."shared.parquet"') == [1]
        assert values(pinned, count) == [1]
    catalog.close()


def test_sessions_open_and_agree_with_themselves_beside_a_writing_process(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    ready, stop = spawn.Event(), spawn.Event()
    writer = spawn.Process(target=write_many, args=(tmp_path, ready, stop))
    writer.start()
    try:
        assert ready.wait(30)
        seen: list[Any] = []
        # At least two rounds, and more until the writer has got on: how quick it is, is no matter here.
        for _ in range(LIMIT):
            if len(seen) > 4 and seen[-1] > seen[0]:
                break
            with opened(WorkspacePaths(tmp_path)) as one, opened(WorkspacePaths(tmp_path)) as two:
                for reader in (one, two, one, two):
                    pairs = reader.run(
                        'SELECT (SELECT count(*) FROM adtech_ads."shared.parquet"),'
                        " (SELECT sum(rows) FROM amci.objects)"
                    ).fetchall()
                    assert pairs[0][0] == pairs[0][1]
                    seen.append(pairs[0][0])
        assert seen == sorted(seen)
        assert seen[-1] > seen[0]
    finally:
        stop.set()
        writer.join(30)
    assert writer.exitcode == 0


def test_two_sessions_of_one_process_do_not_disturb_each_other(lake: WorkspacePaths) -> None:
    found: list[list[Any]] = []

    def ask(tenant: str | None) -> None:
        with opened(lake, tenant=tenant) as one:
            found.append([tenant, *values(one, "SELECT count(*) FROM amci.objects")])

    threads = [threading.Thread(target=ask, args=(tenant,)) for tenant in (None, "acme", "bolt")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found, key=json.dumps) == [["acme", 2], ["bolt", 2], [None, 4]]


def test_a_session_leaves_the_working_directory_alone(
    lake: WorkspacePaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with opened(lake, memory_limit=60 * MIB) as one:
        one.run("SELECT hash(range) AS h FROM range(500000) ORDER BY h").fetchall()
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - names only


def test_a_session_is_opened_on_one_state_of_the_lake(
    lake: WorkspacePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Watched(QuerySession):
        def _look_around(self) -> Any:
            with pytest.raises(duckdb.TransactionException, match="within a transaction"):
                self.con.begin()
            # DuckDB gives the transaction up for that.
            self.con.rollback()
            self.con.begin()
            return super()._look_around()

    monkeypatch.setattr("amci.lake.query.session.QuerySession", Watched)
    with opened(lake) as found:
        found.con.begin()  # none is open any more
