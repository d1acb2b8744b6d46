"""Casts staged text to column types; objects without row checks are cast in one batch."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from amci.kernel.errors import MalformedFile
from amci.kernel.names import comparable, did_you_mean, literal, quoted
from amci.lake.catalog.casts import cast_sql
from amci.lake.catalog.headers import FileColumns
from amci.lake.catalog.inference import ALL, Clues, infer, mixed_dates
from amci.lake.catalog.kinds import NUMERIC, ColumnKind, Kind
from amci.lake.datasets.dataset import Dataset
from amci.lake.datasets.objects import OBJECT_ID, RESERVED, ROW, VERSION, Skip
from amci.lake.loading import transform_call
from amci.lake.loading.loads import Load, LoadItem, Places, StagedSource
from amci.lake.loading.quality_check import check_quality
from amci.lake.loading.staged_object import LARGE, StagedTable
from amci.lake.loading.stored_types import stored_types
from amci.lake.loading.type_doubts import InferredRows, doubt_digits, doubt_types

#: The types of more than LARGE rows are guessed from the first so many, and checked while they are loaded.
SAMPLE = 100_000
OWN = {OBJECT_ID: "BIGINT", VERSION: "INTEGER"}
#: While rows are read: the file a row is from. No column of a file can have that name.
_FILE = "_member file"


class ColumnTyper:
    """Prepares the loads of one batch, in `con`; `clean_up` after it."""

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        quarantine: Path,
        places: Places,
        names_used: Callable[[Dataset], Collection[str]],
    ) -> None:
        """`names_used` gives the words that a dataset's definition and transforms have."""
        self._con = con
        self._quarantine = quarantine
        self._places = places
        self._names_used = names_used
        self._registered: list[str] = []
        self._temporary: list[str] = []
        self._inferred: list[InferredRows] = []  #: of objects that are loaded together

    def clean_up(self) -> None:
        """Let go of everything the loads of a batch needed."""
        for name in self._registered:
            self._con.unregister(name)
        for name in self._temporary:
            self._con.execute(f"DROP TABLE IF EXISTS {quoted(name)}")
        self._registered, self._temporary = [], []

    def together(self, items: Sequence[LoadItem], *, may_guess: bool) -> list[Load]:
        """Loads for objects that only need types, one for each table and set of partitions.

        With `may_guess` the types of very many rows are a guess that the load has to check.
        """
        same: dict[tuple[object, ...], dict[object, list[tuple[LoadItem, StagedTable]]]] = {}
        for item in items:
            for staged in item.staged.tables:
                types = (
                    *sorted(item.types.items()),
                    *sorted(staged.types.items()),
                    *sorted(item.values_of(staged)),
                    *_strings(item, staged),
                )
                # What was cast while it was read is loaded by itself.
                alone = item.object_id if staged.typed else 0
                named = (item.name_of(staged), item.partition_by, types, staged.headers is None, alone)
                headers = tuple(
                    tuple(sorted(each.items())) for each in (staged.headers or {}, staged.earlier)
                )
                by_headers = same.setdefault((*named, *item.constant_types.items()), {})
                by_headers.setdefault(headers, []).append((item, staged))
        self._inferred.clear()
        loads = [
            self._group(members, columns, may_guess=may_guess)
            for by_headers in same.values()
            for members, columns in _merged(by_headers.values())
        ]
        if len(loads) > 1:
            doubt_digits(self._inferred)
        return loads

    def _group(
        self, members: Sequence[tuple[LoadItem, StagedTable]], file: FileColumns, *, may_guess: bool
    ) -> Load:
        first, table = members[0]
        rows, typed = self._rows(members)
        placed = table.placed(file, partial(self._places.of, first.name_of(table), own=first.own_columns))
        file = file.renamed(placed)
        rows = renamed(rows, placed)
        check_partition(first, {*placed.values(), *typed})
        many = may_guess and (sum(staged.rows for _, staged in members) > LARGE or bool(table.typed))
        clues = clues_of(members, placed, file)
        # Not LIMIT: DuckDB would take the rows that a thread comes by first.
        looked_at = (
            f"(SELECT * FROM {rows} WHERE {ROW} <= {max(1, SAMPLE // len(members))})" if many else rows
        )
        text = self._kinds(members, rows, placed, clues, looked_at)
        return Load(
            name=first.name_of(table),
            source=StagedSource(rows=rows, text=text, typed=typed, clues=clues, is_checked=many),
            members={item.object_id: staged.rows for item, staged in members},
            own_file=_one_partition(first) if many and len(members) == 1 else None,
            typed=first.typed_rows(table) if many else None,
            partition_by=first.partition_by,
            may_evolve=first.dataset.schema_mode == "evolve",
            max_columns=first.max_columns,
        )

    def _rows(self, members: Sequence[tuple[LoadItem, StagedTable]]) -> tuple[str, dict[str, str]]:
        """The staged rows of these objects with their constant columns; and the types of those."""
        files = sorted({str(file) for item, staged in members for file in item.files_of(staged)})
        listed = ", ".join(map(literal, files))
        options = "union_by_name = true, hive_partitioning = false"
        first = members[0][0]
        typed = first.constant_types | OWN
        if len(members) == 1:
            where = f"{OBJECT_ID} = {first.object_id} AND {VERSION} = {first.version}"
            read = f"read_parquet([{listed}], {options})"
            return f"(SELECT {', '.join(['*', *constants_sql(first)])} FROM {read} WHERE {where})", typed
        name = f"members_{len(self._registered)}"
        self._con.register(name, _members(members))
        self._registered.append(name)
        casts = [f"CAST(m.{quoted(c)} AS {t}) AS {quoted(c)}" for c, t in first.constant_types.items()]
        # A file of one may have rows of another one, which reads them from a file of its own.
        read = f"read_parquet([{listed}], {options}, filename = {literal(_FILE)})"
        on = f"r.{OBJECT_ID} = m.member_id AND r.{VERSION} = m.member_version AND r.{quoted(_FILE)} = m.member_file"
        listed = ", ".join([f"r.* EXCLUDE ({quoted(_FILE)})", *casts])
        return f"(SELECT {listed} FROM {read} r JOIN {name} m ON {on})", typed

    def alone(self, item: LoadItem) -> list[Load] | Skip:
        """Loads for one object whose rows a transform or a quality rule looks at.

        Raises QualityError, TransformError and other DataErrors.
        """
        loads: list[Load] = []
        skipped: Skip | None = None
        for staged in item.staged.tables:
            load = self._alone(item, staged)
            if isinstance(load, Skip):
                skipped = load
            else:
                loads.append(load)
        return skipped if skipped and not loads else loads

    def _alone(self, item: LoadItem, staged: StagedTable) -> Load | Skip:
        rows, constants = self._rows([(item, staged)])
        names = [c for c in _data_columns(item.files_of(staged)) if c not in constants]
        file = staged.columns(names)
        placed = staged.placed(file, partial(self._places.look, item.name_of(staged), own=item.own_columns))
        file = file.renamed(placed)
        rows = renamed(rows, placed)
        clues = clues_of([(item, staged)], placed, file)
        kinds = self._kinds([(item, staged)], rows, placed, clues, rows)
        work, out = (f"{stage}_{item.run.run_id}_{len(self._temporary)}" for stage in ("typed", "out"))
        self._temporary += [work, out]
        casts = ", ".join(
            f"{cast_sql(kind, quoted(c), clues.how(c))} AS {quoted(c)}" for c, kind in kinds.items()
        )
        self._con.execute(f"CREATE OR REPLACE TEMP TABLE {quoted(work)} AS SELECT {casts}, {ROW} FROM {rows}")
        if item.routed.heavy:
            answer = transform_call.run(
                item.routed.heavy,
                self._con,
                work,
                item.routed.obj,
                into=out,
                columns=file,
                kept=self._names_used(item.dataset),
            )
            if isinstance(answer, Skip):
                return answer
            file = answer
        else:
            self._con.execute(f"CREATE OR REPLACE TEMP TABLE {quoted(out)} AS SELECT * FROM {quoted(work)}")
        check_quality(self._con, item, item.name_of(staged), out, file, self._quarantine)
        return self._load_of(item, staged, out, file, constants)

    def _kinds(
        self,
        members: Sequence[tuple[LoadItem, StagedTable]],
        rows: str,
        placed: Mapping[str, str],
        clues: Clues,
        looked_at: str,
    ) -> dict[str, ColumnKind]:
        """The kinds of the columns of `rows`, of which `looked_at` are enough to tell; doubts are noted."""
        item, staged = members[0]
        nearly: dict[str, ColumnKind] = {}
        kinds = infer(self._con, looked_at, list(placed.values()), clues, nearly)
        mixed = mixed_dates(self._con, rows, kinds, clues)
        kinds |= dict.fromkeys(mixed, Kind.VARCHAR)
        nearly |= dict.fromkeys(mixed, Kind.TIMESTAMP)
        known = self._places.columns(item.name_of(staged))
        nearly |= self._nearly_numbers(members, looked_at, placed, kinds, known, clues)
        inferred = InferredRows(
            members=members,
            rows=rows,
            placed=placed,
            kinds=kinds,
            nearly=nearly,
            clues=clues,
            known=known,
        )
        doubt_types(self._con, inferred)
        self._inferred.append(inferred)
        return kinds

    def _nearly_numbers(
        self,
        members: Sequence[tuple[LoadItem, StagedTable]],
        rows: str,
        placed: Mapping[str, str],
        kinds: Mapping[str, ColumnKind],
        known: Mapping[str, str],
        clues: Clues,
    ) -> dict[str, ColumnKind]:
        """New columns that had numbers and strings, and would be of numbers without the latter."""
        text = {
            c
            for c in clues.quoted
            if kinds.get(c) is Kind.VARCHAR
            and known.get(c) != Kind.VARCHAR.sql
            and clues.ladder(c)
            and not clues.declared_kind(c)
        }
        mixed = sorted(
            c for c in text if c in clues.mixed or self._has_values(members, rows, placed, c, clues)
        )
        nearly: dict[str, ColumnKind] = {}
        if mixed:
            nearly = infer(self._con, rows, mixed, replace(clues, quoted=(), mixed=()), nearly) | nearly
        return {c: kind for c, kind in nearly.items() if kind in NUMERIC}

    def _has_values(
        self,
        members: Sequence[tuple[LoadItem, StagedTable]],
        rows: str,
        placed: Mapping[str, str],
        column: str,
        clues: Clues,
    ) -> bool:
        """Whether a column that is of strings in some objects has values in another."""
        others = {
            item.object_id
            for item, staged in members
            if column not in {placed.get(own, own) for own in staged.quoted}
        }
        if not others or ALL not in clues.values:
            return False
        is_other = f"{OBJECT_ID} IN ({', '.join(map(str, sorted(others)))}) AND {quoted(column)} <> ''"
        return bool(self._con.execute(f"SELECT 1 FROM {rows} WHERE {is_other} LIMIT 1").fetchall())

    def _load_of(
        self, item: LoadItem, staged: StagedTable, table: str, file: FileColumns, constants: dict[str, str]
    ) -> Load:
        types = stored_types(self._con, table, {*RESERVED, *constants}, item.routed.heavy)
        placed = staged.placed(
            file.only(types), partial(self._places.of, item.name_of(staged), own=item.own_columns)
        )
        check_partition(item, {*placed.values(), *constants})
        # Text without a value may become anything later; what a transform gave a type or a value keeps it.
        filled = self._filled(table, [c for c, t in types.items() if t == "VARCHAR"])
        want = {c: Kind.NOTHING.value if t == "VARCHAR" and c not in filled else t for c, t in types.items()}
        want = {placed[c]: t for c, t in want.items()}
        listed = [f"CAST({quoted(c)} AS {t}) AS {quoted(placed[c])}" for c, t in types.items()]
        rows = self._con.execute(f"SELECT count(*) FROM {quoted(table)}").fetchall()[0][0]
        return Load(
            name=item.name_of(staged),
            source=StagedSource(
                rows=f"(SELECT {', '.join([*listed, *constants_sql(item), *own_sql(item)])} FROM {quoted(table)})",
                text={},
                typed=want | constants,
            ),
            members={item.object_id: rows},
            own_file=_one_partition(item) if rows > LARGE else None,
            partition_by=item.partition_by,
            may_evolve=item.dataset.schema_mode == "evolve",
            max_columns=item.max_columns,
        )

    def _filled(self, table: str, columns: Sequence[str]) -> set[str]:
        """Which of these columns have a value in any row."""
        if not columns:
            return set()
        counts = ", ".join(f"count({quoted(c)})" for c in columns)
        found = self._con.execute(f"SELECT {counts} FROM {quoted(table)}").fetchall()[0]
        return {c for c, n in zip(columns, found, strict=True) if n}


