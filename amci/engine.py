"""The engine: opens a workspace for writing, puts the packages together, and runs them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from amci import log
from amci.clock import Clock, moment
from amci.errors import AmciError, NotFound
from amci.lake.catalog import Catalog
from amci.lake.heavy import HeavyHandler
from amci.lake.ingest import Found, Ingest
from amci.lake.landing import Root, Settling
from amci.lake.light import LightHandler
from amci.lake.objects import ObjectStore, Quarantined
from amci.lake.reprocess import Reprocess
from amci.lake.router import Router
from amci.lake.rules import Rules
from amci.lake.watch import Hints, as_root, watching
from amci.notify import Notice, Notifier, NotifyTarget, TargetKind
from amci.project import Project, load
from amci.run import Failed, Outcome, RetryPolicy, Run, RunStatus
from amci.runs import RunStore
from amci.state import State
from amci.testing import arm
from amci.worker import Tally, Worker
from amci.workspace import Workspace

_log = log.get("engine")

#: How long `drain` waits for runs that wait for a retry; later ones are left for the next time.
_PATIENCE = timedelta(seconds=30)
#: How often `drain` looks again for files that are still being written before it leaves them.
_LOOKS = 3


@dataclass(frozen=True, slots=True)
class Drained:
    """What a drain found and what became of it."""

    found: Found
    tally: Tally


class Engine:
    """A workspace, opened by the one process that writes to it."""

    def __init__(
        self,
        workspace: Workspace,
        project: Project,
        state: State,
        catalog: Catalog,
        clock: Clock,
        pii_key: bytes | None,
    ) -> None:
        settings = project.settings
        self.workspace = workspace
        self.project = project
        self.state = state
        self.catalog = catalog
        self.clock = clock
        self.runs = RunStore(
            state,
            clock,
            retry={
                AmciError: RetryPolicy(
                    interval=settings.retry_interval,
                    max_delay=settings.retry_max_delay,
                    max_attempts=settings.max_attempts,
                )
            },
        )
        self.objects = ObjectStore(state, clock)
        self.roots = roots(workspace, project)
        self.router = Router(project.datasets.values(), project.tenants)
        self.rules = Rules(
            datasets=project.datasets,
            transforms=project.transforms,
            router=self.router,
            pii_key=pii_key,
            memory_limit=settings.memory_limit,
            threads=settings.threads,
        )
        self.ingest = Ingest(
            roots=self.roots,
            router=self.router,
            state=state,
            objects=self.objects,
            runs=self.runs,
            clock=clock,
            settling=Settling(settings.settle),
        )
        self.reprocess = Reprocess(
            state=state,
            objects=self.objects,
            runs=self.runs,
            rules=self.rules,
            roots=self.roots,
            pre_stage=workspace.pre_stage,
            clock=clock,
        )
        self._notifier = Notifier(_targets(workspace, project))
        self._events = {event for target in settings.notify for event in target.events}
        self._progress: Callable[[Run], None] = lambda _: None
        self._worker = Worker(
            self.runs,
            [
                LightHandler(
                    rules=self.rules,
                    objects=self.objects,
                    roots={root.name: root for root in self.roots},
                    pre_stage=workspace.pre_stage,
                    spill=workspace.spill,
                    batch=settings.batch,
                ),
                HeavyHandler(
                    rules=self.rules,
                    objects=self.objects,
                    runs=self.runs,
                    catalog=catalog,
                    pre_stage=workspace.pre_stage,
                    quarantine=workspace.quarantine,
                    clock=clock,
                    batch=settings.batch,
                ),
            ],
            clock,
            name=f"amci-{os.getpid()}",
            lease=settings.lease,
            on_finished=self._finished,
        )
        for run in self.runs.recover(all_workers=True):
            if run.status is RunStatus.FAILED:
                self._note_failure(run)

    def drain(self, stop: threading.Event, progress: Callable[[Run], None] | None = None) -> Drained:
        """Process everything that is present, then return.

        Files that are still being written are waited for a few settle times; after that they are left, and
        counted as `settling`.
        """
        self._progress = progress or self._progress
        found = self.ingest.look_everywhere()
        tally = self._worker.drain(stop, _PATIENCE)
        looks = 0
        while found.settling and looks < _LOOKS and not stop.is_set():
            self.clock.wait(stop, self.project.settings.settle)
            again = self.ingest.look_everywhere()
            looks = 0 if again.new else looks + 1
            found = Found(
                found.new + again.new,
                found.unroutable + again.unroutable,
                found.removed + again.removed,
                again.settling,
            )
            tally = _sum(tally, self._worker.drain(stop, _PATIENCE))
        return Drained(found, tally)

    def redrive(self, run_ids: Sequence[int], *, all_failed: bool = False) -> list[Run]:
        """Put failed or skipped runs back in line."""
        ids = list(run_ids)
        if all_failed:
            ids += [run.run_id for run in self.runs.list(status=RunStatus.FAILED, limit=-1)]
        return self.runs.redrive(ids)

    def load_again(
        self, *, changed_only: bool, dataset: str | None, since: str | None, dry_run: bool
    ) -> dict[str, Any]:
        """Route what no dataset took, and put objects in line to be loaded again."""
        if dataset and dataset not in self.project.datasets:
            raise NotFound(
                f"no dataset '{dataset}'", hint=f"there are {', '.join(sorted(self.project.datasets))}"
            )
        rows = self.reprocess.select(
            dataset=dataset, since=moment(since) if since else None, changed_only=changed_only
        )
        # Selected before: what finds a place now is put in line by that alone.
        routed = 0 if dry_run else self.ingest.route_again()
        if dry_run:
            return {"routed": routed, "objects": len(rows)}
        again = self.reprocess.put_in_line(rows)
        return {"routed": routed, **asdict(again)}

    def work(self, stop: threading.Event, progress: Callable[[Run], None] | None = None) -> Tally:
        """Do the runs there are, without looking at the roots."""
        self._progress = progress or self._progress
        return self._worker.drain(stop, _PATIENCE)

    def up(self, stop: threading.Event, progress: Callable[[Run], None] | None = None) -> Tally:
        """Watch the roots and process what lands, until `stop` is set."""
        self._progress = progress or self._progress
        hints = Hints()
        stop_watching = watching(self.roots, hints)
        failure: list[BaseException] = []

        def look() -> None:
            try:
                self._look_until(stop, hints)
            except BaseException as error:  # noqa: BLE001 - carried to the thread that waits for it
                failure.append(error)
                stop.set()
                self._worker.wake()

        looking = threading.Thread(target=look, name="ingest")
        looking.start()
        try:
            return self._worker.run(stop)
        finally:
            stop.set()
            hints.arrived.set()
            looking.join()
            stop_watching()
            if failure:
                raise failure[0]

    def _look_until(self, stop: threading.Event, hints: Hints) -> None:
        """Look where events hint, everywhere at the scan interval, and again where files were not still yet."""
        settings = self.project.settings
        self._looked(self.ingest.look_everywhere())
        next_scan = self.clock.now() + settings.scan_every
        unsettled: set[tuple[str, str]] = set()
        while not stop.is_set():
            now = self.clock.now()
            pause = min(next_scan - now, settings.settle) if unsettled else next_scan - now
            self.clock.wait(hints.arrived, max(pause, timedelta(milliseconds=20)))
            folders, renamed = hints.take()
            if self.clock.now() >= next_scan:
                folders, unsettled = {(root.name, "") for root in self.roots}, set()
                next_scan = self.clock.now() + settings.scan_every
            asked, unsettled = folders | unsettled, set()
            for root, folder in sorted(asked):
                found = self.ingest.look(root, folder, renamed={key for r, key in renamed if r == root})
                self._looked(found)
                if found.settling:
                    unsettled.add((root, folder))
            if asked:
                # A burst of events costs one look per settle time, not one per event.
                self.clock.wait(stop, settings.settle / 4)

    def _looked(self, found: Found) -> None:
        if found.new or found.removed:
            _log.info("looked", new=found.new, unroutable=found.unroutable, removed=found.removed)
            self._worker.wake()

    def _finished(self, run: Run, outcome: Outcome) -> None:
        error = outcome.error if isinstance(outcome, Failed) else None
        if run.status is RunStatus.FAILED:
            self._note_failure(run, error.hint if isinstance(error, AmciError) else "")
        elif run.status.is_final:
            self._tell(run.status.lower(), run, run.reason or "")
        if run.result and run.result.get("quality"):
            broken = ", ".join(f"{note['rule']} ({note['rows']} rows)" for note in run.result["quality"])
            self._tell("quality", run, f"quality rules that did not hold: {broken}")
        self._progress(run)

    def _note_failure(self, run: Run, hint: str = "") -> None:
        """A failed run's object is in quarantine, whatever made it fail, and somebody hears of it."""
        object_id, version = run.payload.get("object_id"), run.payload.get("version")
        if (
            object_id is not None
            and version is not None
            and not self.objects.is_quarantined(object_id, version)
        ):
            entry = Quarantined(
                object_id=object_id,
                version=version,
                stage=run.kind,
                reason=run.reason or "failed",
                hint=hint or "see `amci runs show`, then `amci redrive`",
                run_id=run.run_id,
            )
            self.objects.quarantine([entry])
        self._tell("failed", run, run.reason or "")

    def _tell(self, event: str, run: Run, body: str) -> None:
        """Tell those who want to know of this event."""
        if event not in self._events:
            return
        self._notifier.send(
            Notice(
                event=event,
                subject=f"{self.project.settings.name}: run {run.run_id} ({run.kind}) {event}",
                body=body,
                run_id=run.run_id,
                tenant_id=run.tenant_id,
                at=self.clock.now(),
                fields={"kind": run.kind},
            )
        )


