"""What commands print: text for people, or JSON with --json; results on stdout, everything else on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, TextIO

from amci.kernel.clock import timestamp
from amci.kernel.errors import AmciError, ConfigError

#: A column wider than this is cut in text output on a terminal; JSON is never cut.
_WIDEST = 60


class Output:
    """One command's output."""

    def __init__(
        self, *, as_json: bool = False, stdout: TextIO | None = None, stderr: TextIO | None = None
    ) -> None:
        self.as_json = as_json
        self._stdout = stdout or sys.stdout
        self._stderr = stderr or sys.stderr

    @property
    def stdout(self) -> TextIO:
        """Where results go, for what is written as it comes."""
        return self._stdout

    @property
    def width(self) -> int | None:
        """Columns of the terminal that results go to; None where they go elsewhere."""
        if not self._stdout.isatty():
            return None
        return os.get_terminal_size(self._stdout.fileno()).columns or None

    def record(self, record: Mapping[str, Any], text: Iterable[str] | None = None) -> None:
        """One thing: the mapping as JSON, or `text`, or `name: value` lines."""
        if self.as_json:
            self._json(record)
            return
        lines = text if text is not None else [f"{name}: {shown(value)}" for name, value in record.items()]
        for line in lines:
            self._print(line)

    def rows(
        self, rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, empty: str = "nothing"
    ) -> None:
        """Several things: a JSON array with all fields, or a table of `columns`."""
        if self.as_json:
            self._json(list(rows))
        elif not rows:
            self._print(empty)
        else:
            self.table(columns, [[row.get(c) for c in columns] for row in rows])

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """An aligned table; numbers to the right."""
        for line in aligned(columns, rows, widest=None if self.width is None else _WIDEST):
            self._print(line)

    def text(self, line: str) -> None:
        """A line for people; not part of JSON output."""
        if not self.as_json:
            self._print(line)

    def note(self, line: str) -> None:
        """Something on the side, on stderr in both forms."""
        print(line, file=self._stderr)

    def error(self, error: AmciError) -> None:
        """What went wrong and what to do, on stderr."""
        if self.as_json:
            document: dict[str, Any] = {
                "error": type(error).__name__,
                "message": str(error),
                "hint": error.hint,
            }
            if isinstance(error, ConfigError):
                document["problems"] = [
                    {"file": p.file, "field": p.field, "says": p.says} for p in error.problems
                ]
            print(json.dumps(document, ensure_ascii=False), file=self._stderr)
            return
        print(f"amci: {error}", file=self._stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=self._stderr)

    @contextmanager
    def progress(self, doing: str) -> Iterator[Callable[[str], None]]:
        """A line on the terminal that changes as work goes on; nothing where stderr is no terminal."""
        if not self._stderr.isatty():
            yield lambda _: None
            return
        from rich.console import Console

        with Console(file=self._stderr).status(doing) as status:
            yield lambda now: status.update(f"{doing}: {now}")

    def _json(self, value: Any) -> None:
        self._print(json.dumps(value, default=plain, ensure_ascii=False, indent=2))

    def _print(self, line: str) -> None:
        print(line, file=self._stdout)


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
