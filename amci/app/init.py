"""Making a workspace: directories, and the example project that comes with amci."""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path

from amci.kernel.files import new_directory, storage_errors
from amci.kernel.workspace import MARKER, WorkspacePaths


def example() -> Path:
    """The example project: inside the package where it was installed, else `config/` of the checkout."""
    installed = Path(str(resources.files("amci"))) / "example"
    return installed if installed.is_dir() else installed.parent.parent / "config"


def create_workspace(directory: Path) -> WorkspacePaths:
    """Make a workspace at `directory`; raises UsageError if something is there already, StorageError."""
    workspace = WorkspacePaths(new_directory(directory))
    with storage_errors(f"make {directory}"):
        source = example()
        for path in (workspace.raw, workspace.pre_stage, workspace.post_stage, workspace.state.parent):
            path.mkdir(parents=True, exist_ok=True)
        ignored = shutil.ignore_patterns(MARKER, "__pycache__", "*.pyc")
        shutil.copytree(source, workspace.config, dirs_exist_ok=True, ignore=ignored)
        # The marker comes last: a directory is a workspace when everything else is there.
        shutil.copyfile(source / MARKER, workspace.settings_file)
    return workspace
