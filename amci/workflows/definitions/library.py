"""The workflows of a project: one file each in config/workflows/, or the SQL alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from amci.kernel.config import DOCUMENTS, parsed, read_document
from amci.kernel.errors import ConfigError, NotFound, Problem, collected
from amci.kernel.files import entries, text_of
from amci.kernel.names import near_or
from amci.tenants.model import Tenant
from amci.workflows.definitions import aws_names, definition_check
from amci.workflows.definitions.definition import Workflow


def read(
    folder: Path,
    problems: list[Problem],
    shown: Callable[[Path], str],
    names: dict[str, str] | None = None,
) -> dict[str, Workflow]:
    """All workflows by id; what is wrong with them is added to `problems`, under the file's name as `shown`.

    The name of each workflow's file is added to `names`.
    `<id>.yaml` may leave its SQL to `<id>.sql`; a `.sql` with no document beside it is a workflow, too.
    """
    files: list[Path] = []
    with collected(problems):
        files = [path for path in entries(folder, shown(folder)) if not path.name.startswith(".")]
    documents = [path for path in files if path.suffix in DOCUMENTS]
    stems = {path.stem for path in documents}
    alone = [path for path in files if path.suffix == ".sql" and path.stem not in stems and not path.is_dir()]
    found: dict[str, Workflow] = {}
    for path in documents + alone:
        with collected(problems):
            workflow = one(path, shown)
            problems += definition_check.problems(workflow, shown(path))
            if workflow.workflow_id in found:
                says = f"'{workflow.workflow_id}' is defined in another file already"
                problems.append(Problem(shown(path), "workflow_id", says))
            found[workflow.workflow_id] = workflow
            if names is not None:
                names[workflow.workflow_id] = shown(path)
    return found


def one(path: Path, shown: Callable[[Path], str]) -> Workflow:
    """The workflow of one file, a document or SQL alone; raises ConfigError."""
    name = shown(path)
    document = _document(path, name) if path.suffix in DOCUMENTS else {}
    beside = path.with_name(f"{path.stem}.sql")
    if beside.exists() or beside.is_symlink():
        if "sql" in document:
            raise ConfigError([Problem(name, "sql", f"stands here and in {beside.name}: keep one of them")])
        document["sql"] = text_of(beside, shown(beside))
    elif "sql" not in document:
        raise ConfigError([Problem(name, "sql", f"stands neither here nor in {beside.name} beside it")])
    return parsed(Workflow, {"workflow_id": path.stem} | document, name)


def _document(path: Path, name: str) -> dict[str, Any]:
    document = read_document(path, name)
    try:
        return aws_names.ours(aws_names.definition(document), Workflow.model_fields)
    except ValueError as error:
        raise ConfigError([Problem(name, "", str(error))]) from None


def workflow_named(workflows: Mapping[str, Workflow], name: str) -> Workflow:
    """The workflow called `name`; raises NotFound with a near name as the hint."""
    if name in workflows:
        return workflows[name]
    raise NotFound(
        f"no workflow '{name}' in config/workflows",
        hint=near_or(name, workflows, "`amci workflow list` shows the workflows"),
    )


def for_tenant(workflows: Mapping[str, Workflow], tenant: Tenant) -> list[Workflow]:
    """The workflows a tenant should have, by id."""
    return [workflow for _, workflow in sorted(workflows.items()) if workflow.is_for(tenant)]
