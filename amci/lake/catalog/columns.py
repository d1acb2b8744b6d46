"""Which type a column of text gets, and the SQL that converts it without losing or changing a value.

DuckDB's own casts from text round and guess ('1.5' becomes BIGINT 2), so a test of the text guards each cast.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from enum import StrEnum

import duckdb
import pyarrow as pa

from amci.kernel.names import literal, quoted as identifier

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

    @classmethod
    def of_sql(cls, type_name: str) -> Kind:
        """The narrowest kind that holds every value of a DuckDB type (as `typeof` names it), else VARCHAR.

        INTEGER is BIGINT, FLOAT and DECIMAL(15,2) are DOUBLE; HUGEINT, longer decimals and TIMESTAMP_NS are
        VARCHAR. If `kind.sql` is not `type_name` itself, the column has to be rewritten as `kind.sql`
        before values of that kind go in.
        """
        if decimal := _DECIMAL.fullmatch(type_name):
            precision, scale = (int(part) for part in decimal.groups())
            if scale == 0 and precision <= _BIGINT_DIGITS:
                return cls.BIGINT
            return cls.DOUBLE if precision <= _DOUBLE_DIGITS else cls.VARCHAR
        return _OF_SQL.get(type_name, cls.VARCHAR)


_SQL = {Kind.NOTHING: "VARCHAR", Kind.TIMESTAMPTZ: "TIMESTAMP WITH TIME ZONE"}
_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")
_OF_SQL: dict[str, Kind] = {kind.sql: kind for kind in Kind if kind is not Kind.NOTHING}
_OF_SQL |= {'"NULL"': Kind.NOTHING, "FLOAT": Kind.DOUBLE, **dict.fromkeys(_INTEGERS, Kind.BIGINT)}
_OF_SQL |= dict.fromkeys(("TIMESTAMP_S", "TIMESTAMP_MS"), Kind.TIMESTAMP)
_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")
_BIGINT_DIGITS = 18  # every integer of 18 digits is a BIGINT
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


def join(a: Kind, b: Kind) -> Kind:
    """The narrowest kind that holds the values of both."""
    if a is b or b is Kind.NOTHING:
        return a
    if a is Kind.NOTHING:
        return b
    if {a, b} == {Kind.BIGINT, Kind.DOUBLE}:
        return Kind.DOUBLE
    return Kind.TIMESTAMP if {a, b} == {Kind.DATE, Kind.TIMESTAMP} else Kind.VARCHAR


# Regular expressions, not casts: DuckDB evaluates them once per dictionary entry of a Parquet file, and RE2's
# time depends on the text alone. So common spellings stand here in full, and rare ones get a second look.
_INTEGER = "-?[1-9][0-9]{0,17}(?:[.]0+)?|0(?:[.]0+)?"
_LONG_INTEGER = "-?[1-9][0-9]{18}(?:[.]0+)?"
# At most 17 significant digits: that many name any DOUBLE, one more would be cut. Zeros behind say nothing.
_NUMBER = (
    "-?(?:[1-9][0-9]{0,14}|0|0?[.](?:0{0,20}[1-9][0-9]{0,16}0*|0+)|"
    + "|".join(f"[1-9][0-9]{{{n - 1}}}[.][0-9]{{1,{17 - n}}}0*" for n in range(1, 16))
    + "|[1-9](?:[.][0-9]{1,16}0*)?[eE][-+]?[0-9]{1,2})"
)
_ANY_NUMBER = "-?(?:0|[1-9][0-9]*|(?:0|[1-9][0-9]*)?[.][0-9]+)(?:[eE][-+]?[0-9]+)?"
_NOT_FINITE = "(?i)nan|-?inf(?:inity)?"
_NORMAL = "2.2250738585072014e-308 AND 1.7976931348623157e308"
_DAY = (
    "(?:(?:000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})-"
    "(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    "|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    "|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)-02-29)"
)
_TIME = "[T ](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:[.][0-9]{1,6})?)?"
_OFFSET = "[-+](?:0[0-9]|1[0-5])(?::[0-5][0-9])?"
_PATTERNS = {
    Kind.DATE: _DAY,
    Kind.TIMESTAMP: f"{_DAY}(?:{_TIME}Z?)?",
    Kind.TEXTS: FLAT,
    Kind.INTEGERS: of(_INTEGER),
    Kind.NUMBERS: of(_NUMBER),
    Kind.ROWS: NESTED,
}
_MOMENTS = "TIMESTAMPTZ '0001-01-01 00:00:00+00' AND TIMESTAMPTZ '9999-12-31 23:59:59.999999+00'"


def fits_sql(kind: Kind, expr: str, *, special: bool = False) -> str:
    """SQL that is TRUE if the text `expr` can be turned into `kind` without loss, otherwise FALSE.

    NULL fits; the empty text fits too, it becomes NULL unless the kind is text. BOOLEAN takes true and false
    in any case. BIGINT takes canonical 64-bit integers and the same followed by `.0`, `.00` …; not `007`,
    `+1`, `-0`. DOUBLE takes numbers as JSON writes them (also `.5`) of at most 17 significant digits that
    neither overflow nor underflow; without an exponent, up to 2^53 in size. With `special`, NaN and Infinity
    too. DATE takes YYYY-MM-DD of the years 1 to 9999. TIMESTAMP takes a date, or `YYYY-MM-DD[T
    ]HH:MM[:SS[.ffffff]]`, also with `Z`, which is dropped: AMC prints local times with it too. TIMESTAMPTZ
    takes the same with an explicit offset `±HH[:MM]` instead.
    """
    if kind is Kind.VARCHAR:
        return "TRUE"
    if kind is Kind.NOTHING:
        return f"({expr} IS NULL OR {expr} = '')"
    value = _strict(kind, expr, special=special)
    return f"(CASE WHEN {value} THEN TRUE ELSE {expr} IS NULL OR {expr} = '' END)"


def _strict(kind: Kind, expr: str, *, special: bool) -> str:
    """SQL that is TRUE if the text is a value of the kind; the empty text and NULL are not."""
    match kind:
        case Kind.BOOLEAN:
            return f"lower({expr}) IN ('true', 'false')"
        case Kind.BIGINT:
            long = f"{_match(expr, _LONG_INTEGER)} AND TRY_CAST({expr} AS BIGINT) IS NOT NULL"
            return f"CASE WHEN {_match(expr, _INTEGER)} THEN TRUE ELSE {long} END"
        case Kind.DOUBLE:
            return _strict_double(expr, special=special)
        case Kind.TIMESTAMPTZ:
            moment = f"TRY_CAST({_castable(Kind.TIMESTAMPTZ, expr)} AS TIMESTAMPTZ)"
            # an offset can carry the first and the last day out of the years 1 to 9999
            return f"CASE WHEN {_match(expr, _DAY + _TIME + _OFFSET)} THEN {moment} BETWEEN {_MOMENTS} END"
        case _:
            return _match(expr, _PATTERNS[kind])


def _strict_double(expr: str, *, special: bool) -> str:
    mantissa = f"regexp_extract({expr}, '[0-9.]+')"
    decimals = f"CASE WHEN contains({mantissa}, '.') THEN rtrim({mantissa}, '0') ELSE {mantissa} END"
    significant = f"strlen(ltrim(replace({decimals}, '.', ''), '0'))"
    size = f"abs(TRY_CAST({expr} AS DOUBLE))"
    other = _match(expr, _NOT_FINITE) if special else "FALSE"
    in_range = f"{significant} <= 17 AND {size} BETWEEN {_NORMAL}"
    exact = f"{size} < {_EXACT} OR {_match(expr, f'-?{_EXACT}([.]0+)?')} OR contains(lower({expr}), 'e')"
    slow = f"{significant} = 0 OR ({in_range} AND ({exact}))"
    rest = f"WHEN {_match(expr, _ANY_NUMBER)} THEN {slow} ELSE {other}"
    return f"CASE WHEN {_match(expr, _NUMBER)} THEN TRUE {rest} END"


def _match(expr: str, pattern: str) -> str:
    return f"regexp_full_match({expr}, {literal(pattern)})"


def _castable(kind: Kind, expr: str) -> str:
    """The text in a spelling that DuckDB's cast takes: it knows `HH:MM`, but not with a zone behind it."""
    if kind is Kind.TIMESTAMP:
        return f"CASE WHEN strlen({expr}) = 17 THEN left({expr}, 16) ELSE {expr} END"
    if kind is Kind.TIMESTAMPTZ:
        whole = f"left({expr}, 16) || ':00' || substr({expr}, 17)"
        return f"CASE WHEN substr({expr}, 17, 1) IN ('+', '-') THEN {whole} ELSE {expr} END"
    return expr


