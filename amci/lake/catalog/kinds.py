"""What the values of a column may be: the kinds that a column of text can get, and which of them holds which others."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


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
NUMERIC = (Kind.BIGINT, Kind.DOUBLE)
TIMES = (Kind.DATE, Kind.TIMESTAMP, Kind.TIMESTAMPTZ)
DOUBLE_DIGITS = 15  # every decimal of 15 digits comes back from a DOUBLE
EXACT = 2**53  # up to here every integer is a DOUBLE

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
    if not isinstance(a, DecimalKind) or (not isinstance(b, DecimalKind) and b not in NUMERIC):
        return Kind.VARCHAR
    if b is Kind.BIGINT and a.scale == 0 and a.precision <= _BIGINT_DIGITS:
        return b
    other = _BIGINTS if b is Kind.BIGINT else b
    return (a.with_room_for(other) if isinstance(other, DecimalKind) else None) or Kind.DOUBLE
