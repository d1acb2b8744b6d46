"""Calls `amci` in the process that tests/command_server.py keeps; imports nothing that would take time."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

LENGTH = 1 << 16  #: bytes that are received at once


def call(
    address: Path,
    arguments: Sequence[str],
    streams: tuple[int, int, int] = (0, 1, 2),
    *,
    directory: Path,
    environment: Mapping[str, str],
    program: str = "amci",
    file_limit: int = 0,
) -> int:
    """Run a command, called by that name, with these streams; its exit code, negative if a signal ended it.

    `file_limit` is how many bytes a file may have; 0 sets no limit.
    """
    command = {
        "arguments": [program, *arguments],
        "directory": str(directory),
        "environment": dict(environment),
        "file_limit": file_limit,
    }
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(str(address))
        socket.send_fds(server, [json.dumps(command).encode() + b"\n"], streams)
        return int(server.recv(LENGTH))


if __name__ == "__main__":
    _, address, called, *words = sys.argv
    sys.exit(call(Path(address), words, directory=Path.cwd(), environment=os.environ, program=called))
