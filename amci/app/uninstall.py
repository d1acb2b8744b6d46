"""Taking down what amci has put up: its workflows in AMC, its credentials here and, if that is said, its data.

    what there is ─► shown, asked ─► workflows in AMC ─► credentials ─► data

AMC comes first, since the credentials are needed for it, and the state file last, since it knows what is amci's. So it
can be interrupted, and run again. What amci did not make stays: workflows that AMC had before or that others have
changed since, config/, fixtures/, files that others put into raw/, and every file with a name amci does not give.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amci.app.session import Session
from amci.kernel.clock import timestamp
from amci.kernel.errors import RemoteError, UsageError
from amci.kernel.files import storage_errors
from amci.kernel.layout import TYPED, sidecar_of
from amci.kernel.run import NewRun, Run, RunStatus
from amci.kernel.workspace import WorkspacePaths
from amci.tenants.model import Tenant
from amci.workflows.definitions.definition import amc_definition
from amci.workflows.definitions.deployed_workflows import current_runs
from amci.workflows.definitions.difference import hash_of
from amci.workflows.definitions.run_factory import WORKFLOW, Action, workflow_run
from amci.workflows.definitions.sql import sql_hash

#: Files of state/ and logs/ that amci makes.
_STATE = ("amci.db*", "catalog.db*", "credentials.*", "sql_history", "lock")
_LOGS = ("amci.jsonl*", "notices.jsonl")


@dataclass(frozen=True, slots=True)
class Deployed:
    """A workflow that amci has brought to a tenant's AMC."""

    tenant: str
    workflow: str
    keeps: str = ""  #: why it stays; empty if it goes


@dataclass(frozen=True, slots=True)
class Uninstall:
    """What would be taken down."""

    workflows: tuple[Deployed, ...]
    credentials: tuple[Path, ...]
    data: tuple[Path, ...]  #: files, and whole folders of the sandbox; empty unless data are to go
    foreign: int  #: files in the places of the data that stay, since amci did not make them
    bytes: int = field(default=0)

    def report(self, workspace: WorkspacePaths) -> dict[str, Any]:
        """As JSON values."""
        return {
            "workflows": [
                {"tenant": each.tenant, "workflow": each.workflow, "stays": each.keeps}
                for each in self.workflows
            ],
            "credentials": [workspace.relative(path) for path in self.credentials],
            "data_files": len(self.data),
            "data_bytes": self.bytes,
            "foreign_files": self.foreign,
        }


def planned(session: Session, *, has_data: bool) -> Uninstall:
    """What is there of amci's; asks AMC about its workflows. Raises RemoteError if AMC does not say."""
    workspace = session.workspace
    secrets = [path for path in (workspace.credentials, workspace.key_file) if path.is_file()]
    data, foreign = _data(session) if has_data else ([], 0)
    return Uninstall(
        workflows=tuple(_deployed(session)),
        credentials=tuple(secrets),
        data=tuple(data),
        foreign=foreign,
        bytes=sum(map(_size, data)),
    )


def deletions(session: Session, plan: Uninstall) -> list[NewRun]:
    """The runs that delete the workflows in AMC."""
    again = timestamp(session.clock.now())
    tenants = session.project.tenants
    return [
        workflow_run(Action.DELETE, tenants[each.tenant], each.workflow, again=again)
        for each in plan.workflows
        if not each.keeps
    ]


def forget_credentials(session: Session) -> None:
    """Delete the credentials, and their key, from the disk and the OS keyring. Raises StorageError, AuthError."""
    with storage_errors("delete the credentials"):
        session.workspace.credentials.unlink(missing_ok=True)
    session.credentials.keys.forget()


def delete_data(workspace: WorkspacePaths, plan: Uninstall) -> None:
    """Delete the files, the state file last, and the folders that are empty then. Raises StorageError."""
    state = workspace.state.parent
    ordered = sorted(plan.data, key=lambda path: (path.parent == state, path == workspace.lock))
    with storage_errors("delete the data"):
        for path in ordered:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        for folder in {
            above for path in ordered for above in path.parents if workspace.home in above.parents
        }:
            _prune(folder)
        for place in (workspace.raw, workspace.pre_stage, workspace.post_stage, workspace.quarantine):
            _prune(place)


def _deployed(session: Session) -> Iterator[Deployed]:
    runs = session.runs.list(kind=WORKFLOW, limit=-1)
    for (tenant_id, workflow_id), run in sorted(current_runs(runs).items()):
        tenant = session.project.tenants.get(tenant_id)
        yield Deployed(tenant_id, workflow_id, _why_it_stays(session, tenant, workflow_id, run, runs))


