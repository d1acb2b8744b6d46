"""AMC's rules for the query of an audience, as far as its text tells (amc-api 2.4)."""

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
    """Raise NoAudience if a rule for audiences is broken, CompileError if the text is not AMC SQL.

    Whether tables and columns exist is only known when the query is compiled.
    """
    for finding in refused_for_audiences(sql):
        place = f"line {finding.place.line}, column {finding.place.column}"
        raise NoAudience(_REFUSED[finding.code].format(place) if finding.code in _REFUSED else finding.text)
    query = parsed(sql)
    _check_tables(query)
    _check_columns(query)


def _check_tables(query: exp.Expr) -> None:
    """Refuse AMC's tables for measurement; an unknown table may be one that the advertiser uploaded."""
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
    """Check every SELECT whose rows are rows of the result."""
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
