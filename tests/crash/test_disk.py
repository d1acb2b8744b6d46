"""A disk that refuses, for real: full or read-only, it is said, and the work resumes after."""

from __future__ import annotations

import ctypes
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_LIBC = ctypes.CDLL(None, use_errno=True)
_READ_ONLY, _REMOUNT = 1, 32

#: Calls to the disk of one command that are tried.
REFUSALS = 40


def mount(path: Path, flags: int, options: str) -> bool:
    return _LIBC.mount(b"tmpfs", os.fsencode(path), b"tmpfs", flags, options.encode()) == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB; skips where this user may not mount one."""
    path = tmp_path / "disk"
    path.mkdir()
    if not mount(path, 0, "size=8m"):
        pytest.skip("mounting a file system needs more rights than this user has")
    yield path
    assert _LIBC.umount2(os.fsencode(path), 2) == 0


def rows(n: int) -> str:
    return "v,text\n" + "".join(f"{i},{(i * 7919) % 1_000_003}-{i}\n" for i in range(n))


def test_a_full_disk_is_said_and_the_work_resumes_when_there_is_room(
    site_of: Any, amci: Any, tmp_path: Path, small_disk: Path
) -> None:
    site = site_of(small_disk / "workspace")
    home = str(site.workspace.home)
    outside = tmp_path / "raw"
    site.settings(f"roots: [{{name: raw, path: {outside}}}]\nmax_attempts: 2\n")
    site.dataset("d")
    site.put("adtech/d/t/small.csv", "v,text\n1,x\n", root=outside)
    assert amci("drain", "--home", home)[0] == 0
    ballast = small_disk / "ballast"
    free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
    ballast.write_bytes(b"\0" * (free - 600 * 1024))
    site.put("adtech/d/t/large.csv", rows(60_000), root=outside)
    refused, said = amci("drain", "--home", home)
    assert refused in (1, 3), said
    assert "bug in amci" not in said
    if refused == 1:
        assert "full" in said or "No space left" in said
    ballast.unlink()
    assert site.query("SELECT count(*) FROM adtech_d.t") == [(1,)]
    with site.engine() as engine:
        engine.redrive([], all_failed=True)
    assert amci("drain", "--home", home)[0] == 0
    assert site.query("SELECT count(*) FROM adtech_d.t") == [(60_001,)]
    assert site.quarantined() == {}


def test_a_read_only_disk_is_said_and_the_work_resumes_when_it_is_writable(
    site_of: Any, amci: Any, small_disk: Path
) -> None:
    site = site_of(small_disk / "workspace")
    home = str(site.workspace.home)
    site.dataset("d")
    site.put("adtech/d/t/a.csv", "v\n1\n")
    assert mount(small_disk, _REMOUNT | _READ_ONLY, "size=8m")
    refused, said = amci("drain", "--home", home)
    assert refused == 1
    assert "ead-only" in said
    assert "bug in amci" not in said
    assert mount(small_disk, _REMOUNT, "size=8m")
    assert amci("drain", "--home", home)[0] == 0
    assert site.query("SELECT v FROM adtech_d.t") == [(1,)]


def test_a_file_too_large_for_the_system_fails_its_run_and_can_be_redriven(site: Any, amci: Any) -> None:
    home = str(site.workspace.home)
    site.settings("max_attempts: 2\n")
    site.dataset("d")
    site.put("adtech/d/t/small.csv", "v,text\n1,x\n")
    assert amci("drain", "--home", home)[0] == 0
    site.put("adtech/d/t/large.csv", rows(60_000))
    refused, said = amci("drain", "--home", home, file_limit=300 * 1024)
    assert refused in (1, 3), said
    assert "bug in amci" not in said
    assert site.query("SELECT count(*) FROM adtech_d.t") == [(1,)]
    with site.engine() as engine:
        engine.redrive([], all_failed=True)
    assert amci("drain", "--home", home)[0] == 0
    assert site.query("SELECT count(*) FROM adtech_d.t") == [(60_001,)]


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_a_backup_or_restore_that_the_disk_refuses_says_what_to_do(
    site: Any, refusing: Any, tmp_path: Path, command: str
) -> None:
    """Calls spread over all of them fail from then on. Whoever does as the hint says gets there."""
    site.put("acme/workflow=reach/schedule=daily/2026-09-21-reach-ver1.csv", "user,cost\nu1,1\n")
    site.drain()
    home, kept, folder = site.workspace.home, tmp_path / "kept", tmp_path / "new"
    assert not refusing(home, 0, "backup", str(kept), below=kept)[0]
    words = ["backup", str(folder)] if command == "backup" else ["restore", str(kept), str(folder)]
    code, _, calls = refusing(home, 0, *words, below=folder)
    for number in range(1, len(calls), max(1, len(calls) // REFUSALS)):
        shutil.rmtree(folder)
        code, said, _ = refusing(home, -number, *words, below=folder)
        assert not code or (code == 1 and f"delete {folder}" in said), (calls[number - 1], said)
        assert code or (folder / ("backup.json" if command == "backup" else "amci.yaml")).exists()
    shutil.rmtree(folder)
    assert not refusing(home, 0, *words, below=folder)[0]
