"""Values as text: for people, in aligned tables, and for JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from amci.kernel.clock import timestamp

#: What a terminal obeys or hides instead of showing it: control characters but for tab and line ends, marks that turn
#: the direction of writing, invisible signs, other line ends; and halves of UTF-16, which no encoding has.
_UNSEEN = re.compile(
    "\r(?!\n)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)
_SURROGATE = re.compile("[\ud800-\udfff]")


def visible(text: str) -> str:
    r"""The text as it may go to a terminal: what that would obey or hide is written out, as in `\x1b`."""
    return text if text.isascii() and text.isprintable() else _UNSEEN.sub(_written_out, text)


def encodable(text: str) -> str:
    """The text with halves of UTF-16, as in odd file names and JSON, written out: UTF-8 has none."""
    return text if text.isascii() else _SURROGATE.sub(_written_out, text)


def json_text(value: Any, *, default: Callable[[Any], Any] | None = None, indent: int | None = None) -> str:
    """JSON of one encoding everywhere: letters as they are, what `visible` writes out as an escape of JSON's."""
    return json_visible(json.dumps(value, default=default, ensure_ascii=False, indent=indent))


def json_visible(text: str) -> str:
    """JSON with everything that `visible` writes out as an escape of JSON's."""
    return _UNSEEN.sub(_in_json, text)


def utf8(text: str) -> bytes:
    """The text in UTF-8; see `encodable`."""
    return encodable(text).encode()


def _in_json(match: re.Match[str]) -> str:
    return "\\u007f" if match[0] == "\x7f" else json.dumps(match[0])[1:-1]


def _written_out(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()


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
    text = visible(text.replace("\n", "␤").replace("\t", "\\t"))
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
