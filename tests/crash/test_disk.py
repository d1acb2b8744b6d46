"""A disk that refuses, for real: full or read-only, it is said, and the work resumes after."""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_LIBC = ctypes.CDLL(None, use_errno=True)
_READ_ONLY, _REMOUNT = 1, 32


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


def drain(site: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "amci", "drain", "--home", str(site.workspace.home)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_full_disk_is_said_and_the_work_resumes_when_there_is_room(
    site_of: Any, tmp_path: Path, small_disk: Path
) -> None:
    site = site_of(small_disk / "workspace")
    outside = tmp_path / "raw"
    site.settings(f"roots: [{{name: raw, path: {outside}}}]\nmax_attempts: 2\n")
    site.dataset("d")
    site.put("adtech/d/t/small.csv", "v,text\n1,x\n", root=outside)
    assert drain(site).returncode == 0
    ballast = small_disk / "ballast"
    free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
    ballast.write_bytes(b"\0" * (free - 600 * 1024))
    site.put("adtech/d/t/large.csv", rows(60_000), root=outside)
    refused = drain(site)
    assert refused.returncode in (1, 3), refused.stderr
    assert "bug in amci" not in refused.stderr
    if refused.returncode == 1:
        assert "full" in refused.stderr or "No space left" in refused.stderr
    ballast.unlink()
    assert site.query("SELECT count(*) FROM adtech_d.t") == [(1,)]
    with site.engine() as engine:
        engine.redrive([], all_failed=True)
    assert drain(site).returncode == 0
    assert site.query("SELECT count(*) FROM adtech_d.t") == [(60_001,)]
    assert site.quarantined() == {}


def test_a_read_only_disk_is_said_and_the_work_resumes_when_it_is_writable(
    site_of: Any, small_disk: Path
) -> None:
    site = site_of(small_disk / "workspace")
    site.dataset("d")
    site.put("adtech/d/t/a.csv", "v\n1\n")
    assert mount(small_disk, _REMOUNT | _READ_ONLY, "size=8m")
    refused = drain(site)
    assert refused.returncode == 1
    assert "ead-only" in refused.stderr
    assert "bug in amci" not in refused.stderr
    assert mount(small_disk, _REMOUNT, "size=8m")
    assert drain(site).returncode == 0
    assert site.query("SELECT v FROM adtech_d.t") == [(1,)]


def test_a_file_too_large_for_the_system_fails_its_run_and_can_be_redriven(site: Any) -> None:
    site.settings("max_attempts: 2\n")
    site.dataset("d")
    site.put("adtech/d/t/small.csv", "v,text\n1,x\n")
    assert drain(site).returncode == 0
    site.put("adtech/d/t/large.csv", rows(60_000))
    limit = 300 * 1024
    refused = subprocess.run(
        [sys.executable, "-m", "amci", "drain", "--home", str(site.workspace.home)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert refused.returncode in (1, 3), refused.stderr
    assert "bug in amci" not in refused.stderr
    assert site.query("SELECT count(*) FROM adtech_d.t") == [(1,)]
    with site.engine() as engine:
        engine.redrive([], all_failed=True)
    assert drain(site).returncode == 0
    assert site.query("SELECT count(*) FROM adtech_d.t") == [(60_001,)]
