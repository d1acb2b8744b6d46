"""The real command in a process of its own, which a fault point may kill."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Amci = Callable[..., tuple[int, str]]


@pytest.fixture(scope="session")
def amci(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Amci]:
    """Runs `amci`: its exit code (negative: the signal that ended it) and what it printed.

    `fault` is AMCI_FAULT; `file_limit` is how many bytes a file may have for this process.
    """
    environ = {name: value for name, value in os.environ.items() if not name.startswith("AMCI_")}
    # As this process finds amci; and no thread of numpy's that a fork would leave behind.
    environ |= {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OPENBLAS_NUM_THREADS": "1"}
    output = tmp_path_factory.mktemp("amci") / "output"
    with subprocess.Popen(
        [sys.executable, Path(__file__).with_name("command_server.py")],
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdin
        assert server.stdout
        commands, codes = server.stdin, server.stdout

        def run(*arguments: str, fault: str = "", file_limit: int = 0) -> tuple[int, str]:
            command = {
                "arguments": arguments,
                "fault": fault,
                "file_limit": file_limit,
                "output": str(output),
            }
            commands.write(json.dumps(command) + "\n")
            commands.flush()
            code = int(codes.readline())
            return code, output.read_text(encoding="utf-8")

        yield run
        commands.close()
