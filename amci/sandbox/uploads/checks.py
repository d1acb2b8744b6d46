"""Checks the values of an uploaded file, and converts them, with SQL over the file's relation (amc-api 2.5).

Everything is one scan: for each test, the number of the first record that fails it.

    count(*) FILTER (…no country…), min("amci record") FILTER ("quantity" IS NOT NULL AND NOT (…is a number…)), …
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import duckdb

from amci.kernel.names import literal, quoted
from amci.sandbox.uploads.columns import Column, identifier, is_from_amazon, name_problems
from amci.sandbox.uploads.formats import RECORD, FileRelation, mistake
from amci.sandbox.uploads.identities import CLEAR, hashed_sql, is_digest_sql

#: Data type → pattern of its text, DuckDB's type, and what a message calls it.
_WRITTEN = {
    "DECIMAL": (r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", "DECIMAL(38,4)", "a number such as 123.45"),
    "INTEGER": (r"[+-]?\d+", "INTEGER", "a whole number of 32 bits"),
    "LONG": (r"[+-]?\d+", "BIGINT", "a whole number of 64 bits"),
    "TIMESTAMP": (
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z",
        "TIMESTAMP",
        "a moment in UTC such as 2026-08-02T08:00:00Z",
    ),
    "DATE": (r"\d{4}-\d\d-\d\d", "DATE", "a date such as 2026-08-02"),
}
_LOWER = ("MAID", "IDFA")  #: ids in which the case of letters does not matter
_CONSENTS = ("AMZN_USER_DATA", "AMZN_AD_STORAGE")


@dataclass(frozen=True, slots=True)
class FileCheck:
    """The result of checking a file."""

    problems: Sequence[str]
    without_country: int  #: number of records without a country code


class ColumnValues:
    """The values of a data set's columns in one file."""

    def __init__(self, relation: FileRelation, columns: Sequence[Column]) -> None:
        self._relation = relation
        self._columns = columns
        self._names = {name.lower(): name for name in relation.names}
        self._uploaded = [column for column in columns if not is_from_amazon(column)]

    def check(self, con: duckdb.DuckDBPyConnection) -> FileCheck:
        """Check all records; nothing is written."""
        problems = list(self._shape_problems())
        tests = [test for column in self._uploaded for test in self._tests(column)]
        firsts = "".join(f", min({RECORD}) FILTER (WHERE {condition})" for _, condition, _ in tests)
        # DuckDB reads only columns that are used, and a file may be damaged in another one
        every = "".join(f", count({quoted(name)})" for name in self._names.values())
        country = next((self.text(c) for c in self._columns if c.get("isCountryCode")), "NULL::VARCHAR")
        try:
            row = con.execute(
                f"SELECT count(*) FILTER (WHERE coalesce(trim({country}), '') = ''){firsts}{every}"
                f" FROM ({self._relation.sql})"
            ).fetchall()[0]
        except duckdb.Error as error:
            return FileCheck([*problems, str(mistake(self._relation.file, error))], 0)
        for record, (name, _, what) in zip(row[1:], tests, strict=False):
            if record is not None:
                problems.append(f"{self._relation.place(record)}, column {name}: {what}.")
        return FileCheck(problems, int(row[0]))

    def sql(self, row: str) -> str:
        """A SELECT of what is kept: typed values under the columns' keys, identities, and "amci row".

        `row` and the number of the record make up "amci row". Rows of people who denied consent are left out.
        """
        stored = [f"{self._typed(c)} AS {c['key']}" for c in self._uploaded if not identifier(c)]
        identities = [
            f"{self._identity(c)} AS {quoted(str(identifier(c)))}" for c in self._uploaded if identifier(c)
        ]
        denied = [
            f"upper({self.text(column)}) IS DISTINCT FROM 'DENIED'"
            for column in self._uploaded
            if column.get("consentType") in _CONSENTS
        ]
        where = f" WHERE {' AND '.join(denied)}" if denied else ""
        number = f'concat({literal(row)}, {RECORD}) AS "amci row"'
        return f"SELECT {', '.join([*stored, *identities, number])} FROM ({self._relation.sql}){where}"

    def text(self, column: Column) -> str:
        """A value as text, as SQL; NULL if the file lacks the column."""
        name = self._names.get(column["name"].lower())
        if name is None:
            return "CAST(NULL AS VARCHAR)"
        return quoted(name) if column["dataType"] == "STRING" else f"nullif(trim({quoted(name)}), '')"

    def _typed(self, column: Column) -> str:
        text, kind = self.text(column), column["dataType"]
        if kind == "STRING":
            return hashed_sql(None, text) if column.get("requiresOneWayHashing") else text
        given = f"rtrim({text}, 'Z')" if kind == "TIMESTAMP" else text
        return f"CAST({given} AS {_WRITTEN[kind][1]})"

    def _identity(self, column: Column) -> str:
        kind, text = str(identifier(column)), f"nullif(trim({self.text(column)}), '')"
        if kind in CLEAR:
            return hashed_sql(kind, text) if column.get("requiresOneWayHashing") else f"lower({text})"
        return f"lower({text})" if kind in _LOWER else text

    def _shape_problems(self) -> Iterator[str]:
        """Problems of the names of the file's columns."""
        wanted = {column["name"].lower() for column in self._columns}
        key = self._relation.file.key
        if not wanted & self._names.keys():
            # without a header these are values, so a message must not repeat them
            yield f"{key}: it names none of the data set's columns; the first line of CSV has to."
            return
        strange = [
            _shown(name, n) for n, name in enumerate(self._relation.names, 1) if name.lower() not in wanted
        ]
        if strange:
            yield f"{key}: the data set has no column {', '.join(strange)}."
        missing = [
            column["name"]
            for column in self._uploaded
            if _must_be_there(column) and column["name"].lower() not in self._names
        ]
        if missing:
            yield f"{key}: column {', '.join(missing)} is missing."

    def _tests(self, column: Column) -> Iterator[tuple[str, str, str]]:
        """Per test: the column's name, the condition of a wrong record as SQL, and the message."""
        name, text, kind = column["name"], self.text(column), column["dataType"]
        if name.lower() not in self._names:
            return
        if _must_be_there(column):
            yield name, f"{text} IS NULL", "a value is required"
        if kind != "STRING":
            written, sql_type, what = _WRITTEN[kind]
            given = f"rtrim({text}, 'Z')" if kind == "TIMESTAMP" else text
            is_good = f"regexp_full_match({text}, {literal(written)}) AND TRY_CAST({given} AS {sql_type}) IS NOT NULL"
            yield name, f"{text} IS NOT NULL AND NOT ({is_good})", f"expected {what}"
        elif identifier(column) in CLEAR and not column.get("requiresOneWayHashing"):
            clear = f"nullif(trim({text}), '')"
            yield (
                name,
                f"{clear} IS NOT NULL AND NOT {is_digest_sql(clear)}",
                "the value is not hashed; standardise it and take its SHA-256",
            )


def _shown(name: str, number: int) -> str:
    """The name of a column, or its number if it cannot be a name (it may be a value)."""
    return f"number {number}" if name_problems(name) else name


def _must_be_there(column: Column) -> bool:
    """Whether a value is required; AMC cannot place a row in a period without its main event time."""
    return bool(column.get("isMainEventTime")) or not column.get("nullable", True)
