"""CUSTOM_PARAMETER and BUILT_IN_PARAMETER: values take their places in the tree (amc-api 3.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from sqlglot import exp

from amci.amcsql.binder.expressions import PARAMETER
from amci.amcsql.binder.scopes import FindingReport, near
from amci.amcsql.findings import Finding, place_of

#: AMC's `dataType` to SQL types.
TYPES = {
    "BOOLEAN": "BOOLEAN",
    "BYTE": "TINYINT",
    "SHORT": "SMALLINT",
    "INTEGER": "INT",
    "LONG": "BIGINT",
    "FLOAT": "FLOAT",
    "DOUBLE": "DOUBLE",
    "DECIMAL": "DECIMAL(38, 4)",
    "STRING": "VARCHAR",
    "DATE": "DATE",
    "TIMESTAMP": "TIMESTAMP",
    "BINARY": "BLOB",
    "CALENDAR_INTERVAL": "INTERVAL",
}
_EDGES = ("TIME_WINDOW_START", "TIME_WINDOW_END")

Declared = Sequence[Mapping[str, Any]]


class WindowEdge(exp.Expression):
    """The start or the end of the time window, which is known when the query is compiled."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True}  #: one of _EDGES

    @property
    def is_start(self) -> bool:
        """Whether it is the start."""
        return bool(self.this == _EDGES[0])


def with_parameters(
    tree: exp.Query, declared: Declared, values: Mapping[str, Any], report: FindingReport
) -> list[str]:
    """Put values in place of parameters, in the tree itself; the names of those it has.

    `declared` are the workflow's `inputParameters`; the value is the one given, else the default, else NULL. Errors go
    to the report: a parameter that is not declared, one whose type AMC does not have.
    """
    by_name = {str(parameter.get("name")): parameter for parameter in declared}
    used: dict[str, None] = {}
    for call in list(tree.find_all(exp.Anonymous)):
        if call.name.upper() not in ("CUSTOM_PARAMETER", "BUILT_IN_PARAMETER"):
            continue
        name = _argument(call, report)
        if name is None:
            value: exp.Expr = exp.Null()
        elif call.name.upper() == "CUSTOM_PARAMETER":
            used[name] = None
            value = _value(call, name, by_name, values, report)
        else:
            value = _edge(call, name, report)
        value.meta.update(call.meta, **{PARAMETER: name or ""})
        call.replace(value)
    return list(used)


def _argument(call: exp.Anonymous, report: FindingReport) -> str | None:
    """The one argument, which has to be a name in quotes."""
    arguments = call.expressions
    if len(arguments) == 1 and isinstance(arguments[0], exp.Literal) and arguments[0].is_string:
        return arguments[0].name
    report.error(call, "arguments", f"{call.name.upper()} takes one name in single quotes")
    return None


def _edge(call: exp.Expr, name: str, report: FindingReport) -> exp.Expr:
    if name.upper() not in _EDGES:
        text = f"there is no built-in parameter {name}"
        report.error(call, "built-in-parameter", text, f"there are {' and '.join(_EDGES)}")
        return exp.Null()
    return exp.cast(WindowEdge(this=name.upper()), "TIMESTAMP", dialect="duckdb")


def _value(
    call: exp.Expr,
    name: str,
    by_name: Mapping[str, Mapping[str, Any]],
    values: Mapping[str, Any],
    report: FindingReport,
) -> exp.Expr:
    if name not in by_name:
        _undeclared(call, name, by_name, report)
        return exp.Null()
    sql_and_array = _type(by_name[name].get("dataType", "STRING"))
    if sql_and_array is None:
        text = f"Parameter {name} has an unknown data type {by_name[name]['dataType']}."
        report.error(call, "parameter-type", text, f"AMC has {', '.join(TYPES)}, and arrays of them")
        return exp.Null()
    sql_type, is_array = sql_and_array
    value = values.get(name, by_name[name].get("defaultValue"))
    if value is not None and (is_array or isinstance(value, list)):
        items = value if isinstance(value, list) else [value]
        array = exp.Array(expressions=[typed(item, sql_type) for item in items])
        return exp.cast(array, f"{sql_type}[]", dialect="duckdb")
    return typed(value, f"{sql_type}[]" if is_array else sql_type)


def _undeclared(call: exp.Expr, name: str, by_name: Mapping[str, Any], report: FindingReport) -> None:
    report.findings.append(
        Finding(
            severity="error",
            code="undeclared-parameter",
            text=f"Filter operation filter_operation referenced an undeclared parameter {name}.",
            place=place_of(report.sql, call),
            hint=near(name, by_name) or "declare it among the workflow's input parameters",
            is_verbatim=True,
        )
    )


def _type(declared: object) -> tuple[str, bool] | None:
    """SQL type of a `dataType`, and whether it is an array of that; None if AMC has no such type."""
    is_array = isinstance(declared, Mapping)
    plain = declared.get("elementDataType", "STRING") if isinstance(declared, Mapping) else declared
    sql_type = TYPES.get(str(plain).upper())
    return None if sql_type is None else (sql_type, is_array)


def typed(value: object, sql_type: str) -> exp.Expr:
    """A value as a literal cast to a type; None is a NULL of that type."""
    if value is None:
        literal: exp.Expr = exp.Null()
    else:
        literal = exp.Literal.string(str(value).lower() if isinstance(value, bool) else str(value))
    return exp.cast(literal, sql_type, dialect="duckdb")
