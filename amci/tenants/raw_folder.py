"""The folder a tenant's files land in: ours is made, somebody else's is only looked at."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from amci.kernel.errors import NotFound, StorageError, UsageError
from amci.kernel.files import storage_errors
from amci.kernel.workspace import WorkspacePaths
from amci.tenants.model import Tenant


@dataclass(frozen=True, slots=True)
class Contents:
    """What lies in a folder."""

    files: int
    size: int  #: bytes


def folder_of(tenant: Tenant, workspace: WorkspacePaths, raw_root: str) -> Path:
    """Where its files land; `raw_root` is the workspace's first root, as in amci.yaml."""
    return (workspace.home / (tenant.raw or f"{raw_root}/{tenant.tenant}")).resolve()


def prepare(folder: Path, workspace: WorkspacePaths) -> str:
    """Make a folder inside the workspace, or see that one outside can be read; says what there is now.

    Raises NotFound if an outside folder is not there, StorageError if it cannot be read. Nothing is ever
    changed outside (aws-solution 1.5 replaced a bucket's notifications).
    """
    if folder.is_relative_to(workspace.home.resolve()):
        with storage_errors(f"make {workspace.relative(folder)}"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return f"files land in {workspace.relative(folder)}/"
    try:
        with os.scandir(folder) as entries:
            next(entries, None)
    except FileNotFoundError:
        raise NotFound(
            f"{folder} is not there",
            hint="mount it or correct `raw:`; amci makes nothing outside the workspace",
        ) from None
    except OSError as error:
        raise StorageError(f"{folder}: {error.strerror}", hint=share_instructions(folder)) from error
    return f"{folder} can be read; amci changes nothing there"


def share_instructions(folder: Path) -> str:
    """What the owner of a folder has to do so that this user may read it."""
    user = os.getuid()
    return (
        f"ask its owner to let user {user} read it, also what is put there later: "
        f"`setfacl -R -m u:{user}:rX,d:u:{user}:rX {folder}`, and `setfacl -m u:{user}:x` on the folders above"
    )


def own_folder(
    tenant: Tenant, tenants: Iterable[Tenant], workspace: WorkspacePaths, raw_root: str
) -> Path | None:
    """The folder that goes when a tenant's data is deleted; None if it lies outside the workspace.

    Raises UsageError if something else would go with it.
    """
    folder, home = folder_of(tenant, workspace, raw_root), workspace.home.resolve()
    if not folder.is_relative_to(home):
        return None
    others = [folder_of(other, workspace, raw_root) for other in tenants if other.tenant != tenant.tenant]
    own = [workspace.config, workspace.state.parent, home / "stage", workspace.quarantine, home / "logs"]
    for other in (home / raw_root, *own, *others):
        if other.is_relative_to(folder):
            raise UsageError(
                f"{folder} also holds {workspace.relative(other) or home}", hint="delete by hand what may go"
            )
    if any(folder.is_relative_to(other) for other in (*own, *others)):
        raise UsageError(f"{folder} is not this tenant's alone", hint="delete by hand what may go")
    return folder


def contents(folder: Path | None) -> Contents:
    """How much lies in a folder; nothing if there is none."""
    found = folder.rglob("*") if folder else ()
    files = [path for path in found if path.is_file() and not path.is_symlink()]
    return Contents(len(files), sum(path.stat().st_size for path in files))


def delete(folder: Path) -> None:
    """Delete a folder that `own_folder` named; raises StorageError."""
    with storage_errors(f"delete {folder.name}/"):
        if folder.exists():
            shutil.rmtree(folder)
