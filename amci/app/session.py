"""A workspace opened to read and to queue runs; works beside the process that does them."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from amci.app.notice_text import notices_of
from amci.app.project import Project, amc_settings, fingerprint, load, tenant_root
from amci.kernel.clock import Clock
from amci.kernel.errors import AmciError
from amci.kernel.files import storage_errors
from amci.kernel.notify.notice import Notice
from amci.kernel.notify.notifier import Notifier
from amci.kernel.run import NewRun, RetryPolicy, Run
from amci.kernel.runs import RunStore
from amci.kernel.state import State
from amci.kernel.workspace import WorkspacePaths
from amci.lake.landing.ingest import large_pool
from amci.lake.landing.object_store import ObjectStore
from amci.scheduler.service import Scheduler
from amci.scheduler.store import ScheduleStore
from amci.tenants.credentials import CredentialStore
from amci.tenants.model import Tenant
from amci.workflows.amazon.circuit_breaker import read_circuits, write_circuit
from amci.workflows.executions.store import ExecutionStore

if TYPE_CHECKING:
    from amci.lake.catalog.catalog import Catalog
    from amci.workflows.amc.client import AmcClient
    from amci.workflows.amc.connections import Connections


@dataclass(frozen=True, slots=True)
class Configuration:
    """config/ as it was read."""

    project: Project
    read_at: int  #: its fingerprint, taken before it was read: what changed meanwhile is a change


class Session:
    """A workspace's configuration, state, and ways to AMC."""

    def __init__(
        self,
        workspace: WorkspacePaths,
        configuration: Configuration,
        state: State,
        clock: Clock,
        environ: Mapping[str, str],
        closing: ExitStack,
    ) -> None:
        """What is opened on the way is closed with `closing`."""
        project = configuration.project
        settings = project.settings
        self.workspace = workspace
        self.project = project
        self.read_at = configuration.read_at
        self.state = state
        self.clock = clock
        self.environ = environ
        self.amc = amc_settings(project)
        self.notifier = Notifier.of(
            workspace, settings.notify, {name: tenant.notify for name, tenant in project.tenants.items()}
        )
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
            batches={
                (kind, dataset.dataset): dataset.batch
                for dataset in project.datasets.values()
                if dataset.batch
                for kind in ("light", "heavy")
            },
            follow=self._notices,
        )
        self.executions = ExecutionStore(state, clock)
        self.schedules = ScheduleStore(state, clock)
        self.scheduler = Scheduler(project.schedules, self.schedules, self.runs, state, clock)
        self.credentials = CredentialStore(workspace, environ, clock)  #: the encrypted ones
        self._closing = closing
        self._connecting = threading.Lock()
        self._connections: Connections | None = None

    @property
    def connections(self) -> Connections:
        """Ways to AMC, as the workspace's mode says; made once, whichever thread asks first."""
        from amci.app.amc_connection import amc_connection

        with self._connecting:
            if self._connections is None:
                self._connections = amc_connection(
                    self.workspace,
                    self.project,
                    self.clock,
                    lambda: self.credentials,
                    read_circuits(self.state),
                    lambda circuit: write_circuit(self.state, circuit),
                    self._closing,
                )
            return self._connections

    def client(self, tenant: Tenant) -> AmcClient:
        """What asks AMC for a tenant."""
        return self.connections.client(tenant)

    @property
    def pii_key(self) -> bytes | None:
        """The key that personal data are hashed with, if there is one."""
        key = self.environ.get("AMCI_PII_KEY")
        return key.encode() if key else None

    def secret(self, name: str) -> str:
        """A secret of `amci auth set --secret`; raises AuthError."""
        return self.credentials.secret(name)

    def logged_in_at(self, tenant: Tenant) -> datetime | None:
        """When the login of a tenant was last changed here; None if there is none, or it cannot be read."""
        if self.amc.mode not in ("live", "record"):
            return None
        try:
            logins = self.credentials.list()
        except AmciError:
            return None
        return next((login.changed_at for login in logins if login.auth_id == tenant.auth_id), None)

    def results_of(self, tenant: Tenant) -> Path:
        """Where a tenant's results are put: the folder that holds its `workflow=…` folders."""
        home = self.workspace.home
        if self.root_of(tenant) == tenant_root(tenant):
            return home / tenant.raw
        return home / self.project.settings.roots[0].path / tenant.tenant

    def root_of(self, tenant: Tenant) -> str:
        """The root of a tenant's results: its own if amci may write there, else the common one."""
        home = self.workspace.home
        is_ours = bool(tenant.raw) and (home / tenant.raw).resolve().is_relative_to(home.resolve())
        return tenant_root(tenant) if is_ours else self.project.settings.roots[0].name

    def tell(self, run: Run) -> None:
        """Send the notices of a run's end that go out at once; a target that fails is logged and stops no other."""
        for notice in self._notices_of(run, at_once=True):
            self.notifier.send(notice)

    def purge_tenant(self, tenant_id: str, *, dry_run: bool) -> dict[str, int]:
        """Take a tenant's rows out of the lake, or say how many; raises WorkspaceBusy beside a writing process."""
        with self.workspace.writing(), self.catalog() as catalog:
            purged = catalog.purge(tenant_id, dry_run=dry_run)
            if not dry_run:
                objects = ObjectStore(self.state, self.clock)
                objects.unloaded(objects.of_tenant(tenant_id))
            return purged

    @contextmanager
    def catalog(self, *, is_checked: bool = True) -> Iterator[Catalog]:
        """The lake, opened by the process that writes; raises LakeMismatch if it does not belong to the state.

        If not `is_checked`, to bring the two together again.
        """
        from amci.lake.catalog.catalog import Catalog
        from amci.lake.catalog.pairing import require_catalog, require_match

        settings = self.project.settings
        if is_checked:
            require_catalog(self.state, self.workspace.catalog)
        catalog = Catalog(self.workspace, memory_limit=settings.memory_limit, threads=settings.threads)
        try:
            if is_checked:
                require_match(self.state, catalog.con)
            yield catalog
        finally:
            catalog.close()

    def set_pools(self) -> None:
        """Give every instance, account and slow listener its slots, and large objects theirs."""
        with self.state.transaction():
            for kind in ("light", "heavy"):
                self.runs.set_pool(large_pool(kind), 1)
            for target in self.notifier.remote:
                self.runs.set_pool(target.pool, 1)
            for tenant in self.project.tenants.values():
                if tenant.instance_id:
                    self.runs.set_pool(tenant.account_pool, self.amc.account_slots)
                    self.runs.set_pool(tenant.pool, tenant.slots, parent=tenant.account_pool)

    def _notices(self, run: Run) -> Sequence[NewRun]:
        """The runs that tell somebody of the end of this one."""
        if not self.notifier.remote:
            return ()
        return [
            following
            for notice in self._notices_of(run, at_once=False)
            for following in self.notifier.runs_for(notice)
        ]

    def _notices_of(self, run: Run, *, at_once: bool) -> Iterable[Notice]:
        """What there is to tell of a run's end to those who may want it."""

        def is_heard(event: str) -> bool:
            return self.notifier.hears(event, run.kind, run.tenant_id, at_once=at_once)

        return notices_of(run, self.project.settings.name, self.clock.now(), is_heard)


def read_configuration(
    workspace: WorkspacePaths, environ: Mapping[str, str], stop: threading.Event | None = None
) -> Configuration:
    """config/ as it stands, and its fingerprint; raises ConfigError with every problem of it."""
    read_at = fingerprint(workspace)
    return Configuration(load(workspace, environ, stop), read_at)


@contextmanager
def open_session(
    workspace: WorkspacePaths,
    clock: Clock,
    environ: Mapping[str, str],
    configuration: Configuration | None = None,
) -> Iterator[Session]:
    """The workspace, opened with this configuration or as config/ stands; then raises ConfigError as that does."""
    configuration = configuration or read_configuration(workspace, environ)
    with storage_errors("open the workspace"):
        workspace.state.parent.mkdir(parents=True, exist_ok=True)
    with State.open(workspace.state, clock) as state, ExitStack() as closing:
        yield Session(workspace, configuration, state, clock, environ, closing)
