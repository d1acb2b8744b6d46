"""The run that a landed object version is queued as."""

from __future__ import annotations

from amci.kernel.clock import new_id
from amci.kernel.run import NewRun, Run
from amci.lake.datasets.router import Route


def light_run(
    root: str,
    key: str,
    object_id: int,
    version: int,
    route: Route,
    *,
    again: str = "",
    correlation_id: str = "",
) -> NewRun:
    """The run that reads one version of an object; `again` sets a repeated one apart from the first.

    `correlation_id` is that of the run that brought the object here; without one, a new one begins.
    """
    return NewRun(
        idempotency_key=f"light:{root}/{key}@{version}{again}",
        kind="light",
        tenant_id=route.tenant_id,
        lock_key=f"object:{object_id}",
        batch_key=route.dataset.dataset,
        correlation_id=correlation_id or new_id(),
        payload={"object_id": object_id, "version": version, "again": again},
    )


def object_version(run: Run) -> tuple[int, int]:
    """The id and version of the object that a light or heavy run is about."""
    return run.payload["object_id"], run.payload["version"]
