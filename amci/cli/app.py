"""The `amci` command: a table of its groups and commands, each imported when it is called."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import core
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

from amci.kernel.version import __version__

#: Name of each group or command → where it is defined, "module:Typer", and the first line of its help.
#: The list of commands is printed from here, so that `amci --help` imports none of them.
COMMANDS = {
    "init": ("amci.cli.work:work_app", "Make a workspace with an example project."),
    "drain": ("amci.cli.work:work_app", "Process everything that is present, then stop."),
    "up": (
        "amci.cli.work:work_app",
        "Watch the raw directories, run schedules and process what there is, until interrupted.",
    ),
    "demo": (
        "amci.cli.demo:demo_app",
        "Make a workspace with sample files of three tenants, load them, and show what became of each.",
    ),
    "status": (
        "amci.cli.overview:overview_app",
        "Counts of objects and runs, and whether a process is working.",
    ),
    "doctor": ("amci.cli.overview:overview_app", "What is wrong, and what to do about it."),
    "backup": (
        "amci.cli.backup:backup_app",
        "Copy the workspace into a new directory, also while amci is at work.",
    ),
    "restore": ("amci.cli.backup:backup_app", "Make a new workspace from a backup, checking each file."),
    "recover": (
        "amci.cli.backup:backup_app",
        "Bring state and catalog together after one was lost or restored alone, and load again what is missing.",
    ),
    "maintenance": (
        "amci.cli.maintenance:maintenance_app",
        "Forget old runs, executions, fires, versions, quarantine and logs, as `keep:` in amci.yaml says.",
    ),
    "uninstall": (
        "amci.cli.uninstall:uninstall_app",
        "Delete amci's workflows in AMC and its credentials here; with --data also what it keeps in this workspace.",
    ),
    "redrive": ("amci.cli.work:work_app", "Queue failed or skipped runs again and process them."),
    "plan": ("amci.cli.plan:plan_app", "What differs between config/, the workspace and AMC."),
    "apply": ("amci.cli.plan:plan_app", "Make the workspace and AMC what config/ says."),
    "query": (
        "amci.cli.query:query_app",
        "Ask the lake in DuckDB SQL; without a statement, in an interactive shell.",
    ),
    "lake": ("amci.cli.lake:lake_app", "The lake: files in, tables out."),
    "runs": ("amci.cli.runs:runs_app", "Runs: what is queued, what ran, what failed."),
    "import": (
        "amci.cli.aws_import:import_app",
        'Take over customers, workflows, schedules, datasets and secrets of "AMC Insights on AWS".',
    ),
    "tenant": ("amci.cli.tenant:tenant_app", "Tenants: advertisers whose results arrive here."),
    "workflow": (
        "amci.cli.workflow:workflow_app",
        "Workflows: the SQL in config/workflows/ and what AMC has of it.",
    ),
    "exec": ("amci.cli.exec:exec_app", "Executions: run workflows in AMC and bring their results."),
    "audience": (
        "amci.cli.audience:audience_app",
        "Audiences: people a query finds, or those who are like them, for the DSP and sponsored ads.",
    ),
    "schedule": ("amci.cli.schedule:schedule_app", "Schedules: what fires when."),
    "auth": (
        "amci.cli.auth:auth_app",
        "Credentials for Amazon, and secrets for notices; kept in one encrypted file.",
    ),
    "fixtures": ("amci.cli.fixtures:fixtures_app", "Recorded answers of AMC, for runs without a network."),
    "sandbox": ("amci.cli.sandbox:sandbox_app", "AMC on this machine."),
    "sql": ("amci.cli.sql:sql_app", "Write, check and run AMC SQL on this machine."),
}


#: Typer's own way; None in a version that has another.
_with_pydantic: Any = getattr(core, "build_runtime_param", None)


class _PlainParam:
    """Converts an option's value as typer does, and imports pydantic only for a type that needs it.

    Typer makes a pydantic adapter even for an option that was not given, and for each command's `--help`. That takes
    0.1 s of the 0.25 s that `amci status` may take.
    """

    def __init__(self, descriptor: Any) -> None:
        self._descriptor = descriptor

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """The value in the option's type; raises typer's BadParameter."""
        kind = self._descriptor.annotation
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        if kind in (str, Path) and isinstance(value, (str, Path)):
            return kind(value)
        return _with_pydantic(self._descriptor).coerce(value, param, ctx)


if _with_pydantic is not None:
    core.build_runtime_param = _PlainParam  # type: ignore[attr-defined, assignment]


class LazyGroup(TyperGroup):
    """The commands of the table; the module of one is imported when that command is called."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = {name: TyperCommand(name, help=about) for name, (_, about) in COMMANDS.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command that `args` name, imported; raises typer's usage error for a name that is unknown."""
        if args[0] in COMMANDS:
            self.commands[args[0]] = load(args[0])
        return super().resolve_command(ctx, args)


def load(name: str) -> Any:
    """Import the group or command of that name; raises KeyError for a name that is not in the table."""
    where, about = COMMANDS[name]
    module, _, attribute = where.partition(":")
    group = get_group(getattr(import_module(module), attribute))
    group.help = about
    # A Typer without a name of its own holds top-level commands.
    return group.commands.get(name, group)


app = typer.Typer(
    cls=LazyGroup,
    name="amci",
    help="Amazon Marketing Cloud Insights on one machine: files in, DuckDB SQL out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and stop.", is_eager=True, callback=_print_version),
    ] = False,
) -> None:
    pass
