from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from amci.app.engine import open_engine
from amci.kernel.clock import SystemClock
from amci.kernel.workspace import WorkspacePaths
from amci.lake.query.session import QuerySession, session
from amci.lake.upkeep import check

REACH = "blue-kettle/workflow=reach/schedule=daily/2026-{}-reach-ver1.csv"
TABLE = "adtech_amc.blue_kettle_reach_daily_ver1"


def write(workspace: WorkspacePaths, key: str, text: str) -> None:
    path = workspace.raw / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    # Long landed, so that nothing has to settle; the size tells versions apart.
    os.utime(path, (1_700_000_000, 1_700_000_000))


def drain(workspace: WorkspacePaths) -> None:
    with open_engine(workspace, SystemClock(), {}) as engine:
        engine.drain(threading.Event())


@contextmanager
def reading(workspace: WorkspacePaths) -> Iterator[QuerySession]:
    with session(workspace, memory_limit=2**28, timeout=timedelta(seconds=30), threads=1) as opened:
        yield opened


@pytest.fixture
def workspace(loaded: WorkspacePaths, tmp_path: Path) -> WorkspacePaths:
    shutil.copytree(loaded.home, tmp_path / "lake")
    return WorkspacePaths(tmp_path / "lake")


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> WorkspacePaths:
    """Two months, a column that came later and widened, a replaced version and so files with deletes."""
    workspace = WorkspacePaths(tmp_path_factory.mktemp("loaded"))
    tenant = workspace.config / "tenants" / "blue-kettle.yaml"
    tenant.parent.mkdir(parents=True)
    workspace.settings_file.write_text("notify: []\nthreads: 1\n")
    tenant.write_text("tenant: blue-kettle\n")
    write(workspace, REACH.format("09-01"), "campaign,users\nA,1\nB,\nC,3\n")
    write(workspace, REACH.format("10-01"), "campaign,users\nA,4\n")
    drain(workspace)
    write(workspace, REACH.format("10-02"), "campaign,users,cost_note\nA,4.5,x\nB,5,\n")
    drain(workspace)
    write(workspace, REACH.format("10-01"), "campaign,users\nA,7\nB,8\n")
    drain(workspace)
    return workspace


def found(workspace: WorkspacePaths, *, deep: bool = False) -> list[tuple[str, str]]:
    with reading(workspace) as opened:
        rows = check.examine(opened, workspace, deep=deep)
    assert all(row["says"] for row in rows)
    return [(row["problem"], row["file"]) for row in rows]


def data_file(workspace: WorkspacePaths) -> Path:
    with reading(workspace) as opened:
        known = check.known_files(opened.con, workspace.post_stage)
    return max((path for path, file in known.items() if file.rows), key=lambda path: path.stat().st_size)


def test_a_healthy_lake_has_no_findings(workspace: WorkspacePaths) -> None:
    assert found(workspace) == found(workspace, deep=True) == []


def test_a_missing_file_is_found(workspace: WorkspacePaths) -> None:
    path = data_file(workspace)
    path.unlink()
    assert found(workspace) == [("missing", workspace.relative(path))]
    assert ("missing", workspace.relative(path)) in found(workspace, deep=True)


def test_a_file_of_another_size_is_found(workspace: WorkspacePaths) -> None:
    path = data_file(workspace)
    path.write_bytes(path.read_bytes()[:-1])
    assert found(workspace) == [("altered", workspace.relative(path))]


def test_a_footer_that_is_broken_is_found(workspace: WorkspacePaths) -> None:
    path = data_file(workspace)
    content = bytearray(path.read_bytes())
    content[-8:-4] = b"\xff" * 4
    path.write_bytes(content)
    assert found(workspace) == [("altered", workspace.relative(path))]


def test_only_a_deep_look_finds_damage_in_the_middle(workspace: WorkspacePaths) -> None:
    path = data_file(workspace)
    content = bytearray(path.read_bytes())
    content[4:60] = b"\xff" * 56
    path.write_bytes(content)
    assert found(workspace) == []
    assert ("altered", workspace.relative(path)) in found(workspace, deep=True)


def test_a_file_nobody_knows_is_extra(workspace: WorkspacePaths) -> None:
    stray = workspace.post_stage / "adtech_amc" / "stray.parquet"
    stray.write_bytes(b"PAR1")
    assert found(workspace) == [("extra", "stage/post-stage/adtech_amc/stray.parquet")]


def test_what_a_writer_at_work_has_not_committed_is_not_extra(workspace: WorkspacePaths) -> None:
    old = workspace.post_stage / "adtech_amc" / "old.parquet"
    old.write_bytes(b"PAR1")
    os.utime(old, (1_700_000_000, 1_700_000_000))
    with workspace.writing():
        (workspace.post_stage / "adtech_amc" / "new.parquet").write_bytes(b"PAR1")
        assert found(workspace) == [("extra", "stage/post-stage/adtech_amc/old.parquet")]
    assert len(found(workspace)) == 2


def test_a_deep_look_finds_where_table_and_ledger_disagree(workspace: WorkspacePaths) -> None:
    with open_engine(workspace, SystemClock(), {}) as engine:
        engine.catalog.con.execute(f"DELETE FROM lake.{TABLE} WHERE campaign = 'C'")
    assert found(workspace) == []
    assert found(workspace, deep=True) == [("ledger", TABLE)]


def test_a_deep_look_finds_a_table_that_is_gone(workspace: WorkspacePaths) -> None:
    with open_engine(workspace, SystemClock(), {}) as engine:
        engine.catalog.con.execute(f"DROP TABLE lake.{TABLE}")
    assert found(workspace, deep=True) == [("ledger", TABLE)]


def test_no_false_alarm_while_a_writer_loads_and_replaces(workspace: WorkspacePaths) -> None:
    seen: list[Any] = []
    with reading(workspace) as opened:

        def work() -> None:
            for n in range(3):
                write(workspace, REACH.format("10-01"), "campaign,users\n" + "A,7\n" * (n + 3))
                write(workspace, REACH.format(f"11-{n + 10}"), "campaign,users\nA,7\n")
                drain(workspace)

        writer = threading.Thread(target=work)
        writer.start()
        while writer.is_alive():
            seen += check.examine(opened, workspace, deep=True)
        writer.join()
    assert seen == []
    assert found(workspace, deep=True) == []


def test_what_keeps_a_catalog_closed_is_said(workspace: WorkspacePaths) -> None:
    assert check.what_keeps_it_closed(workspace, memory_limit=2**28) == ""
    workspace.catalog.write_bytes(b"not a database" * 100)
    assert check.what_keeps_it_closed(workspace, memory_limit=2**28)
