"""`amci demo`: executions on the sandbox and deliveries of sample files, and what became of each."""

from __future__ import annotations

import shlex
import shutil
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from amci.app import samples
from amci.app.engine import Engine, open_engine
from amci.app.init import create_workspace
from amci.app.samples import Sample
from amci.cli.demo_executions import go_round
from amci.cli.output import Output
from amci.kernel import log
from amci.kernel.clock import SystemClock
from amci.kernel.config import environment
from amci.kernel.errors import AmciError
from amci.kernel.run import RunStatus
from amci.kernel.workspace import Workspace
from amci.lake.query.session import QuerySession, session


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
        circle = go_round(workspace, environment())
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
    workspace: Workspace,
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
        f"{amci} sql {at}",
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
    workspace: Workspace,
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
