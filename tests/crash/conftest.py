"""The real command in a process of its own, which a fault point may kill, or whose disk may refuse."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from amci.kernel.testing import TurnableClock
from amci.sandbox.data.world import World
from amci.sandbox.options import SandboxOptions

from ..command_client import call
from ..conftest import command_server_in

Amci = Callable[..., tuple[int, str]]


@pytest.fixture(scope="session")
def amci(command_server: Path, tmp_path_factory: pytest.TempPathFactory) -> Amci:
    """Runs `amci`: its exit code (negative: the signal that ended it) and what it printed.

    `fault` is AMCI_FAULT; `file_limit` is how many bytes a file may have for this process.
    """
    path = tmp_path_factory.mktemp("amci") / "output"

    def run(*arguments: str, fault: str = "", file_limit: int = 0) -> tuple[int, str]:
        more = {"AMCI_FAULT": fault} if fault else {}
        return _run(command_server, arguments, path, more, file_limit=file_limit)

    return run


@pytest.fixture(scope="session")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., tuple[int, str, list[str]]]]:
    """Runs `amci` on a disk that refuses: `(home, number, *arguments)` → exit code, what it printed, all calls.

    The call with this number fails with EIO, none if it is 0; if it is negative, all later ones of its kind
    fail, too. Calls that change a file are counted, or, with `reads=True`, those that read one. A call is a line such
    as `fsync state/amci.db-wal`.
    """
    folder = tmp_path_factory.mktemp("refusing")
    library, names = folder / "failing_calls.so", folder / "calls"
    source = Path(__file__).with_name("failing_calls.c")
    subprocess.run([_compiler(), "-shared", "-fPIC", "-o", library, source], check=True)
    with command_server_in(folder, LD_PRELOAD=str(library)) as server:

        def run(
            home: Path, number: int, *arguments: str, reads: bool = False, below: Path | None = None
        ) -> tuple[int, str, list[str]]:
            plan = {"FAILING_CALLS": f"{'r' if reads else 'w'}{number}:{names}:{below or home}"}
            code, said = _run(server, [*arguments, "--home", str(home)], folder / "output", plan)
            return code, said, names.read_text(encoding="utf-8").splitlines()

        yield run


def _run(
    server: Path, arguments: Sequence[str], path: Path, more: Mapping[str, str], *, file_limit: int = 0
) -> tuple[int, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AMCI_")}
    with path.open("wb") as output, Path(os.devnull).open("rb") as nothing:
        code = call(
            server,
            arguments,
            (nothing.fileno(), output.fileno(), output.fileno()),
            directory=Path.cwd(),
            environment=environment | more,
            file_limit=file_limit,
        )
    return code, path.read_text(encoding="utf-8")


def _compiler() -> str:
    """The C compiler, installed first if this user may."""
    if not shutil.which("cc") and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "install", "--yes", "--quiet", "gcc", "libc6-dev"], check=False)
    found = shutil.which("cc") or shutil.which("gcc")
    assert found, "these tests need a C compiler: apt-get install gcc libc6-dev"
    return found


@pytest.fixture(scope="session")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Few events, where the sandbox looks for its usual ones: it starts quickly then."""
    folder, usual = tmp_path_factory.mktemp("few"), SandboxOptions()
    world = World(directory=folder, seed=usual.seed, scale=0.003, days=8)
    world.prepare(TurnableClock().now().date())
    world.folder.rename(World(directory=folder, seed=usual.seed, scale=usual.scale, days=usual.days).folder)
    return folder
