"""All of config/, read and checked across its packages: one Project, or every problem at once."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from amci.config import Settings, parsed, read_document, read_settings
from amci.errors import ConfigError, Problem
from amci.lake.dataset import Dataset
from amci.lake.transforms.amc import amc_light_transform
from amci.lake.transforms.reports import reports_light_transform
from amci.plugins import Transform, find
from amci.tenants.model import Tenant
from amci.workspace import Workspace

Model = TypeVar("Model", bound=BaseModel)

#: Transforms that come with amci.
BUILT_IN = (amc_light_transform, reports_light_transform)


@dataclass(frozen=True, slots=True)
class Project:
    """What people configured, checked."""

    settings: Settings
    tenants: Mapping[str, Tenant]
    datasets: Mapping[str, Dataset]
    transforms: Mapping[str, Transform]


def load(workspace: Workspace, environ: Mapping[str, str]) -> Project:
    """The whole configuration of a workspace.

    Raises ConfigError with every problem in it.
    """
    problems: list[Problem] = []
    settings = Settings()
    try:
        settings = read_settings(workspace.settings_file, environ)
    except ConfigError as error:
        problems += error.problems
    tenants = _read_all(workspace, "tenants", Tenant, "tenant", problems)
    datasets = {d.dataset: d for d in _built_in_datasets()}
    datasets |= _read_all(workspace, "datasets", Dataset, "dataset", problems)
    transforms = find(workspace.config / "transforms", BUILT_IN, problems)
    problems += _unknown_transforms(datasets, transforms)
    problems += _shared_prefixes(tenants)
    problems += _roots(workspace, settings)
    if problems:
        raise ConfigError(problems, hint="mend the files named above; nothing was done")
    return Project(settings, tenants, datasets, transforms)


def _built_in_datasets() -> list[Dataset]:
    folder = resources.files("amci.lake") / "datasets"
    found = sorted(
        (entry for entry in folder.iterdir() if entry.name.endswith(".yaml")), key=lambda e: e.name
    )
    return [parsed(Dataset, read_document(Path(str(entry)), entry.name), entry.name) for entry in found]


def _read_all(
    workspace: Workspace, kind: str, model: type[Model], id_field: str, problems: list[Problem]
) -> dict[str, Model]:
    found: dict[str, Model] = {}
    folder = workspace.config / kind
    for path in sorted(p for p in folder.glob("*") if p.suffix in (".yaml", ".yml", ".json")):
        shown = workspace.relative(path)
        try:
            value = parsed(model, read_document(path, shown), shown)
        except ConfigError as error:
            problems += error.problems
            continue
        name = getattr(value, id_field)
        if name in found:
            problems.append(Problem(shown, id_field, f"'{name}' is defined in another file already"))
        found[name] = value
    return found


def _unknown_transforms(datasets: Mapping[str, Dataset], transforms: Collection[str]) -> list[Problem]:
    problems = []
    for dataset in datasets.values():
        for field, name in (("light", dataset.light), ("heavy", dataset.heavy)):
            if name and name not in transforms:
                near = difflib.get_close_matches(name, transforms, n=1)
                says = f"no transform '{name}'" + (f" (did you mean '{near[0]}'?)" if near else "")
                problems.append(Problem(f"config/datasets/{dataset.dataset}.yaml", field, says))
    return problems


def _shared_prefixes(tenants: Mapping[str, Tenant]) -> list[Problem]:
    """Two tenants with one prefix would share tables without anybody having asked for it."""
    seen: dict[str, str] = {}
    problems = []
    for tenant in tenants.values():
        prefix = tenant.table_prefix("")
        if prefix in seen:
            says = f"'{prefix}' is tenant {seen[prefix]}'s already"
            problems.append(Problem(f"config/tenants/{tenant.tenant}.yaml", "prefix", says))
        seen[prefix] = tenant.tenant
    return problems


def _roots(workspace: Workspace, settings: Settings) -> list[Problem]:
    problems = []
    seen: dict[str, Path] = {}
    for position, root in enumerate(settings.roots):
        path = (workspace.home / root.path).resolve()
        field = f"roots.{position}"
        if root.name in seen:
            problems.append(Problem("amci.yaml", f"{field}.name", f"'{root.name}' stands twice"))
        for other, taken in seen.items():
            if path == taken or path.is_relative_to(taken) or taken.is_relative_to(path):
                problems.append(Problem("amci.yaml", f"{field}.path", f"overlaps with root '{other}'"))
        if any(
            path == own or path.is_relative_to(own) for own in (workspace.pre_stage, workspace.post_stage)
        ):
            problems.append(Problem("amci.yaml", f"{field}.path", "lies in the stage, which is amci's own"))
        seen[root.name] = path
    return problems