def cast_sql(kind: Kind, expr: str) -> str:
    """SQL that turns text which fits (see `fits_sql`) into the kind; '' becomes NULL, except in text."""
    if kind.sql == "VARCHAR":
        return expr
    return _converted(kind, f"NULLIF({expr}, '')")


def _converted(kind: Kind, expr: str) -> str:
    value = split(expr, is_nested=kind is Kind.ROWS) if kind.is_array else _castable(kind, expr)
    return f"CAST({value} AS {kind.sql})"


#: What the text of DuckDB's error ends with if a value does not fit: this, then the column's name.
UNFIT = "amci:unfit:"


def checked_cast_sql(kind: Kind, expr: str, column: str) -> str:
    """SQL that casts text which fits and raises otherwise: test and conversion in one pass.

    DuckDB then raises an InvalidInputException that ends in `UNFIT` and the column's name, never the value.
    """
    if kind.sql == "VARCHAR":
        return expr
    fits = _strict(kind, expr, special=name_rule(column) is Kind.DOUBLE)
    rest = f"WHEN {expr} IS NULL OR {expr} = '' THEN NULL ELSE error({literal(UNFIT + column)})"
    return f"CASE WHEN {fits} THEN {_converted(kind, expr)} {rest} END"


def widen_sql(have: Kind, want: Kind, column: str) -> str:
    """SQL that turns the stored values of a column from one kind into a wider one; NULL stays NULL.

    Times become ISO 8601 text with `T` (moments in UTC with `+00:00`), numbers the shortest text that reads
    back as the same number, so a DOUBLE of one million becomes `1000000.0`; arrays are printed as AMC does.
    Raises ValueError if `want` does not hold `have`: narrowing is not offered.
    """
    if join(have, want) is not want:
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


