"""Cancelling: the run here at once, its execution in AMC by a run of kind `cancel` that sees it through."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from amci.kernel.errors import ExecutionFailed, Refused, RemoteError
from amci.kernel.run import Done, Failed, NewRun, Outcome, Run, Skipped, Snooze
from amci.kernel.runs import RunStore
from amci.kernel.worker import SingleHandler
from amci.tenants.model import tenant_named
from amci.workflows.amc.model import Execution, ExecutionStatus
from amci.workflows.executions import polling
from amci.workflows.executions.handler_context import HandlerContext
from amci.workflows.executions.polling import adopted
from amci.workflows.executions.store import ExecutionRecord, ExecutionStore

if TYPE_CHECKING:
    from amci.workflows.amc.client import AmcClient

CANCEL = "cancel"


def cancel(runs: RunStore, executions: ExecutionStore, run_id: int) -> list[NewRun]:
    """Cancel an execute run, and make the run that cancels what AMC has, or may have, of it.

    Both or neither. Raises NotFound, and IllegalMove if the run has ended and AMC has nothing left to cancel.
    """
    with executions.transaction():
        run = runs.get(run_id)
        row = next(iter(executions.of_run(run_id)), None)
        is_alive = row is not None and row.is_in_amc
        if not (run.status.is_final and is_alive):
            runs.cancel([run_id])
        new = [cancel_run(row, run.correlation_id)] if row is not None and is_alive else []
        runs.create(new)
        return new


def cancel_run(row: ExecutionRecord, correlation_id: str | None = None) -> NewRun:
    """The run that cancels an execution in AMC, ours or somebody else's."""
    return NewRun(
        idempotency_key=f"cancel:{row.execution_id}",
        kind=CANCEL,
        payload={"execution_id": row.execution_id, "run_id": row.run_id, "tenant": row.tenant_id},
        tenant_id=row.tenant_id,
        lock_key=f"cancel:{row.execution_id}",
        correlation_id=correlation_id,
    )


@dataclass(frozen=True, slots=True)
class CancelHandler(SingleHandler):
    """Asks AMC to cancel an execution until AMC shows it as cancelled, or as ended in another way."""

    kind = CANCEL

    shared: HandlerContext

    def outcome(self, run: Run) -> Outcome:
        """One step."""
        try:
            return self._cancelled(run)
        except RemoteError as error:
            if error.retryable and not self._is_late(run):
                return self._again(run, str(error))
            raise

    def _cancelled(self, run: Run) -> Outcome:
        at = self.shared.clock.now()
        row = self.shared.executions.get(run.payload["execution_id"])
        if row.submitting_at is not None and row.workflow_execution_id is None:
            row = self.shared.executions.came_late(row, run, at)
        client = self.shared.clients(tenant_named(self.shared.tenants, row.tenant_id))
        if row.workflow_execution_id is None:
            found = adopted(client, self.shared.executions, row)
            if found is None:
                return self._not_there(run, row, at)
            row = found
        return self._asked(run, client, row)

    def _not_there(self, run: Run, row: ExecutionRecord, at: datetime) -> Outcome:
        """AMC does not show it: perhaps not yet."""
        until = self._settled_at(row)
        if at < until:
            return replace(
                self._again(run, "looking whether AMC has the execution"), until=min(self._next(run), until)
            )
        self.shared.executions.end(
            self.shared.executions.not_found(row), ExecutionStatus.CANCELLED, "AMC shows no execution of it"
        )
        return Done({"execution_status": None, "workflow_execution_id": None})

    def _asked(self, run: Run, client: AmcClient, row: ExecutionRecord) -> Outcome:
        """Cancel, and look."""
        workflow_execution_id = row.workflow_execution_id or ""
        try:
            execution: Execution | None = client.cancel_execution(workflow_execution_id)
        except Refused as refused:
            execution = client.execution(workflow_execution_id)
            if execution and not execution.status.is_final:
                raise refused from None
        if execution is None:
            self.shared.executions.end(
                row, ExecutionStatus.DELETED, "AMC does not know the execution any more"
            )
            return Skipped("AMC does not know the execution any more")
        row = self.shared.executions.see(row, execution)
        if execution.status is ExecutionStatus.CANCELLED:
            return Done({"execution_status": "CANCELLED", "workflow_execution_id": workflow_execution_id})
        if execution.status.is_final:
            return Skipped(f"it had ended already: {execution.status}")
        if self._is_late(run):
            return Failed(ExecutionFailed(str(execution.status), "AMC did not cancel it"))
        return self._again(run, f"AMC: {execution.status}")

    def _again(self, run: Run, reason: str) -> Snooze:
        return Snooze(self._next(run), reason, asked_at=self.shared.clock.now())

    def _next(self, run: Run) -> datetime:
        return self.shared.clock.now() + polling.pause(self.shared.settings, run.claims - 1)

    def _is_late(self, run: Run) -> bool:
        settings = self.shared.settings
        # The pauses count as well: the clock may have been set forward, or nothing may have run for days.
        is_asked_enough = (
            not settings.poll_first or polling.paused(settings, run.claims - 1) >= settings.deadline
        )
        return is_asked_enough and self.shared.clock.now() >= run.created_at + settings.deadline

    def _settled_at(self, row: ExecutionRecord) -> datetime:
        return (row.submitting_at or row.changed_at) + self.shared.settings.adopt_within
