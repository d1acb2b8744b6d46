"""SIGTERM and SIGINT are obeyed at every moment, by a real process."""

from __future__ import annotations

import fcntl
import itertools
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.crash

SCRIPT = Path(__file__).with_name("stopped.py")
LIMIT = 120  #: seconds until a process that does not stop is killed, and the test fails
TERM, INT = int(signal.SIGTERM), int(signal.SIGINT)
#: Moments of `amci up`: a function, and which call of it.
MOMENTS = {
    "find the workspace": ("amci.kernel.workspace:find", 1),
    "take the lock": ("amci.kernel.workspace:WorkspacePaths.writing", 1),
    "read the configuration": ("amci.app.project:load", 1),
    "read a document": ("amci.kernel.config:read_document", 3),
    "look at transforms": ("amci.kernel.plugins:_look", 1),
    "wait for the look": ("amci.kernel.plugins:_waited", 1),
    "open the state": ("amci.kernel.state:State.open", 1),
    "migrate": ("amci.kernel.state:_statements", 1),
    "open the catalog": ("amci.lake.catalog.catalog:Catalog.__init__", 1),
    "make the engine": ("amci.app.engine:Engine.__init__", 1),
    "make the roots": ("amci.app.engine:roots", 1),
    "begin to stop": ("amci.kernel.signals:stopping", 1),
    "watch": ("amci.app.engine:Engine.up", 1),
    "look for files": ("amci.lake.landing.roots:scan", 1),
    "ask the scheduler": ("amci.scheduler.service:Scheduler.tick", 1),
    "wait": ("amci.kernel.clock:SystemClock.wait", 2),
    "claim": ("amci.kernel.runs:RunStore.claim", 5),
    "read a file": ("amci.lake.loading.light:LightHandler.handle", 1),
    "load": ("amci.lake.loading.heavy:HeavyHandler.handle", 1),
    "commit": ("amci.kernel.runs:RunStore.finish", 1),
    "read the configuration again": ("amci.app.engine:Engine._changed", 1),
    "load a transform again": ("amci.kernel.plugins:_waited", 2),
    "close the catalog": ("amci.lake.catalog.catalog:Catalog.close", 1),
    "close the state": ("amci.kernel.state:State.close", 1),
}
SIGNALS = [[TERM], [INT], [TERM, TERM], [INT, INT], [TERM, INT]]
#: Ends of a process that was told to stop: in order, interrupted, or by the signal before it has begun.
ENDS = {0, 130, -TERM, -INT}
LAST = {"close the catalog", "close the state"}


@pytest.fixture
def s(site: Any) -> Any:
    site.dataset("d", heavy="same")
    site.transform("same.py", "def same(rows):\n    return rows\n")
    site.put("adtech/d/t/a.csv", "v\n1\n")
    return site


def start(site: Any, moment: tuple[str, int], numbers: list[int], *words: str, grace: float = 8) -> Any:
    function, call = moment
    listed = ",".join(map(str, numbers))
    arguments = [SCRIPT, function, call, listed, grace, *words, "--home", site.workspace.home]
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )


def ended(process: Any) -> tuple[int, str]:
    killer = threading.Timer(LIMIT, process.kill)
    killer.start()
    said = process.communicate()[1]
    killer.cancel()
    return process.returncode, said


@pytest.mark.spread(6)
@pytest.mark.parametrize(
    ("name", "numbers"), list(zip(MOMENTS, itertools.cycle(SIGNALS), strict=False)), ids=str
)
def test_a_signal_is_obeyed_at_any_moment(s: Any, name: str, numbers: list[int]) -> None:
    if "again" in name:
        s.configure("transforms/later.py", "")
    with start(s, MOMENTS[name], numbers, "drain" if name in LAST else "up") as process:
        if "again" in name:
            for line in process.stderr:
                if "heavy succeeded" in line:
                    break
            s.transform("later.py", "import threading\nthreading.Event().wait()\n")
        code, said = ended(process)
    assert code in (ENDS | {0} if name in LAST else ENDS), said
    assert "SIGNAL" in said
    assert "Traceback" not in said
    assert "a bug in amci" not in said
    # What was not finished is taken up the next time.
    s.workspace.config.joinpath("transforms/later.py").unlink(missing_ok=True)
    assert s.drain().tally.failed == 0
    assert s.ledger() == [("adtech/d/t/a.csv", 1, 1)]