@contextmanager
def open_engine(workspace: Workspace, clock: Clock, environ: Mapping[str, str]) -> Iterator[Engine]:
    """The engine of a workspace; raises WorkspaceBusy while another process has it.

    `AMCI_FAULT` in `environ` arms the fault points of crash tests; see `amci.testing`.
    """
    if plan := environ.get("AMCI_FAULT"):
        arm(plan)
    project = load(workspace, environ)
    settings = project.settings
    log.configure(workspace.log, settings.log_level, False, clock=clock)
    with workspace.writing(), State.open(workspace.state, clock) as state:
        catalog = Catalog(workspace, memory_limit=settings.memory_limit, threads=settings.threads)
        try:
            key = environ.get("AMCI_PII_KEY")
            yield Engine(workspace, project, state, catalog, clock, key.encode() if key else None)
        finally:
            catalog.close()


def roots(workspace: Workspace, project: Project) -> list[Root]:
    """The watched directories; those inside the workspace are made where they are missing."""
    found = []
    for root in project.settings.roots:
        path = workspace.home / root.path
        if path.is_relative_to(workspace.home):
            path.mkdir(parents=True, exist_ok=True)
        found.append(as_root(root.name, path, root.watch))
    return found


def _targets(workspace: Workspace, project: Project) -> Sequence[NotifyTarget]:
    return [
        NotifyTarget(
            kind=TargetKind(n.kind),
            path=workspace.home / n.path if n.kind == "file" else None,
            events=frozenset(n.events),
            tenants=frozenset(n.tenants),
        )
        for n in project.settings.notify
    ]


def _sum(first: Tally, second: Tally) -> Tally:
    return Tally(
        succeeded=first.succeeded + second.succeeded,
        skipped=first.skipped + second.skipped,
        failed=first.failed + second.failed,
        returned=first.returned + second.returned,
        lost=first.lost + second.lost,
        left=second.left,
    )
