from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from amci.kernel.errors import NoWorkspace, WorkspaceBusy
from amci.kernel.workspace import MARKER, WorkspacePaths, find


def made(home: Path) -> Path:
    home.mkdir(parents=True)
    (home / MARKER).write_text("", encoding="utf-8")
    return home


def test_a_workspace_is_found_here_and_above(tmp_path: Path) -> None:
    home = made(tmp_path / "w")
    inside = home / "raw" / "deep"
    inside.mkdir(parents=True)
    assert find(None, {}, inside).home == home
    assert find(None, {}, home).home == home


def test_home_goes_before_the_environment_and_that_before_here(tmp_path: Path) -> None:
    a, b, c = (made(tmp_path / name) for name in "abc")
    assert find(a, {"AMCI_HOME": str(b)}, c).home == a
    assert find(None, {"AMCI_HOME": str(b)}, c).home == b
    assert find(None, {"AMCI_HOME": ""}, c).home == c


@pytest.mark.parametrize("environ", [{}, {"AMCI_HOME": "/nowhere"}])
def test_no_workspace_is_said_with_where_it_was_looked_for(tmp_path: Path, environ: dict[str, str]) -> None:
    with pytest.raises(NoWorkspace) as missing:
        find(None, environ, tmp_path)
    assert (environ.get("AMCI_HOME") or str(tmp_path)) in str(missing.value)
    assert missing.value.exit_code == 10


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    workspace = WorkspacePaths(made(tmp_path / "w"))
    assert workspace.writer() is None
    with workspace.writing():
        assert workspace.writer() == str(os.getpid())
        with pytest.raises(WorkspaceBusy, match=str(os.getpid())), workspace.writing():
            pass
    assert workspace.writer() is None


def test_the_lock_ends_with_its_process(tmp_path: Path) -> None:
    workspace = WorkspacePaths(made(tmp_path / "w"))
    holding = (
        "import sys, signal\nfrom pathlib import Path\nfrom amci.kernel.workspace import WorkspacePaths\n"
        f"with WorkspacePaths(Path({str(workspace.home)!r})).writing():\n"
        "    print('held', flush=True)\n    signal.pause()\n"
    )
    with subprocess.Popen([sys.executable, "-c", holding], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        assert other.stdout.readline() == "held\n"
        assert workspace.writer() == str(other.pid)
        other.send_signal(signal.SIGKILL)
        other.wait()
    with workspace.writing():
        assert workspace.writer() == str(os.getpid())


def test_paths_are_said_relative_to_the_workspace(tmp_path: Path) -> None:
    workspace = WorkspacePaths(tmp_path)
    assert workspace.relative(tmp_path / "raw" / "a.csv") == "raw/a.csv"
    assert workspace.relative(Path("/elsewhere/a.csv")) == "/elsewhere/a.csv"
