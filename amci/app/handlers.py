"""Which handler does which kind of run: where the packages are put together."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from amci.app.for_each import ForEachHandler
from amci.app.session import Session
from amci.kernel import log
from amci.kernel.errors import StorageError
from amci.kernel.notify.handler import NotifyHandler
from amci.kernel.run import Outcome, Run
from amci.kernel.worker import Handler
from amci.lake.catalog.catalog import Catalog
from amci.lake.datasets.router import Router
from amci.lake.landing.ingest import Ingest
from amci.lake.landing.object_store import ObjectStore
from amci.lake.landing.roots import Root
from amci.lake.loading.commit import Commit
from amci.lake.loading.heavy import HeavyHandler
from amci.lake.loading.light import LightHandler
from amci.lake.loading.object_reader import ObjectReader
from amci.lake.loading.resemblance import TableShapes
from amci.lake.loading.retyping import Retyping
from amci.lake.loading.rules import Rules
from amci.lake.query.session import session
from amci.lake.upkeep.maintenance import Maintenance
from amci.lake.upkeep.tasks import UpkeepHandler
from amci.tenants import raw_folder
from amci.tenants.model import Tenant
from amci.tenants.registry import Registry
from amci.workflows.definitions.workflow_handler import WorkflowHandler
from amci.workflows.executions.cancel import CancelHandler
from amci.workflows.executions.execute import ExecuteHandler
from amci.workflows.executions.handler_context import HandlerContext
from amci.workflows.executions.reconcile import ReconcileHandler
from amci.workflows.provisioning.provision import ProvisionHandler, no_access

_log = log.get("handlers")

#: Reprocess objects: (only changed ones, of which dataset) → counts.
Reprocessing = Callable[[bool, str | None], Mapping[str, Any]]


def lake_handlers(
    opened: Session,
    *,
    rules: Rules,
    objects: ObjectStore,
    catalog: Catalog,
    roots: Mapping[str, Root],
    reprocess: Reprocessing,
    repair: Callable[[], Mapping[str, Any]],
    contents: Callable[[Run], Outcome],
    take_over: Callable[[Collection[int]], int],
    forget: Callable[[], Mapping[str, Any]],
) -> list[Handler]:
    """What becomes of files."""
    workspace, settings = opened.workspace, opened.project.settings
    maintenance = Maintenance(workspace, catalog, opened.state, opened.clock, lambda _: None)
    shapes = TableShapes(opened.state)
    return [
        LightHandler(
            rules=rules,
            objects=objects,
            reader=ObjectReader(
                rules=rules,
                objects=objects,
                shapes=shapes,
                roots=roots,
                catalog=catalog,
                pre_stage=workspace.pre_stage,
                spill=workspace.spill,
            ),
            pre_stage=workspace.pre_stage,
            batch=settings.batch,
        ),
        HeavyHandler(
            rules=rules,
            objects=objects,
            shapes=shapes,
            runs=opened.runs,
            catalog=catalog,
            committing=Commit(
                catalog=catalog,
                retyping=Retyping(catalog=catalog, objects=objects, runs=opened.runs),
                runs=opened.runs,
                duplicates=objects.duplicates,
                appended=rules.router.appended,
                clock=opened.clock,
            ),
            pre_stage=workspace.pre_stage,
            quarantine=workspace.quarantine,
            clock=opened.clock,
            batch=settings.batch,
            take_over=take_over,
        ),
        UpkeepHandler(
            catalog, maintenance, reprocess, repair, contents, forget, opened.project.datasets.values
        ),
    ]


def amc_handlers(opened: Session, router: Router, ingest: Ingest) -> list[Handler]:
    """What is asked of AMC, and who is told."""
    project, workspace = opened.project, opened.workspace
    shared = HandlerContext(
        executions=opened.executions,
        clients=opened.client,
        tenants=project.tenants,
        settings=opened.amc,
        clock=opened.clock,
        queue=opened.runs.create,
        no_access=lambda tenant: no_access(
            opened.runs, tenant, opened.amc.mode, lambda: opened.logged_in_at(tenant)
        ),
    )

    def prepare(of: Tenant) -> str:
        place = raw_folder.folder_of(of, workspace, project.settings.roots[0].path)
        return raw_folder.prepare(place, workspace)

    def load(tenant: Tenant, keys: Sequence[str]) -> None:
        """Queue results to be loaded at once; if that fails, the next scan of raw/ finds them."""
        try:
            ingest.arrived(opened.root_of(tenant), *keys)
        except StorageError as error:
            _log.error("results not noted yet", keys=keys, exc_info=error)

    def rows(sql: str, most: int) -> list[dict[str, Any]]:
        """The rows of a query of the lake, at most so many and one more."""
        settings = project.settings
        found: list[dict[str, Any]] = []
        reading = session(
            workspace,
            memory_limit=settings.query_memory_limit,
            timeout=settings.query_timeout,
            threads=settings.threads,
        )
        with reading as lake:
            result = lake.run(sql)
            for piece in result.pieces(most + 1):
                found += [dict(zip(result.columns, row, strict=True)) for row in piece]
                if len(found) > most:
                    break
        return found

    return [
        ForEachHandler(
            state=opened.state,
            tenants=project.tenants,
            rows=rows,
            no_access=shared.no_access,
            clock=opened.clock,
        ),
        ExecuteHandler(shared, workflows=project.workflows, folder_of=opened.results_of, on_delivered=load),
        CancelHandler(shared),
        ReconcileHandler(shared),
        WorkflowHandler(project.workflows, project.tenants, opened.client),
        ProvisionHandler(
            tenants=Registry(workspace.config).get,
            clients=opened.client,
            prepare=prepare,
            dataset_of=lambda key: router.route(key).dataset.dataset,
            clock=opened.clock,
            mode=opened.amc.mode,
        ),
        NotifyHandler(opened.notifier, opened.secret, opened.clock),
    ]
