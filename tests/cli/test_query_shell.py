from __future__ import annotations

import os
import pty
import re
import select
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from amci.app.init import create_workspace
from amci.cli.output import Output
from amci.cli.query_shell import Shell, _talk
from amci.kernel.workspace import WorkspacePaths
from amci.lake.catalog.catalog import Catalog
from amci.lake.query.session import session

MIB = 1024 * 1024
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07]*\x07|[=>()][0-9A-B]?)")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = create_workspace(tmp_path_factory.mktemp("shell") / "w")
    Catalog(WorkspacePaths(workspace.home), memory_limit=256 * MIB, threads=1).close()
    return workspace.home


def script(home: Path, text: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "amci", "query", "--home", str(home), *options],
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


class Terminal:
    """`amci query` on a pseudo-terminal: what is typed goes in, what appears is waited for."""

    def __init__(self, home: Path) -> None:
        self._leader, follower = pty.openpty()
        path = os.ttyname(follower)
        # A shell that leads its session and opens the terminal has it as its own, so that Ctrl-C arrives.
        self.process = subprocess.Popen(
            [
                "/bin/sh",
                "-c",
                'exec "$0" -m amci query --home "$1" <"$2" >"$2" 2>&1',
                sys.executable,
                str(home),
                path,
            ],
            start_new_session=True,
            env=os.environ | {"TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1", "COLUMNS": "120"},
        )
        self._follower = follower
        self._seen = ""

    def type(self, text: str) -> None:
        os.write(self._leader, text.encode())

    def expect(self, pattern: str, seconds: float = 20) -> str:
        """What appeared up to and with `pattern`; fails after `seconds`."""
        until = time.monotonic() + seconds
        while not (match := re.search(pattern, plain := _ESCAPES.sub("", self._seen))):
            left = until - time.monotonic()
            if left <= 0 or not select.select([self._leader], [], [], left)[0]:
                pytest.fail(f"no {pattern!r} in {plain!r}")
            self._seen += os.read(self._leader, 65536).decode(errors="replace")
        self._seen = plain[match.end() :]
        return plain[: match.end()]

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        os.close(self._leader)
        os.close(self._follower)


@pytest.fixture
def terminal(home: Path) -> Iterator[Terminal]:
    found = Terminal(home)
    yield found
    found.close()


def test_on_a_terminal_statements_are_answered_until_ctrl_d(home: Path, terminal: Terminal) -> None:
    terminal.expect("amci>")
    terminal.type("SELECT 40 + 2 AS answer,\r")
    terminal.expect("->")
    terminal.type("7 AS more;\r")
    terminal.expect(r"answer +more\s+-+ +-+\s+42 +7\s+\(1 row\)\s+\d\.\d+ s")
    terminal.expect("amci>")
    terminal.type("SELECT nope;\r")
    terminal.expect("amci: .*nope")
    terminal.expect("hint: ")
    terminal.expect("amci>")
    terminal.type("half a statement\x03")
    terminal.expect("amci>")
    terminal.type("SELECT 5 AS five;\r")
    terminal.expect(r"five\s+-+\s+5\s")
    terminal.expect("amci>")
    terminal.type(".mode csv\r")
    terminal.expect("amci>")
    terminal.type("SELECT 1 AS a, 2 AS b;\r")
    terminal.expect(r"a,b\s+1,2\s")
    terminal.expect("amci>")
    terminal.type("\x04")
    assert terminal.process.wait(30) == 0
    history = home / "state" / "sql_history"
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    assert "+7 AS more;" in history.read_text()


def test_ctrl_c_stops_a_query_and_the_shell_goes_on(terminal: Terminal) -> None:
    terminal.expect("amci>")
    terminal.type(
        "SELECT 'be' || 'gun' AS w; SELECT count(*) FROM range(100000000000) r WHERE hash(r) = 1;\r"
    )
    terminal.expect("begun")
    terminal.expect(r"\d s")
    terminal.type("\x03")
    terminal.expect("interrupted")
    terminal.expect("amci>")
    terminal.type(".quit\r")
    assert terminal.process.wait(30) == 0


def test_ctrl_c_is_heard_between_statements_whoever_started_the_shell(home: Path, tmp_path: Path) -> None:
    heard = []

    class Asked(Shell):
        def try_to_do(self, text: str) -> None:
            heard.append((text, signal.getsignal(signal.SIGINT)))
            self.is_over = True

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell does for what runs in the background
    try:
        with (
            session(WorkspacePaths(home), timeout=timedelta(seconds=60), memory_limit=256 * MIB) as lake,
            create_pipe_input() as keys,
            create_app_session(input=keys, output=DummyOutput()),
        ):
            keys.send_text("SELECT 1;\r")
            _talk(Asked(lake, Output()), tmp_path / "history")
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard == [("SELECT 1", signal.default_int_handler)]


def test_tables_columns_keywords_and_commands_are_completed(terminal: Terminal) -> None:
    terminal.expect("amci>")
    for begun, whole in (
        ("amci.obj", "amci.objects"),
        ("workflow_exec", "workflow_execution_id"),
        (".sch", ".schema"),
    ):
        terminal.type(f"{begun}\t")
        assert terminal.expect(re.escape(whole.removeprefix(begun)))
        terminal.type("\x03")
        terminal.expect("amci>")


def test_a_script_runs_one_statement_after_another(home: Path) -> None:
    done = script(home, ".mode csv\nSELECT ';' AS a;\n-- why\nSELECT 2 AS b,\n  3 AS c; SELECT 4 AS d")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "a\n;\nb,c\n2,3\nd\n4\n"


def test_the_first_error_ends_a_script_with_its_exit_code(home: Path) -> None:
    done = script(home, ".mode csv\nSELECT 1 AS a;\nDELETE FROM amci.objects;\nSELECT 2 AS b;")
    assert done.returncode == 2
    assert done.stdout == "a\n1\n"
    assert done.stderr.startswith("amci: DELETE is not allowed")
    assert "hint: " in done.stderr


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (".help", ".schema TABLE"),
        (".tables", "amci.objects"),
        (".schema objects", "workflow_execution_id  VARCHAR"),
        (".schema AMCI.Objects;", "workflow_execution_id  VARCHAR"),
    ],
)
def test_dot_commands_tell_what_there_is(home: Path, command: str, says: str) -> None:
    done = script(home, command)
    assert done.returncode == 0
    assert says in done.stdout


@pytest.mark.parametrize("command", [".nope", ".mode xml", ".schema nowhere"])
def test_a_wrong_dot_command_is_refused_with_a_hint(home: Path, command: str) -> None:
    done = script(home, command)
    assert (done.returncode, done.stdout) == (2, "")
    assert "hint: " in done.stderr


def test_a_script_answers_in_json_on_demand(home: Path) -> None:
    assert script(home, "SELECT 1 AS a", "--json").stdout == '[\n{"a": 1}\n]\n'


def test_the_shell_is_still_found_where_it_was_with_a_note(home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "amci", "sql", "--home", str(home)],
        input="SELECT 1 AS one;",
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "deprecated: the shell of the lake is `amci query` now\n")
    assert done.stdout == script(home, "SELECT 1 AS one;").stdout


@pytest.mark.parametrize("options", [("--format", "csv"), ("--output", "rows.csv")])
def test_the_shell_refuses_options_of_a_single_query(home: Path, options: tuple[str, str]) -> None:
    done = script(home, "SELECT 1;", *options)
    assert done.returncode == 2
    assert "--format and --output need a statement" in done.stderr
    assert done.stdout == ""
