"""Doing runs from the command line: progress while they run, a report, and the exit code."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import typer

from amci.app.run_completion import complete_runs
from amci.app.session import Configuration, Session
from amci.cli.context import Context
from amci.cli.fork_server import offering
from amci.kernel.errors import ConfigError, StorageError
from amci.kernel.run import Run
from amci.kernel.signals import stopping
from amci.kernel.worker import Tally
from amci.lake.query.inspect import renamed_columns

if TYPE_CHECKING:
    from amci.app.engine import Engine

#: Exit codes: some runs failed, what succeeded is there; a person interrupted.
SOME_FAILED, INTERRUPTED = 3, 130
#: So many headers are told with the names that their columns have.
_NAMED = 5


def report_drain(ctx: Context, *, is_full: bool = False) -> None:
    """Drain and say what became of it, comparing each raw file if `is_full`; exit code 3 where runs failed."""
    with ctx.engine() as engine, ctx.out.progress("draining") as tell, stopping() as stop:
        before = engine.runs.newest()
        done = engine.drain(stop, _counting(tell), is_full=is_full)
        renamed = renamed_columns(engine.state, before)
        doubtful = engine.objects.doubts.doubtful()
    report: dict[str, Any] = {
        "new": done.found.new,
        "succeeded": done.tally.succeeded,
        "skipped": done.tally.skipped,
        "failed": done.tally.failed,
        "unroutable": done.found.unroutable,
        "removed": done.found.removed,
        "settling": done.found.settling,
        "waiting": done.tally.left,
        "doubtful": doubtful,
        **({"columns": renamed} if renamed else {}),
    }
    ctx.out.record(report, _drained(report))
    _exit_with_tally(stop, done.tally)


def _drained(report: dict[str, Any]) -> list[str]:
    ended = ", ".join(f"{report[how]} {how}" for how in ("succeeded", "skipped", "failed"))
    lines = [f"{report['new']} new object versions; runs: {ended}"]
    if report["unroutable"]:
        lines.append(f"{report['unroutable']} matched no dataset")
    if report["failed"] or report["unroutable"]:
        lines.append("`amci lake quarantine` says what could not be used, and why")
    if report["doubtful"]:
        lines.append(f"{report['doubtful']} files may be wrong; `amci lake doubts` says why")
    for table, columns in report.get("columns", {}).items():
        named = [f"'{header}' is {column}" for column, header in columns.items()]
        more = (
            f" and {len(named) - _NAMED} more; `amci lake show {table}` has all"
            if len(named) > _NAMED
            else ""
        )
        lines.append(f"{table}: {', '.join(named[:_NAMED])}{more}")
    if report["removed"]:
        lines.append(f"{report['removed']} raw files are gone; what was loaded of them stays in the lake")
    if report["settling"]:
        lines.append(
            f"{report['settling']} files are still being written; drain again when they are complete"
        )
    if report["waiting"]:
        lines.append(f"{report['waiting']} runs wait for another try; `amci runs list --status pending`")
    return lines


def report_work(ctx: Context, engine: Engine, **also: Any) -> None:
    """Do the runs there are and say what became of them, with what `also` is to be said; exit code 3 if some failed."""
    with ctx.out.progress("working") as tell, stopping() as stop:
        tally = engine.work(stop, _counting(tell))
    ctx.out.record(also | {"succeeded": tally.succeeded, "skipped": tally.skipped, "failed": tally.failed})
    _exit_with_tally(stop, tally)


def watch_until_stopped(ctx: Context) -> Tally:
    """Run until interrupted; with what config/ says by then whenever that changes and can be used."""
    tally: Tally | None = None
    held: Configuration | None = None  # what it worked with
    given: Configuration | None = None  # what it is to go on with
    while True:
        try:
            with (
                ctx.engine(configuration=given) as engine,
                offering(engine.workspace),
                stopping() as stop,
            ):
                held = Configuration(engine.project, engine.session.read_at)
                watched = ", ".join(str(root.path) for root in engine.roots)
                ctx.out.note(f"watching {watched}; stop with Ctrl-C")
                done = engine.up(stop, print_ended_runs(ctx), ctx.out.note)
                tally = tally + done if tally else done
                given = engine.successor
                if not given:
                    return tally
        except (ConfigError, StorageError) as error:
            if held is None or given is None or given.project is held.project:
                raise
            # Such as a root that cannot be made: what it worked with before still holds.
            ctx.out.note(f"{error}\nconfig/ cannot be used like this; going on with what was read before")
            given = Configuration(held.project, given.read_at)
        else:
            ctx.out.note("config/ has changed and is read again")


def finish_runs(
    ctx: Context, session: Session, keys: Sequence[str], *, wait: bool, is_patient: bool = True
) -> list[Run]:
    """The runs with these keys as they stand; with `wait`, when they and what follows from them are done.

    Where another amci is working in this workspace, that one does them and this one looks on. Not `is_patient`:
    a run that waits for something is left to `amci up`, with its reason.
    """
    if wait and keys:
        with stopping() as stop, ctx.out.progress("working") as tell:
            complete_runs(session, keys, ctx.engine, stop, is_patient=is_patient, progress=_counting(tell))
            if stop.is_set():
                raise typer.Exit(INTERRUPTED)
    return session.runs.by_keys(keys)


def exit_if_failed(runs: Iterable[Run]) -> None:
    """Exit with the code that says that runs failed, where some did."""
    if any(run.status == "FAILED" for run in runs):
        raise typer.Exit(SOME_FAILED)


def _exit_with_tally(stop: threading.Event, tally: Tally) -> None:
    """Exit with the code that says how it went, where that is not 0."""
    if stop.is_set():
        raise typer.Exit(INTERRUPTED)
    if tally.failed:
        raise typer.Exit(SOME_FAILED)


def _counting(tell: Callable[[str], None]) -> Callable[[Run], None]:
    """Shows how many runs ended how."""
    counts: dict[str, int] = {}

    def see(run: Run) -> None:
        counts[run.status] = counts.get(run.status, 0) + 1
        tell(", ".join(f"{n:,} {status.lower()}" for status, n in counts.items()))

    return see


def print_ended_runs(ctx: Context) -> Callable[[Run], None]:
    """Shows each run as it ends, a line each."""

    def see(run: Run) -> None:
        if run.status.is_final:
            ctx.out.note(
                f"run {run.run_id} {run.kind} {run.status.lower()}"
                + (f": {run.reason}" if run.reason else "")
            )

    return see
