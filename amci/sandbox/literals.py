"""Python values as typed literals in a tree."""

from __future__ import annotations

from datetime import UTC, date, datetime

from sqlglot import exp


def typed(value: object, sql_type: str) -> exp.Expr:
    """A value as a literal cast to a type; None is a NULL of that type."""
    if value is None:
        literal: exp.Expr = exp.Null()
    else:
        text = str(value).lower() if isinstance(value, bool) else str(value)
        literal = exp.Literal.string(text)
    return exp.cast(literal, sql_type, dialect="duckdb")


def moment(at: datetime) -> exp.Expr:
    """A moment as TIMESTAMP, UTC without saying so, as AMC's `_utc` columns are."""
    return typed(f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}", "TIMESTAMP")


def day(at: date) -> exp.Expr:
    """A DATE."""
    return typed(at.isoformat(), "DATE")
