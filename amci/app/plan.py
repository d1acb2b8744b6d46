"""What differs between config/, the workspace and AMC, and the runs that make it so."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from amci.app.project import Project
from amci.app.session import Session
from amci.app.workflow_check import refuse_bad
from amci.kernel.clock import timestamp
from amci.kernel.errors import NotFound, RemoteError
from amci.kernel.run import NewRun, RunStatus
from amci.lake.datasets import library as datasets_library
from amci.scheduler.clock_changes import A_YEAR, odd_times
from amci.scheduler.due import Timetable
from amci.tenants.model import Tenant
from amci.workflows.definitions.definition import amc_definition
from amci.workflows.definitions.difference import diff
from amci.workflows.definitions.library import for_tenant
from amci.workflows.definitions.run_factory import Action, workflow_run
from amci.workflows.provisioning.provision import newest_run, provision_run

if TYPE_CHECKING:
    from amci.lake.query.session import QuerySession


class Change(StrEnum):
    """What would be done."""

    PROVISION = "provision"
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"  #: only if it is asked for
    ACTIVATE = "activate"
    RETIRE = "retire"
    REWRITE = "rewrite"  #: only by `amci lake rewrite`
    REPROCESS = "reprocess"  #: only by `amci lake reprocess`
    DROP = "drop"  #: only by `amci lake drop`
    UNKNOWN = "unknown"  #: AMC could not be asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is not as config/ has it."""

    change: Change
    what: str  #: tenant, workflow, schedule, dataset or table
    name: str
    tenant_id: str | None = None
    says: Sequence[str] = field(default=())

    @property
    def is_pruning(self) -> bool:
        """Whether it takes away what no file declares."""
        return self.change is Change.DELETE


def differences(opened: Session, tenants: Collection[str] = ()) -> list[Difference]:
    """Everything that differs, for all tenants or these; AMC is asked once for each."""
    chosen = [t for t in opened.project.tenants.values() if not tenants or t.tenant in tenants]
    found = [difference for tenant in chosen for difference in _of_tenant(opened, tenant)]
    return found if tenants else [*found, *_schedules(opened), *_tables(opened)]


def runs_for(opened: Session, found: Sequence[Difference], *, prune: bool) -> list[NewRun]:
    """The runs that make it so; what no file declares is deleted only with `prune`."""
    again = timestamp(opened.clock.now())
    runs = []
    for difference in found:
        if difference.tenant_id is None or (difference.is_pruning and not prune):
            continue
        tenant = opened.project.tenants[difference.tenant_id]
        if difference.change is Change.PROVISION:
            runs.append(provision_run(tenant, again=again))
        elif difference.what == "workflow":
            workflow = difference.name if difference.is_pruning else opened.project.workflows[difference.name]
            runs.append(
                workflow_run(
                    Action(difference.change), tenant, workflow, again=again, is_pruning=difference.is_pruning
                )
            )
    return runs


def apply(
    opened: Session,
    found: Sequence[Difference],
    *,
    prune: bool,
    check: bool,
    tell: Callable[[str], None] = lambda _: None,
) -> list[NewRun]:
    """Queue the runs that make it so, and let the schedules of config/ hold from now on; the runs.

    Raises QueryError, before anything is queued, if `check` finds SQL that AMC would refuse; `tell` hears of what
    can only be doubted.
    """
    sent = [d for d in found if d.what == "workflow" and d.change in (Change.CREATE, Change.UPDATE)]
    if check and sent:
        workflows = {d.name: opened.project.workflows[d.name] for d in sent}
        tenants = {str(d.tenant_id): opened.project.tenants[str(d.tenant_id)] for d in sent}
        refuse_bad(opened, workflows.values(), list(tenants.values()), tell)
    runs = runs_for(opened, found, prune=prune)
    opened.runs.create(runs)
    opened.schedules.sync(opened.project.schedules.values())
    return runs


def changed_datasets(project: Project) -> list[str]:
    """What datasets of config/ change of those that come with amci, a sentence for each."""
    return [
        f"dataset {name} ({source.origin}): {'; '.join(changed) or 'nothing differs'}"
        for name, source in project.dataset_sources.items()
        if source.built_in
        for changed in [datasets_library.differences(project.datasets[name], source.built_in)]
    ]


