"""The run kind `reconcile`: brings our table and AMC's list of executions together, both ways."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from amci.kernel.clock import timestamp
from amci.kernel.run import Done, NewRun, Outcome, Run
from amci.kernel.worker import SingleHandler
from amci.tenants.model import Tenant, tenant_named
from amci.workflows.amc.client import AmcClient
from amci.workflows.amc.model import Execution, ExecutionStatus
from amci.workflows.executions.handler_context import HandlerContext
from amci.workflows.executions.store import ExecutionRecord

RECONCILE = "reconcile"


def reconcile_run(tenant: Tenant, at: datetime) -> NewRun:
    """The run that compares a tenant's executions with AMC's; one for each moment."""
    return NewRun(
        idempotency_key=f"reconcile:{tenant.tenant}@{timestamp(at)}",
        kind=RECONCILE,
        payload={"tenant": tenant.tenant},
        tenant_id=tenant.tenant,
        lock_key=f"reconcile:{tenant.tenant}",
    )


@dataclass(frozen=True, slots=True)
class ReconcileHandler(SingleHandler):
    """Looks back over a tenant's executions: others' are noted, ours brought up to date or marked DELETED."""

    kind = RECONCILE

    shared: HandlerContext

    def outcome(self, run: Run) -> Outcome:
        """Compare one tenant; the result has the counts."""
        tenant = tenant_named(self.shared.tenants, run.tenant_id or "")
        return Done(self._reconciled(tenant, self.shared.clients(tenant)))

    def _reconciled(self, tenant: Tenant, client: AmcClient) -> dict[str, int]:
        since = self.shared.clock.now() - self.shared.settings.look_back
        listed = {execution.workflow_execution_id: execution for execution in client.executions(since)}
        # Read after the list, so that whatever was made meanwhile is only ours and not AMC's.
        ours = {
            row.workflow_execution_id: row
            for row in self.shared.executions.to_reconcile(tenant.tenant, since)
        }
        counts = {"listed": len(listed), "new": 0, "refreshed": 0, "deleted": 0}
        with self.shared.executions.transaction():
            for workflow_execution_id, execution in listed.items():
                if row := ours.pop(workflow_execution_id, None):
                    counts["refreshed"] += self._refreshed(row, execution)
                elif not self.shared.executions.is_known(tenant.instance_id, workflow_execution_id):
                    self.shared.executions.note_foreign(tenant.tenant, tenant.instance_id, execution)
                    counts["new"] += 1
        for row in ours.values():
            self._missed(client, row, counts)
        return counts

    def _refreshed(self, row: ExecutionRecord, execution: Execution) -> bool:
        self.shared.executions.see(row, execution, looks=0)
        return row.status is not execution.status

    def _missed(self, client: AmcClient, row: ExecutionRecord, counts: dict[str, int]) -> None:
        """One of ours that the list does not have: older than the look back, newer than the list, or gone."""
        if row.status and row.status.is_final:
            # How it ended is known and stays, for AMC forgets what is old.
            return
        execution = client.execution(row.workflow_execution_id or "")
        if execution is not None:
            counts["refreshed"] += self._refreshed(row, execution)
        else:
            self.shared.executions.end(
                row, ExecutionStatus.DELETED, "AMC does not know the execution any more"
            )
            counts["deleted"] += 1
