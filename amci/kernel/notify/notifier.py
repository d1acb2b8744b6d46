"""Sends notices: to the console and files at once, by webhook and e-mail through runs."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Self, TextIO

from amci.kernel import log
from amci.kernel.clock import timestamp
from amci.kernel.config import NotifySettings
from amci.kernel.errors import AmciError, NotFound, StorageError
from amci.kernel.files import storage_errors
from amci.kernel.notify.notice import NOTIFY, Notice, NotifyTarget
from amci.kernel.run import NewRun
from amci.kernel.workspace import WorkspacePaths

_log = log.get("notify")


class Notifier:
    """Hands notices to the targets that want them; one that fails is logged, and the others get theirs."""

    def __init__(self, targets: Sequence[NotifyTarget], *, console: TextIO | None = None) -> None:
        """`console`: where the console's lines go; by default stderr."""
        self._targets = tuple(targets)
        self._console = console
        self._lock = threading.Lock()

    @classmethod
    def of(
        cls,
        workspace: WorkspacePaths,
        settings: Iterable[NotifySettings],
        of_tenants: Mapping[str, Iterable[NotifySettings]],
    ) -> Self:
        """The targets of a workspace, and those of each tenant for its own runs; raises ConfigError."""
        every: list[tuple[str | None, Iterable[NotifySettings]]] = [(None, settings), *of_tenants.items()]
        return cls([NotifyTarget.of(workspace.home, one, tenant) for tenant, given in every for one in given])

    @property
    def remote(self) -> Sequence[NotifyTarget]:
        """The targets that are notified through runs."""
        return [target for target in self._targets if target.is_remote]

    def target(self, target_id: str) -> NotifyTarget:
        """The remote target with this id; raises NotFound if it is not configured any more."""
        for target in self.remote:
            if target.target_id == target_id:
                return target
        raise NotFound(f"no target '{target_id}' any more", hint="it was changed or taken out of `notify:`")

    def hears(self, event: str, run_kind: str, tenant_id: str | None, *, at_once: bool) -> bool:
        """Whether a target may want notices of such an event of such a run: `at_once`, or by runs of its own."""
        return any(
            target.is_remote != at_once and target.hears(event, run_kind, tenant_id)
            for target in self._targets
        )

    def send(self, notice: Notice) -> None:
        """Write the notice to every console and file that wants it."""
        for target in self._wanting(notice):
            if not target.is_remote:
                try:
                    with self._lock:
                        self._deliver(target, notice)
                except AmciError as error:
                    _log.warning(
                        "notice not delivered", target=str(target), notice=notice.event, exc_info=error
                    )

    def runs_for(self, notice: Notice) -> list[NewRun]:
        """The runs that notify the remote targets; the same notice makes the same runs."""
        occasion = notice.occasion or timestamp(notice.at)
        return [
            NewRun(
                idempotency_key=f"{NOTIFY}:{target.target_id}:{notice.run_id}:{notice.event}:{occasion}",
                kind=NOTIFY,
                payload={"target": target.target_id, "notice": notice.document()},
                tenant_id=notice.tenant_id,
                pool=target.pool,
            )
            for target in self._wanting(notice)
            if target.is_remote
        ]

    def _wanting(self, notice: Notice) -> list[NotifyTarget]:
        if notice.fields.get("kind") == NOTIFY:
            return []
        return [target for target in self._targets if target.wants(notice)]

    def _deliver(self, target: NotifyTarget, notice: Notice) -> None:
        if target.path is not None:
            line = json.dumps(notice.document(), separators=(",", ":")).encode() + b"\n"
            with storage_errors(f"write {target.path.name}"):
                _append(target.path, line)
            return
        console = self._console or sys.stderr
        try:
            console.write(f"{notice.event}: {notice.subject}\n")
            console.flush()
        except (OSError, ValueError) as error:  # closed, or it cannot show these characters
            raise StorageError("write to the console: it does not take the line") from error


def _append(path: Path, line: bytes) -> None:
    """Append one whole line; if a full disk cut the last one short, the new one still gets a line of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        size = os.fstat(handle).st_size
        if size and os.pread(handle, 1, size - 1) != b"\n":
            line = b"\n" + line
        while line:
            line = line[os.write(handle, line) :]
        os.fsync(handle)
    finally:
        os.close(handle)
