"""Generates the files of a stretch of days: the people once, then each table, a few days at a time."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import duckdb

from amci.amcsql.sources import Column, Source, sources
from amci.kernel.duckdb_settings import limits
from amci.kernel.errors import StorageError
from amci.kernel.files import replacing, storage_errors
from amci.kernel.names import literal, quoted
from amci.sandbox.data.families import Family, GeneratedTable, script

#: Columns beside AMC's: the user a row belongs to, and the part of the people that user is in.
HIDDEN = ("amci user", "amci part")
#: End of a column's name → its expression over the timestamp column of the same name that ends in `_dt`.
_PARTS = {
    "_dt_hour": "date_trunc('hour', {})",
    "_date": "{}",
    "_day": "day({})",
    "_hour": "hour({})",
    "_month": "month({})",
}


def stored(source: Source) -> tuple[Column, ...]:
    """The columns that files of the table store."""
    return tuple(column for column in source.columns if derived(source, column) is None)


def stored_type(column: Column) -> str:
    """DuckDB's type in a file: a narrower decimal there, which fits 64 bits and is faster."""
    return "DECIMAL(18,4)" if column.sql_type.startswith("DECIMAL") else column.sql_type


def derived(source: Source, column: Column) -> str | None:
    """DuckDB's expression of a column that is a part of a timestamp column, such as its hour; else None."""
    return next(_derived(source, column.name), None)


def _derived(source: Source, name: str) -> Iterator[str]:
    stem, utc = (name.removesuffix("_utc"), "_utc") if name.endswith("_utc") else (name, "")
    for end, part in _PARTS.items():
        twin = source.by_name.get(f"{stem.removesuffix(end)}_dt{utc}")
        if stem.endswith(end) and twin is not None and twin.type == "TIMESTAMP":
            yield part.format(quoted(twin.name))


_PEOPLE = 100_000  #: at scale 1
_PEOPLE_AT_ONCE = 100_000
_PERSON_DAYS_AT_ONCE = 600_000
#: With fewer people, more threads than one would only wait for each other.
_MANY = 10_000
_MEMORY = 1200 * 1024**2
_DOING = "make the sandbox's events"
_ROWS = 102_400  #: in a row group
_DAY = timedelta(days=1)
_DAYS = "INSERT INTO days SELECT unnest(range(?::DATE, ?::DATE + 1, INTERVAL 1 DAY))::DATE"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventGenerator:
    """Generates the files of one world."""

    folder: Path
    seed: int
    scale: float
    families: tuple[Family, ...]

    @property
    def people(self) -> int:
        """Number of people; at least ten."""
        return max(10, round(self.scale * _PEOPLE))

    def stretch(self, first: date, last: date, *, last_table: str) -> Iterator[int]:
        """Generate the files of the days `first` to `last`; yields the number of days done.

        Raises StorageError if the disk refuses or is full.
        """
        made = sorted(
            (made for family in self.families for made in family.files), key=lambda m: m.name == last_table
        )
        with self._session() as con:
            self._begin(con, first, last)
            for table in made:
                if table.is_dimension and not self._path(table, "all").exists():
                    self._write(con, table, "all")
            for begin, end in self._chunks(first, last):
                con.execute("DELETE FROM days")
                con.execute(_DAYS, [begin, end])
                for table in made:
                    if not table.is_dimension:
                        self._write(con, table, f"{begin}_{end}")
                yield (end - first).days + 1

    def _begin(self, con: duckdb.DuckDBPyConnection, first: date, last: date) -> None:
        """Create what the tables are generated from: macros, people, and the setup of each family."""
        for name, value in (
            ("seed()", f"{int(self.seed)}"),
            ("population()", f"{self.people}::BIGINT"),
            ("first_day()", f"DATE '{first}'"),
            ("last_day()", f"DATE '{last}'"),
        ):
            con.execute(f"CREATE TEMP MACRO {name} AS {value}")
        con.execute("CREATE TEMP TABLE days(day DATE)")
        for statement in script("world.sql").values():
            con.execute(statement)
        for family in self.families:
            for statement in family.setup:
                con.execute(statement)
        for begin in range(1, self.people + 1, _PEOPLE_AT_ONCE):
            end = min(begin + _PEOPLE_AT_ONCE - 1, self.people)
            con.execute(f"CREATE OR REPLACE TEMP MACRO from_person() AS {begin}::BIGINT")
            con.execute(f"CREATE OR REPLACE TEMP MACRO to_person() AS {end}::BIGINT")
            for family in self.families:
                for statement in family.by_people:
                    con.execute(statement)

    def _chunks(self, first: date, last: date) -> Iterator[tuple[date, date]]:
        """Stretches short enough for their events to be sorted in memory."""
        size = max(1, _PERSON_DAYS_AT_ONCE // self.people)
        while first <= last:
            end = min(last, first + (size - 1) * _DAY)
            yield first, end
            first = end + _DAY

    def _path(self, table: GeneratedTable, stem: str) -> Path:
        return self.folder / table.name / f"{stem}.parquet"

    def _write(self, con: duckdb.DuckDBPyConnection, table: GeneratedTable, stem: str) -> None:
        with replacing(self._path(table, stem)) as part:
            con.execute(
                f"COPY (SELECT {_columns(con, table)} FROM ({table.sql}) AS m ORDER BY {table.order})"
                f" TO {literal(str(part))} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_ROWS})"
            )

    @contextmanager
    def _session(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with storage_errors(_DOING):
            self.folder.mkdir(parents=True, exist_ok=True)
            scratch = tempfile.mkdtemp(prefix=".making-", dir=self.folder)
        try:
            with duckdb.connect() as con:
                con.execute(limits(_MEMORY, threads=1 if self.people < _MANY else None, temp=scratch))
                yield con
        except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
            raise StorageError(
                f"{_DOING}: {str(error).splitlines()[0]}",
                hint="free some space, then run the same command again: days that are there are kept",
            ) from error
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _columns(con: duckdb.DuckDBPyConnection, table: GeneratedTable) -> str:
    """The SELECT list of a file: the stored columns of AMC's table, then those that the table lacks."""
    have = {name for name, *_ in con.execute(f"DESCRIBE {table.sql}").fetchall()}
    source = sources().get(table.name)
    if source is None:
        return "*"
    amcs = [
        f"CAST({quoted(name) if name in have else 'NULL'} AS {kind}) AS {quoted(name)}"
        for name, kind in ((column.name, stored_type(column)) for column in stored(source))
    ]
    beside = sorted(have - {column.name for column in source.columns})
    return ", ".join([*amcs, *(quoted(name) for name in beside)])
