"""Result rows as AMC's CSV file, and AMC's description of their columns (amc-api 2.3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

_TYPES = {
    "VARCHAR": "STRING",
    "BOOLEAN": "BOOLEAN",
    "TINYINT": "BYTE",
    "SMALLINT": "SHORT",
    "INTEGER": "INTEGER",
    "BIGINT": "LONG",
    "UBIGINT": "LONG",
    "HUGEINT": "LONG",
    "FLOAT": "FLOAT",
    "DOUBLE": "DOUBLE",
    "DECIMAL": "DECIMAL",
    "DATE": "DATE",
    "TIMESTAMP": "TIMESTAMP",
    "BLOB": "BINARY",
}


@dataclass(frozen=True, slots=True)
class Format:
    """AMC's `outputFormat`; the defaults are AMC's."""

    separator: str = ","
    quote: str = '"'
    escape: str = "\\"


def format_of(asked: object) -> Format:
    """The format of a workflow; only CSV's three characters are read."""
    fields = asked if isinstance(asked, Mapping) else {}
    return Format(
        separator=str(fields.get("separatorCharacter") or ","),
        quote=str(fields.get("quoteCharacter") or '"'),
        escape=str(fields.get("escapeCharacter") or "\\"),
    )


def csv(names: Sequence[str], rows: Sequence[Sequence[Any]], form: Format) -> bytes:
    """A header and a line per row, UTF-8; the header alone if there are no rows."""
    # live samples show aliases in lower case, whatever the SQL says
    lines = [_line([name.lower() for name in names], form)]
    lines += [_line([_cell(value) for value in row], form) for row in rows]
    return "".join(lines).encode()


def output_columns(names: Sequence[str], types: Sequence[str], kinds: Sequence[str]) -> list[dict[str, Any]]:
    """AMC's `outputColumns`, from names, DuckDB's types and AMC's kinds of columns."""
    return [
        {"columnType": kind, "dataType": data_type(sql_type), "name": name.lower()}
        for name, sql_type, kind in zip(names, types, kinds, strict=True)
    ]


def data_type(sql_type: str) -> Any:
    """AMC's name of a DuckDB type; an object for an array."""
    if sql_type.endswith("[]"):
        return {"type": "ARRAY", "elementDataType": data_type(sql_type[:-2]), "elementNullable": False}
    return _TYPES.get(sql_type.partition("(")[0], "STRING")


def _line(cells: Sequence[str], form: Format) -> str:
    return form.separator.join(_quoted(cell, form) for cell in cells) + "\n"


def _quoted(cell: str, form: Format) -> str:
    """A cell, quoted only if needed; inner quotes are preceded by the escape character."""
    if not any(c in cell for c in (form.separator, form.quote, "\n", "\r")):
        return cell
    inner = cell.replace(form.quote, form.escape + form.quote)
    return f"{form.quote}{inner}{form.quote}"


def _cell(value: Any) -> str:
    """A value as AMC writes it; NULL is empty."""
    return _PRINTED.get(type(value), str)(value)


def _listed(values: Sequence[Any]) -> str:
    """`[a, b]`; a NAMED_ROW is written without its labels."""
    return f"[{', '.join('null' if value is None else _cell(value) for value in values)}]"


_PRINTED: dict[type, Callable[[Any], str]] = {
    type(None): lambda _: "",
    bool: lambda value: "true" if value else "false",
    datetime: lambda value: f"{value:%Y-%m-%dT%H:%M:%S}.{value.microsecond // 1000:03}Z",
    date: date.isoformat,
    Decimal: lambda value: f"{value:f}",
    dict: lambda value: _listed(list(value.values())),
    list: _listed,
    tuple: _listed,
    bytes: bytes.hex,
}
