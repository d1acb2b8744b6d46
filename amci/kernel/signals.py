"""Orderly shutdown: the first SIGINT or SIGTERM asks, the second SIGINT insists, and a program ends in any case."""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from amci.kernel.clock import stopwatch

#: Seconds that a program which was asked to stop may take for what it is doing.
GRACE = 8.0
_ASKING = (signal.SIGINT, signal.SIGTERM)
_DONE = b"\0"
_INTERRUPTED = 130
_LAST_WORDS = b"amci: did not stop by itself and was ended; what was not finished is taken up the next time\n"


@contextmanager
def stopping(*, is_program: bool = True) -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set; a second SIGINT raises KeyboardInterrupt at once.

    A program (not a notebook, or a shell that goes on) that has not ended within GRACE seconds is ended with exit code
    130, whatever it does: nothing that amci writes is left incomplete by that, and what it was doing is done again.
    """
    stop = threading.Event()
    seen: list[int] = []
    insisted: list[int] = []

    def ask(number: int, _frame: object) -> None:
        # The event's lock may be held by what is interrupted here, so that another thread sets it.
        seen.append(number)
        if len(seen) > 1 and number == signal.SIGINT:
            insisted.append(number)
            raise KeyboardInterrupt

    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    # Also while this thread is in a call that does not return, the interpreter writes the signal's number here.
    obeying = threading.Thread(target=_obey, args=(reading, stop, is_program), name="signals", daemon=True)
    obeying.start()
    woken = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    before = {number: signal.signal(number, ask) for number in _ASKING}
    try:
        yield stop
    except Exception:
        if insisted:  # what it came in between, such as DuckDB, has made an error of its own of it
            raise KeyboardInterrupt from None
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(woken)
        if seen:
            stop.set()
        # If the program was asked, the rest of its way out is watched as well.
        if not (seen and is_program):
            os.write(writing, _DONE)
            obeying.join()
            os.close(reading)
            os.close(writing)


def _obey(reading: int, stop: threading.Event, is_program: bool) -> None:
    """Set the event when a signal has come, and end the program if that does not help."""
    asked = 0.0
    while True:
        left = max(asked + GRACE - stopwatch(), 0) if asked and is_program else None
        if not select.select([reading], [], [], left)[0]:
            with suppress(OSError):
                if select.select([], [2], [], 0)[1]:
                    os.write(2, _LAST_WORDS)
            os._exit(_INTERRUPTED)
        for number in os.read(reading, 64):
            if number in _ASKING:
                asked = asked or stopwatch()
                stop.set()
            if number == _DONE[0]:
                return
