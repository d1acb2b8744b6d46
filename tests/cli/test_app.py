"""The table of commands against the commands themselves."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from amci import __version__
from amci.cli.app import COMMANDS, app, load


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
