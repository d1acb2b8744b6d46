"""Has a command run by a process that `amci up` keeps ready for it, with the streams and the environment of this one.

What is imported here is imported by every such command, so that it is little. Anything unusual, and every process that
is not there or does not answer, leaves the command to this process.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import struct
import sys
from contextlib import suppress

from amci.kernel.environment import environment
from amci.kernel.version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

#: In a workspace: where commands connect.
SOCKET = "state/commands.sock"
#: The commands that only look, and neither import code of the workspace nor talk with somebody.
COMMANDS = {
    "query": (),
    "status": (),
    "runs": ("list", "show"),
    "lake": ("tables", "show", "partitions", "snapshots", "files", "history", "quarantine"),
}
#: The options of `amci query` that take a value, and those that do not.
_VALUED = ("--format", "--output", "-o", "--tenant", "--as-of", "--home")
_PLAIN = ("--verify", "--json", "--help")
#: Seconds in which a process has to take the command; after that it is not given to it.
PATIENCE = 0.5
#: Bytes of arguments and environment; more could not be sent at once.
MOST = 128 * 1024
#: What is said once the command may begin; from then on, each byte is the number of a signal.
TAKEN, GO = b"+", b"!"
#: What a worker says to the server: that it is ready, that its command runs or was not taken; else, the exit code.
READY, RUNNING, REFUSED = b"ready", b"running", b"refused"
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGSTOP, signal.SIGCONT)
_CREDENTIALS = struct.Struct("3i")
LENGTH = struct.Struct("I")  #: of a request, before it


def hand_over(words: list[str]) -> int | None:
    """The command's exit code, run by another process; None if it is to be run here.

    Ends this process by the signal that ended the other one.
    """
    if not _is_meant(words[1:]):
        return None
    try:
        server = _taken(words)
    except OSError:
        return None
    if server is None:
        return None
    with server:
        return _outcome(server)


def circumstances() -> str:
    """What has to be the same of both processes, so that a command does the same in either."""
    environ = environment()
    limits = (resource.RLIMIT_AS, resource.RLIMIT_DATA, resource.RLIMIT_FSIZE, resource.RLIMIT_CPU)
    root = os.stat("/")
    return repr(
        (
            (__version__, __file__, os.path.realpath(sys.prefix), sys.version, sys.getfilesystemencoding()),
            (sys.flags.optimize, sys.flags.dev_mode, sys.flags.utf8_mode, sys.warnoptions),
            (os.getresuid(), os.getresgid(), sorted(os.getgroups()), (root.st_dev, root.st_ino)),
            [resource.getrlimit(limit)[0] for limit in limits],
            os.getpriority(os.PRIO_PROCESS, 0),
            sorted(os.sched_getaffinity(0)),
            # Read once by a process, or before its first line.
            [environ.get(name) for name in ("TZ", "LD_PRELOAD", "AMCI_CLOCK_OFFSET", "AMCI_FAULT")],
        )
    )


def user_of(peer: socket.socket) -> int:
    """The user id of the process at the other end."""
    return int(
        _CREDENTIALS.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))[1]
    )


def short(folder: int) -> str:
    """The socket's address, by an open folder `state/`: the path of a workspace may be too long for one."""
    return f"/proc/self/fd/{folder}/{os.path.basename(SOCKET)}"


def _is_meant(words: list[str]) -> bool:
    """Whether another process may run the command: it asks nobody, and its streams are open."""
    name, *others = words or [""]
    if name not in COMMANDS or None in (sys.stdin, sys.stdout, sys.stderr):
        return False
    if inner := COMMANDS[name]:
        return bool(others) and others[0] in inner
    return name != "query" or _has_statement(others)


def _has_statement(words: list[str]) -> bool:
    """Whether nothing is read from a terminal: then a statement is among the arguments."""
    values: list[str] = []
    left = iter(words)
    for word in left:
        if word in _VALUED:
            next(left, None)
        elif word == "-" or not word.startswith("-"):
            values.append(word)
        elif word not in _PLAIN and not word.startswith(tuple(f"{name}=" for name in _VALUED)):
            return False
    return values not in ([], ["-"]) or not os.isatty(0)


