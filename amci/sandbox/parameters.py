"""CUSTOM_PARAMETER and BUILT_IN_PARAMETER: values take their places in the tree (amc-api 3.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlglot import exp

from amci.sandbox.errors import CompileError, undeclared
from amci.sandbox.literals import moment, typed
from amci.sandbox.windows import Window

#: AMC's `dataType` to SQL types.
_TYPES = {
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


def with_parameters(
    tree: exp.Query, declared: Sequence[Mapping[str, Any]], values: Mapping[str, Any], window: Window
) -> exp.Query:
    """The tree with values for its parameters; raises CompileError for one that is not declared."""
    known = {str(parameter.get("name")): parameter for parameter in declared}
    for call in list(tree.find_all(exp.Anonymous)):
        name = call.name.upper()
        if name == "CUSTOM_PARAMETER":
            call.replace(_value(known, _argument(call), values))
        elif name == "BUILT_IN_PARAMETER":
            call.replace(_edge(_argument(call), window))
    return tree


def _argument(call: exp.Anonymous) -> str:
    """The one argument, which has to be a name in quotes."""
    arguments = call.expressions
    if len(arguments) != 1 or not (isinstance(arguments[0], exp.Literal) and arguments[0].is_string):
        raise CompileError(f"SQL query was invalid: {call.name.upper()} takes one name in single quotes")
    return arguments[0].name


def _edge(name: str, window: Window) -> exp.Expr:
    edges = {"TIME_WINDOW_START": window.start, "TIME_WINDOW_END": window.end}
    if name.upper() not in edges:
        raise CompileError(f"SQL query was invalid: there is no built-in parameter {name}")
    return moment(edges[name.upper()])


def _value(known: Mapping[str, Mapping[str, Any]], name: str, values: Mapping[str, Any]) -> exp.Expr:
    """The value given, else the default, else NULL; of the declared type."""
    if name not in known:
        raise CompileError(undeclared(name))
    parameter = known[name]
    sql_type, is_array = _type(name, parameter.get("dataType", "STRING"))
    value = values.get(name, parameter.get("defaultValue"))
    if value is not None and (is_array or isinstance(value, list)):
        items = value if isinstance(value, list) else [value]
        array = exp.Array(expressions=[typed(item, sql_type) for item in items])
        return exp.cast(array, f"{sql_type}[]", dialect="duckdb")
    return typed(value, f"{sql_type}[]" if is_array else sql_type)


def _type(name: str, declared: object) -> tuple[str, bool]:
    """SQL type of a `dataType`, and whether it is an array of that."""
    is_array = isinstance(declared, Mapping)
    plain = declared.get("elementDataType", "STRING") if isinstance(declared, Mapping) else declared
    sql_type = _TYPES.get(str(plain).upper())
    if sql_type is None:
        raise CompileError(f"Parameter {name} has an unknown data type {plain}.")
    return sql_type, is_array
