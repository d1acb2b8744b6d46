"""Runs `amci` commands, each in a process that is forked after amci is imported.

A command with an interpreter of its own spends several times as long on importing as on the work the tests are
about. A line of JSON on standard input is a command, the line that answers it is its exit code.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from typing import Any

import amci.app.engine
import amci.app.plan
import amci.cli.app
import amci.lake.query.session  # noqa: F401 - what the commands import when they are called
from amci.__main__ import main
from amci.lake.catalog import duck

LIMIT = 120  #: seconds after which a command is given up


def run(command: dict[str, Any]) -> None:
    """Be `amci` with these arguments."""
    signal.alarm(LIMIT)
    out = os.open(command["output"], os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out, 1)
    os.dup2(out, 2)
    if limit := command["file_limit"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    if fault := command["fault"]:
        os.environ["AMCI_FAULT"] = fault
    sys.argv = ["amci", *command["arguments"]]
    try:
        main()
    except SystemExit as end:
        sys.stdout.flush()
        sys.stderr.flush()
        # Arrow's threads stayed behind in the fork, so its own end would wait for them.
        os._exit(end.code if isinstance(end.code, int) else 1)


if __name__ == "__main__":
    # Has the signatures of the extensions checked.
    duck.connect(memory_limit=2**28, threads=1).close()
    for line in sys.stdin:
        process = os.fork()
        if not process:
            run(json.loads(line))
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])}\n")
        sys.stdout.flush()
