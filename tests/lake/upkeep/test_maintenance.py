from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from amci.app.engine import open_engine
from amci.kernel.clock import SystemClock
from amci.kernel.errors import DamagedFile, NotFound, UsageError
from amci.kernel.testing import FakeClock
from amci.kernel.workspace import WorkspacePaths
from amci.lake.query.session import session
from amci.lake.upkeep import check, maintenance
from amci.lake.upkeep.maintenance import GRACE, Maintenance, Report

from ..lakes import TABLE, drain, reading, write
from .conftest import REACH

ROWS = f"SELECT * FROM {TABLE} ORDER BY ALL"


@contextmanager
def maintaining(workspace: WorkspacePaths, *, later: timedelta = timedelta()) -> Iterator[Maintenance]:
    """Upkeep with a clock that is ahead by `later`: files age without anybody waiting."""
    clock = FakeClock(SystemClock().now() + later)
    with open_engine(workspace, clock, {}) as engine:
        yield Maintenance(workspace, engine.catalog, engine.state, clock, lambda _: None)


def rows(workspace: WorkspacePaths, sql: str = ROWS) -> list[dict[str, Any]]:
    with reading(workspace) as opened:
        return opened.rows(sql)


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def vacuum(workspace: WorkspacePaths, *, later: timedelta = 2 * GRACE, dry_run: bool = False) -> Report:
    with maintaining(workspace, later=later) as upkeep:
        return upkeep.vacuum(dry_run=dry_run)


def is_whole(workspace: WorkspacePaths) -> bool:
    with reading(workspace) as opened:
        return check.examine(opened, workspace, deep=True) == []


def test_compact_makes_fewer_files_of_the_same_rows_and_ledger(workspace: WorkspacePaths) -> None:
    ledger = "SELECT * FROM amci.objects ORDER BY ALL"
    before = rows(workspace), rows(workspace, ledger)
    write(workspace, REACH.format("10-03"), "campaign,users\nA,1\n")
    drain(workspace)
    loaded = rows(workspace), rows(workspace, ledger)
    with maintaining(workspace) as upkeep:
        report = upkeep.compact(None)
        again = upkeep.compact(None)
    assert report["files_after"] < report["files_before"]
    assert again["files_after"] == again["files_before"] == report["files_after"]
    assert (rows(workspace), rows(workspace, ledger)) == loaded != before
    assert is_whole(workspace)


def test_compact_merges_the_files_of_every_table_whatever_was_read_before(site: Any) -> None:
    """Tables made in one commit, in later ones and by a rewrite; in a process that has read the ledger."""
    site.configure("tenants/blue-kettle.yaml", "tenant: blue-kettle\n")
    other, third = REACH.replace("reach", "zeal"), REACH.replace("reach", "spend")
    for number, keys in enumerate(((REACH, other), (REACH, third), (REACH, other), (third, other))):
        for key in keys:
            users = "many" if key == other and number else number  # which rewrites that table
            site.put(key.format(f"10-0{number + 1}"), f"campaign,users\nA,{users}\n")
        site.drain()
    names = site.tables()
    before = [site.query(f"SELECT * FROM {name} ORDER BY ALL") for name in names]
    assert len(names) == 3
    for _ in range(2):
        with maintaining(site.workspace) as upkeep:
            upkeep.catalog.con.execute("SELECT * FROM lake.amci.objects").fetchall()
            upkeep.compact(None)
            again = upkeep.compact(None)
            assert again["files_before"] == again["files_after"] == 4
    assert [site.query(f"SELECT * FROM {name} ORDER BY ALL") for name in names] == before
    assert is_whole(site.workspace)


