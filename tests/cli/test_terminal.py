"""Text from outside on its way to a terminal, a pipe, the log and the state file: none obeys it, all take it."""

from __future__ import annotations

import io
import json
import logging
import os
import pty
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from amci.cli.output import Output
from amci.kernel import log
from amci.kernel.errors import ConfigError, Problem, RemoteError
from amci.kernel.notify.notice import Notice, NotifyTarget, TargetKind
from amci.kernel.notify.notifier import Notifier
from amci.kernel.run import NewRun, Skipped
from amci.kernel.runs import RunStore
from amci.kernel.state import State
from amci.kernel.testing import FakeClock
from amci.kernel.text import encodable, json_text, visible

AT = datetime(2026, 1, 2, tzinfo=UTC)
#: What a terminal obeys or hides, and how it is shown.
EVIL = {
    "\x1b[2J": r"\x1b[2J",
    "\x1b]0;title\x07": r"\x1b]0;title\x07",
    "\x9b31m": r"\x9b31m",
    "\x08\x7f": r"\x08\x7f",
    "a\rb": r"a\rb",
    "\u202egnp.exe": r"\u202egnp.exe",
    "\u2066x\u2069": r"\u2066x\u2069",
    "\u061c\u200e\u200b\ufeff": r"\u061c\u200e\u200b\ufeff",
    "\u2028\u2029\x85": r"\u2028\u2029\x85",
    "\U000e0041": r"\U000e0041",
    "\ud800 and \udcff": r"\ud800 and \udcff",
}
FINE = "Grüße, 猫 – 👍🏽 👩‍💻 می‌خواهم\tcafé\r\nend"
FAKE = "failed\namci: all is well\nhint: rm -rf ~"


class Terminal(io.StringIO):
    """As strict as a real one about what UTF-8 has not."""

    is_terminal = True

    def isatty(self) -> bool:
        return self.is_terminal

    def fileno(self) -> int:
        raise OSError

    def write(self, text: str) -> int:
        text.encode()
        return super().write(text)


class Pipe(Terminal):
    is_terminal = False


def printed(how: Any, *, as_json: bool = False, kind: type[Terminal] = Pipe) -> str:
    stdout, stderr = kind(), kind()
    how(Output(as_json=as_json, stdout=stdout, stderr=stderr))
    return stdout.getvalue() + stderr.getvalue()


WAYS = {
    "record": lambda text: lambda out: out.record({"name": text}),
    "key": lambda text: lambda out: out.record({text: [text, {"a": text}]}),
    "lines": lambda text: lambda out: out.record({"name": text}, [f"name {text}"]),
    "row": lambda text: lambda out: out.rows([{"name": text, "n": 1}], ["name", "n"]),
    "column": lambda text: lambda out: out.rows([{text: 1}], [text]),
    "nothing": lambda text: lambda out: out.rows([], ["a"], empty=text),
    "text": lambda text: lambda out: out.text(f"table {text}"),
    "note": lambda text: lambda out: out.note(f"run 1: {text}"),
    "error": lambda text: lambda out: out.error(RemoteError(f"AMC says {text}", hint=f"look at {text}")),
    "problems": lambda text: lambda out: out.error(ConfigError([Problem(text, text, text)])),
}


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("way", WAYS.values(), ids=list(WAYS))
@pytest.mark.parametrize("evil", EVIL, ids=ascii)
def test_a_person_sees_what_a_terminal_would_obey(evil: str, way: Any, *, as_json: bool) -> None:
    text = printed(way(evil), as_json=as_json)
    assert not [sign for sign in text if sign != "\n" and not sign.isprintable()]
    assert as_json or EVIL[evil] in text


@pytest.mark.parametrize("way", ["record", "row", "error"])
@pytest.mark.parametrize("evil", [*EVIL, FINE, FAKE], ids=ascii)
def test_json_stays_json_and_says_the_same(evil: str, way: str) -> None:
    document = json.loads(printed(WAYS[way](evil), as_json=True))
    found = document[0] if isinstance(document, list) else document
    assert found.get("name", found.get("message", "").removeprefix("AMC says ")) == evil


