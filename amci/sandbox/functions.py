"""AMC's functions as DuckDB's, on the tree (amc-api 3.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import reduce
from typing import Any

from sqlglot import exp

from amci.sandbox.errors import CompileError
from amci.sandbox.literals import day, moment

Arguments = Sequence[Any]
Build = Callable[[Arguments], exp.Expr]

#: What tells the time.
CLOCKS = (exp.CurrentDate, exp.CurrentTimestamp, exp.CurrentDatetime)


def translated_functions(tree: exp.Query, now: datetime) -> exp.Query:
    """The tree with DuckDB's functions in it; raises CompileError for one AMC does not have."""
    # inner calls first, so that an outer one takes what has become of them
    for node in reversed(list(tree.find_all(exp.Func, exp.SimilarTo))):
        # what stands for a table has been made by us
        if isinstance(node.parent, exp.Table):
            continue
        new = _special(node, now)
        if new is not node:
            node.replace(new)
    return tree


def _special(node: exp.Expr, now: datetime) -> exp.Expr:
    """What becomes of one call."""
    if isinstance(node, exp.Anonymous):
        return _anonymous(node)
    if isinstance(node, exp.CurrentDate):
        return day(now.date())
    if isinstance(node, CLOCKS):
        return moment(now)
    if isinstance(node, exp.Cast) and node.this.is_string:
        return {"today": day(now.date()), "now": moment(now)}.get(node.this.name.lower(), node)
    change = _TYPED.get(type(node))
    return change(node) if change else node


def _anonymous(node: exp.Anonymous) -> exp.Expr:
    name = node.name.upper()
    build = _NAMED.get(name)
    if build is None:
        raise CompileError(f"SQL query was invalid: No match found for function signature {name}")
    try:
        return build(node.expressions)
    except (IndexError, ValueError) as error:
        raise CompileError(
            f"SQL query was invalid: Invalid number of arguments to function '{name}'"
        ) from error


def _duck(name: str) -> Build:
    """DuckDB's function of another name and the same arguments."""
    return lambda arguments: exp.Anonymous(this=name, expressions=list(arguments))


def _call(name: str, *arguments: exp.Expr) -> exp.Expr:
    return exp.Anonymous(this=name, expressions=list(arguments))


def _seconds_between(arguments: Arguments) -> exp.Expr:
    start, end = (exp.cast(argument, "TIMESTAMP") for argument in arguments)
    return _call("date_diff", exp.Literal.string("second"), start, end)


def _named_row(arguments: Arguments) -> exp.Expr:
    pairs = zip(arguments[::2], arguments[1::2], strict=True)
    return exp.Struct(
        expressions=[
            exp.PropertyEQ(this=exp.to_identifier(label.name, quoted=True), expression=value)
            for label, value in pairs
        ]
    )


def _contained_in(arguments: Arguments) -> exp.Expr:
    return exp.In(this=arguments[0], expressions=list(arguments[1:]))


def _from_utc(arguments: Arguments) -> exp.Expr:
    at, zone = arguments
    return _call("timezone", zone, _call("timezone", exp.Literal.string("UTC"), exp.cast(at, "TIMESTAMP")))


def _from_epoch(arguments: Arguments) -> exp.Expr:
    """Seconds or milliseconds; a number past the year 5000 in seconds has to be milliseconds."""
    (number,) = (exp.cast(argument, "BIGINT") for argument in arguments)
    thousand = exp.Literal.number(1000)
    millis = exp.case().when(
        exp.GTE(this=number, expression=exp.Literal.number(100_000_000_000)), number.copy()
    )
    return _call("epoch_ms", millis.else_(exp.Mul(this=number.copy(), expression=thousand)))


def _array_union(arguments: Arguments) -> exp.Expr:
    return _call("list_distinct", _call("list_concat", *arguments))


def _percentile(arguments: Arguments) -> exp.Expr:
    values, share = arguments
    return _call("quantile_cont", values, share)


def _day_of_week(node: exp.Expr) -> exp.Expr:
    """1 is Sunday; DuckDB begins with 0."""
    counted = _call("dayofweek", node.this)
    return exp.paren(exp.Add(this=counted, expression=exp.Literal.number(1)), copy=False)


def _extract(node: exp.Expr) -> exp.Expr:
    unit = node.this.name.upper()
    if unit not in ("DOW", "DAYOFWEEK"):
        return node
    return _day_of_week(exp.DayOfWeek(this=node.expression))


def _concat(node: exp.Expr) -> exp.Expr:
    """DuckDB's concat() takes any type, as AMC's does; its || does not."""
    return _call("concat", *node.expressions)


def _null_if_any_is(name: str) -> Callable[[exp.Expr], exp.Expr]:
    """AMC's GREATEST and LEAST are NULL where an argument is; DuckDB's pass it over."""

    def change(node: exp.Expr) -> exp.Expr:
        arguments = [node.this, *node.expressions]
        missing: list[exp.Expr] = [exp.Is(this=a.copy(), expression=exp.Null()) for a in arguments]
        any_missing = reduce(lambda left, right: exp.Or(this=left, expression=right), missing)
        return exp.case().when(any_missing, exp.Null()).else_(_call(name, *arguments))

    return change


def _similar(node: exp.Expr) -> exp.Expr:
    """A regular expression that is found anywhere, not one that has to match the whole."""
    return _call("regexp_matches", node.this, node.expression)


def _sqrt(node: exp.Expr) -> exp.Expr:
    """NULL of a negative number."""
    is_negative = exp.LT(this=node.this.copy(), expression=exp.Literal.number(0))
    return exp.case().when(is_negative, exp.Null()).else_(_call("sqrt", node.this))


def _uuid(_: exp.Expr) -> exp.Expr:
    return exp.cast(_call("uuid"), "VARCHAR")


_TYPED: dict[type[exp.Expr], Callable[[exp.Expr], exp.Expr]] = {
    exp.Concat: _concat,
    exp.DayOfWeek: _day_of_week,
    exp.Extract: _extract,
    exp.Greatest: _null_if_any_is("greatest"),
    exp.Least: _null_if_any_is("least"),
    exp.SimilarTo: _similar,
    exp.Sqrt: _sqrt,
    exp.Uuid: _uuid,
}

_NAMED: dict[str, Build] = {
    "APPROX_PERCENTILE": _percentile,
    "ARRAY_INTERSECT": _duck("list_intersect"),
    "ARRAY_UNION": _array_union,
    "CARDINALITY": _duck("len"),
    "COLLECT": _duck("list"),
    "CONTAINED_IN": _contained_in,
    "CONVERT_TIME_ZONE_FROM_UTC": _from_utc,
    "E": lambda _: _call("exp", exp.Literal.number(1)),
    "EPOCH_TO_UTC_TIMESTAMP": _from_epoch,
    "HASH64": _duck("md5_number_lower"),
    "INSTR": _duck("instr"),
    "NAMED_ROW": _named_row,
    "PERCENTILE": _percentile,
    "SECONDS_BETWEEN": _seconds_between,
}
