from __future__ import annotations

from pathlib import Path

import pytest

from amci.kernel.clock import SystemClock
from amci.kernel.errors import NotFound
from amci.kernel.run import NewRun
from amci.kernel.runs import RunStore
from amci.kernel.state import State
from amci.kernel.workspace import WorkspacePaths
from amci.lake.landing.object_store import Landed, ObjectStore
from amci.lake.query import inspect

from ..lakes import TABLE, drain, reading, write

REACH = "blue-kettle/workflow=reach/schedule=daily/2026-10-{}-reach-ver1.csv"
OTHER = "atlas_pets/workflow=reach/schedule=daily/2026-10-01-reach-ver1.csv"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> WorkspacePaths:
    workspace = WorkspacePaths(tmp_path_factory.mktemp("show"))
    workspace.settings_file.write_text("notify: []\nthreads: 1\n")
    for tenant in ("blue-kettle", "atlas_pets"):
        path = workspace.config / "tenants" / f"{tenant}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"tenant: {tenant}\n")
    write(workspace, REACH.format("01"), "campaign,users\nA,1\nB,\nC,3\n")
    write(workspace, REACH.format("02"), "campaign,users\nA,4\n")
    write(workspace, OTHER, "campaign,users\nZ,9\n")
    write(workspace, "nobody/knows.me", "x")
    drain(workspace)
    write(workspace, REACH.format("02"), "campaign,users\nA,4\nB,5\n")
    drain(workspace)
    return workspace


def test_tables_counts_rows_objects_tenants_and_files(workspace: WorkspacePaths) -> None:
    with reading(workspace) as opened:
        by_name = {row["table"]: row for row in inspect.tables(opened)}
        assert set(by_name) == {TABLE, "adtech_amc.atlas_pets_reach_daily_ver1"}
        row = by_name[TABLE]
        truth = opened.rows(f"SELECT count(*) AS n FROM {TABLE}")[0]["n"]
    assert (row["rows"], row["objects"], row["tenants"]) == (5, 2, 1)
    assert row["rows"] == truth
    assert row["files"] >= 1
    assert row["bytes"] > 0
    assert row["loaded_at"] is not None


def test_tables_of_one_tenant_leaves_the_others_out(workspace: WorkspacePaths) -> None:
    with reading(workspace) as opened:
        assert [row["table"] for row in inspect.tables(opened, "atlas_pets")] == [
            "adtech_amc.atlas_pets_reach_daily_ver1"
        ]
        assert inspect.tables(opened, "nobody") == []


@pytest.mark.parametrize("name", [TABLE, "blue_kettle_reach_daily_ver1"])
def test_a_table_is_shown_by_its_full_and_its_bare_name(workspace: WorkspacePaths, name: str) -> None:
    with reading(workspace) as opened, State.read_only(workspace.state) as state:
        found = inspect.table(opened, state, name)
    assert found["table"] == TABLE
    assert found["rows"] == 5
    assert found["partition_by"] == ["customer_hash", "export_year", "export_month"]
    assert {"column": "users", "type": "BIGINT", "nulls": 1} in found["columns"]
    assert {(o["key"], o["version"], o["rows"]) for o in found["objects"]} == {
        (REACH.format("01"), 1, 3),
        (REACH.format("02"), 2, 2),
    }


@pytest.mark.parametrize("name", ["blue_kettle_reach_daily_ver2", "adtech_amc.blue_kettle_reach", "kettle"])
def test_an_unknown_table_is_not_found_with_near_matches(workspace: WorkspacePaths, name: str) -> None:
    with (
        reading(workspace) as opened,
        State.read_only(workspace.state) as state,
        pytest.raises(NotFound) as missing,
    ):
        inspect.table(opened, state, name)
    assert TABLE in missing.value.hint


def test_partitions_have_their_rows_and_objects(workspace: WorkspacePaths) -> None:
    with reading(workspace) as opened:
        columns, rows = inspect.partitions(opened, TABLE)
        assert inspect.partitions(opened, "amci.objects") == ([], [])
    assert columns == ["customer_hash", "export_year", "export_month"]
    assert rows == [
        {
            "customer_hash": "blue-kettle",
            "export_year": "2026",
            "export_month": "10",
            "rows": 5,
            "objects": 2,
        }
    ]


