"""Provisioning: is everything there that a tenant needs? One run looks, step by step, and says what to do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, Literal

from amci.kernel.clock import Clock, new_id
from amci.kernel.errors import AmciError, NotFound, RemoteError
from amci.kernel.run import Done, Failed, NewRun, Outcome, Run, RunStatus, Skipped, Snooze
from amci.kernel.runs import RunStore
from amci.kernel.worker import SingleHandler
from amci.tenants.model import Tenant
from amci.workflows.amc.client import AmcClient
from amci.workflows.provisioning.steps import Inspection, Step, inspected

KIND = "provision"
TenantStatus = Literal["NEW", "PENDING", "PROVISIONING", "READY", "FAILED"]

#: AMC makes an instance within hours; one that takes a day needs somebody to ask.
_LONGEST_WAIT = timedelta(days=1)
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(minutes=1), timedelta(minutes=30)
#: The fields provisioning looks at; others may change without another look.
_LOOKED_AT = ("tenant", "region", "instance_id", "advertiser_id", "marketplace_id", "auth_id", "raw")


def provision_run(tenant: Tenant, *, again: str = "") -> NewRun:
    """The run that provisions a tenant: one for each definition, and another for each new word `again`."""
    looked_at = tenant.model_dump(mode="json", include=set(_LOOKED_AT))
    definition = hashlib.sha256(json.dumps(looked_at, sort_keys=True).encode()).hexdigest()[:16]
    key = f"{KIND}:{tenant.tenant}@{definition}"
    return NewRun(
        idempotency_key=f"{key}#{again}" if again else key,
        kind=KIND,
        payload={"tenant": tenant.tenant},
        tenant_id=tenant.tenant,
    )


def queue_provisioning(runs: RunStore, tenant: Tenant, *, again: bool) -> str:
    """Queue a run for a tenant, with `again` even if one has looked at this definition; returns its key."""
    run = provision_run(tenant)
    if not runs.create([run]) and again:
        run = provision_run(tenant, again=new_id())
        runs.create([run])
    return run.idempotency_key


def newest_run(runs: RunStore, tenant_id: str) -> Run | None:
    """The newest provision run of a tenant that was not cancelled."""
    passed_over = (RunStatus.CANCELLED, RunStatus.SKIPPED)
    found = runs.list(kind=KIND, tenant=tenant_id)
    return next((run for run in found if run.status not in passed_over), None)


def status_of(runs: RunStore, tenant_id: str) -> TenantStatus:
    """Where a tenant stands, by its newest provision run."""
    run = newest_run(runs, tenant_id)
    if run is None:
        return "NEW"
    if run.status is RunStatus.PENDING and not run.claims:
        return "PENDING"
    if not run.status.is_final:
        return "PROVISIONING"
    return "READY" if run.status is RunStatus.SUCCEEDED else "FAILED"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisionHandler(SingleHandler):
    """Handles runs of kind `provision`. Looking twice does no harm."""

    tenants: Callable[[str], Tenant]  #: the tenant with this id as it now is; raises NotFound
    clients: Callable[[Tenant], AmcClient]
    prepare: Callable[[Tenant], str]  #: makes or looks at its folder, says what there is; raises AmciError
    dataset_of: Callable[[str], str]  #: the dataset that takes a key; raises Unroutable
    clock: Clock
    kind: ClassVar[str] = KIND
    threads: ClassVar[int] = 2

    def outcome(self, run: Run) -> Outcome:
        """Look at one tenant; the steps are in the result."""
        try:
            tenant = self.tenants(run.payload["tenant"])
        except NotFound:
            return Skipped(f"tenant {run.payload['tenant']} is no longer configured")
        found = inspected(tenant, self.clients, self.prepare, self.dataset_of)
        result = {"steps": [_as_json(step) for step in found.steps]}
        # A step that failed needs a person; only waiting may help the others.
        if found.errors:
            return Failed(found.errors[0], result)
        return self._waiting(run, tenant, found, result) if found.waits_for else Done(result)

    def _waiting(self, run: Run, tenant: Tenant, found: Inspection, result: Mapping[str, Any]) -> Outcome:
        now = self.clock.now()
        age = now - run.created_at
        if age >= _LONGEST_WAIT:
            return Failed(_gave_up(tenant, found.waits_for), result)
        pause = max(min(age / 2, _LONGEST_PAUSE), _FIRST_PAUSE, found.at_least)
        return Snooze(now + pause, found.waits_for)


def _gave_up(tenant: Tenant, waits_for: str) -> AmciError:
    hint = f"ask Amazon's support if this is new to you; `amci tenant check {tenant.tenant}` looks again"
    return RemoteError(f"given up after a day: {waits_for}", hint=hint)


def _as_json(step: Step) -> dict[str, Any]:
    return {"step": step.step, "ok": step.ok, "says": step.says} | ({"do": step.do} if step.do else {})