def _of_tenant(opened: Session, tenant: Tenant) -> Iterator[Difference]:
    if not _is_provisioned(opened, tenant):
        yield Difference(change=Change.PROVISION, what="tenant", name=tenant.tenant, tenant_id=tenant.tenant)
    if not tenant.instance_id:
        return
    try:
        remote = {str(document["workflowId"]): document for document in opened.client(tenant).workflows()}
    except RemoteError as error:
        says = [str(error), *([error.hint] if error.hint else [])]
        yield Difference(
            change=Change.UNKNOWN, what="tenant", name=tenant.tenant, tenant_id=tenant.tenant, says=says
        )
        return
    declared = {workflow.workflow_id: workflow for workflow in for_tenant(opened.project.workflows, tenant)}
    for name, workflow in declared.items():
        lines = diff(amc_definition(workflow, tenant), remote[name]) if name in remote else []
        if name not in remote or lines:
            change = Change.UPDATE if name in remote else Change.CREATE
            yield Difference(change=change, what="workflow", name=name, tenant_id=tenant.tenant, says=lines)
    for name in sorted(remote.keys() - declared.keys()):
        yield Difference(
            change=Change.DELETE,
            what="workflow",
            name=name,
            tenant_id=tenant.tenant,
            says=["in AMC, and in no file of config/workflows/ for this tenant"],
        )


def _is_provisioned(opened: Session, tenant: Tenant) -> bool:
    """Whether the newest look at this tenant, as it is configured now, found everything."""
    run = newest_run(opened.runs, tenant.tenant)
    return (
        run is not None
        and run.status is RunStatus.SUCCEEDED
        and run.idempotency_key.startswith(provision_run(tenant).idempotency_key)
    )


def _tables(opened: Session) -> Iterator[Difference]:
    """Tables with files that are partitioned, or are in a schema, otherwise than their datasets say now."""
    # DuckDB takes a while to open, and most datasets say nothing about it.
    if not opened.workspace.catalog.exists() or not any(
        dataset.partition_by or dataset.database for dataset in opened.project.datasets.values()
    ):
        return
    from amci.lake.query.session import session
    from amci.lake.upkeep.partitions import outdated

    settings = opened.project.settings
    reading = session(
        opened.workspace,
        memory_limit=settings.query_memory_limit,
        timeout=settings.query_timeout,
        threads=settings.threads,
    )
    # A catalog may have been made, and nothing in it.
    with suppress(NotFound), reading as lake:
        for each in outdated(lake.con, opened.state, opened.clock, opened.project.datasets.values()):
            yield Difference(change=Change.REWRITE, what="table", name=str(each.name), says=[each.says()])
        yield from _left_behind(lake, opened.project)
        yield from _empty_tables(lake, opened.project)


def _left_behind(lake: QuerySession, project: Project) -> Iterator[Difference]:
    """Datasets with objects in a schema that they had before."""
    from amci.lake.catalog.duck import LEDGER

    rows = lake.rows(
        f"SELECT dataset, schema_name, count(DISTINCT object_id) AS objects FROM {LEDGER} GROUP BY ALL ORDER BY ALL"
    )
    for row in rows:
        dataset = project.datasets.get(row["dataset"])
        if dataset and dataset.schema_name != row["schema_name"]:
            says = (
                f"schema {row['schema_name']} has objects of it ({row['objects']}),"
                f" new ones go to {dataset.schema_name}."
                f" `amci lake reprocess --changed --dataset {dataset.dataset}` moves them"
            )
            yield Difference(change=Change.REPROCESS, what="dataset", name=dataset.dataset, says=[says])


def _empty_tables(lake: QuerySession, project: Project) -> Iterator[Difference]:
    """Tables without a row in schemas that no dataset has: what is left when rows have moved to another one."""
    from amci.lake.query.inspect import tables

    schemas = {dataset.schema_name for dataset in project.datasets.values()}
    for row in tables(lake):
        if row["table"].partition(".")[0] not in schemas and not row["objects"]:
            says = f"it is empty, and no dataset loads into it: `amci lake drop {row['table']}` takes it out"
            yield Difference(change=Change.DROP, what="table", name=row["table"], says=[says])


def _schedules(opened: Session) -> Iterator[Difference]:
    new, changed, gone = opened.schedules.compared(opened.project.schedules.values())
    for change, names in ((Change.ACTIVATE, new), (Change.UPDATE, changed), (Change.RETIRE, gone)):
        for name in names:
            says = [] if change is Change.RETIRE else _odd_times(opened, name)
            yield Difference(change=change, what="schedule", name=name, says=says)


def _odd_times(opened: Session, name: str) -> list[str]:
    """Local times of a schedule's next year at which the clocks change."""
    timetable, now = Timetable.of(opened.project.schedules[name]), opened.clock.now()
    return [odd.says() for odd in odd_times(timetable.expression, now, now + A_YEAR, timetable.zone)]
