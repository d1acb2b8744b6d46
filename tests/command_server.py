"""Runs `amci` commands, each in a process that is forked after amci is imported; command_client.py calls it.

A command with an interpreter of its own spends several times as long on importing as on the work the tests are
about. For the same reason, workspaces share the sandbox's events of a day.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import select
import signal
import socket
import sys
from contextlib import suppress
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import Any

from command_client import LENGTH

from amci.__main__ import main
from amci.app.init import create_workspace
from amci.app.project import load
from amci.cli.app import COMMANDS
from amci.lake.catalog import duck
from amci.sandbox.data.world import World

LIMIT = 120  #: seconds after which a command is given up
STREAMS = (0, 1, 2)


def serve(address: str, events: Path) -> None:
    """Run one command after another, until standard input ends."""
    for where, _ in COMMANDS.values():
        import_module(where.partition(":")[0])
    for name in ("amci.app.engine", "amci.lake.query.session", "amci.sandbox.service"):
        import_module(name)  # commands import them when they are called
    share(events)
    # Has the signatures of the extensions checked.
    duck.connect(memory_limit=2**28, threads=1).close()
    # What is the same for every workspace that begins as the example: tokens of its workflows, its transforms.
    load(create_workspace(events / "example"), {})
    gc.freeze()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while server in select.select([server, sys.stdin], [], [])[0]:
            caller, _ = server.accept()
            with caller:
                answer(caller)


def answer(caller: socket.socket) -> None:
    """Run the command of a caller, and send it the exit code."""
    line, streams, _, _ = socket.recv_fds(caller, LENGTH, len(STREAMS))
    while not line.endswith(b"\n"):
        line += caller.recv(LENGTH)
    process = os.fork()
    if not process:
        run(json.loads(line), streams)
    for stream in streams:
        os.close(stream)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    caller.sendall(str(code).encode())


def run(command: dict[str, Any], streams: list[int]) -> None:
    """Be `amci`."""
    signal.alarm(LIMIT)
    for number, stream in zip(STREAMS, streams, strict=True):
        os.dup2(stream, number)
    os.chdir(command["directory"])
    os.environ.clear()
    os.environ.update(command["environment"])
    if limit := command["file_limit"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    sys.argv = command["arguments"]
    try:
        main()
    except SystemExit as end:
        # Nobody may read any more, or standard error be closed for that reason.
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        # Arrow's threads stayed behind in the fork, so its own end would wait for them.
        os._exit(end.code if isinstance(end.code, int) else 1)


def share(events: Path) -> None:
    """Have the workspaces below the directory of a command read their sandbox's events in `events`."""
    prepare = World.prepare

    def prepared(world: World, last: date, **more: Any) -> None:
        own = world.directory / "events"
        if not own.exists() and own.is_relative_to(Path.cwd()):
            # Events begin so many days before the first day that is asked for.
            shared = events / f"{last}"
            shared.mkdir(exist_ok=True)
            own.symlink_to(shared)
        prepare(world, last, **more)

    World.prepare = prepared  # type: ignore[method-assign]


if __name__ == "__main__":
    serve(sys.argv[1], Path(sys.argv[2]))
