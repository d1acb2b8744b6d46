from __future__ import annotations

import os
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from amci.lake.landing.object_store import Landed
from amci.lake.landing.roots import Root, Settling, is_taken, nameable, scan

NOW = datetime(2026, 11, 1, 6, tzinfo=UTC)


def keys(path: Path, under: str = "") -> list[str]:
    return sorted(landed.key for landed in scan(Root("raw", path), under))


@pytest.mark.parametrize(
    "name", [".hidden", "a.csv.part", "b.TMP", "c.crdownload", "d.filepart", "_SUCCESS", "_temporary"]
)
def test_unfinished_and_marker_files_are_never_taken(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("x", encoding="utf-8")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / name).mkdir()
    (tmp_path / "folder" / name / "inside.csv").write_text("x", encoding="utf-8")
    assert not is_taken(name)
    assert keys(tmp_path) == []


def test_only_regular_files_are_taken(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.csv")
    with socket.socket(socket.AF_UNIX) as listening:
        here = Path.cwd()
        os.chdir(tmp_path)  # the path of a socket may have 107 bytes only
        try:
            listening.bind("socket.csv")
        finally:
            os.chdir(here)
        (tmp_path / "plain.csv").write_text("x", encoding="utf-8")
        assert keys(tmp_path) == ["plain.csv"]


def test_links_are_followed_to_files_inside_the_root_only(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "folder").mkdir(parents=True)
    (root / "folder" / "real.csv").write_text("x", encoding="utf-8")
    (tmp_path / "root-secret.csv").write_text("x", encoding="utf-8")
    (root / "inside.csv").symlink_to(root / "folder" / "real.csv")
    (root / "outside.csv").symlink_to(tmp_path / "root-secret.csv")
    (root / "round").symlink_to(root)
    (root / "broken.csv").symlink_to(root / "nothing")
    assert keys(root) == ["folder/real.csv", "inside.csv"]


def test_names_that_cannot_be_stored_show_their_odd_bytes(tmp_path: Path) -> None:
    for name in (b"new\nline.csv", b"latin-\xe9.csv", b"bell\x07.csv"):
        (Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))).write_bytes(b"x")
    (tmp_path / "fine-é.csv").write_bytes(b"x")
    found = {landed.key: landed.has_odd_name for landed in scan(Root("raw", tmp_path))}
    assert found == {
        "new\\nline.csv": True,
        "latin-\\xe9.csv": True,
        "bell\\x07.csv": True,
        "fine-é.csv": False,
    }


@pytest.mark.parametrize(
    ("folder", "expected"),
    [("a/b", "a/b"), ("", ""), ("a/b\n/c", "a"), ("\udcff", ""), ("a/é/\x07", "a/é")],
)
def test_an_odd_folder_is_looked_at_from_the_last_good_one(folder: str, expected: str) -> None:
    assert nameable(folder) == expected


def test_a_folder_alone_can_be_scanned_and_may_be_gone_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.csv").write_text("x", encoding="utf-8")
    (tmp_path / "b").write_text("x", encoding="utf-8")
    assert keys(tmp_path, "a") == ["a/x.csv"]
    assert keys(tmp_path, "gone") == []
    assert keys(tmp_path, "b") == []
    with pytest.raises(FileNotFoundError):
        keys(tmp_path / "gone")


def landed(mtime: datetime, size: int = 1) -> Landed:
    return Landed("raw", "a.csv", size, int(mtime.timestamp() * 1e9))


def test_a_file_whose_mtime_is_old_enough_has_landed_at_first_sight() -> None:
    settling = Settling(timedelta(seconds=1))
    assert settling.has_landed(landed(NOW - timedelta(seconds=1)), NOW, trusts_mtime=True)
    assert not settling.has_landed(landed(NOW), NOW, trusts_mtime=True)


@pytest.mark.parametrize("trusts_mtime", [True, False])
def test_a_file_from_the_future_or_another_clock_has_to_stand_still(*, trusts_mtime: bool) -> None:
    settling = Settling(timedelta(seconds=1))
    future, later = landed(NOW + timedelta(days=1)), timedelta(seconds=1)
    assert not settling.has_landed(future, NOW, trusts_mtime=trusts_mtime)
    assert not settling.has_landed(future, NOW + later / 2, trusts_mtime=trusts_mtime)
    grown = landed(NOW + timedelta(days=1), size=2)
    assert not settling.has_landed(grown, NOW + later, trusts_mtime=trusts_mtime)
    assert settling.has_landed(grown, NOW + 2 * later, trusts_mtime=trusts_mtime)
    # What has landed is forgotten: it would have to stand still again.
    assert not settling.has_landed(grown, NOW + 2 * later, trusts_mtime=trusts_mtime)
