"""Every error amci raises on purpose, drawn as one tree.

AmciError                                exit 1
├── ConfigError(problems)                     2
├── NotFound                                  4
├── WorkspaceError
│   ├── NoWorkspace                          10
│   ├── WorkspaceBusy                        11
│   ├── WorkspaceTooNew
│   └── LakeMismatch                         13
├── StateError
│   ├── IllegalMove
│   └── LeaseLost
├── StorageError                              the disk is at fault: full, read-only, unreadable; retried
├── DamagedFile                               a file that amci wrote is missing or altered: repair it first
├── MemoryLimit                               more was needed than memory_limit allows
├── QueryError                                2
├── DataError                                 the file is at fault: quarantine, never retry
│   ├── Unroutable
│   ├── MalformedFile(line)
│   ├── SchemaConflict(column, have, got)
│   └── QualityError(rule)
├── TransformError(name)                      the plugin is at fault: failed, with its traceback
└── RemoteError(request_id)                   Amazon's side, or the way there
    ├── AuthError                            12    credentials missing, unreadable or refused
    ├── NoAccess                              the tenant's check failed: AMC is not asked
    ├── Refused(status, code, details)        Amazon understood and said no
    ├── Throttled(retry_after)                retried
    ├── Unavailable                           5xx, no connection, circuit open: retried
    ├── OutcomeUnknown                        sent, and no answer came: look before sending again
    ├── ExecutionFailed(status)               AMC ran the workflow, or refused to, and it did not succeed
    └── NotRecorded                           replay: the fixture has no such request

The class answers: may it be retried, what does the process exit with, what should one do next.
Three more codes belong to the command line: 3, some runs failed; 70, a bug in amci; 130, interrupted.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar


class AmciError(Exception):
    """Something went wrong in amci."""

    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False

    def __init__(self, message: str = "", *, hint: str = "") -> None:
        super().__init__(message or inspect.cleandoc(type(self).__doc__ or ""))
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in the configuration."""

    file: str  #: relative to the workspace
    field: str  #: dotted path inside the file, or empty for the file as a whole
    says: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.file, self.field, self.says) if part)


class ConfigError(AmciError):
    """The configuration has mistakes; all of them are listed."""

    exit_code = 2

    def __init__(self, problems: list[Problem], *, hint: str = "") -> None:
        super().__init__("\n".join(map(str, problems)), hint=hint)
        self.problems = problems


@contextmanager
def collected(problems: list[Problem]) -> Iterator[None]:
    """End the block at a ConfigError, and add its mistakes to `problems`, to be raised with those of others."""
    try:
        yield
    except ConfigError as error:
        problems += error.problems


class UsageError(AmciError):
    """The command was called with something it cannot use."""

    exit_code = 2


class NotFound(AmciError):
    """There is no such thing."""

    exit_code = 4


class WorkspaceError(AmciError):
    """The workspace cannot be used."""


class NoWorkspace(WorkspaceError):
    """No workspace here."""

    exit_code = 10


class WorkspaceBusy(WorkspaceError):
    """Another amci is writing to this workspace."""

    exit_code = 11


class WorkspaceTooNew(WorkspaceError):
    """This workspace was written by a newer amci."""


class LakeMismatch(WorkspaceError):
    """The state file and the catalog do not belong together."""

    exit_code = 13


class StateError(AmciError):
    """The run store refused."""


class IllegalMove(StateError):
    """A run cannot go from its status to the one asked for."""


class LeaseLost(StateError):
    """Another worker has taken this run over."""


class StorageError(AmciError):
    """The disk refused to read or write."""

    retryable = True


class DamagedFile(AmciError):
    """A file that amci wrote is missing, or is not what was written."""


class MemoryLimit(AmciError):
    """The work needs more memory than it may use."""


class QueryError(AmciError):
    """The query cannot be run."""

    exit_code = 2


class DataError(AmciError):
    """The file is at fault."""


class Unroutable(DataError):
    """No dataset's pattern matches this key."""


class MalformedFile(DataError):
    """The file is not what its format promises."""

    def __init__(self, message: str = "", *, line: int | None = None, hint: str = "") -> None:
        super().__init__(f"line {line}: {message}" if line else message, hint=hint)
        self.line = line  #: physical line, counted from 1


class SchemaConflict(DataError):
    """A column arrived with a type the table does not take."""

    def __init__(self, column: str, have: str, got: str, *, hint: str = "") -> None:
        super().__init__(f"column {column}: the table has {have}, the file has {got}", hint=hint)
        self.column = column
        self.have = have
        self.got = got


class QualityError(DataError):
    """A quality rule with `on_fail: fail` did not hold."""

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(
            f"quality rule {rule}: {message}",
            hint="fix the file and send it again, or change the rule and reprocess",
        )
        self.rule = rule


class TransformError(AmciError):
    """A transform raised."""

    def __init__(self, name: str, message: str, *, hint: str = "") -> None:
        super().__init__(f"transform {name}: {message}", hint=hint)
        self.name = name


class RemoteError(AmciError):
    """Amazon's side did not do what was asked."""

    def __init__(self, message: str = "", *, request_id: str = "", hint: str = "") -> None:
        super().__init__(f"{message} (request {request_id})" if request_id else message, hint=hint)
        self.request_id = request_id  #: Amazon's, for its support
        #: The request and how it was answered, as JSON values without secrets, if one was sent.
        self.exchange: Mapping[str, Any] | None = None


class AuthError(RemoteError):
    """Not authorised."""

    exit_code = 12


class NoAccess(RemoteError):
    """AMC is not asked: the newest check of the tenant found that its login sees nothing there."""


class Refused(RemoteError):
    """Amazon understood the request and refused it."""

    def __init__(
        self, status: int, details: str, *, code: str = "", request_id: str = "", hint: str = ""
    ) -> None:
        super().__init__(details or f"refused with status {status}", request_id=request_id, hint=hint)
        self.status = status  #: HTTP
        self.code = code or str(status)
        self.details = details  #: Amazon's own words


class Throttled(RemoteError):
    """Too many requests."""

    retryable = True

    def __init__(
        self, message: str = "", *, retry_after: timedelta | None = None, request_id: str = ""
    ) -> None:
        super().__init__(message, request_id=request_id, hint="amci slows down and tries again by itself")
        self.retry_after = retry_after  #: as Amazon asked


class Unavailable(RemoteError):
    """Amazon could not be reached, or could not answer."""

    retryable = True


class OutcomeUnknown(RemoteError):
    """The request was sent and no answer came, so it may have been carried out."""

    retryable = True


class ExecutionFailed(RemoteError):
    """The workflow execution did not succeed."""

    def __init__(self, status: str, reason: str, *, hint: str = "") -> None:
        # AMC has no such status: it is noted here for what AMC does not show any more.
        says = "it is gone" if status == "DELETED" else f"AMC says {status}"
        super().__init__(f"{says}: {reason}" if reason else says, hint=hint)
        self.status = status


class NotRecorded(RemoteError):
    """The fixture holds no answer to this request."""
