"""What all tests share: a workspace with verbs, a clock to turn, and no AMCI_* in the environment."""

from __future__ import annotations

import functools
import gc
import itertools
import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest

from amci.app.engine import Drained, Engine, open_engine
from amci.kernel import files
from amci.kernel.clock import Clock
from amci.kernel.run import Run
from amci.kernel.runs import RunStore
from amci.kernel.state import State
from amci.kernel.testing import TurnableClock
from amci.kernel.workspace import WorkspacePaths
from amci.lake.catalog import duck
from amci.lake.catalog.catalog import Catalog
from amci.lake.landing.object_store import ObjectStore
from amci.sandbox import duckdb_process

SETTINGS = "name: test\nthreads: 1\nsettle: 50ms\nretry_interval: 5ms\nretry_max_delay: 10ms\nnotify: []\n"

#: Left out by `--quick`: whole programs, and worlds or engines that take seconds to build.
NOT_QUICK = (
    "tests/acceptance/",
    "tests/amcsql/privacy/test_oracle.py",
    "tests/amcsql/privacy/test_privacy_properties.py",
    "tests/app/samples/test_bulk.py",
    "tests/app/test_backup.py",
    "tests/app/test_doctor.py",
    "tests/app/test_engine.py",
    "tests/app/test_recover.py",
    "tests/app/test_whole_circle.py",
    "tests/app/test_workspace.py",
    "tests/cli/test_audience.py",
    "tests/cli/test_coming_from_aws.py",
    "tests/cli/test_exec.py",
    "tests/cli/test_query_output.py",
    "tests/cli/test_query_shell.py",
    "tests/cli/test_sql.py",
    "tests/cli/test_workflow.py",
    "tests/crash/",
    "tests/lake/landing/test_ingest.py",
    "tests/lake/loading/test_memory.py",
    "tests/lake/loading/test_own_datasets.py",
    "tests/lake/loading/test_privacy.py",
    "tests/lake/loading/test_wide_files.py",
    "tests/lake/query/test_bombs.py",
    "tests/lake/query/test_session.py",
    "tests/lake/upkeep/",
    "tests/properties/",
    "tests/sandbox/audiences/test_simulation.py",
    "tests/sandbox/data/",
    "tests/sandbox/test_battery.py",
    "tests/sandbox/test_controls.py",
    "tests/sandbox/test_delivery.py",
    "tests/sandbox/test_engine.py",
    "tests/sandbox/test_executions.py",
    "tests/sandbox/test_faults.py",
    "tests/sandbox/test_instances.py",
    "tests/sandbox/test_lifecycle.py",
    "tests/sandbox/test_rest.py",
    "tests/sandbox/test_schedules.py",
    "tests/sandbox/test_slow_queries.py",
    "tests/sandbox/uploads/",
    "tests/scheduler/test_zones.py",
    "tests/test_package.py",
    "tests/test_threads.py",
    "tests/workflows/amazon/test_fixtures.py",
    "tests/workflows/amc/test_client_administration.py",
    "tests/workflows/executions/test_execute.py",
    "tests/workflows/executions/test_fairness.py",
    "tests/workflows/executions/test_recorded_executions.py",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--crash-all", action="store_true", help="kill at every fault point, not at a spread")
    parser.addoption(
        "--crash-every", type=int, default=0, help="kill or refuse at every so manyth point; 1 is --crash-all"
    )
    parser.addoption("--quick", action="store_true", help="one case of each test, and none of whole programs")


def pytest_collection_finish() -> None:
    """Keep the garbage collector from walking through the tests again and again: they stay to the end."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep a spread of the cases of tests that are marked so; with --quick, the first case of each quick test."""
    is_long = config.getoption("--crash-all") or config.getoption("--crash-every")
    kept = items if is_long else list(_spread(items))
    if config.getoption("--quick"):
        kept = list(_quick(kept, config.rootpath))
    staying = set(kept)
    config.hook.pytest_deselected(items=[item for item in items if item not in staying])
    items[:] = kept


def _spread(items: Iterable[pytest.Item]) -> Iterator[pytest.Item]:
    seen: Counter[str] = Counter()
    for item in items:
        name = item.nodeid.partition("[")[0]
        marker = item.get_closest_marker("spread")
        if marker is None or seen[name] % marker.args[0] == 0:
            yield item
        seen[name] += 1


def _quick(items: Iterable[pytest.Item], root: Path) -> Iterator[pytest.Item]:
    """Those that neither start a program nor build a world."""
    seen = set()
    for item in items:
        name = item.nodeid.partition("[")[0]
        if not item.path.relative_to(root).as_posix().startswith(NOT_QUICK) and name not in seen:
            seen.add(name)
            yield item


@pytest.fixture(scope="session", autouse=True)
def _sandboxes_share_processes() -> Iterator[None]:
    """Keep the processes that run queries for the next sandbox: starting one takes longer than most tests."""
    duckdb_process.MOST_IDLE = 4
    yield
    duckdb_process.MOST_IDLE = 0
    while duckdb_process.IDLE:
        with duckdb_process.IDLE.pop() as process:
            process.kill()


@pytest.fixture(scope="session", autouse=True)
def _stores_begin_as_copies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Have new stores and lakes begin as copies of such that were made once: that takes longer than most tests.

    Not where tests ask how they are made, nor in processes that tests start.
    """
    folder = tmp_path_factory.mktemp("new")
    open_state, open_lake = State.open.__func__, Catalog._open  # type: ignore[attr-defined]

    def opened(kind: type[State], path: Path, clock: Clock) -> State:
        new = folder / f"{kind.__module__}.{kind.__name__}.db"
        if is_copied(path):
            if not new.exists():
                open_state(kind, new, TurnableClock()).close()
            shutil.copyfile(new, path)
        return open_state(kind, path, clock)  # type: ignore[no-any-return]

    def opened_lake(catalog: Catalog) -> None:
        new, file = WorkspacePaths(folder / "lake"), catalog._workspace.catalog
        if file != new.catalog and is_copied(file):
            if not new.catalog.exists():
                Catalog(new, memory_limit=2**28, threads=1).close()
            shutil.copyfile(new.catalog, file)
            with closing(sqlite3.connect(file)) as db, db:
                place = f"{catalog._workspace.post_stage}/"
                db.execute("UPDATE ducklake_metadata SET value = ? WHERE key = 'data_path'", (place,))
        open_lake(catalog)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(State, "open", classmethod(opened))
        patch.setattr(Catalog, "_open", opened_lake)
        yield


#: Tests that ask how stores are made.
MAKING = ("tests/kernel/", "tests/lake/catalog/", "tests/crash/", "tests/sandbox/test_store.py")


def is_copied(path: Path) -> bool:
    """Whether the test that runs takes a store for granted, and none is at `path` yet."""
    is_new = path.parent.is_dir() and not (path.exists() or path.is_symlink())
    return is_new and not files._on_fault and not os.environ.get("PYTEST_CURRENT_TEST", "").startswith(MAKING)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AMCI_")]:
        monkeypatch.delenv(name)
    # Nothing of a test belongs into the keyring of whoever runs it.
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")


def not_yet() -> threading.Event:
    """A stop that nobody has asked for."""
    return threading.Event()


def drained(engine: Engine) -> Drained:
    return engine.drain(not_yet())


@functools.cache
def reader() -> duckdb.DuckDBPyConnection:
    """One connection for all looks at lakes: loading the extensions takes longer than most looks."""
    return duck.connect(memory_limit=2**28, threads=1)


class Site:
    """A workspace with the verbs tests need. Files put there have landed long ago."""

    def __init__(self, home: Path) -> None:
        self.workspace = WorkspacePaths(home.resolve())
        self.clock = TurnableClock()
        self.raw = self.workspace.raw
        self._ticks = itertools.count(1)
        if not self.workspace.settings_file.exists():
            self.raw.mkdir(parents=True)
            self.settings("")
            self.configure("tenants/acme.yaml", "tenant: acme\n")

    def configure(self, path: str, text: str) -> None:
        file = self.workspace.config / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def settings(self, text: str) -> None:
        """Further lines of amci.yaml."""
        self.workspace.settings_file.write_text(SETTINGS + text, encoding="utf-8")

    def dataset(self, name: str, **more: str) -> None:
        """A dataset `adtech/<name>/<table>/<file>` with further fields as YAML text."""
        fields = "".join(f"{field}: {text}\n" for field, text in more.items())
        self.configure(f"datasets/{name}.yaml", f"dataset: {name}\n{fields}")

    def transform(self, file: str, source: str) -> None:
        self.configure(f"transforms/{file}", source)

    def put(self, key: str, content: str | bytes, *, root: Path | None = None) -> Path:
        """A file at `key`, whole, with an mtime of its own in the past."""
        path = (root or self.raw) / key
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{len(path.name)}.part")
        part.write_bytes(content.encode() if isinstance(content, str) else content)
        part.replace(path)
        self.age(path)
        return path

    def age(self, path: Path) -> None:
        """Give a file a fresh mtime an hour ago."""
        at = self.clock.now().timestamp() - 3600 + next(self._ticks)
        os.utime(path, (at, at))

    @contextmanager
    def engine(self) -> Iterator[Engine]:
        with open_engine(self.workspace, self.clock, {}) as engine:
            yield engine

    def drain(self) -> Drained:
        with self.engine() as engine:
            return drained(engine)

    def reprocess(self, *, changed_only: bool = False, dry_run: bool = False) -> dict[str, Any]:
        with self.engine() as engine:
            report = engine.load_again(changed_only=changed_only, dataset=None, since=None, dry_run=dry_run)
            engine.work(not_yet())
            return report

    @contextmanager
    def asking(self) -> Iterator[Callable[[str], list[tuple[Any, ...]]]]:
        """What answers queries whose tables are named `schema.table`."""
        con = reader()
        duck.attach(con, self.workspace.catalog, self.workspace.post_stage, read_only=True)
        try:
            con.execute("USE lake")
            yield lambda sql: con.execute(sql).fetchall()
        finally:
            con.execute("USE memory")
            con.execute("DETACH lake")

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a query whose tables are named `schema.table`."""
        with self.asking() as ask:
            return ask(sql)

    def tables(self) -> list[str]:
        """Tables with data, `schema.table`."""
        rows = self.query(
            "SELECT schema_name || '.' || table_name FROM duckdb_tables()"
            " WHERE database_name = 'lake' AND schema_name <> 'amci' ORDER BY 1"
        )
        return [name for (name,) in rows]

    def ledger(self) -> list[tuple[str, int, int]]:
        """(key, version, rows) of what is in the lake."""
        return self.query("SELECT key, version, rows FROM amci.objects ORDER BY ALL")  # type: ignore[return-value]

    def quarantined(self, *, is_open: bool = True) -> dict[str, str]:
        """Open quarantine: key to reason."""
        with State.read_only(self.workspace.state) as state:
            rows = ObjectStore(state, self.clock).quarantined(is_open=is_open)
            return {row["key"]: row["reason"] for row in rows}

    def runs(self, **asked: Any) -> list[Run]:
        """Runs, oldest first."""
        with State.read_only(self.workspace.state) as state:
            return RunStore(state, self.clock).list(limit=-1, **asked)[::-1]

    def state(self, sql: str) -> list[tuple[Any, ...]]:
        with State.read_only(self.workspace.state) as state:
            return [tuple(row) for row in state.read(sql)]


@pytest.fixture(scope="session")
def site_of() -> type[Site]:
    """Makes the workspace at a directory, or takes the one that is there."""
    return Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "workspace")


