"""Checks the SQL of workflows before they are sent to AMC, which would say the same some minutes later."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from amci.amcsql.sources import Source
    from amci.amcsql.tools.linting import Lint
    from amci.app.session import Session
    from amci.kernel.workspace import WorkspacePaths
    from amci.tenants.model import Tenant
    from amci.workflows.definitions.definition import Workflow

_UNKNOWN = "unknown-object"


def refuse_bad(
    session: Session, workflows: Iterable[Workflow], tenants: Sequence[Tenant], tell: Callable[[str], None]
) -> None:
    """Raise QueryError with every error of the workflows; `tenants` are those whose AMC gets them.

    What an AMC elsewhere has as uploaded data sets is not known here: an unknown table is only noted.
    """
    from amci.amcsql.tools.linting import lint
    from amci.app.query_checker import finding_lines
    from amci.app.query_input import QueryInput
    from amci.kernel.errors import QueryError

    amc = session.project.settings.amc
    is_elsewhere = amc.mode in ("live", "record") or (amc.mode == "sandbox" and bool(amc.sandbox.url))
    uploaded = {} if is_elsewhere else _uploaded(session.workspace, tenants)
    refused: list[str] = []
    for workflow in workflows:
        asked = QueryInput(
            shown=f"workflow {workflow.workflow_id}",
            sql=workflow.sql,
            name=workflow.workflow_id,
            document=workflow,
        )
        found = lint(asked.read(uploaded=uploaded))
        if is_elsewhere:
            found = _doubted(found)
            for unknown in (each for each in found.findings if each.code == _UNKNOWN):
                tell(f"{asked.shown}: {unknown.text}, unless it was uploaded")
        refused += finding_lines(asked, replace(found, findings=found.errors))
    if refused:
        text = "\n".join(["AMC would refuse this, so nothing was sent", *refused])
        raise QueryError(text, hint="fix the SQL; --no-check sends it all the same")


def _uploaded(workspace: WorkspacePaths, tenants: Sequence[Tenant]) -> Mapping[str, Source]:
    from amci.app.query_checker import uploaded_by

    return {name: source for tenant in tenants for name, source in uploaded_by(workspace, tenant).items()}


def _doubted(found: Lint) -> Lint:
    """The same where tables that are not known may exist."""
    findings = [
        replace(each, severity="warning") if each.code == _UNKNOWN else each for each in found.findings
    ]
    return replace(found, findings=findings)
