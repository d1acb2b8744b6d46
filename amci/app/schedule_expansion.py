"""Schedules declared once and meant for many: one schedule for each tenant, with that tenant's values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from amci.app.for_each import FOR_EACH, ForEachTask
from amci.kernel.errors import AmciError, NotFound, Problem, UsageError
from amci.kernel.names import did_you_mean
from amci.lake.upkeep import tasks
from amci.scheduler.config import ScheduleFile
from amci.scheduler.model import FireRun, Schedule
from amci.tenants.model import Tenant
from amci.workflows.amc.model import ExecutionRequest, TimeWindow, WindowType
from amci.workflows.definitions.definition import Workflow
from amci.workflows.definitions.parameters import merged
from amci.workflows.executions import fan_out
from amci.workflows.executions.reconcile import RECONCILE
from amci.workflows.executions.run_factory import EXECUTE, ExecuteTask

#: Fields of a workflow's definition that a request has places of its own for.
_SENT_APART = ("sqlQuery", "workflowId")


def spread(
    files: Mapping[str, tuple[str, ScheduleFile]],
    tenants: Mapping[str, Tenant],
    workflows: Mapping[str, Workflow],
    problems: list[Problem],
) -> dict[str, Schedule]:
    """Every schedule of every tenant by id; `files` has the name of each file as well.

    What is wrong with one is added to `problems`.
    """
    found: dict[str, Schedule] = {}
    for shown, file in files.values():
        try:
            schedules = list(_schedules(file, tenants, workflows))
        except AmciError as error:
            says = f"{error} ({error.hint})" if error.hint else str(error)
            problems.append(Problem(shown, "", says))
        else:
            found |= {schedule.schedule_id: schedule for schedule in schedules}
    return found


def _schedules(
    file: ScheduleFile, tenants: Mapping[str, Tenant], workflows: Mapping[str, Workflow]
) -> Iterator[Schedule]:
    if file.run and file.run != RECONCILE:
        tasks.check(file.run, file.with_)
        payload = {"do": file.run, "with": file.with_}
        yield _schedule(file, file.schedule, FireRun(kind=tasks.UPKEEP, payload=payload))
        return
    chosen = _chosen(file, tenants)
    is_one = len(file.tenants) == 1 and not (file.tags or file.all_tenants)
    for tenant in chosen:
        schedule_id = file.schedule if is_one else f"{file.schedule}/{tenant.tenant}"
        if file.run:
            run = _reconciling(tenant)
        else:
            run = (_for_each if file.for_each else _execution)(file, tenant, workflows, schedule_id)
        yield _schedule(file, schedule_id, run)


def _chosen(file: ScheduleFile, tenants: Mapping[str, Tenant]) -> list[Tenant]:
    """The tenants a schedule is for, those without an AMC instance left out if they are not named."""
    for name in file.tenants:
        if name not in tenants:
            raise NotFound(f"no tenant '{name}'{did_you_mean(name, tenants)}")
        if not tenants[name].instance_id:
            raise UsageError(f"tenant '{name}' has no AMC instance", hint="give it an instance_id")
    wanted = [
        tenant
        for tenant in tenants.values()
        if tenant.instance_id
        and (file.all_tenants or tenant.tenant in file.tenants or not set(file.tags).isdisjoint(tenant.tags))
    ]
    if file.tags and not wanted:
        raise NotFound(f"no tenant with an AMC instance has the tag '{', '.join(file.tags)}'")
    return wanted


def _execution(
    file: ScheduleFile, tenant: Tenant, workflows: Mapping[str, Workflow], _schedule_id: str
) -> FireRun:
    return FireRun(
        kind=EXECUTE,
        payload=_task(file, tenant, workflows).payload(),
        tenant_id=tenant.tenant,
        pool=tenant.pool,
        batch_key=tenant.tenant,
    )


def _for_each(
    file: ScheduleFile, tenant: Tenant, workflows: Mapping[str, Workflow], schedule_id: str
) -> FireRun:
    task = ForEachTask(
        execute=_task(file, tenant, workflows),
        schedule_id=schedule_id,
        sql=file.for_each,
        most=file.most,
        overlap=str(file.overlap),
        lag=file.lag,
    )
    return FireRun(kind=FOR_EACH, payload=task.payload(), tenant_id=tenant.tenant)


def _task(file: ScheduleFile, tenant: Tenant, workflows: Mapping[str, Workflow]) -> ExecuteTask:
    given = {**file.parameters, **file.values.get(tenant.tenant, {})}
    workflow = workflows.get(file.workflow)
    if not file.definition:
        if workflow is None:
            raise NotFound(f"no workflow '{file.workflow}'{did_you_mean(file.workflow, workflows)}")
        # Asked for its errors: a fire at night should not be the first to find them.
        _check_parameters(workflow, tenant, given, has_rows=bool(file.for_each))
    request = ExecutionRequest(
        workflow_id=file.workflow,
        sql_query=file.definition.get("sqlQuery"),
        definition={name: value for name, value in file.definition.items() if name not in _SENT_APART},
        window=_window(file, workflow),
        parameter_values=given,
        more=file.more,
    )
    return ExecuteTask(request=request, schedule=file.schedule_folder or file.schedule)


def _check_parameters(
    workflow: Workflow, tenant: Tenant, given: Mapping[str, Any], *, has_rows: bool
) -> None:
    """Raise UsageError if values do not fit the parameters; those that a row gives, if `has_rows`, by name only."""
    known = {parameter.name for parameter in workflow.input_parameters}
    of_rows = {
        name for name, value in given.items() if has_rows and name in known and fan_out.is_column(value)
    }
    fixed = tuple(parameter for parameter in workflow.input_parameters if parameter.name not in of_rows)
    values = {name: value for name, value in given.items() if name not in of_rows}
    merged(workflow.model_copy(update={"input_parameters": fixed}), tenant, values)


def _window(file: ScheduleFile, workflow: Workflow | None) -> TimeWindow:
    """The schedule's window if it names one, else the workflow's."""
    if workflow and "window" not in file.model_fields_set:
        return workflow.time_window
    return TimeWindow(
        type=WindowType(file.window.type),
        start=file.window.start or None,
        end=file.window.end or None,
        time_zone=file.window.time_zone or file.time_zone,
    )


def _reconciling(tenant: Tenant) -> FireRun:
    return FireRun(kind=RECONCILE, payload={"tenant": tenant.tenant}, tenant_id=tenant.tenant)


def _schedule(file: ScheduleFile, schedule_id: str, run: FireRun) -> Schedule:
    return Schedule(
        schedule_id=schedule_id,
        expression=file.expression,
        time_zone=file.time_zone,
        run=run,
        catch_up=file.catch_up,
        overlap=file.overlap,
        start_at=file.start_at,
        end_at=file.end_at,
        jitter=file.jitter,
        is_enabled=file.enabled,
        description=file.description,
    )
