"""What is in force for a run: its object, dataset, tenant and transforms, put together from the configuration."""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from amci.kernel.errors import NotFound
from amci.kernel.names import table_name
from amci.kernel.plugins import Transform
from amci.kernel.run import Run
from amci.lake.catalog import duck
from amci.lake.datasets.dataset import PLACEHOLDER, Dataset
from amci.lake.datasets.objects import Placement, RawObject
from amci.lake.datasets.router import Router


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutedObject:
    """A run with everything that is known about its object."""

    run: Run
    obj: RawObject
    object_id: int
    size: int
    mtime_ns: int
    light: Transform | None
    heavy: Transform | None
    rules_hash: str  #: of today's rules, see `Rules`
    reading_hash: str  #: of those of them that its rows in pre-stage depend on
    noted_rules: str | None  #: the hash of the rules that were applied to it, as the state has it
    again: str  #: sets a repeated run apart from the first; empty for the first
    loaded_sha256: str | None  #: content of the newest earlier version that is in the lake
    is_doubted: bool  #: whether something of this version was doubtful before

    was_duplicate: bool  #: whether another object's rows counted for those of this version

    def is_repeat(self, sha256: str) -> bool:
        """Whether the lake has this content already; never so when it is loaded again on purpose."""
        return self.loaded_sha256 == sha256 and not self.again


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Datasets, tenants and transforms of a workspace, as the lake needs them."""

    datasets: Mapping[str, Dataset]
    transforms: Mapping[str, Transform]
    router: Router
    pii_key: bytes | None
    memory_limit: int
    threads: int | None
    _hashes: dict[tuple[str, int], str] = field(default_factory=dict, init=False)
    _names: dict[str, frozenset[str]] = field(default_factory=dict, init=False)

    def routed(self, run: Run, row: Mapping[str, Any]) -> RoutedObject:
        """What a run is about; `row` is what `ObjectStore.for_versions` knows of its object.

        Raises Unroutable or NotFound if the configuration has no place for it any more.
        """
        route = self.router.route(row["key"])
        dataset = route.dataset
        mtime_ns = row["mtime_ns"]
        return RoutedObject(
            run=run,
            object_id=row["object_id"],
            size=row["size"],
            mtime_ns=mtime_ns,
            light=self.transform(dataset.light),
            heavy=self.transform(dataset.heavy),
            rules_hash=self.rules_hash(dataset),
            reading_hash=self.reading_hash(dataset),
            noted_rules=row["rules_hash"],
            again=run.payload.get("again", ""),
            loaded_sha256=row["loaded_sha256"],
            was_duplicate=row["same_as"] is not None,
            is_doubted=bool(row["is_doubted"]),
            obj=RawObject(
                key=row["key"],
                root=row["root"],
                version=row["version"],
                modified_at=datetime.fromtimestamp(mtime_ns // 1_000_000_000, UTC),
                size=row["size"],
                dataset=dataset,
                tenant=route.tenant,
                fields=route.fields,
            ),
        )

    def transform(self, name: str | None) -> Transform | None:
        """The transform of that name. Raises NotFound if it does not exist any more."""
        if name is None:
            return None
        if name not in self.transforms:
            raise NotFound(f"no transform '{name}'", hint="`amci lake transforms` lists them")
        return self.transforms[name]

    def rules_hash(self, dataset: Dataset) -> str:
        """Changes whenever the dataset's definition or the source of one of its transforms does."""
        return self._hash(dataset, dataset.light, dataset.heavy)

    def reading_hash(self, dataset: Dataset) -> str:
        """Changes whenever the dataset's definition or the source of its light transform does."""
        return self._hash(dataset, dataset.light)

    def names_used(self, dataset: Dataset) -> frozenset[str]:
        """All words of a dataset's definition and transforms: what may be the name of a column there."""
        if dataset.dataset not in self._names:
            transforms = (self.transform(dataset.light), self.transform(dataset.heavy))
            texts = [dataset.model_dump_json(exclude_defaults=True), *(t.source for t in transforms if t)]
            self._names[dataset.dataset] = frozenset(re.findall(r"\w+", "\n".join(texts).lower()))
        return self._names[dataset.dataset]

    def _hash(self, dataset: Dataset, *transforms: str | None) -> str:
        key = (dataset.dataset, len(transforms))
        if key not in self._hashes:
            # Without what is as usual: another setting in a later release changes no dataset that does not use it.
            parts = [dataset.model_dump_json(by_alias=True, exclude_defaults=True)]
            parts += [t.source_hash for t in map(self.transform, transforms) if t]
            self._hashes[key] = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
        return self._hashes[key]

    @contextmanager
    def connection(self, spill: Path) -> Iterator[duckdb.DuckDBPyConnection]:
        """A DuckDB of its own for a light transform, without the lake."""
        con = duck.connect(memory_limit=self.memory_limit, threads=self.threads, temp=spill)
        try:
            yield con
        finally:
            con.close()


def placement(obj: RawObject) -> Placement:
    """The placement that `table` and `partition_by` of the dataset give."""
    tenant = obj.tenant
    names = {
        "prefix": tenant.table_prefix("") if tenant else "",
        "customer_hash": tenant.hash_value if tenant else "",
        **obj.fields,
        "team": obj.dataset.team,
        "dataset": obj.dataset.dataset,
    }
    placeholders = PLACEHOLDER.findall(obj.dataset.pattern)
    for _, name, _, _ in string.Formatter().parse(obj.dataset.table):
        if name and name in placeholders:
            obj.field(name)
    return Placement(
        table=table_name(obj.dataset.table.format(**names)),
        partition=tuple(
            (name, names.get(name))
            for name in obj.dataset.partition_by
            if name in names or name in placeholders
        ),
        stem=obj.field("file").split(".", 1)[0] or "file",
    )