def clues_of(
    members: Sequence[tuple[LoadItem, StagedTable]], placed: Mapping[str, str], columns: FileColumns
) -> Clues:
    """What is known of the columns of objects whose files state the same types, under the names of the table."""
    first, table = members[0]
    return Clues(
        quoted={placed.get(c, c) for _, staged in members for c in staged.quoted},
        mixed={placed.get(c, c) for _, staged in members for c in staged.mixed},
        dates=first.dataset.types_dates,
        amc={placed.get(c, c): said for c, said in first.types.items()},
        declared=_declared(first.dataset.column_types, columns),
        spelling=first.dataset.spelling,
        values={placed.get(c, c) for item, staged in members for c in item.values_of(staged)},
        stated={placed.get(c, c): sql_type for c, sql_type in table.types.items()},
    )


def _strings(item: LoadItem, staged: StagedTable) -> Iterator[str]:
    """What sets objects apart whose digits mean something else where they are text than where they were numbers."""
    spelling = item.dataset.spelling
    if spelling.is_of_people or spelling.has_dates_of_digits:
        yield from ("quoted", *sorted(staged.quoted), "mixed", *sorted(staged.mixed))


def _declared(types: Mapping[str, str], columns: FileColumns) -> Mapping[str, str]:
    """The types by the `comparable` names of the columns, if they are declared by those or by their headers."""
    if not types:
        return types
    by_header = {
        comparable(name): types[key]
        for name, header in columns.spelled.items()
        if (key := comparable(header)) in types
    }
    return by_header | dict(types)


