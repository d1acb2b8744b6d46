"""Which type a column of text gets, and the SQL that converts it without losing or changing a value.

DuckDB's own casts from text round and guess ('1.5' becomes BIGINT 2), so a test of the text guards each cast.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum

import duckdb
import pyarrow as pa

from amci.kernel.names import comparable, literal, quoted as identifier
from amci.lake.datasets.spelling import PLAIN, DateFormat, Spelling, once

#: A regular expression of arrays whose elements are text. Brackets right inside say that they are rows.
FLAT = r"(?s)\[(?:[^\[].*)?\]"
_ROW = r"\[[^\[\]]*\]"
#: And of arrays of rows; not of `[]`, which may be either, so that it means one thing in every file.
NESTED = rf"\[{_ROW}(?:, {_ROW})*\]"
_NULL = "null"


def of(element: str) -> str:
    """The regular expression of arrays whose elements are given by one."""
    one = f"(?:{_NULL}|{element})"
    return rf"\[(?:{one}(?:, {one})*)?\]"


def split(expr: str, *, is_nested: bool) -> str:
    """SQL that turns such a text into a list of texts, or a list of lists; NULL stays NULL."""
    if is_nested:
        rows = f"string_split(substr({expr}, 3, length({expr}) - 4), '], [')"
        return f"list_transform({rows}, lambda r: {_elements('r')})"
    inner = f"substr({expr}, 2, length({expr}) - 2)"
    return f"CASE WHEN {expr} = '[]' THEN [] ELSE {_elements(inner)} END"


def _elements(text: str) -> str:
    return f"list_transform(string_split({text}, ', '), lambda x: NULLIF(x, '{_NULL}'))"


def printed(expr: str, *, is_nested: bool) -> str:
    """SQL that prints a list as AMC does; NULL stays NULL."""
    if is_nested:
        return _listed(f"list_transform({expr}, lambda r: {_listed('r')})")
    return _listed(expr)


def _listed(expr: str) -> str:
    texts = f"list_transform({expr}, lambda x: coalesce(CAST(x AS VARCHAR), '{_NULL}'))"
    return f"'[' || array_to_string({texts}, ', ') || ']'"


class Kind(StrEnum):
    """What the values of a column are."""

    NOTHING = "NOTHING"  #: no value seen yet; stored as text
    BOOLEAN = "BOOLEAN"
    BIGINT = "BIGINT"
    DOUBLE = "DOUBLE"
    DATE = "DATE"
    TIMESTAMP = "TIMESTAMP"  #: a local time, microseconds
    TIMESTAMPTZ = "TIMESTAMPTZ"  #: a moment, microseconds, kept in UTC
    TIME = "TIME"  #: of day, microseconds, only if the file or the dataset says so
    UUID = "UUID"  #: only if the file or the dataset says so
    VARCHAR = "VARCHAR"
    TEXTS = "VARCHAR[]"  #: an array, only if AMC says so
    INTEGERS = "BIGINT[]"
    NUMBERS = "DOUBLE[]"
    ROWS = "VARCHAR[][]"  #: an array of NAMED_ROWs

    @property
    def is_array(self) -> bool:
        """Whether a value has several values."""
        return self.value.endswith("[]")

    @property
    def sql(self) -> str:
        """The type's name as DuckDB itself writes it."""
        return _SQL.get(self, self.value)

    @staticmethod
    def of_sql(type_name: str) -> ColumnKind:
        """The narrowest kind that holds every value of a DuckDB type (as `typeof` names it), else VARCHAR.

        INTEGER is BIGINT, FLOAT is DOUBLE, UBIGINT is DECIMAL(20,0); HUGEINT and TIMESTAMP_NS are VARCHAR. If
        `kind.sql` is not `type_name` itself, the column has to be rewritten as `kind.sql` before values of that
        kind go in.
        """
        if decimal := _DECIMAL.fullmatch(type_name):
            return DecimalKind(*(int(part) for part in decimal.groups()))
        return _OF_SQL.get(type_name, Kind.VARCHAR)


