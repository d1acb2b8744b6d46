"""Runs `amci` and sends signals to itself when a function is called: a test starts it.

`stopped.py MODULE:FUNCTION NUMBER SIGNALS GRACE WORD…`: at the NUMBERth call of the function, sends each of the
signals; `none` sends none.
"""

from __future__ import annotations

import inspect
import os
import signal
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from typing import Any

from amci.__main__ import main
from amci.kernel import signals

# A shell starts what it does not wait for with SIGINT ignored, and Python leaves it so.
signal.signal(signal.SIGINT, signal.default_int_handler)
_, wanted, number, numbers, grace, *words = sys.argv
calls = 0
lock = threading.Lock()


def sending(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which sends the signals at that call of it."""

    def called(*arguments: Any, **options: Any) -> Any:
        global calls  # noqa: PLW0603 - a script
        with lock:
            calls += 1
            is_now = calls == int(number)
        for each in numbers.split(",") if is_now else ():
            os.write(2, b"SIGNAL\n")
            os.kill(os.getpid(), int(each))
        return function(*arguments, **options)

    return called


if wanted != "none":
    module, _, path = wanted.partition(":")
    owner: Any = import_module(module)
    *outer, name = path.split(".")
    for each in outer:
        owner = getattr(owner, each)
    found = inspect.getattr_static(owner, name)
    if isinstance(found, classmethod):
        setattr(owner, name, classmethod(sending(found.__func__)))
    else:
        setattr(owner, name, sending(found))
signals.GRACE = float(grace)
sys.argv = ["amci", *words]
main()
