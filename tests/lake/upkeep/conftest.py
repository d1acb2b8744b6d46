"""One lake, loaded once; each test works on a copy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from amci.kernel.workspace import WorkspacePaths

from ..lakes import drain, write

REACH = "blue-kettle/workflow=reach/schedule=daily/2026-{}-reach-ver1.csv"


@pytest.fixture
def workspace(loaded: WorkspacePaths, tmp_path: Path) -> WorkspacePaths:
    shutil.copytree(loaded.home, tmp_path / "lake")
    return WorkspacePaths(tmp_path / "lake")


@pytest.fixture(scope="package")
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
