"""What a batch of heavy runs is going to load, before anything is written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import duckdb

from amci.kernel.errors import StorageError
from amci.kernel.names import quoted
from amci.kernel.run import Run
from amci.lake.catalog.casts import cast_sql, checked_cast_sql, fits_sql, loss_sql, widened
from amci.lake.catalog.catalog import Catalog
from amci.lake.catalog.checksums import is_intact
from amci.lake.catalog.headers import FileColumns, TableHeaders
from amci.lake.catalog.inference import ALL, NO_CLUES, Clues
from amci.lake.catalog.kinds import ColumnKind, Kind, join
from amci.lake.catalog.tables import TableHome, TableName
from amci.lake.datasets.dataset import Dataset
from amci.lake.datasets.objects import RESERVED
from amci.lake.formats import Doubt, FileFormat, format_of
from amci.lake.landing.object_store import Quarantined
from amci.lake.loading.rules import RoutedObject
from amci.lake.loading.staged_object import StagedObject, StagedTable, TypedFile


@dataclass(eq=False, slots=True, kw_only=True)
class LoadItem:
    """One object version on its way into the lake."""

    routed: RoutedObject
    staged: StagedObject
    pre_stage: Path
    skipped: str = ""  #: why a transform wanted none of it
    findings: list[Quarantined] = field(default_factory=list)  #: rows kept out by quality rules
    notes: list[dict[str, Any]] = field(default_factory=list)  #: quality rules that did not hold
    doubts: dict[str, Doubt] = field(default_factory=dict)  #: by table and column

    @property
    def run(self) -> Run:
        """The heavy run."""
        return self.routed.run

    @property
    def dataset(self) -> Dataset:
        """The object's dataset."""
        return self.routed.obj.dataset

    @property
    def object_id(self) -> int:
        """The object."""
        return self.routed.object_id

    @property
    def version(self) -> int:
        """Its version."""
        return self.routed.obj.version

    @property
    def rules_hash(self) -> str:
        """Of the rules that its rows in the lake come of: today's, unless other ones made what is in pre-stage."""
        routed = self.routed
        is_todays = self.staged.read_by == routed.reading_hash or not routed.noted_rules
        return routed.rules_hash if is_todays else str(routed.noted_rules)

    @property
    def stands_alone(self) -> bool:
        """Whether its rows have to be looked at apart from other objects'."""
        return bool(self.routed.heavy or self.dataset.quality)

    @property
    def own_columns(self) -> frozenset[str]:
        """Columns that amci gives the table, and no file may have."""
        return RESERVED | self.constants.keys()

    def name_of(self, table: StagedTable) -> TableName:
        """The lake's table that rows of `table` go to."""
        return TableName(self.dataset.schema_name, table.table)

    def typed_rows(self, table: StagedTable) -> TypedRows | None:
        """The rows of `table` as they were cast while they were read, if they were."""
        if not table.typed:
            return None
        return TypedRows(pre_stage=self.pre_stage, files=table.typed, cast_hash=table.cast_hash)

    def files_of(self, table: StagedTable) -> list[Path]:
        """Where the rows of `table` lie."""
        return [_staged(self.pre_stage, file) for file in table.files]

    def values_of(self, table: StagedTable) -> frozenset[str]:
        """Its columns that were values in the file; of what an earlier release staged, the file's name tells."""
        if table.values is not None:
            return table.values
        named, key = self.dataset.format, self.routed.obj.key
        is_text = (format_of(key) if named == "auto" else named) in (FileFormat.CSV, None)
        return frozenset(() if is_text else {ALL})

    @property
    def constants(self) -> dict[str, str | None]:
        """Columns with one value for the whole object, as text; its partitions among them."""
        return {**self.staged.constants, **self.staged.partition, **self._timestamp}

    @property
    def _timestamp(self) -> dict[str, str]:
        column = self.dataset.timestamp_column
        return {column: f"{self.routed.obj.modified_at:%Y-%m-%d %H:%M:%S}"} if column else {}

    @property
    def constant_types(self) -> dict[str, str]:
        """The SQL types of those columns."""
        return {name: "TIMESTAMP" if name in self._timestamp else "VARCHAR" for name in self.constants}

    @property
    def types(self) -> dict[str, str]:
        """AMC's types of its columns, if AMC was asked; the AWS solution does not look at them."""
        return {} if self.dataset.compat == "aws" else dict(self.staged.types)

    @property
    def max_columns(self) -> int:
        """Most columns that a table with its rows may have: what a file may have, and those that amci adds."""
        return self.dataset.read_limits.max_columns + len(self.constants) + len(RESERVED)

    @property
    def partition_by(self) -> tuple[str, ...]:
        """Columns of the Hive partitions of post-stage."""
        placed = tuple(self.staged.partition)
        return placed + tuple(c for c in self.dataset.partition_by if c not in placed)


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedSource:
    """Rows for one table, as something that can follow FROM."""

    rows: str
    text: Mapping[str, ColumnKind]  #: columns that are text still, and what they are to be
    typed: Mapping[str, str]  #: columns with their SQL type
    clues: Clues = NO_CLUES  #: of the columns that are text
    is_checked: bool = False  #: the kinds are a guess; the cast has to check it

    @property
    def want(self) -> dict[str, str]:
        """Columns and SQL types of the rows; `NOTHING` if there is no value."""
        text = {c: k.value if k is Kind.NOTHING else k.sql for c, k in self.text.items()}
        return text | dict(self.typed)

    def select(self, columns: Mapping[str, str]) -> str:
        """The rows with the types that the table's `columns` have.

        DuckDB raises for a value that would change on its way, see `checked_cast_sql`.
        """
        casts = [f"{sql} AS {quoted(column)}" for column, sql in self.casts(columns).items()]
        return f"SELECT {', '.join(casts)} FROM {self.rows}"

    def casts(self, columns: Mapping[str, str]) -> dict[str, str]:
        """The SQL of each column in it."""
        text = {c: self._cast(c, kind, Kind.of_sql(columns[c])) for c, kind in self.text.items()}
        return text | {c: widened(c, t, columns[c], checked=True) for c, t in self.typed.items()}

    def cast_hash(self, home: TableHome) -> str:
        """The same for the same casts into the same columns and partitions."""
        how = [self.casts(home.columns), dict(home.columns), home.partition_by]
        return hashlib.sha256(json.dumps(how).encode()).hexdigest()[:32]

    def _cast(self, column: str, own: ColumnKind, kind: ColumnKind) -> str:
        how = self.clues.how(column)
        if self.is_checked or loss_sql(own, kind, column):
            # A column without a value in the first rows becomes what the values of the others are.
            checked = own if own is Kind.NOTHING and kind is Kind.VARCHAR else kind
            return checked_cast_sql(checked, quoted(column), column, how)
        return cast_sql(kind, quoted(column), how)

    def fitting(self, con: duckdb.DuckDBPyConnection, types: Mapping[str, str]) -> dict[str, str]:
        """Those of `types` that hold every value of their column, which is another type by itself; not text."""
        own = {c: t for c, t in types.items() if self.text.get(c, Kind.VARCHAR) is not Kind.VARCHAR}
        absent = {c: t for c, t in types.items() if c not in self.want}
        if not own:
            return absent
        fits = [f"bool_and({fits_sql(Kind.of_sql(t), quoted(c), self.clues.how(c))})" for c, t in own.items()]
        row = con.execute(f"SELECT {', '.join(fits)} FROM {self.rows}").fetchall()[0]
        return absent | {c: t for (c, t), fit in zip(own.items(), row, strict=True) if fit}

    def unfit(self, con: duckdb.DuckDBPyConnection, columns: Mapping[str, str]) -> list[str]:
        """The columns with a value that would change if they got the types that the table's `columns` have."""
        counts = {}
        for column, own in self.text.items():
            kind = Kind.of_sql(columns[column])
            if loss_sql(own, kind, column):
                fits = fits_sql(kind, quoted(column), self.clues.how(column))
                counts[column] = f"count_if(NOT {fits})"
        for column, sql_type in self.typed.items():
            if loss := loss_sql(Kind.of_sql(sql_type), Kind.of_sql(columns[column]), column):
                counts[column] = f"count_if({loss})"
        if not counts:
            return []
        found = con.execute(f"SELECT {', '.join(counts.values())} FROM {self.rows}").fetchall()[0]
        return [column for column, count in zip(counts, found, strict=True) if count]


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedRows:
    """The rows of one object for one table, as they were cast while they were read."""

    pre_stage: Path
    files: tuple[TypedFile, ...]  #: one for each partition
    cast_hash: str  #: see `StagedSource.cast_hash`

    @property
    def paths(self) -> list[Path]:
        """Where the files lie."""
        return [self.pre_stage / file.file for file in self.files]

    @property
    def are_intact(self) -> bool:
        """Whether all of them are there, and what was written."""
        return all(is_intact(path, file.sha256) for path, file in zip(self.paths, self.files, strict=True))

    def drop(self) -> None:
        """Delete them."""
        for path in self.paths:
            path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Load:
    """Rows for one table, and how many of them each object brings."""

    name: TableName
    source: StagedSource
    members: Mapping[int, int]  #: object id to rows
    #: The one partition all rows fall in, if they are so many that they get a file of their own.
    own_file: Mapping[str, str] | None = None
    #: files of pre-stage that have these rows already, if they were cast as `source` would
    typed: TypedRows | None = None
    partition_by: tuple[str, ...]
    may_evolve: bool
    max_columns: int  #: that the table may have, amci's own among them


