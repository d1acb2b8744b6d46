from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from amci.app.init import create_workspace
from amci.cli.context import Context, command
from amci.kernel.errors import NotFound, NoWorkspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """Options that commands share."""

    first: Annotated[str, typer.Option(help="The first.")]
    second: Annotated[str, typer.Option("--other", help="Another.")] = "world"


@pytest.fixture
def app() -> typer.Typer:
    """Some commands, so that typer asks for their names."""
    found = typer.Typer()

    @command(found, "where", epilog="Example: where")
    def where(ctx: Context) -> None:
        """Say where."""
        ctx.out.record({"home": str(ctx.workspace.home)})

    @command(found, "add")
    def add(ctx: Context, first: int, *, second: Annotated[int, typer.Option(help="Another.")] = 1) -> None:
        """Add two numbers."""
        ctx.out.record({"sum": first + second})

    @command(found, "join")
    def join(ctx: Context, options: Words, *, end: str = ".") -> None:
        """Join words."""
        ctx.out.record({"text": f"{options.first} {options.second}{end}"})

    return found


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("AMCI_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    return create_workspace(tmp_path / "w").home


def said(app: typer.Typer, *arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_command_keeps_its_own_parameters_and_help(app: typer.Typer) -> None:
    assert said(app, "add", "2") == "sum: 3\n"
    assert json.loads(said(app, "add", "2", "--second", "5", "--json")) == {"sum": 7}
    text = said(app, "add", "--help")
    for part in ("Add two numbers.", "--second", "--home", "--json"):
        assert part in text


def test_a_parameter_that_is_a_dataclass_stands_for_its_fields(app: typer.Typer) -> None:
    assert said(app, "join", "--first", "hello") == "text: hello world.\n"
    assert said(app, "join", "--first", "hello", "--other", "you", "--end", "!") == "text: hello you!\n"
    assert CliRunner().invoke(app, ["join"]).exit_code == 2
    assert "The first." in said(app, "join", "--help")


def test_the_workspace_is_the_one_named_else_the_environments_else_the_one_around(
    app: typer.Typer, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = create_workspace(tmp_path / "other").home
    monkeypatch.chdir(home / "raw")
    assert said(app, "where") == f"home: {home}\n"
    monkeypatch.setenv("AMCI_HOME", str(other))
    assert said(app, "where") == f"home: {other}\n"
    assert json.loads(said(app, "where", "--json", "--home", str(home))) == {"home": str(home)}


def test_without_a_workspace_every_command_says_how_to_make_one(
    app: typer.Typer, home: Path, tmp_path: Path
) -> None:
    with pytest.raises(NoWorkspace) as refused:
        said(app, "where", "--home", str(tmp_path))
    assert "amci init" in refused.value.hint


def test_the_run_store_is_not_found_before_the_first_run(home: Path) -> None:
    with pytest.raises(NotFound, match="nothing has run"):
        Context(home, as_json=False).state()