@pytest.mark.parametrize("way", WAYS.values(), ids=list(WAYS))
def test_letters_of_all_languages_stay(way: Any) -> None:
    assert "Grüße, 猫 – 👍🏽 👩‍💻 می‌خواهم" in printed(way(FINE))


@pytest.mark.parametrize("way", WAYS.values(), ids=list(WAYS))
def test_no_line_passes_for_one_of_amcis_own(way: Any) -> None:
    lines = printed(way(FAKE)).splitlines()
    assert not [line for line in lines[1:] if line.startswith("amci:")]
    assert not [line for line in lines if line.startswith("hint: rm")]


@pytest.mark.parametrize("kind", [Terminal, Pipe])
def test_csv_is_written_as_it_is_but_for_a_terminal(kind: type[Terminal]) -> None:
    stdout = kind()
    Output(stdout=stdout).stdout.write("a\r\n\x1b[2J\r\n")
    assert stdout.getvalue() == ("a\r\n\\x1b[2J\r\n" if kind is Terminal else "a\r\n\x1b[2J\r\n")


@pytest.mark.parametrize("evil", [*EVIL, "[red]", "[/nothing]"], ids=ascii)
def test_progress_shows_it_too(evil: str) -> None:
    stderr = Terminal()
    with Output(stderr=stderr).progress(f"doing {evil}") as tell:
        tell(evil)
    for sign in ("\x1b[2J", "\x1b]0", "\x9b", "\u202e", "\u2066", "\ud800"):
        assert sign not in stderr.getvalue().replace("\x1b[2K", "")


@pytest.mark.parametrize("evil", EVIL, ids=ascii)
def test_every_place_that_keeps_text_takes_it(evil: str, tmp_path: Path) -> None:
    clock = FakeClock()
    log.configure(tmp_path / "amci.jsonl", "INFO", to_stderr=False)
    log.get("x").info("seen", file=evil, more=[evil])
    logging.getLogger("amci").handlers[-1].flush()
    [line] = (tmp_path / "amci.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["file"] == evil
    assert "\x1b" not in line
    log.configure(None, "INFO", to_stderr=False)

    notice = Notice(event="failed", subject=evil, body=evil, at=AT, fields={"file": evil})
    json.dumps(notice.document(), ensure_ascii=False).encode() if not set(evil) & set(
        "\ud800\udcff"
    ) else None
    Notifier([NotifyTarget(kind=TargetKind.FILE, path=tmp_path / "n")]).send(notice)
    assert json.loads((tmp_path / "n").read_bytes())["body"] == encodable(evil)

    with State.open(tmp_path / "amci.db", clock) as state:
        runs = RunStore(state, clock)
        runs.create([NewRun(idempotency_key=f"x:{evil}", kind="k", payload={"file": evil}, tenant_id=evil)])
        [run] = runs.claim(("k",), "w", AT - AT.replace(year=2025), 1)
        runs.finish([run], {run.run_id: Skipped(evil)})
        assert runs.get(run.run_id).reason == encodable(evil)
        with state.transaction() as db:
            db.executemany("UPDATE runs SET reason = ? WHERE run_id = ?", [(evil, run.run_id)])
        state.write("UPDATE runs SET reason = :reason", {"reason": evil})
        assert runs.get(run.run_id).reason == encodable(evil)


def test_what_is_written_out_is_written_out_once() -> None:
    assert visible(visible("\x1b")) == r"\x1b"
    assert json.loads(json_text({"a": "\x7f\x9b\u202e\ud800"})) == {"a": "\x7f\x9b\u202e\ud800"}


@pytest.mark.parametrize("arguments", [["runs", "\x1b[2J"], ["\x1b[2J"], ["query", "--\u202e"]], ids=ascii)
def test_a_wrong_argument_is_shown_on_a_real_terminal(arguments: list[str]) -> None:
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "amci", *arguments], stderr=follower, stdin=follower
    ) as process:
        os.close(follower)
        seen = b""
        with suppress(OSError):  # its end, on Linux
            while piece := os.read(leader, 4096):
                seen += piece
        assert process.wait() == 2
    os.close(leader)
    assert b"\\x1b[2J" in seen or b"\\u202e" in seen
    assert b"\x1b" not in seen
    assert "\u202e".encode() not in seen
