"""The runs that load what was staged of an object."""

from __future__ import annotations

from amci.kernel.run import NewRun, Run
from amci.lake.loading.staged_object import StagedObject


def heavy_run(root: str, key: str, earlier: Run, staged: StagedObject) -> NewRun:
    """The run that loads what is in pre-stage of an object version.

    `earlier` is a run of that object, light or heavy, whose tenant, lock and correlation id go on.
    """
    return NewRun(
        idempotency_key=f"heavy:{root}/{key}@{staged.version}{staged.again}",
        kind="heavy",
        tenant_id=earlier.tenant_id,
        lock_key=earlier.lock_key,
        batch_key=earlier.batch_key,
        correlation_id=earlier.correlation_id,
        payload=staged.to_payload(),
    )