@dataclass(frozen=True, slots=True)
class DecimalKind:
    """Numbers with so many digits, so many of them behind the point: only if a file or the dataset says so."""

    precision: int  #: 1 to 38
    scale: int  #: 0 to `precision`

    @property
    def is_array(self) -> bool:
        """Whether a value has several values."""
        return False

    @property
    def sql(self) -> str:
        """The type's name as DuckDB itself writes it."""
        return f"DECIMAL({self.precision},{self.scale})"

    @property
    def pattern(self) -> str:
        """The regular expression of its values: without exponent or zeros in front; zeros behind say nothing."""
        whole = self.precision - self.scale
        digits = f"(?:0|[1-9][0-9]{{0,{whole - 1}}})" if whole else "0"
        if not self.scale:
            return f"-?{digits}(?:[.]0+)?"
        fraction = f"[.](?:[0-9]{{1,{self.scale}}}0*)"
        return f"-?(?:{digits}(?:{fraction})?|{fraction})"

    def with_room_for(self, other: DecimalKind) -> DecimalKind | None:
        """The decimals that hold both; None if they would have too many digits."""
        scale = max(self.scale, other.scale)
        precision = max(self.precision - self.scale, other.precision - other.scale) + scale
        return DecimalKind(precision, scale) if precision <= _MOST_DIGITS else None


#: What the values of a column are.
ColumnKind = Kind | DecimalKind

_SQL = {Kind.NOTHING: "VARCHAR", Kind.TIMESTAMPTZ: "TIMESTAMP WITH TIME ZONE"}
_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")
_OF_SQL: dict[str, ColumnKind] = {kind.sql: kind for kind in Kind if kind is not Kind.NOTHING}
_OF_SQL |= {'"NULL"': Kind.NOTHING, "FLOAT": Kind.DOUBLE, **dict.fromkeys(_INTEGERS, Kind.BIGINT)}
_OF_SQL |= dict.fromkeys(("TIMESTAMP_S", "TIMESTAMP_MS"), Kind.TIMESTAMP)
_OF_SQL["UBIGINT"] = DecimalKind(20, 0)
_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")
_MOST_DIGITS = 38  # of a DECIMAL
_BIGINT_DIGITS = 18  # every integer of 18 digits is a BIGINT
_BIGINTS = DecimalKind(19, 0)  # and every BIGINT is one of these
_DOUBLE_DIGITS = 15  # every decimal of 15 digits comes back from a DOUBLE
_EXACT = 2**53  # up to here every integer is a DOUBLE

_DOUBLE_NAME = re.compile(
    r"(.*_((fee|rate|score|percent|pct|cost|avg)s*|e*cpm)|avg)(_.*)?|costs*|e*cpm", flags=re.DOTALL
)


def name_rule(column: str) -> Kind | None:
    """What the column's name alone decides: VARCHAR, DOUBLE or nothing; without regard to case.

    The rules are the AWS solution's, surprises included: `total_cost_usd`, `win_pct_x` and `avg_x` are
    numbers, while bare `rate`, `pct`, `id`, `asin` and `cost_type`, `cpm_y`, `average` are not covered.
    """
    if column.lower().endswith(("_id", "_asin")):
        return Kind.VARCHAR
    return Kind.DOUBLE if _DOUBLE_NAME.fullmatch(column.lower()) else None


def join(a: ColumnKind, b: ColumnKind) -> ColumnKind:
    """The narrowest kind that holds the values of both, as far as kinds can tell: see `loss_sql`."""
    if a == b or b is Kind.NOTHING:
        return a
    if a is Kind.NOTHING:
        return b
    if isinstance(a, DecimalKind) or isinstance(b, DecimalKind):
        return _join_decimals(a, b)
    if {a, b} == {Kind.BIGINT, Kind.DOUBLE}:
        return Kind.DOUBLE
    return Kind.TIMESTAMP if {a, b} == {Kind.DATE, Kind.TIMESTAMP} else Kind.VARCHAR