def _why_it_stays(
    session: Session, tenant: Tenant | None, workflow_id: str, run: Run, newest_first: Iterable[Run]
) -> str:
    """Why a workflow is not amci's to delete; empty if it is."""
    if tenant is None or not tenant.instance_id:
        return "config/ has no tenant any more whose AMC it is in"
    if not _was_made(tenant.tenant, workflow_id, newest_first):
        return "AMC had it before amci"
    try:
        remote = session.client(tenant).workflow(workflow_id)
    except RemoteError as error:
        raise RemoteError(f"AMC of tenant {tenant.tenant}: {error}", hint=error.hint) from error
    if remote is None:
        return "AMC does not have it any more"
    return "" if _is_as_sent(session, tenant, workflow_id, run, remote) else "somebody has changed it in AMC"


def _is_as_sent(
    session: Session, tenant: Tenant, workflow_id: str, run: Run, remote: Mapping[str, Any]
) -> bool:
    """Whether AMC has what amci brought: the whole definition or, if config/ has it no more, its SQL."""
    sent = run.result or {}
    workflow = session.project.workflows.get(workflow_id)
    if workflow is not None:
        try:
            return hash_of(amc_definition(workflow, tenant), remote) == sent.get("definition_hash")
        except UsageError:
            pass  # the tenant's values do not fit it any more
    return sql_hash(str(remote.get("sqlQuery") or "")) == sent.get("sql_hash")


def _was_made(tenant_id: str, workflow_id: str, newest_first: Iterable[Run]) -> bool:
    """Whether amci created it, since it was last deleted."""
    about = (tenant_id, workflow_id)
    for run in newest_first:
        if run.status is not RunStatus.SUCCEEDED or (run.payload["tenant"], run.payload["workflow"]) != about:
            continue
        if run.payload["action"] == Action.DELETE:
            return False
        if (run.result or {}).get("responseStatus") == "CREATED":
            return True
    return False


def told(plan: Uninstall, workspace: WorkspacePaths, *, has_data: bool) -> list[str]:
    """What would be taken down, in lines for people."""
    lines = [
        f"workflow {each.workflow} of tenant {each.tenant}: "
        + (f"stays: {each.keeps}" if each.keeps else "deleted in AMC")
        for each in plan.workflows
    ] or ["workflows: none that amci brought to AMC"]
    names = ", ".join(workspace.relative(path) for path in plan.credentials)
    lines.append(f"credentials: {f'{names} deleted, and what the OS keyring holds' if names else 'none'}")
    if has_data:
        lines.append(f"data: {len(plan.data):,} files and folders with {plan.bytes:,} bytes deleted")
        lines.append(f"stays: config/, fixtures/, {plan.foreign:,} files there that amci did not make")
    else:
        lines.append("data: all of it stays; --data deletes it")
    return [*lines, "schedules fire only while amci runs; none of them is in AMC"]


def _data(session: Session) -> tuple[list[Path], int]:
    """What amci made in the places of its data, and how many files are there that it did not make."""
    workspace = session.workspace
    results = {
        session.workspace.home / root.path / row["key"]
        for root in session.project.settings.roots
        for row in session.state.read("SELECT key FROM executions WHERE key IS NOT NULL")
    }
    results |= {sidecar_of(path) for path in results}
    ours: list[Path] = []
    foreign = 0
    for place, is_ours in (
        (workspace.raw, lambda path: path in results),
        (workspace.pre_stage, lambda path: path.suffix in (".parquet", TYPED)),
        (workspace.post_stage, lambda path: path.suffix == ".parquet"),
        (workspace.quarantine, lambda path: path.suffix == ".parquet"),
        (workspace.state.parent, lambda path: any(path.match(name) for name in _STATE)),
        (workspace.log.parent, lambda path: any(path.match(name) for name in _LOGS)),
    ):
        # A place that is a link leads to something amci did not make.
        for path in _files(place) if not place.is_symlink() else ():
            if is_ours(path) and not path.is_symlink():
                ours.append(path)
            else:
                foreign += 1
    whole = (workspace.sandbox, workspace.published)
    return ours + [path for path in whole if path.exists() and not path.is_symlink()], foreign


def _files(place: Path) -> Iterator[Path]:
    for base, _, names in os.walk(place):
        for name in names:
            yield Path(base, name)


def _size(path: Path) -> int:
    return sum(each.lstat().st_size for each in (_files(path) if path.is_dir() else [path]))


def _prune(folder: Path) -> None:
    """Remove the empty folders in and above a place, up to the workspace."""
    for base, _, _ in os.walk(folder, topdown=False):
        try:
            Path(base).rmdir()
        except OSError:
            continue
