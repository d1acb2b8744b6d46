"""Which words make a column text that would hold numbers, dates or times without them.

With two days of numbers in `spend`, a third with the values `11.50` and `N/A` makes the column text. Then the doubt is:

    column spend becomes text: 'N/A' in row 2 is no number
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import duckdb

from amci.kernel.names import quoted as identifier
from amci.lake.catalog.casts import fits_sql
from amci.lake.catalog.inference import Clues
from amci.lake.catalog.kinds import NUMERIC, ColumnKind, DecimalKind, Kind, join
from amci.lake.datasets.objects import OBJECT_ID, ROW, VERSION
from amci.lake.formats import Doubt

#: Columns that are looked at; each takes a scan.
_TOLD = 10
#: Kinds whose values are told apart from words together, with what they are called.
_FAMILIES: Mapping[str, tuple[Kind, ...]] = {
    "number": (Kind.BIGINT, Kind.DOUBLE),
    "date or time": (Kind.DATE, Kind.TIMESTAMP, Kind.TIMESTAMPTZ),
    "true or false": (Kind.BOOLEAN,),
}
#: Words that stand for a missing value, or for a fault of a spreadsheet. Others may say something of a person.
# fmt: off
_KNOWN = frozenset({
    "-", "--", "---", ".", "?", "n/a", "na", "#n/a", "nan", "null", "none", "nil", "(null)", "(none)", "(blank)",
    "(empty)", "(other)", "(not set)", "not set", "unknown", "missing", "undefined", "total", "all", "other",
    "inf", "infinity", "tbd", "#ref!", "#value!", "#div/0!", "#name?", "#num!", "#null!", "#error!", "error", "yes",
    "no", "x",
})
# fmt: on
_SHOWN = re.compile(r"[^\w\s]{0,3}[\d.,' ]{1,12}[^\w\s]{0,3}")


@dataclass(frozen=True, slots=True)
class OddWord:
    """A value that keeps a column from being what its other values are."""

    column: str
    family: str  #: what the others are
    object_id: int
    version: int
    row: int  #: of the first such value, in the file
    word: str  #: that value
    count: int  #: such values of the object

    def doubt(self, *, is_personal: bool) -> Doubt:
        """What to tell; a word is only shown if it cannot be personal."""
        is_known = self.word.strip().lower() in _KNOWN or bool(_SHOWN.fullmatch(self.word))
        shown = f"'{self.word}'" if is_known and not is_personal else "a word"
        more = f", and {self.count - 1} more" if self.count > 1 else ""
        return Doubt(
            kind="word",
            says=f"column {self.column} becomes text: {shown} in row {self.row} is no {self.family}{more}",
            hint="correct the file, and it is a column of such values again; words that mean no value are for `nulls:`"
            f" of the dataset, and a column of text for `types: {{{self.column}: VARCHAR}}`",
            column=self.column,
        )


@dataclass(frozen=True, slots=True)
class Digits:
    """Values that would fit a column by their digits, but are something else in this object."""

    column: str
    object_id: int
    version: int
    says: str  #: what they are
    types: str  #: what could be declared

    def doubt(self, *, is_personal: bool) -> Doubt:  # noqa: ARG002 - as of a word; it shows none
        """What to tell."""
        return Doubt(
            kind="word",
            says=f"column {self.column} becomes text: {self.says}",
            hint=f"say in the dataset what the column is, {self.types}; or correct the file",
            column=self.column,
        )


def mixed_digits(column: str, object_id: int, version: int) -> Digits:
    """What to tell of a column of dates such as 20261101 in some rows, and of numbers in others."""
    says = "its digits are dates in some rows and numbers in others"
    return Digits(
        column, object_id, version, says, f"`types: {{{column}: BIGINT}}` or `types: {{{column}: DATE}}`"
    )


def odd_words(
    con: duckdb.DuckDBPyConnection,
    rows_sql: str,
    kinds: Mapping[str, ColumnKind],
    nearly: Mapping[str, ColumnKind],
    known: Mapping[str, str],
    clues: Clues,
) -> Iterator[OddWord | Digits]:
    """The odd words of each object in the columns of `rows_sql` that are text only because of them.

    `kinds` are what the columns are to be, `nearly` what most of their values are, see `infer`; `known` are the columns
    of the table, with their SQL types, empty if it is new. What is text in the table, or text whatever it holds, has no
    odd words; of very many columns, the first are looked at. Objects without an odd word may have `Digits`.
    """
    text = [c for c, kind in kinds.items() if _makes_text(known.get(c), kind) and clues.ladder(c)]
    alike = {c: _kind_in(known, c) or nearly.get(c) for c in text}
    families = {c: family for c, kind in alike.items() if kind and (family := _family_of(kind))}
    for column, family in islice(families.items(), _TOLD):
        name = identifier(column)
        is_odd = f"NOT ({_is_one(family, column, clues)})"
        found = con.execute(
            f"SELECT {OBJECT_ID}, {VERSION}, min({ROW}) FILTER (WHERE is_odd),"
            f" arg_min(word, {ROW}) FILTER (WHERE is_odd), count_if(is_odd) FROM"
            f" (SELECT {OBJECT_ID}, {VERSION}, {ROW}, {name} AS word, {is_odd} AS is_odd FROM {rows_sql}"
            f"   WHERE {name} <> '') GROUP BY ALL"
        ).fetchall()
        is_of_digits = clues.spelling.has_dates_of_digits and (
            (family == "number" and clues.has_dates_of_digits(column))
            or (family == "date or time" and kinds[column] in NUMERIC)
        )
        for object_id, version, row, word, count in found:
            if is_of_digits and (not count or (family == "number" and word.isdecimal())):
                yield mixed_digits(column, object_id, version)
            elif count:
                yield OddWord(column, family, object_id, version, row, word, count)
            elif family == "number" and column in clues.quoted:
                says = "numbers in it are written as text"
                yield Digits(column, object_id, version, says, f"such as `types: {{{column}: DOUBLE}}`")


def _makes_text(sql_type: str | None, kind: ColumnKind) -> bool:
    """Whether values of the kind make text of a column that was not, or is new; dates do of one of numbers."""
    if sql_type in (None, Kind.NOTHING.value):
        return kind is Kind.VARCHAR
    have = Kind.of_sql(sql_type or "")
    return have is not Kind.VARCHAR and join(have, kind) is Kind.VARCHAR


def _kind_in(known: Mapping[str, str], column: str) -> ColumnKind | None:
    sql_type = known.get(column, Kind.NOTHING.value)
    return None if sql_type == Kind.NOTHING else Kind.of_sql(sql_type)


def _family_of(kind: ColumnKind) -> str | None:
    if isinstance(kind, DecimalKind):
        return "number"
    return next((family for family, kinds in _FAMILIES.items() if kind in kinds), None)


def _is_one(family: str, column: str, clues: Clues) -> str:
    ladder = clues.ladder(column)
    is_string = family == "number" and column in clues.quoted
    kinds = [kind for kind in _FAMILIES[family] if is_string or kind in ladder]
    name, how = identifier(column), clues.how(column)
    is_one = " OR ".join(fits_sql(kind, name, how) for kind in kinds) or "FALSE"
    if family == "number" and clues.has_dates_of_digits(column):
        return f"({is_one}) AND NOT {fits_sql(Kind.TIMESTAMP, name, how)}"
    return is_one
