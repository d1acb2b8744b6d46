"""The lake's values: raw objects, their placement, and what a transform may return."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from amci.kernel.errors import Unroutable

if TYPE_CHECKING:
    from amci.lake.datasets.dataset import Dataset
    from amci.tenants.model import Tenant

#: Columns amci adds to pre-stage: which object and version a row came from, and its place in the file.
OBJECT_ID, VERSION, ROW = "_object_id", "_version", "_row"
RESERVED = frozenset({OBJECT_ID, VERSION, ROW})


@dataclass(frozen=True, slots=True, kw_only=True)
class RawObject:
    """One version of one raw file, as a transform sees it."""

    key: str  #: path below the root, with `/`
    root: str  #: name of the root it lies under
    version: int  #: counts from 1
    modified_at: datetime  #: aware, UTC
    size: int  #: bytes as landed
    dataset: Dataset
    tenant: Tenant | None  #: None if the dataset's pattern has no `{tenant}`
    #: what the pattern's placeholders took; a folder `name=__HIVE_DEFAULT_PARTITION__` has no value
    fields: Mapping[str, str]

    def field(self, name: str) -> str:
        """What a placeholder of the pattern took; raises Unroutable if it has no value."""
        if name in self.fields:
            return self.fields[name]
        raise Unroutable(
            f"the key has no value for {{{name}}}", hint=f"put the file into a folder that names its {name}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where an object's rows belong."""

    table: str
    #: Names and values of the Hive partitions in post-stage; each is also a column.
    partition: tuple[tuple[str, str | None], ...] = ()
    #: Partitions that only pre-stage has, below those.
    pre_stage_partition: tuple[tuple[str, str | None], ...] = ()
    stem: str = ""  #: name of the pre-stage file, without ending
    workflow_id: str | None = None
    schedule: str | None = None
    export_time: datetime | None = None  #: when AMC made the result; UTC
    #: Further columns with one text value for the whole object.
    constants: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Skip:
    """There is nothing to load, for a reason people may want to know."""

    reason: str
