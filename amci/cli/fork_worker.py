"""One of the processes that run commands for others: one after another, each with the caller's streams and environment.

It keeps the lake open in between. Whatever may have left something behind ends it: a signal, a bug, much memory.
"""

from __future__ import annotations

import ctypes
import io
import os
import signal
import socket
import struct
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import BinaryIO, NoReturn, Self, cast

from amci.cli import main
from amci.cli.context import Context
from amci.cli.fork_client import GO, LENGTH, MOST, PATIENCE, READY, REFUSED, RUNNING, TAKEN, circumstances
from amci.kernel.environment import replace_environment
from amci.kernel.errors import AmciError
from amci.kernel.process_limits import resident_memory
from amci.lake.query.kept_session import SessionKeeper

_STREAMS = (0, 1, 2)
#: Bytes that a process may have more than when it was started, to be used again.
_MOST_MORE = 512 * 1024**2
_PR_SET_PDEATHSIG = 1
#: What commands import when they are called.
_IMPORTED = ("amci.cli.lake", "amci.cli.query_output", "amci.cli.query_shell", "amci.lake.query.result_json")
#: Exit codes: a bug; interrupted; what Python says if it cannot flush a stream at its end.
_BUG, _INTERRUPTED, _NOT_FLUSHED = 70, 130, 120
#: After these, the process ends.
_ENDING = (_BUG, _INTERRUPTED)
#: The signals that a caller passes on and a process can hear.
_HEARD = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class Request:
    """A command as its caller has sent it."""

    circumstances: str
    mask: int  #: of files that are made
    package: str  #: of the caller's `__main__`, which usage messages name
    texts: Sequence[
        str
    ]  #: of the standard streams: encoding, errors, whether lines and whether all is written at once
    words: Sequence[str]
    environment: Mapping[str, str]
    files: Sequence[int]  #: the standard streams and the current directory, open

    @classmethod
    def received(cls, caller: socket.socket) -> Self:
        """What a caller sends; raises OSError if that takes too long, ValueError if it is something else."""
        caller.settimeout(PATIENCE)
        data, files, _, _ = socket.recv_fds(caller, MOST, len(_STREAMS) + 1)
        try:
            size = LENGTH.size + LENGTH.unpack_from(data)[0]
            while len(data) < min(size, MOST) and (more := caller.recv(MOST)):
                data += more
            same, mask, package, *rest = map(os.fsdecode, data[LENGTH.size : size].split(b"\0"))
            texts, count, words = rest[: len(_STREAMS)], int(rest[len(_STREAMS)]), rest[len(_STREAMS) + 1 :]
            variables = dict(each.split("=", 1) for each in words[count:])
            _stdin, _stdout, _stderr, _here = files
            return cls(same, int(mask), package, texts, words[:count], variables, files)
        except (OSError, ValueError, IndexError, struct.error) as error:
            for file in files:
                os.close(file)
            raise ValueError("not a command") from error


def serve(server: socket.socket, home: Path | None) -> NoReturn:
    """Run the commands whose callers `server` sends, and say of each how it ended, until no more come.

    With `home`, first have the lake of that workspace open.
    """
    _rest()
    # Without the server, nobody would pass a caller's signals on.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    same, code = circumstances(), 0
    with SessionKeeper() as Context.keeper:
        if home:
            _warm(home)
            server.sendall(READY)
        most = resident_memory() + _MOST_MORE
        while callers := socket.recv_fds(server, 1, 1)[1]:
            with socket.socket(fileno=callers[0]) as caller:
                request = _taken(caller, same)
            if request is None:
                server.sendall(REFUSED)
                continue
            _become(request)
            server.sendall(RUNNING)
            code = _run()
            if code in _ENDING or resident_memory() > most:
                break
            server.sendall(b"%d" % code)
    os._exit(code)


def _warm(home: Path) -> None:
    """Do once what every query does; mistakes in the workspace are for those to say who ask."""
    for module in _IMPORTED:
        import_module(module)

    # Twice: what a session sees is known from the one before.
    for _ in range(2):
        with suppress(AmciError), Context(home).query_session() as session:
            session.run("SELECT 1").fetchall()


def _taken(caller: socket.socket, same: str) -> Request | None:
    """The command, if this process can run it and its caller still wants it to."""
    try:
        request = Request.received(caller)
    except ValueError:
        return None
    with suppress(OSError):
        if request.circumstances == same:
            caller.sendall(TAKEN)
            if caller.recv(1) == GO:
                return request
    for file in request.files:
        os.close(file)
    return None


def _become(request: Request) -> None:
    """Be the process that called, as far as a command can tell."""
    *streams, here = request.files
    for number, stream in zip(_STREAMS, streams, strict=True):
        os.dup2(stream, number)
    os.fchdir(here)
    for file in request.files:
        os.close(file)
    _open_streams(request.texts)
    os.umask(request.mask)
    replace_environment(request.environment)
    sys.argv = list(request.words)
    sys.modules["__main__"].__package__ = request.package
    for number in _HEARD:
        signal.signal(number, signal.SIG_DFL)


def _run() -> int:
    """Run the command; its exit code."""
    try:
        main.run(raises=True)
    except SystemExit as end:
        code = end.code
    except KeyboardInterrupt:
        code = _INTERRUPTED
    try:
        # As Python does at its end; standard error is closed if nobody reads any more.
        sys.stdout.flush()
        if not sys.stderr.closed:
            sys.stderr.flush()
    except (OSError, ValueError):
        code = _NOT_FLUSHED
    _rest()
    return code if isinstance(code, int) else int(code is not None)


def _rest() -> None:
    """Hold nothing of a caller's, and hear no signal: one that comes late is not for the next one."""
    for heard in _HEARD:
        signal.signal(heard, signal.SIG_IGN)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in _STREAMS:
        os.dup2(nothing, number)
    os.close(nothing)
    _open_streams(["utf-8 strict 0 0"] * len(_STREAMS))
    os.chdir("/")


def _open_streams(texts: Sequence[str]) -> None:
    """Make Python's standard streams as it does itself when it starts."""
    opened = []
    for number, text in zip(_STREAMS, texts, strict=True):
        encoding, errors, by_line, at_once = text.split()
        raw = io.FileIO(number, "w" if number else "r", closefd=False)
        # PYTHONUNBUFFERED leaves out what is between.
        buffer = io.BufferedReader(raw) if not number else raw if at_once == "1" else io.BufferedWriter(raw)
        # Line ends stay as they are, in both directions.
        opened.append(
            io.TextIOWrapper(
                cast("BinaryIO", buffer),
                encoding,
                errors,
                newline="\n",
                line_buffering=by_line == "1",
                write_through=at_once == "1",
            )
        )
    sys.stdin, sys.stdout, sys.stderr = opened
