"""`amci demo`: the commands of a first day, run on the sandbox and on sample files, each with what it prints."""

from __future__ import annotations

import io
import json
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import typer

from amci.app import samples
from amci.cli.app import app
from amci.cli.context import Context, command
from amci.cli.output import Output
from amci.cli.run_progress import SOME_FAILED
from amci.kernel.errors import AmciError
from amci.kernel.files import new_directory
from amci.kernel.testing import TurnableClock

demo_app = typer.Typer(rich_markup_mode=None)

#: The laptop was closed that long, so a daily schedule has missed a fire.
_CLOSED = timedelta(days=1)


class Console:
    """Runs amci's own commands in one workspace, with a clock that can be turned."""

    def __init__(self, home: Path, out: Output, clock: TurnableClock) -> None:
        self._home = home
        self._out = out
        self._clock = clock
        self.steps: list[dict[str, Any]] = []  #: of JSON output: each `command` and its `output`

    def say(self, line: str) -> None:
        """A line for people."""
        self._out.text(line)

    def run(self, line: str) -> None:
        """Show a command and what it prints."""
        if self._out.as_json:
            self.steps.append({"command": line, "output": self.read(line)})
            return
        self.say(f"$ {line}")
        self._call(line, self._out)
        self.say("")

    def read(self, line: str) -> Any:
        """What a command prints as JSON."""
        printed = io.StringIO()
        self._call(line, Output(as_json=True, stdout=printed))
        return json.loads(printed.getvalue())

    def _call(self, line: str, out: Output) -> None:
        """Some files of the samples are spoilt, so some runs fail. Raises AmciError if the command does."""
        context = Context(self._home, out=out, clock=self._clock)
        code = app(shlex.split(line)[1:], obj=context, standalone_mode=False)
        if code not in (None, 0, SOME_FAILED):
            raise AmciError(f"`{line}` ended with exit code {code}")


@command(demo_app, "demo", epilog="Example: amci demo /tmp/amci-demo")
def demo(
    ctx: Context,
    directory: Annotated[Path | None, typer.Argument(help="Where; a temporary directory by default.")] = None,
) -> None:
    """Make a workspace with sample files of three tenants, load them, and show what became of each.

    DIRECTORY has to be new or empty. A temporary directory stays.
    """
    home = new_directory(directory or Path(tempfile.mkdtemp(prefix="amci-demo-")))
    clock = TurnableClock()
    console = Console(home, ctx.out, clock)
    console.run(f"amci init {shlex.quote(str(home))}")
    console.say(f"$ cd {shlex.quote(str(home))}\n")

    clock.turn(-_CLOSED)
    console.say("The sandbox plays AMC. `amci apply` provisions the tenants and creates the workflows:\n")
    console.run("amci apply")
    clock.turn(_CLOSED)
    console.say("A day passes with the laptop closed. The daily schedule has missed a fire and catches up.")
    console.say("Its executions run, their results come down, and the lake takes them:\n")
    console.run("amci drain")
    console.run("amci schedule history reach-daily")
    console.run("amci exec list")
    console.run("amci lake files")
    executions = {execution["key"]: "loaded" for execution in console.read("amci exec list")}
    insist(executions, console.read("amci lake files"))

    for name, delivery in (("first", samples.first_delivery()), ("second", samples.second_delivery())):
        console.say(f"The {name} delivery puts {len(delivery)} files into raw/:\n")
        samples.write(home / "raw", delivery)
        if not ctx.out.as_json:
            ctx.out.table(["what it is", "file"], [[sample.about, sample.key] for sample in delivery])
            console.say("")
        console.run("amci drain")
        files = f"amci lake files --limit {len(delivery)}"
        console.run(files)
        insist({sample.key: sample.expect for sample in delivery}, console.read(files))

    for asks, sql in _questions():
        console.say(f"{asks}\n")
        console.run(f'amci query "{sql}"')
    if ctx.out.as_json:
        ctx.out.record({"home": str(home), "steps": console.steps, "next": commands(home)})
        return
    console.say(f"The workspace is {home}. Go on with:\n")
    for line in commands(home):
        console.say(f"    {line}")


def insist(expected: Mapping[str, str], files: Iterable[Mapping[str, Any]]) -> None:
    """Raise AmciError if an outcome of `amci lake files` is not the one expected of its key."""
    outcomes = {file["key"]: file["outcome"] for file in files}
    wrong = [
        f"{key}: {outcomes.get(key, 'missing')}, expected {outcome}"
        for key, outcome in expected.items()
        if outcomes.get(key) != outcome
    ]
    if wrong:
        raise AmciError(
            f"{len(wrong)} files did not become what was expected\n" + "\n".join(wrong),
            hint="this is a fault of amci; please report it",
        )


def _questions() -> Iterator[tuple[str, str]]:
    """What the demo asks of the lake, from `demo.sql`: a comment that asks, then the SQL."""
    text = (resources.files("amci.cli") / "demo.sql").read_text(encoding="utf-8")
    for part in text.split("-- ask: ")[1:]:
        asks, _, sql = part.partition("\n")
        yield asks.strip(), sql.strip().rstrip(";")


def commands(home: Path) -> list[str]:
    """What to try next in the workspace at `home`, to be pasted into a shell."""
    amci, at = shlex.quote(_program()), f"--home {shlex.quote(str(home))}"
    return [
        f"{amci} lake tables {at}",
        f"{amci} lake quarantine {at}",
        f"{amci} lake history orders-2026-10-02.csv {at}",
        f"{amci} query {at} 'SELECT tenant, count(*) AS lines FROM shop_shop_orders.orders GROUP BY ALL'",
        f"{amci} schedule next 5 {at}",
        f"{amci} exec run campaign_reach --tenant blue-kettle --window PREVIOUS_MONTH --wait {at}",
        f"{amci} exec list {at}",
        f"{amci} query {at}",
        f"{amci} up {at}",
    ]


def _program() -> str:
    """How this amci was called, if `amci` alone would not find it."""
    called = Path(sys.argv[0])
    found = shutil.which("amci")
    if called.name != "amci" or (found and Path(found).resolve() == called.resolve()):
        return "amci"
    return str(called)
