"""FORMAT(value, pattern): Java's patterns for dates and numbers, and printf's (amc-api 3.2)."""

from __future__ import annotations

import re

from sqlglot import exp

from amci.amcsql.functions.casts import NUMBERS, FamilyOf
from amci.amcsql.functions.duckdb_templates import call, filled

#: Java's letters for dates, longest first, and what strftime says.
_DATES = {
    "yyyy": "%Y", "yy": "%y", "MMMM": "%B", "MMM": "%b", "MM": "%m", "M": "%-m", "dd": "%d", "d": "%-d",
    "HH": "%H", "H": "%-H", "hh": "%I", "h": "%-I", "mm": "%M", "m": "%-M", "ss": "%S", "s": "%-S",
    "SSS": "%g", "EEEE": "%A", "EEE": "%a", "a": "%p",
}  # fmt: skip
_DATE = re.compile(r"'([^']*)'|" + "|".join(sorted(_DATES, key=len, reverse=True)) + r"|%")
_NUMBER = re.compile(r"(?P<before>[^#0,.%]*)(?P<whole>[#0,]+)(?:\.(?P<parts>[#0]+))?(?P<after>[^#0,.%]*)")


def formatted_value(value: exp.Expr, pattern: exp.Expr, of: FamilyOf) -> exp.Expr:
    """A value as text; a pattern that is computed is printf's."""
    family = of(value)
    if not pattern.is_string:
        return call("printf", pattern, value)
    said = pattern.name
    if family in ("DATE", "TIMESTAMP"):
        return call("strftime", value, exp.Literal.string(said if "%" in said else _strftime(said)))
    number = _NUMBER.fullmatch(said)
    if family in NUMBERS and number and "%" not in said:
        return _decimal(value, number)
    return call("printf", pattern, value)


def _strftime(pattern: str) -> str:
    def one(found: re.Match[str]) -> str:
        if found[1] is not None:
            return found[1] or "'"
        return _DATES.get(found[0], "%%")

    return _DATE.sub(one, pattern)


def _decimal(value: exp.Expr, found: re.Match[str]) -> exp.Expr:
    """`#,##0.00` as `{:,.2f}`; zeros before the point are at least so many digits."""
    digits = len(found["parts"] or "")
    zeros = found["whole"].count("0")
    width = f"0{zeros + (digits + 1 if digits else 0)}" if zeros > 1 else ""
    form = f"{found['before']}{{:{width}{',' if ',' in found['whole'] else ''}.{digits}f}}{found['after']}"
    return filled("format($2, CAST($1 AS DOUBLE))", [value, exp.Literal.string(form)])
