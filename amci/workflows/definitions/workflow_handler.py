"""The run kind `workflow`: a definition brought to a tenant's AMC, or taken away."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from amci.kernel.errors import NotFound, NotRecorded, Refused, Unavailable, UsageError
from amci.kernel.run import Done, Outcome, Run, Skipped
from amci.kernel.worker import SingleHandler
from amci.tenants.model import Tenant, tenant_named
from amci.workflows.definitions import difference, sql
from amci.workflows.definitions.definition import Workflow, amc_definition
from amci.workflows.definitions.library import workflow_named
from amci.workflows.definitions.run_factory import WORKFLOW, Action, definition_hash

if TYPE_CHECKING:
    from amci.workflows.amc.client import AmcClient

_GONE = 404


@dataclass(frozen=True, slots=True)
class WorkflowHandler(SingleHandler):
    """Creates, updates and deletes workflows in AMC; each may be done again without harm."""

    kind = WORKFLOW
    threads = 2

    workflows: Mapping[str, Workflow]
    tenants: Mapping[str, Tenant]
    clients: Callable[[Tenant], AmcClient]

    def outcome(self, run: Run) -> Outcome:
        """Do what the payload says; AMC's refusal is the run's error, in AMC's words."""
        tenant_id, workflow_id = run.payload["tenant"], run.payload["workflow"]
        if run.payload.get("is_pruning") and self._is_declared(tenant_id, workflow_id):
            return Skipped("config/ has it again")
        return self._done(Action(run.payload["action"]), tenant_id, workflow_id)

    def _is_declared(self, tenant_id: str, workflow_id: str) -> bool:
        tenant, workflow = self.tenants.get(tenant_id), self.workflows.get(workflow_id)
        return tenant is not None and workflow is not None and workflow.is_for(tenant)

    def _done(self, action: Action, tenant_id: str, workflow_id: str) -> Outcome:
        tenant = tenant_named(self.tenants, tenant_id)
        if not tenant.instance_id:
            raise UsageError(f"tenant {tenant_id} has no AMC instance", hint="set its instance_id")
        client = self.clients(tenant)
        if action is Action.DELETE:
            if not client.delete_workflow(workflow_id):
                return Skipped("AMC has no such workflow")
            return Done({"responseStatus": "DELETED", "workflow_id": workflow_id})
        workflow = workflow_named(self.workflows, workflow_id)
        definition = amc_definition(workflow, tenant)
        status = client.put_workflow(definition) if action is Action.CREATE else _updated(client, definition)
        _read_back(client, definition)
        return Done(result(status, workflow, definition))


def _updated(client: AmcClient, definition: Mapping[str, Any]) -> str:
    try:
        client.update_workflow(definition)
    except Refused as error:
        if error.status != _GONE:
            raise
        name = definition["workflowId"]
        raise NotFound(
            f"AMC has no workflow {name}", hint=f"`amci workflow create {name}` creates it"
        ) from error
    return "UPDATED"


def _read_back(client: AmcClient, definition: Mapping[str, Any]) -> None:
    """Raise Unavailable, so that it is sent again, unless AMC has the definition that was sent."""
    workflow_id = definition["workflowId"]
    try:
        remote = client.workflow(workflow_id) or {}
    except NotRecorded:
        # A recording of an amci that did not look.
        return
    if fields := difference.fields(definition, remote):
        theirs = difference.hash_of(definition, remote)[:16] if remote else "none"
        raise Unavailable(
            f"AMC has another definition of workflow {workflow_id} than was sent: hash"
            f" {definition_hash(definition)[:16]} here, {theirs} in AMC; it differs in {', '.join(fields)}",
            hint=f"amci sends it again by itself; `amci workflow diff {workflow_id}` shows the difference",
        )


def result(status: str, workflow: Workflow, definition: Mapping[str, Any]) -> dict[str, Any]:
    """What a run that brought a definition to AMC leaves behind."""
    return {
        "responseStatus": status,
        "workflow_id": workflow.workflow_id,
        "version": workflow.version,
        "sql_hash": sql.sql_hash(workflow.sql),
        "definition_hash": definition_hash(definition),
    }
