"""What is wrong with a workflow before AMC is asked: its SQL, its placeholders, its window, its tenants."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from amci.kernel.errors import Problem, UsageError
from amci.kernel.names import did_you_mean
from amci.tenants.model import Tenant
from amci.workflows.definitions import sql, time_windows
from amci.workflows.definitions.definition import Workflow
from amci.workflows.definitions.parameters import placeholders


def problems(workflow: Workflow, shown: str) -> list[Problem]:
    """Every mistake in one workflow, as far as it can be seen without AMC."""
    return [Problem(shown, field, says) for field, says in _faults(workflow)]


def _faults(workflow: Workflow) -> Iterator[tuple[str, str]]:
    declared = [parameter.name for parameter in workflow.input_parameters]
    if fault := sql.fault(workflow.sql):
        yield "sql", fault
    else:
        for name in sorted(placeholders(workflow.sql) - set(declared)):
            yield (
                "input_parameters",
                f"the SQL uses CUSTOM_PARAMETER('{name}'), not declared{did_you_mean(name, declared)}",
            )
    if workflow.window:
        try:
            time_windows.check(workflow.time_window)
        except UsageError as error:
            yield "window", f"{error}; {error.hint}"


def warnings(workflow: Workflow) -> list[str]:
    """What is allowed, and probably not meant."""
    if sql.fault(workflow.sql):
        return []
    used = placeholders(workflow.sql)
    return [
        f"parameter {p.name} is declared, and the SQL does not use it"
        for p in workflow.input_parameters
        if p.name not in used
    ]


def tenant_problems(
    workflows: Mapping[str, Workflow],
    tenants: Mapping[str, Tenant],
    workflow_files: Mapping[str, str],
    tenant_files: Mapping[str, str],
) -> list[Problem]:
    """Unknown tenants that workflows name, and values of tenants that do not fit the parameters.

    `workflow_files` and `tenant_files` have the names of their files, by id.
    """
    return [
        problem
        for workflow in workflows.values()
        for problem in (
            *_unknown_tenants(workflow, list(tenants), workflow_files[workflow.workflow_id]),
            *_unfit_values(workflow, tenants.values(), tenant_files),
        )
    ]


def _unknown_tenants(workflow: Workflow, known: list[str], shown: str) -> Iterator[Problem]:
    for field, names in (("tenants", workflow.tenants), ("values", workflow.values)):
        for name in names:
            if name not in known:
                yield Problem(shown, field, f"no tenant '{name}'{did_you_mean(name, known)}")


def _unfit_values(
    workflow: Workflow, tenants: Iterable[Tenant], files: Mapping[str, str]
) -> Iterator[Problem]:
    for tenant in tenants:
        if not workflow.is_for(tenant):
            continue
        try:
            workflow.defaults(tenant)
        except UsageError as error:
            yield Problem(files[tenant.tenant], "values", f"workflow {workflow.workflow_id}: {error}")
