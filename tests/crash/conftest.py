"""The real command in a process of its own, which a fault point may kill."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ..command_client import call

Amci = Callable[..., tuple[int, str]]


@pytest.fixture(scope="session")
def amci(command_server: Path, tmp_path_factory: pytest.TempPathFactory) -> Amci:
    """Runs `amci`: its exit code (negative: the signal that ended it) and what it printed.

    `fault` is AMCI_FAULT; `file_limit` is how many bytes a file may have for this process.
    """
    path = tmp_path_factory.mktemp("amci") / "output"

    def run(*arguments: str, fault: str = "", file_limit: int = 0) -> tuple[int, str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AMCI_")}
        with path.open("wb") as output, Path(os.devnull).open("rb") as nothing:
            code = call(
                command_server,
                arguments,
                (nothing.fileno(), output.fileno(), output.fileno()),
                directory=Path.cwd(),
                environment=environment | ({"AMCI_FAULT": fault} if fault else {}),
                file_limit=file_limit,
            )
        return code, path.read_text(encoding="utf-8")

    return run