@pytest.fixture(scope="session")
def shared_events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The generated events of all sandboxes; those of a seed, scale and number of days are generated once."""
    return tmp_path_factory.mktemp("shared-events")


@pytest.fixture(scope="session")
def command_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The socket of a process that runs `amci` commands; see command_client.py."""
    with command_server_in(tmp_path_factory.mktemp("commands")) as socket:
        yield socket


@contextmanager
def command_server_in(folder: Path, **more: str) -> Iterator[Path]:
    """Have a process run `amci` commands, with `more` environment variables: its socket."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AMCI_")}
    # As this process finds amci; and no thread of numpy's that a fork would leave behind.
    environment |= {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OPENBLAS_NUM_THREADS": "1"}
    (folder / "events").mkdir()
    with subprocess.Popen(
        [sys.executable, Path(__file__).with_name("command_server.py"), folder / "socket", folder / "events"],
        env=environment | more,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout
        assert server.stdout.readline() == "ready\n"
        yield folder / "socket"


@pytest.fixture(scope="session")
def commands(command_server: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an `amci` that needs no time to start."""
    script = tmp_path_factory.mktemp("bin") / "amci"
    words = [sys.executable, "-IS", Path(__file__).with_name("command_client.py"), command_server]
    script.write_text(f'#!/bin/sh\nexec {shlex.join(map(str, words))} "$0" "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    return script.parent
