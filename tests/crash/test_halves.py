"""State and catalog copied at different moments of a load: refused or right, and right after `amci recover`."""

from __future__ import annotations

import itertools
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amci.app.engine import open_engine
from amci.app.recover import recover
from amci.kernel.errors import LakeMismatch
from amci.kernel.files import on_fault_point

from .test_kill import first_delivery, second_delivery

pytestmark = pytest.mark.crash

#: How many pairs the short and the long form try.
FEW, MANY = 6, 400


#: Copies databases, as of their newest commit. In another process: DuckDB brings an SQLite of its own, and a process
#: must not have two of them at one file.
COPY = """
import sqlite3, sys
for source, target in zip(sys.argv[1::2], sys.argv[2::2]):
    sqlite3.connect(source).backup(sqlite3.connect(target))
"""


def content(site: Any) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables, with the key of their file in place of its number and version."""
    names = site.tables()
    with site.asking() as ask:
        return {
            name: ask(
                f"SELECT o.key, t.* EXCLUDE (_object_id, _version) FROM {name} t"
                " JOIN (SELECT DISTINCT object_id, key FROM amci.objects) o ON o.object_id = t._object_id ORDER BY ALL"
            )
            for name in names
        }


def test_halves_of_different_moments_are_refused_or_right(
    site: Any,
    site_of: Callable[[Path], Any],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    first_delivery(site)
    site.drain()
    second_delivery(site)
    is_long = request.config.getoption("--crash-all")
    every = 1 if is_long else 8
    moments: list[tuple[Path, Path]] = []
    lock = threading.Lock()

    passed = itertools.count()

    def copy_both(_: str) -> None:
        with lock:
            if next(passed) % every:
                return
            state, catalog = tmp_path / f"{len(moments)}.state", tmp_path / f"{len(moments)}.catalog"
            words = [site.workspace.state, state, site.workspace.catalog, catalog]
            subprocess.run([sys.executable, "-c", COPY, *words], check=True)
            moments.append((state, catalog))

    on_fault_point(copy_both)
    try:
        site.drain()
    finally:
        on_fault_point(None)
    expected = content(site)
    pairs = [(state, catalog) for state in range(len(moments)) for catalog in range(len(moments))]
    pairs = random.Random(1).sample(pairs, MANY if is_long else FEW)  # noqa: S311
    wrong = []
    for state, catalog in pairs:
        again = site_of(tmp_path / f"again-{state}-{catalog}")
        shutil.copytree(site.workspace.home, again.workspace.home, dirs_exist_ok=True)
        for path in (again.workspace.state, again.workspace.catalog):
            for suffix in ("-wal", "-shm"):
                Path(f"{path}{suffix}").unlink(missing_ok=True)
        shutil.copy(moments[state][0], again.workspace.state)
        shutil.copy(moments[catalog][1], again.workspace.catalog)
        how = "accepted"
        try:
            again.drain()
        except LakeMismatch as error:
            how = f"{error}, recovered"
            with open_engine(again.workspace, again.clock, {}, is_checked=False) as engine:
                recover(engine)
            again.drain()
        if content(again) != expected:
            wrong.append(f"state of moment {state}, catalog of {catalog} of {len(moments)}: {how}")

    assert not wrong, "\n".join(wrong)
