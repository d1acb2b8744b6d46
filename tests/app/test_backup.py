"""A backup is right whenever it is taken; what is restored goes on as the original would have."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from amci.app.backup import MANIFEST, back_up, restore
from amci.app.init import create_workspace
from amci.kernel.errors import LakeMismatch, NotFound, NoWorkspace, StateError, StorageError, UsageError
from amci.kernel.workspace import find
from amci.lake.query.session import session
from amci.lake.upkeep.check import examine
from amci.lake.upkeep.publish import export_parquet

#: Backups beside a process that loads.
MANY = 8
REACH = "acme/workflow=reach/schedule=daily/2026-09-"


def quiet(_: str) -> None:
    """Tells nothing."""


@pytest.fixture
def loaded(site: Any) -> Any:
    site.dataset("orders", quality="[{not_null: [id], on_fail: quarantine_rows}]")
    site.put(f"{REACH}21-reach-ver1.csv", "user,cost\nu1,1\nu2,2\n")
    site.put("adtech/orders/lines/a.csv", "id,amount\n1,10\n,20\n")
    site.drain()
    return site


def test_what_is_restored_is_the_same_workspace(
    loaded: Any, site_of: Callable[[Path], Any], tmp_path: Path
) -> None:
    (loaded.workspace.home / "state" / "credentials.key").write_text("k", encoding="utf-8")
    copied = back_up(loaded.workspace, tmp_path / "backup", loaded.clock, quiet)
    assert copied.files == len(json.loads((tmp_path / "backup" / MANIFEST).read_text("utf-8"))["files"])
    assert not list((tmp_path / "backup").rglob("*.key"))
    assert restore(tmp_path / "backup", tmp_path / "again", quiet) == copied
    again = site_of(tmp_path / "again")
    assert again.drain().found.new == 0
    for name in loaded.tables():
        assert again.query(f"FROM {name} ORDER BY ALL") == loaded.query(f"FROM {name} ORDER BY ALL")
    with session(again.workspace, memory_limit=2**28, timeout=timedelta(minutes=1)) as asking:
        assert examine(asking, again.workspace, deep=True) == []
    assert again.quarantined() == loaded.quarantined()


def test_the_halves_of_an_original_and_its_restored_copy_do_not_go_together(
    loaded: Any, site_of: Callable[[Path], Any], tmp_path: Path
) -> None:
    back_up(loaded.workspace, tmp_path / "backup", loaded.clock, quiet)
    restore(tmp_path / "backup", tmp_path / "again", quiet)
    again = site_of(tmp_path / "again")
    again.workspace.catalog.write_bytes(loaded.workspace.catalog.read_bytes())
    with pytest.raises(LakeMismatch, match="catalog is of the time before a restore"):
        again.drain()


def test_a_backup_beside_a_process_that_loads_is_right(
    site: Any, site_of: Callable[[Path], Any], tmp_path: Path
) -> None:
    """Backups while a dozen files are loaded; five of them, spread, go on to the same lake."""
    site.dataset("orders")
    for n in range(12):
        site.put(f"adtech/orders/lines/{n}.csv", f"id,amount\n{n},10\n")
    site.settings("batch: 1\n")
    with subprocess.Popen(
        [sys.executable, "-m", "amci", "drain", "--home", str(site.workspace.home)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as drain:
        folders = []
        while drain.poll() is None and len(folders) < MANY:
            folder = tmp_path / f"backup-{len(folders)}"
            try:
                back_up(site.workspace, folder, site.clock, quiet)
            except StorageError:
                continue
            folders.append(folder)
        assert drain.wait() == 0
    assert folders
    expected = site.query("SELECT id, amount FROM adtech_orders.lines ORDER BY ALL")
    assert len(expected) == 12
    for number, folder in enumerate(folders[:: max(1, len(folders) // 4)]):
        restore(folder, tmp_path / f"again-{number}", quiet)
        again = site_of(tmp_path / f"again-{number}")
        again.drain()
        assert again.query("SELECT id, amount FROM adtech_orders.lines ORDER BY ALL") == expected
        assert len(again.ledger()) == 12


def test_a_directory_with_something_in_it_is_left_alone(loaded: Any, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "note").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match="not empty"):
        back_up(loaded.workspace, tmp_path / "here", loaded.clock, quiet)
    back_up(loaded.workspace, tmp_path / "backup", loaded.clock, quiet)
    with pytest.raises(UsageError, match="not empty"):
        restore(tmp_path / "backup", tmp_path / "here", quiet)


@pytest.mark.spread(3)
@pytest.mark.parametrize("what", ["backup", "restore", "export", "init"])
@pytest.mark.parametrize("place", ["a" * 300, "circle", "file/below", "/proc/below"])
def test_a_directory_that_cannot_be_is_the_callers_mistake(
    loaded: Any, tmp_path: Path, what: str, place: str
) -> None:
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "file").touch()
    back_up(loaded.workspace, tmp_path / "backup", loaded.clock, quiet)
    with loaded.engine() as engine:
        make: dict[str, Callable[[Path], Any]] = {
            "backup": lambda folder: back_up(loaded.workspace, folder, loaded.clock, quiet),
            "restore": lambda folder: restore(tmp_path / "backup", folder, quiet),
            "export": lambda folder: export_parquet(engine.catalog, folder, quiet),
            "init": create_workspace,
        }
        with pytest.raises(UsageError, match=r"^make .*: "):
            make[what](tmp_path / place)


def test_a_backup_that_is_not_whole_is_refused(loaded: Any, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no whole backup"):
        restore(tmp_path / "none", tmp_path / "again", quiet)
    back_up(loaded.workspace, tmp_path / "backup", loaded.clock, quiet)
    stage = next((tmp_path / "backup" / "stage" / "post-stage").rglob("*.parquet"))
    content = bytearray(stage.read_bytes())
    content[10] ^= 1
    stage.write_bytes(content)
    with pytest.raises(StateError, match=f"{stage.name} is not what was backed up"):
        restore(tmp_path / "backup", tmp_path / "again", quiet)
    stage.unlink()
    with pytest.raises(StateError, match=f"lacks .*{stage.name}"):
        restore(tmp_path / "backup", tmp_path / "once more", quiet)


def test_a_restore_that_is_interrupted_or_refused_leaves_no_workspace(loaded: Any, tmp_path: Path) -> None:
    back_up(loaded.workspace, tmp_path / "backup", loaded.clock, quiet)
    for number in range(len(json.loads((tmp_path / "backup" / MANIFEST).read_text("utf-8"))["files"])):
        told = iter(range(number))

        def interrupted(_: str, told: Iterator[int] = told) -> None:
            if next(told, None) is None:
                raise KeyboardInterrupt

        home = tmp_path / f"again-{number}"
        with pytest.raises(KeyboardInterrupt):
            restore(tmp_path / "backup", home, interrupted)
        with pytest.raises(NoWorkspace):
            find(home, {}, tmp_path)
    raw = next(p for p in (tmp_path / "backup" / "raw").rglob("*") if p.is_file())
    raw.write_bytes(raw.read_bytes()[:-1])
    with pytest.raises(StateError, match="not what was backed up"):
        restore(tmp_path / "backup", tmp_path / "refused", quiet)
    with pytest.raises(NoWorkspace):
        find(tmp_path / "refused", {}, tmp_path)


def test_pipes_are_passed_over_and_linked_folders_are_not_lost(loaded: Any, tmp_path: Path) -> None:
    home = loaded.workspace.home
    for place in ("raw/acme", "config", "quarantine"):
        os.mkfifo(home / place / "pipe.csv")
    (home / "config" / "datasets").rename(tmp_path / "datasets")
    (home / "config" / "datasets").symlink_to(tmp_path / "datasets")
    (home / "config" / "around").symlink_to(home / "config")
    (home / "raw" / "elsewhere").symlink_to(tmp_path)
    back_up(loaded.workspace, tmp_path / "backup", loaded.clock, quiet)
    restore(tmp_path / "backup", tmp_path / "again", quiet)
    names = {str(p.relative_to(tmp_path / "again")) for p in (tmp_path / "again").rglob("*") if p.is_file()}
    assert "config/datasets/orders.yaml" in names
    assert not [name for name in names if "pipe" in name or "around" in name or "elsewhere" in name]


@pytest.mark.parametrize("where", ["raw/backup", "stage/pre-stage/backup", "backup"])
def test_a_workspace_is_not_copied_into_itself(loaded: Any, where: str) -> None:
    with pytest.raises(UsageError, match="inside the workspace"):
        back_up(loaded.workspace, loaded.workspace.home / where, loaded.clock, quiet)
    assert not (loaded.workspace.home / where).exists()


@pytest.mark.parametrize(
    "manifest",
    [
        "",
        "[]",
        "{}",
        '{"files": 1}',
        '{"files": [1]}',
        "\udcff",
        '{"files": {}}',
        '{"files": {"\\u0000": {}}}',
    ],
)
def test_a_manifest_that_cannot_be_read_is_no_backup(tmp_path: Path, manifest: str) -> None:
    (tmp_path / MANIFEST).write_bytes(manifest.encode(errors="surrogateescape"))
    with pytest.raises(NotFound, match="no whole backup"):
        restore(tmp_path, tmp_path / "again", quiet)


def test_a_manifest_reaches_nothing_outside(tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    backup.mkdir()
    (tmp_path / "mine").write_text("mine", encoding="utf-8")
    (backup / MANIFEST).write_text('{"files": {"../mine": {}}}', encoding="utf-8")
    with pytest.raises(StateError, match="outside the workspace"):
        restore(backup, tmp_path / "again" / "deeper", quiet)
    assert not (tmp_path / "again" / "mine").exists()


def test_a_lake_whose_file_is_missing_is_not_backed_up_silently(loaded: Any, tmp_path: Path) -> None:
    next(loaded.workspace.post_stage.rglob("*.parquet")).unlink()
    with pytest.raises(StorageError, match="missing in the copy"):
        back_up(loaded.workspace, tmp_path / "backup", loaded.clock, quiet)
    assert not (tmp_path / "backup" / MANIFEST).exists()


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"PAR1 no more")])
def test_what_only_older_snapshots_need_and_was_lost_before_is_told(
    loaded: Any, site_of: Callable[[Path], Any], tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    damage(next(loaded.workspace.post_stage.glob("adtech_orders/lines/**/*.parquet")))
    with loaded.engine() as engine:
        engine.repair.run()
        engine.work(threading.Event())
    copied = back_up(loaded.workspace, tmp_path / "backup", loaded.clock, quiet)
    assert copied.missing == 1
    restore(tmp_path / "backup", tmp_path / "again", quiet)
    again = site_of(tmp_path / "again")
    assert again.query("SELECT id, amount FROM adtech_orders.lines") == [(1, 10)]


def test_a_workspace_in_which_nothing_has_run_can_be_backed_up(site: Any, tmp_path: Path) -> None:
    site.settings("")
    assert back_up(site.workspace, tmp_path / "backup", site.clock, quiet).files >= 1
    restore(tmp_path / "backup", tmp_path / "again", quiet)
    assert (tmp_path / "again" / "amci.yaml").exists()
