"""A server that answers each connection with whatever bytes a test says, as slowly as it says."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

#: Between two pieces of what is sent slowly; seconds.
BEAT = 0.02
#: So many pieces are sent slowly, at most: a client without patience of its own comes to the end, too.
MOST = 100

Answer = Callable[[bytes], Iterable[bytes]]


def slowly(data: bytes) -> Iterator[bytes]:
    """Byte by byte, beginning again after the last one."""
    for number in range(MOST):
        yield data[number % len(data) : number % len(data) + 1]


class RawServer:
    """Hears what comes up to an empty line, sends the pieces of its answer, one each beat, and hangs up."""

    def __init__(self, answer: Answer, greeting: bool = False) -> None:
        """`answer`: from what was heard. `greeting`: it speaks first, and hears nothing."""
        self._answer, self._greeting = answer, greeting
        self.ended = 0  #: answers that were sent to their end
        self._over = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._threads = [threading.Thread(target=self._serve)]
        self._threads[0].start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connected, _ = self._listening.accept()
                self._threads.append(threading.Thread(target=self._speak, args=[connected]))
                self._threads[-1].start()

    def _speak(self, connected: socket.socket) -> None:
        with suppress(OSError), connected:
            heard = b""
            while not self._greeting and b"\r\n\r\n" not in heard:
                if not (more := connected.recv(65536)):
                    return
                heard += more
            for number, piece in enumerate(self._answer(heard)):
                if number and self._over.wait(BEAT):
                    return
                connected.sendall(piece)
            self.ended += 1

    def close(self) -> None:
        self._over.set()
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join()


@contextmanager
def raw_server(answer: Answer, *, greeting: bool = False) -> Iterator[RawServer]:
    server = RawServer(answer, greeting)
    try:
        yield server
    finally:
        server.close()
