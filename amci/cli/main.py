"""Runs the command line and turns errors into exit codes."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn, TextIO, cast

from amci.cli.output import Output, Terminal
from amci.kernel.environment import compute_by_one_thread
from amci.kernel.errors import AmciError, UsageError
from amci.kernel.files import storage_error

_BUG, _INTERRUPTED = 70, 130
_LAST_WORDS = "amci: interrupted; what was not finished is taken up the next time"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def run(*, raises: bool) -> NoReturn:
    """Run the command in `sys.argv`; the exit codes are those of `amci.kernel.errors`.

    `raises`: SIGINT, which ends the process at once by now, raises KeyboardInterrupt as soon as commands are imported.
    """
    out = Output(as_json="--json" in sys.argv)
    # Also what typer says of wrong arguments, which may be names of files; progress is drawn by `out` itself.
    is_shown = sys.stderr is not None and sys.stderr.isatty()
    sys.stderr = cast("TextIO", Terminal(sys.stderr)) if is_shown else sys.stderr
    came: list[int] = []

    def interrupt(number: int, _frame: object) -> NoReturn:
        came.append(number)
        raise KeyboardInterrupt

    compute_by_one_thread()
    try:
        from amci.cli.app import app

        if raises:
            signal.signal(signal.SIGINT, interrupt)
        _run(app, out)
    except AmciError as error:
        out.error(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        out.note(_LAST_WORDS)
        _end_interrupted()
    except BrokenPipeError:
        # Whoever read the output has seen enough, as `head` does.
        sys.stderr.close()
        sys.exit(0)
    except Exception as error:  # noqa: BLE001 - the last line: a bug is said to be one
        _fail(out, error, is_interrupted=bool(came))
    finally:
        if raises:
            # Everything is closed by now.
            signal.signal(signal.SIGINT, signal.SIG_DFL)


def _run(app: Callable[..., object], out: Output) -> NoReturn:
    """Run the command and bring what it has printed to its place before Python ends; raises what goes wrong."""
    code: object
    try:
        code = app(standalone_mode=True) or 0
    except SystemExit as end:
        code = end.code
    if code == _INTERRUPTED:
        _end_interrupted()
    # So typer leaves it behind, with exit code 1, when nobody reads the output any more.
    if code == 1 and type(sys.stdout).__name__ == "PacifyFlushWrapper":
        raise BrokenPipeError
    out.flush()
    raise SystemExit(code)


def _fail(out: Output, error: Exception, *, is_interrupted: bool) -> NoReturn:
    """Say what has happened and end; it is a bug unless something outside is known to be the cause."""
    if (
        is_interrupted
    ):  # DuckDB, and modules in C that are being imported, make errors of their own of a signal
        out.note(_LAST_WORDS)
        _end_interrupted()
    if isinstance(error, OSError) and error.errno in _FULL:  # as where `--help` goes to
        out.error(storage_error(error, "write the output"))
        out.forget()
        sys.exit(AmciError.exit_code)
    if isinstance(error, UnicodeEncodeError) and any(map(_is_no_text, sys.argv)):
        out.error(UsageError("an argument is not UTF-8 text", hint="type it in UTF-8"))
        sys.exit(UsageError.exit_code)
    out.error(_bug(error))
    sys.exit(_BUG)


def _end_interrupted() -> NoReturn:
    """End at once, everything being closed: what was interrupted in C code may take the process down at Python's end.

    A thread that is still in DuckDB does ("terminate called without an active exception"), and so does a module of
    which the import was cut short.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(_INTERRUPTED)


def _is_no_text(argument: str) -> bool:
    """Whether it has bytes that are no UTF-8, as a name of a file may have, but nothing that is stored."""
    return any("\ud800" <= character <= "\udfff" for character in argument)


def _bug(error: Exception) -> AmciError:
    """A bug's place, without the values that may be in its text."""
    from amci.kernel import log

    log.get(__name__).error("bug", exc_info=error)
    last = error.__traceback__
    while last and last.tb_next:
        last = last.tb_next
    where = f"{last.tb_frame.f_code.co_filename.rpartition('amci/')[2]}:{last.tb_lineno}" if last else "?"
    return AmciError(
        f"a bug in amci: {type(error).__name__} at {where}",
        hint="please report it; logs/amci.jsonl has the traceback",
    )
