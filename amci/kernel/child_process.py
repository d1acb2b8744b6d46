"""Starts a module of amci's in a process of its own, which cannot take the one that starts it with it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import IO

from amci.kernel.environment import environment


def start(
    module: str, *words: str, stdin: int | IO[bytes], stdout: int | IO[bytes]
) -> subprocess.Popen[bytes]:
    """Run the module as a program with these arguments and this interpreter.

    What it writes to standard error goes nowhere. It has a session of its own: Ctrl-C in a terminal is for the process
    that started it.
    """
    return subprocess.Popen(  # noqa: S603 - this interpreter, with a module of ours
        [sys.executable, "-P", "-m", module, *words],
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={**environment(), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
