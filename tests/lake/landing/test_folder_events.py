"""Real events of a real directory; what they promise is a hint, so only that is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from watchdog.events import FileCreatedEvent

from amci.kernel.clock import stopwatch
from amci.lake.landing.folder_events import PendingFolders, _Handler as Handler, as_root, watching

LIMIT = 20.0  # seconds until a test that waits for an event gives up


class Ear:
    """Gathers hints until what was waited for is among them."""

    def __init__(self, hints: PendingFolders) -> None:
        self._hints = hints
        self.folders: set[str] = set()
        self.renamed: set[str] = set()

    def hears(self, enough: Callable[[Ear], bool]) -> bool:
        end = stopwatch() + LIMIT
        while not enough(self) and stopwatch() < end:
            self._hints.arrived.wait(0.2)
            folders, renamed = self._hints.take()
            self.folders |= {folder for _, folder in folders}
            self.renamed |= {key for _, key in renamed}
        return enough(self)

    def covers(self, folder: str) -> bool:
        """Whether that folder or one above it was hinted at."""
        parts = folder.split("/")
        return any("/".join(parts[:i]) in self.folders for i in range(len(parts) + 1))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "raw").mkdir()
    return tmp_path / "raw"


@pytest.fixture
def ear(root: Path) -> Iterator[Ear]:
    hints = PendingFolders()
    stop = watching([as_root("raw", root, "events")], hints)
    yield Ear(hints)
    stop()


def test_a_file_renamed_into_place_is_known_to_be_whole(root: Path, ear: Ear) -> None:
    (root / ".a.part").write_text("x", encoding="utf-8")
    (root / ".a.part").rename(root / "a.csv")
    assert ear.hears(lambda e: "a.csv" in e.renamed)


def test_a_burst_in_new_nested_folders_is_covered(root: Path, ear: Ear) -> None:
    folders = [f"new{i}/deeper/deepest" for i in range(40)]
    for folder in folders:
        (root / folder).mkdir(parents=True)
        for n in range(5):
            (root / folder / f"{n}.csv").write_text("x", encoding="utf-8")
    assert ear.hears(lambda e: all(e.covers(folder) for folder in folders))


def test_a_whole_directory_renamed_into_place_is_covered(root: Path, ear: Ear, tmp_path: Path) -> None:
    outside = tmp_path / "outside" / "workflow=reach"
    outside.mkdir(parents=True)
    (outside / "a.csv").write_text("x", encoding="utf-8")
    outside.rename(root / "workflow=reach")
    assert ear.hears(lambda e: e.covers("workflow=reach"))


@pytest.mark.parametrize(
    "key", [".hidden/a.csv", "folder/b.csv.part", "_temporary/0/c.csv", "folder/_SUCCESS"]
)
def test_what_is_never_taken_is_no_hint(root: Path, key: str) -> None:
    hints = PendingFolders()
    handler = Handler(as_root("raw", root, "events"), hints)
    handler.dispatch(FileCreatedEvent(str(root / key)))
    assert hints.take() == (set(), set())
    handler.dispatch(FileCreatedEvent(str(root / "folder" / "a.csv")))
    assert hints.take() == ({("raw", "folder")}, set())


def test_hints_are_taken_once_and_the_outermost_folder_speaks_for_those_inside() -> None:
    hints = PendingFolders()
    for folder in ("a/b", "a", "a/b/c", "ab", "x/y"):
        hints.add("raw", folder)
    hints.add("other", "a/b", renamed="a/b/f.csv")
    assert hints.arrived.is_set()
    folders, renamed = hints.take()
    assert folders == {("raw", "a"), ("raw", "ab"), ("raw", "x/y"), ("other", "a/b")}
    assert renamed == {("other", "a/b/f.csv")}
    assert hints.take() == (set(), set())


def test_nested_folders_and_one_that_comes_back_bring_no_warning(root: Path, ear: Ear) -> None:
    # pytest makes an error of a warning, and of one in a thread.
    (root / "a/b/c/d").mkdir(parents=True)
    assert ear.hears(lambda e: e.covers("a/b/c/d"))
    (root / "a").rename(root.parent / "away")
    (root.parent / "away").rename(root / "back")
    (root / "back/b/c/d/last.csv").write_text("x", encoding="utf-8")
    assert ear.hears(lambda e: e.covers("back/b/c/d"))
