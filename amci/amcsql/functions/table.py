"""All functions of AMC SQL by name, in tables by subject (amc-api 3.2).

A row is name, least and most arguments, role, family of the result, DuckDB's name or expression, and casts of the
arguments; `Function` documents each. Names that Calcite knows and AMC's pages do not mention are accepted with
`is_documented=False`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

#: What a call's value has to do with its arguments; see `Function.role`.
Role = Literal[
    "value", "shape", "count", "sum", "aggregate", "rank", "shift", "random", "clock", "compare", "rows"
]
#: STRING, INTEGER, LONG, DOUBLE, DECIMAL, BOOLEAN, DATE, TIMESTAMP, BINARY, ARRAY, ROW, NULL or UNKNOWN.
Family = str

#: Any number of arguments.
MANY = 10_000


@dataclass(frozen=True, slots=True)
class Function:
    """A function: how many arguments it takes, what it gives, and what DuckDB says instead."""

    name: str  #: upper case
    least: int  #: arguments
    most: int
    #: value: of its arguments · shape: of them, where literals only say how · count, sum, aggregate, rank, shift:
    #: over rows · compare: says how arguments compare · rows: makes several of one
    role: Role
    result: Family | Callable[[Sequence[Family]], Family]
    #: DuckDB's name, or its expression with $1, $2 … for the arguments; empty if the name is the same
    duckdb: str = ""
    #: what each argument is cast to if it is something else: S string, T timestamp, D double, _ anything
    wants: str = ""
    is_documented: bool = True

    def takes(self, count: int) -> bool:
        """Whether it can be called with so many arguments."""
        return self.least <= count <= self.most

    @property
    def is_aggregate(self) -> bool:
        """Whether it makes one value of many rows."""
        return self.role in ("count", "sum", "aggregate")


def first(families: Sequence[Family]) -> Family:
    """The family of the first argument."""
    return families[0] if families else "UNKNOWN"


def second(families: Sequence[Family]) -> Family:
    """The family of the second argument."""
    return families[1] if len(families) > 1 else "UNKNOWN"


_WIDER = ("INTEGER", "LONG", "DECIMAL", "DOUBLE")


def common(families: Sequence[Family]) -> Family:
    """The family that takes in all of them."""
    known = {family for family in families if family != "NULL"}
    if not known:
        return "NULL"
    if len(known) == 1:
        return known.pop()
    if known <= set(_WIDER):
        return max(known, key=_WIDER.index)
    if known == {"DATE", "TIMESTAMP"}:
        return "TIMESTAMP"
    return "UNKNOWN" if "UNKNOWN" in known else "STRING"


_F = Function

#: Text, hashes and JSON.
_TEXTS = (
    _F("CHARINDEX", 2, 3, "value", "INTEGER", "", "SS"),
    _F("CONCAT", 1, MANY, "value", "STRING"),
    _F("FORMAT", 2, 2, "shape", "STRING"),
    _F("FROM_VARBINARY", 2, 2, "shape", "STRING"),
    _F("HASH64", 1, 1, "shape", "LONG",
       "CAST(CAST(md5_number_lower($1) AS HUGEINT) - 9223372036854775808 AS BIGINT)", "S"),
    _F("INSTR", 2, 2, "value", "INTEGER", "", "SS"),
    _F("JSON_EXTRACT", 2, 2, "shape", "STRING",
       "CASE WHEN json_valid($1) THEN json_extract($1, $2) END", "SS"),
    _F("JSON_SERIALIZE", 1, 1, "shape", "STRING", "CAST($1 AS VARCHAR)"),
    _F("LEFT", 2, 2, "shape", "STRING", "left($1, greatest($2, 0))", "S"),
    _F("LENGTH", 1, 1, "value", "INTEGER", "", "S"),
    _F("LOCATE", 2, 3, "value", "INTEGER", "", "SS"),
    _F("LOWER", 1, 1, "shape", "STRING", "", "S"),
    _F("LTRIM", 1, 2, "shape", "STRING", "", "SS"),
    _F("MD5", 1, 1, "shape", "STRING", "", "S"),
    _F("POSITION", 2, 3, "value", "INTEGER"),
    _F("REGEXP_REPLACE", 3, 3, "shape", "STRING", "", "SSS"),
    _F("REGEXP_SPLIT", 2, 2, "shape", "ARRAY", "", "SS"),
    _F("REGEXP_SUBSTR", 2, 2, "shape", "STRING", "", "SS"),
    _F("REPLACE", 3, 3, "shape", "STRING", "", "SSS"),
    _F("RIGHT", 2, 2, "shape", "STRING", "right($1, greatest($2, 0))", "S"),
    _F("RTRIM", 1, 2, "shape", "STRING", "", "SS"),
    _F("SHA1", 1, 1, "shape", "STRING", "", "S"),
    _F("STRPOS", 2, 2, "value", "INTEGER", "", "SS"),
    _F("STR_TO_MAP", 3, 3, "shape", "UNKNOWN",
       "map_from_entries(list_transform(string_split($1, $2), lambda amci_entry: "
       "row(split_part(amci_entry, $3, 1), CASE WHEN contains(amci_entry, $3) "
       "THEN array_to_string(string_split(amci_entry, $3)[2:], $3) END)))", "SSS"),
    _F("SUBSTRING", 2, 3, "shape", "STRING"),
    _F("TO_VARBINARY", 2, 2, "shape", "BINARY"),
    _F("TRIM", 1, 3, "shape", "STRING"),
    _F("UPPER", 1, 1, "shape", "STRING", "", "S"),
    _F("CHARACTER_LENGTH", 1, 1, "value", "INTEGER", "length", "S", is_documented=False),
    _F("CHAR_LENGTH", 1, 1, "value", "INTEGER", "length", "S", is_documented=False),
    _F("SUBSTR", 2, 3, "shape", "STRING", "substring", "S", is_documented=False),
)  # fmt: skip

#: Numbers.
_NUMBERS = (
    _F("ABS", 1, 1, "value", first, "", "D"),
    _F("CEIL", 1, 1, "shape", first, "", "D"),
    _F("E", 0, 0, "value", "DOUBLE", "exp(1)"),
    _F("EXP", 1, 1, "value", "DOUBLE", "", "D"),
    _F("FLOOR", 1, 1, "shape", first, "", "D"),
    _F("GREATEST", 1, MANY, "value", common),
    _F("LEAST", 1, MANY, "value", common),
    _F("LN", 1, 1, "value", "DOUBLE", "CASE WHEN $1 > 0 THEN ln($1) END", "D"),
    _F("LOG", 2, 2, "value", "DOUBLE",
       "CASE WHEN $1 > 0 AND $1 <> 1 AND $2 > 0 THEN log($1, $2) END", "DD"),
    _F("LOG10", 1, 1, "value", "DOUBLE", "CASE WHEN $1 > 0 THEN log10($1) END", "D"),
    _F("POWER", 2, 2, "value", "DOUBLE", "", "DD"),
    _F("RANDOM", 0, 0, "random", "DOUBLE"),
    _F("ROUND", 1, 2, "shape", first, "", "D"),
    _F("SQRT", 1, 1, "value", "DOUBLE", "CASE WHEN $1 >= 0 THEN sqrt($1) END", "D"),
    _F("TRUNC", 1, 2, "shape", first, "", "D"),
    _F("CEILING", 1, 1, "shape", first, "ceil", "D", is_documented=False),
    _F("MOD", 2, 2, "value", common, "$1 % NULLIF($2, 0)", "DD", is_documented=False),
    _F("SIGN", 1, 1, "value", first, "", "D", is_documented=False),
)  # fmt: skip


def _dated(families: Sequence[Family]) -> Family:
    return "DATE" if first(families) == "DATE" else "TIMESTAMP"


def _truncated(families: Sequence[Family]) -> Family:
    return "DATE" if second(families) == "DATE" else "TIMESTAMP"


def _part(name: str, duckdb: str = "") -> Function:
    return Function(name, 1, 1, "shape", "INTEGER", duckdb, "T")


#: Dates and times.
_TIMES = (
    _F("CONVERT_TIME_ZONE_FROM_UTC", 2, 2, "shape", _dated, "timezone($2, timezone('UTC', $1))", "TS"),
    _F("CURRENT_DATE", 0, 0, "clock", "DATE"),
    _F("CURRENT_TIMESTAMP", 0, 0, "clock", "TIMESTAMP"),
    _F("DATE_TRUNC", 2, 2, "shape", _truncated, "", "ST"),
    _F("EPOCH_TO_UTC_TIMESTAMP", 1, 1, "shape", "TIMESTAMP"),
    _F("EXTRACT", 2, 2, "shape", "INTEGER"),
    _F("SECONDS_BETWEEN", 2, 2, "value", "LONG",
       "date_sub('second', CAST($1 AS TIMESTAMP), CAST($2 AS TIMESTAMP))", "TT"),
    _part("DAYOFMONTH"),
    _part("DAYOFWEEK", "dayofweek($1) + 1"),
    _part("HOUR"),
    _part("MINUTE"),
    _part("MONTH"),
    _part("SECOND"),
    _part("WEEK"),
    _part("YEAR"),
)  # fmt: skip

#: Each element once, in the order of their first places; NULL is an element.
_ONCE = "list_filter({0}, lambda amci_element, amci_place: list_position({0}, amci_element) = amci_place)"

#: Arrays and rows.
_ARRAYS = (
    _F("ARRAY_CAT", 2, 2, "value", "ARRAY", "$1 || $2"),
    _F("ARRAY_COMPLEMENT", 2, 2, "value", "ARRAY",
       "list_filter($1, lambda amci_element: list_position($2, amci_element) IS NULL)"),
    _F("ARRAY_CONTAINS", 2, 2, "compare", "BOOLEAN", "list_contains"),
    _F("ARRAY_DISTINCT", 1, 1, "value", "ARRAY", _ONCE.format("$1")),
    _F("ARRAY_INTERSECT", 2, 2, "value", "ARRAY",
       "list_filter($1, lambda amci_element, amci_place: list_position($1, amci_element) = amci_place "
       "AND list_position($2, amci_element) IS NOT NULL)"),
    _F("ARRAY_REMOVE", 2, 2, "value", "ARRAY",
       "list_filter($1, lambda amci_element: amci_element IS DISTINCT FROM $2)"),
    _F("ARRAY_SORT", 1, 1, "shape", "ARRAY", "list_sort($1, 'ASC', 'NULLS LAST')"),
    _F("ARRAY_TO_STRING", 2, 2, "shape", "STRING", "", "_S"),
    _F("ARRAY_UNION", 2, 2, "value", "ARRAY", _ONCE.format("($1 || $2)")),
    _F("CARDINALITY", 1, 1, "value", "INTEGER", "len"),
    _F("EXPLODE", 1, 1, "rows", "UNKNOWN", "unnest"),
    _F("FLATTEN", 1, 1, "shape", "ARRAY"),
    _F("NAMED_ROW", 2, MANY, "value", "ROW"),
)  # fmt: skip


def _chosen(families: Sequence[Family]) -> Family:
    """Of IF and NVL2: all but what decides."""
    return common(families[1:])


#: What chooses, casts, or brings a value in.
_VALUES = (
    _F("BUILT_IN_PARAMETER", 1, 1, "value", "TIMESTAMP"),
    _F("CASE", 1, MANY, "value", common),
    _F("CAST", 1, 2, "shape", "UNKNOWN"),
    _F("COALESCE", 1, MANY, "value", common),
    _F("CONTAINED_IN", 2, MANY, "compare", "BOOLEAN"),
    _F("CUSTOM_PARAMETER", 1, 1, "value", "UNKNOWN"),
    _F("EXTEND_TIME_WINDOW", 3, 3, "value", "UNKNOWN"),
    _F("IF", 2, 3, "value", _chosen),
    _F("IFNULL", 2, 2, "value", common, "coalesce"),
    _F("NULLIF", 2, 2, "value", first),
    _F("NVL", 2, 2, "value", common, "coalesce"),
    _F("NVL2", 3, 3, "value", _chosen, "CASE WHEN $1 IS NOT NULL THEN $2 ELSE $3 END"),
    _F("UUID", 0, 0, "random", "STRING", "CAST(uuid() AS VARCHAR)"),
)  # fmt: skip


def _summed(families: Sequence[Family]) -> Family:
    return {"INTEGER": "LONG"}.get(first(families), first(families))


def _statistic(name: str, duckdb: str = "") -> Function:
    return Function(name, 1, 1, "aggregate", "DOUBLE", duckdb, "D")


#: Aggregates and window functions.
_AGGREGATES = (
    _F("APPROX_COUNT_DISTINCT", 1, 1, "count", "LONG", is_documented=False),
    _F("APPROX_PERCENTILE", 2, 2, "aggregate", "DOUBLE", "quantile_cont", "DD"),
    _F("AVG", 1, 1, "aggregate", "DOUBLE", "", "D"),
    _F("COLLECT", 1, 1, "aggregate", "ARRAY", "list"),
    _F("COUNT", 1, MANY, "count", "LONG"),
    _F("MAX", 1, 1, "aggregate", first),
    _F("MEDIAN", 1, 1, "aggregate", "DOUBLE", "", "D"),
    _F("MIN", 1, 1, "aggregate", first),
    _F("PERCENTILE", 2, 2, "aggregate", "DOUBLE", "quantile_cont", "DD"),
    _F("SUM", 1, 1, "sum", _summed, "", "D"),
    _statistic("SKEWNESS"),
    _statistic("STDDEV", "stddev_samp"),
    _statistic("STDDEV_POP"),
    _statistic("STDDEV_SAMP"),
    _statistic("VARIANCE", "var_samp"),
    _statistic("VAR_POP"),
    _statistic("VAR_SAMP"),
    _F("DENSE_RANK", 0, 0, "rank", "LONG"),
    _F("RANK", 0, 0, "rank", "LONG"),
    _F("ROW_NUMBER", 0, 0, "rank", "LONG"),
    _F("CUME_DIST", 0, 0, "rank", "DOUBLE", is_documented=False),
    _F("FIRST_VALUE", 1, 1, "shift", first, is_documented=False),
    _F("LAG", 1, 3, "shift", first, is_documented=False),
    _F("LAST_VALUE", 1, 1, "shift", first, is_documented=False),
    _F("LEAD", 1, 3, "shift", first, is_documented=False),
    _F("NTILE", 1, 1, "rank", "LONG", is_documented=False),
    _F("PERCENT_RANK", 0, 0, "rank", "DOUBLE", is_documented=False),
)  # fmt: skip

FUNCTIONS: Mapping[str, Function] = {
    function.name: function
    for table in (_TEXTS, _NUMBERS, _TIMES, _ARRAYS, _VALUES, _AGGREGATES)
    for function in table
}
