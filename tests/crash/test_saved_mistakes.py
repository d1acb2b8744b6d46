"""Mistakes saved in config/: a start says what is wrong, and `amci up` goes on with what was right."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

pytestmark = pytest.mark.crash

LIMIT = 90  #: seconds until a process that does not do what it should is killed
BOMB = "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" if i else "a0: &a0 [x, x]\n" for i in range(12)
)
#: Where it is saved below the workspace, what is saved there, and what is said of it.
MISTAKES: dict[str, tuple[str, str | bytes | Callable[[Path], object], str]] = {
    "bad YAML": ("config/datasets/d.yaml", "dataset: [", "d.yaml: line 1"),
    "empty file": ("config/datasets/d.yaml", "", "d.yaml: dataset: field required"),
    "empty settings key": ("amci.yaml", "name:\n", "amci.yaml: name"),
    "deleted file": ("config/tenants/acme.yaml", Path.unlink, "acme"),
    "deleted settings": ("amci.yaml", Path.unlink, "amci.yaml: cannot be read"),
    "directory": ("config/datasets/d.yaml", lambda path: (path.unlink(), path.mkdir()), "Is a directory"),
    "settings a directory": ("amci.yaml", lambda path: (path.unlink(), path.mkdir()), "Is a directory"),
    "file for a folder": (
        "config/tenants",
        lambda path: (shutil.rmtree(path), path.touch()),
        "tenants: cannot be read: Not a directory",
    ),
    "wrong type": ("config/datasets/d.yaml", "dataset: d\npartition_by: 7\n", "d.yaml: partition_by"),
    "list for a mapping": ("amci.yaml", "- a\n", "should be a mapping"),
    "duplicate id": ("config/datasets/e.yaml", "dataset: d\n", "'d' is defined in another file already"),
    "duplicate key": ("config/datasets/d.yaml", "dataset: d\ndataset: d\n", "stands twice"),
    "unknown key": ("amci.yaml", "naem: x\n", "unknown key"),
    "binary": ("config/datasets/d.yaml", bytes(range(256)), "it is not UTF-8 text"),
    "zeros": ("config/workflows/w.yaml", bytes(100), "special characters"),
    "100 MB": ("config/datasets/d.yaml", lambda path: os.truncate(path, 100_000_000), "larger than 4 MiB"),
    "deep": ("config/schedules/s.yaml", "[" * 10_000, "nested too deeply"),
    "aliases": ("config/workflows/w.yaml", BOMB, "more than 200,000 values"),
    "itself": ("config/workflows/w.yaml", "a: &a [*a]\n", "refers to itself"),
    "pipe": ("config/datasets/d.yaml", lambda path: (path.unlink(), os.mkfifo(path)), "it is a pipe"),
    "settings a pipe": ("amci.yaml", lambda path: (path.unlink(), os.mkfifo(path)), "it is a pipe"),
    "device": ("config/transforms/z.sql", lambda path: path.symlink_to("/dev/zero"), "it is a device"),
    "unreadable": ("config/tenants/t.yaml", lambda path: path.symlink_to("/proc/self/mem"), "cannot be read"),
    "dangling link": ("config/tenants/t.yaml", lambda path: path.symlink_to("nowhere"), "No such file"),
    "root a file": ("amci.yaml", "roots: [{name: a, path: config/datasets/d.yaml}]\n", "make the directory"),
    "transform syntax": ("config/transforms/z.py", "def (", "z.py: cannot be loaded: SyntaxError"),
    "transform raises": ("config/transforms/z.py", "1 / 0\n", "ZeroDivisionError"),
    "transform exits": ("config/transforms/z.py", "import sys; sys.exit(0)\n", "SystemExit: 0"),
    "transform ends": ("config/transforms/z.py", "import os; os._exit(0)\n", "exit code 0"),
    "transform kills": ("config/transforms/z.py", "import os; os.killpg(0, 9)\n", "signal 9"),
    "transform loops": ("config/transforms/z.py", "while True: pass\n", "z.py: cannot be loaded"),
    "transform is gone": ("config/transforms/only.sql", Path.unlink, "no transform 'only'"),
    "transform binary": (
        "config/transforms/only.sql",
        b"\xff\xfe",
        "only.sql: cannot be read: it is not UTF-8",
    ),
    "workflow without SQL": ("config/workflows/w.yaml", "description: x\n", "w.yaml: sql"),
    "workflow SQL binary": ("config/workflows/w.sql", b"\xff", "it is not UTF-8 text"),
    "bad cron": (
        "config/schedules/s.yaml",
        "schedule: s\nexpression: cron(0 99 * * ? *)\nupkeep: compact\n",
        "s.yaml",
    ),
}


@pytest.fixture
def s(site: Any) -> Any:
    site.dataset("d", heavy="only")
    site.transform("only.sql", "SELECT * FROM rows")
    site.configure("workflows/fine.yaml", "workflow_id: fine\ntenants: [acme]\nsql: SELECT 1 AS a FROM x\n")
    return site


def save(site: Any, kind: str) -> None:
    where, what, _ = MISTAKES[kind]
    path = site.workspace.home / where
    path.parent.mkdir(exist_ok=True)
    if callable(what):
        what(path)
    else:
        path.write_bytes(what if isinstance(what, bytes) else what.encode())


@pytest.mark.spread(3)
@pytest.mark.parametrize(
    "kind", [kind for kind in MISTAKES if kind not in ("deleted settings", "transform loops", "root a file")]
)
def test_a_start_with_a_mistake_ends_with_its_sentence(
    s: Any, kind: str, amci: Callable[..., tuple[int, str]]
) -> None:
    save(s, kind)
    code, said = amci("drain", "--home", str(s.workspace.home))
    assert MISTAKES[kind][2] in said
    assert code == 2
    assert "Traceback" not in said
    assert "a bug in amci" not in said


@contextmanager
def up(site: Any) -> Iterator[tuple[subprocess.Popen[str], Callable[[str], list[str]]]]:
    """A running `amci up`, and what waits for a line that it says: all lines up to that one."""
    with subprocess.Popen(
        [sys.executable, "-m", "amci", "up", "--home", site.workspace.home],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    ) as process:
        killer = threading.Timer(LIMIT, process.kill)
        killer.start()
        stderr: IO[str] = process.stderr  # type: ignore[assignment]

        def says(words: str) -> list[str]:
            lines = []
            for line in stderr:
                lines.append(line)
                if words in line:
                    return lines
            raise AssertionError("".join(lines))

        try:
            says("stop with Ctrl-C")
            yield process, says
        finally:
            killer.cancel()
            process.kill()


@pytest.mark.spread(18)
@pytest.mark.parametrize("kind", MISTAKES)
def test_a_saved_mistake_is_told_once_and_work_goes_on(s: Any, kind: str, tmp_path: Path) -> None:
    home = s.workspace.home
    with up(s) as (process, says):
        shutil.copytree(home / "config", tmp_path / "config")
        shutil.copy(home / "amci.yaml", tmp_path / "amci.yaml")
        save(s, kind)
        told = says("going on with what was read before")
        assert MISTAKES[kind][2] in "".join(told)
        s.put("adtech/d/t/a.csv", "v\n1\n")
        since = says("heavy succeeded")
        assert not [line for line in since if "going on with" in line]
        for name in ("config", "amci.yaml"):
            path = home / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        shutil.copy(tmp_path / "amci.yaml", home / "amci.yaml")
        shutil.copytree(tmp_path / "config", home / "config")
        since = says("stop with Ctrl-C")
        s.put("adtech/d/t/b.csv", "v\n2\n")
        says("heavy succeeded")
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    assert len(s.ledger()) == 2