def test_very_many_files_are_merged_in_groups_and_then_together(
    workspace: WorkspacePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "_TOGETHER", 3)
    with open_engine(workspace, SystemClock(), {}) as engine:
        con = engine.catalog.con
        con.execute("CREATE TABLE lake.adtech_amc.many AS SELECT 0 AS n")
        for n in range(1, 10):
            con.execute("INSERT INTO lake.adtech_amc.many VALUES (?)", [n])
    with maintaining(workspace) as upkeep:
        report = upkeep.compact("many")
    assert (report["files_before"], report["files_after"]) == (10, 1)
    assert rows(workspace, "SELECT sum(n) AS n FROM adtech_amc.many") == [{"n": 45}]
    merges = (
        "SELECT count(*) AS n FROM ducklake_snapshots('lake') WHERE changes['merge_adjacent'] IS NOT NULL"
    )
    assert rows(workspace, merges)[0]["n"] > 1


def test_compact_takes_one_table_by_name_and_knows_no_other(workspace: WorkspacePaths) -> None:
    with maintaining(workspace) as upkeep:
        assert upkeep.compact(TABLE)["tables"] == 1
        with pytest.raises(NotFound):
            upkeep.compact("nothing_like_it")


def test_a_load_after_compaction_still_replaces_versions(workspace: WorkspacePaths) -> None:
    with maintaining(workspace) as upkeep:
        upkeep.compact(None)
    write(workspace, REACH.format("10-01"), "campaign,users\nQ,70\n")
    drain(workspace)
    mine = f"SELECT object_id FROM amci.objects WHERE key = '{REACH.format('10-01')}'"
    found = rows(workspace, f"SELECT campaign FROM {TABLE} WHERE _object_id IN ({mine})")
    assert found == [{"campaign": "Q"}]
    assert is_whole(workspace)


def test_older_snapshots_can_be_read_after_compaction(workspace: WorkspacePaths) -> None:
    def then() -> list[dict[str, Any]]:
        with session(
            workspace, memory_limit=2**28, timeout=timedelta(seconds=30), as_of=str(number)
        ) as opened:
            return opened.rows(ROWS)

    (newest,) = rows(workspace, "SELECT max(snapshot_id) AS n FROM ducklake_snapshots('lake')")
    number = newest["n"] - 1
    before = then()
    with maintaining(workspace) as upkeep:
        upkeep.compact(None)
    assert then() == before != rows(workspace)


def test_expire_forgets_only_snapshots_older_than_asked(workspace: WorkspacePaths) -> None:
    count = "SELECT count(*) AS n FROM ducklake_snapshots('lake')"
    (before,) = rows(workspace, count)
    with maintaining(workspace, later=timedelta(minutes=10)) as upkeep:
        # DuckLake itself would take all of today's snapshots here.
        assert upkeep.expire(timedelta(hours=1), dry_run=False)["snapshots"] == 0
        assert upkeep.expire(timedelta(minutes=1), dry_run=True)["snapshots"] == before["n"] - 1
        assert rows(workspace, count) == [before]
        assert upkeep.expire(timedelta(minutes=1), dry_run=False)["snapshots"] == before["n"] - 1
        assert upkeep.expire(timedelta(minutes=1), dry_run=False)["snapshots"] == 0
    assert rows(workspace, count) == [{"n": 1}]
    assert is_whole(workspace)


def test_vacuum_frees_what_expired_only_after_the_grace_time(workspace: WorkspacePaths) -> None:
    before = rows(workspace)
    with maintaining(workspace) as upkeep:
        upkeep.compact(None)
        upkeep.expire(timedelta(days=-1), dry_run=False)
    there = files(workspace.post_stage)
    assert vacuum(workspace, later=timedelta())["post_stage_files"] == 0
    foretold = vacuum(workspace, dry_run=True)["post_stage_files"]
    assert files(workspace.post_stage) == there
    assert vacuum(workspace)["post_stage_files"] == foretold > 0
    assert len(files(workspace.post_stage)) == len(there) - foretold
    assert vacuum(workspace)["post_stage_files"] == 0
    assert rows(workspace) == before
    assert is_whole(workspace)