def widening_check_sql(have: Kind, want: Kind, column: str) -> str | None:
    """An aggregate that counts the stored values `widen_sql` would change; None if it can change none.

    Only BIGINT to DOUBLE can: beyond 2^53 not every integer is a DOUBLE. If the count is not 0, widen to
    VARCHAR instead.
    """
    if have is Kind.BIGINT and want is Kind.DOUBLE:
        return f"count(*) FILTER (WHERE {identifier(column)} NOT BETWEEN -{_EXACT} AND {_EXACT})"
    return None


def is_in_place(have: Kind, want: Kind) -> bool:
    """Whether DuckLake's ALTER TABLE widens it without a rewrite (1.5.5)."""
    return (have, want) in {(Kind.BIGINT, Kind.DOUBLE), (Kind.DATE, Kind.TIMESTAMP)}


_SAMPLE = 2048  # one vector of DuckDB
_CELLS = 1 << 20  # of the sample that are tested together
_COLUMNS = 64  # that are tested in one scan of all rows
_CELLS_VIEW = "amci_cells"
_WHOLE, _FRACTIONS = ("BYTE", "SHORT", "INTEGER", "LONG"), ("DECIMAL", "DOUBLE", "FLOAT")
#: What AMC's types say of a column, values seen or not; dates tell by themselves what they are.
_DECLARED: Mapping[str, tuple[Kind, ...]] = {
    "STRING": (),
    "BOOLEAN": (Kind.BOOLEAN,),
    **dict.fromkeys(_WHOLE, (Kind.BIGINT, Kind.DOUBLE)),
    **dict.fromkeys(_FRACTIONS, (Kind.DOUBLE,)),
    **{f"ARRAY {element}": (Kind.INTEGERS,) for element in _WHOLE},
    **{f"ARRAY {element}": (Kind.NUMBERS,) for element in _FRACTIONS},
}


def infer(
    con: duckdb.DuckDBPyConnection,
    rows_sql: str,
    columns: Sequence[str],
    *,
    quoted: Collection[str] = (),
    dates: bool = True,
    declared: Mapping[str, str] | None = None,
) -> dict[str, Kind]:
    """The narrowest kind of each column over ALL rows of `rows_sql`, a text that can follow FROM.

    `quoted` names columns whose values were JSON strings: dates, times or text, never numbers. With
    `dates=False` dates and times stay text. Name rules come first: an `_id` is text unseen; a cost is DOUBLE,
    or VARCHAR if a value does not fit, even if no value was seen. Then come AMC's types, if they are
    `declared` (`DECIMAL`, `ARRAY STRING`): text stays text, and fractions may all be whole.

    The first rows suggest a kind, one scan of everything confirms it, and the columns that fail are examined
    against every other kind in one more: the answer is the same as examining all.
    """
    said = declared or {}
    ladders = {c: _ladder(c, is_quoted=c in quoted, dates=dates, said=said.get(c, "")) for c in columns}
    if not columns:
        return {}
    names = ", ".join(map(identifier, columns))
    guesses = {column: ladder[0] for column, ladder in ladders.items() if ladder}
    # A column of more than 2 GiB is too much for Arrow; then all rows are asked without a guess.
    with suppress(duckdb.InvalidInputException):
        first = con.execute(f"SELECT {names} FROM {rows_sql} LIMIT {_SAMPLE}").to_arrow_table()
        guesses = _narrowest_of_few(con, first, ladders)
        if first.num_rows < _SAMPLE:
            return guesses
    # what does not fit the first rows does not fit them all
    open_ = {
        c: ladder[ladder.index(guesses[c]) :] for c, ladder in ladders.items() if guesses.get(c) in ladder
    }
    seen = _narrowest(con, rows_sql, {c: ladder[:1] for c, ladder in open_.items()})
    rest = {c: ladder[1:] for c, ladder in open_.items() if seen[c] is not ladder[0]}
    return dict.fromkeys(columns, Kind.VARCHAR) | seen | _narrowest(con, rows_sql, rest)


