"""Waits for runs to end: does them here, or watches the process that has the workspace do them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import TYPE_CHECKING

from amci.app.session import Session
from amci.kernel.errors import WorkspaceBusy
from amci.kernel.run import Run

if TYPE_CHECKING:
    from amci.app.engine import Engine

#: How often the state file is read while another process works.
_POLL = timedelta(milliseconds=200)


def complete_runs(
    session: Session,
    keys: Sequence[str],
    open_engine: Callable[[], AbstractContextManager[Engine]],
    stop: threading.Event,
    *,
    is_patient: bool = True,
    progress: Callable[[Run], None] | None = None,
) -> list[Run]:
    """The runs with these keys when they and what follows from them have ended, or when `stop` is set.

    Not `is_patient`: a run that waits for something is tried once and left to `amci up`.
    """
    if keys:
        try:
            with open_engine() as engine:
                engine.finish(keys, stop, progress, is_patient=is_patient)
        except WorkspaceBusy:
            _watch(session, keys, stop, is_patient=is_patient)
    return session.runs.by_keys(keys)


def _watch(session: Session, keys: Sequence[str], stop: threading.Event, *, is_patient: bool) -> None:
    """Wait until another process has ended these runs, or tried them."""

    def has_ended(run: Run) -> bool:
        is_tried = run.status == "PENDING" and run.claims > 0
        return run.status.is_final or (is_tried and not is_patient)

    while not all(map(has_ended, session.runs.by_keys(keys))):
        if session.clock.wait(stop, _POLL):
            return
