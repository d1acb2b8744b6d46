"""The log: JSON lines in a rotating file, with the run they belong to, and never a secret or a row value."""

from __future__ import annotations

import logging
import re
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager, suppress
from functools import cache
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO, cast

from amci.kernel.clock import Clock, SystemClock, timestamp
from amci.kernel.errors import AmciError
from amci.kernel.files import storage_errors
from amci.kernel.text import json_visible

if TYPE_CHECKING:
    import structlog

    from amci.kernel.run import Run

_ROOT = "amci"
_MOST_BYTES = 10_000_000
_OLD_FILES = 5
_SECRET = re.compile(
    r"token|secret|authori[sz]ation|passw(or)?d|passphrase|credential|cookie|keymaterial"
    r"|(private|api|access|encryption|data|master|signing)key"
)
_clock: Clock = SystemClock()
_importing = threading.RLock()


class _Lines(logging.Formatter):
    """The line as rendered; the standard one would add a traceback, with the texts of foreign errors."""

    def format(self, record: logging.LogRecord) -> str:
        return json_visible(record.getMessage())


class _File(RotatingFileHandler):
    """The rotating file; a line that a full disk does not take is lost, and fails nothing."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is that of `logging`
        """Do nothing, rather than print a traceback."""


class _Stream(logging.StreamHandler[TextIO]):
    """Standard error, which may have no reader left."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is that of `logging`
        """Do nothing, rather than print a traceback."""


def configure(path: Path | None, level: str, to_stderr: bool, *, clock: Clock | None = None) -> None:
    """Send log lines of at least `level` (DEBUG … ERROR) to a rotating file, to stderr, to both or neither.

    What an earlier call opened is closed. Raises StorageError if the file cannot be opened.
    """
    global _clock  # noqa: PLW0603 - the log belongs to the process, as the handlers of `logging` do
    _clock = clock or SystemClock()
    root = logging.getLogger(_ROOT)
    for handler in list(root.handlers):
        root.removeHandler(handler)
        with suppress(OSError):
            handler.close()
    root.propagate = False
    root.setLevel(level.upper())
    handlers: list[logging.Handler] = [logging.NullHandler()]
    if path is not None:
        with storage_errors(f"write {path.name}"):
            path.parent.mkdir(parents=True, exist_ok=True)
            handlers.append(_File(path, maxBytes=_MOST_BYTES, backupCount=_OLD_FILES, encoding="utf-8"))
    if to_stderr:
        handlers.append(_Stream(sys.stderr))
    for handler in handlers:
        handler.setFormatter(_Lines())
        root.addHandler(handler)


class Logger:
    """A module's logger, with the methods of structlog's: `debug`, `info`, `warning`, `error`, `exception`."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, method: str) -> Any:
        # With the first line: importing structlog takes longer than all of `amci status`, which logs nothing.
        return getattr(_structured(self._name), method)


def get(name: str) -> Logger:
    """The logger of a module; silent until `configure` was called."""
    return Logger(name)


def _import() -> None:
    """Import structlog; its modules import each other, so two threads must not come to it by different ones."""
    with _importing:
        import structlog.contextvars  # noqa: F401


@cache
def _structured(name: str) -> structlog.stdlib.BoundLogger:
    _import()
    import structlog

    root = logging.getLogger(_ROOT)
    if not root.handlers:
        root.addHandler(logging.NullHandler())
        root.propagate = False
    full = name if name == _ROOT or name.startswith(f"{_ROOT}.") else f"{_ROOT}.{name}"
    wrapped = structlog.wrap_logger(
        logging.getLogger(full),
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            _stamped,
            _with_frames,
            redacted,
            structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        context_class=dict,
        cache_logger_on_first_use=True,
    )
    return cast("structlog.stdlib.BoundLogger", wrapped)


@contextmanager
def bound(*runs: Run) -> Iterator[None]:
    """Every log line of this thread inside the block says which run, or runs, it belongs to."""
    tenants = {run.tenant_id for run in runs}
    values = {
        "run_id": runs[0].run_id if len(runs) == 1 else [run.run_id for run in runs],
        "tenant_id": tenants.pop() if len(tenants) == 1 else None,
        "kind": "/".join(sorted({run.kind for run in runs})),
    }
    _import()
    from structlog.contextvars import bound_contextvars

    with bound_contextvars(**values):
        yield


def redacted(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Drop every key, at any depth, that is named like a secret."""
    return cast("MutableMapping[str, Any]", _without_secrets(event))


def _without_secrets(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _without_secrets(inner) for key, inner in value.items() if not _is_secret(str(key))}
    if isinstance(value, (list, tuple)):
        return [_without_secrets(inner) for inner in value]
    return value


def _is_secret(name: str) -> bool:
    return _SECRET.search(re.sub(r"[^a-z]", "", name.lower())) is not None


def _stamped(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    event["at"] = timestamp(_clock.now())
    return event


def _with_frames(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Where an error came from; a foreign error's text may hold row values, so only its class is written."""
    given = event.pop("exc_info", None)
    error = given if isinstance(given, BaseException) else sys.exc_info()[1] if given else None
    if error is not None:
        event["error"] = type(error).__name__
        event["says"] = str(error) if isinstance(error, AmciError) else None
        event["frames"] = _frames(error.__traceback__)
        cause = error.__cause__ or error.__context__
        if cause is not None:
            event["cause"] = type(cause).__name__
            event["cause_frames"] = _frames(cause.__traceback__)
    return event


def _frames(trace: TracebackType | None) -> list[str]:
    return [
        f"{'/'.join(Path(frame.filename).parts[-2:])}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(trace)
    ]
