"""Functions of AMC SQL over many rows."""

from __future__ import annotations

from collections.abc import Sequence

from amci.amcsql.functions.model import MANY, Family, Function, first

_F = Function


def _summed(families: Sequence[Family]) -> Family:
    return {"INTEGER": "LONG"}.get(first(families), first(families))


def _statistic(name: str, duckdb: str = "") -> Function:
    return Function(name, 1, 1, "aggregate", "DOUBLE", duckdb, "D")


AGGREGATES = (
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
    # Calcite has them; AMC's pages do not name them
    _F("CUME_DIST", 0, 0, "rank", "DOUBLE", is_documented=False),
    _F("FIRST_VALUE", 1, 1, "shift", first, is_documented=False),
    _F("LAG", 1, 3, "shift", first, is_documented=False),
    _F("LAST_VALUE", 1, 1, "shift", first, is_documented=False),
    _F("LEAD", 1, 3, "shift", first, is_documented=False),
    _F("NTILE", 1, 1, "rank", "LONG", is_documented=False),
    _F("PERCENT_RANK", 0, 0, "rank", "DOUBLE", is_documented=False),
)  # fmt: skip
