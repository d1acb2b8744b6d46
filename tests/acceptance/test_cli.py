"""The tool as people have it: only the command and files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Amci = Callable[..., subprocess.CompletedProcess[str]]
ROOMY = 30  # seconds after which a process that hangs is given up


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("AMCI_")}


@pytest.fixture(scope="module")
def amci(commands: Path) -> Amci:
    """Runs `amci`."""

    def run(*arguments: str, home: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [commands / "amci", *arguments, *(["--home", str(home)] if home else [])],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=ROOMY,
            check=False,
        )

    return run


@pytest.fixture(scope="module")
def home(amci: Amci, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with two results, one of them ragged, drained."""
    home = tmp_path_factory.mktemp("acceptance") / "insights"
    assert amci("init", str(home)).returncode == 0
    put(home, "2026-09-21-reach-ver1.csv", "user,cost\nu1,1.5\n")
    put(home, "2026-09-22-reach-ver1.csv", "user,cost\nu1\n")
    drained = amci("drain", home=home)
    assert drained.returncode == 3, drained.stderr
    return home


def put(home: Path, name: str, content: str) -> None:
    path = home / "raw" / "blue-kettle" / "workflow=reach" / "schedule=daily" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{name}.part")
    part.write_text(content, encoding="utf-8")
    part.replace(path)


TABLE = "adtech_amc.blue_kettle_reach_daily_ver1"


def test_what_was_drained_can_be_queried(amci: Amci, home: Path) -> None:
    done = amci("query", f'SELECT "user", cost FROM {TABLE}', "--format", "csv", home=home)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["user,cost", "u1,1.5"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["status"],
        ["lake", "tables"],
        ["lake", "quarantine"],
        ["lake", "check"],
        ["runs", "list"],
        ["runs", "show", "1"],
        ["query", f"SELECT * FROM {TABLE}"],
    ],
    ids=" ".join,
)
def test_json_is_json(amci: Amci, home: Path, arguments: list[str]) -> None:
    done = amci(*arguments, "--json", home=home)
    assert done.returncode == 0, done.stderr
    assert isinstance(json.loads(done.stdout), dict | list)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["query", "SELEC 1"], 2, "SELEC"),
        (["query", "SELECT * FROM nowhere"], 2, "nowhere"),
        (["query", "DROP TABLE amci.objects"], 2, "only read"),
        (["redrive"], 2, "which runs?"),
        (["runs", "show", "4711"], 4, "4711"),
        (["lake", "history", "no-such.csv"], 4, "no-such.csv"),
        (["lake", "reprocess", "--dataset", "nope"], 4, "nope"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_done_is_said_with_its_exit_code(
    amci: Amci, home: Path, arguments: list[str], code: int, says: str
) -> None:
    done = amci(*arguments, home=home)
    assert (done.returncode, says in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr


def test_a_json_error_is_json(amci: Amci, home: Path) -> None:
    done = amci("runs", "show", "4711", "--json", home=home)
    assert done.returncode == 4
    assert "4711" in json.dumps(json.loads(done.stderr or done.stdout))


def test_no_workspace_is_exit_10(amci: Amci, tmp_path: Path) -> None:
    done = amci("status", home=tmp_path)
    assert done.returncode == 10
    assert "amci init" in done.stderr


def test_every_mistake_in_the_configuration_is_named_at_once(amci: Amci, tmp_path: Path) -> None:
    home = tmp_path / "insights"
    assert amci("init", str(home)).returncode == 0
    (home / "config" / "datasets").mkdir(exist_ok=True)
    (home / "config" / "datasets" / "a.yaml").write_text("dataset: a\npatern: x/{file}\n", encoding="utf-8")
    (home / "config" / "datasets" / "b.yaml").write_text(
        "dataset: b\nheavy: nothing_such\n", encoding="utf-8"
    )
    (home / "amci.yaml").write_text("settle: soon\n", encoding="utf-8")
    done = amci("drain", home=home)
    assert done.returncode == 2
    for words in ("did you mean 'pattern'?", "nothing_such", "settle", "duration"):
        assert words in done.stderr


def test_up_takes_what_lands_turns_a_second_writer_away_and_stops_when_told(
    amci: Amci, home: Path, tmp_path: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "amci", "up", "--home", str(home)],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as up:
        assert up.stderr
        guard = threading.Timer(ROOMY, up.kill)
        guard.start()
        lines: Any = iter(up.stderr.readline, "")
        assert any("watching" in line for line in lines)
        busy = amci("drain", home=home)
        assert busy.returncode == 11
        assert f"process {up.pid}" in busy.stderr
        put(home, "2026-09-23-reach-ver1.csv", "user,cost\nu9,9.5\n")
        assert any("heavy succeeded" in line for line in lines)
        found = amci("query", f"SELECT cost FROM {TABLE} WHERE \"user\" = 'u9'", "--json", home=home)
        assert "9.5" in found.stdout
        up.send_signal(signal.SIGTERM)
        for _ in lines:
            pass
        code = up.wait()
        guard.cancel()
    assert code == 0
