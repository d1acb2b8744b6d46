"""The real command in a process of its own, which a fault point may kill."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

Amci = Callable[..., tuple[int, str]]


@pytest.fixture(scope="session")
def amci() -> Amci:
    """Runs `amci`: its exit code (negative: the signal that ended it) and what it printed."""

    def run(*arguments: str, fault: str = "") -> tuple[int, str]:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("AMCI_")}
        done = subprocess.run(
            [sys.executable, "-m", "amci", *arguments],
            env=environ | ({"AMCI_FAULT": fault} if fault else {}),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    return run
