"""Tenants and their provisioning as rows for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from amci.kernel.run import Run
from amci.kernel.runs import RunStore
from amci.tenants.model import Tenant
from amci.tenants.registry import Changes
from amci.workflows.provisioning.provision import newest_run, status_of

STEP_COLUMNS = ("tenant", "step", "ok", "says", "do")


def tenant_row(tenant: Tenant, runs: RunStore) -> dict[str, Any]:
    """A tenant at a glance."""
    return {
        "tenant": tenant.tenant,
        "name": tenant.name,
        "status": status_of(runs, tenant.tenant),
        "region": tenant.region if tenant.instance_id else "",
        "instance_id": tenant.instance_id,
        "auth_id": tenant.auth_id if tenant.instance_id else "",
        "tags": list(tenant.tags),
    }


def details(tenant: Tenant, runs: RunStore) -> dict[str, Any]:
    """All there is to know about a tenant, with the steps of its newest provision run."""
    run = newest_run(runs, tenant.tenant)
    known = tenant.model_dump(mode="json") | {
        "prefix": tenant.table_prefix(""),
        "customer_hash": tenant.hash_value,
        "status": status_of(runs, tenant.tenant),
    }
    return known | {"reason": run.reason if run else None, "steps": step_rows([run] if run else [])}


def step_rows(runs: Iterable[Run]) -> list[dict[str, Any]]:
    """The steps of provision runs; a run without any says why."""
    rows = []
    for run in runs:
        steps = (run.result or {}).get("steps") or [{"step": "all", "ok": None, "says": _waits(run)}]
        rows += [{"tenant": run.tenant_id, "run_id": run.run_id, "do": "", **step} for step in steps]
    return rows


def change_rows(changes: Changes) -> list[dict[str, str]]:
    """What became of each tenant."""
    by_word: Mapping[str, tuple[str, ...]] = {
        "created": changes.created,
        "updated": changes.updated,
        "unchanged": changes.unchanged,
    }
    return [{"tenant": name, "change": word} for word, names in by_word.items() for name in names]


def _waits(run: Run) -> str:
    return f"{run.status.lower()}: {run.reason}" if run.reason else run.status.lower()