def _join_decimals(a: ColumnKind, b: ColumnKind) -> ColumnKind:
    if not isinstance(a, DecimalKind):
        a, b = b, a
    if not isinstance(a, DecimalKind) or (not isinstance(b, DecimalKind) and b not in _NUMERIC):
        return Kind.VARCHAR
    if b is Kind.BIGINT and a.scale == 0 and a.precision <= _BIGINT_DIGITS:
        return b
    other = _BIGINTS if b is Kind.BIGINT else b
    return (a.with_room_for(other) if isinstance(other, DecimalKind) else None) or Kind.DOUBLE


_NUMERIC = (Kind.BIGINT, Kind.DOUBLE)

# Regular expressions, not casts: DuckDB evaluates them once per dictionary entry of a Parquet file, and RE2's
# time depends on the text alone. So common spellings stand here in full, and rare ones get a second look.
_INTEGER = "-?[1-9][0-9]{0,17}(?:[.]0+)?|0(?:[.]0+)?"
_LONG_INTEGER = "-?[1-9][0-9]{18}(?:[.]0+)?"
# At most 17 significant digits: that many name any DOUBLE, one more would be cut. Zeros behind say nothing.
_NUMBER = (
    "-?(?:[1-9][0-9]{0,14}|0|0?[.](?:0{0,20}[1-9][0-9]{0,16}0*|0+)|"
    + "|".join(f"[1-9][0-9]{{{n - 1}}}[.][0-9]{{1,{17 - n}}}0*" for n in range(1, 16))
    + "|[1-9](?:[eE][-+]|[.][0-9]{1,16}0*[eE][-+]?)[0-9]{1,2})"
)
_EXPONENT = "[eE][-+]?[0-9]+"
_ANY_NUMBER = f"-?(?:(?:0|[1-9][0-9]*)(?:[eE][-+][0-9]+)?|(?:0|[1-9][0-9]*)?[.][0-9]+(?:{_EXPONENT})?)"
#: With exponents that have neither a sign nor a point before them, which are codes elsewhere.
_BARE_NUMBER = f"-?(?:0|[1-9][0-9]*|(?:0|[1-9][0-9]*)?[.][0-9]+)(?:{_EXPONENT})?"
_NOT_FINITE = "(?i)nan|-?inf(?:inity)?"
_NORMAL = "2.2250738585072014e-308 AND 1.7976931348623157e308"
_DAY = (
    "(?:(?:000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})-"
    "(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    "|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    "|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)-02-29)"
)
_CLOCK = "(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:[.][0-9]{1,6})?)?"
_TIME = f"[T ]{_CLOCK}"
_OFFSET = "[-+](?:0[0-9]|1[0-5])(?::[0-5][0-9])?"
_PATTERNS: dict[ColumnKind, str] = {
    Kind.TIME: _CLOCK,
    Kind.UUID: "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    Kind.DATE: _DAY,
    Kind.TIMESTAMP: f"{_DAY}(?:{_TIME}Z?)?",
    Kind.TEXTS: FLAT,
    Kind.INTEGERS: of(_INTEGER),
    Kind.NUMBERS: of(_NUMBER),
    Kind.ROWS: NESTED,
}
_MOMENTS = "TIMESTAMPTZ '0001-01-01 00:00:00+00' AND TIMESTAMPTZ '9999-12-31 23:59:59.999999+00'"


