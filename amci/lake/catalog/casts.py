"""The SQL that turns text into values, and values into wider ones, without losing or changing one.

DuckDB's own casts from text round and guess ('1.5' becomes BIGINT 2), so a test of the text guards each cast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from amci.kernel.names import literal, quoted as identifier
from amci.lake.catalog.kinds import DOUBLE_DIGITS, EXACT, NUMERIC, ColumnKind, DecimalKind, Kind, join
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
    if isinstance(kind, DecimalKind) or kind in NUMERIC:
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
        exact = f"{size} < {EXACT} OR {_match(expr, f'-?{EXACT}([.]0+)?')} OR contains(lower({expr}), 'e')"
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
    if isinstance(kind, DecimalKind) or kind in NUMERIC:
        expr = how.number_sql(expr)
    value = split(expr, is_nested=kind is Kind.ROWS) if kind.is_array else _castable(kind, expr)
    return f"CAST({value} AS {kind.sql})"


#: What the text of DuckDB's error ends with if a value does not fit: this, then the column's name.
UNFIT = "amci:unfit:"


def checked_cast_sql(kind: ColumnKind, expr: str, column: str, how: Spelling = PLAIN) -> str:
    """SQL that casts text which fits and raises otherwise: test and conversion in one pass.

    DuckDB then raises an InvalidInputException that ends in `UNFIT` and the column's name, never the value.
    A column of NOTHING may have no value.
    """
    if kind is Kind.VARCHAR:
        return how.text_sql(expr)
    return once("t", how.text_sql(expr), lambda text: _checked(kind, text, column, how))


def _checked(kind: ColumnKind, expr: str, column: str, how: Spelling) -> str:
    if kind is Kind.NOTHING:
        return f"CASE WHEN {_fits_sql(kind, expr, how)} THEN {expr} ELSE {unfit_sql(column)} END"
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
    if want is not Kind.DOUBLE or (isinstance(have, DecimalKind) and have.precision <= DOUBLE_DIGITS):
        return None
    if isinstance(have, DecimalKind):
        digits = f"trim(replace(ltrim(CAST({name} AS VARCHAR), '-'), '.', ''), '0')"
        return f"strlen({digits}) > {DOUBLE_DIGITS} OR abs({name}) > {EXACT}"
    return f"{name} NOT BETWEEN -{EXACT} AND {EXACT}" if have is Kind.BIGINT else None


def widening_check_sql(have: ColumnKind, want: ColumnKind, column: str) -> str | None:
    """An aggregate that counts the stored values `widen_sql` would change; None if it can change none.

    If the count is not 0, widen to VARCHAR instead.
    """
    loss = loss_sql(have, want, column)
    return f"count(*) FILTER (WHERE {loss})" if loss else None


def is_in_place(have: ColumnKind, want: ColumnKind) -> bool:
    """Whether DuckLake's ALTER TABLE widens it without a rewrite (1.5.5)."""
    return (have, want) in {(Kind.BIGINT, Kind.DOUBLE), (Kind.DATE, Kind.TIMESTAMP)}


def widened(column: str, have: str, want: str, *, checked: bool = False, how: Spelling = PLAIN) -> str:
    """SQL that turns a typed column from one SQL type into a wider one, or text that fits into a type.

    `how` is how the text is written. If `checked`, DuckDB raises for a value that would change, as in
    `checked_cast_sql`.
    """
    if have == want:
        return identifier(column)
    if have == Kind.VARCHAR.sql:
        return cast_sql(Kind.of_sql(want), identifier(column), how)
    if have == Kind.NOTHING and want != Kind.VARCHAR.sql:
        # Text that has no value may be empty text.
        return f"CAST(NULLIF({identifier(column)}, '') AS {want})"
    old, new = Kind.of_sql(have), Kind.of_sql(want)
    sql = widen_sql(old, new, column) if have == old.sql else f"CAST({identifier(column)} AS {want})"
    loss = loss_sql(old, new, column) if checked else None
    return f"CASE WHEN {loss} THEN {unfit_sql(column)} ELSE {sql} END" if loss else sql
