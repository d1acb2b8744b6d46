"""A workspace as Python programs and notebooks use it; the command line is its first user.

import amci

with amci.open("insights") as ws:
    ws.drain()
    frame = ws.query("SELECT campaign, sum(reach) AS reach FROM ... GROUP BY ALL").to_pandas()
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from amci.app import init, plan, status
from amci.app.engine import Drained, Engine, open_engine
from amci.app.executions import execution_request, new_execution_runs
from amci.app.run_completion import complete_runs
from amci.app.session import Session, open_session
from amci.app.sql_workbench import SqlWorkbench
from amci.kernel.clock import SystemClock
from amci.kernel.environment import environment
from amci.kernel.run import Run, RunStatus
from amci.kernel.signals import stopping
from amci.kernel.workspace import find
from amci.tenants.model import Tenant, tenant_named
from amci.workflows.definitions.definition import Workflow
from amci.workflows.executions.store import ExecutionRecord

if TYPE_CHECKING:
    from amci.lake.query.result import QueryAnswer
    from amci.lake.query.session import QuerySession
    from amci.workflows.amc.client import AmcClient


@dataclass(frozen=True, slots=True)
class ExecutionRun:
    """One execution that was asked for, as it stands now."""

    run: Run
    execution: ExecutionRecord | None  #: None until a request was sent to AMC

    @property
    def status(self) -> str:
        """Where the run stands: PENDING, RUNNING, SUCCEEDED, SKIPPED, FAILED or CANCELLED."""
        return str(self.run.status)

    @property
    def reason(self) -> str:
        """Why it failed, was skipped or waits; empty if there is nothing to say."""
        return self.run.reason or ""

    @property
    def rows(self) -> int | None:
        """Rows of the result; None until it is there."""
        return self.execution.rows if self.execution else None

    @property
    def key(self) -> str | None:
        """The result's key in raw/; None until it is there."""
        return self.execution.key if self.execution else None


