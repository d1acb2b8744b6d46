"""Functions of AMC SQL that choose, cast, or bring a value in."""

from __future__ import annotations

from collections.abc import Sequence

from amci.amcsql.functions.model import MANY, Family, Function, common, first

_F = Function


def _chosen(families: Sequence[Family]) -> Family:
    """Of IF and NVL2: all but what decides."""
    return common(families[1:])


VALUES = (
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
