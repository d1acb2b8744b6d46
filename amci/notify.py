"""Telling someone what happened: a line on the console or a JSON line in a file, by event and tenant."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, TextIO

from amci import log
from amci.clock import timestamp
from amci.errors import AmciError, ConfigError, Problem, StorageError
from amci.files import storage_errors

#: Amazon SNS takes no longer subject, and the AWS solution cut its own there.
LONGEST_SUBJECT = 100

_log = log.get("notify")


class TargetKind(StrEnum):
    """Where notices go."""

    CONSOLE = "console"
    FILE = "file"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyTarget:
    """One place that wants to hear of some events; raises ConfigError where a file has no path."""

    kind: TargetKind
    path: Path | None = None  #: of a file
    events: frozenset[str] = frozenset()  #: empty means every event
    tenants: frozenset[str] = frozenset()  #: empty means every tenant, and what concerns none

    def __post_init__(self) -> None:
        if self.kind is TargetKind.FILE and self.path is None:
            raise ConfigError([Problem("", "notify.path", "a target of kind 'file' needs a path")])

    def wants(self, notice: Notice) -> bool:
        """Whether this notice is for this target."""
        return (not self.events or notice.event in self.events) and (
            not self.tenants or notice.tenant_id in self.tenants
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.path}" if self.path else str(self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something a person may want to know."""

    event: str
    subject: str  #: one line; whatever is longer than an SNS subject is cut
    body: str = ""
    run_id: int | None = None
    tenant_id: str | None = None
    at: datetime
    fields: Mapping[str, Any] = field(default_factory=dict)  #: to filter by, as SNS message attributes were

    def __post_init__(self) -> None:
        one_line = " ".join("".join(c if c.isprintable() else " " for c in self.subject).split())
        object.__setattr__(self, "subject", one_line[:LONGEST_SUBJECT])


@dataclass(frozen=True, slots=True)
class Failure:
    """A notice that did not arrive."""

    target: str
    event: str
    error: AmciError


class Notifier:
    """Hands notices to the targets that want them; one that fails is noted and harms nobody."""

    def __init__(self, targets: Sequence[NotifyTarget], *, console: TextIO | None = None) -> None:
        """`console`: where the console's lines go; stderr where there is none."""
        self._targets = tuple(targets)
        self._console = console
        self._lock = threading.Lock()
        self.failures: list[Failure] = []

    def send(self, notice: Notice) -> None:
        """Tell every target that wants to know."""
        for target in self._targets:
            if target.wants(notice):
                try:
                    with self._lock:
                        self._deliver(target, notice)
                except AmciError as error:
                    self.failures.append(Failure(str(target), notice.event, error))
                    _log.warning(
                        "notice not delivered", target=str(target), notice=notice.event, exc_info=error
                    )

    def _deliver(self, target: NotifyTarget, notice: Notice) -> None:
        if target.path is not None:
            with storage_errors(f"write {target.path.name}"):
                _append(target.path, _line(notice))
            return
        console = self._console or sys.stderr
        try:
            console.write(f"{notice.event}: {notice.subject}\n")
            console.flush()
        except (OSError, ValueError) as error:  # closed, or it cannot show these characters
            raise StorageError("write to the console: it does not take the line") from error


def _line(notice: Notice) -> bytes:
    values = {
        "event": notice.event,
        "subject": notice.subject,
        "body": notice.body,
        "run_id": notice.run_id,
        "tenant_id": notice.tenant_id,
        "at": timestamp(notice.at),
        "fields": notice.fields,
    }
    return json.dumps(values, separators=(",", ":"), default=str).encode() + b"\n"


def _append(path: Path, line: bytes) -> None:
    """One whole line at the end; where a full disk had torn the last one, the new one still stands alone."""
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
