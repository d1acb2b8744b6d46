"""DuckDB in a process of its own, in which a query ends that takes too much memory or time.

DuckDB's `memory_limit` does not count a single value, and an interruption does not reach into a single function call.
Its planner computes constants, too: a few hundred bytes of nested REPLACE take gigabytes and minutes.
"""

from __future__ import annotations

import pickle
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple, cast

from amci.amcsql.duckdb_writer import SCHEMA
from amci.kernel.child_process import start
from amci.kernel.clock import new_id
from amci.kernel.duckdb_settings import limits, locked
from amci.kernel.errors import AmciError, StorageError
from amci.sandbox.duckdb_messages import Columns, End, Open, Piece, Rows, Run, unpacked
from amci.sandbox.errors import QueryFailed

#: Seconds in which the process has to start and its session to open, on a machine that is busy.
STARTING = 120.0
#: Seconds between two tries to end what runs while the session is closed.
_BETWEEN = 0.05
#: How much may be spilled to disk, in memory limits; DuckDB says of more that it is out of memory, too.
_SPILLED = 16
#: With one thread the same query gives its rows in the same order.
_THREADS = 1
#: Processes of closed sessions, kept for the next ones, and how many: none, but in tests, which open hundreds.
IDLE: list[subprocess.Popen[bytes]] = []
MOST_IDLE = 0
_WORKER = "amci.sandbox.duckdb_worker"
_TOO_LARGE = "Query exceeded the memory available to it."
#: Ends of a process whose memory is used up: by the system, by C++, by Python.
_OUT_OF_MEMORY = (-signal.SIGKILL, -signal.SIGABRT, 1)


class DuckDBError(AmciError):
    """An error of DuckDB's, in its words."""

    @property
    def first_line(self) -> str:
        """Its first line, without the query that DuckDB repeats."""
        return str(self).partition("\n")[0]


class Result(NamedTuple):
    """What one statement gives."""

    columns: Columns
    rows: Rows


class DuckDBProcess:
    """A locked-down session in a process of its own; threads may share it, and take turns.

    `open` starts it. It ends when it is closed, and with a statement that takes much memory or too much time, or is
    interrupted: then it has to be opened again.
    """

    def __init__(self, memory_limit: int, directory: Path | None = None) -> None:
        """`memory_limit` is in bytes; `directory` is all that may be read. Without one, nothing is spilled to disk."""
        self._memory_limit, self._directory = memory_limit, directory
        self._scratch = directory / f"scratch-{new_id()}" if directory else None
        self._process: subprocess.Popen[bytes] | None = None
        self._turn = threading.Lock()
        self._is_closed = False

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for the other threads. Raises StorageError if the session was closed."""
        with self._turn:
            self._check_not_closed()
            yield

    @property
    def is_open(self) -> bool:
        """Whether there is a session; the system may have ended its process meanwhile."""
        if self._process is not None and self._process.poll() is not None:
            self._end()
        return self._process is not None

    def open(self) -> None:
        """Open a session without tables, in place of the one before. Raises StorageError."""
        opening = Open(self._opening(), self._memory_limit, str(self._scratch or ""))
        try:
            if self._process is None or not self.is_open:
                self._process = _started()
            self._ask(self._process, opening, STARTING)
        except (DuckDBError, QueryFailed, OSError) as error:
            self._end()
            raise StorageError(f"start the process for queries: {error}") from error

    def run(self, asked: Run, seconds: float) -> list[Result]:
        """Execute statements, for at most so many seconds.

        Raises DuckDBError; QueryFailed if they take too much time or memory; StorageError if the session is closed
        meanwhile.
        """
        if self._process is None:
            raise StorageError("there is no session for queries")
        return self._ask(self._process, asked, seconds)

    def close(self) -> None:
        """End the process, whatever it does; nothing runs in it any more."""
        self._is_closed = True
        is_killed = False
        # One that is just about to start cannot be killed yet.
        while not self._turn.acquire(timeout=_BETWEEN):
            if (process := self._process) is not None:
                process.kill()
                is_killed = True
        if self._process is not None and not is_killed and len(IDLE) < MOST_IDLE:
            IDLE.append(self._process)
            self._process = None
        self._end()
        self._turn.release()

    def _ask(self, process: subprocess.Popen[bytes], asked: Open | Run, seconds: float) -> list[Result]:
        results: list[Result] = []
        is_late, end = threading.Event(), None

        def give_up() -> None:
            is_late.set()
            process.kill()

        timer = threading.Timer(seconds, give_up)
        timer.daemon = True
        timer.start()
        try:
            pickle.dump(asked, cast("IO[bytes]", process.stdin))
            cast("IO[bytes]", process.stdin).flush()
            results, end = _answer(cast("IO[bytes]", process.stdout))
        except MemoryError as error:
            raise QueryFailed(_TOO_LARGE) from error
        except (EOFError, BrokenPipeError, pickle.UnpicklingError):
            pass  # the process has ended
        finally:
            timer.cancel()
            timer.join()
            # What remains of an answer would be taken for the next one.
            if end is None or end.is_large or is_late.is_set():
                self._end()
        if end is None:
            self._check_not_closed()
            raise QueryFailed(_reason(process, seconds if is_late.is_set() else None))
        if end.is_out_of_memory:
            raise QueryFailed(_TOO_LARGE)
        if end.error is not None:
            raise DuckDBError(end.error)
        return results

    def _check_not_closed(self) -> None:
        if self._is_closed:
            raise StorageError("the sandbox was closed while a query waited")

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        # Leaving closes the pipes, of which one may have a request that nobody reads, and waits for the end.
        with suppress(BrokenPipeError), process:
            pass
        if self._scratch:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def _opening(self) -> list[str]:
        """Statements that leave a session the directory's files: no network, no extensions, no other settings."""
        # the events may be elsewhere, behind a link
        paths = (self._directory, self._directory / "events") if self._directory else ()
        return [
            f"CREATE SCHEMA {SCHEMA}",
            limits(self._memory_limit, threads=_THREADS, temp=self._scratch or ""),
            f"SET max_temp_directory_size = '{_SPILLED * self._memory_limit // 1024}KiB'",
            # a share of nothing is NULL, as in Spark
            "SET ieee_floating_point_ops = false",
            locked(folders=sorted({path.resolve() for path in paths})),
        ]


def _started() -> subprocess.Popen[bytes]:
    with suppress(IndexError):
        return IDLE.pop()
    return start(_WORKER, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def collected(parts: Iterable[Columns | Rows]) -> list[Result]:
    """The results of an answer."""
    results: list[Result] = []
    for part in parts:
        if isinstance(part, Columns):
            results.append(Result(part, []))
        else:
            results[-1].rows.extend(part)
    return results


def _answer(pipe: IO[bytes]) -> tuple[list[Result], End]:
    """The results that come, and how they end. Raises EOFError if the process does instead."""
    parts: list[Columns | Rows] = []
    while not isinstance(part := pickle.load(pipe), End):  # noqa: S301 - from a process that runs our code
        parts.append(unpacked(part) if isinstance(part, Piece) else part)
    return collected(parts), part


def _reason(process: subprocess.Popen[bytes], seconds: float | None) -> str:
    """Why a query has failed whose process has ended; `seconds` were its time if that was over."""
    if seconds is not None:
        return f"Query timed out after {seconds:g} seconds."
    if process.returncode in _OUT_OF_MEMORY:
        return _TOO_LARGE
    return f"Query could not be run: its process ended with exit code {process.returncode}."
