"""What commands print: text for people, or JSON with --json; results on stdout, everything else on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

from amci.kernel.errors import AmciError, ConfigError
from amci.kernel.files import storage_error
from amci.kernel.text import aligned, json_text, plain, shown, visible

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
        """Where results go, for what is written as it comes; on a terminal it shows what that would obey."""
        return cast("TextIO", Terminal(self._stdout)) if self._stdout.isatty() else self._stdout

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
            self._print(_lines(line))

    def rows(
        self, rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, empty: str = "nothing"
    ) -> None:
        """Several things: a JSON array with all fields, or a table of `columns`."""
        if self.as_json:
            self._json(list(rows))
        elif not rows:
            self._print(_lines(empty))
        else:
            self.table(columns, [[row.get(c) for c in columns] for row in rows])

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """An aligned table; numbers to the right."""
        for line in aligned(columns, rows, widest=None if self.width is None else _WIDEST):
            self._print(line)

    def text(self, line: str) -> None:
        """A line for people; not part of JSON output."""
        if not self.as_json:
            self._print(_lines(line))

    def note(self, line: str) -> None:
        """Something on the side, on stderr in both forms."""
        self._aside(_lines(line))

    def aside(self, name: str, entries: Sequence[Mapping[str, Any]], lines: Iterable[str]) -> None:
        """Several things on the side, on stderr: `lines`, or one JSON object that has all of them under `name`."""
        if self.as_json:
            self._aside(json_text({name: list(entries)}, default=plain))
            return
        for line in lines:
            self.note(line)

    def confirm(self, question: str) -> None:
        """Ask on the terminal; raises typer's Abort unless the answer is yes."""
        import typer

        typer.confirm(_lines(question), abort=True, err=True)

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
            self._aside(json_text(document))
            return
        self._aside(_lines(f"amci: {error}"))
        if error.hint:
            self._aside(_lines(f"hint: {error.hint}"))

    @contextmanager
    def progress(self, doing: str) -> Iterator[Callable[[str], None]]:
        """A line on the terminal that changes as work goes on; nothing where stderr is no terminal."""
        if not self._stderr.isatty():
            yield lambda _: None
            return
        from rich.console import Console
        from rich.text import Text

        with Console(file=self._stderr).status(Text(visible(doing))) as status:
            yield lambda now: status.update(Text(visible(f"{doing}: {now}").replace("\n", " ")))

    def _json(self, value: Any) -> None:
        self._print(json_text(value, default=plain, indent=2))

    def _aside(self, line: str) -> None:
        """A line on stderr; one that is full, closed or without a reader must not fail what it tells of."""
        try:
            self._stderr.write(f"{line}\n")
        except (OSError, ValueError):
            _forget(self._stderr)

    def flush(self) -> None:
        """Bring results to where they go; raises StorageError if that takes nothing more."""
        with self._written():
            self._stdout.flush()

    def forget(self) -> None:
        """Send what is still buffered of the results nowhere."""
        _forget(self._stdout)

    def _print(self, line: str) -> None:
        with self._written():
            # In one piece: `print` writes the line end by itself, and another thread's line may come before it.
            self._stdout.write(f"{line}\n")

    @contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            raise
        except OSError as error:
            _forget(self._stdout)
            raise storage_error(error, "write the output") from error


class Terminal:
    """A terminal that shows what it would obey or hide, whoever writes; everything else is that of the stream."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write it, visibly."""
        self._stream.write(visible(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _lines(text: str) -> str:
    """A text as one entry: its further lines are set in, so that none can pass for an entry of its own."""
    return visible(text.replace("\n", "\n  "))


def _forget(stream: TextIO) -> None:
    """Send what is still buffered nowhere; it would fail the end of the program, too."""
    with suppress(OSError, ValueError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())
        os.close(nothing)
