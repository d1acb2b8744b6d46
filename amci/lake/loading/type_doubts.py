"""What is doubtful about columns' types: a declared one that does not fit, odd words, numbers as people write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import duckdb

from amci.kernel.errors import MalformedFile
from amci.kernel.names import quoted
from amci.lake.catalog.casts import fits_sql
from amci.lake.catalog.inference import Clues
from amci.lake.catalog.kinds import NUMERIC, ColumnKind, Kind
from amci.lake.datasets.objects import OBJECT_ID, ROW, VERSION
from amci.lake.formats import Doubt
from amci.lake.loading.loads import LoadItem
from amci.lake.loading.odd_words import Digits, mixed_digits, odd_words
from amci.lake.loading.spelling_hints import likely, spelling_doubts
from amci.lake.loading.staged_object import StagedTable


@dataclass(frozen=True, slots=True, kw_only=True)
class InferredRows:
    """Staged rows of objects that are loaded together, and what the kinds of their columns are."""

    members: Sequence[tuple[LoadItem, StagedTable]]
    rows: str  #: SQL that can follow FROM, under the names of the table's columns
    placed: Mapping[str, str]  #: those names, by the names of the staged files
    kinds: Mapping[str, ColumnKind]
    nearly: Mapping[str, ColumnKind]  #: as in `infer`
    clues: Clues
    known: Mapping[str, str]  #: the columns that the table has already, with their SQL types

    @property
    def table(self) -> str:
        """The table's name, with its schema."""
        item, staged = self.members[0]
        return str(item.name_of(staged))


def doubt_types(con: duckdb.DuckDBPyConnection, inferred: InferredRows) -> None:
    """Note on each object what may be wrong with the types of its columns.

    The columns of a frozen table do not become text: an object that would make them text is refused.

    Raises MalformedFile if a type is declared, a value does not fit it, and the schema is frozen.
    """
    may_become_text = not inferred.known or inferred.members[0][0].dataset.schema_mode == "evolve"
    if may_become_text:
        _doubt_words(con, inferred)
    _doubt_declared(con, inferred)
    _doubt_spelling(con, inferred, may_become_text=may_become_text)


def _doubt_words(con: duckdb.DuckDBPyConnection, inferred: InferredRows) -> None:
    """Columns that are text because of a few words."""
    clues = inferred.clues
    by_version = _by_version(inferred)
    open_kinds = {c: kind for c, kind in inferred.kinds.items() if clues.declared_kind(c) is None}
    quoted = {
        (item.object_id, inferred.placed.get(own, own))
        for item, staged in inferred.members
        for own in staged.quoted
    }
    for word in odd_words(con, inferred.rows, open_kinds, inferred.nearly, inferred.known, clues):
        item = by_version[word.object_id, word.version]
        if (
            word.column in clues.quoted
            and (item.object_id, word.column) not in quoted
            and isinstance(word, Digits)
        ):
            continue  # others that are loaded with it have strings
        item.doubts[f"{inferred.table}.{word.column}"] = word.doubt(is_personal=bool(item.dataset.pii))


def doubt_digits(several: Sequence[InferredRows]) -> None:
    """Note that objects for one table, which are loaded at once, have digits that are dates in some of them only."""
    dates: dict[tuple[str, str], InferredRows] = {}
    numbers: dict[tuple[str, str], InferredRows] = {}
    for inferred in several:
        for column, kind in inferred.kinds.items():
            if (
                not inferred.clues.spelling.has_dates_of_digits
                or inferred.known.get(column) == Kind.VARCHAR.sql
            ):
                continue
            if kind in (Kind.DATE, Kind.TIMESTAMP) and inferred.clues.has_dates_of_digits(column):
                dates[inferred.table, column] = inferred
            elif kind in NUMERIC and inferred.clues.is_value(column):
                numbers[inferred.table, column] = inferred
    for (table, column), inferred in numbers.items():
        if (table, column) in dates:
            item = inferred.members[0][0]
            doubt = mixed_digits(column, item.object_id, item.version).doubt(is_personal=False)
            item.doubts[f"{table}.{column}"] = doubt


def _doubt_declared(con: duckdb.DuckDBPyConnection, inferred: InferredRows) -> None:
    """Columns that are text although another type is declared."""
    clues = inferred.clues
    by_version = _by_version(inferred)
    for column, kind in inferred.kinds.items():
        declared = clues.declared_kind(column)
        if declared is None or declared == kind:
            continue
        how = clues.how(column)
        fits = fits_sql(declared, quoted(column), how)
        certain = " for certain, as the column has numbers and text" if how.mixed else ""
        for object_id, version, count, first in con.execute(
            f"SELECT {OBJECT_ID}, {VERSION}, count(*), min({ROW}) FROM {inferred.rows} WHERE NOT {fits} GROUP BY ALL"
        ).fetchall():
            item = by_version[object_id, version]
            are = "1 value is" if count == 1 else f"{count} values are"
            says = f"column {column}: {are} not {declared.sql}{certain}, the first in row {first}"
            hint = f"correct the file, or `types:` in the definition of {item.dataset.dataset}"
            if item.dataset.schema_mode == "freeze":
                raise MalformedFile(says, hint=hint)
            item.doubts[f"{inferred.table}.{column}"] = Doubt(
                kind="types", says=f"{says}; it is text", hint=hint, column=column
            )


def _doubt_spelling(con: duckdb.DuckDBPyConnection, inferred: InferredRows, *, may_become_text: bool) -> None:
    """Numbers or dates as people write them, of which their dataset does not know.

    The first object with such a column is told of, once for all that are loaded together.
    """
    members, kinds, clues = inferred.members, inferred.kinds, inferred.clues
    first = members[0][0]
    odd = {inferred.placed.get(own, own): item for item, staged in reversed(members) for own in staged.odd}
    new = [
        c
        for c, kind in kinds.items()
        if may_become_text
        and kind is Kind.VARCHAR
        and inferred.known.get(c) != Kind.VARCHAR.sql
        and clues.ladder(c)
    ]
    # The first rows of a file do not tell if it is sorted, or begins with empty values.
    text = sorted(
        {c for c in new if c in odd}.union(likely(con, inferred.rows, [c for c in new if c not in odd]))
    )
    pointed = [
        c for c in sorted(odd) if kinds.get(c) in (Kind.BIGINT, Kind.DOUBLE) and not clues.declared_kind(c)
    ]
    strings = {c for c in text if c in clues.quoted and not clues.declared_kind(c)}
    for doubt in spelling_doubts(con, inferred.rows, text, pointed, kinds, first.dataset, strings):
        item, key = odd.get(doubt.column, first), f"{inferred.table}.{doubt.column}"
        # Of a column with odd words, these are all there is to say.
        item.doubts[key] = replace(item.doubts[key], hint=doubt.hint) if key in item.doubts else doubt


def _by_version(inferred: InferredRows) -> dict[tuple[int, int], LoadItem]:
    return {(item.object_id, item.version): item for item, _ in inferred.members}
