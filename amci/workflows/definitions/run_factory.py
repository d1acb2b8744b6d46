"""The runs that bring workflows to AMC: how they are written into the run store."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from amci.kernel.run import NewRun
from amci.kernel.text import utf8
from amci.tenants.model import Tenant
from amci.workflows.definitions.definition import Workflow, amc_definition
from amci.workflows.definitions.sql import loose_hash

#: The kind of a run that changes a workflow in AMC.
WORKFLOW = "workflow"


class Action(StrEnum):
    """What is done to a workflow in AMC."""

    CREATE = "create"  #: or update, if AMC has it already
    UPDATE = "update"
    DELETE = "delete"


def workflow_run(
    action: Action,
    tenant: Tenant,
    workflow: Workflow | str,
    *,
    again: str = "",
    correlation_id: str | None = None,
    is_pruning: bool = False,
) -> NewRun:
    """The run that brings a workflow to one tenant's AMC, or takes it away; by id if config has it no more.

    One definition is brought once; `again`, such as a moment, makes it another run. Raises UsageError if the
    tenant's values do not fit the parameters. `is_pruning`: only while config has no such workflow for the tenant.
    """
    workflow_id = workflow if isinstance(workflow, str) else workflow.workflow_id
    digest = "" if isinstance(workflow, str) else definition_hash(amc_definition(workflow, tenant))
    about = f"{tenant.tenant}/{workflow_id}"
    return NewRun(
        idempotency_key=f"workflow:{action}:{about}@{tenant.instance_id}:{digest[:16]}:{again}".rstrip(":"),
        kind=WORKFLOW,
        payload={"action": str(action), "tenant": tenant.tenant, "workflow": workflow_id}
        | ({"is_pruning": True} if is_pruning else {}),
        tenant_id=tenant.tenant,
        lock_key=f"workflow:{tenant.instance_id}/{workflow_id}",
        correlation_id=correlation_id,
    )


def definition_hash(definition: Mapping[str, Any]) -> str:
    """SHA-256 of a definition as AMC spells it; the layout of the SQL does not count."""
    counted = {**definition, "sqlQuery": loose_hash(str(definition["sqlQuery"] or ""))}
    text = json.dumps(counted, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(utf8(text)).hexdigest()
