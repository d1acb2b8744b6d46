"""All of config/, read and checked across its packages: one Project, or every problem at once."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from amci.app.schedule_expansion import spread
from amci.kernel.config import Settings, documents_in, parsed, read_document, read_settings
from amci.kernel.errors import ConfigError, Problem, collected
from amci.kernel.files import walked
from amci.kernel.names import did_you_mean
from amci.kernel.plugins import Transform, find
from amci.kernel.workspace import WorkspacePaths
from amci.lake.datasets.dataset import Dataset
from amci.lake.transforms.amc import amc_light_transform
from amci.lake.transforms.reports import reports_light_transform
from amci.scheduler.config import ScheduleFile
from amci.scheduler.model import Schedule
from amci.tenants.checks import clashes
from amci.tenants.model import Tenant
from amci.tenants.registry import read_tenants
from amci.workflows.definitions import library
from amci.workflows.definitions.definition import Workflow
from amci.workflows.definitions.definition_check import tenant_problems

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
    workflows: Mapping[str, Workflow]
    schedules: Mapping[str, Schedule]  #: spread over their tenants


def load(
    workspace: WorkspacePaths, environ: Mapping[str, str], stop: threading.Event | None = None
) -> Project:
    """The whole configuration of a workspace; `stop` ends the wait for transforms that do not load.

    Raises ConfigError with every problem in it.
    """
    problems: list[Problem] = []
    settings = Settings()
    with collected(problems):
        settings = read_settings(workspace.settings_file, environ)
    tenants = {name: tenant for name, (_, tenant) in read_tenants(workspace.config, problems).items()}
    datasets = {d.dataset: d for d in _built_in_datasets()}
    datasets |= _read_all(workspace, "datasets", Dataset, "dataset", problems)
    transforms = find(workspace.config / "transforms", BUILT_IN, problems, stop)
    problems += _unknown_transforms(datasets, transforms)
    problems += clashes(tenants, tenants, workspace.home)
    problems += _roots(workspace, settings, tenants)
    workflows = library.read(workspace.config / "workflows", problems, workspace.relative)
    problems += tenant_problems(workflows, tenants)
    files = _read_all(workspace, "schedules", ScheduleFile, "schedule", problems)
    schedules = spread(files, tenants, workflows, problems)
    if problems:
        raise ConfigError(problems, hint="fix the files named above; nothing was done")
    return Project(settings, tenants, datasets, transforms, workflows, schedules)


def fingerprint(workspace: WorkspacePaths) -> int:
    """Changes whenever a file of the configuration does."""
    paths = [str(workspace.settings_file)]
    # Never raises: what cannot be listed has no files.
    for folder, folders, files in walked(workspace.config):
        paths += [os.path.join(folder, name) for name in (*folders, *files)]  # noqa: PTH118 - once a second, for all
    found: list[tuple[str, tuple[int, ...]]] = []
    for path in paths:
        try:
            seen = os.stat(path)  # noqa: PTH116 - as above
        except OSError as error:
            found.append((path, (error.errno or 0,)))
            continue
        # What lies in a folder counts by itself. A change of rights shows in the ctime alone.
        own = (seen.st_mtime_ns, seen.st_ctime_ns, seen.st_size, seen.st_ino)
        found.append((path, (seen.st_mode, *(() if stat.S_ISDIR(seen.st_mode) else own))))
    return hash(tuple(sorted(found)))


def _built_in_datasets() -> list[Dataset]:
    folder = resources.files("amci.lake") / "datasets"
    found = sorted(
        (entry for entry in folder.iterdir() if entry.name.endswith(".yaml")), key=lambda e: e.name
    )
    return [parsed(Dataset, read_document(Path(str(entry)), entry.name), entry.name) for entry in found]


def _read_all(
    workspace: WorkspacePaths, kind: str, model: type[Model], id_field: str, problems: list[Problem]
) -> dict[str, Model]:
    found: dict[str, Model] = {}
    paths: list[Path] = []
    with collected(problems):
        paths = documents_in(workspace.config / kind)
    for path in paths:
        shown = workspace.relative(path)
        with collected(problems):
            value = parsed(model, read_document(path, shown), shown)
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
                says = f"no transform '{name}'{did_you_mean(name, transforms)}"
                problems.append(Problem(f"config/datasets/{dataset.dataset}.yaml", field, says))
    return problems


def _roots(workspace: WorkspacePaths, settings: Settings, tenants: Mapping[str, Tenant]) -> list[Problem]:
    problems = []
    seen: dict[str, Path] = {}
    given = [
        ("amci.yaml", f"roots.{position}.path", r.name, r.path) for position, r in enumerate(settings.roots)
    ]
    given += [
        (f"config/tenants/{t.tenant}.yaml", "raw", tenant_root(t), t.raw) for t in tenants.values() if t.raw
    ]
    for shown, field, name, place in given:
        path = (workspace.home / place).resolve()
        if name in seen:
            problems.append(Problem(shown, field.replace("path", "name"), f"'{name}' stands twice"))
        for other, taken in seen.items():
            if path == taken or path.is_relative_to(taken) or taken.is_relative_to(path):
                problems.append(Problem(shown, field, f"overlaps with root '{other}'"))
        if any(
            path == own or path.is_relative_to(own) for own in (workspace.pre_stage, workspace.post_stage)
        ):
            problems.append(Problem(shown, field, "lies in the stage, which is amci's own"))
        seen[name] = path
    return problems


def tenant_root(tenant: Tenant) -> str:
    """Name of the root that is a tenant's own directory."""
    return f"tenant:{tenant.tenant}"
