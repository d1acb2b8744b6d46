"""`amci demo`: executions on the sandbox and deliveries of sample files, and what became of each."""

from __future__ import annotations

import shlex
import shutil
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import typer

from amci.app import samples
from amci.app.engine import Engine, open_engine
from amci.app.init import create_workspace
from amci.app.plan import apply, differences
from amci.app.samples import Sample
from amci.cli.context import Context, command
from amci.cli.output import Output
from amci.kernel import log
from amci.kernel.clock import SystemClock
from amci.kernel.environment import environment
from amci.kernel.errors import AmciError
from amci.kernel.run import Run, RunStatus
from amci.kernel.testing import TurnableClock
from amci.kernel.workspace import WorkspacePaths
from amci.lake.query.session import QuerySession, session
from amci.workflows.executions.run_factory import EXECUTE

demo_app = typer.Typer(rich_markup_mode=None)


@command(demo_app, "demo", epilog="Example: amci demo /tmp/amci-demo")
def demo(
    ctx: Context,
    directory: Annotated[Path | None, typer.Argument(help="Where; a temporary directory by default.")] = None,
) -> None:
    """Make a workspace with sample files of three tenants, load them, and show what became of each."""
    show(ctx.out, directory)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOutcome:
    """What became of one file."""

    key: str
    about: str
    expected: str
    outcome: str  #: `loaded`, `replaced`, `skipped`, `quarantined`, or `lost`, which never happens
    rows: int  #: in the lake
    reason: str  #: why not, or which rows were kept out


@dataclass(frozen=True, slots=True)
class Question:
    """A query and what it is good for."""

    asks: str
    sql: str


def show(out: Output, directory: Path | None) -> None:
    """Make a workspace, go round with the sandbox, load two deliveries of samples, and print what became of all.

    `directory` has to be new or empty; without one it is a temporary directory, which stays.
    Raises UsageError where the directory is not empty, AmciError where an outcome is not the expected one.
    """
    home = directory or Path(tempfile.mkdtemp(prefix="amci-demo-"))
    workspace = create_workspace(home)
    clock = SystemClock()
    log.configure(workspace.log, "info", False, clock=clock)
    with out.progress("asking the sandbox"):
        circle = run_executions(workspace, environment())
    deliveries = []
    with open_engine(workspace, clock, environment()) as engine, out.progress("loading") as tell:
        for delivery in (samples.first_delivery(), samples.second_delivery()):
            tell(f"{len(delivery)} files")
            samples.write(workspace.raw, delivery)
            engine.drain(threading.Event())
            deliveries.append(_became(engine, delivery))
    with session(
        workspace,
        memory_limit=engine.project.settings.query_memory_limit,
        timeout=engine.project.settings.query_timeout,
    ) as lake:
        answers = [(question, *_answer(lake, question)) for question in questions()]
    if out.as_json:
        out.record(_document(workspace, deliveries, answers) | circle.document())
    else:
        circle.show(out)
        _print_deliveries(out, deliveries)
        _print_answers(out, workspace, answers)
    insist([file for delivery in deliveries for file in delivery])


def questions() -> list[Question]:
    """The demo's queries, from `demo.sql`: a comment that asks, then the SQL."""
    text = (resources.files("amci.cli") / "demo.sql").read_text(encoding="utf-8")
    found = []
    for part in text.split("-- ask: ")[1:]:
        asks, _, sql = part.partition("\n")
        found.append(Question(asks.strip(), sql.strip().rstrip(";")))
    return found


