"""Rows of DynamoDB as its console and command line export them, `{"Name": {"S": "x"}}`, as plain values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from amci.kernel.files import json_of


def _number(text: Any) -> Any:
    try:
        return json_of(str(text))
    except ValueError:
        return text


_OF: dict[str, Callable[[Any], Any]] = {
    "S": str,
    "N": _number,
    "BOOL": bool,
    "NULL": lambda _: None,
    "SS": list,
    "NS": lambda texts: [_number(text) for text in texts],
    "L": lambda values: [_value(value) for value in values],
    "M": lambda row: {name: _value(value) for name, value in row.items()},
}


def plain(document: Any) -> Iterator[Any]:
    """The rows of an export; any other document as it is."""
    is_scan = isinstance(document, Mapping) and isinstance(document.get("Items"), list)
    is_item = isinstance(document, Mapping) and {*document} == {"Item"}
    for row in document["Items"] if is_scan else [document["Item"]] if is_item else [document]:
        is_row = isinstance(row, Mapping) and row and all(map(_is_typed, row.values()))
        yield {name: _value(value) for name, value in row.items()} if is_row else row


def _is_typed(value: Any) -> bool:
    return isinstance(value, Mapping) and len(value) == 1 and next(iter(value)) in _OF


def _value(typed: Any) -> Any:
    if not _is_typed(typed):
        raise ValueError("has a value of DynamoDB of a type that no document of the AWS solution has")
    ((kind, value),) = typed.items()
    return _OF[kind](value)
