"""A query's answer, fetched piece by piece, and the time and words DuckDB gets for it."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self, TypeVar

import duckdb

from amci.kernel.clock import stopwatch
from amci.kernel.errors import DamagedFile, QueryError, StorageError, UsageError
from amci.kernel.process_limits import is_out_of_memory
from amci.lake.catalog.duck import NAMING_ERRORS, REMEDY, first_line, is_busy, is_damage

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

Value = TypeVar("Value")

#: Seconds between two interruptions.
_BETWEEN = 0.02
#: Seconds of waiting without a look at `stop`.
_SLICE = 0.1
#: Seconds in which DuckDB has to heed an interruption. It looks for one between two pieces of work, and some functions
#: make a single piece of a value of hundreds of megabytes.
_GRACE = 5

#: What DuckDB says if a column is text that was thought to hold numbers.
_SUMS_TEXT = re.compile(r"'(?:sum|avg|median|stddev\w*)\(VARCHAR\)'")
_TEXT_HINT = (
    "the column is text because a value of it is no number: `amci lake doubts` says which, and"
    " TRY_CAST(… AS DOUBLE) leaves it out"
)
_NAMES_HINT = "`amci lake tables` lists tables, `amci lake show TABLE` their columns"


class TimeBudget:
    """How long DuckDB may work on one query; the time a reader takes between two fetches does not count."""

    def __init__(
        self, con: duckdb.DuckDBPyConnection, timeout: timedelta, *, hide_values: bool, stop: threading.Event
    ) -> None:
        """`stop`: once it is set, `spend` raises KeyboardInterrupt."""
        self._con = con
        self._stop = stop
        self._timeout = timeout
        self._left = timeout.total_seconds()
        self._is_over = False
        self.is_stuck = False  #: DuckDB works on, after its time; the connection cannot be used any more
        self._hide_values = hide_values

    def spend(self, work: Callable[[], Value]) -> Value:
        """What `work` returns. Raises QueryError if DuckDB fails or the time is over, also if it goes on for all that.

        DuckDB works in a thread of its own: while it did its work here, nothing would hear of Ctrl-C.
        """
        done: Future[Value] = Future()
        # Not whether the thread lives: a join that Ctrl-C interrupts takes it for dead.
        has_ended = threading.Event()
        thread = threading.Thread(target=_finish, args=(done, work, has_ended), daemon=True)
        began = stopwatch()
        try:
            try:
                thread.start()
            except RuntimeError:  # no memory for its stack
                has_ended.set()
                raise too_large() from None
            while not (has_ended.is_set() or self._stop.is_set()) and stopwatch() - began < self._left:
                has_ended.wait(min(_SLICE, max(self._left - stopwatch() + began, 0)))
            self._is_over = not has_ended.is_set()
            if self._stop.is_set():
                raise KeyboardInterrupt
        finally:
            try:
                # Once is not enough: DuckDB forgets an interruption that comes before it has begun.
                since = stopwatch()
                while not has_ended.is_set() and stopwatch() - since < _GRACE:
                    self._con.interrupt()
                    has_ended.wait(_BETWEEN)
            finally:
                # Also if a second Ctrl-C ends the wait: Python must not end while the thread is in DuckDB, and the
                # connection cannot be closed.
                self.is_stuck = not has_ended.is_set()
                self._left -= stopwatch() - began
        if self.is_stuck:
            raise self._too_long()
        thread.join()  # it has nothing left to do; Python does not end below it
        try:
            return done.result()
        except (duckdb.Error, OSError, MemoryError) as error:
            raise self._translated(error) from None

    def _translated(self, error: Exception) -> QueryError | StorageError | DamagedFile:
        if self._is_over:
            return self._too_long()
        if is_out_of_memory(error):
            return too_large()
        if is_busy(error) or is_damage(error):
            return _of_the_lake(error)
        if isinstance(error, duckdb.PermissionException):
            return QueryError(first_line(error), hint="a session reads the lake and nothing else")
        if self._hide_values and not isinstance(error, NAMING_ERRORS):
            # DuckDB may try an expression on rows before the view has left out those of others.
            return QueryError(
                "a value does not fit the expression it is used in", hint="TRY_CAST gives NULL if CAST fails"
            )
        says = first_line(error)
        return QueryError(says, hint=_TEXT_HINT if _SUMS_TEXT.search(says) else _NAMES_HINT)

    def _too_long(self) -> QueryError:
        return QueryError(
            f"the query ran longer than {self._timeout.total_seconds():g} s",
            hint="narrow it, or raise query_timeout in amci.yaml",
        )


def too_large() -> QueryError:
    """What is said of a query that needs more memory than it may use."""
    return QueryError(
        "the query needs more memory than query_memory_limit allows",
        hint="narrow it, or raise it in amci.yaml",
    )


def unwritable(column: str = "") -> QueryError:
    """What is said of a value that could only be written as another one."""
    return QueryError(
        f"{f'column {column}' if column else 'a column'} has a value that cannot be written",
        hint="CAST it to VARCHAR",
    )


def has_end_of_day(column: pa.Array | pa.ChunkedArray) -> bool:
    """Whether there is a TIME '24:00:00' in it, at any depth: Python's times make 00:00:00 of it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if isinstance(column, pa.ChunkedArray) or not pa.types.is_time64(kind):
        return any(map(has_end_of_day, _inner(column)))
    ticks = {"us": 86_400_000_000, "ns": 86_400_000_000_000}[kind.unit]
    return bool(pc.any(pc.equal(column.view(pa.int64()), ticks)).as_py())