def fits_sql(kind: ColumnKind, expr: str, how: Spelling = PLAIN) -> str:
    """SQL that is TRUE if the text `expr` can be turned into `kind` without loss, otherwise FALSE.

    NULL fits; the empty text fits too, it becomes NULL unless the kind is text. BOOLEAN takes true and false
    in any case. BIGINT takes canonical 64-bit integers and the same followed by `.0`, `.00` …; not `007`,
    `+1`, `-0`. DOUBLE takes numbers as JSON writes them (also `.5`) of at most 17 significant digits that
    neither overflow nor underflow; without an exponent, up to 2^53 in size. An exponent has a sign or a point
    before it (`1e+20`, `1.5E10`): `1E5` is a code, unless `how` says otherwise. DECIMAL takes numbers without
    exponent that have no more digits than it, zeros behind left out. DATE takes YYYY-MM-DD of the years 1 to
    9999. TIMESTAMP takes a date, or `YYYY-MM-DD[T ]HH:MM[:SS[.ffffff]]`, also with `Z`, which is dropped: AMC
    prints local times with it too. TIMESTAMPTZ takes the same with an explicit offset `±HH[:MM]` instead.
    `how` may say that more is a value.
    """
    if kind is Kind.VARCHAR:
        return "TRUE"
    return once("t", how.text_sql(expr), lambda text: _fits_sql(kind, text, how))


def _fits_sql(kind: ColumnKind, expr: str, how: Spelling) -> str:
    if kind is Kind.NOTHING:
        return f"({expr} IS NULL OR {expr} = '')"
    return f"(CASE WHEN {_strict(kind, expr, how)} THEN TRUE ELSE {expr} IS NULL OR {expr} = '' END)"


def _strict(kind: ColumnKind, expr: str, how: Spelling) -> str:
    """SQL that is TRUE if the text is a value of the kind; the empty text and NULL are not."""
    if formats := _formats(kind, how):
        return f"len({_dates_sql(kind, expr, how, formats)}) = 1"
    if isinstance(kind, DecimalKind) or kind in _NUMERIC:
        return once("n", how.number_sql(expr), lambda number: _strict_number(kind, number, how))
    match kind:
        case Kind.BOOLEAN:
            return f"lower({expr}) IN ('true', 'false')"
        case Kind.TIMESTAMPTZ:
            moment = f"TRY_CAST({_castable(Kind.TIMESTAMPTZ, expr)} AS TIMESTAMPTZ)"
            # an offset can carry the first and the last day out of the years 1 to 9999
            return f"CASE WHEN {_match(expr, _DAY + _TIME + _OFFSET)} THEN {moment} BETWEEN {_MOMENTS} END"
        case _:
            return _match(expr, _PATTERNS[kind])


def _strict_number(kind: ColumnKind, expr: str, how: Spelling) -> str:
    match kind:
        case DecimalKind():
            return _match(expr, kind.pattern)
        case Kind.BIGINT:
            long = f"{_match(expr, _LONG_INTEGER)} AND TRY_CAST({expr} AS BIGINT) IS NOT NULL"
            return f"CASE WHEN {_match(expr, _INTEGER)} THEN TRUE ELSE {long} END"
        case _:
            return _strict_double(expr, how)


def _strict_double(expr: str, how: Spelling) -> str:
    digits = _significant(expr)
    number = f"TRY_CAST({expr} AS DOUBLE)"
    size = f"abs({number})"
    if how.floats:  # also the smallest, and those beyond 2^53
        sound = f"isfinite({number}) AND {_significant(f'CAST({number} AS VARCHAR)')} = {digits}"
    else:
        exact = f"{size} < {_EXACT} OR {_match(expr, f'-?{_EXACT}([.]0+)?')} OR contains(lower({expr}), 'e')"
        sound = f"{size} BETWEEN {_NORMAL} AND ({exact})"
    other = _match(expr, _NOT_FINITE) if how.not_finite or how.floats else "FALSE"
    slow = f"{digits} = '' OR (strlen({digits}) <= 17 AND {sound})"
    any_number = _BARE_NUMBER if how.bare_exponents or how.floats else _ANY_NUMBER
    rest = f"WHEN {_match(expr, any_number)} THEN {slow} ELSE {other}"
    return f"CASE WHEN {_match(expr, _NUMBER)} THEN TRUE {rest} END"


