"""Implicit and explicit casts: AMC compares text with numbers and dates, DuckDB does not (amc-api 3.1)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from functools import cache

from sqlglot import exp

from amci.amcsql.duckdb_templates import call
from amci.amcsql.functions.table import Family, common

FamilyOf = Callable[[exp.Expr], Family]

NUMBERS = ("INTEGER", "LONG", "DECIMAL", "DOUBLE")
#: The types of days and times, with how their literals are written.
MOMENTS = {"DATE": "yyyy-MM-dd", "TIMESTAMP": "yyyy-MM-dd HH:mm:ss"}
_DAY, _TIME = r"(?P<day>\d{4}-\d{1,2}-\d{1,2})", r"(?P<time>\d{1,2}:\d{1,2}:\d{1,2})(?:\.\d*)?"
_FORMS = {
    "DATE": re.compile(_DAY, re.ASCII),
    "TIMESTAMP": re.compile(f"{_DAY} {_TIME}", re.ASCII),
}
#: What a text begins with that DuckDB would take for a day, a time or both.
_LOOSE = re.compile(
    r"(?P<day>\d{4,6}-\d{1,2}-\d{1,2})?(?:[T ]\s*|^)?(?P<time>\d{1,2}:\d{1,2}(?::\d{1,2})?)?", re.ASCII
)
_VAGUE = ("NULL", "UNKNOWN")
#: Exact, with room for ids of 19 digits and more, and for fractions.
_EXACT = "DECIMAL(38, 9)"
_TYPES = {"INTEGER": _EXACT, "LONG": _EXACT, "DECIMAL": _EXACT, "STRING": "VARCHAR"}
_WHOLE = {exp.DType.TINYINT, exp.DType.SMALLINT, exp.DType.INT, exp.DType.BIGINT}
_CHARS = {exp.DType.CHAR, exp.DType.VARCHAR}
_BYTES = {exp.DType.BINARY, exp.DType.VARBINARY}
#: Calcite's default.
_DECIMAL_WITHOUT_PRECISION = "DECIMAL(19, 0)"


def aligned(nodes: Sequence[exp.Expr], of: FamilyOf) -> None:
    """Cast the texts among compared values to the type of the others; NULL if a text has another form."""
    families = [of(node) for node in nodes]
    others = [family for family in families if family != "STRING" and family not in _VAGUE]
    if "STRING" not in families or not others:
        return
    target = common(others)
    if target in (*NUMBERS, "DATE", "TIMESTAMP", "BOOLEAN"):
        for node, family in zip(nodes, families, strict=True):
            if family == "STRING":
                wrap(node, lambda each: tried(each, target))


def as_texts(nodes: Sequence[exp.Expr], of: FamilyOf) -> None:
    """Cast alternatives to text if one of them is text and another is not."""
    families = [of(node) for node in nodes]
    if "STRING" in families and set(families) - {"STRING", *_VAGUE}:
        for node, family in zip(nodes, families, strict=True):
            if family not in ("STRING", *_VAGUE):
                wrap(node, text)


def wrap(node: exp.Expr, build: Callable[[exp.Expr], exp.Expr]) -> None:
    """Replace a node by what `build` makes of it."""
    parent, key, index = node.parent, node.arg_key, node.index
    made = build(node)
    if made is not node and parent is not None and key:
        parent.set(key, made, index, overwrite=True)


def is_moment(said: str, literal_of: str = "") -> bool:
    """Whether a text is a day or time that there is, as far as it looks like one.

    DuckDB makes another moment of some that there are not: of 24:00:00 the next midnight. `literal_of`: it stands in
    a literal of that type, and has to look like one (amc-api 3.1).
    """
    match = (_FORMS[literal_of].fullmatch if literal_of else _LOOSE.match)(
        said if literal_of else said.strip()
    )
    if match is None:
        return not literal_of
    found = match.groupdict()
    try:
        if found.get("day"):
            date(*map(int, found["day"].split("-")))
        if found.get("time"):
            time.fromisoformat(":".join(part.zfill(2) for part in found["time"].split(":")))
    except ValueError:
        return False
    return True


def tried(node: exp.Expr, family: Family) -> exp.Expr:
    """A text as a value of another family, NULL if it has another form."""
    if node.is_string and family in NUMBERS:
        return _number(node.name)
    if node.is_string and family in MOMENTS and not is_moment(node.name):
        return exp.Null()
    return exp.TryCast(this=node, to=data_type(_TYPES.get(family, family)))


def text(node: exp.Expr) -> exp.Expr:
    """Any value as text."""
    return exp.Cast(this=node, to=data_type("VARCHAR"))


def day(at: date) -> exp.Expr:
    """A DATE."""
    return exp.Cast(this=exp.Literal.string(at.isoformat()), to=data_type("DATE"))


def moment(at: datetime) -> exp.Expr:
    """A TIMESTAMP in UTC."""
    said = f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"
    return exp.Cast(this=exp.Literal.string(said), to=data_type("TIMESTAMP"))


def data_type(name: str) -> exp.DataType:
    """A type of DuckDB's."""
    return _data_type(name).copy()


def explicit(node: exp.Cast, of: FamilyOf, now: datetime) -> exp.Expr:
    """A CAST as Calcite understands it."""
    kind, value = node.to.this, node.this
    if value.is_string and (named := _named_moment(value.name, kind, now)) is not None:
        return named
    if kind in _WHOLE and of(value) in ("DECIMAL", "DOUBLE"):
        value.replace(call("trunc", value.copy()))
    elif kind in _CHARS and node.to.expressions:
        length = node.to.expressions[0].this
        return call("left", text(value), length)
    elif kind in _BYTES and of(value) == "STRING":
        return call("encode", value)
    elif kind is exp.DType.DECIMAL and not node.to.expressions:
        node.set("to", data_type(_DECIMAL_WITHOUT_PRECISION))
    return node


def _named_moment(name: str, kind: exp.DType, now: datetime) -> exp.Expr | None:
    """CAST('today' AS DATE), CAST('now' AS TIMESTAMP); None for any other text."""
    today = now.astimezone(UTC).date()
    if name.lower() not in ("today", "now"):
        return None
    if kind is exp.DType.DATE:
        return day(today)
    if kind is exp.DType.TIMESTAMP:
        midnight = datetime(today.year, today.month, today.day, tzinfo=UTC)
        return moment(now if name.lower() == "now" else midnight)
    return None


def _number(said: str) -> exp.Expr:
    try:
        number = Decimal(said.strip())
    except InvalidOperation:
        return exp.Null()
    if not number.is_finite():
        return exp.Null()
    literal = exp.Literal.number(f"{abs(number):f}")
    return exp.Neg(this=literal) if number < 0 else literal


@cache
def _data_type(name: str) -> exp.DataType:
    return exp.DataType.from_str(name, dialect="duckdb")
