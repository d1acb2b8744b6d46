"""`amci sql fmt`: formats texts; files are replaced in one step, or left as they are."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from amci.amcsql.findings import CompileError
from amci.amcsql.grammar.formatting import formatted
from amci.app.query_input import STDIN, sql_files
from amci.cli.output import Output
from amci.kernel.errors import ConfigError
from amci.kernel.files import replacing, source_text, text_of

_CRLF, _LF = "\r\n", "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Laid:
    """A text as it is and as it would be; `fault` if it cannot be formatted."""

    shown: str
    old: str
    new: str
    fault: str = ""

    @property
    def is_changed(self) -> bool:
        """Whether it is not laid out yet."""
        return not self.fault and self.old != self.new

    def diff(self) -> Iterator[str]:
        """The lines that change."""
        old, new = self.old.splitlines(), self.new.splitlines()
        yield from difflib.unified_diff(old, new, self.shown, f"{self.shown} (laid out)", lineterm="")


def laid_out(shown: str, text: str) -> Laid:
    """A text laid out; line ends stay as they are."""
    is_windows = _CRLF in text
    try:
        new = formatted(text.replace(_CRLF, _LF))
    except CompileError as error:
        return Laid(
            shown=shown, old=text, new=text, fault=f"{error}; {error.hint}" if error.hint else str(error)
        )
    return Laid(shown=shown, old=text, new=new.replace(_LF, _CRLF) if is_windows else new)


def laid_out_file(path: Path) -> Laid:
    """A file's text laid out; nothing is written."""
    try:
        return laid_out(str(path), text_of(path, newline=""))
    except ConfigError as error:
        return Laid(shown=str(path), old="", new="", fault=error.problems[0].says)


def done(arguments: Sequence[str], *, is_written: bool) -> list[Laid]:
    """Every file formatted, and written if it changes; raises NotFound before anything is."""
    paths = [None if name == STDIN else path for name in arguments for path in _paths(name)]
    found = []
    for path in paths:
        laid = laid_out("<stdin>", source_text(STDIN)) if path is None else laid_out_file(path)
        if path is not None and is_written and laid.is_changed:
            write(path, laid.new)
        found.append(laid)
    return found


def _paths(name: str) -> Iterator[Path]:
    return iter([Path(name)]) if name == STDIN else sql_files(name)


def show(out: Output, found: Sequence[Laid], *, is_diff: bool, is_piped: bool) -> None:
    """What became of each text; what came from standard input goes to standard output."""
    if out.as_json:
        rows = [{"file": each.shown, "is_changed": each.is_changed, "fault": each.fault} for each in found]
        out.rows(
            [row | {"sql": each.new} if is_piped else row for row, each in zip(rows, found, strict=True)], []
        )
        return
    for laid in found:
        if laid.fault:
            out.note(f"{laid.shown}: {laid.fault}")
        elif is_piped:
            out.stdout.write(laid.new)
        elif is_diff:
            for line in laid.diff():
                out.text(line)
        elif laid.is_changed:
            out.text(laid.shown)
    if not is_piped:
        out.note(_counted(found))


def _counted(found: Sequence[Laid]) -> str:
    """How many texts are as they should be, and how many not."""
    faults = sum(bool(each.fault) for each in found)
    changed = sum(each.is_changed for each in found)
    counts = {
        "to be changed": changed,
        "as they should be": len(found) - changed - faults,
        "unreadable": faults,
    }
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count)


def write(path: Path, text: str) -> None:
    """Put a text in a file's place in one step; its mode stays, and a link still leads to it."""
    target = path.resolve()
    mode = target.stat().st_mode
    with replacing(target) as part:
        part.write_bytes(text.encode())
        part.chmod(mode)
