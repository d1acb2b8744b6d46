"""Functions of AMC SQL about dates and times."""

from __future__ import annotations

from collections.abc import Sequence

from amci.amcsql.functions.model import Family, Function, first, second

_F = Function


def _dated(families: Sequence[Family]) -> Family:
    return "DATE" if first(families) == "DATE" else "TIMESTAMP"


def _truncated(families: Sequence[Family]) -> Family:
    return "DATE" if second(families) == "DATE" else "TIMESTAMP"


def _part(name: str, duckdb: str = "") -> Function:
    return Function(name, 1, 1, "shape", "INTEGER", duckdb, "T")


TIMES = (
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