def _home(words: list[str]) -> str | None:
    """The workspace that is meant; a wrong guess does no harm, as the other process looks for itself."""
    named = environment().get("AMCI_HOME")
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == "--home":
            named = following
        elif word.startswith("--home="):
            named = word.removeprefix("--home=")
    if named:
        return named
    folder = os.getcwd()
    while not os.path.lexists(os.path.join(folder, "amci.yaml")):
        if folder == (folder := os.path.dirname(folder)):
            return None
    return folder


def _taken(words: list[str]) -> socket.socket | None:
    """The connection to a process that begins with the command now; None, or OSError, if there is none."""
    home = _home(words)
    if home is None or not os.path.lexists(os.path.join(home, SOCKET)):
        return None
    server = _connected(home)
    with suppress(OSError):
        if _send(server, words) and server.recv(1) == TAKEN:
            server.settimeout(None)
            # Had this process given up before, the other one would not begin.
            server.sendall(GO)
            return server
    server.close()
    return None


def _connected(home: str) -> socket.socket:
    """Raises OSError if nobody of this user listens there."""
    server = socket.socket(socket.AF_UNIX)
    try:
        server.settimeout(PATIENCE)
        folder = os.open(os.path.join(home, os.path.dirname(SOCKET)), os.O_PATH)
        try:
            server.connect(short(folder))
        finally:
            os.close(folder)
        if user_of(server) != os.geteuid():
            raise PermissionError
    except OSError:
        server.close()
        raise
    return server


def _send(server: socket.socket, words: list[str]) -> bool:
    """Send the command with everything it depends on; False if that is too much."""
    mask = os.umask(0o077)
    os.umask(mask)
    package = getattr(sys.modules["__main__"], "__package__", None) or ""
    streams: list[Any] = [sys.stdin, sys.stdout, sys.stderr]
    texts = [
        f"{stream.encoding} {stream.errors} {stream.line_buffering:d} {stream.write_through:d}"
        for stream in streams
    ]
    fields = [circumstances(), str(mask), package, *texts, str(len(words)), *words]
    fields += [f"{name}={value}" for name, value in environment().items()]
    request = b"\0".join(map(os.fsencode, fields))
    if len(request) > MOST:
        return False
    here = os.open(".", os.O_PATH)
    try:
        socket.send_fds(server, [LENGTH.pack(len(request)), request], [0, 1, 2, here])
    finally:
        os.close(here)
    return True


def _pass_signals_on(server: socket.socket) -> None:
    """Have the process that runs the command get the signals that this one gets, and stop when this one does."""

    def pass_on(number: int, _frame: FrameType | None) -> None:
        with suppress(OSError):  # it has ended
            server.sendall(bytes([signal.SIGSTOP if number == signal.SIGTSTP else number]))
            if number == signal.SIGTSTP:
                os.kill(os.getpid(), signal.SIGSTOP)
                server.sendall(bytes([signal.SIGCONT]))

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGTSTP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, pass_on)


def _outcome(server: socket.socket) -> int:
    """The exit code, once it comes."""
    _pass_signals_on(server)
    said = b""
    with suppress(OSError):  # it died with something of this process unread
        while not said.endswith(b"\n") and (piece := server.recv(16)):
            said += piece
    if not said.endswith(b"\n"):
        return _lost()
    code = int(said)
    if code < 0:
        if -code in (signal.SIGINT, signal.SIGTERM):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


def _lost() -> int:
    """Say that nobody will say how the command ended; its exit code."""
    from amci.cli.output import Output
    from amci.kernel.errors import AmciError

    error = AmciError(
        "the process that ran this command was ended from outside",
        hint="run it again: it runs by itself until `amci up` has started another one",
    )
    Output(as_json="--json" in sys.argv).error(error)
    return error.exit_code
