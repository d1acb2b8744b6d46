"""Commands that are run by a process which is ready for them, as if they ran by themselves."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from amci.cli import fork_client, fork_server
from amci.cli.fork_client import SOCKET, TAKEN, hand_over
from amci.kernel.child_process import start
from amci.kernel.workspace import WorkspacePaths
from amci.lake.catalog.catalog import Catalog

#: Long enough to be interrupted.
ENDLESS = "SELECT count(*) FROM range(100000000) a, range(100000) b WHERE a.range * b.range % 7 = 3"
#: `amci`, which then tells whether it has run the command by itself.
PROGRAM = (
    "import sys; from amci.__main__ import main; from amci.cli import fork_client\n"
    "fork_client.PATIENCE = 60\n"
    "try: main()\n"
    "finally: sys.stderr.write(' '.join({'typer', 'typing', 're'} & set(sys.modules)))"
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # Longer than the address of a socket may be.
    home = tmp_path_factory.mktemp("-".join(["workspace"] * 12))
    (home / "amci.yaml").write_text("name: example\nthreads: 1\n")
    Catalog(WorkspacePaths(home), memory_limit=2**28, threads=1).close()
    return home


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[int]:
    """The id of the process that serves the workspace, as long as `amci up` would run."""
    with fork_server._listener(home / SOCKET) as listener:
        process = start("amci.cli.fork_server", str(home), stdin=listener.fileno(), stdout=subprocess.PIPE)
    with process:
        assert process.stdout
        assert process.stdout.read(1)
        yield process.pid


def amci(home: Path, *words: Any, **options: Any) -> tuple[int, bytes, bytes]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words], cwd=home, capture_output=True, check=False, **options
    )
    return done.returncode, done.stdout, done.stderr


def begun(home: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> socket.socket:
    """A command that another process has begun to run."""
    monkeypatch.chdir(home)
    monkeypatch.setattr(fork_client, "PATIENCE", 60)
    with Path(os.devnull).open("r+") as nothing, monkeypatch.context() as streams:
        for name in ("stdin", "stdout", "stderr"):
            streams.setattr(sys, name, nothing)
        taken = fork_client._taken(["amci", *words])
    assert taken
    return taken


def ended(command: socket.socket) -> int:
    with command, command.makefile("rb") as said:
        return int(said.readline())


@pytest.mark.parametrize(
    ("words", "typed", "expected"),
    [
        (["query", "SELECT 'größe' AS a, NULL AS b", "--format", "csv"], b"", (0, "a,b\r\ngröße,\r\n".encode(), b"")),
        (["query", "-"], b"SELECT 40 + 2 AS answer", (0, b"answer\n------\n    42\n(1 row)\n", b"")),
        (["query", "SELEC 1", "--json"], b"", (2, b"", b'{"error": "QueryError", "message": ')),
        (["query", "SELECT 1", "--nope"], b"", (2, b"", b"Usage: ")),
        (["lake", "tables"], b"", (0, b"no", b"")),
    ],
    ids=["csv", "standard input", "mistake", "usage", "tables"],
)  # fmt: skip
def test_a_command_does_what_it_does_by_itself(
    server: int, home: Path, words: list[str], typed: bytes, expected: tuple[int, bytes, bytes]
) -> None:
    code, out, err = amci(home, *words, input=typed)
    assert (code, out[: len(expected[1])], err[: len(expected[2])]) == expected
    assert b"typ" not in err.splitlines()[-1:]


def test_it_has_the_directory_the_mask_and_the_variables_of_its_caller(
    server: int, home: Path, tmp_path: Path
) -> None:
    words = ("query", "SELECT 1 AS a", "--format", "csv", "-o", "a.csv")
    variables = {**os.environ, "AMCI_HOME": str(home)}
    assert amci(tmp_path, *words, umask=0o077, env=variables) == (0, b"", b"")
    assert (tmp_path / "a.csv").read_bytes() == b"a\r\n1\r\n"
    assert (tmp_path / "a.csv").stat().st_mode & 0o777 == 0o600


def test_nobody_has_to_read_what_it_writes(server: int, home: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "query", "FROM range(100000)", "--format", "csv"],
        cwd=home, stdout=writing, stderr=subprocess.PIPE, check=False,
    )  # fmt: skip
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_signal_to_the_caller_reaches_the_command(
    server: int, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = begun(home, monkeypatch, "query", ENDLESS)
    command.sendall(bytes([signal.SIGINT]))
    # Before the command listens to it, it ends as while Python imports.
    assert ended(command) in {130, -signal.SIGINT}


def test_a_command_that_is_killed_takes_nothing_with_it(
    server: int, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def workers() -> set[int]:
        return {int(pid) for pid in Path(f"/proc/{server}/task/{server}/children").read_text().split()}

    # That of a caller who is not there any more is ended as well; its place is another one's.
    begun(home, monkeypatch, "query", ENDLESS).close()
    command = begun(home, monkeypatch, "query", ENDLESS)
    for worker in workers():
        os.kill(worker, signal.SIGKILL)
    assert ended(command) == -signal.SIGKILL
    assert amci(home, "query", "SELECT 1 AS a", "--format", "csv")[:2] == (0, b"a\r\n1\r\n")


def test_the_caller_ends_as_the_command_did(tmp_path: Path) -> None:
    program = (
        "import socket, sys; from amci.cli import fork_client\n"
        "ours, theirs = socket.socketpair()\n"
        "theirs.sendall(sys.argv[1].encode()); theirs.close()\n"
        "sys.exit(fork_client._outcome(ours))"
    )
    found = {
        said: subprocess.run([sys.executable, "-c", program, said], capture_output=True, check=False)
        for said in ("3\n", "-9\n", "")
    }
    assert [run.returncode for run in found.values()] == [3, -9, 1]
    assert b"ended from outside\nhint: " in found[""].stderr


@pytest.mark.parametrize("change", ["zone", "nobody listens", "too much", "no socket"])
def test_anything_unusual_leaves_the_command_to_its_caller(
    server: int, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    monkeypatch.chdir(home)
    if change == "zone":
        monkeypatch.setenv("TZ", "Asia/Tokyo")
    elif change == "too much":
        monkeypatch.setenv("MUCH", "x" * fork_client.MOST)
    else:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "amci.yaml").touch()
        (tmp_path / "state").mkdir()
        if change == "nobody listens":
            fork_server._listener(tmp_path / SOCKET).close()
    with Path(os.devnull).open("r+") as nothing:
        for name in ("stdin", "stdout", "stderr"):
            monkeypatch.setattr(sys, name, nothing)
        assert hand_over(["amci", "query", "SELECT 1"]) is None


@pytest.fixture
def terminal() -> Iterator[None]:
    """Standard input is a terminal."""
    before, ends = os.dup(0), os.openpty()
    os.dup2(ends[1], 0)
    yield
    os.dup2(before, 0)
    for file in (before, *ends):
        os.close(file)


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize(
    ("words", "is_meant"),
    [
        (["query", "SELECT 1", "--format=csv"], True),
        (["query", "--tenant", "acme"], False),
        (["query", "-"], False),
        (["query", "SELECT 1", "--later"], False),
        (["runs", "list"], True),
        (["runs", "cancel", "1"], False),
        (["lake"], False),
        (["up"], False),
        ([], False),
    ],
)
def test_on_a_terminal_only_what_asks_nothing_is_handed_over(words: list[str], is_meant: bool) -> None:
    assert fork_client._is_meant(words) is is_meant


def test_the_first_command_starts_the_server_and_each_until_then_runs_by_itself(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, writing = os.pipe()
    started: list[socket.socket] = []

    class Process:
        stdout = os.fdopen(reading, "rb")

        def wait(self, _: float) -> None:
            pass

    def begin(*_: str, stdin: int, stdout: int) -> Process:
        started.append(socket.socket(fileno=os.dup(stdin)))
        return Process()

    monkeypatch.setattr(fork_server, "start", begin)
    monkeypatch.setattr(fork_client, "PATIENCE", 60)
    (tmp_path / "state").mkdir()
    with fork_server.offering(WorkspacePaths(tmp_path)):
        assert (tmp_path / SOCKET).stat().st_mode & 0o777 == 0o600
        for _ in range(2):
            with fork_client._connected(str(tmp_path)) as sent_away:
                assert sent_away.recv(1) == b""
        (listener,) = started
        os.write(writing, b".")
        with fork_client._connected(str(tmp_path)) as waiting, listener:
            listener.setblocking(True)
            with listener.accept()[0] as taken:
                taken.sendall(TAKEN)
            assert waiting.recv(2) == TAKEN
        os.close(writing)
    assert not (tmp_path / SOCKET).exists()
