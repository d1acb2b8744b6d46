"""Which dataset and tenant a key belongs to; decided from the key alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from amci.kernel.errors import Unroutable
from amci.kernel.layout import hive_value
from amci.kernel.names import did_you_mean
from amci.lake.datasets.dataset import PLACEHOLDER, Dataset
from amci.tenants.model import Tenant

_HIVE_FOLDER = re.compile(rf"[^={{}}]+={PLACEHOLDER.pattern}")


@dataclass(frozen=True, slots=True)
class Route:
    """A key's dataset and tenant, and what the pattern's placeholders took."""

    dataset: Dataset
    tenant: Tenant | None
    fields: Mapping[str, str]  #: not those that Hive's folder for rows without a value stands for

    @property
    def tenant_id(self) -> str | None:
        """The tenant's id, if the key names one."""
        return self.tenant.tenant if self.tenant else None


class Router:
    """The datasets' patterns, most specific first."""

    def __init__(self, datasets: Iterable[Dataset], tenants: Mapping[str, Tenant]) -> None:
        datasets = list(datasets)
        self._tenants = tenants
        datasets = list(datasets)
        #: datasets that keep the rows of older versions
        self.appended = frozenset(d.dataset for d in datasets if d.on_new_version == "append")
        compiled = [(_specificity(d), d, _regex(d)) for d in datasets]
        self._hive = {d.dataset: _hive_names(d.pattern) for d in datasets}
        self._patterns = sorted(compiled, key=lambda entry: (entry[0], entry[1].dataset), reverse=True)

    def route(self, key: str) -> Route:
        """The route of `key`, a path below a root with `/`.

        Raises Unroutable if no pattern matches, two match equally well, or the tenant is not known.
        """
        found = [(rank, d, m) for rank, d, regex in self._patterns if (m := regex.fullmatch(key))]
        if not found:
            raise Unroutable(
                "no dataset's pattern matches this key",
                hint="add or correct a pattern in config/datasets/, then run `amci lake reprocess`",
            )
        rank, dataset, match = found[0]
        rivals = [d.dataset for other, d, _ in found[1:] if other == rank]
        if rivals:
            raise Unroutable(
                f"the patterns of datasets {', '.join([dataset.dataset, *rivals])} match this key equally well",
                hint="make one of the patterns more specific",
            )
        taken: dict[str, str | None] = match.groupdict()
        for name in self._hive[dataset.dataset]:
            taken[name] = hive_value(match[name])
        tenant = self._tenant(taken["tenant"]) if "tenant" in taken else None
        return Route(dataset, tenant, {name: value for name, value in taken.items() if value is not None})

    def _tenant(self, tenant_id: str | None) -> Tenant:
        if tenant_id is None:
            raise Unroutable(
                "the folder of the tenant is that of rows without one", hint="name the tenant in the key"
            )
        if tenant_id in self._tenants:
            return self._tenants[tenant_id]
        raise Unroutable(
            f"no tenant '{tenant_id}'{did_you_mean(tenant_id, self._tenants)}",
            hint=f"describe it in config/tenants/{tenant_id}.yaml, then run `amci lake reprocess`",
        )


def _hive_names(pattern: str) -> list[str]:
    """The placeholders that are the value in folders named `key=value`, as Hive writes partitions."""
    folders = pattern.split("/")[:-1]
    return [found[1] for folder in folders if (found := _HIVE_FOLDER.fullmatch(folder))]


def _specificity(dataset: Dataset) -> tuple[int, int]:
    """Deeper patterns first, then those with more fixed text; own team and dataset names count as fixed."""
    fixed = dataset.pattern.replace("{team}", dataset.team).replace("{dataset}", dataset.dataset)
    return fixed.count("/"), len(PLACEHOLDER.sub("", fixed))


def _regex(dataset: Dataset) -> re.Pattern[str]:
    own = {"team": re.escape(dataset.team), "dataset": re.escape(dataset.dataset)}
    parts = PLACEHOLDER.split(dataset.pattern)
    fixed, names = parts[::2], parts[1::2]
    body = re.escape(fixed[0])
    for name, text in zip(names, fixed[1:], strict=True):
        body += f"(?P<{name}>{own.get(name, '[^/]+')})" + re.escape(text)
    return re.compile(body)
