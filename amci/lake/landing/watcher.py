"""Watches raw/: scans folders named by file events at once, everything every few minutes, and queues what is new."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from amci.kernel import log
from amci.kernel.clock import Clock
from amci.kernel.config import Settings
from amci.kernel.errors import StorageError
from amci.lake.landing.folder_events import PendingFolders, watching
from amci.lake.landing.ingest import Ingest
from amci.lake.landing.roots import Root

#: Events come in bursts; a look sooner than this would only be followed by another one.
_SHORTEST = timedelta(milliseconds=20)

_log = log.get("lookout")


@dataclass(frozen=True, slots=True)
class RawWatcher:
    """Watches the roots of an engine."""

    roots: list[Root]
    ingest: Ingest
    settings: Settings
    clock: Clock
    on_news: Callable[[], None]  #: called whenever there are new runs
    _pending: PendingFolders = field(default_factory=PendingFolders, init=False)

    def wake(self) -> None:
        """Have `watch` notice that it was told to stop."""
        self._pending.arrived.set()

    def watch(self, stop: threading.Event) -> None:
        """Look until `stop` is set and `wake` was called; a disk that refuses for a while is waited for."""
        stop_watching = watching(self.roots, self._pending)
        try:
            self._look_until(stop)
        finally:
            stop_watching()

    def _look_until(self, stop: threading.Event) -> None:
        everywhere = {(root.name, "") for root in self.roots}
        folders, renamed = everywhere, set[tuple[str, str]]()
        unsettled: set[tuple[str, str]] = set()
        next_scan = self.clock.now() + self.settings.scan_every
        while not stop.is_set():
            due = folders | unsettled
            unsettled = {place for place in sorted(due) if self._look(*place, renamed)}
            if due:
                # A burst of events costs one look per settle time, not one per event.
                self.clock.wait(stop, self.settings.settle / 4)
            pause = next_scan - self.clock.now()
            if unsettled:
                pause = min(pause, self.settings.settle)
            self.clock.wait(self._pending.arrived, max(pause, _SHORTEST))
            folders, renamed = self._pending.take()
            if self.clock.now() >= next_scan:
                folders, unsettled = everywhere, set()
                next_scan = self.clock.now() + self.settings.scan_every

    def _look(self, root: str, folder: str, renamed: set[tuple[str, str]]) -> bool:
        """Look at one folder; whether it is worth another look soon."""
        try:
            found = self.ingest.look(root, folder, renamed={key for r, key in renamed if r == root})
        except StorageError as error:
            _log.error("could not look", root=root, exc_info=error)
            return True
        if found.new or found.removed:
            _log.info("looked", new=found.new, unroutable=found.unroutable, removed=found.removed)
            self.on_news()
        return found.settling > 0
