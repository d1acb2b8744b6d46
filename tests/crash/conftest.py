"""A server that forks real `amci` processes, so that many can be killed without importing DuckDB each time."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# The child is the command itself: its arguments, its environment, its exit code.
_SERVER = """
import json, os, signal, sys
import amci.cli, amci.engine, amci.lake.light, amci.lake.heavy, amci.lake.transforms.amc, polars
from amci.__main__ import main

for line in sys.stdin:
    asked = json.loads(line)
    child = os.fork()
    if child == 0:
        os.environ.update(asked["environ"])
        sys.argv = ["amci", *asked["arguments"]]
        out = os.open(asked["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1)
        os.dup2(out, 2)
        main()
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
"""


class Server:
    """Runs `amci` as often as asked; each time in a fresh process."""

    def __init__(self, process: subprocess.Popen[str], output: Path) -> None:
        self._process = process
        self._output = output

    def run(self, *arguments: str, fault: str = "") -> tuple[int, str]:
        """Exit code (negative: the signal that ended it) and what was printed."""
        asked = {
            "arguments": arguments,
            "environ": {"AMCI_FAULT": fault} if fault else {},
            "output": str(self._output),
        }
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline()), self._output.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", _SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield Server(process, tmp_path_factory.mktemp("server") / "output")
        assert process.stdin
        process.stdin.close()