def _inner(column: pa.Array | pa.ChunkedArray) -> Sequence[pa.Array]:
    """What a nested column is made of."""
    import pyarrow as pa

    kind, types = column.type, pa.types
    found: Sequence[pa.Array] = []
    if isinstance(column, pa.ChunkedArray):
        found = column.chunks
    elif isinstance(kind, pa.BaseExtensionType):
        found = [column.storage]
    elif types.is_map(kind):
        found = [column.keys, column.items]
    elif types.is_struct(kind):
        found = column.flatten()
    elif types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        found = [column.flatten()]
    elif types.is_union(kind):
        found = [column.field(number) for number in range(kind.num_fields)]
    return found


def _of_the_lake(error: Exception) -> StorageError | DamagedFile:
    """What a query cannot help. Names of files are for those who keep the lake, and `amci lake check` tells them."""
    if is_busy(error):
        return StorageError("the catalog is busy", hint="run the query again")
    return DamagedFile("a file of the lake is missing or damaged", hint=REMEDY)


def _finish(done: Future[Value], work: Callable[[], Value], has_ended: threading.Event) -> None:
    try:
        done.set_result(work())
    except BaseException as error:  # noqa: BLE001 - it is raised where the result is asked for
        done.set_exception(error)
    has_ended.set()


@dataclass(frozen=True, slots=True)
class QueryResult:
    """What a query answers, fetched piece by piece; DuckDB makes the rows while they are asked for."""

    columns: tuple[str, ...]
    types: tuple[str, ...]  #: of the columns, in SQL
    _con: duckdb.DuckDBPyConnection
    _budget: TimeBudget

    @property
    def description(self) -> list[tuple[str]]:
        """The columns as a DB-API cursor names them."""
        return [(name,) for name in self.columns]

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows."""
        return self._budget.spend(self._con.fetchall)

    def pieces(self, size: int = 10_000) -> Iterator[list[tuple[Any, ...]]]:
        """The rows in lists of at most `size`."""
        while rows := self._budget.spend(lambda: self._con.fetchmany(size)):
            yield rows

    def refuse_unwritable(self, format: str = "arrow") -> None:  # noqa: A002
        """Raise QueryError for a type that Arrow, or the format, cannot hold without changing its values."""
        for name, kind in zip(self.columns, self.types, strict=True):
            nested = () if kind in ("UHUGEINT", "INTERVAL") else ("UHUGEINT",)
            words = ("BIT", "BIGNUM", "TIME WITH TIME ZONE", *nested)
            if format == "parquet":
                words += ("UNION", *(("INTERVAL",) if nested else ()))
            if any(re.search(rf"\b{word}\b", kind) for word in words):
                raise QueryError(
                    f"column {name} has a type that cannot be written", hint="CAST it to VARCHAR"
                )

    def table(self) -> pa.Table:
        """All rows as one Arrow table."""
        import pyarrow as pa

        schema, batches = self.arrow()
        return pa.Table.from_batches(batches, schema)

    def arrow(self, size: int = 10_000) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        """The schema, and the rows in record batches of about `size`."""
        import pyarrow as pa

        def spend(work: Callable[[], Value]) -> Value:
            def translated() -> Value:
                try:
                    return work()
                except pa.ArrowException as error:
                    # What DuckDB says of a row that fails comes through Arrow.
                    raise duckdb.Error(str(error)) from error

            return self._budget.spend(translated)

        reader = spend(lambda: self._con.to_arrow_reader(size))
        unsigned = [position for position, kind in enumerate(self.types) if kind == "UHUGEINT"]

        def read() -> Iterator[pa.RecordBatch]:
            while (batch := spend(lambda: next(reader, None))) is not None:
                for position in unsigned:
                    # Arrow has no such type: what is too large comes as a negative number.
                    if any(value is not None and value < 0 for value in batch.column(position).to_pylist()):
                        raise unwritable(self.columns[position])
                yield batch

        return reader.schema, read()


@dataclass(frozen=True, slots=True)
class QueryAnswer:
    """All rows of an answer, with the columns' names and SQL types."""

    columns: tuple[str, ...]
    types: tuple[str, ...]
    _table: pa.Table

    @classmethod
    def of(cls, result: QueryResult) -> Self:
        """Everything that a query answers.

        Raises QueryError if it fails on the way, takes too long, or has a type that Arrow cannot hold.
        """
        result.refuse_unwritable()
        return cls(result.columns, result.types, result.table())

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def to_arrow(self) -> pa.Table:
        """An Arrow table. HUGEINT, which sums of whole numbers are, is decimal128(38, 0)."""
        return self._table

    def to_polars(self) -> pl.DataFrame:
        """A Polars frame, without a copy if Polars can use Arrow's memory."""
        import polars as pl

        self._refuse_end_of_day()
        return pl.DataFrame(self._table)

    def _refuse_end_of_day(self) -> None:
        """Raise QueryError for TIME '24:00:00', which Python and Polars do not have."""
        for name, kind, column in zip(self.columns, self.types, self._table.columns, strict=True):
            if re.search(r"\bTIME(_NS)?\b", kind) and has_end_of_day(column):
                raise unwritable(name)

    def to_pandas(self) -> pd.DataFrame:
        """A pandas frame with Arrow's types, so that NULL stays NULL and decimals keep their digits.

        Raises UsageError if pandas is not installed.
        """
        try:
            import pandas as pd
        except ModuleNotFoundError:
            raise UsageError("pandas is not installed", hint="pip install 'amci[notebook]'") from None
        frame: pd.DataFrame = self._table.to_pandas(types_mapper=pd.ArrowDtype)
        return frame

    def fetchall(self) -> list[tuple[Any, ...]]:
        """The rows as tuples of Python values; whole numbers are int, whatever their size."""
        self._refuse_end_of_day()
        columns = [
            [value if value is None else int(value) for value in column.to_pylist()]
            if kind in ("HUGEINT", "UHUGEINT")
            else column.to_pylist()
            for column, kind in zip(self._table.columns, self.types, strict=True)
        ]
        return list(zip(*columns, strict=True)) if columns else []
