"""Quality rules of a dataset: how they are written, and which rows break them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, FiniteFloat, StrictBool, StrictInt, StrictStr, model_validator

from amci.kernel.config import Strict
from amci.kernel.errors import QualityError
from amci.kernel.names import literal, quoted, sanitized

_BODIES = ("not_null", "unique", "range", "accepted_values", "row_count", "sql")

OnFail = Literal["warn", "quarantine_rows", "fail"]
Bound = StrictInt | Annotated[FiniteFloat, Field(strict=True)] | datetime | date | StrictStr
Value = StrictBool | Bound
#: How a query begins; PRAGMA and SHOW are SELECTs for DuckDB, too.
_QUERY = re.compile(r"\s*(?:SELECT|WITH|FROM)\b", re.IGNORECASE)
Columns = Annotated[
    tuple[str, ...],
    BeforeValidator(lambda given: (given,) if isinstance(given, str) else given),
    Field(min_length=1),
]


class Range(Strict):
    """Values lie between two bounds, both included."""

    column: str
    """The column; numbers, dates or times. NULL is never out of range."""
    min: Bound | None = None
    """Smallest value allowed."""
    max: Bound | None = None
    """Largest value allowed."""

    @model_validator(mode="after")
    def _has_a_bound(self) -> Range:
        if self.min is None and self.max is None:
            raise ValueError("should have min, max or both")
        return self


class AcceptedValues(Strict):
    """Values come from a list."""

    column: str
    """The column. NULL is always accepted."""
    values: tuple[Value, ...] = Field(min_length=1)
    """What is allowed."""

    @model_validator(mode="after")
    def _is_no_mistaken_word(self) -> AcceptedValues:
        kinds = {type(value) for value in self.values}
        if {bool, str} <= kinds:
            raise ValueError(
                "should not mix text with true and false: YAML reads a bare NO as false, quote it"
            )
        return self


class RowCount(Strict):
    """The number of rows lies between two bounds, both included."""

    min: int = Field(default=0, ge=0)
    """Fewest rows."""
    max: int | None = Field(default=None, ge=0)
    """Most rows."""


class QualityRule(Strict):
    """One rule: exactly one of `not_null`, `unique`, `range`, `accepted_values`, `row_count` and `sql`."""

    name: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_.-]+$")
    """What findings call it; made from the rule if it is not given."""
    on_fail: OnFail = "warn"
    """`warn` tells, `quarantine_rows` keeps the rows at fault out of the table, `fail` refuses the file."""
    not_null: Columns | None = None
    """Columns without NULL."""
    unique: Columns | None = None
    """Columns whose values together occur once; rows after the first are at fault. NULLs never collide."""
    range: Range | None = None
    """Bounds of a column."""
    accepted_values: AcceptedValues | None = None
    """The only values of a column."""
    row_count: RowCount | None = None
    """Bounds of the number of rows."""
    sql: str | None = None
    """One SELECT over `rows`; the rows it returns are at fault. It has to return their ids: SELECT * does."""

    @model_validator(mode="after")
    def _is_one_rule(self) -> QualityRule:
        given = [body for body in _BODIES if getattr(self, body) is not None]
        if len(given) != 1:
            raise ValueError(
                f"should be exactly one of {', '.join(_BODIES)}; it has {', '.join(given) or 'none'}"
            )
        if self.row_count and self.on_fail == "quarantine_rows":
            raise ValueError("row_count concerns no row in particular: on_fail should be warn or fail")
        if self.sql is not None:
            _one_select(self.sql)
        return self


def _one_select(sql: str) -> None:
    """Raise ValueError unless the text is one statement that only reads."""
    if _is_one_query(sql):
        return
    # Rarely: it is slow to be imported.
    import sqlglot
    from sqlglot import exp

    try:
        statements = [statement for statement in sqlglot.parse(sql, dialect="duckdb") if statement]
    except sqlglot.errors.SqlglotError as error:
        raise ValueError("sql: should be one SELECT; it cannot be parsed") from error
    writes = (exp.DML, exp.DDL, exp.Command, exp.Copy, exp.Attach, exp.Set, exp.Pragma)
    if len(statements) != 1 or not isinstance(statements[0], exp.Query) or statements[0].find(*writes):
        raise ValueError("sql: should be one SELECT that only reads")


def _is_one_query(sql: str) -> bool:
    """Whether DuckDB reads the text as one SELECT, alone and where a rule has it; a query of DuckDB's only reads."""
    import duckdb

    texts = (sql, selected("rows", sql)) if _QUERY.match(sql) else ()
    try:
        kinds = [[statement.type for statement in duckdb.extract_statements(text)] for text in texts]
    except duckdb.Error:
        return False
    return kinds == [[duckdb.StatementType.SELECT]] * 2


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledRule:
    """A rule with a name, ready to be checked."""

    name: str
    spec: QualityRule

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it names, as they are written in the configuration."""
        one = self.spec.range or self.spec.accepted_values
        return (one.column,) if one else self.spec.not_null or self.spec.unique or ()

    def violations(self, rows: str, row_id: str, types: Mapping[str, str]) -> str:
        """A SELECT of the ids of the rows that break it; a rule about the number of rows has none.

        `rows` and `row_id` are quoted; `types` has the columns as the table names them, with their SQL types.
        """
        names = [quoted(column) for column in types]
        if self.spec.sql is not None:
            # DISTINCT and NOT NULL: a join in the rule's SQL may repeat rows or miss them
            return (
                f"SELECT DISTINCT {row_id} FROM ({selected(rows, self.spec.sql)}) WHERE {row_id} IS NOT NULL"
            )
        if self.spec.unique:
            keys = ", ".join(names)
            filled = " AND ".join(f"{name} IS NOT NULL" for name in names)
            firsts = f"SELECT {keys}, min({row_id}) AS id FROM {rows} WHERE {filled} GROUP BY ALL"
            repeated = f"({firsts} HAVING count(*) > 1) f"
            return f"SELECT r.{row_id} FROM {rows} r JOIN {repeated} USING ({keys}) WHERE r.{row_id} > f.id"
        if self.spec.not_null:
            broken = " OR ".join(f"{name} IS NULL" for name in names)
        else:
            broken = self._out_of_bounds(*types.items())
        return f"SELECT {row_id} FROM {rows} WHERE {broken}"

    def _out_of_bounds(self, column: tuple[str, str]) -> str:
        """SQL that is TRUE if a value breaks a range or a list, NULL if there is no value."""
        name = quoted(column[0])
        if self.spec.accepted_values:
            values = self.spec.accepted_values.values
            return f"{name} NOT IN ({', '.join(self._literal(value, column) for value in values)})"
        low, high = (self.spec.range.min, self.spec.range.max) if self.spec.range else (None, None)
        if column[1] == "VARCHAR" and not all(isinstance(bound, str | None) for bound in (low, high)):
            raise QualityError(self.name, f"column {column[0]} is text; numbers and dates do not bound it")
        bounds = (("<", low), (">", high))
        return " OR ".join(f"{name} {op} {self._literal(b, column)}" for op, b in bounds if b is not None)

    def _literal(self, value: Value, column: tuple[str, str]) -> str:
        name, sql_type = column
        if isinstance(value, str) and sql_type.startswith(_NUMBERS):
            raise QualityError(self.name, f"column {name} is {sql_type}, the rule has text")
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if isinstance(value, bool | int | float) and sql_type != "VARCHAR":
            return text
        if isinstance(value, datetime) and sql_type != "VARCHAR":
            return f"{'TIMESTAMPTZ' if value.tzinfo else 'TIMESTAMP'} {literal(text)}"
        return literal(text)  # read by DuckDB as the column's own type: a date, a time, or text


_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
_NUMBERS = (*_INTEGERS, *(f"U{name}" for name in _INTEGERS), "FLOAT", "DOUBLE", "DECIMAL")


def selected(rows: str, sql: str) -> str:
    """The rule's own SELECT with the table visible as `rows`."""
    # the line break ends a comment in the last line
    return f"WITH rows AS (FROM {rows}) SELECT * FROM ({sql.strip().rstrip(';')}\n)"


def rules(specs: Sequence[QualityRule]) -> tuple[CompiledRule, ...]:
    """The rules with their names, in order; a name taken already gets a numbered suffix."""
    taken = {spec.name for spec in specs if spec.name}
    made: dict[str, CompiledRule] = {}
    for spec in specs:
        base = name = spec.name or _derived_name(spec)
        n = 1
        while name in made or (name in taken and not spec.name):
            n += 1
            name = f"{base}_{n}"
        made[name] = CompiledRule(name=name, spec=spec)
    return tuple(made.values())


def _derived_name(spec: QualityRule) -> str:
    body = next(body for body in _BODIES if getattr(spec, body) is not None)
    return sanitized("_".join((body, *CompiledRule(name=body, spec=spec).columns)))