def _became(engine: Engine, delivery: Sequence[Sample]) -> list[FileOutcome]:
    """What the state and the lake say of each file of a delivery that was just drained."""
    root = engine.roots[0].name
    known = engine.objects.known(root)
    versions = {sample.key: (known[sample.key].object_id, known[sample.key].version) for sample in delivery}
    rows: dict[tuple[int, int], int] = {}
    for entry in engine.catalog.loaded({object_id for object_id, _ in versions.values()}):
        identity = (entry.object_id, entry.version)
        rows[identity] = rows.get(identity, 0) + entry.rows
    refused: dict[tuple[int, int], str] = {}
    partly: dict[tuple[int, int], list[str]] = {}
    for finding in engine.objects.quarantined():
        identity = (finding["object_id"], finding["version"])
        if finding["rows"] is None:
            refused[identity] = finding["reason"]
        else:
            partly.setdefault(identity, []).append(f"{finding['rows']} in quarantine: {finding['reason']}")
    skipped = {
        (run.payload["object_id"], run.payload["version"]): run.reason or ""
        for run in engine.runs.list(status=RunStatus.SKIPPED, limit=-1)
    }

    def outcome(identity: tuple[int, int]) -> tuple[str, str]:
        if identity in rows:
            object_id, version = identity
            earlier = [v for v in engine.objects.versions(object_id) if v["version"] < version]
            is_newer = any(v["loaded_at"] for v in earlier)
            return "replaced" if is_newer else "loaded", "; ".join(sorted(partly.get(identity, [])))
        if identity in refused:
            return "quarantined", refused[identity]
        return ("skipped", skipped[identity]) if identity in skipped else ("lost", "")

    found = []
    for sample in delivery:
        identity = versions[sample.key]
        word, reason = outcome(identity)
        found.append(
            FileOutcome(
                key=sample.key,
                about=sample.about,
                expected=sample.expect,
                outcome=word,
                rows=rows.get(identity, 0),
                reason=reason,
            )
        )
    return found


def _answer(lake: QuerySession, question: Question) -> tuple[list[str], list[Sequence[Any]]]:
    result = lake.run(question.sql)
    return [column[0] for column in result.description or []], [*result.fetchall()]


def _print_deliveries(out: Output, deliveries: Sequence[Sequence[FileOutcome]]) -> None:
    for title, files in zip(("First delivery", "Second delivery"), deliveries, strict=True):
        counts = {word: sum(file.outcome == word for file in files) for word in _words(files)}
        out.text(f"{title}: {len(files)} files, " + ", ".join(f"{n} {word}" for word, n in counts.items()))
        out.text("")
        out.table(
            ["outcome", "rows", "what it is", "reason", "file"],
            [[f.outcome, f.rows or None, f.about, f.reason, f.key] for f in files],
        )
        out.text("")


def _print_answers(
    out: Output,
    workspace: WorkspacePaths,
    answers: Sequence[tuple[Question, list[str], list[Sequence[Any]]]],
) -> None:
    for question, columns, rows in answers:
        out.text(question.asks)
        out.text("")
        for line in question.sql.splitlines():
            out.text(f"    {line}")
        out.text("")
        out.table(columns, rows)
        out.text("")
    out.text(f"The workspace is {workspace.home}. Go on with:")
    out.text("")
    for line in commands(workspace.home):
        out.text(f"    {line}")


def _words(files: Sequence[FileOutcome]) -> list[str]:
    order = ("loaded", "replaced", "skipped", "quarantined", "lost")
    return [word for word in order if any(file.outcome == word for file in files)]


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
    """How this amci was called, where `amci` alone would not find it."""
    called = Path(sys.argv[0])
    found = shutil.which("amci")
    if called.name != "amci" or (found and Path(found).resolve() == called.resolve()):
        return "amci"
    return str(called)


def _document(
    workspace: WorkspacePaths,
    deliveries: Sequence[Sequence[FileOutcome]],
    answers: Sequence[tuple[Question, list[str], list[Sequence[Any]]]],
) -> dict[str, Any]:
    return {
        "home": str(workspace.home),
        "deliveries": [[asdict(file) for file in files] for files in deliveries],
        "answers": [
            {
                "asks": question.asks,
                "sql": question.sql,
                "rows": [dict(zip(columns, row, strict=True)) for row in rows],
            }
            for question, columns, rows in answers
        ],
        "next": commands(workspace.home),
    }


def insist(files: Sequence[FileOutcome]) -> None:
    """Raise AmciError where an outcome is not the expected one."""
    wrong = [f"{f.key}: {f.outcome}, expected {f.expected}" for f in files if f.outcome != f.expected]
    if wrong:
        raise AmciError(
            f"{len(wrong)} files did not become what was expected\n" + "\n".join(wrong),
            hint="this is a fault of amci; please report it",
        )


