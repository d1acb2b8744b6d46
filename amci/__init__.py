"""Amazon Marketing Cloud Insights on one machine: files in, DuckDB SQL out.

`open` a workspace, or `create` one; its methods do what the `amci` command does. Transforms take a `RawObject` and
return a `Placement` or a `Skip`. Everything else in this package may change from one version to the next.
"""

from __future__ import annotations

from importlib import import_module

from amci.kernel.version import __version__

#: As in `typing`, whose import takes longer than all else that `import amci` does.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from amci.app.workspace import ExecutionRun, Workspace, create, open  # noqa: A004 - it is read as `amci.open`
    from amci.kernel.errors import (
        AmciError,
        ConfigError,
        DataError,
        NotFound,
        QueryError,
        RemoteError,
        StorageError,
        TransformError,
        UsageError,
        WorkspaceError,
    )
    from amci.lake.datasets.objects import Placement, RawObject, Skip
    from amci.lake.query.result import QueryAnswer

__all__ = [
    "AmciError",
    "ConfigError",
    "DataError",
    "ExecutionRun",
    "NotFound",
    "Placement",
    "QueryAnswer",
    "QueryError",
    "RawObject",
    "RemoteError",
    "Skip",
    "StorageError",
    "TransformError",
    "UsageError",
    "Workspace",
    "WorkspaceError",
    "__version__",
    "create",
    "open",
]

#: Where the names are; each is imported when it is first used, so that `import amci` costs nothing.
_HOMES = {
    "amci.app.workspace": ("ExecutionRun", "Workspace", "create", "open"),
    "amci.lake.query.result": ("QueryAnswer",),
    "amci.lake.datasets.objects": ("Placement", "RawObject", "Skip"),
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'amci' has no attribute '{name}'")
    home = next((home for home, names in _HOMES.items() if name in names), "amci.kernel.errors")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
