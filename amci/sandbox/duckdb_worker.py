"""Runs DuckDB for the sandbox in a process of its own; `duckdb_process` starts it.

Requests come on standard input, and answers go to standard output. The process has at most `memory_limit` and ALLOWANCE
bytes of memory, and ends with the one that asks, however that ends.
"""

from __future__ import annotations

import gc
import os
import pickle
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from queue import SimpleQueue

import duckdb

from amci.kernel.process_limits import bounded_memory, is_out_of_memory, no_core_dumps, private_memory
from amci.sandbox.duckdb_messages import Columns, End, Open, Part, Piece, Rows, Run, packed

#: Bytes beyond `memory_limit` for what DuckDB does not count, and for what becomes of the rows in Python.
ALLOWANCE = 512 * 1024**2
#: Bytes of these that a session may keep for good: what DuckDB has freed stays with its allocator.
_KEPT = ALLOWANCE // 4
#: Rows that are sent at a time.
_ROWS = 10_000
#: Bytes that a value, or a row, takes in Python beside what is sent of it; about.
_OBJECT = 64
#: Characters of an error: some repeat a value, which may be as long as the memory allows.
_LONGEST = 10_000
#: What DuckDB raises, and what its values raise on the way to Python.
_ERRORS = (duckdb.Error, MemoryError, RuntimeError, ValueError, ArithmeticError)


def results(con: duckdb.DuckDBPyConnection, asked: Run) -> Iterator[Columns | Rows]:
    """Execute the statements in a session. Raises duckdb.Error."""
    if asked.needs_functions:
        # Here, because it takes time, and few queries need it.
        from amci.sandbox.udfs import register

        register(con)
    for statement in asked.before:
        con.execute(statement)
    try:
        for statement in asked.reads:
            described = con.execute(statement).description or []
            yield Columns([column[0] for column in described], [str(column[1]) for column in described])
            while rows := con.fetchmany(_ROWS):
                yield rows
    finally:
        if asked.after:
            con.execute(asked.after)


def _session(asked: Open, limits: ExitStack) -> duckdb.DuckDBPyConnection:
    limits.close()
    con = duckdb.connect()
    limits.enter_context(bounded_memory(asked.memory_limit + ALLOWANCE))
    for statement in asked.statements:
        con.execute(statement)
    return con


def _send(part: Part) -> int:
    """Write a part of an answer; the bytes that it takes in the process that asks, about."""
    written = pickle.dumps(part, pickle.HIGHEST_PROTOCOL)
    sys.stdout.buffer.write(written)
    sys.stdout.buffer.flush()
    values = sum(len(column) + 1 for column in part.values) if isinstance(part, Piece) else 0
    return len(written) + values * _OBJECT


def _receive(requests: SimpleQueue[Open | Run]) -> None:
    """Queue what comes; once nothing can come any more, end the process, whatever it does."""
    scratch = ""
    try:
        while True:
            asked: Open | Run = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the process that started this one
            if isinstance(asked, Open):
                scratch = asked.scratch
            requests.put(asked)
    finally:
        if scratch:
            shutil.rmtree(scratch, ignore_errors=True)
        os._exit(0)


def _answer(con: duckdb.DuckDBPyConnection, asked: Run, most: int) -> None:
    """Write the results. Raises MemoryError if they would take more than `most` bytes, and what `results` raises."""
    taken, columns = 0, Columns((), ())
    for part in results(con, asked):
        if isinstance(part, Columns):
            columns = part
        taken += _send(part if isinstance(part, Columns) else packed(part, columns.types))
        if taken > most:
            raise MemoryError


def main() -> None:
    """Answer requests, one after another."""
    # It ends with the process that asks, which may want the answer still.
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, signal.SIG_IGN)
    no_core_dumps()
    # Rows have no cycles: looking for some takes a tenth of the time.
    gc.set_threshold(10 * _ROWS)
    requests: SimpleQueue[Open | Run] = SimpleQueue()
    threading.Thread(target=_receive, args=(requests,), daemon=True).start()
    con, limits, most, least = duckdb.connect(), ExitStack(), 0, 0
    while True:
        asked, error = requests.get(), None
        try:
            if isinstance(asked, Open):
                con.close()
                con, most, least = _session(asked, limits), asked.memory_limit + ALLOWANCE, private_memory()
            else:
                _answer(con, asked, most)
                if not asked.reads:
                    least = private_memory()  # what prepares queries stays
        except _ERRORS as raised:
            error = raised
        _send(_end(error, private_memory() - least))


def _end(error: Exception | None, kept: int) -> End:
    """The last part of an answer, after which the process keeps so many bytes more than at first."""
    if error is None:
        return End(is_large=kept > _KEPT)
    is_large = is_out_of_memory(error)
    return End(str(error)[:_LONGEST], is_large, is_large or kept > _KEPT)


if __name__ == "__main__":
    main()
