"""The runs that load what was staged of an object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from amci.kernel.run import NewRun, Run


def heavy_run(root: str, key: str, light: Run, staged: Mapping[str, Any]) -> NewRun:
    """The run that loads what a light run staged."""
    version, again = light.payload["version"], light.payload.get("again", "")
    return NewRun(
        idempotency_key=f"heavy:{root}/{key}@{version}{again}",
        kind="heavy",
        tenant_id=light.tenant_id,
        lock_key=light.lock_key,
        batch_key=light.batch_key,
        correlation_id=light.correlation_id,
        payload={"object_id": light.payload["object_id"], "version": version, "again": again, **staged},
    )


def heavy_run_again(root: str, key: str, first: Run, again: str) -> NewRun:
    """The run that loads once more what an earlier heavy run loaded, from pre-stage."""
    return NewRun(
        idempotency_key=f"heavy:{root}/{key}@{first.payload['version']}{again}",
        kind="heavy",
        tenant_id=first.tenant_id,
        lock_key=first.lock_key,
        batch_key=first.batch_key,
        correlation_id=first.correlation_id,
        payload={**first.payload, "again": again},
    )