def test_vacuum_is_repeated_after_a_crash_between_deleting_and_noting_it(workspace: WorkspacePaths) -> None:
    with maintaining(workspace) as upkeep:
        upkeep.compact(None)
        upkeep.expire(timedelta(days=-1), dry_run=False)
    with reading(workspace) as opened:
        for path in check.scheduled_files(opened.con, workspace.post_stage):
            path.unlink()
    vacuum(workspace)
    with reading(workspace) as opened:
        assert check.scheduled_files(opened.con, workspace.post_stage) == {}
    assert is_whole(workspace)


def test_an_open_reader_keeps_its_snapshot_through_all_upkeep(workspace: WorkspacePaths) -> None:
    published = workspace.published
    with reading(workspace) as opened:
        opened.con.execute("BEGIN")
        before = opened.rows(ROWS)
        with maintaining(workspace) as upkeep:
            upkeep.compact(None)
            upkeep.expire(timedelta(days=-1), dry_run=False)
            upkeep.vacuum(dry_run=False)
            upkeep.publish()
        write(workspace, REACH.format("11-01"), "campaign,users\nN,1\n")
        drain(workspace)
        assert opened.rows(ROWS) == before
        opened.con.execute("COMMIT")
        assert len(opened.rows(ROWS)) == len(before) + 1
    assert published.exists()


def test_vacuum_deletes_orphans_of_killed_writers_when_they_are_old(workspace: WorkspacePaths) -> None:
    stray = workspace.post_stage / "adtech_amc" / "gone" / "ducklake-1.parquet"
    part = workspace.pre_stage / ".x.parquet.17-4711.part"
    foreign = workspace.raw / "upload.csv.part"
    for path in (stray, part, foreign):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    assert vacuum(workspace, later=timedelta())["bytes"] == 0
    report = vacuum(workspace)
    assert (report["post_stage_files"], report["unfinished_files"]) == (1, 1)
    assert not stray.parent.exists()
    assert not part.exists()
    assert foreign.exists()


def test_vacuum_keeps_the_pre_stage_files_that_may_be_loaded_again(workspace: WorkspacePaths) -> None:
    before = rows(workspace)
    staged = files(workspace.pre_stage)
    stray = workspace.pre_stage / "adtech" / "amc" / "old" / "x.parquet"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"PAR1")
    report = vacuum(workspace)
    # The first file of the object that was replaced since is needed no more, nor is the stray one.
    assert report["pre_stage_files"] == 2
    assert len(staged - files(workspace.pre_stage)) == 1
    for key in ("09-01", "10-01", "10-02"):
        (workspace.raw / REACH.format(key)).unlink()
    with open_engine(workspace, SystemClock(), {}) as engine:
        engine.ingest.look_everywhere()
        engine.load_again(changed_only=False, dataset=None, since=None, dry_run=False)
        assert engine.work(threading.Event()).succeeded == 3
    assert rows(workspace) == before


def test_the_published_file_gives_the_same_rows_without_any_extension(workspace: WorkspacePaths) -> None:
    with maintaining(workspace) as upkeep:
        assert upkeep.publish()["tables"] == 1
    want, ledger = rows(workspace), rows(workspace, "SELECT * FROM amci.objects ORDER BY ALL")
    with reading(workspace) as opened:
        columns = opened.con.execute(f"DESCRIBE {TABLE}").fetchall()
    with duckdb.connect(str(workspace.published), read_only=True) as plain:
        plain.execute("SET autoinstall_known_extensions = false; SET autoload_known_extensions = false")
        found = plain.execute(ROWS)
        names = [column[0] for column in found.description or []]
        assert [dict(zip(names, row, strict=True)) for row in found.fetchall()] == want
        assert [c[:2] for c in plain.execute(f"DESCRIBE {TABLE}").fetchall()] == [c[:2] for c in columns]
        assert plain.execute("SELECT count(*) FROM amci.objects").fetchall() == [(len(ledger),)]
    assert {row["users"] for row in want} >= {4.5, 7.0}
    assert {row["cost_note"] for row in want} == {"x", None}


