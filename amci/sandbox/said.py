"""What DuckDB says of a query, in the words of Calcite, whose validator AMC's texts come from (amc-api 1.5)."""

from __future__ import annotations

import re

from amci.sandbox.positions import named, spot
from amci.sandbox.sql import parsed

#: DuckDB's text, and Calcite's for the same; the first group is the name that is at fault.
_TEXTS = (
    (r'Referenced column "([^"]+)" (?:was )?not found', "Column '{}' not found in any table"),
    (r'Table "[^"]+" does not have a column named "([^"]+)"', "Column '{}' not found in any table"),
    (r'Referenced table "([^"]+)" not found', "Table '{}' not found"),
    (r'column "([^"]+)" must appear in the GROUP BY clause', "Expression '{}' is not being grouped"),
    (r'Ambiguous reference to column name "([^"]+)"', "Column '{}' is ambiguous"),
    (
        r"(?:Scalar|Aggregate|Table) Function with name \"?(\w+)\"? does not exist",
        "No match found for function signature {}",
    ),
    (r"Function with name (\w+) does not exist", "No match found for function signature {}"),
)


def in_calcites_words(said: str, sql: str) -> str:
    """`SQL query was invalid: …` for an error about the translation of `sql`."""
    for pattern, text in _TEXTS:
        if found := re.search(pattern, said):
            name = found[1].rpartition(".")[2]
            where = spot(sql, named(parsed(sql), name))
            return f"SQL query was invalid: {where}{text.format(name)}"
    first = said.splitlines()[0]
    return f"SQL query was invalid: {re.sub(r'^[A-Za-z ]+ Error: ', '', first)}"