def _merged(
    groups: Iterable[Sequence[tuple[LoadItem, StagedTable]]],
) -> list[tuple[list[tuple[LoadItem, StagedTable]], FileColumns]]:
    """Groups of objects with the same headers, put together if none of their names has another header."""
    merged: list[tuple[list[tuple[LoadItem, StagedTable]], FileColumns]] = []
    for members in groups:
        first, table = members[0]
        names = _data_columns([file for item, staged in members for file in item.files_of(staged)])
        columns = table.columns(c for c in names if c not in first.constants)
        for position, (others, have) in enumerate(merged):
            if both := have.merged(columns):
                merged[position] = ([*others, *members], both)
                break
        else:
            merged.append((list(members), columns))
    return merged


def renamed(rows: str, placed: Mapping[str, str]) -> str:
    """The rows under the names of the table's columns."""
    renames = [f"{quoted(old)} AS {quoted(new)}" for old, new in placed.items() if old != new]
    return f"(SELECT * RENAME ({', '.join(renames)}) FROM {rows})" if renames else rows


def check_partition(item: LoadItem, columns: Collection[str]) -> None:
    """A table is partitioned once, when it is made; a file without the column would undo that."""
    for name in item.partition_by:
        if name not in columns:
            raise MalformedFile(
                f"no column {name}, by which the table is partitioned{did_you_mean(name, columns)}",
                hint="correct partition_by in the dataset's configuration, or the file",
            )