def test_snapshots_say_what_changed_newest_first(workspace: WorkspacePaths) -> None:
    with reading(workspace) as opened:
        found = inspect.snapshots(opened, 3)
        every = inspect.snapshots(opened, 1000)
    assert [row["snapshot"] for row in found] == sorted((row["snapshot"] for row in every), reverse=True)[:3]
    assert found[0]["changes"] == f"inserted into {TABLE}; deleted from {TABLE}"
    assert any(f"created adtech_amc.atlas_pets_reach_daily_ver1, {TABLE}" in row["changes"] for row in every)


def test_history_tells_versions_runs_and_quarantine(workspace: WorkspacePaths) -> None:
    with State.read_only(workspace.state) as state:
        objects = ObjectStore(state, SystemClock())
        (entry,) = inspect.history(objects, state, "2026-10-02-reach-ver1.csv")
        (lost,) = inspect.history(objects, state, "knows.me")
        with pytest.raises(NotFound):
            inspect.history(objects, state, "never-seen.csv")
    assert (entry["root"], entry["key"], entry["tenant_id"]) == ("raw", REACH.format("02"), "blue-kettle")
    assert [v["version"] for v in entry["versions"]] == [1, 2]
    assert [(r["kind"], r["status"]) for r in entry["runs"]] == [
        ("light", "SUCCEEDED"),
        ("heavy", "SUCCEEDED"),
        ("light", "SUCCEEDED"),
        ("heavy", "SUCCEEDED"),
    ]
    assert entry["quarantine"] == []
    assert lost["runs"] == []
    assert [q["stage"] for q in lost["quarantine"]] == ["route"]


def test_files_say_what_became_of_each_newest_first(workspace: WorkspacePaths) -> None:
    with reading(workspace) as opened, State.read_only(workspace.state) as state:
        files = inspect.files(opened, state)
        assert inspect.files(opened, state, limit=1) == files[:1]
        (other,) = inspect.files(opened, state, tenant="atlas_pets")
    assert files[0]["key"] == REACH.format("02")
    assert {f["key"]: (f["outcome"], f["rows"], f["version"]) for f in files} == {
        REACH.format("01"): ("loaded", 3, 1),
        REACH.format("02"): ("replaced", 2, 2),
        OTHER: ("loaded", 1, 1),
        "nobody/knows.me": ("quarantined", 0, 1),
    }
    assert {f["key"] for f in files if f["reason"]} == {"nobody/knows.me"}
    assert other["key"] == OTHER


def test_a_file_whose_run_has_not_ended_well_says_so(tmp_path: Path) -> None:
    workspace = WorkspacePaths(tmp_path)
    workspace.settings_file.write_text("notify: []\nthreads: 1\n")
    tenant = workspace.config / "tenants" / "atlas_pets.yaml"
    tenant.parent.mkdir(parents=True)
    tenant.write_text("tenant: atlas_pets\n")
    write(workspace, OTHER, "campaign,users\nA,1\n")
    drain(workspace)
    with State.open(workspace.state, SystemClock()) as state, reading(workspace) as opened:
        objects = ObjectStore(state, SystemClock())
        landed = Landed("raw", OTHER, size=1, mtime_ns=1)
        assert objects.record([(landed, "amc", "atlas_pets")]) == [(1, 2)]
        assert inspect.files(opened, state)[0]["outcome"] == "waiting"
        runs = RunStore(state, SystemClock())
        key, payload = f"light:raw/{OTHER}@2", {"object_id": 1, "version": 2}
        runs.create([NewRun(idempotency_key=key, kind="light", payload=payload, correlation_id="c")])
        (run,) = runs.by_keys([key])
        assert inspect.files(opened, state)[0]["outcome"] == "waiting"
        runs.cancel([run.run_id])
        assert inspect.files(opened, state)[0]["outcome"] == "cancelled"
