"""Keeps processes ready for the commands of a workspace, as long as `amci up` runs there and commands come.

`amci up` listens. At the first command, which runs as if nobody did, it starts this module as a program, and hands the
socket over to it. The program has imported what commands import, forks a worker, and always has one that waits for the
next command. It starts no thread, so that it can be forked, and never waits for a caller; what a caller sends, a worker
reads. A worker that dies takes its command with it and nothing else.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from subprocess import PIPE, TimeoutExpired
from typing import IO, cast

from amci.cli.fork_client import FORWARDED, READY, REFUSED, RUNNING, SOCKET, short, user_of
from amci.kernel.child_process import start
from amci.kernel.environment import compute_by_one_thread
from amci.kernel.workspace import WorkspacePaths

#: Most commands that run at the same time; each may use the memory of a query. More run by themselves.
MOST_WORKERS = 4
#: Seconds without a command after which everything is given back.
_IDLE = 900
#: Workers that wait for a command, at most.
_MOST_FREE = 2
_MOST_SAID = 64  #: bytes that a worker or a caller says at once
_MOMENT = 1.0  #: seconds
_BUG = 70
#: What commands import, without DuckDB, which starts a thread when it is imported.
_IMPORTED = ("amci.cli.main", "amci.cli.query", "amci.cli.runs", "amci.cli.overview", "amci.kernel.config")


@contextmanager
def offering(workspace: WorkspacePaths) -> Iterator[None]:
    """Have commands of this workspace run by processes that are ready, from the second one on.

    For the one process that writes there. Where the system or the disk cannot do it, commands run by themselves.
    """
    place = workspace.home / SOCKET
    with ExitStack() as closing:
        try:
            listener = closing.enter_context(_listener(place))
        except OSError:
            yield
            return
        closing.callback(place.unlink, missing_ok=True)
        stopped, stop = os.pipe()
        closing.callback(os.close, stopped)
        thread = threading.Thread(target=_start_when_asked, args=(listener, workspace.home, stopped))
        thread.start()
        try:
            yield
        finally:
            os.close(stop)
            thread.join()


def _listener(place: Path) -> socket.socket:
    """Listens there, for this user alone; raises OSError if that cannot be."""
    if sys.platform != "linux":
        raise OSError("only Linux says who calls")
    listener = socket.socket(socket.AF_UNIX)
    folder = os.open(place.parent, os.O_PATH)
    try:
        place.unlink(missing_ok=True)
        os.fchmod(listener.fileno(), 0o600)
        listener.bind(short(folder))
        listener.setblocking(False)
        listener.listen()
    except OSError:
        listener.close()
        raise
    finally:
        os.close(folder)
    return listener


def _start_when_asked(listener: socket.socket, home: Path, stopped: int) -> None:
    """Start the server whenever a command comes and none is there, until the other end of `stopped` is closed."""
    while stopped not in _ready(listener.fileno(), stopped):
        _send_away(listener)
        server = start("amci.cli.fork_server", str(home), stdin=listener.fileno(), stdout=PIPE)
        with cast("IO[bytes]", server.stdout) as said:
            files = {listener.fileno(), said.fileno(), stopped}
            while stopped not in (events := _ready(*files)):
                if said.fileno() not in events:
                    _send_away(listener)
                elif not os.read(said.fileno(), 1):
                    break
                else:  # it is ready
                    files.discard(listener.fileno())
        # It ends now, or when the commands that still run have ended: those do not hold `amci up`.
        with suppress(TimeoutExpired):
            server.wait(_MOMENT)


def _send_away(listener: socket.socket) -> None:
    """Have a command run by itself, which takes it no longer than the server takes to start."""
    with suppress(OSError):
        listener.accept()[0].close()


def _ready(*files: int) -> set[int]:
    """Which of them can be read, or are closed at the other end; waits for one."""
    poll = select.poll()
    for file in files:
        poll.register(file, select.POLLIN)
    return {file for file, _ in poll.poll()}


@dataclass(slots=True)
class Worker:
    """A process that runs commands, one at a time."""

    pid: int
    line: socket.socket  #: to it
    is_ready: bool  #: it takes a command at once
    caller: socket.socket | None = None  #: whose command it has
    is_running: bool = False  #: the command has begun; from then on, its caller sends signals


class Server:
    """Forks workers, gives each caller to one of them, and passes on what either has to say."""

    def __init__(self, listener: socket.socket, alive: int, home: Path) -> None:
        self._listener = listener
        self._alive = alive
        self._home = home
        self._workers: dict[int, Worker] = {}
        self._is_open = True

    def serve(self) -> None:
        """Until no command has come for long, or `amci up` has ended and no command runs any more."""
        self._fork(is_warm=True)
        while self._is_open or self._busy():
            events = self._events()
            if not events:
                break
            # What a worker has said last counts before the end of its caller.
            for worker in [self._workers[file] for file in events & self._workers.keys()]:
                if worker in self._workers.values():
                    self._hear(worker)
            for worker in self._busy():
                if worker.caller and worker.is_running and worker.caller.fileno() in events:
                    self._pass_on(worker, worker.caller)
            if self._is_open and self._alive in events:
                self._close()
            elif self._is_open and self._listener.fileno() in events:
                self._accept()

    def _busy(self) -> list[Worker]:
        return [worker for worker in self._workers.values() if worker.caller]

    def _events(self) -> set[int]:
        """The files that have something to say; none if there was no command for long."""
        busy = self._busy()
        poll = select.poll()
        for file in self._workers:
            poll.register(file, select.POLLIN)
        for worker in busy:
            if worker.caller and worker.is_running:
                poll.register(worker.caller, select.POLLIN)
        if self._is_open:
            poll.register(self._listener, select.POLLIN)
            poll.register(self._alive, 0)
        return {file for file, _ in poll.poll(None if busy else _IDLE * 1000)}

    def _close(self) -> None:
        """Take no further commands."""
        self._is_open = False
        self._listener.close()
        for worker in self._idle():
            self._dismiss(worker)

    def _idle(self) -> list[Worker]:
        return [worker for worker in self._workers.values() if not worker.caller]

    def _dismiss(self, worker: Worker) -> None:
        """Let a worker end that has no command."""
        del self._workers[worker.line.fileno()]
        worker.line.close()
        os.waitpid(worker.pid, 0)

    def _accept(self) -> None:
        """Give a caller to a worker; with too many commands, or for somebody else, it is sent away."""
        free = [worker for worker in self._idle() if worker.is_ready]
        if not free and len(self._workers) < MOST_WORKERS:
            # Before there is a caller, whose end the worker would hold open.
            free = [self._fork(is_warm=False)]
        with suppress(OSError), ExitStack() as closing:
            caller = closing.enter_context(self._listener.accept()[0])
            if free and user_of(caller) == os.geteuid():
                free[0].caller, free[0].is_running = caller, False
                closing.pop_all()
                # If that fails, it has died, which is heard next.
                socket.send_fds(free[0].line, [b"."], [caller.fileno()])

    def _fork(self, *, is_warm: bool) -> Worker:
        """A new worker; if `is_warm`, it first does what every command does."""
        line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if not pid:
            try:
                for each in [self._listener, line, *self._sockets()]:
                    each.close()
                os.close(self._alive)
                # Here, because DuckDB starts a thread when it is imported.
                from amci.cli import fork_worker

                fork_worker.serve(theirs, self._home if is_warm else None)
            finally:
                os._exit(_BUG)
        theirs.close()
        worker = self._workers[line.fileno()] = Worker(pid, line, is_ready=not is_warm)
        return worker

    def _sockets(self) -> list[socket.socket]:
        callers = [worker.caller for worker in self._workers.values() if worker.caller]
        return [*(worker.line for worker in self._workers.values()), *callers]

    def _hear(self, worker: Worker) -> None:
        """What a worker says: that it is ready, that its command runs or was not taken, its exit code; or its end."""
        try:
            said = worker.line.recv(_MOST_SAID)
        except OSError:
            said = b""
        if said == RUNNING:
            worker.is_running = True
        elif said == READY:
            worker.is_ready = True
            with suppress(BrokenPipeError):
                os.write(self._alive, b".")
        elif said:
            self._free(worker, said)
        else:
            self._workers.pop(worker.line.fileno()).line.close()
            code = os.waitstatus_to_exitcode(os.waitpid(worker.pid, 0)[1])
            if not self._free(worker, b"%d" % code):
                self._close()  # the next one that nobody has asked for anything would die as well
            elif self._is_open and not self._idle():
                self._fork(is_warm=True)
        if len(idle := self._idle()) > (_MOST_FREE if self._is_open else 0):
            self._dismiss(idle[0])

    def _free(self, worker: Worker, code: bytes) -> bool:
        """Tell a worker's caller how the command has ended, unless it was not taken; False if there is no caller."""
        caller, worker.caller = worker.caller, None
        if caller is None:
            return False
        with caller, suppress(OSError):
            if code != REFUSED:
                caller.send(code + b"\n", socket.MSG_DONTWAIT)
        return True

    def _pass_on(self, worker: Worker, caller: socket.socket) -> None:
        """A caller's signals; its end is one as well."""
        try:
            numbers = caller.recv(_MOST_SAID, socket.MSG_DONTWAIT)
        except OSError:
            numbers = b""
        if not numbers:
            worker.is_running = False  # nobody is there to be told how it ends
            numbers = bytes([signal.SIGCONT, signal.SIGTERM])
        for number in numbers:
            if number in FORWARDED:
                os.kill(worker.pid, number)


def main() -> None:
    """Serve the workspace that is named, on the socket that is standard input, as long as standard output is read."""
    listener, alive = socket.socket(fileno=os.dup(0)), os.dup(1)
    listener.setblocking(False)
    compute_by_one_thread()
    for module in _IMPORTED:
        import_module(module)
    # What is there by now is not looked at again, so that workers share it.
    gc.collect()
    gc.freeze()
    Server(listener, alive, Path(sys.argv[1])).serve()


if __name__ == "__main__":
    main()
