from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from amci.app.doctor import Diagnosis, _watches, examine
from amci.app.engine import open_engine
from amci.kernel.clock import Clock, SystemClock
from amci.kernel.state import State
from amci.kernel.workspace import WorkspacePaths

NOBODY: Mapping[str, str] = {}
KEY = "blue-kettle/workflow=reach/schedule=daily/2026-10-01-reach-ver1.csv"


@pytest.fixture
def workspace(tmp_path: Path) -> WorkspacePaths:
    workspace = WorkspacePaths(tmp_path / "w")
    tenant = workspace.config / "tenants" / "blue-kettle.yaml"
    tenant.parent.mkdir(parents=True)
    tenant.write_text("tenant: blue-kettle\n")
    workspace.settings_file.write_text("notify: []\nthreads: 1\n")
    workspace.raw.mkdir()
    return workspace


def write(workspace: WorkspacePaths, key: str, text: str, at: float = 1_700_000_000) -> None:
    path = workspace.raw / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (at, at))


def drain(workspace: WorkspacePaths, clock: Clock | None = None) -> None:
    with open_engine(workspace, clock or SystemClock(), NOBODY) as engine:
        engine.drain(threading.Event())


def findings(workspace: WorkspacePaths) -> list[Diagnosis]:
    # How much room the machine's disk has is no matter of these tests.
    found = examine(workspace, SystemClock(), NOBODY)
    assert all(finding.what and finding.do for finding in found)
    return [finding for finding in found if "MiB are free" not in finding.what]


def said(workspace: WorkspacePaths, part: str) -> list[str]:
    return [finding.severity for finding in findings(workspace) if part in finding.what]


def test_a_healthy_workspace_has_no_findings(workspace: WorkspacePaths) -> None:
    write(workspace, KEY, "campaign,users\nA,1\n")
    drain(workspace)
    assert findings(workspace) == []


def test_a_fresh_workspace_is_told_what_to_do(workspace: WorkspacePaths) -> None:
    assert [f.severity for f in findings(workspace)] == ["info"]
    assert findings(workspace)[0].as_row().keys() == {"severity", "what", "do"}


def test_an_empty_directory_and_none_are_reported(tmp_path: Path) -> None:
    for home in (tmp_path, tmp_path / "nowhere"):
        assert any(f.severity == "error" for f in findings(WorkspacePaths(home)))


def test_every_problem_of_the_configuration_is_an_error(workspace: WorkspacePaths) -> None:
    workspace.settings_file.write_text("batsh: 3\nsettle: soon\n")
    (workspace.config / "tenants" / "bad.yaml").write_text("tenant: [1]\n")
    assert said(workspace, "batsh") == said(workspace, "settle") == said(workspace, "bad.yaml") == ["error"]


def test_failed_runs_and_quarantine_are_warnings(workspace: WorkspacePaths) -> None:
    write(workspace, KEY, "campaign,users\nA\n")
    write(workspace, "unknown.bin", "x")
    drain(workspace)
    assert said(workspace, "1 runs failed") == said(workspace, "2 objects are in quarantine") == ["warning"]


def test_runs_whose_process_is_gone_are_found_and_others_are_not(workspace: WorkspacePaths) -> None:
    write(workspace, KEY, "campaign,users\nA,1\n")
    with open_engine(workspace, SystemClock(), NOBODY) as engine:
        engine.ingest.look_everywhere()
        assert len(engine.runs.claim(["light"], "w", engine.project.settings.lease)) == 1
        assert said(workspace, "under way") == []
    assert said(workspace, "under way") == ["warning"]


def test_a_damaged_state_file_is_an_error(workspace: WorkspacePaths) -> None:
    drain(workspace)
    workspace.state.write_bytes(b"x" * 5000)
    assert "error" in said(workspace, "state file")


def test_a_damaged_page_of_the_state_file_is_an_error(workspace: WorkspacePaths) -> None:
    write(workspace, KEY, "campaign,users\nA,1\n")
    drain(workspace)
    content = bytearray(workspace.state.read_bytes())
    content[3 * 4096 : 6 * 4096] = b"\x55" * (3 * 4096)
    workspace.state.write_bytes(content)
    assert "error" in said(workspace, "state file")


def test_a_state_file_of_a_newer_amci_is_an_error(workspace: WorkspacePaths) -> None:
    drain(workspace)
    with State.open(workspace.state, SystemClock()) as state, state.transaction() as db:
        db.execute("INSERT INTO schema_migrations VALUES (9999, '9999_later', '')")
    assert said(workspace, "newer amci") == ["error"]


def test_a_catalog_that_does_not_open_is_an_error(workspace: WorkspacePaths) -> None:
    write(workspace, KEY, "campaign,users\nA,1\n")
    drain(workspace)
    with sqlite3.connect(workspace.catalog) as db:
        db.execute("DROP TABLE ducklake_snapshot")
    db.close()
    assert said(workspace, "catalog cannot be opened") == ["error"]
    workspace.catalog.unlink()
    assert said(workspace, "there is no catalog") == ["error"]


def test_a_missing_root_is_a_warning(workspace: WorkspacePaths) -> None:
    workspace.settings_file.write_text("roots:\n  - {name: far, path: /nowhere/at/all}\n")
    assert said(workspace, "root 'far' is missing") == ["warning"]


def test_files_from_the_future_and_files_nobody_took_are_told(workspace: WorkspacePaths) -> None:
    drain(workspace)
    write(workspace, KEY, "campaign,users\nA,1\n", at=4_000_000_000)
    assert said(workspace, "modified in the future") == ["warning"]
    write(workspace, KEY, "campaign,users\nA,1\n")
    assert said(workspace, "not taken yet") == ["info"]


def test_a_workspace_nobody_may_write_to_is_an_error(workspace: WorkspacePaths) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    workspace.home.chmod(0o500)
    try:
        assert "error" in said(workspace, "not writable")
    finally:
        workspace.home.chmod(0o700)


def test_more_folders_than_the_kernel_watches_is_a_warning(tmp_path: Path) -> None:
    limit = tmp_path / "max_user_watches"
    limit.write_text("10\n")
    assert [f.severity for f in _watches(11, limit)] == ["warning"]
    assert list(_watches(10, limit)) == []
    assert list(_watches(11, tmp_path / "none")) == []
