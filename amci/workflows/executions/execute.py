"""The run kind `execute`: resolves requests, keeps each run's execution, and turns steps into outcomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from amci.kernel.errors import AmciError, NoAccess, UsageError
from amci.kernel.run import Done, Failed, Outcome, Run, Skipped
from amci.tenants.model import Tenant, tenant_named
from amci.workflows.amc.model import ExecutionStatus
from amci.workflows.definitions.definition import Workflow
from amci.workflows.executions.handler_context import HandlerContext
from amci.workflows.executions.polling import is_gone, look
from amci.workflows.executions.request_matching import recognisable
from amci.workflows.executions.request_resolution import resolved, sql_hash_of
from amci.workflows.executions.run_factory import EXECUTE, ExecuteTask
from amci.workflows.executions.steps import GONE, ExecutionWork, Fetched, Steps
from amci.workflows.executions.store import ExecutionRecord

if TYPE_CHECKING:
    from amci.workflows.amc.client import AmcClient

#: Steps that are taken at the same time, for all tenants together.
_AT_ONCE = 16


class ExecuteHandler:
    """Carries workflow executions from the request to the file in raw/."""

    kind = EXECUTE
    threads = 2

    def __init__(
        self,
        shared: HandlerContext,
        *,
        workflows: Mapping[str, Workflow],
        folder_of: Callable[[Tenant], Path],
        on_delivered: Callable[[Tenant, Sequence[str]], None] = lambda _tenant, _keys: None,
        batch: int = 200,
    ) -> None:
        """`folder_of`: where a tenant's results are put, the folder that holds its `workflow=…` folders.

        `on_delivered` hears of a tenant's results with their keys in raw/, after each batch and from several threads;
        it may hear of one more than once, and must not raise.
        """
        self.batch = batch
        self._shared = shared
        self._workflows = workflows
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix=EXECUTE)
        self._on_delivered = on_delivered
        self._steps = Steps(shared, workflows=workflows, folder_of=folder_of)

    def handle(self, runs: Sequence[Run]) -> Mapping[int, Outcome]:
        """One step of each run: run_id → outcome."""
        outcomes: dict[int, Outcome] = {}
        for tenant_id, group in groupby(sorted(runs, key=_tenant_id), key=_tenant_id):
            own = list(group)
            at = self._shared.clock.now()
            rows = self._shared.executions.newest(run.run_id for run in own)
            rows |= {
                run.run_id: self._shared.executions.came_late(rows[run.run_id], run, at)
                for run in own
                if run.run_id in rows
            }
            try:
                tenant = _with_instance(self._shared.tenants, tenant_id)
                outcomes |= self._of_tenant(tenant, self._shared.clients(tenant), own, rows, at)
            except AmciError as error:
                outcomes |= {run.run_id: self._steps.after(rows.get(run.run_id), error, at) for run in own}
            except Exception as error:  # what AMC has begun goes on, whatever fails here
                # One of several is at fault: the worker finds out which.
                if len(runs) > 1:
                    raise
                outcomes |= {run.run_id: self._steps.after(rows.get(run.run_id), error, at) for run in own}
        return outcomes

    def _of_tenant(
        self,
        tenant: Tenant,
        client: AmcClient,
        runs: Sequence[Run],
        rows: Mapping[int, ExecutionRecord],
        at: datetime,
    ) -> dict[int, Outcome]:
        works, outcomes = self._works(tenant, client, runs, rows, at)
        seen = look(client, [work.row for work in works if not _is_final(work.row)])

        if seen:
            with self._shared.executions.transaction():
                works = [self._steps.noted(work, seen.get(work.row.execution_id)) for work in works]

        def advanced(work: ExecutionWork) -> Outcome | Fetched:
            return self._steps.advance(work, seen.get(work.row.execution_id))

        # Each waits for AMC's answer, then for the disk; neither keeps the others from it.
        contexts = [copy_context() for _ in works]
        ends = list(self._pool.map(lambda context, work: context.run(advanced, work), contexts, works))
        steps = {work.run.run_id: end for work, end in zip(works, ends, strict=True)}
        return outcomes | steps | self._done(tenant, [end for end in ends if isinstance(end, Fetched)])

    def _done(self, tenant: Tenant, fetched: Sequence[Fetched]) -> dict[int, Done]:
        """Note the results of a batch, and tell of them."""
        if not fetched:
            return {}
        with self._shared.executions.transaction():
            done = {each.work.run.run_id: self._steps.done(each) for each in fetched}
        if keys := [each.result["key"] for each in done.values() if each.result["key"]]:
            self._on_delivered(tenant, keys)
        return done

    def _works(
        self,
        tenant: Tenant,
        client: AmcClient,
        runs: Sequence[Run],
        rows: Mapping[int, ExecutionRecord],
        at: datetime,
    ) -> tuple[list[ExecutionWork], dict[int, Outcome]]:
        """The runs with their executions, new ones begun in one transaction; and what becomes of all others."""
        redrives = self._shared.executions.redrives(run.run_id for run in runs)
        refused = self._shared.no_access(tenant)
        works: list[ExecutionWork] = []
        outcomes: dict[int, Outcome] = {}

        def begin(run: Run) -> None:
            row, times = rows.get(run.run_id), redrives.get(run.run_id, 0)
            try:
                begun = self._begun(tenant, client, run, row, times, refused, at)
                works.append(ExecutionWork(run=run, tenant=tenant, client=client, row=begun, at=at))
            except NoAccess as error:
                # What a person asks for has failed; what a schedule asks for again and again is passed over.
                is_fire = run.idempotency_key.startswith("fire:")
                outcomes[run.run_id] = Skipped(f"{error}; {error.hint}") if is_fire else Failed(error)
            except AmciError as error:
                outcomes[run.run_id] = self._steps.after(row, error, at)

        if new := [run for run in runs if run.run_id not in rows]:
            with self._shared.executions.transaction():
                for run in new:
                    begin(run)
        # AMC may be asked about those that were redriven, and no transaction waits for it.
        for run in runs:
            if run.run_id in rows:
                begin(run)
        return works, outcomes

    def _begun(
        self,
        tenant: Tenant,
        client: AmcClient,
        run: Run,
        row: ExecutionRecord | None,
        redrives: int,
        refused: NoAccess | None,
        at: datetime,
    ) -> ExecutionRecord:
        """The execution this run goes on with, new or not; raises AmciError, and `refused` instead of a new one."""
        if row is not None and row.redrives != redrives:
            row = self._redriven(client, row, redrives, at)
        if row is not None and row.redrives == redrives:
            return row
        if refused:
            raise refused
        return self._new(tenant, run, row.attempt + 1 if row else 1, redrives)

    def _redriven(
        self, client: AmcClient, row: ExecutionRecord, redrives: int, at: datetime
    ) -> ExecutionRecord:
        """The old execution: of this redrive if AMC still works on it or it succeeded, else of those before."""
        if row.workflow_execution_id and not _is_final(row):
            execution = client.execution(row.workflow_execution_id)
            if execution:
                row = self._shared.executions.see(row, execution)
            elif is_gone(self._shared.settings, row, at):
                row = self._shared.executions.end(row, ExecutionStatus.DELETED, GONE)
        if row.status is ExecutionStatus.SUCCEEDED or row.is_in_amc:
            return self._shared.executions.go_on(
                row, redrives=redrives, lasting=self._shared.settings.deadline
            )
        return row

    def _new(self, tenant: Tenant, run: Run, attempt: int, redrives: int) -> ExecutionRecord:
        task = ExecuteTask.of(run.payload)
        workflow_id = task.request.workflow_id
        workflow = self._workflows.get(workflow_id)
        request = resolved(task.request, workflow, tenant, task.at or run.created_at)
        return self._shared.executions.begin(
            run,
            tenant.instance_id,
            recognisable(request, run.idempotency_key),
            name=workflow_id,
            schedule=_folder_name(task.schedule),
            attempt=attempt,
            redrives=redrives,
            sql_hash=sql_hash_of(request, workflow),
            # A request that allows itself more time gets it.
            lasting=max(self._shared.settings.deadline, timedelta(seconds=request.timeout_seconds or 0)),
        )


def _is_final(row: ExecutionRecord) -> bool:
    return bool(row.status and row.status.is_final)


def _tenant_id(run: Run) -> str:
    return run.tenant_id or ""


def _with_instance(tenants: Mapping[str, Tenant], tenant_id: str) -> Tenant:
    tenant = tenant_named(tenants, tenant_id)
    if not tenant.instance_id:
        raise UsageError(
            f"tenant '{tenant_id}' has no AMC instance",
            hint=f"`amci tenant update {tenant_id} instance_id=… advertiser_id=…`",
        )
    return tenant


def _folder_name(schedule: str) -> str:
    if "/" in schedule or schedule.startswith(".") or not schedule.isprintable():
        raise UsageError(
            f"'{schedule}' cannot be the schedule of a result, since it names a folder",
            hint="use letters, digits, '-' and '_'",
        )
    return schedule
