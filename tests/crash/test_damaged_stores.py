"""A store that is damaged, newer or not a file at all: every command says so, and none calls it a bug."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.crash

PAGE = 4096


def flipped(path: Path) -> None:
    """Every page but the first is turned over."""
    content = path.read_bytes()
    path.write_bytes(content[:PAGE] + bytes(255 - byte for byte in content[PAGE:]))


def first_flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[100:1000] = bytes(255 - byte for byte in content[100:1000])
    path.write_bytes(content)


def newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_schema")}
        if "schema_migrations" in tables:
            db.execute("INSERT INTO schema_migrations VALUES (9999, '9999_future', '2030-01-01T00:00:00Z')")
        else:
            db.execute("UPDATE ducklake_metadata SET value = '99.0' WHERE key = 'version'")


def other_database(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE runs (x)")


DAMAGES: dict[str, Callable[[Path], object]] = {
    "truncated": lambda path: os.truncate(path, path.stat().st_size // 2),
    "odd length": lambda path: os.truncate(path, 1000),
    "zero length": lambda path: os.truncate(path, 0),
    "garbage": lambda path: path.write_bytes(bytes(n * n % 251 for n in range(20_000))),
    "text": lambda path: path.write_bytes(b"hello\n" * 1000),
    "pages": flipped,
    "first page": first_flipped,
    "newer": newer,
    "another database": other_database,
    "directory": lambda path: (path.unlink(), path.mkdir()),
    "pipe": lambda path: (path.unlink(), os.mkfifo(path)),
    "device": lambda path: (path.unlink(), path.symlink_to("/dev/zero")),
}
COMMANDS = {
    "status": ("status",),
    "query": ("query", "SELECT count(*) FROM adtech_d.t"),
    "drain": ("drain",),
    "check": ("lake", "check"),
    "files": ("lake", "files"),
    "doctor": ("doctor",),
    "executions": ("exec", "list"),
    "runs": ("runs", "list"),
}


@pytest.fixture(scope="module")
def whole(site_of: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with rows."""
    site = site_of(tmp_path_factory.mktemp("whole") / "workspace")
    site.dataset("d")
    site.put("adtech/d/t/a.csv", "v\n" + "1\n" * 100)
    site.drain()
    for name in ("amci.db", "catalog.db"):
        with closing(sqlite3.connect(site.workspace.home / "state" / name)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    home: Path = site.workspace.home
    return home


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("store", ["amci.db", "catalog.db"])
def test_a_damaged_store_is_no_bug(
    whole: Path, tmp_path: Path, store: str, damage: str, amci: Callable[..., tuple[int, str]]
) -> None:
    wrong = []
    for name, words in COMMANDS.items():
        home = tmp_path / name
        shutil.copytree(whole, home)
        DAMAGES[damage](home / "state" / store)
        code, said = amci(*words, "--home", str(home))
        if code in (70, 14, -14) or code < 0 or "Traceback" in said or "a bug in amci" in said:
            wrong.append(f"{name}: {code}: {said}")
        elif code not in (0, 3) and name != "doctor" and "hint: " not in said:
            wrong.append(f"{name}: {code}: no hint: {said}")
        shutil.rmtree(home)
    assert not wrong, "\n".join(wrong)
