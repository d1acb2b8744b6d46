"""The engine: opens a workspace for writing, and does the work there is."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from amci.app.handlers import amc_handlers, lake_handlers
from amci.app.project import Project, fingerprint, tenant_root
from amci.app.repair import Repair
from amci.app.retention import Retention
from amci.app.session import Configuration, Session, open_session, read_configuration
from amci.kernel import log
from amci.kernel.clock import Clock, moment
from amci.kernel.errors import AmciError, NotFound, StorageError
from amci.kernel.files import storage_errors
from amci.kernel.notify.notice import NOTIFY
from amci.kernel.run import Done, Failed, Outcome, Run, RunStatus, Snooze
from amci.kernel.testing import arm
from amci.kernel.worker import Tally, Worker
from amci.kernel.workspace import WorkspacePaths
from amci.lake.catalog.catalog import Catalog
from amci.lake.datasets.router import Router
from amci.lake.landing.content_check import ContentCheck
from amci.lake.landing.folder_events import as_root
from amci.lake.landing.folder_times import FolderTimes
from amci.lake.landing.ingest import Ingest, IngestCounts, object_version
from amci.lake.landing.object_store import ObjectStore, Quarantined
from amci.lake.landing.roots import Root, Settling
from amci.lake.landing.watcher import RawWatcher
from amci.lake.loading.forgetting import named
from amci.lake.loading.reprocess import Reprocess
from amci.lake.loading.rules import Rules

_log = log.get("engine")

#: How long `drain` waits for runs that wait for a retry; later ones are left for the next time.
_PATIENCE = timedelta(seconds=30)
_FOR_EVER = timedelta(days=36500)
#: How often `drain` looks again for files that are still being written before it leaves them.
_LOOKS = 3
#: How often `up` asks the scheduler, at least: schedules may be paused or fired by another process.
_TICK = timedelta(seconds=1)
#: How often `up` compares contents.
_CONTENTS = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Drained:
    """What a drain found and what became of it."""

    found: IngestCounts
    tally: Tally
    fires: int = 0  #: schedules that were due


class Engine:
    """A workspace, session by the one process that writes to it."""

    def __init__(self, session: Session, catalog: Catalog) -> None:
        workspace, project, state, clock = session.workspace, session.project, session.state, session.clock
        settings = project.settings
        self.session = session
        self.workspace = workspace
        self.project = project
        self.state = state
        self.catalog = catalog
        self.clock = clock
        self.runs = session.runs
        self.objects = ObjectStore(state, clock)
        self.roots = roots(workspace, project)
        by_name = {root.name: root for root in self.roots}
        self.router = Router(project.datasets.values(), project.tenants)
        self.rules = Rules(
            datasets=project.datasets,
            transforms=project.transforms,
            router=self.router,
            pii_key=session.pii_key,
            memory_limit=settings.memory_limit,
            threads=settings.threads,
        )
        self.ingest = Ingest(
            roots=by_name,
            router=self.router,
            state=state,
            objects=self.objects,
            folders=FolderTimes(state, clock),
            runs=self.runs,
            clock=clock,
            settling=Settling(settings.settle),
        )
        self.contents = ContentCheck(roots=by_name, objects=self.objects, ingest=self.ingest, clock=clock)
        self.reprocess = Reprocess(
            state=state,
            objects=self.objects,
            runs=self.runs,
            rules=self.rules,
            roots=by_name,
            pre_stage=workspace.pre_stage,
            clock=clock,
        )
        self.repair = Repair(
            workspace=workspace,
            catalog=catalog,
            state=state,
            runs=self.runs,
            objects=self.objects,
            rules=self.rules,
            reprocess=self.reprocess,
            clock=clock,
        )
        self._progress: Callable[[Run], None] = lambda _: None
        self._failure: BaseException | None = None
        self._stop = threading.Event()  #: of the work that is going on
        #: `up` ended because the configuration has changed to this; open it again with it.
        self.successor: Configuration | None = None
        self._tell: Callable[[str], None] = lambda _: None
        handlers = lake_handlers(
            session,
            rules=self.rules,
            objects=self.objects,
            catalog=catalog,
            roots=by_name,
            reprocess=lambda changed, dataset: self.load_again(changed_only=changed, dataset=dataset),
            repair=lambda: self.repair.run().as_report(),
            forget=lambda: self.retention().run(dry_run=False),
            contents=self._contents,
            take_over=self.ingest.take_over,
        )
        handlers += amc_handlers(session, self.router, self.ingest)
        self._worker = Worker(
            self.runs,
            handlers,
            clock,
            name=f"amci-{os.getpid()}",
            lease=settings.lease,
            on_finished=self._finished,
            uncounted={NOTIFY},
        )
        self._watcher = RawWatcher(self.roots, self.ingest, settings, clock, self._worker.wake)
        session.set_pools()
        for run in self.runs.recover(all_workers=True):
            if run.status is RunStatus.FAILED:
                self._note_failure(run)

    def drain(
        self,
        stop: threading.Event,
        progress: Callable[[Run], None] | None = None,
        *,
        is_full: bool = False,
    ) -> Drained:
        """Process everything that is present, then return; with `is_full`, each raw file is compared.

        Files that are still being written are waited for a few settle times; after that they are left, and
        counted as `settling`.
        """
        self._progress, self._stop = progress or self._progress, stop
        fires = self._fires()
        found = self.ingest.look_everywhere(is_full=is_full)
        found += IngestCounts(new=len(self.contents.suspects(stop).replaced))
        tally = self._worker.drain(stop, _PATIENCE)
        looks = 0
        while found.settling and looks < _LOOKS and not stop.is_set():
            self.clock.wait(stop, self.project.settings.settle)
            again = self.ingest.look_everywhere()
            looks = 0 if again.new else looks + 1
            found = IngestCounts(
                found.new + again.new,
                found.unroutable + again.unroutable,
                found.removed + again.removed,
                again.settling,
            )
            tally += self._worker.drain(stop, _PATIENCE)
        # What failed holds nothing: its duplicates come in its place.
        while not stop.is_set() and self.ingest.take_over():
            tally += self._worker.drain(stop, _PATIENCE)
        return Drained(found, tally, fires)

    def _fires(self) -> int:
        """Decide on every fire that has come; those of a long pause come in several ticks."""
        fires = len(self.session.scheduler.tick())
        while (due := self.session.scheduler.next_due()) is not None and due <= self.clock.now():
            fires += len(self.session.scheduler.tick())
        return fires

    def redrive(self, run_ids: Sequence[int], *, all_failed: bool = False) -> list[Run]:
        """Put failed or skipped runs back in line."""
        ids = list(run_ids)
        if all_failed:
            ids += [run.run_id for run in self.runs.list(status=RunStatus.FAILED, limit=-1)]
        return self.runs.redrive(ids)

    def accept(self, names: Sequence[str]) -> int:
        """Take what is doubtful about objects for right, and queue those again that were refused for it.

        `names` are ids, keys or ends of keys. Returns how many doubts there were; raises NotFound.
        """
        objects = [row for name in names for row in self.objects.find(name)]
        accepted = self.objects.doubts.accept(row["object_id"] for row in objects)
        refused = {(row["object_id"], row["version"]) for row in objects if row["dataset"]}
        refused = {pair for pair in refused if self.objects.is_quarantined(*pair)}
        for kind in ("light", "heavy") if accepted else ():
            failed = self.runs.list(status=RunStatus.FAILED, kind=kind, limit=-1)
            self.runs.redrive(run.run_id for run in failed if object_version(run) in refused)
        return accepted

    def retention(self, tell: Callable[[str], None] = lambda _: None) -> Retention:
        """What forgets as `keep:` says; `tell` hears how far it is."""
        return Retention(
            workspace=self.workspace,
            state=self.state,
            catalog=self.catalog,
            runs=self.runs,
            keep=self.project.settings.keep,
            appended=self.rules.router.appended,
            look_back=self.session.amc.look_back,
            clock=self.clock,
            tell=tell,
        )

    def load_again(
        self,
        *,
        changed_only: bool,
        dataset: str | None = None,
        since: str | None = None,
        names: Sequence[str] = (),
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """Route what no dataset took, and put objects in line to be loaded again.

        With `names`, ids or keys, only those, also if they were forgotten. Raises NotFound, UsageError.
        """
        if dataset and dataset not in self.project.datasets:
            raise NotFound(
                f"no dataset '{dataset}'", hint=f"there are {', '.join(sorted(self.project.datasets))}"
            )
        rows = self.reprocess.select(
            dataset=dataset,
            since=moment(since) if since else None,
            changed_only=changed_only,
            object_ids=[row["object_id"] for row in named(self.objects, names)] if names else None,
        )
        # Selected before: what finds a place now is put in line by that alone.
        routed = 0 if dry_run else self.ingest.route_again()
        if dry_run:
            return {"routed": routed, "objects": len(rows)}
        again = self.reprocess.queue(rows)
        return {"routed": routed, **asdict(again)}

    def work(self, stop: threading.Event, progress: Callable[[Run], None] | None = None) -> Tally:
        """Do the runs there are, without looking at the roots."""
        self._progress, self._stop = progress or self._progress, stop
        tally = self._worker.drain(stop, _PATIENCE)
        while not stop.is_set() and self.ingest.take_over():
            tally += self._worker.drain(stop, _PATIENCE)
        return tally

    def finish(
        self,
        keys: Collection[str],
        stop: threading.Event,
        progress: Callable[[Run], None] | None = None,
        *,
        is_patient: bool = True,
    ) -> None:
        """Do the runs with these keys and what follows from them, or until `stop`.

        However long they wait; or, where not `is_patient`, until each has been tried.
        """
        left = {run.idempotency_key for run in self.runs.by_keys(keys) if not run.status.is_final}
        tell = progress or self._progress

        def see(run: Run) -> None:
            tell(run)
            if (run.status.is_final or not is_patient) and run.idempotency_key in left:
                left.discard(run.idempotency_key)
                if not left:
                    stop.set()

        self._progress, self._stop = see, stop
        if left:
            self._worker.drain(stop, _FOR_EVER)
            if left:
                return
            stop.clear()
        self._worker.drain(stop, _PATIENCE)

    def up(
        self,
        stop: threading.Event,
        progress: Callable[[Run], None] | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> Tally:
        """Watch the roots and process what lands, until `stop` is set; `tell` hears of mistakes in config/."""
        self._progress, self._stop = progress or self._progress, stop
        self._tell = tell or self._tell
        beside = [
            threading.Thread(target=self._beside, args=(stop, work), name=name)
            for name, work in (
                ("watcher", self._watcher.watch),
                ("scheduler", self._schedule),
                ("contents", self._check_contents),
            )
        ]
        for thread in beside:
            thread.start()
        try:
            return self._worker.run(stop)
        finally:
            stop.set()
            self._watcher.wake()
            for thread in beside:
                thread.join()
            if self._failure:
                raise self._failure

    def _beside(self, stop: threading.Event, work: Callable[[threading.Event], None]) -> None:
        """The life of a thread beside the worker: what ends one of them ends all."""
        try:
            work(stop)
        except BaseException as error:  # noqa: BLE001 - carried to the thread that waits for it
            self._failure = error
            stop.set()
            self._worker.wake()

    def _schedule(self, stop: threading.Event) -> None:
        """Create the runs of fires as they come due, and notice when the configuration is another one."""
        seen = self.session.read_at
        while not stop.is_set():
            try:
                if fires := self.session.scheduler.tick():
                    _log.info("fired", fires=len(fires))
                    self._worker.wake()
                now = fingerprint(self.workspace)
                if now != seen:
                    self.successor = self._changed(stop)
                if self.successor:
                    stop.set()
                    self._worker.wake()
                seen = now
            except StorageError as error:
                _log.error("could not look at schedules", exc_info=error)
            self.clock.wait(stop, _TICK)

    def _contents(self, run: Run) -> Outcome:
        """Compare every raw file; after an interruption, those that were not compared since the run was asked for."""
        checked = self.contents.check(self._stop, before=run.created_at)
        if not checked.is_whole:
            return Snooze(run.created_at, "interrupted; it goes on where it was")
        return Done(checked.as_report())

    def _check_contents(self, stop: threading.Event) -> None:
        """Compare raw files with what was loaded, all of them once a day, so many bytes in a minute."""
        settings = self.project.settings
        while not stop.is_set():
            pause = _CONTENTS
            try:
                before = self.clock.now() - settings.check_contents
                checked = self.contents.check(stop, before=before, most_bytes=settings.check_rate)
                if checked.replaced:
                    self._worker.wake()
                # A single large file is read to its end.
                pause = max(_CONTENTS, _CONTENTS * (checked.bytes / settings.check_rate))
            except StorageError as error:
                _log.error("could not compare contents", exc_info=error)
            self.clock.wait(stop, pause)

    def _changed(self, stop: threading.Event) -> Configuration | None:
        """The configuration, which has just changed; None if it cannot be gone on with, which is told."""
        try:
            return read_configuration(self.workspace, self.session.environ, stop)
        except Exception as error:  # noqa: BLE001 - whatever was saved, work goes on as it was
            if stop.is_set():
                return None
            _log.error("configuration not usable, going on with what was read before", exc_info=error)
            says = error if isinstance(error, AmciError) else f"{type(error).__name__} while it was read"
            self._tell(f"{says}\nconfig/ cannot be used like this; going on with what was read before")
            return None

    def _finished(self, run: Run, outcome: Outcome) -> None:
        error = outcome.error if isinstance(outcome, Failed) else None
        if run.status is RunStatus.FAILED:
            self._note_failure(run, error.hint if isinstance(error, AmciError) else "")
        if run.status.is_final:
            self.session.tell(run)
        self._progress(run)

    def _note_failure(self, run: Run, hint: str = "") -> None:
        """A failed run's object is in quarantine, whatever made it fail."""
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


