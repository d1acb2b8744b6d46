"""AMC's functions that need more than another name in DuckDB (amc-api 3.2)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import reduce

from sqlglot import exp

from amci.amcsql.duckdb_templates import call, filled
from amci.amcsql.functions import casts
from amci.amcsql.functions.casts import NUMBERS, FamilyOf
from amci.amcsql.patterns import regexes

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


Arguments = Sequence[exp.Expr]
Build = Callable[[Arguments, FamilyOf], exp.Expr]

#: From here on a number is of milliseconds: in seconds it would be after the year 5000.
_MILLISECONDS_FROM = 100_000_000_000
_FROM_BINARY = {"hex": "lower(hex($1))", "base64": "base64($1)", "utf-8": "decode($1)"}
_TO_BINARY = {"hex": "unhex($1)", "base64": "from_base64($1)", "utf-8": "encode($1)"}


def _found_at(arguments: Arguments, _: FamilyOf) -> exp.Expr:
    """CHARINDEX(sub, text [, from])."""
    sub, text, *start = arguments
    return _position(text, sub, start)


def _position(text: exp.Expr, sub: exp.Expr, start: Arguments) -> exp.Expr:
    if not start:
        return call("instr", text, sub)
    template = (
        "CASE WHEN instr(substring($1, greatest($3, 1)), $2) = 0 THEN 0 "
        "ELSE instr(substring($1, greatest($3, 1)), $2) + greatest($3, 1) - 1 END"
    )
    return filled(template, [text, sub, *start])


def _contained_in(arguments: Arguments, of: FamilyOf) -> exp.Expr:
    inside = exp.In(this=arguments[0], expressions=list(arguments[1:]))
    casts.aligned([inside.this, *inside.expressions], of)
    return exp.Paren(this=inside)


def _from_utc(arguments: Arguments, of: FamilyOf) -> exp.Expr:
    at, _ = arguments
    there = filled("timezone($2, timezone('UTC', CAST($1 AS TIMESTAMP)))", arguments)
    return exp.Cast(this=there, to=casts.data_type("DATE")) if of(at) == "DATE" else there


def _truncated(arguments: Arguments, of: FamilyOf) -> exp.Expr:
    is_day = of(arguments[1]) == "DATE"
    begun = call("date_trunc", *arguments)
    return exp.Cast(this=begun, to=casts.data_type("DATE")) if is_day else begun


def _from_epoch(arguments: Arguments, of: FamilyOf) -> exp.Expr:
    number = arguments[0]
    cast = exp.TryCast if of(number) == "STRING" else exp.Cast
    whole = cast(this=number, to=casts.data_type("BIGINT"))
    template = f"epoch_ms(CASE WHEN $1 >= {_MILLISECONDS_FROM} THEN $1 ELSE $1 * 1000 END)"
    return filled(template, [whole])


def _binary(forms: dict[str, str]) -> Build:
    def build(arguments: Arguments, _: FamilyOf) -> exp.Expr:
        value, form = arguments
        return filled(forms.get(form.name.lower(), forms["utf-8"]), [value])

    return build


def _null_if_any_is(name: str) -> Build:
    """AMC's GREATEST and LEAST are NULL if an argument is; DuckDB's ignore it."""

    def build(arguments: Arguments, of: FamilyOf) -> exp.Expr:
        chosen = call(name, *arguments)
        casts.aligned(chosen.expressions, of)
        missing: list[exp.Expr] = [
            exp.Is(this=each.copy(), expression=exp.Null())
            for each in chosen.expressions
            if not isinstance(each, exp.Literal)
        ]
        if not missing:
            return chosen
        any_missing = reduce(lambda left, right: exp.Or(this=left, expression=right), missing)
        return exp.Case(ifs=[exp.If(this=any_missing, true=exp.Null())], default=chosen)

    return build


def _named_row(arguments: Arguments, _: FamilyOf) -> exp.Expr:
    pairs = zip(arguments[::2], arguments[1::2], strict=True)
    return exp.Struct(
        expressions=[
            exp.PropertyEQ(this=exp.to_identifier(label.name, quoted=True), expression=value)
            for label, value in pairs
        ]
    )


def _chosen(name: str) -> Build:
    def build(arguments: Arguments, of: FamilyOf) -> exp.Expr:
        made = call(name, *arguments)
        casts.as_texts(made.expressions, of)
        return made

    return build


CALLS: dict[str, Build] = {
    "CHARINDEX": _found_at,
    "CONCAT": lambda arguments, _: call("concat", *arguments),
    "CONTAINED_IN": _contained_in,
    "CONVERT_TIME_ZONE_FROM_UTC": _from_utc,
    "DATE_TRUNC": _truncated,
    "EPOCH_TO_UTC_TIMESTAMP": _from_epoch,
    "FORMAT": lambda arguments, of: formatted_value(arguments[0], arguments[1], of),
    "FROM_VARBINARY": _binary(_FROM_BINARY),
    "GREATEST": _null_if_any_is("greatest"),
    "IFNULL": _chosen("coalesce"),
    "LEAST": _null_if_any_is("least"),
    "LOCATE": _found_at,
    "NAMED_ROW": _named_row,
    "NVL": _chosen("coalesce"),
    "POSITION": lambda arguments, _: _position(arguments[0], arguments[1], arguments[2:]),
    "REGEXP_REPLACE": lambda arguments, _: regexes.replaced(*arguments),
    "REGEXP_SPLIT": lambda arguments, _: regexes.split(*arguments),
    "REGEXP_SUBSTR": lambda arguments, _: regexes.first_match(*arguments),
    "TO_VARBINARY": _binary(_TO_BINARY),
}
