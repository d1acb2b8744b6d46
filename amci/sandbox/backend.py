"""What all handlers of the sandbox work with."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amci.kernel.clock import Clock
from amci.sandbox.faults import InjectedFault
from amci.sandbox.instances import Instances
from amci.sandbox.options import SandboxOptions
from amci.sandbox.queries import Queries
from amci.sandbox.store import Store


@dataclass(slots=True, kw_only=True)
class Backend:
    """Store, clock, options and queries, passed to every handler."""

    store: Store
    clock: Clock
    options: SandboxOptions
    instances: Instances
    queries: Queries
    key: bytes  #: signs download links
    fault: InjectedFault | None = None  #: the one that the present request meets
    has_sample_statuses: bool = False  #: uploads are PENDING and COMPLETED, as in some of AMC's samples
    #: cache of `document.document`: (seq, status, whether with the workflow) → execution
    documents: dict[tuple[int, str, bool], dict[str, Any]] = field(default_factory=dict)

    def meets(self, kind: str) -> bool:
        """Whether the present request meets this fault."""
        return self.fault is not None and self.fault.kind == kind

    @property
    def directory(self) -> Path:
        """The folder of the store's file; everything else is stored there, too."""
        return Path(self.store.rows("database")[0]["file"]).parent

    @property
    def buckets(self) -> Path:
        """The folder with one folder for each S3 bucket that uploads may name."""
        return self.directory / "uploads"

    def people(self) -> str:
        """The people of the world, see `world.people_of`; generated the first time."""
        from amci.sandbox.data.world import people_of

        return people_of(self.directory, self.options.seed, self.options.scale)
