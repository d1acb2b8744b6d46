"""Watching the roots: events are hints that one folder is worth a look, never more."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.polling import PollingObserver

from amci.kernel import log
from amci.lake.landing.roots import Root, is_taken


class _ToOurLog(logging.Handler):
    """What watchdog logs, such as a queue that overflowed or a thread that was stopped meanwhile, into amci's log.

    Without any handler, `logging` would print it on the terminal. The scans find what such events were about.
    """

    def emit(self, record: logging.LogRecord) -> None:
        log.get(__name__).info("watchdog", level_there=record.levelname, says=record.getMessage())


_TO_OUR_LOG = _ToOurLog(logging.WARNING)


class PendingFolders:
    """Folders worth a look and files known to be renamed into place, gathered until `take`.

    The observer's thread only adds to two sets; whatever is lost here, the next full scan finds.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._folders: set[tuple[str, str]] = set()
        self._renamed: set[tuple[str, str]] = set()
        self.arrived = threading.Event()

    def add(self, root: str, folder: str, renamed: str = "") -> None:
        """Something happened in `folder` of `root`; `renamed` is the key of a file that was moved there."""
        with self._lock:
            self._folders.add((root, folder))
            if renamed:
                self._renamed.add((root, renamed))
        self.arrived.set()

    def take(self) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
        """What gathered since the last call: (root, folder) pairs, and (root, key) pairs of renamed files."""
        with self._lock:
            folders, renamed = self._folders, self._renamed
            self._folders, self._renamed = set(), set()
            self.arrived.clear()
        return _outermost(folders), renamed


def _outermost(folders: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Without folders that lie inside another one of the set: looking there covers them."""
    kept: set[tuple[str, str]] = set()
    for root, folder in sorted(folders, key=lambda pair: len(pair[1])):
        parts = folder.split("/")
        above = {(root, "/".join(parts[:i])) for i in range(len(parts))} if folder else set()
        if not above & kept:
            kept.add((root, folder))
    return kept


class _Handler(FileSystemEventHandler):
    def __init__(self, root: Root, pending: PendingFolders) -> None:
        self._root = root
        self._pending = pending
        self._base = str(root.path)

    def on_any_event(self, event: FileSystemEvent) -> None:
        if event.event_type in ("opened", "closed_no_write"):
            return
        moved = event.event_type == "moved"
        for path in {str(event.src_path), str(event.dest_path)} - {""}:
            relative = path.removeprefix(self._base).lstrip("/")
            if not all(map(is_taken, relative.split("/"))) and relative:
                continue
            key = self._root.key(relative)
            if event.is_directory:
                self._pending.add(self._root.name, key)
                continue
            folder = key.rpartition("/")[0]
            arrived = key if moved and path == str(event.dest_path) else ""
            self._pending.add(self._root.name, folder, arrived)


def watching(roots: Iterable[Root], pending: PendingFolders) -> Callable[[], None]:
    """Start watching; returns what stops it.

    If the kernel refuses (too many watches), that root is left to the scans, and the log says so.
    """
    # watchdog watches what lies in a new folder, and again as the kernel tells of each folder in it; likewise when a
    # folder comes back that was moved away. The second watch takes the place of the first, as is right; but watchdog
    # 7.1 warns of it, on the terminal of `amci up`.
    warnings.filterwarnings("ignore", "Callback with id ", RuntimeWarning)
    logging.getLogger("watchdog").addHandler(_TO_OUR_LOG)
    observers: list[Any] = []
    for root in roots:
        if root.watch == "off":
            continue
        observer = PollingObserver(timeout=2) if root.watch == "polling" else Observer()
        observer.schedule(_Handler(root, pending), str(root.path), recursive=True)
        try:
            observer.start()
        except OSError as error:
            log.get(__name__).warning("not watching", root=root.name, reason=str(error.strerror))
            continue
        observers.append(observer)

    def stop() -> None:
        for observer in observers:
            observer.stop()
            observer.join()

    return stop


def as_root(name: str, path: Path, watch: str, prefix: str = "") -> Root:
    """A root with its path resolved, so that events and scans speak of the same names."""
    return Root(name, path.resolve(), watch, prefix)
