"""What the handlers of executions share: whom they ask for whom, and what is known already."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from amci.kernel.clock import Clock
from amci.kernel.config import AmcSettings
from amci.kernel.errors import NoAccess
from amci.kernel.run import NewRun
from amci.tenants.model import Tenant
from amci.workflows.executions.store import ExecutionStore

if TYPE_CHECKING:
    from amci.workflows.amc.client import AmcClient


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerContext:
    """The same for all of them."""

    executions: ExecutionStore
    clients: Callable[[Tenant], AmcClient]
    tenants: Mapping[str, Tenant]
    settings: AmcSettings
    clock: Clock
    #: Why AMC is not to be asked for a tenant, if its check has found that.
    no_access: Callable[[Tenant], NoAccess | None] = lambda _: None
    queue: Callable[
        [Sequence[NewRun]], object
    ]  #: creates runs at once, those that follow from no end of a run