def test_a_published_table_without_rows_keeps_its_columns(workspace: WorkspacePaths) -> None:
    for key in ("09-01", "10-01", "10-02"):
        write(workspace, REACH.format(key), "campaign,users,cost_note\n")
    drain(workspace)
    with maintaining(workspace) as upkeep:
        upkeep.publish()
    with duckdb.connect(str(workspace.published), read_only=True) as plain:
        assert plain.execute(ROWS).fetchall() == []
        columns = plain.execute(f"DESCRIBE {TABLE}").fetchall()
    assert [c[0] for c in columns][:2] == ["campaign", "users"]


def test_columns_that_have_had_no_value_yet_are_published_and_exported(
    workspace: WorkspacePaths, tmp_path: Path
) -> None:
    write(workspace, REACH.format("10-03"), "campaign,nothing,users\n,,1\n")
    write(workspace, REACH.format("10-03").replace("reach", "hollow"), "a,b\n,\n,\n")
    drain(workspace)
    hollow = TABLE.replace("reach", "hollow")
    with maintaining(workspace) as upkeep:
        assert upkeep.publish()["tables"] == 2
        upkeep.compact(None)
        upkeep.export_parquet(tmp_path / "out")
    empty = dict.fromkeys(("nothing", "a", "b"), "VARCHAR")
    with duckdb.connect(str(workspace.published), read_only=True) as plain:
        for table in (TABLE, hollow):
            want = rows(workspace, f"SELECT * FROM {table} ORDER BY ALL")
            folder = tmp_path / "out" / table.replace(".", "/")
            for source in (table, f"read_parquet('{folder}/**/*.parquet', hive_partitioning = false)"):
                found = plain.execute(f"SELECT * FROM {source} ORDER BY ALL")
                types = {name: str(kind) for name, kind, *_ in found.description or []}
                assert {name: kind for name, kind in types.items() if name in empty}.items() <= empty.items()
                assert found.fetchall() == [tuple(row.values()) for row in want]
    assert len(want) == 2


def test_what_was_published_keeps_working_when_its_files_are_merged_and_freed(
    workspace: WorkspacePaths,
) -> None:
    with maintaining(workspace) as upkeep:
        upkeep.publish()
        upkeep.compact(None)
        upkeep.expire(timedelta(days=-1), dry_run=False)
    assert vacuum(workspace)["post_stage_files"] > 0
    with duckdb.connect(str(workspace.published), read_only=True) as plain:
        assert len(plain.execute(ROWS).fetchall()) == len(rows(workspace))


def test_an_exported_folder_has_all_rows_with_their_types(workspace: WorkspacePaths, tmp_path: Path) -> None:
    target = tmp_path / "out" / "lake"
    with maintaining(workspace) as upkeep:
        report = upkeep.export_parquet(target)
        with pytest.raises(UsageError):
            upkeep.export_parquet(target)
    folder = target / "adtech_amc" / "blue_kettle_reach_daily_ver1"
    months = {p.name for p in (folder / "customer_hash=blue-kettle" / "export_year=2026").iterdir()}
    assert months == {"export_month=09", "export_month=10"}
    with duckdb.connect() as plain:
        read = f"SELECT * FROM read_parquet('{folder}/**/*.parquet', hive_partitioning = false) ORDER BY ALL"
        assert plain.execute(read).fetchall() == [tuple(row.values()) for row in rows(workspace)]
    assert report["files"] == len(files(target))
    assert [p.name for p in target.parent.iterdir()] == ["lake"]


def test_a_failing_export_leaves_nothing_behind(workspace: WorkspacePaths, tmp_path: Path) -> None:
    target = tmp_path / "out" / "lake"
    with reading(workspace) as opened:
        next(iter(check.known_files(opened.con, workspace.post_stage))).unlink()
    with maintaining(workspace) as upkeep, pytest.raises(DamagedFile, match="missing"):
        upkeep.export_parquet(target)
    assert list(target.parent.iterdir()) == []
