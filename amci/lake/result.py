"""A query's answer, fetched piece by piece, and the time and words DuckDB gets for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import duckdb
import pyarrow as pa

from amci.clock import stopwatch
from amci.errors import QueryError, StorageError
from amci.lake.statement import said

Value = TypeVar("Value")


class Budget:
    """How long DuckDB may work on one query; the time a reader takes between two fetches does not count."""

    def __init__(self, con: duckdb.DuckDBPyConnection, timeout: timedelta, *, hide_values: bool) -> None:
        self._con = con
        self._timeout = timeout
        self._left = timeout.total_seconds()
        self._is_over = threading.Event()
        self._hide_values = hide_values

    def spend(self, work: Callable[[], Value]) -> Value:
        """What `work` gives; QueryError where DuckDB fails or the time is over."""
        timer = threading.Timer(max(self._left, 0), self._stop)
        timer.daemon = True
        began = stopwatch()
        timer.start()
        try:
            return work()
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            raise self._translated(error) from None
        finally:
            timer.cancel()
            self._left -= stopwatch() - began

    def _stop(self) -> None:
        self._is_over.set()
        self._con.interrupt()

    def _translated(self, error: Exception) -> QueryError | StorageError:
        text = str(error)
        if self._is_over.is_set():
            return QueryError(
                f"the query ran longer than {self._timeout.total_seconds():g} s",
                hint="narrow it, or raise query_timeout in amci.yaml",
            )
        if isinstance(error, duckdb.OutOfMemoryException) or "Out of Memory Error" in text:
            return QueryError(
                "the query needs more memory than query_memory_limit allows",
                hint="narrow it, or raise it in amci.yaml",
            )
        if is_busy(error):
            return StorageError("the catalog is busy", hint="run the query again")
        if isinstance(error, duckdb.PermissionException):
            return QueryError(said(error), hint="a session reads the lake and nothing else")
        told = (duckdb.CatalogException, duckdb.BinderException, duckdb.ParserException)
        if self._hide_values and not isinstance(error, told):
            # DuckDB may try an expression on rows before the view has left out those of others.
            return QueryError(
                "a value does not fit the expression it is used in",
                hint="TRY_CAST gives NULL where CAST fails",
            )
        return QueryError(
            said(error), hint="`amci lake tables` lists tables, `amci lake show TABLE` their columns"
        )


@dataclass(frozen=True, slots=True)
class Result:
    """What a query answers, fetched piece by piece; DuckDB makes the rows while they are asked for."""

    columns: tuple[str, ...]
    types: tuple[str, ...]  #: of the columns, in SQL
    _con: duckdb.DuckDBPyConnection
    _budget: Budget

    @property
    def description(self) -> list[tuple[str]]:
        """The columns as a DB-API cursor names them."""
        return [(name,) for name in self.columns]

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows."""
        return self._budget.spend(self._con.fetchall)

    def arrow(self, size: int = 50_000) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        """The schema, and the rows in record batches of about `size`."""
        reader = self._budget.spend(lambda: self._con.to_arrow_reader(size))

        def read() -> Iterator[pa.RecordBatch]:
            while (batch := self._budget.spend(lambda: next(reader, None))) is not None:
                yield batch

        return reader.schema, read()


def is_busy(error: Exception) -> bool:
    """Whether a writing process has the catalog at this moment."""
    return any(words in str(error).lower() for words in ("database is locked", "catalog is busy"))