def _significant(expr: str) -> str:
    """The significant digits of a number as text: without point, exponent, zeros in front and behind the last one.

    Zeros at the end of a whole number are digits.
    """
    mantissa = f"regexp_extract({expr}, '[0-9.]+')"
    decimals = f"CASE WHEN contains({mantissa}, '.') THEN rtrim({mantissa}, '0') ELSE {mantissa} END"
    return f"ltrim(replace({decimals}, '.', ''), '0')"


def _formats(kind: ColumnKind, how: Spelling) -> tuple[DateFormat, ...]:
    """The formats, beside ISO 8601, of dates and times of that kind; a day is also the begin of it."""
    if kind not in (Kind.DATE, Kind.TIMESTAMP, Kind.TIMESTAMPTZ):
        return ()
    return how.date_formats([kind.sql, Kind.DATE.sql] if kind is Kind.TIMESTAMP else [kind.sql])


def _dates_sql(kind: ColumnKind, expr: str, how: Spelling, formats: Sequence[DateFormat]) -> str:
    """SQL of the list of different values that a text may mean: one, if it is sound."""
    plain = replace(how, dates=())
    iso = f"CASE WHEN {_strict(kind, expr, plain)} THEN {_converted(kind, expr, plain)} END"
    return f"list_distinct([{', '.join([iso, *(one.read_sql(expr, kind.sql) for one in formats)])}])"


def _match(expr: str, pattern: str) -> str:
    return f"regexp_full_match({expr}, {literal(pattern)})"


def _castable(kind: ColumnKind, expr: str) -> str:
    """The text in a spelling that DuckDB's cast takes: it knows `HH:MM`, but not with a zone behind it."""
    if kind is Kind.TIMESTAMP:
        return f"CASE WHEN strlen({expr}) = 17 THEN left({expr}, 16) ELSE {expr} END"
    if kind is Kind.TIMESTAMPTZ:
        whole = f"left({expr}, 16) || ':00' || substr({expr}, 17)"
        return f"CASE WHEN substr({expr}, 17, 1) IN ('+', '-') THEN {whole} ELSE {expr} END"
    return expr


def cast_sql(kind: ColumnKind, expr: str, how: Spelling = PLAIN) -> str:
    """SQL that turns text which fits (see `fits_sql`) into the kind; '' becomes NULL, except in text."""
    if kind.sql == "VARCHAR":
        return how.text_sql(expr)
    # what does not have to be written once stays as it was, for speed
    text = f"NULLIF({how.text_sql(expr)}, '')"
    return (
        _converted(kind, text, how) if how.is_plain else once("t", text, lambda t: _converted(kind, t, how))
    )


def _converted(kind: ColumnKind, expr: str, how: Spelling) -> str:
    if formats := _formats(kind, how):
        return f"{_dates_sql(kind, expr, how, formats)}[1]"
    if isinstance(kind, DecimalKind) or kind in _NUMERIC:
        expr = how.number_sql(expr)
    value = split(expr, is_nested=kind is Kind.ROWS) if kind.is_array else _castable(kind, expr)
    return f"CAST({value} AS {kind.sql})"


#: What the text of DuckDB's error ends with if a value does not fit: this, then the column's name.
UNFIT = "amci:unfit:"


def checked_cast_sql(kind: ColumnKind, expr: str, column: str, how: Spelling = PLAIN) -> str:
    """SQL that casts text which fits and raises otherwise: test and conversion in one pass.

    DuckDB then raises an InvalidInputException that ends in `UNFIT` and the column's name, never the value.
    """
    if kind.sql == "VARCHAR":
        return how.text_sql(expr)
    return once("t", how.text_sql(expr), lambda text: _checked(kind, text, column, how))


def _checked(kind: ColumnKind, expr: str, column: str, how: Spelling) -> str:
    rest = f"WHEN {expr} IS NULL OR {expr} = '' THEN NULL ELSE {unfit_sql(column)}"
    return f"CASE WHEN {_strict(kind, expr, how)} THEN {_converted(kind, expr, how)} {rest} END"


