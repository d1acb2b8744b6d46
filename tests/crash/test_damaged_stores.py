"""A store that is damaged, newer or not a file at all: every command says so, and none calls it a bug."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from amci.lake.catalog import duck

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


@pytest.mark.spread(6)
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


@pytest.fixture(scope="module", params=["no ledger", "no lake", "no bytes"])
def begun(request: pytest.FixtureRequest, site_of: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose catalog was made by a process that died, or whose disk refused, before it was whole."""
    site = site_of(tmp_path_factory.mktemp("begun") / "workspace")
    site.dataset("d", partition_by=["v"])
    site.put("adtech/d/t/a.csv", "v\n1\n")
    site.workspace.catalog.parent.mkdir(exist_ok=True)
    if request.param != "no ledger":
        with closing(sqlite3.connect(site.workspace.catalog)) as db:
            db.execute("PRAGMA journal_mode = WAL" if request.param == "no lake" else "PRAGMA user_version")
        site.workspace.catalog.touch()
        return site.workspace.home  # type: ignore[no-any-return]
    with duck.connect(memory_limit=2**28, threads=1) as con:
        duck.attach(con, site.workspace.catalog, site.workspace.post_stage)
    return site.workspace.home  # type: ignore[no-any-return]


@pytest.mark.spread(2)
def test_a_catalog_that_was_only_made_is_an_empty_lake(begun: Path, tmp_path: Path, amci: Any) -> None:
    commands = [
        *COMMANDS.values(),
        ("plan",),
        ("query", "SELECT 1", "--tenant", "acme"),
        ("query", "SELECT 1", "--as-of", "0"),
        ("lake", "tables"),
        ("lake", "check", "--deep"),
        ("lake", "check", "--repair"),
        ("lake", "compact"),
        ("lake", "expire"),
        ("lake", "vacuum"),
        ("lake", "export"),
        ("recover",),
        ("backup", str(tmp_path / "backup")),
    ]
    for number, words in enumerate(commands):
        home = tmp_path / f"{number}"
        shutil.copytree(begun, home)
        code, said = amci(*words, "--home", str(home))
        assert code in (0, 4), f"{words}: {code}: {said}"
        assert not {"bug", "error"} & set(said.split()), f"{words}: {said}"
    assert amci("drain", "--home", str(home))[0] == 0
    code, said = amci("query", "SELECT sum(v) AS total FROM adtech_d.t", "--json", "--home", str(home))
    assert (code, json.loads(said)) == (0, [{"total": 1}])


#: Commands that read each of the other stores, and where it lies.
OTHERS = {
    "sandbox": (
        "sandbox/sandbox.db",
        [("exec", "reconcile", "--tenant", "acme"), ("plan",), ("workflow", "list")],
    ),
    "credentials": (
        "state/credentials.enc",
        [("auth", "list"), ("auth", "remove", "x", "--secret"), ("auth", "rotate"), ("status",), ("doctor",)],
    ),
    "key": ("state/credentials.key", [("auth", "list"), ("auth", "rotate"), ("doctor",)]),
    "fixture": (
        "fixtures/default.yaml",
        [("fixtures", "list"), ("fixtures", "show", "default"), ("fixtures", "verify")],
    ),
}


@pytest.fixture(scope="module")
def with_all(
    site_of: Any, tmp_path_factory: pytest.TempPathFactory, amci: Callable[..., tuple[int, str]]
) -> Path:
    """A workspace with a sandbox, credentials and a fixture."""
    site = site_of(tmp_path_factory.mktemp("all") / "workspace")
    site.settings("amc: {mode: sandbox}\n")
    site.configure(
        "tenants/acme.yaml",
        "tenant: acme\ninstance_id: amcacme1\nadvertiser_id: ENTITYACME\nmarketplace_id: ATVPDKIKX0DER\n",
    )
    home: Path = site.workspace.home
    secret = home.parent / "secret"
    secret.write_text("s3cret", encoding="utf-8")
    assert amci("plan", "--home", str(home))[0] == 0
    assert amci("auth", "set", "--secret", "x", "--file", str(secret), "--home", str(home))[0] == 0
    (home / "fixtures").mkdir()
    (home / "fixtures/default.yaml").write_text("amci: '0'\nexchanges: []\n", encoding="utf-8")
    return home