#: The laptop was closed that long, so a daily schedule has missed a fire.
_CLOSED = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class DemoExecutions:
    """What was done, in the order it was."""

    prepared: Sequence[Run]  #: tenants provisioned, workflows created
    fires: Sequence[Mapping[str, Any]]  #: schedule and moment
    executions: Sequence[Mapping[str, Any]]

    def show(self, out: Output) -> None:
        """For people."""
        out.text("AMC, played by the sandbox: `amci apply` provisions the tenants and creates the workflows.")
        out.text("")
        out.table(["run", "what", "tenant", "status"], [_prepared(run) for run in self.prepared])
        out.text("")
        out.text("A day passes with the laptop closed. The daily schedule has missed a fire and catches up:")
        out.text("")
        out.table(
            ["schedule", "fire time", "decision"],
            [[f["schedule"], f"{f['fire_time']:%Y-%m-%d %H:%M} UTC", f["decision"]] for f in self.fires],
        )
        out.text("")
        out.text("Its executions run, their results come down, and the lake takes them:")
        out.text("")
        out.table(["tenant", "workflow", "status", "rows", "table"], [[*e.values()] for e in self.executions])
        out.text("")

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        prepared = [
            dict(zip(("run", "what", "tenant", "status"), _prepared(r), strict=True)) for r in self.prepared
        ]
        return {"prepared": prepared, "fires": self.fires, "executions": self.executions}


def _prepared(run: Run) -> list[Any]:
    workflow = f" {run.payload['workflow']}" if "workflow" in run.payload else ""
    return [run.run_id, f"{run.payload.get('action', run.kind)}{workflow}", run.tenant_id, run.status.value]


def run_executions(workspace: WorkspacePaths, environ: Mapping[str, str]) -> DemoExecutions:
    """Apply config/ to the sandbox yesterday, close the laptop for a day, and let the schedules catch up.

    Raises AmciError where an execution does not end with its rows in the lake.
    """
    clock = TurnableClock()
    clock.turn(-_CLOSED)
    with open_engine(workspace, clock, environ) as engine:
        prepared = _apply(engine)
        clock.turn(_CLOSED)
        engine.drain(threading.Event())
        return DemoExecutions(prepared, _fires(engine), _executions(engine))


def _apply(engine: Engine) -> list[Run]:
    session = engine.session
    runs = apply(session, differences(session), prune=False, check=False)
    keys = [run.idempotency_key for run in runs]
    engine.finish(keys, threading.Event())
    return session.runs.by_keys(keys)


def _fires(engine: Engine) -> list[dict[str, Any]]:
    return [
        {"schedule": name, "fire_time": past.fire.fire_time, "decision": past.fire.decision.value}
        for name, past in sorted(engine.session.schedules.newest().items())
    ]


def _executions(engine: Engine) -> list[dict[str, Any]]:
    loaded = {entry["key"]: entry for entry in _loaded(engine)}
    found = []
    for run in sorted(engine.runs.list(kind=EXECUTE, limit=-1), key=lambda run: run.run_id):
        result = run.result or {}
        if run.status is not RunStatus.SUCCEEDED or result["key"] not in loaded:
            raise AmciError(
                f"run {run.run_id} did not bring its rows into the lake: {run.status} {run.reason or ''}",
                hint="this is a fault of amci; please report it",
            )
        entry = loaded[result["key"]]
        found.append(
            {
                "tenant": run.tenant_id,
                "workflow": run.payload["request"]["workflow_id"],
                "status": result["execution_status"],
                "rows": entry["rows"],
                "table": entry["table"],
            }
        )
    return found


def _loaded(engine: Engine) -> list[dict[str, Any]]:
    """The results in the lake's own words."""
    columns = ("key", "rows", "table")
    rows = engine.catalog.con.execute(
        "SELECT key, rows, schema_name || '.' || table_name FROM lake.amci.objects"
        " WHERE workflow_execution_id IS NOT NULL"
    ).fetchall()
    return [dict(zip(columns, row, strict=True)) for row in rows]
