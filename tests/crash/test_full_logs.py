"""A log or a standard error that takes nothing more: work goes on, and ends as it would have."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.crash


@pytest.mark.spread(6)
@pytest.mark.parametrize("log", ["full", "whole"])
@pytest.mark.parametrize("stderr", ["full", "no reader", "whole"])
@pytest.mark.parametrize("is_good", [True, False])
def test_what_cannot_be_logged_fails_no_run(
    site: Any, log: str, stderr: str, is_good: bool, tmp_path: Path
) -> None:
    site.settings("log_level: debug\n")
    site.workspace.settings_file.write_text(
        site.workspace.settings_file.read_text(encoding="utf-8").replace(
            "notify: []", "notify: [{kind: console}]"
        ),
        encoding="utf-8",
    )
    site.dataset("d")
    site.put("adtech/d/t/a.csv", "v\n1\n" if is_good else "v,w\n1\n")
    site.put("adtech/d/t/b.csv", "v\n2\n")
    if log == "full":
        site.workspace.log.parent.mkdir(parents=True)
        site.workspace.log.symlink_to("/dev/full")
    reading, writing = os.pipe()
    os.close(reading)
    target = {"full": os.open("/dev/full", os.O_WRONLY), "no reader": writing}
    target["whole"] = os.open(tmp_path / "stderr", os.O_WRONLY | os.O_CREAT)
    done = subprocess.run(
        [sys.executable, "-m", "amci", "drain", "--home", site.workspace.home],
        stdout=subprocess.PIPE,
        stderr=target[stderr],
        text=True,
        check=False,
    )
    for handle in target.values():
        os.close(handle)
    assert done.returncode == (0 if is_good else 3)
    assert done.stdout.startswith("2 new object versions")
    assert "Traceback" not in (tmp_path / "stderr").read_text(encoding="utf-8")
    assert "Logging error" not in (tmp_path / "stderr").read_text(encoding="utf-8")
    assert len(site.ledger()) == (2 if is_good else 1)


@pytest.mark.spread(2)
@pytest.mark.parametrize("words", [["status"], ["runs", "list", "--json"], ["--help"], ["lake", "tables"]])
def test_results_that_cannot_be_written_are_an_error_of_the_disk(site: Any, words: list[str]) -> None:
    site.dataset("d")
    site.put("adtech/d/t/a.csv", "v\n1\n")
    site.drain()
    with Path("/dev/full").open("wb") as full:
        home = [] if words == ["--help"] else ["--home", site.workspace.home]
        done = subprocess.run(
            [sys.executable, "-m", "amci", *words, *home],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert "a bug in amci" not in done.stderr
