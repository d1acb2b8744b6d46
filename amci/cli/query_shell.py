"""The SQL shell: a conversation with completion and history, or a script from standard input."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path

from amci.cli.output import Output
from amci.cli.query_output import render
from amci.kernel.clock import stopwatch
from amci.kernel.errors import AmciError, UsageError
from amci.kernel.files import storage_errors
from amci.kernel.signals import stopping
from amci.lake.query.session import QuerySession
from amci.lake.query.statement import is_complete, split

MODES = ("table", "csv", "json")
_PROMPT, _MORE = "amci> ", "   -> "
_HELP = """SQL statements end in ; and may take several lines.
.tables           tables and their number of columns
.schema TABLE     a table's columns and types
.mode MODE        how answers are shown: table, csv or json
.help             this
.quit             leave, as Ctrl-D does; Ctrl-C clears what was typed"""


def converse(session: QuerySession, out: Output, history_file: Path) -> None:
    """Answer statements until there are no more.

    On a terminal: errors are shown and the shell goes on; what was typed stays in `history_file`, mode 0600.
    Elsewhere: the statements of standard input, one after another; the first error ends it and is raised.
    """
    shell = Shell(session, out)
    if not sys.stdin.isatty():
        for statement in _script(sys.stdin.read()):
            shell.do(statement)
        return
    _talk(shell, history_file)


def _script(text: str) -> list[str]:
    """The statements of a script; a line that begins with a dot between statements is a command."""
    found: list[str] = []
    waiting = ""
    for line in text.splitlines(keepends=True):
        if not waiting.strip() and line.startswith("."):
            found.append(line.strip())
            continue
        waiting += line
        if is_complete(waiting):
            found += split(waiting)
            waiting = ""
    return found + split(waiting)


class Shell:
    """What the shell does with one statement or dot-command, wherever it came from."""

    def __init__(self, session: QuerySession, out: Output) -> None:
        self.session = session
        self.out = out
        self.is_over = False
        self._mode = "json" if out.as_json else "table"

    def do(self, text: str) -> None:
        """Answer one statement or dot-command; raises what is wrong with it."""
        if not text.startswith("."):
            render(self.session, text, self._mode, None, self.out)
            return
        name, _, argument = text.rstrip("; ").partition(" ")
        command = self._commands().get(name)
        if command is None:
            raise UsageError(f"there is no command {name}", hint=".help lists them")
        command(argument.strip())

    def try_to_do(self, text: str) -> None:
        """`do`, but an error is shown, and so is how long it took."""
        began = stopwatch()
        try:
            with stopping(is_program=False) as self.session.stop:
                self.do(text)
        except AmciError as error:
            self.out.error(error)
        except KeyboardInterrupt:
            self.out.note("interrupted")
        if not text.startswith("."):
            self.out.note(f"{stopwatch() - began:.3f} s")

    def commands(self) -> list[str]:
        """Names of the dot-commands."""
        return sorted(self._commands())

    def _commands(self) -> dict[str, Callable[[str], None]]:
        return {
            ".help": lambda _: self._help(),
            ".tables": lambda _: self._tables(),
            ".schema": self._schema,
            ".mode": self._set_mode,
            ".quit": lambda _: self._leave(),
            ".exit": lambda _: self._leave(),
        }

    def _help(self) -> None:
        for line in _HELP.splitlines():
            self.out.text(line)

    def _tables(self) -> None:
        rows = [
            {"table": f"{schema}.{table}", "columns": len(columns)}
            for (schema, table), columns in self.session.tables().items()
        ]
        self.out.rows(rows, ["table", "columns"], empty="no tables")

    def _schema(self, name: str) -> None:
        wanted = name.lower().replace('"', "")
        tables = self.session.tables().items()
        found = [(k, v) for k, v in tables if wanted in (k[1].lower(), f"{k[0]}.{k[1]}".lower())]
        if not found:
            raise UsageError(f"there is no table '{name}'", hint=".tables lists them")
        headers = self.session.headers()
        for (schema, table), columns in found:
            self.out.text(f"{schema}.{table}")
            told = headers.get((schema, table), {})
            rows = [{"column": c, "type": kind, "header": told.get(c)} for c, kind in columns]
            self.out.rows(rows, ["column", "type", *(["header"] if told else [])])

    def _set_mode(self, mode: str) -> None:
        if mode not in MODES:
            raise UsageError(f"there is no mode '{mode}'", hint=f"one of {', '.join(MODES)}")
        self._mode = mode

    def _leave(self) -> None:
        self.is_over = True


def _talk(shell: Shell, history_file: Path) -> None:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import WordCompleter
    from prompt_toolkit.filters import Condition
    from prompt_toolkit.history import FileHistory
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
    from prompt_toolkit.lexers import PygmentsLexer

    with storage_errors("keep the shell's history"):
        history_file.parent.mkdir(parents=True, exist_ok=True)
        history_file.touch(mode=0o600)
        history_file.chmod(0o600)
    keys = KeyBindings()

    @Condition
    def is_done() -> bool:
        text = prompt.default_buffer.text
        return text.startswith(".") or not text.strip() or is_complete(text)

    @keys.add("enter", filter=is_done)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    prompt: PromptSession[str] = PromptSession(
        history=FileHistory(str(history_file)),
        completer=WordCompleter(words(shell), ignore_case=True, WORD=True),
        lexer=PygmentsLexer.from_filename("statement.sql"),
        multiline=True,
        key_bindings=keys,
        prompt_continuation=_MORE,
        complete_while_typing=False,
    )
    # Whoever started this may have ignored it, as a shell does for what runs in the background. Between two statements
    # Ctrl-C would be lost then.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    while not shell.is_over:
        try:
            typed = prompt.prompt(_PROMPT)
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        try:
            for statement in _script(typed):
                shell.try_to_do(statement)
        except KeyboardInterrupt:
            # It came between two statements.
            shell.out.note("interrupted")


def words(shell: Shell) -> list[str]:
    """What can be completed: dot-commands, schemas, tables with and without them, columns, keywords."""
    tables = shell.session.tables()
    names = {name for schema, table in tables for name in (schema, table, f"{schema}.{table}")}
    names |= {column for columns in tables.values() for column, _ in columns}
    keywords = shell.session.rows("SELECT upper(keyword_name) AS word FROM duckdb_keywords()")
    return [*shell.commands(), *sorted(names), *sorted(row["word"] for row in keywords)]