@lru_cache(maxsize=1024)
def _staged(pre_stage: Path, file: str) -> Path:
    """One path for all objects of a file: a burst of small ones asks for few of them, thousands of times."""
    return pre_stage / file


class TableLoads:
    """The loads of a batch, by table."""

    def __init__(self) -> None:
        self.tables: dict[TableName, list[Load]] = {}
        #: columns that the commit made under another name than their header's, with it, by object and table
        self.renamed: dict[int, dict[str, dict[str, str]]] = {}

    def add(self, loads: Iterable[Load]) -> None:
        """Take further loads."""
        for load in loads:
            self.tables.setdefault(load.name, []).append(load)

    def and_also(self, loads: Iterable[Load]) -> TableLoads:
        """These loads and further ones, as a new value."""
        both = TableLoads()
        both.add(load for own in self.tables.values() for load in own)
        both.add(loads)
        return both

    def of(self, item: LoadItem) -> list[tuple[TableName, int]]:
        """The tables an object has rows for, and how many."""
        return [
            (name, load.members[item.object_id])
            for name, loads in self.tables.items()
            for load in loads
            if item.object_id in load.members
        ]


class Places:
    """Which columns of the lake's tables the columns of a batch go to.

    Tables are looked at once; what one load of the batch adds, the next one knows. `settled` looks again, with the lake
    locked: another thread may have added to a table meanwhile.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._asked: dict[TableName, list[tuple[FileColumns, frozenset[str], dict[str, str]]]] = {}
        self._now: dict[TableName, tuple[TableHeaders, set[str]]] = {}

    def of(self, name: TableName, file: FileColumns, own: frozenset[str]) -> dict[str, str]:
        """The columns of table `name` for those of `file`, by the file's names. `own` are no file's."""
        self.look(name, file, own)
        placed = self._place(self._now, name, file, own)
        self._asked.setdefault(name, []).append((file, own, placed))
        return placed

    def look(self, name: TableName, file: FileColumns, own: frozenset[str]) -> dict[str, str]:
        """The same for rows that a transform may change before they are loaded."""
        if name not in self._now:
            with self._catalog.exclusive("look at a table"):
                self._now[name] = (self._catalog.headers(name), set(self._catalog.columns(name)))
        headers, columns = self._now[name]
        return headers.placed(file, columns, own)

    def columns(self, name: TableName) -> Mapping[str, str]:
        """The columns that a table has, with their SQL types."""
        with self._catalog.exclusive("look at a table"):
            return self._catalog.columns(name)

    def settled(self, name: TableName) -> TableHeaders:
        """What the table's headers are with all that was placed. The lake is locked.

        Raises StorageError, which is tried again, if another load has changed where something belongs.
        """
        again = {name: (self._catalog.headers(name), set(self._catalog.columns(name)))}
        for file, own, placed in self._asked.get(name, ()):
            if self._place(again, name, file, own) != placed:
                raise StorageError(
                    f"another load has just changed the columns of {name}", hint="it is tried again"
                )
        return again[name][0]

    @staticmethod
    def _place(
        tables: dict[TableName, tuple[TableHeaders, set[str]]],
        name: TableName,
        file: FileColumns,
        own: frozenset[str],
    ) -> dict[str, str]:
        headers, columns = tables[name]
        placed = headers.placed(file, columns, own)
        tables[name] = (headers.noting(placed, file, columns), columns | {*placed.values()})
        return placed


def want(loads: Iterable[Load]) -> dict[str, str]:
    """Columns and SQL types that hold the rows of all of `loads`, in order of appearance."""
    wanted: dict[str, str] = {}
    for load in loads:
        for column, sql_type in load.source.want.items():
            have = wanted.get(column, Kind.NOTHING.value)
            wanted[column] = _meeting(have, sql_type)
    return wanted


def _meeting(a: str, b: str) -> str:
    if b in (a, Kind.NOTHING):
        return a
    if a == Kind.NOTHING:
        return b
    return join(Kind.of_sql(a), Kind.of_sql(b)).sql
