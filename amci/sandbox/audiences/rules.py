"""What AMC asks of a query that makes an audience, as far as the text tells (amc-api 2.4)."""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from amci.amcsql.grammar.parsing import parsed, refused_for_audiences
from amci.amcsql.sources import source
from amci.sandbox.errors import NoAudience

#: AMC's own words (amc-api 1.5, 2.4).
INVALID_TABLES = "Invalid tables in the SQL query: Use audience-specific tables in the query."
_REFUSED = {
    "interval": "SQL query was invalid: At {}: interval data types are not enabled",
    "semicolon": 'SQL query was invalid: Encountered ";" at {}.',
}
_ONLY_USER_ID = "The final SELECT of an audience query must have user_id as its only column"
_USER_ID = "user_id"


def check(sql: str) -> None:
    """Raise NoAudience where a rule for audiences is broken, CompileError for what is no AMC SQL at all.

    Whether tables and columns exist is left to those who compile it.
    """
    for finding in refused_for_audiences(sql):
        place = f"line {finding.place.line}, column {finding.place.column}"
        raise NoAudience(_REFUSED[finding.code].format(place) if finding.code in _REFUSED else finding.text)
    query = parsed(sql)
    _check_tables(query)
    _check_columns(query)


def _check_tables(query: exp.Expr) -> None:
    """Tables of AMC's that are for measurement; what is no table of AMC's may be one of the advertiser's."""
    ours = {each.alias.lower() for each in query.find_all(exp.CTE)}
    if any(name.lower() not in ours and source(name) for name in _tables(query)):
        raise NoAudience(INVALID_TABLES)


def _tables(query: exp.Expr) -> Iterator[str]:
    for table in query.find_all(exp.Table):
        yield table.name
    for call in query.find_all(exp.Anonymous):
        if call.name.upper() == "EXTEND_TIME_WINDOW" and call.expressions:
            yield call.expressions[0].name


def _check_columns(query: exp.Expr) -> None:
    """Of every part of the query that gives rows of the result."""
    while isinstance(query, exp.Subquery | exp.Paren):
        query = query.this
    if isinstance(query, exp.SetOperation):
        _check_columns(query.left)
        _check_columns(query.right)
    elif isinstance(query, exp.Select):
        names = [column.alias_or_name.lower() for column in query.selects]
        if names != [_USER_ID]:
            found = ", ".join(name or "a column without a name" for name in names)
            raise NoAudience(f"{_ONLY_USER_ID}; found {found}.")