class Workspace:
    """An opened workspace; a context manager.

    Reading works beside `amci up` or another writing process. What loads files or runs executions takes the
    workspace's lock for as long as it works, or waits for the process that has it.
    """

    def __init__(self, session: Session, closing: ExitStack) -> None:
        self._session = session
        self._closing = closing

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the state file and the connections to AMC. Closing twice does nothing."""
        self._closing.close()

    @property
    def home(self) -> Path:
        """The directory of the workspace."""
        return self._session.workspace.home

    @property
    def tenants(self) -> Mapping[str, Tenant]:
        """The tenants of config/tenants/, by id."""
        return self._session.project.tenants

    @property
    def workflows(self) -> Mapping[str, Workflow]:
        """The workflows of config/workflows/, by id."""
        return self._session.project.workflows

    @property
    def sql(self) -> SqlWorkbench:
        """AMC SQL on this machine: check queries, and run them on the sandbox's events."""
        return SqlWorkbench(self._session.workspace)

    def amc(self, tenant: str) -> AmcClient:
        """The client that asks AMC for a tenant; raises NotFound if there is no such tenant."""
        return self._session.client(tenant_named(self.tenants, tenant))

    def query(
        self, sql: str, *, tenant: str | None = None, as_of: str | None = None, verify: bool = False
    ) -> QueryAnswer:
        """Ask the lake one SELECT in DuckDB's SQL.

        `tenant` shows only its rows; `as_of` is a snapshot's number or an ISO 8601 time. `verify` first
        compares the files of its tables with their checksums. The whole answer is held in memory. Raises DamagedFile
        if one differs, QueryError if the statement is wrong, writes or takes too long, NotFound if
        nothing was loaded yet.
        """
        from amci.lake.query.result import QueryAnswer

        with self._query_session(tenant=tenant, as_of=as_of, verifies=verify) as session:
            return QueryAnswer.of(session.run(sql))

    def tables(self, tenant: str | None = None) -> list[dict[str, Any]]:
        """The lake's tables: `table`, `rows`, `objects`, `tenants`, `files`, `bytes` and `loaded_at` of each.

        `tenant` counts only its rows and objects. Raises NotFound if nothing was loaded yet.
        """
        from amci.lake.query import inspect

        with self._query_session() as session:
            return inspect.tables(session, tenant)

    def status(self) -> dict[str, Any]:
        """Counts of objects, runs and executions, and whether a process is writing."""
        return status.overview(self._session.workspace)

    def drain(self, progress: Callable[[Run], None] | None = None) -> Drained:
        """Process everything that is present, then return what was found and how many runs ended how.

        `progress` hears of each run that moved. Raises WorkspaceBusy while another process writes.
        """
        with self._engine() as engine, _interruptible() as stop:
            return engine.drain(stop, progress)

    def plan(self, tenants: Collection[str] = ()) -> list[plan.Difference]:
        """What differs between config/, the workspace and AMC, for all tenants or these."""
        return plan.differences(self._session, tenants)

    def apply(self, tenants: Collection[str] = (), *, prune: bool = False, check: bool = True) -> list[Run]:
        """Make the workspace and AMC what config/ says; the runs that did so, as they ended.

        `prune` also deletes workflows in AMC that no file declares. Raises QueryError, before anything is sent,
        if `check` finds SQL that AMC would refuse.
        """
        runs = plan.apply(self._session, self.plan(tenants), prune=prune, check=check)
        return self._complete([run.idempotency_key for run in runs], is_patient=False)

    def run(
        self,
        workflow: str,
        *,
        tenant: str,
        sql: str | None = None,
        window: str | None = None,
        zone: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        schedule: str = "adhoc",
        wait: bool = True,
    ) -> ExecutionRun:
        """Run a workflow in AMC and bring its result; with `sql`, that text under the name `workflow`.

        `window` is `MOST_RECENT_WEEK`, … or `START..END` on the clocks of `zone`; the workflow's own by default.
        `schedule` names the folder of the result. Waits until the result is in the lake; without `wait`, the run
        is queued for `amci up`. Raises NotFound for a tenant that does not exist, UsageError for a window or
        parameters that cannot be.
        """
        request = execution_request(
            self._session, workflow, sql=sql, window=window, zone=zone, parameters=parameters or {}
        )
        (new,) = new_execution_runs(
            self._session, [tenant_named(self.tenants, tenant)], request, schedule=schedule
        )
        self._session.runs.create([new])
        keys = [new.idempotency_key]
        (run,) = self._complete(keys) if wait else self._session.runs.by_keys(keys)
        return ExecutionRun(run, self._session.executions.newest([run.run_id]).get(run.run_id))

    def runs(
        self,
        *,
        status: RunStatus | None = None,
        kind: str | None = None,
        tenant: str | None = None,
        limit: int = 100,
        before: int | None = None,
    ) -> list[Run]:
        """Runs, newest first; `before` is the run_id at which the page before ended."""
        return self._session.runs.list(status=status, kind=kind, tenant=tenant, limit=limit, before=before)

    def redrive(self, run_ids: Sequence[int] = (), *, all_failed: bool = False) -> list[Run]:
        """Queue failed or skipped runs again and process them; the runs as they ended.

        Raises NotFound for a run that does not exist, IllegalMove for one that cannot be queued again.
        """
        with self._engine() as engine, _interruptible() as stop:
            again = engine.redrive(run_ids, all_failed=all_failed)
            engine.work(stop)
        return [self._session.runs.get(run.run_id) for run in again]

    def _complete(self, keys: Sequence[str], *, is_patient: bool = True) -> list[Run]:
        with _interruptible() as stop:
            return complete_runs(self._session, keys, self._engine, stop, is_patient=is_patient)

    def _engine(self) -> AbstractContextManager[Engine]:
        return open_engine(self._session.workspace, self._session.clock, self._session.environ)

    def _query_session(
        self, *, tenant: str | None = None, as_of: str | None = None, verifies: bool = False
    ) -> AbstractContextManager[QuerySession]:
        from amci.lake.query.session import session

        settings = self._session.project.settings
        return session(
            self._session.workspace,
            memory_limit=settings.query_memory_limit,
            timeout=settings.query_timeout,
            threads=settings.threads,
            tenant=tenant,
            as_of=as_of,
            verifies=verifies,
        )


def open(home: str | Path | None = None) -> Workspace:  # noqa: A001 - it is read as `amci.open`
    """Open a workspace: `home`, else AMCI_HOME, else the current directory or one above it.

    Raises NoWorkspace if there is none, ConfigError with every problem of its configuration.
    """
    environ = environment()
    paths = find(Path(home) if home else None, environ, Path.cwd())
    with ExitStack() as closing:
        session = closing.enter_context(open_session(paths, SystemClock(), environ))
        return Workspace(session, closing.pop_all())
    raise AssertionError  # pragma: no cover - an ExitStack of ours suppresses nothing


def create(directory: str | Path) -> Workspace:
    """Make a workspace with an example project, and open it; raises UsageError if the directory is not empty."""
    return open(init.create_workspace(Path(directory)).home)


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set, in the main thread; work stops in order, then KeyboardInterrupt."""
    if threading.current_thread() is not threading.main_thread():
        yield threading.Event()
        return
    with stopping(is_program=False) as stop:
        yield stop
    if stop.is_set():
        raise KeyboardInterrupt
