"""Carries out the AWS solution's requests to delete: takes away the one file of config/ that a request names."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from amci.kernel.config import documents_in, parsed, read_document
from amci.kernel.errors import Problem, collected
from amci.kernel.files import storage_errors
from amci.kernel.workspace import WorkspacePaths
from amci.scheduler.config import ScheduleFile
from amci.workflows.definitions import library
from amci.workflows.definitions.definition import Workflow

#: Between the solution's prefix and the name of a schedule, in the name of its EventBridge rule (aws-solution 2.4).
_OF_RULE = "-wfm-"


def delete_schedule(workspace: WorkspacePaths, rule: str, *, is_dry: bool) -> tuple[str, str]:
    """Remove the file of a schedule; what was done (`removed`, `missing`) and why."""
    problems: list[Problem] = []
    files = {file.schedule: path for path, file in _schedules(workspace, problems)}
    name = _named(rule, files)
    if name not in files:
        return _missing("config/schedules/ has no such schedule", problems)
    return _removed(workspace, [files[name]], is_dry=is_dry)


def delete_workflow(
    workspace: WorkspacePaths,
    workflow_id: str,
    customers: Sequence[str],
    *,
    without: Sequence[str] = (),
    is_dry: bool,
) -> tuple[str, str]:
    """Remove the files of a workflow, if it is for these customers and no others, and no schedule executes it.

    Returns what was done (`removed`, `missing`, `kept`) and why; AMC is not asked. `without` names rules that
    are going to be deleted, too.
    """
    problems: list[Problem] = []
    names: dict[str, str] = {}
    known = library.read(workspace.config / "workflows", problems, workspace.relative, names)
    in_amc = "; ".join(f"`amci workflow delete {workflow_id} --tenant {name}`" for name in customers)
    if workflow_id not in known:
        return _missing(f"config/workflows/ has no such workflow. In AMC: {in_amc}", problems)
    path, workflow = workspace.home / names[workflow_id], known[workflow_id]
    if why := _others(workflow, customers):
        return "kept", f"{names[workflow_id]} {why}. In AMC: {in_amc}"
    schedules = {file.schedule: file for _, file in _schedules(workspace, [])}
    gone = {_named(rule, schedules) for rule in without}
    executing = [
        name
        for name, file in schedules.items()
        if file.workflow == workflow_id and not file.definition and name not in gone
    ]
    if executing:
        return "kept", f"schedule {', '.join(executing)} executes it; delete that first"
    beside = path.with_suffix(".sql")
    done, why = _removed(workspace, [path, *([beside] if beside != path else [])], is_dry=is_dry)
    return done, f"{why}. In AMC: {in_amc}"


def _named(rule: str, schedules: Collection[str]) -> str:
    """The schedule that a rule is, called by its own name or by EventBridge's."""
    return rule if rule in schedules else rule.rpartition(_OF_RULE)[2]


def _others(workflow: Workflow, customers: Sequence[str]) -> str:
    """Why deleting the workflow would take it from others than these customers; empty if it would not."""
    if workflow.tenant_tags:
        return f"is for tenants with a tag ({', '.join(workflow.tenant_tags)})"
    if not workflow.tenants:
        return "is for all tenants" if workflow.all_tenants else "is for no tenant"
    if not set(customers) & set(workflow.tenants):
        return f"is not for {', '.join(customers)}"
    if others := [name for name in workflow.tenants if name not in customers]:
        return f"is for {', '.join(others)} as well; take {', '.join(customers)} out of its `tenants`"
    return ""


def _schedules(workspace: WorkspacePaths, problems: list[Problem]) -> list[tuple[Path, ScheduleFile]]:
    """The schedules that can be read, each with its file; what is wrong with others is added to `problems`."""
    found = []
    for path in documents_in(workspace.config / "schedules"):
        shown = workspace.relative(path)
        with collected(problems):
            found.append((path, parsed(ScheduleFile, read_document(path, shown), shown)))
    return found


def _missing(why: str, problems: Sequence[Problem]) -> tuple[str, str]:
    """That there is nothing to delete; or that it may be in a file with mistakes, which stays."""
    files = ", ".join(dict.fromkeys(problem.file for problem in problems))
    return ("kept", f"{files}: fix this first, it may be there") if files else ("missing", why)


def _removed(workspace: WorkspacePaths, paths: Sequence[Path], *, is_dry: bool) -> tuple[str, str]:
    there = [path for path in paths if path.exists() or path.is_symlink()]
    for path in there if not is_dry else ():
        with storage_errors(f"remove {path.name}"):
            path.unlink()
    return "removed", ", ".join(workspace.relative(path) for path in there)
