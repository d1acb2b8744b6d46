"""All of config/, read and checked across its packages: one Project, or every problem at once."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from amci.app.schedule_expansion import spread
from amci.kernel.config import AmcSettings, Settings, documents_in, parsed, read_document, read_settings
from amci.kernel.errors import ConfigError, Problem, collected
from amci.kernel.files import walked
from amci.kernel.names import did_you_mean
from amci.kernel.notify.notice import NotifyTarget
from amci.kernel.plugins import Transform, find
from amci.kernel.workspace import WorkspacePaths
from amci.lake.datasets import library as datasets_library
from amci.lake.datasets.dataset import PLACEHOLDER, Dataset
from amci.lake.datasets.library import DatasetSource
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

#: Transforms that come with amci, and what they need to have in a dataset's pattern.
BUILT_IN = (amc_light_transform, reports_light_transform)
_OWN = "built in"  #: where they are from, in the words of a transform
_NEEDED = {
    amc_light_transform.__name__: ("tenant", "workflow", "schedule"),
    reports_light_transform.__name__: ("table",),
}


#: A recording answers at once, and has no rate limit.
_AT_ONCE: Mapping[str, object] = {
    "poll_first": timedelta(0),
    "poll_longest": timedelta(0),
    "adopt_within": timedelta(0),
    "requests_per_second": 0.0,
}


@dataclass(frozen=True, slots=True)
class Project:
    """What people configured, checked."""

    settings: Settings
    tenants: Mapping[str, Tenant]
    datasets: Mapping[str, Dataset]
    dataset_sources: Mapping[str, DatasetSource]
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
    read = read_tenants(workspace.config, problems)
    tenants = {name: tenant for name, (_, tenant) in read.items()}
    #: What is wrong between files is told of the file that says it, whatever it is called.
    tenant_files = {name: workspace.relative(path) for name, (path, _) in read.items()}
    datasets, sources = datasets_library.read(workspace.config / "datasets", problems, workspace.relative)
    transforms = find(workspace.config / "transforms", BUILT_IN, problems, stop)
    problems += _unfit_transforms(datasets, sources, transforms)
    problems += clashes(tenants, tenants, workspace.home, tenant_files)
    problems += _roots(workspace, settings, tenants, tenant_files)
    problems += _targets(workspace, settings, tenants, tenant_files)
    workflow_files: dict[str, str] = {}
    workflows = library.read(workspace.config / "workflows", problems, workspace.relative, workflow_files)
    problems += tenant_problems(workflows, tenants, workflow_files, tenant_files)
    files = _schedule_files(workspace, problems)
    schedules = spread(files, tenants, workflows, problems)
    if problems:
        raise ConfigError(problems, hint="fix the files named above; nothing was done")
    return Project(settings, tenants, datasets, sources, transforms, workflows, schedules)


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


def _schedule_files(
    workspace: WorkspacePaths, problems: list[Problem]
) -> dict[str, tuple[str, ScheduleFile]]:
    """The schedules by id, each with the name of its file."""
    found: dict[str, tuple[str, ScheduleFile]] = {}
    paths: list[Path] = []
    with collected(problems):
        paths = documents_in(workspace.config / "schedules")
    for path in paths:
        shown = workspace.relative(path)
        with collected(problems):
            value = parsed(ScheduleFile, read_document(path, shown), shown)
            if value.schedule in found:
                says = f"'{value.schedule}' is defined in another file already"
                problems.append(Problem(shown, "schedule", says))
            found[value.schedule] = (shown, value)
    return found


def _unfit_transforms(
    datasets: Mapping[str, Dataset],
    sources: Mapping[str, DatasetSource],
    transforms: Mapping[str, Transform],
) -> list[Problem]:
    """Transforms that there are not, and those of amci's own that cannot work with a dataset's pattern."""
    problems = []
    for dataset in datasets.values():
        if (
            dataset.light in _NEEDED
            and dataset.light in transforms
            and transforms[dataset.light].origin == _OWN
        ):
            given = PLACEHOLDER.findall(dataset.pattern)
            lacking = [f"{{{name}}}" for name in _NEEDED[dataset.light] if name not in given]
            if lacking:
                says = f"lacks {', '.join(lacking)}, which {dataset.light} needs"
                problems.append(Problem(sources[dataset.dataset].file, "pattern", says))
        for field, name in (("light", dataset.light), ("heavy", dataset.heavy)):
            if name and name not in transforms:
                says = f"no transform '{name}'{did_you_mean(name, transforms)}"
                problems.append(Problem(sources[dataset.dataset].file, field, says))
    return problems


def _roots(
    workspace: WorkspacePaths, settings: Settings, tenants: Mapping[str, Tenant], files: Mapping[str, str]
) -> list[Problem]:
    problems = []
    seen: dict[str, Path] = {}
    given = [
        ("amci.yaml", f"roots.{position}.path", r.name, r.path) for position, r in enumerate(settings.roots)
    ]
    given += [(files[t.tenant], "raw", tenant_root(t), t.raw) for t in tenants.values() if t.raw]
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


def _targets(
    workspace: WorkspacePaths, settings: Settings, tenants: Mapping[str, Tenant], files: Mapping[str, str]
) -> list[Problem]:
    """What is wrong with those who are to be told, each in its file."""
    given = [("amci.yaml", settings.notify), *((files[name], t.notify) for name, t in tenants.items())]
    problems = []
    for shown, targets in given:
        for position, target in enumerate(targets):
            try:
                NotifyTarget.of(workspace.home, target)
            except ConfigError as error:
                at = f"notify.{position}."
                problems += [
                    Problem(shown, p.field.replace("notify.", at, 1), p.says) for p in error.problems
                ]
    return problems


def amc_settings(project: Project) -> AmcSettings:
    """The settings that hold in this workspace's mode."""
    amc = project.settings.amc
    return amc.model_copy(update=dict(_AT_ONCE)) if amc.mode == "replay" else amc


def tenant_root(tenant: Tenant) -> str:
    """Name of the root that is a tenant's own directory."""
    return f"tenant:{tenant.tenant}"
