"""After an unknown outcome: finds the execution that a request may have made."""

from __future__ import annotations

from datetime import timedelta

from amci.workflows.amc.client import AmcClient
from amci.workflows.executions.request_matching import is_like
from amci.workflows.executions.store import ExecutionRecord, ExecutionStore

#: AMC's clock and ours may differ by so much.
SKEW = timedelta(minutes=2)


def adopted(client: AmcClient, executions: ExecutionStore, row: ExecutionRecord) -> ExecutionRecord | None:
    """The row with the execution its last request made, as far as AMC shows it by now; None if it does not.

    Of several that could be it, the oldest that no other run has. Raises RemoteError.
    """
    if row.request is None or row.submitting_at is None:
        return None
    made = client.executions(row.submitting_at - SKEW, row.workflow_id)
    alike = [execution for execution in made if is_like(row.request, execution)]
    owned = executions.owned(row.instance_id, [execution.workflow_execution_id for execution in alike])
    for execution in reversed(alike):
        if execution.workflow_execution_id in owned:
            continue
        if taken := executions.take(row, execution):
            return taken
    return None
