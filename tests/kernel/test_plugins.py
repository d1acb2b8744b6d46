"""Files of transforms that do anything while they are loaded, or when they are called."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from amci.kernel import plugin_probe, plugins
from amci.kernel.errors import Problem
from amci.kernel.plugins import find

GOOD = "def good(rows):\n    return rows\n"
#: Code at the top of a file, and what is said of it.
AT_IMPORT = {
    "sys.exit": ("import sys; sys.exit(0)", "SystemExit: 0"),
    "exit code": ("raise SystemExit(3)", "SystemExit: 3"),
    "os._exit": ("import os; os._exit(0)", "ended its process with exit code 0"),
    "interrupt": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "base": ("class End(BaseException): ...\nraise End('x\\n\\ny')", "End: x y"),
    "kill": ("import os; os.kill(os.getpid(), 9)", "ended its process with signal 9"),
    "kill group": ("import os; os.killpg(0, 15)", "ended its process with signal 15"),
    "segfault": ("import ctypes; ctypes.string_at(0)", "ended its process with signal 11"),
    "syntax": ("def (", "SyntaxError"),
    "deep": ("x = " + "[" * 5000, "SyntaxError"),
    "recursion": ("def f(): f()\nf()", "RecursionError"),
    "missing package": ("import no_such_package", "ModuleNotFoundError: No module named 'no_such_package'"),
    "stdin": ("input()", "EOFError"),
    "closes stdout": ("import sys; sys.stdout.close()", "it closes standard input, output or error"),
    "closes file": ("import os; os.close(1)", "OSError"),
    "takes stdin": ("import sys; sys.stdin = None", "it closes standard input, output or error"),
    "all files": ("import os; os.closerange(0, 100)", "ended its process with exit code 1"),
    "memory": ("x = bytearray(1 << 40)", "MemoryError"),
    "patience": ("import threading; threading.Event().wait()", "it does not end within"),
    "computing": ("while True: pass", "it computes for more than 1 s"),
    "deaf": (
        "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65)); signal.sigwait([])",
        "it does not end within",
    ),
    "forks": (
        "import os\nfor _ in range(3): os.fork()\n__import__('threading').Event().wait()",
        "it does not end within",
    ),
    "not UTF-8": (b"# \xff", "it is not UTF-8 text"),
    "binary": (bytes(range(32)), "SyntaxError"),
    "large": (b"#" * 5_000_000, "it is larger than 4 MiB"),
}


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Less patience; the one for computing is that of another process."""
    monkeypatch.setattr(plugins, "_PATIENCE", 3.0)
    monkeypatch.setattr(plugins, "_looked_at", {})
    probe = tmp_path / "hurried_probe.py"
    probe.write_text(
        "from amci.kernel import plugin_probe\nplugin_probe.CPU_SECONDS = 1\nplugin_probe.main()\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(plugin_probe, "__name__", probe.stem)
    monkeypatch.setattr(plugin_probe, "CPU_SECONDS", 1)
    monkeypatch.syspath_prepend(tmp_path)


def looked(folder: Path, **sources: str | bytes) -> tuple[list[str], list[Problem]]:
    folder.mkdir(exist_ok=True)
    for name, source in sources.items():
        (folder / f"{name}.py").write_bytes(source if isinstance(source, bytes) else source.encode())
    problems: list[Problem] = []
    return sorted(find(folder, (), problems)), problems


@pytest.mark.spread(2)
@pytest.mark.parametrize("kind", AT_IMPORT)
def test_a_file_that_cannot_be_loaded_is_the_only_one_that_is_refused(
    tmp_path: Path, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    source, says = AT_IMPORT[kind]
    names, problems = looked(tmp_path / "transforms", a=GOOD, b=source, c=GOOD.replace("good", "later"))
    assert names == ["good", "later"]
    assert [problem.file for problem in problems] == ["config/transforms/b.py"]
    assert says in str(problems[0])
    assert len(str(problems[0]).splitlines()) == 1
    assert capfd.readouterr() == ("", "")


def test_what_a_file_starts_ends_with_the_look(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reading = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    source = (
        "import os, threading\n"
        "ours, theirs = os.pipe()\n"
        "if not os.fork():\n"
        f"    pipe = open({str(tmp_path / 'pipe')!r}, 'wb', buffering=0)\n"
        "    pipe.write(b'begun')\n"
        "    os.write(theirs, b'x')\n"
        "    threading.Event().wait()\n"
        "os.read(ours, 1)\n"
    )
    assert looked(tmp_path / "transforms", a=source + GOOD) == (["good"], [])
    os.set_blocking(reading, True)
    assert os.read(reading, 10) == b"begun"
    assert os.read(reading, 10) == b""  # closed by its end
    os.close(reading)


def test_reading_the_configuration_runs_no_code_of_a_transform_in_this_process(tmp_path: Path) -> None:
    names, problems = looked(tmp_path / "transforms", a=f"import sys\nsys.marked_by_test = True\n{GOOD}")
    assert (names, problems) == (["good"], [])
    assert not hasattr(sys, "marked_by_test")


def test_a_file_that_has_not_changed_is_not_loaded_again(tmp_path: Path) -> None:
    source = f"open({str(tmp_path / 'loads')!r}, 'a').write('x')\n{GOOD}"
    for _ in range(3):
        assert looked(tmp_path / "transforms", a=source) == (["good"], [])
    assert (tmp_path / "loads").read_text(encoding="utf-8") == "x"
    assert looked(tmp_path / "transforms", a=source + "\n") == (["good"], [])
    assert (tmp_path / "loads").read_text(encoding="utf-8") == "xx"


@pytest.mark.parametrize(("more", "loads"), [("", "x"), ("HERE = __file__\n", "xx")])
def test_a_file_that_lies_elsewhere_is_loaded_again_if_it_asks_where(
    tmp_path: Path, more: str, loads: str
) -> None:
    source = f"open({str(tmp_path / 'loads')!r}, 'a').write('x')\n{more}{GOOD}"
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        assert looked(tmp_path / name, good=source) == (["good"], [])
    assert (tmp_path / "loads").read_text(encoding="utf-8") == loads


def test_looking_ends_when_amci_is_told_to_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "_PATIENCE", 3600.0)
    folder, stop, problems = tmp_path / "transforms", threading.Event(), list[Problem]()
    folder.mkdir()
    reading = folder / "begun"
    os.mkfifo(reading)
    (folder / "a.py").write_text(
        f"open({str(reading)!r}, 'w').close()\n__import__('threading').Event().wait()\n", encoding="utf-8"
    )
    looking = threading.Thread(target=find, args=(folder, (), problems, stop))
    looking.start()
    reading.open(encoding="utf-8").close()  # the file is being loaded
    stop.set()
    looking.join()
    assert "told to stop" in str(problems[0])


#: Code in a transform that is called.
WHEN_CALLED = [
    "sys.exit(0)",
    "raise KeyboardInterrupt",
    "raise GeneratorExit",
    "raise BaseException('x')",
    "1 / 0",
]


@pytest.mark.spread(3)
@pytest.mark.parametrize("code", WHEN_CALLED)
@pytest.mark.parametrize("arguments", ["rows", "obj"])
@pytest.mark.parametrize("place", ["light", "heavy"])
def test_a_transform_that_ends_itself_fails_its_run_alone(
    site: Any, code: str, arguments: str, place: str
) -> None:
    site.dataset("d", **{place: "bad"})
    site.dataset("e")
    site.transform("bad.py", f"import sys\ndef bad({arguments}):\n    {code}\n")
    site.put("adtech/d/t/a.csv", "v\n1\n")
    site.put("adtech/e/t/a.csv", "v\n1\n")
    assert site.drain().tally.failed == 1
    assert [key for key, _, _ in site.ledger()] == ["adtech/e/t/a.csv"]
    (reason,) = site.quarantined().values()
    assert "transform bad" in reason


def test_a_file_that_loads_in_one_process_only_fails_its_run_alone(
    site: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    site.dataset("d", light="sly")
    site.transform(
        "sly.py",
        "import os, sys\nprint('loading')\nif 'pytest' in sys.modules: sys.exit(0)\ndef sly(rows):\n    return rows\n",
    )
    site.put("adtech/d/t/a.csv", "v\n1\n")
    assert site.drain().tally.failed == 1
    assert "transform sly" in site.quarantined()["adtech/d/t/a.csv"]
    assert capfd.readouterr().out == ""