@pytest.mark.spread(6)
@pytest.mark.parametrize(
    ("store", "damage"),
    [(store, damage) for store in OTHERS for damage in DAMAGES if damage != "newer" or store == "sandbox"],
)
def test_another_store_that_is_damaged_is_no_bug(
    with_all: Path, tmp_path: Path, store: str, damage: str, amci: Callable[..., tuple[int, str]]
) -> None:
    where, commands = OTHERS[store]
    wrong = []
    for words in commands:
        home = tmp_path / "copy"
        shutil.copytree(with_all, home)
        DAMAGES[damage](home / where)
        code, said = amci(*words, "--home", str(home))
        if code in (70, 14, -14) or code < 0 or "Traceback" in said or "a bug in amci" in said:
            wrong.append(f"{words}: {code}: {said}")
        shutil.rmtree(home)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("limit", [1, 5000, 50_000])
def test_a_disk_without_room_is_no_bug(
    whole: Path, tmp_path: Path, limit: int, amci: Callable[..., tuple[int, str]]
) -> None:
    wrong = []
    for words in COMMANDS.values():
        home = tmp_path / "copy"
        shutil.copytree(whole, home)
        (home / "raw/adtech/d/t/b.csv").write_text("v\n2\n", encoding="utf-8")
        os.utime(home / "raw/adtech/d/t/b.csv", (1, 1))
        code, said = amci(*words, "--home", str(home), file_limit=limit)
        if code == 70 or code < 0 or "Traceback" in said or "a bug in amci" in said:
            wrong.append(f"{words}: {code}: {said}")
        shutil.rmtree(home)
    assert not wrong, "\n".join(wrong)


#: Runs amci without the right of root to read and write everything.
PLAIN = (
    "import ctypes, os, sys\n"
    "for right in (1, 2): ctypes.CDLL(None).prctl(24, right, 0, 0, 0)\n"
    "os.execv(sys.executable, [sys.executable, '-m', 'amci', *sys.argv[1:]])\n"
)
#: What may not be read or written, below the workspace; whether a drain goes on all the same; and what is said.
CLOSED = {
    "settings": ("amci.yaml", 0, 2, "amci.yaml: cannot be read: Permission denied"),
    "a dataset": ("config/datasets/d.yaml", 0, 2, "d.yaml: cannot be read: Permission denied"),
    "a folder of config/": ("config/tenants", 0, 2, "tenants: cannot be read: Permission denied"),
    "a transform": ("config/transforms/t.py", 0, 2, "t.py: cannot be read: Permission denied"),
    "the state": ("state/amci.db", 0o444, 1, "the state file"),
    "an unreadable state": ("state/amci.db", 0, 1, "the state file"),
    "the catalog": ("state/catalog.db", 0o444, 1, "catalog"),
    "an unreadable catalog": ("state/catalog.db", 0, 1, "catalog"),
    "the folder of the state": ("state", 0o555, 1, "hint: "),
    "the log": ("logs/amci.jsonl", 0, 1, "amci.jsonl: Permission denied"),
    "a raw file": ("raw/adtech/d/t/b.csv", 0, 3, "1 failed"),
    "a folder of raw/": ("raw/adtech/e", 0, 0, "2 succeeded"),
    "a note": ("raw/adtech/d/t/.b.csv.meta.json", 0, 0, "2 succeeded"),
}


@pytest.mark.spread(6)
@pytest.mark.parametrize("name", CLOSED)
def test_what_may_not_be_read_or_written_is_said(whole: Path, tmp_path: Path, name: str) -> None:
    where, mode, code, says = CLOSED[name]
    home = tmp_path / "copy"
    shutil.copytree(whole, home)
    for path in ("b.csv", ".b.csv.meta.json"):
        (home / "raw/adtech/d/t" / path).write_text("v\n2\n" if path == "b.csv" else "{}", encoding="utf-8")
        os.utime(home / "raw/adtech/d/t" / path, (1, 1))
    (home / "config/transforms").mkdir(exist_ok=True)
    (home / "config/transforms/t.py").write_text("def t(rows):\n    return rows\n", encoding="utf-8")
    (home / "raw/adtech/e").mkdir()
    (home / where).chmod(mode)
    done = subprocess.run(
        [sys.executable, "-c", PLAIN, "drain", "--home", home], capture_output=True, text=True, check=False
    )
    (home / where).chmod(0o755)
    assert (done.returncode, says in done.stdout + done.stderr) == (code, True), done.stdout + done.stderr
    assert "Traceback" not in done.stderr