def unfit_sql(column: str) -> str:
    """SQL that raises for a value of the column, as `checked_cast_sql` does."""
    return f"error({literal(UNFIT + column)})"


def widen_sql(have: ColumnKind, want: ColumnKind, column: str) -> str:
    """SQL that turns the stored values of a column from one kind into a wider one; NULL stays NULL.

    Times become ISO 8601 text with `T` (moments in UTC with `+00:00`), numbers the shortest text that reads
    back as the same number, so a DOUBLE of one million becomes `1000000.0`; arrays are printed as AMC does.
    Raises ValueError if `want` does not hold `have`: narrowing is not offered.
    """
    if join(have, want) != want:
        raise ValueError(f"{have} does not widen to {want}")
    name = identifier(column)
    if want is Kind.VARCHAR and have is Kind.TIMESTAMP:
        return f"replace(CAST({name} AS VARCHAR), ' ', 'T')"
    if want is Kind.VARCHAR and have is Kind.TIMESTAMPTZ:
        return f"replace(CAST({name} AT TIME ZONE 'UTC' AS VARCHAR), ' ', 'T') || '+00:00'"
    if want is Kind.VARCHAR and have.is_array:
        return printed(name, is_nested=have is Kind.ROWS)
    if have is Kind.NOTHING:
        name = f"NULLIF({name}, '')" if want.sql != "VARCHAR" else name
    return f"CAST({name} AS {want.sql})"


def loss_sql(have: ColumnKind, want: ColumnKind, column: str) -> str | None:
    """SQL that is TRUE for the stored values that `widen_sql` would change; None if it can change none.

    Only whole numbers and decimals that become DOUBLE can change: beyond 2^53, or with more digits than come back.
    """
    name = identifier(column)
    if want is not Kind.DOUBLE or (isinstance(have, DecimalKind) and have.precision <= _DOUBLE_DIGITS):
        return None
    if isinstance(have, DecimalKind):
        digits = f"trim(replace(ltrim(CAST({name} AS VARCHAR), '-'), '.', ''), '0')"
        return f"strlen({digits}) > {_DOUBLE_DIGITS} OR abs({name}) > {_EXACT}"
    return f"{name} NOT BETWEEN -{_EXACT} AND {_EXACT}" if have is Kind.BIGINT else None


def widening_check_sql(have: ColumnKind, want: ColumnKind, column: str) -> str | None:
    """An aggregate that counts the stored values `widen_sql` would change; None if it can change none.

    If the count is not 0, widen to VARCHAR instead.
    """
    loss = loss_sql(have, want, column)
    return f"count(*) FILTER (WHERE {loss})" if loss else None


def is_in_place(have: ColumnKind, want: ColumnKind) -> bool:
    """Whether DuckLake's ALTER TABLE widens it without a rewrite (1.5.5)."""
    return (have, want) in {(Kind.BIGINT, Kind.DOUBLE), (Kind.DATE, Kind.TIMESTAMP)}


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

    quoted: Collection[str] = ()  #: columns whose values were strings: dates, times or text, never numbers
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
        is_value = column in self.values or (ALL in self.values and column not in self.quoted)
        how = self.spelling.of_values() if is_value else self.spelling
        if is_value or self.amc.get(column) in _FRACTIONS or self.declared_kind(column) is Kind.DOUBLE:
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
        times = (Kind.DATE, Kind.TIMESTAMP, Kind.TIMESTAMPTZ) if self.dates else ()
        if stated := self.stated.get(column):
            return (Kind.NOTHING, *self._stated(stated), *numbers, *times)
        if rule is Kind.DOUBLE and not is_quoted:
            return (Kind.DOUBLE,)
        return _DECLARED.get(amc, (Kind.NOTHING, *numbers, *times))

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
                if 0 < fewest <= filled * _FEW and filled >= _ENOUGH:
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
