"""Values as text: for people, in aligned tables, and for JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from amci.kernel.clock import timestamp


def aligned(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    widest: int | None,
    show: Callable[[Any], str] | None = None,
) -> Iterator[str]:
    """The lines of a table: numbers to the right, cells wider than `widest` cut, values as `show` says."""
    values = [list(row) for row in rows]
    as_text = show or shown
    cells = [[_cell(as_text(value), widest) for value in row] for row in values]
    names = [_cell(name, widest) for name in columns]
    widths = [max(map(cell_width, (name, *(row[i] for row in cells)))) for i, name in enumerate(names)]
    right = [bool(values) and all(_is_number(row[i]) for row in values) for i in range(len(columns))]
    for cells_of_line in (names, ["-" * width for width in widths], *cells):
        padded = [
            " " * (width - cell_width(cell)) + cell if r else cell + " " * (width - cell_width(cell))
            for cell, width, r in zip(cells_of_line, widths, right, strict=True)
        ]
        yield "  ".join(padded).rstrip()


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float | Decimal) and not isinstance(value, bool))


def cell_width(text: str) -> int:
    """Places `text` takes on a terminal; Chinese, Japanese and Korean signs take two."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _cell(text: str, widest: int | None) -> str:
    text = "".join(c if c.isprintable() else "␤" if c == "\n" else "�" for c in text)
    if widest is None or cell_width(text) <= widest:
        return text
    while cell_width(text) >= widest:
        text = text[: min(len(text) - 1, widest)]
    return text + "…"


def shown(value: Any) -> str:
    """A value as people read it; NULL is empty."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return ", ".join(map(shown, value)) or "none"
    if isinstance(value, datetime):
        return timestamp(value)[:19] + "Z" if value.tzinfo else value.isoformat(sep=" ")
    return str(value)


def plain(value: Any) -> Any:
    """A value that JSON does not know, as one it does."""
    if isinstance(value, datetime) and value.tzinfo:
        return timestamp(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, set | frozenset) else str(value)
