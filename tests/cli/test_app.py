"""The table of commands against the commands themselves."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from amci import __version__
from amci.cli.app import COMMANDS, app, load
from amci.kernel.state import State
from amci.kernel.testing import FakeClock


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_says_of_a_command_what_it_says_of_itself(name: str) -> None:
    command = load(name)
    assert COMMANDS[name][1] == command.help.partition("\n")[0]
    assert name in (command.name, COMMANDS[name][0].rpartition(".")[2].partition(":")[0])


def test_version_prints_the_version_and_stops() -> None:
    done = CliRunner().invoke(app, ["--version"])
    assert (done.exit_code, done.output) == (0, f"{__version__}\n")


def test_a_command_that_is_misspelt_is_an_error_with_a_suggestion() -> None:
    done = CliRunner().invoke(app, ["statu"])
    assert done.exit_code == 2
    assert "Did you mean 'status'?" in done.output


def test_options_that_need_no_check_are_converted_without_pydantic(tmp_path: Path) -> None:
    code = (
        "import sys; from amci.__main__ import main\ntry: main()\nfinally: print('pydantic' in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, "status", "--home", "nowhere"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "nowhere" in run.stderr
    assert run.stdout == "False\n"


@pytest.mark.parametrize(
    ("words", "printed"),
    [
        ([], "None 3 [] here"),
        (
            ["--path", "a/b", "--number", "7", "--many", "x", "--many", "y", "--text", "1"],
            "a/b 7 ['x', 'y'] 1",
        ),
        (["--number", "many"], "Invalid value for '--number'"),
    ],
)
def test_options_are_converted_to_their_types(words: list[str], printed: str) -> None:
    one = typer.Typer()

    @one.command()
    def show(
        path: Path | None = None,
        number: int = 3,
        many: Annotated[list[str] | None, typer.Option()] = None,
        text: str = "here",
    ) -> None:
        typer.echo(f"{path} {number} {many or []} {text}")

    assert printed in CliRunner().invoke(one, words).output


@pytest.mark.parametrize(
    ("arguments", "typed"),
    [
        (["runs", "list", "--tenant", b"\xff"], b""),
        (["query", "-"], b"SELECT '\xff'"),
        (["sql", "check", "-"], b"\xff"),
    ],
    ids=["argument", "statement", "AMC SQL"],
)
def test_what_is_no_text_is_the_users_mistake(tmp_path: Path, arguments: list[str], typed: bytes) -> None:
    (tmp_path / "amci.yaml").write_text("name: example\n")
    (tmp_path / "state").mkdir()
    State.open(tmp_path / "state" / "amci.db", FakeClock()).close()
    command = [sys.executable, "-m", "amci", *arguments, "--home", tmp_path]
    run = subprocess.run(command, input=typed, capture_output=True, check=False)
    assert b"not UTF-8 text" in run.stderr
    assert run.returncode == 2


def test_output_that_nobody_reads_any_more_is_no_error() -> None:
    words = ("schedule", "next", "20000", "--expression", "rate(1 minute)", "--json")
    process = subprocess.Popen(
        [sys.executable, "-m", "amci", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout
    assert process.stderr
    with process:
        assert process.stdout.read(1) == b"["
        process.stdout.close()
        assert (process.stderr.read(), process.wait()) == (b"", 0)


@pytest.mark.parametrize(("given", "expected"), [(None, "1"), ("4", "4")])
def test_numpy_has_one_thread_unless_the_user_says_how_many(given: str | None, expected: str) -> None:
    program = (
        "import contextlib, os, sys\nfrom amci.__main__ import main\nsys.argv = ['amci', '--version']\n"
        "with contextlib.suppress(SystemExit):\n    main()\n"
        "print(os.environ['OPENBLAS_NUM_THREADS'])\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    environment |= {"OPENBLAS_NUM_THREADS": given} if given else {}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == expected
