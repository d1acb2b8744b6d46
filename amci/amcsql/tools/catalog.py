"""AMC's tables, columns and functions as rows for lists."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatch
from typing import Any

from amci.amcsql.binder.levels import Level
from amci.amcsql.functions.table import FUNCTIONS, MANY, Function
from amci.amcsql.sources import Column, Source, aliases, audience_sources, sources
from amci.amcsql.tools.linting import access
from amci.kernel.errors import NotFound
from amci.kernel.names import near_or

_UNITS = {
    "microcents": "microcents: divide by 100,000,000 for currency units",
    "millicents": "millicents: divide by 100,000 for currency units",
}
_ROLES = {
    "value": "a value of its arguments",
    "shape": "its argument in another form",
    "count": "an aggregate that counts",
    "sum": "an aggregate that adds up",
    "aggregate": "an aggregate",
    "rank": "a rank over a window",
    "shift": "a value of another row of a window",
    "random": "a random value",
    "clock": "the moment the query is run",
    "compare": "how its arguments compare",
    "rows": "several rows of one",
}


def chosen(
    name: str | None = None,
    uploaded: Mapping[str, Source] | None = None,
    *,
    category: str | None = None,
    is_paid: bool = False,
    is_for_audiences: bool = False,
) -> list[Source]:
    """The tables that are meant, `uploaded` ones among them; raises NotFound with a near match."""
    own = {each.lower(): source for each, source in (uploaded or {}).items()}
    if name:
        everything = {**sources(), **audience_sources(), **own}
        key = name.lower() if name.lower() in own else aliases().get(name.lower(), name.lower())
        return [everything[known(key, everything, "table")]]
    found = [*(audience_sources() if is_for_audiences else sources()).values(), *own.values()]
    if category:
        category = known(category.upper(), {source.category for source in found}, "category")
    return [
        source
        for source in found
        if (not category or source.category == category) and (source.is_paid or not is_paid)
    ]


def table_row(source: Source) -> dict[str, Any]:
    """A table in one line."""
    return {
        "table": source.name,
        "category": source.category,
        "kind": source.kind,
        "columns": len(source.columns),
        "event_time": source.event_time,
        "access": access(source),
        "audience_table": source.audience_table,
        "is_in_sandbox": source.is_in_sandbox,
    }


def table_record(source: Source) -> dict[str, Any]:
    """A table with its columns."""
    return {**table_row(source), "columns": [column_row(column) for column in source.columns]}


def column_rows(pattern: str, tables: Iterable[Source]) -> list[dict[str, Any]]:
    """The columns of these tables whose names match a pattern with `*` and `?`, or contain the text."""
    return [
        {"table": source.name, **column_row(column)}
        for source in tables
        for column in source.columns
        if _fits(column.name, pattern)
    ]


def column_row(column: Column) -> dict[str, Any]:
    """A column: how many users a row needs that shows it; its unit, values and examples."""
    level = Level[column.threshold]
    return {
        "column": column.name,
        "type": column.type,
        "kind": column.kind,
        "threshold": column.threshold,
        "users": None if level.is_hidden else level.users,
        "unit": _UNITS.get(column.unit, column.unit),
        "values": list(column.values),
        "examples": list(column.examples),
    }


def about(row: Mapping[str, Any]) -> str:
    """Unit, values and examples of a column in a few words."""
    return "; ".join(_words(row))


def _words(row: Mapping[str, Any]) -> Iterator[str]:
    if row["unit"]:
        yield row["unit"]
    if row["values"]:
        yield f"one of {', '.join(row['values'])}"
    elif row["examples"]:
        yield f"such as {', '.join(row['examples'])}"


def function_rows() -> list[dict[str, Any]]:
    """All functions, by name."""
    return [function_record(function) for _, function in sorted(FUNCTIONS.items())]


def function(name: str) -> Function:
    """A function; raises NotFound with a near match."""
    return FUNCTIONS[known(name.upper(), FUNCTIONS, "function")]


def function_record(function: Function) -> dict[str, Any]:
    """A function: what it takes and gives."""
    return {
        "function": function.name,
        "arguments": _arguments(function),
        "gives": function.result if isinstance(function.result, str) else "as its arguments",
        "is": _ROLES[function.role],
        "is_documented": function.is_documented,
    }


def _arguments(function: Function) -> str:
    if function.most >= MANY:
        return f"{function.least} or more"
    return str(function.least) if function.least == function.most else f"{function.least} to {function.most}"


def _fits(name: str, pattern: str) -> bool:
    wanted = pattern.lower()
    return fnmatch(name, wanted) if set(wanted) & set("*?[") else wanted in name


def known(name: str, names: Iterable[str], what: str) -> str:
    """The name itself, if it is one of `names`. Raises NotFound with a near match otherwise."""
    those = list(names)
    if name in those:
        return name
    plural = "categories" if what == "category" else f"{what}s"
    listed = f"one of {', '.join(sorted(those))}" if what == "category" else f"`amci sql {plural}` lists all"
    raise NotFound(f"no {what} '{name}'", hint=near_or(name, those, listed))