@pytest.mark.spread(3)
@pytest.mark.parametrize("place", ["light", "heavy"])
@pytest.mark.parametrize("command", ["up", "drain"])
@pytest.mark.parametrize("number", [TERM, INT])
def test_a_load_without_end_does_not_keep_a_program_from_ending(
    s: Any, place: str, command: str, number: int
) -> None:
    s.dataset("d", **{place: "endless"})
    s.transform(
        "endless.py",
        f"import os, threading\ndef endless(rows):\n    os.kill(os.getpid(), {number})\n    threading.Event().wait()\n",
    )
    with start(s, ("none", 0), [], command, grace=0.3) as process:
        code, said = ended(process)
    assert code == 130
    assert "was ended; what was not finished is taken up the next time" in said
    assert "Traceback" not in said
    s.dataset("d", heavy="same")
    assert s.drain().tally.failed == 0
    assert s.ledger() == [("adtech/d/t/a.csv", 1, 1)]


@pytest.mark.parametrize(
    ("moment", "numbers"),
    [
        ("session:QuerySession.run", [TERM]),
        ("session:QuerySession.run", [INT]),
        ("session:session", [INT]),
        ("result:_finish", [INT, INT]),
    ],
)
def test_a_long_query_is_stopped(s: Any, moment: str, numbers: list[int]) -> None:
    s.drain()
    sql = "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range * b.range = 7"
    with start(s, (f"amci.lake.query.{moment}", 1), numbers, "query", sql) as process:
        code, said = ended(process)
    assert code in {1, 2, 130}, said
    assert "Traceback" not in said


@pytest.mark.parametrize("number", [TERM, INT])
def test_waiting_for_a_lock_is_ended(s: Any, number: int) -> None:
    s.drain()
    with (
        start(s, ("none", 0), [], "up", grace=0.3) as process,
        closing(sqlite3.connect(s.workspace.state)) as other,
    ):
        for line in process.stderr:
            if "stop with Ctrl-C" in line:
                break
        other.execute("BEGIN IMMEDIATE")
        s.put("adtech/d/t/b.csv", "v\n2\n")
        process.send_signal(number)
        code, said = ended(process)
        other.rollback()
    assert code in {0, 130}, said
    assert "Traceback" not in said
    assert s.drain().tally.failed == 0
    assert len(s.ledger()) == 2


def test_the_credentials_lock_is_not_waited_for_without_end(s: Any) -> None:
    lock = s.workspace.credentials.with_suffix(".lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(lock, os.O_RDWR | os.O_CREAT)
    fcntl.flock(handle, fcntl.LOCK_EX)
    moment = ("amci.tenants.credentials:CredentialStore._locked", 1)
    with start(s, moment, [TERM], "auth", "remove", "x") as process:
        code, said = ended(process)
    os.close(handle)
    assert code == -TERM, said


#: Starts `amci` as its script does, and sends a signal to itself when a module is imported.
EARLY = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
wanted, number = sys.argv.pop(1), int(sys.argv.pop(1))

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == wanted:
            os.kill(os.getpid(), number)

sys.meta_path.insert(0, Finder())
from amci.__main__ import main
main()
"""
MODULES = [
    "amci.cli.output", "amci.kernel.errors", "amci.kernel.text", "amci.kernel.files", "amci.cli.app", "typer",
    "amci.cli.work", "amci.app.engine", "duckdb",
]  # fmt: skip


@pytest.mark.parametrize("number", [TERM, INT])
@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("command", ["up", "drain"])
def test_a_signal_before_the_beginning_is_obeyed_quietly(
    s: Any, command: str, module: str, number: int
) -> None:
    s.put("a.csv", "x\n1\n")
    found = subprocess.run(
        [sys.executable, "-c", EARLY, module, str(number), command, "--home", str(s.workspace.home)],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert found.returncode in {-number, 130}, found.stderr
    assert "Traceback" not in found.stderr
    assert "Interrupt" not in found.stderr