def _ladder(column: str, *, is_quoted: bool, dates: bool, said: str) -> tuple[Kind, ...]:
    """The kinds to try before VARCHAR, narrowest first."""
    if said.startswith("ARRAY"):
        return _DECLARED.get(said, (Kind.NOTHING, Kind.TEXTS, Kind.ROWS))
    rule = name_rule(column)
    if rule is Kind.VARCHAR:
        return ()
    if rule is Kind.DOUBLE and not is_quoted:
        return (Kind.DOUBLE,)
    numbers = () if is_quoted else (Kind.BOOLEAN, Kind.BIGINT, Kind.DOUBLE)
    times = (Kind.DATE, Kind.TIMESTAMP, Kind.TIMESTAMPTZ) if dates else ()
    return _DECLARED.get(said, (Kind.NOTHING, *numbers, *times))


def _narrowest_of_few(
    con: duckdb.DuckDBPyConnection, rows: pa.Table, ladders: Mapping[str, Sequence[Kind]]
) -> dict[str, Kind]:
    """For each column the first kind that fits all rows of a table of text, in the order of `ladders`.

    A test costs a millisecond or two to plan, whatever the rows are. So the columns that have the same tests are laid
    end to end, as one column of cells, and each test is written once, not once for each column.
    """
    kinds = {column: ladder[0] if ladder else Kind.VARCHAR for column, ladder in ladders.items()}
    alike: dict[tuple[object, ...], list[int]] = {}
    for i, (column, ladder) in enumerate(ladders.items()):
        alike.setdefault((name_rule(column) is Kind.DOUBLE, *ladder), []).append(i)
    columns = list(ladders)
    together = max(1, _CELLS // max(1, rows.num_rows))
    for positions in alike.values():
        ladder, special = ladders[columns[positions[0]]], name_rule(columns[positions[0]]) is Kind.DOUBLE
        if not ladder:
            continue
        tests = ", ".join(f"bool_and({fits_sql(kind, 'value', special=special)})" for kind in ladder)
        for at in range(0, len(positions), together):
            con.register(_CELLS_VIEW, _end_to_end(rows, positions[at : at + together]))
            try:
                answers = con.execute(f"SELECT i, {tests} FROM {_CELLS_VIEW} GROUP BY i").fetchall()
            finally:
                con.unregister(_CELLS_VIEW)
            for i, *fits in answers:
                fitting = (kind for kind, fit in zip(ladder, fits, strict=True) if fit)
                kinds[columns[i]] = next(fitting, Kind.VARCHAR)
    return kinds


def _end_to_end(rows: pa.Table, positions: Sequence[int]) -> pa.Table:
    """The cells of these columns, as `value`, and the position of the column of each, as `i`."""
    chunks = [(i, chunk) for i in positions for chunk in rows.column(i).cast(pa.string()).chunks]
    numbers = pa.chunked_array(
        [pa.repeat(pa.scalar(i, pa.int32()), len(chunk)) for i, chunk in chunks], pa.int32()
    )
    return pa.table({"i": numbers, "value": pa.chunked_array([chunk for _, chunk in chunks], pa.string())})


def _narrowest(
    con: duckdb.DuckDBPyConnection, rows_sql: str, ladders: Mapping[str, Sequence[Kind]]
) -> dict[str, Kind]:
    """For each column the first kind that fits all rows; a scan for every so many columns.

    The plan of a single scan would grow faster than its columns.
    """
    kinds: dict[str, Kind] = {}
    for at in range(0, len(ladders), _COLUMNS):
        columns = list(ladders)[at : at + _COLUMNS]
        tests = [
            f"bool_and({fits_sql(kind, identifier(column), special=name_rule(column) is Kind.DOUBLE)})"
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
