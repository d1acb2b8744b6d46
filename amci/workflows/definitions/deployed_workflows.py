"""Which workflows are in whose AMC, as the runs that brought them there tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from amci.kernel.errors import UsageError
from amci.kernel.run import Run, RunStatus
from amci.tenants.model import Tenant
from amci.workflows.definitions import definition_check
from amci.workflows.definitions.definition import Workflow, amc_definition
from amci.workflows.definitions.library import for_tenant
from amci.workflows.definitions.run_factory import Action, definition_hash

#: The newest successful run by tenant and workflow.
DeployedRuns = Mapping[tuple[str, str], Run]


def current_runs(newest_first: Iterable[Run]) -> DeployedRuns:
    """Where workflows stand after these runs of the kind `workflow`; deleted ones are left out."""
    newest: dict[tuple[str, str], Run] = {}
    for run in newest_first:
        if run.status is RunStatus.SUCCEEDED:
            newest.setdefault((run.payload["tenant"], run.payload["workflow"]), run)
    return {about: run for about, run in newest.items() if run.payload["action"] != Action.DELETE}


def overview(
    workflows: Mapping[str, Workflow], tenants: Mapping[str, Tenant], stands: DeployedRuns
) -> list[dict[str, Any]]:
    """A row for each workflow in config or in AMC: whom it is for, who has it, and who has another definition."""
    meant = {
        name: [w.workflow_id for w in for_tenant(workflows, tenant)]
        for name, tenant in tenants.items()
        if tenant.instance_id
    }
    rows = []
    for workflow_id in sorted({*workflows, *(name for _, name in stands)}):
        workflow = workflows.get(workflow_id)
        having = sorted(tenant for tenant, name in stands if name == workflow_id)
        rows.append(
            {
                "workflow_id": workflow_id,
                "version": workflow.version if workflow else None,
                "in_config": workflow is not None,
                "for": sorted(name for name, ids in meant.items() if workflow_id in ids),
                "in_amc": having,
                "outdated": [
                    name
                    for name in having
                    if not _is_current(workflow, tenants.get(name), stands[name, workflow_id])
                ],
                "warnings": definition_check.warnings(workflow) if workflow else [],
            }
        )
    return rows


def _is_current(workflow: Workflow | None, tenant: Tenant | None, run: Run) -> bool:
    """Whether what was brought to AMC is what config has now."""
    if workflow is None or tenant is None:
        return True
    try:
        now = definition_hash(amc_definition(workflow, tenant))
    except UsageError:
        return False
    return bool(run.result and run.result.get("definition_hash") == now)
