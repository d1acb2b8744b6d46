"""The run kind `reconcile`: brings our table and AMC's list of executions together, both ways."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from amci.kernel import log
from amci.kernel.clock import timestamp
from amci.kernel.run import Done, NewRun, Outcome, Run
from amci.kernel.worker import SingleHandler
from amci.tenants.model import Tenant, tenant_named
from amci.workflows.amc.model import Execution, ExecutionStatus
from amci.workflows.executions.cancel import cancel_run
from amci.workflows.executions.handler_context import HandlerContext
from amci.workflows.executions.polling import SKEW, may_yet_show
from amci.workflows.executions.request_matching import is_like
from amci.workflows.executions.store import ExecutionRecord

if TYPE_CHECKING:
    from amci.workflows.amc.client import AmcClient

RECONCILE = "reconcile"

_log = log.get("reconcile")


def reconcile_run(tenant: Tenant, at: datetime, run_after: datetime | None = None) -> NewRun:
    """The run that compares a tenant's executions with AMC's; one for each moment."""
    return NewRun(
        idempotency_key=f"reconcile:{tenant.tenant}@{timestamp(at)}",
        kind=RECONCILE,
        payload={"tenant": tenant.tenant},
        tenant_id=tenant.tenant,
        lock_key=f"reconcile:{tenant.tenant}",
        run_after=run_after,
    )


@dataclass(frozen=True, slots=True)
class ReconcileHandler(SingleHandler):
    """Looks back over a tenant's executions: others' are noted, ours brought up to date or marked DELETED."""

    kind = RECONCILE

    shared: HandlerContext

    def outcome(self, run: Run) -> Outcome:
        """Compare one tenant; the result has the counts, and the ids of second executions of one request."""
        tenant = tenant_named(self.shared.tenants, run.tenant_id or "")
        client = self.shared.clients(tenant)
        since = self.shared.clock.now() - self.shared.settings.look_back
        listed = {execution.workflow_execution_id: execution for execution in client.executions(since)}
        counts = self._reconciled(tenant, client, since, listed)
        second = self._second(tenant.instance_id, since, listed)
        result = counts | ({"second": [row.workflow_execution_id for row in second]} if second else {})
        return Done(result, then=[cancel_run(row) for row in second if row.is_in_amc])

    def _second(
        self, instance_id: str, since: datetime, listed: Mapping[str, Execution]
    ) -> list[ExecutionRecord]:
        """What AMC made of a request that had no answer, after that was sent again: noted, with its request."""
        found: list[ExecutionRecord] = []
        with self.shared.executions.transaction():
            unclaimed = self.shared.executions.unclaimed(instance_id, since - SKEW)
            # Oldest first, as AMC carried them out.
            for execution in reversed([e for e in listed.values() if e.workflow_execution_id in unclaimed]):
                for ours in self.shared.executions.may_have_more(instance_id, since):
                    if _may_have_made(ours, execution):
                        found.append(self._noted(ours, execution))
                        break
        return found

    def _noted(self, ours: ExecutionRecord, execution: Execution) -> ExecutionRecord:
        name = execution.workflow_execution_id
        then = "it is not brought again" if execution.status.is_final else "it is being cancelled"
        reason = f"AMC carried its request out once more: execution {name}, {execution.status}; {then}"
        _log.warning("executed twice", run_id=ours.run_id, workflow_execution_id=name)
        return self.shared.executions.second(self.shared.executions.by_amc(name), ours, reason)

    def _reconciled(
        self, tenant: Tenant, client: AmcClient, since: datetime, listed: Mapping[str, Execution]
    ) -> dict[str, int]:
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
        elif not may_yet_show(self.shared.settings, row, self.shared.clock.now()):
            self.shared.executions.end(
                row, ExecutionStatus.DELETED, "AMC does not know the execution any more"
            )
            counts["deleted"] += 1


def _may_have_made(ours: ExecutionRecord, execution: Execution) -> bool:
    """Whether this execution may be one more of our request: alike, and created since it was first sent."""
    if ours.request is None or ours.first_sent_at is None or execution.created_at is None:
        return False
    return execution.created_at >= ours.first_sent_at - SKEW and is_like(ours.request, execution)
