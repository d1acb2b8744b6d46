"""The lake's runs as they are put in line: light for an object version, heavy for what was staged of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from amci.kernel.clock import new_id
from amci.kernel.run import NewRun, Run
from amci.lake.router import Route


def light_run(
    root: str, key: str, object_id: int, version: int, route: Route, *, again: str = "", story: str = ""
) -> NewRun:
    """The run that reads one version of an object; `again` sets a repeated one apart from the first.

    `story` is the correlation id of what brought the object here; where nothing is known, a story begins.
    """
    return NewRun(
        idempotency_key=f"light:{root}/{key}@{version}{again}",
        kind="light",
        tenant_id=tenant_id(route),
        lock_key=f"object:{object_id}",
        batch_key=route.dataset.dataset,
        correlation_id=story or new_id(),
        payload={"object_id": object_id, "version": version, "again": again},
    )


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


def tenant_id(route: Route) -> str | None:
    """The tenant of a route, where it names one."""
    return route.tenant.tenant if route.tenant else None