def _one_partition(item: LoadItem) -> dict[str, str] | None:
    """The partition of an object whose key alone decides it; None if its rows do, or a value of it is NULL."""
    values = {name: item.constants.get(name) for name in item.partition_by}
    found = {name: value for name, value in values.items() if value is not None}
    return found if len(found) == len(values) else None


def _literal(value: str | None) -> str:
    return "NULL" if value is None else literal(value)


def constants_sql(item: LoadItem) -> list[str]:
    """The constant columns of an object as SQL."""
    types = item.constant_types
    return [f"CAST({_literal(value)} AS {types[c]}) AS {quoted(c)}" for c, value in item.constants.items()]


def own_sql(item: LoadItem) -> list[str]:
    """The columns that tell whose a row is, as SQL."""
    return [f"{item.object_id}::BIGINT AS {OBJECT_ID}", f"{item.version}::INTEGER AS {VERSION}"]


def _members(members: Sequence[tuple[LoadItem, StagedTable]]) -> pa.Table:
    """The files of each object version with its constant columns as text, to be joined to its rows."""
    pairs = dict.fromkeys((item, str(file)) for item, staged in members for file in item.files_of(staged))
    items = [item for item, _ in pairs]
    columns = {
        "member_file": pa.array([file for _, file in pairs], pa.string()),
        "member_id": pa.array([item.object_id for item in items], pa.int64()),
        "member_version": pa.array([item.version for item in items], pa.int32()),
    }
    for name in items[0].constants:
        columns[name] = pa.array([item.constants[name] for item in items], pa.string())
    return pa.table(columns)


def _data_columns(files: Sequence[Path]) -> list[str]:
    """The columns of staged files in order of appearance, without amci's own."""
    names: dict[str, None] = {}
    for file in dict.fromkeys(files):
        names |= dict.fromkeys(pq.read_schema(file).names)
    return [name for name in names if name not in RESERVED]