@contextmanager
def open_engine(
    workspace: WorkspacePaths,
    clock: Clock,
    environ: Mapping[str, str],
    *,
    is_checked: bool = True,
    configuration: Configuration | None = None,
) -> Iterator[Engine]:
    """The engine of a workspace, with this configuration or as config/ stands.

    Raises WorkspaceBusy while another process has it, ConfigError if config/ cannot be used, and
    LakeMismatch if state and catalog do not belong together, unless that is not checked.

    `AMCI_FAULT` in `environ` arms the fault points of crash tests; see `amci.kernel.testing`.
    """
    if plan := environ.get("AMCI_FAULT"):
        arm(plan)
    with workspace.writing(), open_session(workspace, clock, environ, configuration) as session:
        log.configure(workspace.log, session.project.settings.log_level, False, clock=clock)
        with session.catalog(is_checked=is_checked) as catalog:
            yield Engine(session, catalog)


def roots(workspace: WorkspacePaths, project: Project) -> list[Root]:
    """The watched directories; those inside the workspace are made where they are missing."""
    found = []
    given = [(root.name, root.path, root.watch, "") for root in project.settings.roots]
    given += [(tenant_root(t), t.raw, "events", f"{t.tenant}/") for t in project.tenants.values() if t.raw]
    for name, place, watch, prefix in given:
        path = workspace.home / place
        if path.is_relative_to(workspace.home):
            with storage_errors(f"make the directory {place} of root '{name}'"):
                path.mkdir(parents=True, exist_ok=True)
        found.append(as_root(name, path, watch, prefix))
    return found
