"""A lake on the disk: files put into raw/, loaded, and read back."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from amci.app.engine import open_engine
from amci.kernel.clock import SystemClock
from amci.kernel.workspace import WorkspacePaths
from amci.lake.query.session import QuerySession, session

TABLE = "adtech_amc.blue_kettle_reach_daily_ver1"


def write(workspace: WorkspacePaths, key: str, text: str) -> None:
    path = workspace.raw / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    # Long landed, so that nothing has to settle; the size tells versions apart.
    os.utime(path, (1_700_000_000, 1_700_000_000))


def drain(workspace: WorkspacePaths) -> None:
    with open_engine(workspace, SystemClock(), {}) as engine:
        engine.drain(threading.Event())


@contextmanager
def reading(workspace: WorkspacePaths) -> Iterator[QuerySession]:
    with session(workspace, memory_limit=2**28, timeout=timedelta(seconds=30), threads=1) as opened:
        yield opened
