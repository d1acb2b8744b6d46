"""What every command has: a workspace to find, an output to print to, and the options --home and --json."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, get_type_hints

import typer

from amci.cli.output import Output
from amci.kernel.clock import Clock, SystemClock
from amci.kernel.environment import environment
from amci.kernel.errors import NotFound, UsageError
from amci.kernel.state import State
from amci.kernel.workspace import WorkspacePaths, find

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from amci.app.engine import Engine
    from amci.app.project import Project
    from amci.app.session import Configuration, Session
    from amci.lake.query.kept_session import SessionKeeper
    from amci.lake.query.session import QuerySession

HomeOption = Annotated[
    Path | None, typer.Option("--home", help="Workspace; else AMCI_HOME, else here or above.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
#: Options of several groups of commands.
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
Limit = Annotated[int, typer.Option("--limit", min=1, help="At most so many, newest first.")]
RowsOf = Annotated[str | None, typer.Option("--tenant", help="Only rows of this tenant.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


class Context:
    """What a command works with. Everything heavy is imported when it is asked for."""

    #: Of a process that runs one command after another; see `amci.cli.fork_worker`.
    keeper: ClassVar[SessionKeeper | None] = None

    def __init__(
        self,
        home: Path | None,
        *,
        as_json: bool = False,
        out: Output | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._home = home
        self.out = out or Output(as_json=as_json)
        self.clock = clock or SystemClock()

    @property
    def workspace(self) -> WorkspacePaths:
        """The workspace that is meant; raises NoWorkspace."""
        return find(self._home, environment(), Path.cwd())

    def project(self) -> Project:
        """Its configuration; raises ConfigError."""
        from amci.app.project import load

        return load(self.workspace, environment())

    def engine(
        self, *, is_checked: bool = True, configuration: Configuration | None = None
    ) -> AbstractContextManager[Engine]:
        """The workspace opened for writing; raises WorkspaceBusy, and LakeMismatch if that is checked."""
        from amci.app.engine import open_engine

        return open_engine(
            self.workspace, self.clock, environment(), is_checked=is_checked, configuration=configuration
        )

    def session(self) -> AbstractContextManager[Session]:
        """The workspace opened to look at and to put runs in line, also beside a writing process."""
        from amci.app.session import open_session

        return open_session(self.workspace, self.clock, environment())

    def query_session(
        self, *, tenant: str | None = None, as_of: str | None = None, verifies: bool = False
    ) -> AbstractContextManager[QuerySession]:
        """The workspace's lake, to read only: all of it, or the rows of `tenant`, now or `as_of` a snapshot.

        With `verifies`, files are compared with their checksums before they are read.
        """
        from amci.kernel.config import read_settings
        from amci.lake.query.session import session

        settings = read_settings(self.workspace.settings_file, environment())
        opening = self.keeper.session if self.keeper else partial(session, owns_process=True)
        return opening(
            self.workspace,
            memory_limit=settings.query_memory_limit,
            timeout=settings.query_timeout,
            threads=settings.threads,
            tenant=tenant,
            as_of=as_of,
            verifies=verifies,
        )

    def state(self) -> State:
        """The run store, to look at only, also beside a writing process; NotFound before the first run."""
        if not self.workspace.state.exists():
            raise NotFound(
                "nothing has run in this workspace yet", hint="put files into raw/, then run `amci drain`"
            )
        return State.read_only(self.workspace.state)


def command(
    app: typer.Typer, name: str, **options: Any
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a function `f(ctx: Context, ...)` as a command that also takes --home and --json."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        app.command(name, **options)(_as_typer_wants(function))
        return function

    return register


def without_command(app: typer.Typer, **options: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a function as what a group of commands does when none of them is named; it takes the same options."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        run = _as_typer_wants(function)

        def alone(called: typer.Context, **values: Any) -> None:
            if called.invoked_subcommand is None:
                run(called, **values)
            elif any(values.values()):
                words = f"{called.info_name} {called.invoked_subcommand}"
                raise UsageError(f"options go behind the command: amci {words} …")

        _declare(alone, [*inspect.signature(run).parameters.values()], run.__doc__)
        app.callback(invoke_without_command=True, **options)(alone)
        return function

    return register


def _as_typer_wants(function: Callable[..., None]) -> Callable[..., None]:
    """A function of options alone, --home and --json among them, that makes the context itself.

    A parameter whose type is a dataclass stands for its fields, each an option: what several commands share.
    A command that is called by another one, as by `amci demo`, gets that one's context.
    """
    hints = get_type_hints(function, include_extras=True)
    groups = {name: hint for name, hint in hints.items() if isinstance(hint, type) and is_dataclass(hint)}
    own: list[inspect.Parameter] = []
    for parameter in list(inspect.signature(function).parameters.values())[1:]:
        if parameter.name in groups:
            options = groups[parameter.name]
            hints |= get_type_hints(options, include_extras=True)
            own += inspect.signature(options).parameters.values()
        else:
            own.append(parameter)

    def run(called: typer.Context, **values: Any) -> None:
        own_context = Context(values.pop("home"), as_json=values.pop("json"))
        for name, group in groups.items():
            values[name] = group(**{f.name: values.pop(f.name) for f in fields(group)})
        function(called.obj or own_context, **values)

    added = {"home": (HomeOption, None), "json": (JsonOption, False)}
    parameters = [inspect.Parameter("called", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)]
    parameters += [p.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[p.name]) for p in own]
    parameters += [
        inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY, annotation=a, default=d)
        for n, (a, d) in added.items()
    ]
    _declare(run, parameters, function.__doc__)
    return run


def _declare(run: Callable[..., None], parameters: list[inspect.Parameter], doc: str | None) -> None:
    """Give a function that takes anything the signature and the words typer reads."""
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    run.__doc__ = doc
