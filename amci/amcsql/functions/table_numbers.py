"""Functions of AMC SQL about numbers."""

from __future__ import annotations

from amci.amcsql.functions.model import MANY, Function, common, first

_F = Function

NUMBERS = (
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
    # Calcite has them; AMC's pages do not name them
    _F("CEILING", 1, 1, "shape", first, "ceil", "D", is_documented=False),
    _F("MOD", 2, 2, "value", common, "$1 % NULLIF($2, 0)", "DD", is_documented=False),
    _F("SIGN", 1, 1, "value", first, "", "D", is_documented=False),
)  # fmt: skip
