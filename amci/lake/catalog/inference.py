"""Which kind each column of staged text gets: clues say what to try, and all values decide."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import duckdb
import pyarrow as pa

from amci.kernel.names import comparable, quoted as identifier
from amci.lake.catalog.casts import fits_sql
from amci.lake.catalog.kinds import NUMERIC, TIMES, ColumnKind, Kind, name_rule
from amci.lake.datasets.objects import OBJECT_ID
from amci.lake.datasets.spelling import PLAIN, Spelling

_SAMPLE = 2048  # one vector of DuckDB
_CELLS = 1 << 20  # of the sample that are tested together
_COLUMNS = 64  # that are tested in one scan of all rows
_CELLS_VIEW = "amci_cells"
#: A column of at least so many values, of which so few do not fit a kind, is nearly of that kind.
_ENOUGH, _FEW = 4, 0.25
_WHOLE, _FRACTIONS = ("BYTE", "SHORT", "INTEGER", "LONG"), ("DECIMAL", "DOUBLE", "FLOAT")
#: What AMC's types say of a column, values seen or not; dates tell by themselves what they are.
_DECLARED: Mapping[str, tuple[ColumnKind, ...]] = {
    "STRING": (),
    "BOOLEAN": (Kind.BOOLEAN,),
    **dict.fromkeys(_WHOLE, (Kind.BIGINT, Kind.DOUBLE)),
    **dict.fromkeys(_FRACTIONS, (Kind.DOUBLE,)),
    **{f"ARRAY {element}": (Kind.INTEGERS,) for element in _WHOLE},
    **{f"ARRAY {element}": (Kind.NUMBERS,) for element in _FRACTIONS},
}


#: In place of the names of all columns but those that were strings.
ALL = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Clues:
    """What is known of the columns of staged text, beside the text."""

    quoted: Collection[
        str
    ] = ()  #: columns with strings other than words: dates, times or text, never numbers
    mixed: Collection[str] = ()  #: columns that may have both strings and numbers
    dates: bool = True  #: whether dates and times get types; else they stay text
    amc: Mapping[str, str] = field(default_factory=dict)  #: AMC's types (`DECIMAL`, `ARRAY STRING`)
    stated: Mapping[str, str] = field(default_factory=dict)  #: SQL types that the file itself states
    declared: Mapping[str, str] = field(
        default_factory=dict
    )  #: SQL types by `comparable` names; they come first
    spelling: Spelling = PLAIN
    values: Collection[str] = ()  #: as in StagedTable

    def how(self, column: str) -> Spelling:
        """How the values of a column are written."""
        is_value = self.is_value(column)
        how = self.spelling.of_values() if is_value else self.spelling
        if how.is_of_people and self._is_mixed(column):
            how = replace(how, mixed=True)
        is_number = is_value or (self._is_mixed(column) and column not in self.quoted)
        if is_number or self.amc.get(column) in _FRACTIONS or self.declared_kind(column) is Kind.DOUBLE:
            how = replace(how, bare_exponents=True)
        if self.stated.get(column) == Kind.DOUBLE:
            return replace(how, floats=True)
        return replace(how, not_finite=True, bare_exponents=True) if name_rule(column) is Kind.DOUBLE else how

    def ladder(self, column: str) -> tuple[ColumnKind, ...]:
        """The kinds to try before VARCHAR, in that order: what does not fit a part of the rows does not fit all.

        What is declared is tried alone. Name rules come next: an `_id` is text unseen; a cost is DOUBLE, or VARCHAR
        if a value does not fit, even if no value was seen, unless the file states another type. Then come AMC's
        types: text stays text, and fractions may all be whole.
        """
        if declared := self.declared_kind(column):
            return () if declared is Kind.VARCHAR else (declared,)
        amc, rule = self.amc.get(column, ""), name_rule(column)
        if amc.startswith("ARRAY"):
            return _DECLARED.get(amc, (Kind.NOTHING, Kind.TEXTS, Kind.ROWS))
        if rule is Kind.VARCHAR:
            return ()
        is_quoted = column in self.quoted
        numbers = () if is_quoted else (Kind.BOOLEAN, Kind.BIGINT, Kind.DOUBLE)
        # A number of a column with strings stays one, though its digits could be a date.
        is_open = self.spelling.has_dates_of_digits and self._is_mixed(column)
        times = TIMES if self.dates and not is_open else ()
        if stated := self.stated.get(column):
            return (Kind.NOTHING, *self._stated(stated), *numbers, *times)
        if rule is Kind.DOUBLE and not is_quoted:
            return (Kind.DOUBLE,)
        is_of_dates = self.has_dates_of_digits(column)
        return _DECLARED.get(
            amc, (Kind.NOTHING, *times, *numbers) if is_of_dates else (Kind.NOTHING, *numbers, *times)
        )

    def has_dates_of_digits(self, column: str) -> bool:
        """Whether digits in the column are dates if they can be, as the dataset has a format like `%Y%m%d`.

        What was a number in the file stays one.
        """
        return bool(self.spelling.dates) and self.spelling.has_dates_of_digits and not self.is_value(column)

    def _is_mixed(self, column: str) -> bool:
        return column in self.mixed and ALL in self.values and column not in self.values

    def written_as(self, column: str) -> str:
        """How the values of a column were in the file: as values, as text, or as either."""
        return "value" if self.is_value(column) else "either" if self._is_mixed(column) else "text"

    def is_value(self, column: str) -> bool:
        """Whether the values of a column were values in the file, not text."""
        return column in self.values or (
            ALL in self.values and column not in self.quoted and column not in self.mixed
        )

    def declared_kind(self, column: str) -> ColumnKind | None:
        """The kind that is declared for a column."""
        declared = self.declared.get(comparable(column)) if self.declared else None
        return Kind.of_sql(declared) if declared else None

    def _stated(self, sql_type: str) -> tuple[ColumnKind, ...]:
        kind = Kind.of_sql(sql_type)
        if sql_type == "UBIGINT":  # most of them are small
            return (Kind.BIGINT, kind)
        return () if kind is Kind.TIME and not self.dates else (kind,)


NO_CLUES = Clues()


def infer(
    con: duckdb.DuckDBPyConnection,
    rows_sql: str,
    columns: Sequence[str],
    clues: Clues = NO_CLUES,
    nearly: dict[str, ColumnKind] | None = None,
) -> dict[str, ColumnKind]:
    """The narrowest kind of each column over ALL rows of `rows_sql`, a text that can follow FROM.

    The first rows suggest a kind, one scan of everything confirms it, and the columns that fail are examined
    against every other kind in one more: the answer is the same as examining all. At the end `nearly` has the kind of
    most of the first values of each column that is text only because of the others.
    """
    nearly = {} if nearly is None else nearly
    ladders = {c: clues.ladder(c) for c in columns}
    if not columns:
        return {}
    names = ", ".join(map(identifier, columns))
    guesses: dict[str, ColumnKind] = {column: ladder[0] for column, ladder in ladders.items() if ladder}
    # A column of more than 2 GiB is too much for Arrow; then all rows are asked without a guess.
    with suppress(duckdb.InvalidInputException):
        first = con.execute(f"SELECT {names} FROM {rows_sql} LIMIT {_SAMPLE}").to_arrow_table()
        guesses = _narrowest_of_few(con, first, ladders, clues, nearly)
        if first.num_rows < _SAMPLE:
            return guesses
    # what does not fit the first rows does not fit them all
    open_ = {
        c: ladder[ladder.index(guesses[c]) :] for c, ladder in ladders.items() if guesses.get(c) in ladder
    }
    seen = _narrowest(con, rows_sql, {c: ladder[:1] for c, ladder in open_.items()}, clues)
    rest = {c: ladder[1:] for c, ladder in open_.items() if seen[c] is not ladder[0]}
    kinds: dict[str, ColumnKind] = dict.fromkeys(columns, Kind.VARCHAR)
    kinds |= seen | _narrowest(con, rows_sql, rest, clues)
    nearly |= {
        c: ladder[0]
        for c, ladder in open_.items()
        if kinds[c] is Kind.VARCHAR and ladder[0] is not Kind.NOTHING
    }
    return kinds


def mixed_dates(
    con: duckdb.DuckDBPyConnection, rows_sql: str, kinds: Mapping[str, ColumnKind], clues: Clues
) -> list[str]:
    """The columns of numbers that are dates of digits in some object: all of its values, or all but a few.

    They are text, as any column is that has dates and something else, in one file or in two.
    """
    columns = [
        c
        for c, kind in kinds.items()
        if kind in NUMERIC and clues.has_dates_of_digits(c) and Kind.TIMESTAMP in clues.ladder(c)
    ]
    if not columns:
        return []
    counts = []
    for column in columns:
        name, how = identifier(column), clues.how(column)
        is_filled = f"NOT {fits_sql(Kind.NOTHING, name, how)}"
        counts += [
            f"count_if({is_filled})",
            f"count_if({is_filled} AND NOT {fits_sql(Kind.TIMESTAMP, name, how)})",
        ]
    mixed: dict[str, None] = {}
    for answers in con.execute(f"SELECT {', '.join(counts)} FROM {rows_sql} GROUP BY {OBJECT_ID}").fetchall():
        for column, filled, misfits in zip(columns, answers[::2], answers[1::2], strict=True):
            if filled and _is_nearly(filled, misfits):
                mixed[column] = None
    return list(mixed)


def _is_nearly(filled: int, misfits: int) -> bool:
    """Whether so many values that do not fit a kind are none or few."""
    return not misfits or (filled >= _ENOUGH and misfits <= filled * _FEW)


def _narrowest_of_few(
    con: duckdb.DuckDBPyConnection,
    rows: pa.Table,
    ladders: Mapping[str, Sequence[ColumnKind]],
    clues: Clues,
    nearly: dict[str, ColumnKind],
) -> dict[str, ColumnKind]:
    """For each column the first kind that fits all rows of a table of text, in the order of `ladders`.

    A test costs a millisecond or two to plan, whatever the rows are. So the columns that have the same tests are laid
    end to end, as one column of cells, and each test is written once, not once for each column. Those that are text
    but for a few values are `nearly` of the kind of the others.
    """
    kinds: dict[str, ColumnKind] = {c: ladder[0] if ladder else Kind.VARCHAR for c, ladder in ladders.items()}
    alike: dict[tuple[object, ...], list[int]] = {}
    for i, (column, ladder) in enumerate(ladders.items()):
        alike.setdefault((clues.how(column), *ladder), []).append(i)
    columns = list(ladders)
    together = max(1, _CELLS // max(1, rows.num_rows))
    for positions in alike.values():
        ladder, how = ladders[columns[positions[0]]], clues.how(columns[positions[0]])
        if not ladder:
            continue
        tests = ", ".join(f"count_if(NOT {fits_sql(kind, 'value', how)})" for kind in ladder)
        for at in range(0, len(positions), together):
            con.register(_CELLS_VIEW, _end_to_end(rows, positions[at : at + together]))
            try:
                answers = con.execute(
                    f"SELECT i, count_if(value <> ''), {tests} FROM {_CELLS_VIEW} GROUP BY i"
                ).fetchall()
            finally:
                con.unregister(_CELLS_VIEW)
            for i, filled, *misfits in answers:
                fewest = min(misfits)
                best = ladder[misfits.index(fewest)]
                kinds[columns[i]] = Kind.VARCHAR if fewest else best
                if fewest and _is_nearly(filled, fewest):
                    nearly[columns[i]] = best
    return kinds


def _end_to_end(rows: pa.Table, positions: Sequence[int]) -> pa.Table:
    """The cells of these columns, as `value`, and the position of the column of each, as `i`."""
    chunks = [(i, chunk) for i in positions for chunk in rows.column(i).cast(pa.string()).chunks]
    numbers = pa.chunked_array(
        [pa.repeat(pa.scalar(i, pa.int32()), len(chunk)) for i, chunk in chunks], pa.int32()
    )
    return pa.table({"i": numbers, "value": pa.chunked_array([chunk for _, chunk in chunks], pa.string())})


def _narrowest(
    con: duckdb.DuckDBPyConnection, rows_sql: str, ladders: Mapping[str, Sequence[ColumnKind]], clues: Clues
) -> dict[str, ColumnKind]:
    """For each column the first kind that fits all rows; a scan for every so many columns.

    The plan of a single scan would grow faster than its columns.
    """
    kinds: dict[str, ColumnKind] = {}
    for at in range(0, len(ladders), _COLUMNS):
        columns = list(ladders)[at : at + _COLUMNS]
        tests = [
            f"bool_and({fits_sql(kind, identifier(column), clues.how(column))})"
            for column in columns
            for kind in ladders[column]
        ]
        row = con.execute(f"SELECT {', '.join(tests)} FROM {rows_sql}").fetchall()[0] if tests else ()
        fits = iter(row)
        for column in columns:
            # Each answer is taken, also of the kinds behind the first that fits.
            fitting = [kind for kind in ladders[column] if next(fits)]
            kinds[column] = fitting[0] if fitting else Kind.VARCHAR
    return kinds
